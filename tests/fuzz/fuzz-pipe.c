/* A pipe that is accepted has a normal form, which is accepted too and is its own normal form. */
#include <stdlib.h>

#include "fuzz.h"
#include "pipe.h"
#include "str.h"

static void check(const Pipe *pipe) {
        _cleanup_(pipe_freep) Pipe *again = NULL;
        _cleanup_(freep) char *json = NULL, *json_again = NULL;
        char version[PIPE_VERSION_SIZE], version_again[PIPE_VERSION_SIZE];
        Error e = {};

        HOLDS(pipe_to_json(pipe, &json) >= 0);
        HOLDS(pipe_from_json(json, strlen(json), &again, &e) >= 0);
        HOLDS(pipe_to_json(again, &json_again) >= 0);
        HOLDS(str_eq(json, json_again));
        HOLDS(pipe_version(pipe, version) >= 0 && pipe_version(again, version_again) >= 0);
        HOLDS(str_eq(version, version_again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(pipe_freep) Pipe *text = NULL, *json = NULL;
        Error e = {};
        int r;

        r = pipe_parse("fuzz.pipe", (const char *) data, size, &text, &e);
        HOLDS((r >= 0) == (text != NULL));
        HOLDS(r >= 0 || e.detail[0]);
        if (text)
                check(text);
        e = (Error){};
        r = pipe_from_json((const char *) data, size, &json, &e);
        HOLDS((r >= 0) == (json != NULL));
        if (json)
                check(json);
        return 0;
}
