/* Parts of sluicectl that need no control plane. */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>

#include "arguments.h"
#include "format.h"
#include "shapes.h"
#include "str.h"
#include "strv.h"
#include "table.h"
#include "../lib/tap.h"

static void test_options_stand_anywhere(void) {
        char *argv[] = { (char *) "sluicectl", (char *) "run",
                         (char *) "-w",        (char *) "orders",
                         (char *) "-n5",       (char *) "--task",
                         (char *) "load",      (char *) "--",
                         (char *) "-x",        NULL };
        Arguments a = {};
        Error e = {};

        ok_int(arguments_read(9, argv, &a, &e), 0);
        ok_int(strv_length(a.words), 3);
        ok_str(a.words[2], "-x");
        ok_str(a.values[OPTION_WAIT], "");
        ok_str(a.values[OPTION_LIMIT], "5");
        ok_str(a.values[OPTION_TASK], "load");
        ok_null(a.values[OPTION_FOLLOW]);
        arguments_done(&a);
}

static void test_bad_options_are_told(void) {
        static const struct {
                const char *word, *words;
        } bad[] = {
                { "--folow", "--follow" },
                { "--wait=yes", "no value" },
                { "--task", "wants a value" },
                { "--zzzzzzzz", "--help" },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                char *argv[] = { (char *) "sluicectl", (char *) bad[i].word, NULL };
                Arguments a = {};
                Error e = {};

                ok_int(arguments_read(2, argv, &a, &e), -EINVAL);
                ok_contains(e.detail, bad[i].words);
        }
}

static int status_of(const char *state, const char *task_state, const char *code, uint32_t status) {
        Attempt attempts[2] = { { .exit_code = (char *) "exited", .exit_status = 99 },
                                { .exit_code = (char *) code, .exit_status = status } };
        Task tasks[2] = { { .state = (char *) "succeeded" },
                          { .state = (char *) task_state, .attempts = { attempts, 2 } } };
        Run run = { .state = (char *) state, .tasks = { tasks, 2 } };

        return run_exit_status(&run);
}

static void test_exit_status_is_the_tasks(void) {
        ok_int(status_of("succeeded", "succeeded", "exited", 0), 0);
        ok_int(status_of("failed", "failed", "exited", 42), 42);
        ok_int(status_of("failed", "failed", "killed", 9), 137);
        ok_int(status_of("failed", "failed", "dumped", 6), 134);
        ok_int(status_of("failed", "failed", NULL, 0), 1);
        ok_int(status_of("failed", "failed", "exited", 0), 1); /* a timeout that exited well */
        ok_int(status_of("cancelled", "cancelled", "killed", 15), 1);
}

static void test_terminals_are_protected(void) {
        static const struct {
                const char *text;
                size_t size;
                const char *safe;
        } rows[] = {
                { "plain", 5, "plain" },         { "a\tb", 3, "a\tb" },
                { "\033[31m", 5, "\\x1b[31m" },  { "a\0b", 3, "a\\x00b" },
                { "\xff\xfe", 2, "\\xff\\xfe" }, { "gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f" },
                { "\xc2\x9b", 2, "\\xc2\\x9b" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_(freep) char *safe = text_escape(rows[i].text, rows[i].size);

                ok_str(safe, rows[i].safe);
        }
        ok_int(text_width("gr\xc3\xbc\xc3\x9f"), 4);
}

static void test_numbers_are_readable(void) {
        char text[FORMAT_MAX];

        ok_str(format_bytes(0, text), "0B");
        ok_str(format_bytes(64 << 20, text), "64.0M");
        ok_str(format_bytes(UINT64_MAX, text), "16.0E");
        ok_str(format_span(1234567, text), "1.234s");
        ok_int(time_parse("1970-01-01T00:00:01.5Z"), 1500000);
        ok_int(time_parse("2026-11-21T00:00:00.000001Z") % 1000000, 1);
        ok_int(time_parse("yesterday"), 0);
        ok_int(time_parse(NULL), 0);
}

int main(void) {
        (void) setlocale(LC_ALL, "C.UTF-8");
        RUN(test_options_stand_anywhere);
        RUN(test_bad_options_are_told);
        RUN(test_exit_status_is_the_tasks);
        RUN(test_terminals_are_protected);
        RUN(test_numbers_are_readable);
        return tap_done();
}
