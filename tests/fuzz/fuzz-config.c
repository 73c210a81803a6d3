/* A configuration file: every setting is decoded or refused with its place, and nothing is left behind. */
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "config.h"
#include "fuzz.h"
#include "log.h"
#include "str.h"

typedef struct Target {
        char *text;
        bool flag;
        uint32_t number;
        uint64_t size, span;
        char **words, **list;
} Target;

static const ConfigField fields[] = {
        { "Fuzz", "Text", "fuzz-text", CONFIG_TEXT, offsetof(Target, text), "x" },
        { "Fuzz", "Flag", "fuzz-flag", CONFIG_BOOL, offsetof(Target, flag), "no" },
        { "Fuzz", "Number", "fuzz-number", CONFIG_U32, offsetof(Target, number), "1", 1, 10 },
        { "Fuzz", "Size", "fuzz-size", CONFIG_SIZE, offsetof(Target, size), "1K" },
        { "Fuzz", "Span", "fuzz-span", CONFIG_SPAN, offsetof(Target, span), "1s" },
        { "Fuzz", "Words", "fuzz-words", CONFIG_STRV, offsetof(Target, words), "" },
        { "Fuzz", "List", "fuzz-list", CONFIG_LIST, offsetof(Target, list), "" },
        {},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char path[] = "/tmp/sluice-fuzz-XXXXXX";
        char name[] = "fuzz";
        char *argv[] = { name, NULL };
        Target target = {};
        Error e = {};
        int argc = 1, r, fd = mkstemp(path);

        if (fd < 0)
                return 0;
        log_set_max_level(LOG_EMERG); /* unknown settings are warned about */
        r = write(fd, data, size) == (ssize_t) size ? 0 : -1;
        (void) close(fd);
        if (r >= 0) {
                r = config_load(fields, (const ConfigFile[]){ { path, true }, {} }, &argc, argv,
                                &target, &e);
                HOLDS(r >= 0 || e.detail[0]);
                HOLDS(r < 0 || (target.number >= 1 && target.number <= 10));
                config_clear(fields, &target);
        }
        (void) unlink(path);
        return 0;
}
