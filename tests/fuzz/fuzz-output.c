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

/* The words of a line that may stand in a pipe file; NULL when it may not. */
static char **words_of(const Directive *d, const char *line, unsigned *ret_flags) {
        ExecCommand command = {};
        char **words = NULL;

        if (d->type != DIRECTIVE_EXEC)
                return directive_check(d, line, NULL) >= 0 && words_split(line, &words, NULL) >= 0
                               ? words
                               : NULL;
        if (exec_command_parse(line, &command, NULL) < 0)
                return NULL;
        *ret_flags = command.flags;
        return command.argv;
}

static void check_line(const char *name, const char *line, char *value) {
        const Directive *d = directive_find(name);
        unsigned flags = 0, flags_after = 0;
        _cleanup_(freep) char *got = NULL;
        _cleanup_(strv_freep) char **before = words_of(d, line, &flags), **after = NULL;
        Error e = {};

        if (!before)
                return;
        if (substitute_value(d, line, "u.service", look_up, value, &got, &e) < 0) {
                HOLDS(e.detail[0]);
                return;
        }
        after = words_of(d, got, &flags_after);
        HOLDS(strv_length(before) == strv_length(after) && flags == flags_after);
        for (size_t i = 0; before[i]; i++)
                HOLDS(strpbrk(before[i], "$%") || str_eq(before[i], after[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = strndup((const char *) data, size);
        char *rest = text, *value, *line;

        check_output((const char *) data, size);
        value = strsep(&rest, "\n");
        line = strsep(&rest, "\n");
        if (!line || !str_is_utf8(value, strlen(value))) /* as all values are */
                return 0;
        if (rest)
                check_output(rest, strlen(rest));
        check_line("ExecStart", line, value);
        check_line("Environment", line, value);
        return 0;
}
