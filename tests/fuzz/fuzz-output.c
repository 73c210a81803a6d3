/* An output that is taken has names and text in it; and a value that is put into a line is in one word of it, whatever is in it: the first
 * line is the value, the second a command line, the rest an output. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "directive.h"
#include "fuzz.h"
#include "str.h"
#include "strv.h"
#include "substitute.h"
#include "task-output.h"

static void check_output(const char *data, size_t size) {
        _cleanup_(strv_freep) char **pairs = NULL;
        Error e = {};
        int r = task_output_parse(data, size, &pairs, &e);

        HOLDS(r >= 0 || (e.detail[0] && !pairs));
        for (char *const *p = pairs; p && p[0]; p += 2) {
                HOLDS(output_key_ok(p[0], strlen(p[0])));
                HOLDS(str_is_utf8(p[1], strlen(p[1])) && !strpbrk(p[1], "\r\x1b\x7f"));
        }
}

static int look_up(const Reference *r, const char **ret, Error *e, void *userdata) {
        (void) r;
        (void) e;
        *ret = userdata;
        return 0;
}

static void check_line(const char *name, const char *line, char *value) {
        const Directive *d = directive_find(name);
        _cleanup_(freep) char *got = NULL, *same = NULL;
        _cleanup_(strv_freep) char **before = NULL, **after = NULL;
        Error e = {};

        if (words_split(line, &before, NULL) < 0)
                return;
        if (substitute_value(d, line, look_up, value, &got, &e) < 0) {
                HOLDS(e.detail[0]);
                return;
        }
        HOLDS(words_split(got, &after, NULL) >= 0);
        HOLDS(strv_length(before) == strv_length(after));
        /* Without references a line means what it meant. */
        HOLDS(substitute_value(d, line, look_up, (char *) "", &same, NULL) >= 0 ||
              strchr(line, '$'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = strndup((const char *) data, size);
        char *rest = text, *value, *line;

        check_output((const char *) data, size);
        value = strsep(&rest, "\n");
        line = strsep(&rest, "\n");
        if (!line)
                return 0;
        if (rest)
                check_output(rest, strlen(rest));
        check_line("ExecStart", line, value);
        check_line("Environment", line, value);
        return 0;
}
