/* Parts of sluicectl that need no control plane. */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <unistd.h>

#include "arguments.h"
#include "client-internal.h"
#include "format.h"
#include "journal-export.h"
#include "log-format.h"
#include "run-print.h"
#include "settings.h"
#include "explain-shapes.h"
#include "shapes.h"
#include "str.h"
#include "stream-print.h"
#include "strv.h"
#include "table.h"
#include "verbs.h"
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

static void test_a_bad_state_is_told_offline(void) {
        char *argv[] = { (char *) "sluicectl", (char *) "runs", (char *) "--state=done", NULL };
        Arguments a = {};
        Context x = { .arguments = &a };
        Error e = {};

        ok_int(arguments_read(3, argv, &a, &e), 0);
        ok_int(verb_runs(&x), EXIT_FAILURE); /* and no connection was needed */
        arguments_done(&a);
}

static void test_an_empty_argument_is_told(void) {
        char *argv[] = { (char *) "sluicectl", (char *) "cancel", (char *) "", NULL };
        Arguments a = {};
        Error e = {};

        ok_int(arguments_read(3, argv, &a, &e), -EINVAL);
        ok_str(e.detail, "Argument 2 is empty: perhaps a variable is not set.");
}

static void test_bad_options_are_told(void) {
        static const struct {
                const char *word, *words;
        } bad[] = {
                { "--folow", "--follow" },
                { "--wait=yes", "no value" },
                { "--task", "wants a value" },
                { "--zzzzzzzz", "--help" },
                { "--tokne-file=/x", "--token-file" },
                { "--token=sluice_tk_secret", "SLUICE_TOKEN" },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                char *argv[] = { (char *) "sluicectl", (char *) bad[i].word, NULL };
                Arguments a = {};
                Error e = {};

                ok_int(arguments_read(2, argv, &a, &e), -EINVAL);
                ok_contains(e.detail, bad[i].words);
        }
}

/* "--version" is the program's, "--version=TEXT" the pipe's. */
static void test_versions_are_told_apart(void) {
        char *argv[] = { (char *) "sluicectl", (char *) "--version=ab", (char *) "--no-color",
                         NULL };
        Arguments a = {};
        Error e = {};

        ok_int(arguments_read(3, argv, &a, &e), 0);
        ok_str(a.values[OPTION_PIPE_VERSION], "ab");
        ok_true(!a.version && a.no_color && !a.help);
        arguments_done(&a);
}

static void test_settings_are_taken_out_of_the_line(void) {
        char *argv[] = { (char *) "sluicectl",
                         (char *) "--url",
                         (char *) "https://a",
                         (char *) "runs",
                         (char *) "--token-file=~/t",
                         (char *) "--",
                         (char *) "--url",
                         NULL };
        char *bad[] = { (char *) "sluicectl", (char *) "--url", NULL };
        Settings s = {};
        Error e = {};
        int argc = 7;

        (void) setenv("HOME", "/nonexistent", true);
        (void) unsetenv("XDG_CONFIG_HOME");
        ok_int(settings_load(&s, &argc, argv, &e), 0);
        ok_str(s.url, "https://a");
        ok_str(s.token_file, "/nonexistent/t");
        ok_true(s.token_file_first);
        ok_int(argc, 4);
        ok_str(argv[1], "runs");
        ok_str(argv[3], "--url");
        settings_done(&s);

        argc = 2;
        s = (Settings){};
        ok_int(settings_load(&s, &argc, bad, &e), -EINVAL);
        ok_contains(e.detail, "--url wants a value");
        settings_done(&s);
}

static void test_a_token_is_one_word(void) {
        static const char *const bad[] = { "a b", "a\nb", "a\r\nX-Evil: 1", "gr\xc3\xbc" };
        _cleanup_(freep) char *token = NULL;
        Settings s = {};
        Error e = {};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                (void) setenv("SLUICE_TOKEN", bad[i], true);
                ok_int(settings_read_token(&s, &token, &e), -EINVAL);
        }
        (void) setenv("SLUICE_TOKEN", "sluice_tk_x", true);
        ok_int(settings_read_token(&s, &token, &e), 0);
        ok_str(token, "sluice_tk_x");
        (void) unsetenv("SLUICE_TOKEN");
        ok_null(s.token_file);
        ok_int(settings_read_token(&s, &token, &e), -ENOKEY);
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
        ok_int(status_of("failed", "failed", "killed", 4000000), 1);
        ok_int(status_of("failed", "failed", "exited", 4000000), 1);
        ok_int(status_of("failed", "failed", "exited", 0), 1); /* a timeout that exited well */
        ok_int(status_of("cancelled", "cancelled", "killed", 15), 1);
}

static bool waits(const char *first, const char *last) {
        Attempt attempts[] = { { .state = (char *) first }, { .state = (char *) last } };
        Task tasks[] = { { .attempts = { .items = attempts, .count = last ? 2 : 1 } }, {} };

        return run_waits(&(Run){ .tasks = { .items = tasks, .count = 2 } });
}

static void test_what_waits_is_asked_why(void) {
        ok_true(waits("queued", NULL));
        ok_true(waits("ended", "queued"));
        ok_true(!waits("assigned", NULL));
        ok_true(!waits("queued", "running")); /* the last attempt is what counts */
        ok_true(!waits("a later version's", NULL));
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
        ok_str(format_between("2026-11-21T00:00:00Z", "2026-11-21T00:00:01.5Z", text), "1.500s");
        ok_null(format_between("2026-11-21T00:00:01Z", "2026-11-21T00:00:00Z", text));
        ok_null(format_between(NULL, NULL, text));
        ok_str(format_between("2999-01-01T00:00:00Z", NULL, text), "0");
}

static void test_the_first_failure_decides(void) {
        Attempt late = { .exit_code = (char *) "exited",
                         .exit_status = 2,
                         .ended_at = (char *) "2026-11-21T00:00:02.000000Z" };
        Attempt early = { .exit_code = (char *) "exited",
                          .exit_status = 5,
                          .ended_at = (char *) "2026-11-21T00:00:01.999999Z" };
        Task tasks[2] = { { .state = (char *) "failed", .attempts = { &late, 1 } },
                          { .state = (char *) "failed", .attempts = { &early, 1 } } };
        Run run = { .state = (char *) "failed", .tasks = { tasks, 2 } };

        ok_int(run_exit_status(&run), 5);
}

static void test_failures_are_explained(void) {
        static const struct {
                Attempt attempt;
                const char *words;
        } rows[] = {
                { { .outcome = (char *) "exit-code", .exit_status = 3 }, "exited with status 3" },
                { { .outcome = (char *) "exit-code", .exit_status = 203 }, "203/EXEC" },
                { { .outcome = (char *) "signal", .exit_status = 9 }, "was ended by SIGKILL" },
                { { .outcome = (char *) "signal", .exit_status = 999 }, "signal 999" },
                { { .outcome = (char *) "oom-kill", .memory_max_bytes = 32 << 20 },
                  "MemoryMax=32.0M" },
                { { .outcome = (char *) "refused", .reason = (char *) "no" }, "refused: no" },
                { { .outcome = (char *) "protocol", .reason = (char *) "x" }, "protocol: x" },
                { { .why = (char *) "no agent" }, "waits: no agent" },
                { { .why = (char *) "waits for x" }, "waits for x" },
        };
        const Attempt good = { .outcome = (char *) "success" }, waiting = {};

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_(freep) char *words = attempt_explain(&rows[i].attempt);

                ok_contains(words, rows[i].words);
                ok_true(!words || !strstr(words, "waits: waits"));
        }
        ok_null(attempt_explain(&good));
        ok_null(attempt_explain(&waiting));
}

static void test_hostile_answers_are_refused(void) {
        static const char *const bad[] = { "",
                                           "[]",
                                           "{}",
                                           "{\"items\":{}}",
                                           "<html>",
                                           "{\"items\":[{\"run\":1}]}",
                                           "{\"items\":[{\"run\":null}]}" };
        const char *text = "{\"items\":[{\"run\":\"a\\u001b[2J\",\"pipe\":\"p\",\"version\":\"v\","
                           "\"state\":\"queued\",\"unknown\":1}]}";
        Page page = {};
        Error e = {};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                Reply reply = { .body = (char *) bad[i], .size = strlen(bad[i]) };

                ok_int(shape_decode(&reply, run_page_fields, &page, &e), -EINVAL);
                ok_null(page.items.items);
        }
        ok_int(shape_decode(&(Reply){ .body = (char *) text, .size = strlen(text) },
                            run_page_fields, &page, &e),
               0);
        ok_str(((Run *) page.items.items)->run, "a\\x1b[2J");
        json_done(run_page_fields, &page);
}

/* What print() writes to standard output. */
static char *output_of(int (*print)(void *), void *what) {
        char *text = NULL;
        size_t size = 0;
        int saved = dup(STDOUT_FILENO), pipe_fds[2];
        FILE *from;

        (void) fflush(stdout);
        if (saved < 0 || pipe(pipe_fds) < 0)
                return NULL;
        (void) dup2(pipe_fds[1], STDOUT_FILENO);
        (void) close(pipe_fds[1]);
        (void) print(what);
        (void) fflush(stdout);
        (void) dup2(saved, STDOUT_FILENO);
        (void) close(saved);
        from = fdopen(pipe_fds[0], "r");
        if (from && getdelim(&text, &size, '\0', from) < 0)
                (void) str_replace(&text, "");
        if (from)
                (void) fclose(from);
        return text;
}

static int print_table(void *table) {
        return table_print(table, "things");
}

static void test_tables_are_aligned(void) {
        static const char *const header[] = { "NAME", "N", "LAST", NULL };
        _cleanup_(table_freep) Table *t = NULL;
        _cleanup_(freep) char *text = NULL;

        ok_int(table_new(header, &t), 0);
        table_add(t, "gr\xc3\xbc\xc3\x9f");
        table_addf(t, "%d", 100);
        table_add(t, NULL);
        table_add(t, "\xe6\xbc\xa2\xe5\xad\x97 x"); /* two columns a character */
        table_add_colour(t, "a\nb", COLOUR_RED);
        table_add(t, "a long text that is not cut, for nothing is cut that is no terminal's, "
                     "however long it is");
        text = output_of(print_table, t);
        ok_str(text,
               "NAME    N       LAST\n"
               "gr\xc3\xbc\xc3\x9f    100     -\n"
               "\xe6\xbc\xa2\xe5\xad\x97 x  a\\x0ab  a long text that is not cut, for nothing is "
               "cut that is no terminal's, however long it is\n");
}

static int print_log(void *text) {
        const LogView v = { .format = LOG_FORMAT_SHORT, .to = stdout };
        const Buffer *b = text;

        return log_print(&v, b->data, b->size);
}

static int print_cat(void *text) {
        const LogView v = { .format = LOG_FORMAT_CAT, .to = stdout, .prefix = true };
        const Buffer *b = text;

        return log_print(&v, b->data, b->size);
}

static void test_logs_are_as_journalctls(void) {
        _cleanup_(freep) char *as_short = NULL, *as_cat = NULL;
        const LogView v = { .format = LOG_FORMAT_CAT, .to = stdout };
        Buffer b = {};

        (void) setenv("TZ", "UTC", true);
        ok_int(export_write_field(&b, "__REALTIME_TIMESTAMP", "1000000", 7), 0);
        ok_int(export_write_field(&b, "SLUICE_TASK", "load", 4), 0);
        ok_int(export_write_field(&b, "SYSLOG_IDENTIFIER", "sh", 2), 0);
        ok_int(export_write_field(&b, "_PID", "7", 1), 0);
        ok_int(export_write_field(&b, "MESSAGE", "two\n\xff lines", 11), 0);
        ok_int(export_write_end(&b), 0);
        as_short = output_of(print_log, &b);
        ok_str(as_short, "Jan 01 00:00:01 load sh[7]: two\n"
                         "                            \xff lines\n");
        as_cat = output_of(print_cat, &b);
        ok_str(as_cat, "load: two\nload: \xff lines\n");
        ok_int(log_print(&v, b.data, b.size - 1), -EBADMSG);
        buffer_done(&b);
        ok_int(log_format_from_string("cat"), LOG_FORMAT_CAT);
        ok_int(log_format_from_string("table"), -EINVAL);
}

static void test_some_trouble_passes(void) {
        static const struct {
                int r;
                unsigned status;
                Trouble kind;
        } rows[] = {
                { -ECONNREFUSED, 0, TROUBLE_AWAY },
                { -EIO, 0, TROUBLE_BROKEN },
                { -EKEYREJECTED, 0, TROUBLE_LASTS },
                { -EPROTONOSUPPORT, 0, TROUBLE_LASTS },
                { 0, 429, TROUBLE_BUSY },
                { 0, 503, TROUBLE_BUSY },
                { 0, 500, TROUBLE_INTERNAL },
                { 0, 404, TROUBLE_LASTS },
                { 0, 401, TROUBLE_LASTS },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                ok_int(failure_kind(&(HttpAnswer){ .r = rows[i].r, .status = rows[i].status }),
                       rows[i].kind);
}

static void test_failures_say_what_to_do(void) {
        static const struct {
                HttpAnswer answer;
                const char *words;
        } rows[] = {
                { { .r = -EKEYREJECTED, .error = "bad" }, "--cafile=" },
                { { .r = -ECONNREFUSED, .error = "x" }, "https://c" },
                { { .status = 401, .body = "{\"detail\":\"Revoked.\"}", .size = 21 },
                  "SLUICE_TOKEN" },
                { { .status = 404, .body = "{\"detail\":\"No.\",\"hint\":\"Do.\"}", .size = 29 },
                  "No. Do." },
                { { .status = 500, .body = "x", .size = 1 }, "HTTP 500" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                Error e = {};

                ok_true(failure_describe("https://c", &rows[i].answer, &e) < 0);
                ok_contains(e.detail, rows[i].words);
        }
}

static void test_explanations(void) {
        static const char text[] =
                "{\"run\":\"r\",\"pipe\":\"p\",\"version\":\"v\",\"state\":\"queued\",\"outcome\":"
                "null,"
                "\"tasks\":[{\"task\":\"a\",\"why\":\"no "
                "\\u001b[1magent\",\"attempts\":[{\"attempt\":"
                "\"x\",\"counts\":true,\"evidence\":[{\"why\":\"old-epoch\",\"epoch\":3}]}],"
                "\"candidates\":[{\"agent\":\"m\",\"suits\":true,\"verdict\":\"is draining\"}]}]}";
        ExplainedRun run = {};
        ExplainedAgent agent = {};
        const ExplainedTask *task;
        const ExplainedAttempt *attempt;
        Error e = {};

        ok_int(shape_decode(&(Reply){ .body = (char *) text, .size = strlen(text) },
                            explained_run_fields, &run, &e),
               0);
        ok_str(e.detail, "");
        ok_int(run.tasks.count, 1);
        task = run.tasks.items;
        ok_str(task->why, "no \\x1b[1magent"); /* a terminal gets no orders from afar */
        attempt = task->attempts.items;
        ok_true(attempt->counts);
        ok_int(((ExplainedEvidence *) attempt->evidence.items)->epoch, 3);
        ok_str(((ExplainedCandidate *) task->candidates.items)->verdict, "is draining");
        json_done(explained_run_fields, &run);
        ok_int(shape_decode(&(Reply){ .body = (char *) "{}", .size = 2 }, explained_agent_fields,
                            &agent, &e),
               -EINVAL);
}

static int print_stream(void *what) {
        stream_print(what, "# ");
        return 0;
}

static void test_streams_are_shown(void) {
        const char *text =
                "{\"pipe\":\"p\",\"version\":\"v2\",\"type\":\"streaming\",\"stream\":{\"desired\":"
                "\"running\",\"state\":\"running\",\"run\":\"r\",\"version\":\"v1\",\"agent\":"
                "\"m\","
                "\"restarts\":2,\"status_text\":\"\\u001b[2Jup\",\"reason\":\"run q ended with "
                "lost\"}}";
        _cleanup_(freep) char *shown = NULL;
        PipeFacts pipe = {};
        Error e = {};

        ok_int(shape_decode(&(Reply){ .body = (char *) text, .size = strlen(text) }, pipe_fields,
                            &pipe, &e),
               0);
        shown = output_of(print_stream, &pipe.stream);
        ok_str(shown, "# running: run r of version v1 on m, restarted 2 times\n"
                      "# it says: \\x1b[2Jup\n# run q ended with lost.\n");
        json_done(pipe_fields, &pipe);
}

int main(void) {
        (void) setlocale(LC_ALL, "C.UTF-8");
        RUN(test_options_stand_anywhere);
        RUN(test_a_bad_state_is_told_offline);
        RUN(test_an_empty_argument_is_told);
        RUN(test_bad_options_are_told);
        RUN(test_versions_are_told_apart);
        RUN(test_settings_are_taken_out_of_the_line);
        RUN(test_a_token_is_one_word);
        RUN(test_exit_status_is_the_tasks);
        RUN(test_what_waits_is_asked_why);
        RUN(test_the_first_failure_decides);
        RUN(test_failures_are_explained);
        RUN(test_hostile_answers_are_refused);
        RUN(test_tables_are_aligned);
        RUN(test_logs_are_as_journalctls);
        RUN(test_some_trouble_passes);
        RUN(test_failures_say_what_to_do);
        RUN(test_terminals_are_protected);
        RUN(test_numbers_are_readable);
        RUN(test_explanations);
        RUN(test_streams_are_shown);
        return tap_done();
}
