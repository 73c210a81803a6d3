/* The pipe language: what it takes, what it refuses and where, and its normal form. */
#include <errno.h>

#include "../lib/tap.h"
#include "cleanup.h"
#include "directive.h"
#include "pipe.h"
#include "strv.h"

static const char good[] = "# a comment\n"
                           "[Pipe]\n"
                           "Description=Orders\n"
                           "AgentSelector=warehouse, region=eu-west\n"
                           "\n"
                           "[Task extract]\n"
                           "ExecStart=/usr/bin/psql \\\n"
                           "; in between\n"
                           "    -f 'a b.sql'\n"
                           "MemoryMax=512M\n"
                           "[Task load]\n"
                           "After=extract\n"
                           "ExecStart=/bin/true\n";

static void test_normal_form(void) {
        _cleanup_(pipe_freep) Pipe *p = NULL, *again = NULL;
        _cleanup_(freep) char *json = NULL, *json2 = NULL;
        char version[PIPE_VERSION_SIZE] = "", version2[PIPE_VERSION_SIZE] = "";
        Error e = {};

        ok_int(pipe_parse("p", good, strlen(good), &p, &e), 0);
        ok_str(e.detail, "");
        ok_int(pipe_to_json(p, &json), 0);
        ok_str(json, "{\"description\":\"Orders\",\"type\":\"batch\",\"agent_selector\":{"
                     "\"region\":\"eu-west\","
                     "\"warehouse\":null},\"concurrency_policy\":\"allow\",\"delivery\":\"at-least-"
                     "once\",\"tasks\":["
                     "{\"name\":\"extract\",\"after\":[],\"directives\":[[\"ExecStart\",\"/usr/bin/"
                     "psql       -f 'a b.sql'\"],"
                     "[\"MemoryMax\",\"512M\"]]},{\"name\":\"load\",\"after\":[\"extract\"],"
                     "\"directives\":[[\"ExecStart\",\"/bin/true\"]]}]}");
        ok_int(pipe_from_json(json, strlen(json), &again, &e), 0);
        ok_int(pipe_to_json(again, &json2), 0);
        ok_str(json2, json);
        ok_int(pipe_version(p, version), 0);
        ok_int(pipe_version(again, version2), 0);
        ok_int(strlen(version), 16);
        ok_str(version, version2);
}

static void test_refuses_with_a_place(void) {
        static const struct {
                const char *text, *words;
        } bad[] = {
                { "Type=batch\n", "p:1:1: Type= stands before the first" },
                { "[Pipe]\n[Task a]\n  MemoryMx=1\n",
                  "p:3:3: MemoryMx= is not allowed in [Task]; did you mean MemoryMax=?" },
                { "[Task a]\nExecStart=true\n",
                  "p:2:1: ExecStart=: \"true\" is not an absolute path" },
                { "[Task a]\nExecStart=/bin/sh 'x\n",
                  "p:2:1: ExecStart=: a ' quote is not closed" },
                { "[Task a]\nExecStart=+/bin/sh\n", "prefix + is not allowed" },
                { "[Task a]\nExecStart=/bin/true\nMemoryMax=lots\n",
                  "p:3:1: MemoryMax=: a size such as" },
                { "[Task a]\nExecStart=/bin/true\nExecStart=/bin/true\n",
                  "ExecStart= stands twice" },
                { "[Task a]\nMemoryMax=1M\n", "p:1:1: task \"a\" has no ExecStart=" },
                { "[Task a]\nExecStart=/bin/true\nAfter=b\n",
                  "After=b: this pipe has no such task" },
                { "[Task a]\nExecStart=/bin/true\nAfter=b\n[Task "
                  "b]\nExecStart=/bin/true\nAfter=a\n",
                  "in a circle" },
                { "[Task a]\nExecStart=/bin/true\n[Task a]\nExecStart=/bin/true\n",
                  "p:3:1: task \"a\" stands twice" },
                { "[Task A b]\nExecStart=/bin/true\n", "is no task name" },
                { "[Pipe]\n", "needs at least one" },
                { "[Pipe]\nType=streaming\n[Task a]\nExecStart=/bin/true\n",
                  "not supported by this release" },
                { "[Pipe]\nTyp=batch\n", "did you mean Type=?" },
                { "[Schedule x]\n", "[Schedule …] is not supported" },
                { "[Task a]\nRetry=3\n", "Retry= is not supported" },
                { "[Pipes]\n", "unknown section [Pipes]" },
                { "[Task a\n", "] is missing" },
                { "[Task a]\nExecStart=/bin/true\nEnvironment=SLUICE_RUN=1\n", "Sluice's own" },
                { "[Task a]\nExecStart=/bin/true\nCPUQuota=0%\n", "a percentage of one CPU" },
                { "[Task a]\nExecStart=/bin/true\nLoadCredential=a/b:/c\n", "ID:/absolute/path" },
                { "[Task a]\nExecStart=/bin/true\nWorkingDirectory=/a/../b\n", "without .." },
                { "\xff", "not UTF-8" },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                Pipe *p = NULL;
                Error e = {};

                ok_true(pipe_parse("p", bad[i].text, strlen(bad[i].text), &p, &e) < 0);
                ok_contains(e.detail, bad[i].words);
                ok_null(p);
        }
}

static void test_words(void) {
        _cleanup_(strv_freep) char **words = NULL;
        uint64_t n;
        bool relative;

        ok_int(words_split("a 'b c' \"d\\\"e\" f\\x41 ''", &words, NULL), 0);
        ok_int(strv_length(words), 5);
        ok_str(words[1], "b c");
        ok_str(words[2], "d\"e");
        ok_str(words[3], "fA");
        ok_str(words[4], "");
        ok_int(quota_parse("150%", &n), 0);
        ok_int(n, 1500000);
        ok_int(quota_parse("0.5%", &n), 0);
        ok_int(n, 5000);
        ok_int(limit_parse("50%", &n, &relative), 0);
        ok_true(relative);
        ok_int(limit_parse("101%", &n, &relative), -ERANGE);
}

int main(void) {
        RUN(test_normal_form);
        RUN(test_refuses_with_a_place);
        RUN(test_words);
        return tap_done();
}
