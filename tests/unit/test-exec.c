/* What agentd-exec makes of a request, and what the host's policy says to it. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "fileio.h"
#include "policy.h"
#include "spec.h"
#include "str.h"
#include "strv.h"
#include "../lib/tap.h"

#define ATTEMPT "0123456789abcdef0123456789abcde7"
#define RUN_ID "fedcba9876543210fedcba9876543210"

static const Policy open_policy = { .executables = (char *[]){ (char *) "*", NULL },
                                    .memory_max = UINT64_MAX };

static int build_as(bool streaming, const Policy *policy, char **pairs, UnitSpec *spec, Error *e) {
        StartRequest q = { .attempt = ATTEMPT,
                           .epoch = 2,
                           .run = RUN_ID,
                           .project = "default",
                           .pipe = "orders",
                           .task = "load",
                           .streaming = streaming,
                           .directives = pairs };

        return spec_build(&q, policy, spec, e);
}

static int build(const Policy *policy, char **pairs, UnitSpec *spec, Error *e) {
        return build_as(false, policy, pairs, spec, e);
}

#define D(...) ((char *[]){ __VA_ARGS__, NULL })

static void test_names_follow_the_attempt(void) {
        UnitSpec s = {};
        Error e = {};

        ok_int(build(&open_policy, D("ExecStart", "/bin/true"), &s, &e), 0);
        ok_str(s.unit, "sluice-" ATTEMPT ".service");
        ok_str(s.slice, "sluice-7-" ATTEMPT ".slice");
        ok_true(s.dynamic_user);
        ok_int(strlen(s.user) <= 31, 1); /* the longest name of a user */
        ok_true(strv_contains(s.environment, "SLUICE_EPOCH=2"));
        ok_true(strv_contains(s.environment, "SLUICE_WORKSPACE=/var/lib/sluice/runs/" RUN_ID));
        ok_int(s.sandbox, SANDBOX_STANDARD);
        spec_done(&s);
}

static void test_names_have_the_instance(void) {
        char *pairs[] = { "ExecStart", "/bin/true", NULL };
        StartRequest q = { .attempt = "blue-" ATTEMPT,
                           .run = RUN_ID,
                           .project = "p",
                           .pipe = "p",
                           .task = "t",
                           .deadline_usec = 1,
                           .directives = pairs };
        UnitSpec s = {};
        Error e = {};

        ok_int(spec_build(&q, &open_policy, &s, &e), 0);
        ok_str(s.unit, "sluice-blue-" ATTEMPT ".service");
        ok_str(s.slice, "sluice-blue-7-" ATTEMPT ".slice");
        ok_str(s.lease, "sluice-lease@blue.target");
        ok_true(strv_contains(s.environment, "SLUICE_WORKSPACE=/var/lib/sluice/runs.blue/" RUN_ID));
        spec_done(&s);
}

static void test_directives_become_numbers(void) {
        UnitSpec s = {};
        Error e = {};

        ok_int(build(&open_policy,
                     D("ExecStart", "/bin/sh -c \"exit 3\"", "MemoryMax", "64M", "CPUQuota", "150%",
                       "TasksMax", "9", "RuntimeMaxSec", "2min", "Environment", "A=1 \"B=2 3\""),
                     &s, &e),
               0);
        ok_int(s.memory_max, 64 << 20);
        ok_int(s.cpu_quota_usec, 1500000);
        ok_int(s.tasks_max, 9);
        ok_int(s.runtime_max_usec, 120000000);
        ok_int(strv_length(s.command.argv), 3);
        ok_str(s.command.argv[2], "exit 3");
        ok_true(strv_contains(s.environment, "B=2 3"));
        spec_done(&s);
}

static void test_nonsense_is_refused(void) {
        char *const *const bad[] = {
                D("MemoryMax", "64M"),
                D("ExecStart", "true"),
                D("ExecStart", "/bin/true", "ExecStart", "/bin/false"),
                D("ExecStart", "/bin/true", "MemoryMax", "0"),
                D("ExecStart", "/bin/true", "MemoryMax", "lots"),
                D("ExecStart", "/bin/true", "DeviceAllow", "/dev/sda rw"),
                D("ExecStart", "+/bin/true"),
                D("ExecStart", "/bin/../bin/true"),
                D("ExecStart", "/bin/true", "User", "a b"),
                D("ExecStart", "/bin/true", "LoadCredential", "x"),
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                UnitSpec s = {};
                Error e = {};

                ok_true(build(&open_policy, (char **) bad[i], &s, &e) < 0);
                ok_true(e.detail[0] != '\0');
                ok_null(s.unit);
        }
}

/* All of the table's, as PID 1 names them. */
static void test_a_service_is_supervised(void) {
        size_t rows = 0;
        UnitSpec s = {};
        Error e = {};

        for (const Directive *d = directives; d->name; d++)
                rows += d->streaming;
        ok_int(rows, SETTINGS_MAX);
        ok_int(build_as(true, &open_policy,
                        D("ExecStart", "/bin/true", "Restart", "always", "RestartSec", "0",
                          "StartLimitBurst", "3", "Type", "notify"),
                        &s, &e),
               0);
        ok_true(strv_contains(s.environment, "SLUICE_STREAMING=yes"));
        ok_int(s.n_settings, 4);
        ok_str(s.settings[0].word, "always");
        ok_str(s.settings[1].directive->property, "RestartUSec");
        ok_null(s.settings[1].word);
        ok_int(s.settings[1].number, 0);
        ok_int(s.settings[2].number, 3);
        ok_str(s.settings[3].directive->property, "Type");
        ok_true(!s.leave_success); /* or PID 1 would not restart it after a success */
        spec_done(&s);

        ok_int(build_as(true, &open_policy, D("ExecStart", "/bin/true", "Restart", "on-failure"),
                        &s, &e),
               0);
        ok_true(s.leave_success);
        spec_done(&s);
        ok_int(build(&open_policy, D("ExecStart", "/bin/true", "Restart", "always"), &s, &e),
               -EINVAL);
        ok_contains(e.detail, "Restart= is for streaming pipes only");
}

static void test_identifiers_are_checked(void) {
        static const char *const bad[] = { "",
                                           "x",
                                           "../../../../../../../../etc/passwd/x",
                                           "0123456789ABCDEF0123456789ABCDE7",
                                           ATTEMPT "0",
                                           "a-" ATTEMPT,
                                           "blue-x-" ATTEMPT,
                                           "Blue-" ATTEMPT,
                                           "-" ATTEMPT,
                                           "..-" ATTEMPT,
                                           "abcdefghijklmnopq-" ATTEMPT };
        char *name = NULL;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                ok_int(spec_unit_name(bad[i], &name), -EINVAL);
                ok_int(spec_slice_name(bad[i], &name), -EINVAL);
                ok_int(spec_state_directory(bad[i], &name), -EINVAL);
        }
        ok_null(name);
}

static void test_policy_has_the_last_word(void) {
        const Policy strict = {
                .executables = (char *[]){ (char *) "/usr/bin/tru*", (char *) "/bin/tru*", NULL },
                .credentials = (char *[]){ (char *) "/etc/sluice/credentials/*", NULL },
                .memory_max = 64 << 20
        };
        const struct {
                const char *word;
                char *const *directives;
        } refused[] = {
                { "env", D("ExecStart", "/usr/bin/env") },
                { "MemoryMax", D("ExecStart", "/bin/true", "MemoryMax", "65M") },
                { "MemoryMax", D("ExecStart", "/bin/true", "MemoryMax", "infinity") },
                { "root", D("ExecStart", "/bin/true", "User", "root") },
                { "none", D("ExecStart", "/bin/true", "SandboxProfile", "none") },
                { "/etc/shadow", D("ExecStart", "/bin/true", "LoadCredential", "x:/etc/shadow") },
        };
        UnitSpec s = {};
        Error e = {};

        for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
                ok_int(build(&strict, (char **) refused[i].directives, &s, &e), -EPERM);
                ok_contains(e.detail, refused[i].word);
        }
        ok_int(build(&strict, D("ExecStart", "/bin/true"), &s, &e), 0);
        ok_int(s.memory_max, 64 << 20); /* the cap, when nothing was asked */
        spec_done(&s);
}

/* What is executed counts, not what it is called. */
static void test_links_are_followed(void) {
        const Policy only_link = { .executables = (char *[]){ (char *) "/tmp/*", NULL },
                                   .memory_max = UINT64_MAX };
        char directory[] = "/tmp/sluice-test-exec-XXXXXX";
        _cleanup_(freep) char *link = NULL;
        UnitSpec s = {};
        Error e = {};

        if (!mkdtemp(directory))
                return;
        link = str_format("%s/innocent", directory);
        ok_int(symlink("/bin/sh", link), 0);
        ok_int(build(&only_link, D("ExecStart", link), &s, &e), -EPERM);
        (void) unlink(link);
        (void) rmdir(directory);
}

static void test_policy_of_others_allows_nothing(void) {
        char directory[] = "/tmp/sluice-test-exec-XXXXXX";
        _cleanup_(freep) char *path = NULL;
        Policy p = {};
        Error e = {};

        if (!mkdtemp(directory))
                return;
        path = str_format("%s/policy.conf", directory);
        ok_int(policy_load(path, &p, &e), 0); /* not there: the defaults */
        ok_int(policy_check_sandbox(&p, "none", &e), -EPERM);
        policy_done(&p);
        ok_int(file_write_atomic(path, "[Policy]\nAllowSandboxNone=yes\n", 30, 0666), 0);
        ok_int(policy_load(path, &p, &e), -EPERM);
        ok_contains(e.detail, "root's alone");
        (void) unlink(path);
        (void) rmdir(directory);
}

int main(void) {
        RUN(test_names_follow_the_attempt);
        RUN(test_names_have_the_instance);
        RUN(test_directives_become_numbers);
        RUN(test_nonsense_is_refused);
        RUN(test_a_service_is_supervised);
        RUN(test_identifiers_are_checked);
        RUN(test_policy_has_the_last_word);
        RUN(test_links_are_followed);
        RUN(test_policy_of_others_allows_nothing);
        return tap_done();
}
