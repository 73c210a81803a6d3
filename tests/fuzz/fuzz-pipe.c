/* A pipe that is accepted has a normal form, which is accepted too and is its own normal form; and a text, which parses to the same. */
#include <errno.h>
#include <stdlib.h>

#include "fuzz.h"
#include "pipe.h"
#include "str.h"
#include "strv.h"

/* written: it was a text, so it can be one again. */
static void check(const Pipe *pipe, bool written) {
        _cleanup_(pipe_freep) Pipe *again = NULL, *parsed = NULL;
        _cleanup_(freep) char *json = NULL, *json_again = NULL, *text = NULL, *json_parsed = NULL;
        char version[PIPE_VERSION_SIZE], version_again[PIPE_VERSION_SIZE];
        Error e = {};
        int r;

        HOLDS(pipe_to_json(pipe, &json) >= 0);
        HOLDS(pipe_from_json(json, strlen(json), &again, &e, NULL) >= 0);
        HOLDS(pipe_to_json(again, &json_again) >= 0);
        HOLDS(str_eq(json, json_again));
        HOLDS(pipe_version(pipe, version) >= 0 && pipe_version(again, version_again) >= 0);
        HOLDS(str_eq(version, version_again));

        r = pipe_to_text(pipe, &text, &e);
        HOLDS(r >= 0 || (!written && r == -EINVAL));
        if (r < 0)
                return;
        HOLDS(pipe_parse("text", text, strlen(text), &parsed, &e, NULL) >= 0);
        HOLDS(pipe_to_json(parsed, &json_parsed) >= 0);
        HOLDS(str_eq(json, json_parsed));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(pipe_freep) Pipe *text = NULL, *json = NULL;
        _cleanup_(strv_freep) char **complaints = NULL;
        Error e = {};
        int r;

        r = pipe_parse("fuzz.pipe", (const char *) data, size, &text, &e, &complaints);
        HOLDS((r >= 0) == (text != NULL));
        HOLDS(r >= 0 || e.detail[0]);
        HOLDS(r < 0 || !complaints);
        HOLDS(!complaints || str_eq(complaints[0], e.detail) ||
              strlen(e.detail) == ERROR_DETAIL_MAX - 1);
        if (text)
                check(text, true);
        e = (Error){};
        r = pipe_from_json((const char *) data, size, &json, &e, NULL);
        HOLDS((r >= 0) == (json != NULL));
        if (json)
                check(json, false);
        return 0;
}
