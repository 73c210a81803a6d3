/* The pipe language: what it takes, what it refuses and where, and its normal form. */
#include <errno.h>
#include <stdio.h>

#include "../lib/tap.h"
#include "cleanup.h"
#include "directive.h"
#include "parameter.h"
#include "pattern.h"
#include "pipe.h"
#include "pipe-selector.h"
#include "str.h"
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

        ok_int(pipe_parse("p", good, strlen(good), &p, &e, NULL), 0);
        ok_str(e.detail, "");
        ok_int(pipe_to_json(p, &json), 0);
        ok_str(json, "{\"description\":\"Orders\",\"type\":\"batch\",\"agent_selector\":["
                     "{\"key\":\"region\",\"operator\":\"in\",\"values\":[\"eu-west\"]},"
                     "{\"key\":\"warehouse\",\"operator\":\"exists\",\"values\":[]}],\"concurrency_"
                     "policy\":\"allow\",\"delivery\":\"at-least-"
                     "once\",\"tasks\":["
                     "{\"name\":\"extract\",\"after\":[],\"directives\":[[\"ExecStart\",\"/usr/bin/"
                     "psql       -f 'a b.sql'\"],"
                     "[\"MemoryMax\",\"512M\"]]},{\"name\":\"load\",\"after\":[\"extract\"],"
                     "\"directives\":[[\"ExecStart\",\"/bin/true\"]]}]}");
        ok_int(pipe_from_json(json, strlen(json), &again, &e, NULL), 0);
        ok_int(pipe_to_json(again, &json2), 0);
        ok_str(json2, json);
        ok_int(pipe_version(p, version), 0);
        ok_int(pipe_version(again, version2), 0);
        ok_int(strlen(version), 16);
        ok_str(version, version2);
        ok_str(version, "8f43a01b25988891"); /* what the first release called it */
}

/* The selector of a pipe as its normal form; or the words of the refusal. */
static void selector_is(const char *value, const char *want) {
        _cleanup_(pipe_freep) Pipe *p = NULL;
        _cleanup_(freep) char *json = NULL;
        char text[512];
        Error e = {};

        (void) snprintf(text, sizeof(text),
                        "[Pipe]\nAgentSelector=%s\n[Task a]\nExecStart=/bin/true\n", value);
        if (pipe_parse("p", text, strlen(text), &p, &e, NULL) < 0) {
                ok_str(e.detail, want);
                return;
        }
        ok_int(pipe_to_json(p, &json), 0);
        ok_contains(json, want);
}

static void test_selectors(void) {
        selector_is("", "\"agent_selector\":[],");
        selector_is("a=b", "[{\"key\":\"a\",\"operator\":\"in\",\"values\":[\"b\"]}]");
        selector_is("a != b c", "[{\"key\":\"a\",\"operator\":\"notin\",\"values\":[\"b c\"]}]");
        selector_is("a = b , c", "\"values\":[\"b\"]},{\"key\":\"c\",");
        selector_is("a in ( b , c )", "\"values\":[\"b\",\"c\"]}]");
        selector_is("a in (c,b, c)",
                    "[{\"key\":\"a\",\"operator\":\"in\",\"values\":[\"b\",\"c\"]}]");
        selector_is("in notin(b)", "[{\"key\":\"in\",\"operator\":\"notin\",\"values\":[\"b\"]}]");
        selector_is("!a", "[{\"key\":\"a\",\"operator\":\"absent\",\"values\":[]}]");
        selector_is("b, , a ,b,", "[{\"key\":\"a\",\"operator\":\"exists\",\"values\":[]},"
                                  "{\"key\":\"b\",\"operator\":\"exists\",\"values\":[]}]");
        selector_is("a=c, a!=b, a=b", "[{\"key\":\"a\",\"operator\":\"in\",\"values\":[\"b\"]},"
                                      "{\"key\":\"a\",\"operator\":\"in\",\"values\":[\"c\"]},"
                                      "{\"key\":\"a\",\"operator\":\"notin\",\"values\":[\"b\"]}]");
        selector_is("a, b=", "p:2:20: AgentSelector=: a value is expected, and the line ends");
        selector_is("a b", "p:2:17: AgentSelector=: =, !=, in (...), notin (...) or a comma is "
                           "expected, not \"b\"");
        selector_is("a inn (b)",
                    "p:2:17: AgentSelector=: =, !=, in (...), notin (...) or a comma is "
                    "expected, not \"inn (b)\"");
        selector_is("a in b", "p:2:20: AgentSelector=: ( and values is expected, not \"b\"");
        selector_is("a in (b,)", "p:2:23: AgentSelector=: a value is expected, not \")\"");
        selector_is("a in (b", "p:2:22: AgentSelector=: , or ) is expected, and the line ends");
        selector_is("a in (b) c", "p:2:24: AgentSelector=: a comma is expected, not \"c\"");
        selector_is("!a=b", "p:2:17: AgentSelector=: a comma is expected, not \"=b\"");
        selector_is("a==b", "p:2:17: AgentSelector=: a value is expected, not \"=b\"");
        selector_is("a=(b)", "p:2:17: AgentSelector=: a value without parentheses is expected, not "
                             "\"(b)\"");
        selector_is("-a", "p:2:15: AgentSelector=: a label is expected, not \"-a\"");
}

static int from_json(const char *members, char **ret, Error *e) {
        _cleanup_(pipe_freep) Pipe *p = NULL;
        char json[1024];
        int r;

        (void) snprintf(json, sizeof(json),
                        "{%s,\"tasks\":[{\"name\":\"a\",\"directives\":[[\"ExecStart\",\"/bin/"
                        "true\"]]}]}",
                        members);
        r = pipe_from_json(json, strlen(json), &p, e, NULL);
        return r < 0 ? r : pipe_to_json(p, ret);
}

static void test_json_selectors(void) {
        static const struct {
                const char *members, *want;
                bool good;
        } cases[] = {
                { "\"agent_selector\":{\"b\":\"c\",\"a\":null}",
                  "[{\"key\":\"a\",\"operator\":\"exists\",\"values\":[]},"
                  "{\"key\":\"b\",\"operator\":\"in\",\"values\":[\"c\"]}]",
                  true },
                { "\"agent_selector\":[{\"key\":\"a\",\"operator\":\"notin\",\"values\":[\"\"]}]",
                  "\"values\":[\"\"]", true },
                { "\"priority\":-7,\"concurrency_key\":\"db\"",
                  "\"priority\":-7,\"concurrency_policy\":\"allow\",\"concurrency_limit\":1,"
                  "\"concurrency_key\":\"db\",",
                  true },
                { "\"priority\":0", "\"agent_selector\":[],\"concurrency_policy\"", true },
                { "\"agent_selector\":7", "", false },
                { "\"agent_selector\":{\"a b\":\"c\"}", "\"a b\" is no label", false },
                { "\"agent_selector\":{\"a\":1}", "", false },
                { "\"agent_selector\":[{\"key\":\"a\",\"operator\":\"near\"}]",
                  "\"near\" is no operator", false },
                { "\"agent_selector\":[{\"key\":\"a\",\"operator\":\"in\"}]",
                  "takes one value at least", false },
                { "\"agent_selector\":[{\"key\":\"a\",\"operator\":\"exists\",\"values\":[\"b\"]}]",
                  "takes no values", false },
                { "\"agent_selector\":[{\"key\":\"a\",\"operator\":\"exists\",\"more\":1}]", "more",
                  false },
                { "\"priority\":1001", "Priority=: a number from -1000 to 1000", false },
                { "\"priority\":\"1\"", "Priority=: a number", false },
                { "\"priority\":1.5", "Priority=: a number", false },
                { "\"concurrency_limit\":0", "ConcurrencyLimit=: a number from 1", false },
                { "\"concurrency_key\":\"a b\"", "ConcurrencyKey=: letters", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(freep) char *json = NULL;
                Error e = {};

                ok_int(from_json(cases[i].members, &json, &e) >= 0, cases[i].good);
                ok_contains(cases[i].good ? json : e.detail, cases[i].want);
        }
}

/* Neither the form of the selector nor words that a pipe does not use change what it is called. */
static void test_versions_stay(void) {
        static const char text[] = "[Pipe]\n%s[Task a]\nExecStart=/bin/true\n";
        static const struct {
                const char *lines, *version;
        } cases[] = {
                { "", "9051314fed7e6545" },
                { "AgentSelector=b=c, a\nPriority=0\n", "17e7b8705936531e" },
                { "AgentSelector=a, b in (c)\n", "17e7b8705936531e" },
                { "AgentSelector=a!=b\nPriority=007\n", "313f375b6e8afbda" },
                { "AgentSelector=a notin (b)\nPriority=7\n", "313f375b6e8afbda" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(pipe_freep) Pipe *p = NULL;
                char version[PIPE_VERSION_SIZE] = "", whole[256];
                Error e = {};

                (void) snprintf(whole, sizeof(whole), text, cases[i].lines);
                ok_int(pipe_parse("p", whole, strlen(whole), &p, &e, NULL), 0);
                ok_int(pipe_version(p, version), 0);
                ok_str(version, cases[i].version);
        }
}

#define STREAMING "[Pipe]\nType=streaming\n"
#define SERVICE "[Task a]\nExecStart=/bin/true\n"

typedef struct Bad {
        const char *text, *words;
} Bad;

static void refuses(const Bad *bad, size_t n) {
        for (size_t i = 0; i < n; i++) {
                Pipe *p = NULL;
                Error e = {};

                ok_true(pipe_parse("p", bad[i].text, strlen(bad[i].text), &p, &e, NULL) < 0);
                ok_contains(e.detail, bad[i].words);
                ok_null(p);
        }
}

static void test_refuses_with_a_place(void) {
        static const Bad bad[] = {
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
                  "task \"a\" waits for tasks that wait for it" },
                { "[Task a]\nExecStart=/bin/true\n[Task a]\nExecStart=/bin/true\n",
                  "p:3:1: task \"a\" stands twice" },
                { "[Task A b]\nExecStart=/bin/true\n", "is no task name" },
                { "[Pipe]\n", "needs at least one" },
                { "[Pipe]\n  Type=stream\n[Task a]\nExecStart=/bin/true\n",
                  "p:2:3: Type=stream is not one of batch, streaming" },
                { "[Pipe]\nConcurrencyPolicy=wait\n[Task a]\nExecStart=/bin/true\n",
                  "p:2:1: ConcurrencyPolicy=wait is not one of allow, forbid, queue, replace" },
                { "[Pipe]\nTyp=batch\n", "did you mean Type=?" },
                { "[Pipe]\nPriority=high\n", "p:2:1: Priority=: a number from -1000 to 1000 is" },
                { "[Pipe]\nPriority=--1\n", "Priority=: a number" },
                { "[Pipe]\nConcurrencyLimit=-1\n", "ConcurrencyLimit=: a number from 1" },
                { "[Pipe]\nConcurrencyKey=\n", "ConcurrencyKey=: letters" },
                { "[Task a]\nCron=@daily\n", "p:2:1: Cron= stands in [Schedule NAME]" },
                { "[Pipes]\n", "unknown section [Pipes]" },
                { "[Task a\n", "] is missing" },
                { "[Task a]\nExecStart=/bin/true\nEnvironment=SLUICE_RUN=1\n", "Sluice's own" },
                { "[Task a]\nExecStart=/bin/true\nCPUQuota=0%\n", "a percentage of one CPU" },
                { "[Service]\nExecStart=/bin/true\n",
                  "p:1:2: unknown section [Service]: what it says" },
                { "[Task]\nExecStart=/bin/true\n", "a task has a name: [Task NAME]" },
                { "[Pipe]\nUser=bob\n", "p:2:1: User= stands in [Task NAME]" },
                { "[Task a]\nExecStart=/bin/true\nDefault=1\n",
                  "Default= stands in [Parameter NAME]" },
                { "[Task two]\nExecStart=/bin/true\n[Task b]\nExecStart=/bin/true\nAfter=tow\n",
                  "no such task; did you mean two?" },
                { "[Task a]\nExecStart=/bin/echo ${a.rows}\n",
                  "a task cannot have its own output" },
                { "[Task a]\nExecStart=/bin/psql postgres://app:hunter2@db/x\n",
                  "p:2:1: ExecStart=: there is what looks like an address with a password" },
                { "[Task a]\nExecStart=/bin/true\nEnvironment=A=1 PGPASSWORD=x\n",
                  "p:3:1: Environment=: variable PGPASSWORD looks like the name of a secret" },
                { "[Task a]\nExecStart=/bin/date +%F\n", "write %%F for a % and F" },
                { "[Task a]\nExecStart=/bin/echo %i\n",
                  "p:2:1: ExecStart=: %i stands for nothing" },
                { "[Task a]\nExecStart=/bin/echo\nReadWritePaths=/srv/%H\n",
                  "p:3:1: ReadWritePaths=: specifiers are not replaced there" },
                { "[Task a]\nExecStart=/bin/true\nLoadCredential=a/b:/c\n", "ID:/absolute/path" },
                { "[Task a]\nExecStart=/bin/true\nWorkingDirectory=/a/../b\n", "without .." },
                { "\xff", "not UTF-8" },
        };

        refuses(bad, ELEMENTSOF(bad));
}

static void test_refuses_branches(void) {
        static const Bad bad[] = {
                { SERVICE "Retry=0\n", "p:3:1: Retry=: a number from 1 to 1000 is expected" },
                { SERVICE "Retry=1\nRetry=2\n", "p:4:1: Retry= stands twice" },
                { SERVICE "Retri=1\n", "did you mean Retry=?" },
                { SERVICE "AfterFailed=b\n", "did you mean AfterFailure=?" },
                { SERVICE "RetryOn=75\n", "p:3:1: RetryOn= goes with Retry= only" },
                { SERVICE "Retry=1\nRetryOn=75 sigterm\n",
                  "RetryOn=: \"sigterm\" is neither an exit status" },
                { SERVICE "Retry=1\nRetryOn=256\n", "RetryOn=: \"256\" is neither" },
                { SERVICE "Retry=1\nRetryBackoffSec=soon\n", "RetryBackoffSec=: a time span" },
                { SERVICE "Retry=1\nRetryBackoffSec=0\n", "RetryBackoffSec=: a time span" },
                { SERVICE "Retry=1\nRetryMaxBackoffSec=infinity\n",
                  "RetryMaxBackoffSec=: a time span" },
                { "[Pipe]\nDelivery=at-most-once\n" SERVICE "Retry=1\n",
                  "Retry= does not go with Delivery=at-most-once" },
                { STREAMING SERVICE "Retry=1\n", "Retry= does not go with Type=streaming" },
                { SERVICE "After=a\n", "After= of task \"a\" names itself" },
                { SERVICE "AfterAny=b\n", "AfterAny=b: this pipe has no such task" },
                { SERVICE "AfterFailure=b\n[Task b]\nExecStart=/bin/true\nAfterAny=a\n",
                  "p:1:1: task \"a\" waits for tasks that wait for it" },
                { SERVICE "[Task b]\nExecStart=/bin/true\nAfter=a\nAfterFailure=a\n",
                  "p:3:1: task \"b\" can never run" },
                { SERVICE "[Task b]\nExecStart=/bin/true\nAfterFailure=a\n"
                          "[Task c]\nExecStart=/bin/true\nAfter=b a\n",
                  "p:6:1: task \"c\" can never run" },
                { SERVICE "[Task b]\nExecStart=/bin/true\nAfter=a\n"
                          "[Task c]\nExecStart=/bin/true\nAfter=a b\nAfterFailure=a b\n",
                  "p:6:1: task \"c\" can never run" },
        };

        refuses(bad, ELEMENTSOF(bad));
}

/* Everything that is wrong is said, in the order of the lines, and nothing that only follows from it. */
static void test_all_at_once(void) {
        static const char text[] = "[Pipe]\n"
                                   "Typ=batch\n"
                                   "Priority=high\n"
                                   "[Task a]\n"
                                   "ExecStart=true\n"
                                   "  MemoryMx=1\n"
                                   "After=b\n"
                                   "[Tusk b]\n"
                                   "ExecStart=nothing is known of this\n"
                                   "[Task c]\n"
                                   "ExecStart=/bin/true\n"
                                   "ExecStart=/bin/false\n"
                                   "[Task d]\n"
                                   "CPUQuota=0\n";
        static const char json[] =
                "{\"priority\":\"x\",\"tasks\":[{\"name\":\"a\",\"after\":[\"z\"],"
                "\"directives\":[[\"ExecStart\",\"/bin/true\\n\"],[\"Nice\",\"x\"]]}]}";
        static const char *const lines[] = {
                "p:2:1: unknown key Typ= in [Pipe]; did you mean Type=?",
                "p:3:1: Priority=: a number from -1000 to 1000 is expected",
                "p:5:1: ExecStart=: \"true\" is not an absolute path",
                "p:6:3: MemoryMx= is not allowed in [Task]; did you mean MemoryMax=?",
                "p:8:2: unknown section [Tusk]; there are [Pipe], [Parameter NAME], [Schedule "
                "NAME] and "
                "[Task NAME]",
                "p:12:1: ExecStart= stands twice",
                "p:13:1: task \"d\" has no ExecStart=",
                "p:14:1: CPUQuota=: ",
        };
        _cleanup_(strv_freep) char **all = NULL, **of_json = NULL;
        Pipe *p = NULL;
        Error e = {};

        ok_int(pipe_parse("p", text, strlen(text), &p, &e, &all), -EINVAL);
        ok_int(strv_length(all), ELEMENTSOF(lines));
        for (size_t i = 0; i < ELEMENTSOF(lines) && i < strv_length(all); i++)
                ok_contains(all[i], lines[i]);
        ok_contains(e.detail, lines[0]);
        ok_int(pipe_from_json(json, strlen(json), &p, &e, &of_json), -EINVAL);
        ok_int(strv_length(of_json), 4);
        ok_contains(of_json[0], "Priority=: a number");
        ok_contains(of_json[1], "task \"a\": ExecStart=: a line break");
        ok_contains(of_json[2], "task \"a\": Nice=: ");
        ok_contains(of_json[3], "task \"a\": After=z: this pipe has no such task");
}

/* There is an end to it, in what is said and in the time that it takes. */
static void test_many_mistakes(void) {
        _cleanup_(strv_freep) char **all = NULL;
        Pipe *p = NULL;
        Buffer b = {};
        Error e = {};

        ok_int(buffer_append_str(&b, "[Task a]\n"), 0);
        for (unsigned i = 0; i < 10000; i++)
                (void) buffer_printf(&b, "Wrong%u=1\n", i);
        ok_int(pipe_parse("p", b.data, b.size, &p, &e, &all), -EINVAL);
        ok_int(strv_length(all), PIPE_COMPLAINTS_MAX + 1);
        ok_contains(all[PIPE_COMPLAINTS_MAX], "more");
        buffer_done(&b);
}

static void test_text(void) {
        static const char untidy[] =
                "[Task a]\nAfter=b,c\nAfter= d\n# a comment\n"
                "ExecStart=/bin/echo a \\\n  b\nRetry=007\n"
                "[Pipe]\n AgentSelector = b!=c , !a\n"
                "[Task b]\nExecStart=/b\n[Task c]\nExecStart=/c\n[Task d]\nExecStart=/d\n";
        static const char tidy[] =
                "[Pipe]\nAgentSelector=!a, b notin (c)\n"
                "\n[Task a]\nAfter=b c d\nRetry=7\nExecStart=/bin/echo a    b\n"
                "\n[Task b]\nExecStart=/b\n\n[Task c]\nExecStart=/c\n\n[Task d]\nExecStart=/d\n";
        _cleanup_(freep) char *text = NULL;
        _cleanup_(pipe_freep) Pipe *p = NULL;
        Error e = {};

        ok_int(pipe_parse("p", untidy, strlen(untidy), &p, &e, NULL), 0);
        ok_str(e.detail, "");
        ok_int(pipe_to_text(p, &text, &e), 0);
        ok_str(text, tidy);
}

/* What PID 1 shall do about a service makes no sense for a task that ends, and the other way round. */
static void test_streaming_words(void) {
        static const struct {
                const char *text, *words; /* NULL: it is fine */
        } cases[] = {
                { STREAMING SERVICE
                  "Type=notify\nNotifyAccess=all\nRestart=always\nRestartSec=0\nWatchdogSec=30s\n"
                  "StartLimitIntervalSec=0\nStartLimitBurst=7\nTimeoutStartSec=2min\n",
                  NULL },
                { "[Pipe]\nType=streaming\nOverlap=brief\nOnAgentLoss=retry\n" SERVICE, NULL },
                { SERVICE "[Pipe]\nType=streaming\n", NULL },
                { SERVICE "  Restart=always\n", "p:3:3: Restart= goes with Type=streaming only" },
                { SERVICE "RestartSec=1\n[Pipe]\nType=batch\n",
                  "p:3:1: RestartSec= goes with Type=streaming only" },
                { SERVICE "WatchdogSec=1\n", "p:3:1: WatchdogSec= goes with" },
                { SERVICE "StartLimitBurst=1\n", "p:3:1: StartLimitBurst= goes with" },
                { SERVICE "StartLimitIntervalSec=1\n", "p:3:1: StartLimitIntervalSec= goes with" },
                { SERVICE "Type=notify\n", "p:3:1: Type= goes with" },
                { SERVICE "NotifyAccess=all\n", "p:3:1: NotifyAccess= goes with" },
                { SERVICE "TimeoutStartSec=1\n", "p:3:1: TimeoutStartSec= goes with" },
                { "[Pipe]\nOverlap=no\n" SERVICE, "p:2:1: Overlap= goes with Type=streaming" },
                { STREAMING "Overlap=long\n" SERVICE,
                  "p:3:1: Overlap=long is not one of no, brief" },
                { STREAMING "ConcurrencyLimit=1\n" SERVICE,
                  "p:3:1: ConcurrencyLimit= does not go" },
                { STREAMING "ConcurrencyKey=x\n" SERVICE, "p:3:1: ConcurrencyKey= does not go" },
                { STREAMING "Delivery=at-most-once\n" SERVICE, "p:3:1: Delivery= does not go" },
                { STREAMING SERVICE "[Task b]\nExecStart=/bin/true\n",
                  "p:5:1: a streaming pipe has one task" },
                { STREAMING SERVICE "Restart=sometimes\n",
                  "p:5:1: Restart=: one of no, on-success, on-failure, on-abnormal, on-watchdog, "
                  "on-abort, always is expected" },
                { STREAMING SERVICE "Type=forking\n", "p:5:1: Type=: one of exec, notify is" },
                { STREAMING SERVICE "RestartSec=soon\n",
                  "p:5:1: RestartSec=: a time span such as" },
                { STREAMING SERVICE "WatchdogSec=0\n", "p:5:1: WatchdogSec=: a time span" },
                { STREAMING SERVICE "StartLimitBurst=0\n",
                  "p:5:1: StartLimitBurst=: a number from 1 to 1000000" },
                { STREAMING SERVICE "Restart=no\nRestart=no\n", "p:6:1: Restart= stands twice" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(pipe_freep) Pipe *p = NULL;
                Error e = {};

                ok_int(pipe_parse("p", cases[i].text, strlen(cases[i].text), &p, &e, NULL) >= 0,
                       !cases[i].words);
                ok_contains(cases[i].words ? e.detail : "", cases[i].words ? cases[i].words : "");
        }
}

/* The members that the words of a task become, in the order of the normal form; and those that are possible. */
static void test_branches_and_tries(void) {
        static const char text[] =
                SERVICE "[Task b]\nExecStart=/bin/true\nAfter=a\nRetry=03\nRetryBackoffSec=30s\n"
                        "RetryMaxBackoffSec=1h\nRetryOn=75, oom-kill\n"
                        "[Task c]\nExecStart=/bin/true\nAfter=x\nAfter=\nAfterFailure=a b\n"
                        "[Task d]\nExecStart=/bin/true\nAfterAny=b,c\nAfterFailure=b\nAfter=a\n";
        _cleanup_(freep) char *json = NULL, *again = NULL;
        _cleanup_(pipe_freep) Pipe *p = NULL, *q = NULL;
        Error e = {};

        ok_int(pipe_parse("p", text, strlen(text), &p, &e, NULL), 0);
        ok_str(e.detail, "");
        ok_int(pipe_to_json(p, &json), 0);
        ok_contains(json, "{\"name\":\"b\",\"after\":[\"a\"],\"retry\":3,"
                          "\"retry_backoff_sec\":\"30s\",\"retry_max_backoff_sec\":\"1h\","
                          "\"retry_on\":[\"75\",\"oom-kill\"],\"directives\"");
        ok_contains(json, "{\"name\":\"c\",\"after\":[],\"after_failure\":[\"a\",\"b\"],\"dir");
        ok_contains(json, "{\"name\":\"d\",\"after\":[\"a\"],\"after_failure\":[\"b\"],"
                          "\"after_any\":[\"b\",\"c\"],\"dir");
        ok_int(pipe_from_json(json, strlen(json), &q, &e, NULL), 0);
        ok_int(pipe_to_json(q, &again), 0);
        ok_str(again, json);
}

static void test_tasks_are_placed_apart(void) {
        static const char text[] =
                "[Pipe]\nAgentSelector=a\n" SERVICE
                "[Task b]\nAgentSelector=z=1, b in (c, d)\nExecStart=/bin/true\n"
                "[Task c]\nRunOnAllSuccess=50%\nRunOnAllBatch=2\nRunOnAll=e\nExecStart=/bin/true\n";
        static const struct {
                const char *text, *words;
        } wrong[] = {
                { SERVICE "AgentSelector=\n", "p:3:1: AgentSelector=: a label is expected" },
                { SERVICE "AgentSelector=a b\n", "p:3:17: AgentSelector=: =, !=, in (...)" },
                { SERVICE "AgentSelector=a\nAgentSelector=b\n",
                  "p:4:1: AgentSelector= stands twice" },
                { SERVICE "AgentSelecter=a\n", "did you mean AgentSelector=?" },
                { STREAMING SERVICE "AgentSelector=a\n",
                  "p:5:1: AgentSelector= of a task does not go with Type=streaming" },
                { SERVICE "AgentSelector=a\nEnvironment=A=1 W=${SLUICE_WORKSPACE}/x\n",
                  "p:4:1: Environment=: a task with AgentSelector= has no $SLUICE_WORKSPACE" },
                { "[Task a]\nAgentSelector=a\nExecStart=/bin/sh -c \"ls $$SLUICE_WORKSPACE\"\n",
                  "p:3:1: ExecStart=: a task with AgentSelector= has no $SLUICE_WORKSPACE" },
                { SERVICE "RunOnAll=\n", "p:3:1: RunOnAll=: a label is expected" },
                { SERVICE "RunOnAll=a\nAgentSelector=a\n",
                  "p:4:1: AgentSelector= and RunOnAll= do not go together" },
                { SERVICE "RunOnAllBatch=2\n", "p:3:1: RunOnAllBatch= goes with RunOnAll= only" },
                { SERVICE "RunOnAll=a\nRunOnAllBatch=0\n",
                  "p:4:1: RunOnAllBatch=: a number such as 3 or a percentage such as 25% is" },
                { SERVICE "RunOnAll=a\nRunOnAllBatch=101%\n", "p:4:1: RunOnAllBatch=: a number" },
                { SERVICE "RunOnAll=a\nRunOnAllBatch=10000\n", "p:4:1: RunOnAllBatch=: a number" },
                { SERVICE "RunOnAll=a\nRunOnAllSuccess=80\n",
                  "p:4:1: RunOnAllSuccess=: a percentage such as 80% is expected" },
                { SERVICE "RunOnAll=a\nRunOnAllSuccess=0%\n", "p:4:1: RunOnAllSuccess=: a per" },
                { SERVICE "RunOnAll=a\nRunOnAllBatch=9999\nRunOnAllSuccess=100%\n", NULL },
                { SERVICE "RunOnAll=a\nRunOnAllBatch=99%\nRunOnAllSuccess=1%\n", NULL },
                { SERVICE "RunOnAll=a\nEnvironment=A=${SLUICE_WORKSPACE}\n",
                  "a task with RunOnAll= has no $SLUICE_WORKSPACE" },
                { STREAMING SERVICE "RunOnAll=a\n",
                  "p:5:1: RunOnAll= of a task does not go with Type=streaming" },
                { SERVICE "RunOnAl=a\n", "did you mean RunOnAll=?" },
                { SERVICE "RunOnAll=a\n[Task b]\nAfter=a\nExecStart=/bin/b ${a.KEY}\n",
                  "p:6:1: ExecStart=: ${a.KEY}: task \"a\" is done on many hosts, so it has no" },
                { SERVICE "AgentSelector=a\nEnvironment=A=SLUICE_WORKSPACE B=$SLUICE_WORKSPACES\n",
                  NULL },
        };
        _cleanup_(freep) char *json = NULL, *again = NULL, *plain = NULL;
        _cleanup_(pipe_freep) Pipe *p = NULL, *q = NULL, *r = NULL;
        Error e = {};

        ok_int(pipe_parse("p", text, strlen(text), &p, &e, NULL), 0);
        ok_str(e.detail, "");
        ok_int(pipe_task_is_apart(p, 0), false);
        ok_int(pipe_task_is_apart(p, 1), true);
        ok_int(pipe_to_json(p, &json), 0);
        ok_contains(json, "{\"name\":\"b\",\"after\":[],\"agent_selector\":[{\"key\":\"b\","
                          "\"operator\":\"in\",\"values\":[\"c\",\"d\"]},{\"key\":\"z\","
                          "\"operator\":\"in\",\"values\":[\"1\"]}],\"directives\"");
        ok_contains(json,
                    "{\"name\":\"c\",\"after\":[],\"run_on_all\":[{\"key\":\"e\",\"operator\":"
                    "\"exists\",\"values\":[]}],\"run_on_all_batch\":\"2\","
                    "\"run_on_all_success\":\"50%\",\"directives\"");
        ok_int(pipe_task_is_apart(p, 2), true);
        ok_int(pipe_from_json(json, strlen(json), &q, &e, NULL), 0);
        ok_int(pipe_to_text(q, &plain, &e), 0);
        ok_contains(plain, "\n[Task c]\nRunOnAll=e\nRunOnAllBatch=2\nRunOnAllSuccess=50%\nExec");
        ok_contains(plain,
                    "\n[Task b]\nAgentSelector=b in (c, d), z in (1)\nExecStart=/bin/true\n");
        ok_int(pipe_parse("p", plain, strlen(plain), &r, &e, NULL), 0);
        ok_int(pipe_to_json(r, &again), 0);
        ok_str(again, json);
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                _cleanup_(pipe_freep) Pipe *w = NULL;
                Error why = {};

                ok_int(pipe_parse("p", wrong[i].text, strlen(wrong[i].text), &w, &why, NULL) < 0,
                       wrong[i].words != NULL);
                ok_contains(wrong[i].words ? why.detail : "", wrong[i].words ? wrong[i].words : "");
        }
}

static void test_streaming_form(void) {
        static const char text[] = "[Pipe]\nType=streaming\nOverlap=brief\n[Task "
                                   "a]\nExecStart=/bin/true\nRestart=always\n";
        _cleanup_(freep) char *json = NULL, *again = NULL;
        _cleanup_(pipe_freep) Pipe *p = NULL, *q = NULL;
        Error e = {};

        ok_int(pipe_parse("p", text, strlen(text), &p, &e, NULL), 0);
        ok_int(pipe_to_json(p, &json), 0);
        ok_contains(json, "\"type\":\"streaming\",");
        ok_contains(json, "\"overlap\":\"brief\",");
        ok_contains(json, "[\"Restart\",\"always\"]");
        ok_int(pipe_from_json(json, strlen(json), &q, &e, NULL), 0);
        ok_int(pipe_to_json(q, &again), 0);
        ok_str(again, json);
        ok_int(from_json("\"overlap\":\"no\"", &again, &e) < 0, 1);
        ok_contains(e.detail, "Overlap= goes with Type=streaming only");
}

static int is_parameter_name(const char *name) {
        return parameter_name_ok(name, strlen(name)) ? 0 : -EINVAL;
}

static int is_label(const char *name) {
        return label_name_ok(name) ? 0 : -EINVAL;
}

/* For how many names of the length, which differ in the last two letters, the pattern and the function differ. */
static unsigned differences(const Pattern *pattern, int (*check)(const char *name), size_t length) {
        char name[66] = "";
        unsigned n = 0;

        (void) memset(name, 'a', length);
        for (unsigned i = 0; i < 128 * 128; i++) {
                name[length - 1] = (char) (i % 128);
                if (length > 1)
                        name[length - 2] = (char) (i / 128);
                n += pattern_match(pattern, name) != (check(name) == 0);
        }
        return n;
}

/* docs/pipe.schema.json has patterns where the parser has functions. */
static void test_patterns_of_names(void) {
        static const struct {
                const char *pattern;
                int (*check)(const char *name);
        } rows[] = {
                { PIPE_NAME_PATTERN, pipe_name_check },
                { PARAMETER_NAME_PATTERN, is_parameter_name },
                { LABEL_NAME_PATTERN, is_label },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_(pattern_freep) Pattern *pattern = NULL;
                Error e = {};

                ok_int(pattern_compile(rows[i].pattern, &pattern, &e), 0);
                ok_int(differences(pattern, rows[i].check, 1), 0);
                ok_int(differences(pattern, rows[i].check, 2), 0);
                ok_int(differences(pattern, rows[i].check, 63), 0);
                ok_int(differences(pattern, rows[i].check, 64), 0);
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
        RUN(test_selectors);
        RUN(test_json_selectors);
        RUN(test_versions_stay);
        RUN(test_refuses_with_a_place);
        RUN(test_refuses_branches);
        RUN(test_all_at_once);
        RUN(test_many_mistakes);
        RUN(test_text);
        RUN(test_streaming_words);
        RUN(test_branches_and_tries);
        RUN(test_tasks_are_placed_apart);
        RUN(test_streaming_form);
        RUN(test_patterns_of_names);
        RUN(test_words);
        return tap_done();
}
