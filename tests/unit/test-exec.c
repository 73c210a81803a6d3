/* What agentd-exec makes of a request, and what the host's policy says to it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fileio.h"
#include "output-file.h"
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

/* What a schedule says stands among the directives; nothing else of ours can be said there. */
static void test_variables_of_a_schedule(void) {
        static const struct {
                const char *name, *value, *words;
        } bad[] = {
                { "SLUICE_RUN", "x", "does not know the variable SLUICE_RUN" },
                { "SLUICE_SCHEDULED_AT", "", "The value of SLUICE_SCHEDULED_AT is not valid" },
                { "SLUICE_SCHEDULED_AT", "a b", "is not valid" },
                { "SLUICE_SCHEDULED_AT", "2024-03-31T01:00:00Z\nX=1", "is not valid" },
        };
        UnitSpec s = {};
        Error e = {};

        ok_int(build(&open_policy,
                     D("SLUICE_SCHEDULED_AT_LOCAL", "2024-03-31T02:00:00+01:00",
                       "SLUICE_CAUSED_BY_PIPE", "orders", "ExecStart", "/bin/true"),
                     &s, &e),
               0);
        ok_true(strv_contains(s.environment,
                              "SLUICE_SCHEDULED_AT_LOCAL=2024-03-31T02:00:00+01:00"));
        ok_true(strv_contains(s.environment, "SLUICE_CAUSED_BY_PIPE=orders"));
        ok_int(s.properties.error, 0);
        spec_done(&s);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                ok_int(build(&open_policy,
                             D((char *) bad[i].name, (char *) bad[i].value, "ExecStart",
                               "/bin/true"),
                             &s, &e),
                       -EINVAL);
                ok_contains(e.detail, bad[i].words);
        }
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

/* What PID 1 is told in the end: the number of the last property of that name. */
static uint64_t number_of(const UnitSpec *s, const char *property) {
        const Atom *atom = atoms_find(&s->properties, property);

        return atom ? atom->number : UINT64_C(0xbad);
}

static const char *text_of(const UnitSpec *s, const char *property) {
        const Atom *atom = atoms_find(&s->properties, property);

        return atom ? atom->text : NULL;
}

/* The texts among the values of the last property of that name, with blanks between. */
static char *texts_of(const UnitSpec *s, const char *property) {
        Buffer all = {};
        char *text = NULL;

        for (size_t i = 0; i < s->properties.count; i = atoms_next(&s->properties, i)) {
                if (!str_eq(s->properties.items[i].text, property))
                        continue;
                buffer_done(&all);
                for (size_t k = i + 2; k < atoms_next(&s->properties, i); k++)
                        if (s->properties.items[k].text)
                                (void) buffer_printf(&all, "%s|", s->properties.items[k].text);
        }
        (void) buffer_take(&all, &text);
        return text;
}

static void test_directives_become_properties(void) {
        _cleanup_(freep) char *command = NULL, *environment = NULL;
        UnitSpec s = {};
        Error e = {};

        ok_int(build(&open_policy,
                     D("ExecStart", "/bin/sh -c \"exit 3\"", "MemoryMax", "64M", "CPUQuota", "150%",
                       "TasksMax", "9", "RuntimeMaxSec", "2min", "Environment", "A=1 \"B=2 3\""),
                     &s, &e),
               0);
        ok_int(s.memory_max, 64 << 20);
        ok_null(text_of(&s, "MemoryMax")); /* the policy has its say first */
        ok_int(number_of(&s, "CPUQuotaPerSecUSec"), 1500000);
        ok_int(number_of(&s, "TasksMax"), 9);
        ok_int(number_of(&s, "RuntimeMaxUSec"), 120000000);
        command = texts_of(&s, "ExecStart");
        ok_contains(command, "sh|/bin/sh|-c|exit 3|");
        ok_contains(command, s.executable);
        environment = texts_of(&s, "Environment");
        ok_str(environment, "A=1|B=2 3|");
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

/* As PID 1 names them. */
static void test_a_service_is_supervised(void) {
        UnitSpec s = {};
        Error e = {};

        ok_int(build_as(true, &open_policy,
                        D("ExecStart", "/bin/true", "Restart", "always", "RestartSec", "0",
                          "StartLimitBurst", "3", "Type", "notify"),
                        &s, &e),
               0);
        ok_true(strv_contains(s.environment, "SLUICE_STREAMING=yes"));
        ok_str(text_of(&s, "Restart"), "always");
        ok_int(number_of(&s, "RestartUSec"), 0);
        ok_int(number_of(&s, "StartLimitBurst"), 3);
        ok_str(text_of(&s, "Type"), "notify");
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
        for (const Directive *d = directives; d->name; d++) {
                if (!d->streaming)
                        continue;
                ok_int(build(&open_policy, D("ExecStart", "/bin/true", (char *) d->name, "1"), &s,
                             &e),
                       -EINVAL);
                ok_contains(e.detail, "is for streaming pipes only");
        }
}

/* Dangerous whatever the sandbox; less than the sandbox; and what is neither. */
static const struct {
        const char *name, *value, *profile;
        bool by_default, by_some;
} dangers[] = {
        { "DeviceAllow", "/dev/sda rw", NULL, false, true },
        { "DeviceAllow", "", NULL, true, true },
        { "Nice", "-5", NULL, false, true },
        { "Nice", "5", NULL, true, true },
        { "OOMScoreAdjust", "-1", NULL, false, false },
        { "OOMScoreAdjust", "500", NULL, true, true },
        { "BindPaths", "/root", NULL, false, false },
        { "EnvironmentFile", "/etc/shadow", NULL, false, false },
        { "EnvironmentFile", "-/etc/shadow", NULL, false, false },
        { "PassEnvironment", "PATH", NULL, false, false },
        { "AmbientCapabilities", "CAP_SYS_ADMIN", NULL, false, false },
        { "AmbientCapabilities", "~CAP_SYS_ADMIN", NULL, false, false },
        { "Group", "disk", NULL, false, false },
        { "SupplementaryGroups", "disk", NULL, false, false },
        { "StandardOutput", "file:/etc/passwd", NULL, false, false },
        { "StandardOutput", "append:/etc/passwd", NULL, false, false },
        { "StandardError", "null", NULL, true, true },
        { "CPUSchedulingPolicy", "fifo", NULL, false, false },
        { "CPUSchedulingPolicy", "1", NULL, false, false },
        { "CPUSchedulingPolicy", "idle", NULL, true, true },
        { "IOSchedulingClass", "realtime", NULL, false, false },
        { "IPAddressAllow", "any", NULL, false, false },
        { "IPAddressDeny", "any", NULL, true, true },
        { "LimitRTPRIO", "99", NULL, false, false },
        { "KeyringMode", "shared", NULL, false, false },
        { "RootDirectory", "/", NULL, false, false },
        { "CacheDirectory", "private", NULL, false, false },
        /* of the profiles */
        { "ProtectHome", "no", NULL, false, true },
        { "ProtectHome", "read-only", NULL, false, true },
        { "ProtectHome", "yes", NULL, true, true },
        { "ProtectSystem", "full", NULL, false, false },
        { "ProtectSystem", "strict", NULL, true, true },
        { "PrivateDevices", "no", NULL, false, false },
        { "PrivateDevices", "no", "none", false, true },
        { "PrivateDevices", "on", NULL, true, true },
        { "NoNewPrivileges", "0", NULL, false, false },
        { "CapabilityBoundingSet", "CAP_NET_RAW", NULL, false, false },
        { "CapabilityBoundingSet", "~CAP_NET_RAW", NULL, true, true },
        { "CapabilityBoundingSet", "~", NULL, false, false },
        { "CapabilityBoundingSet", "", NULL, true, true },
        { "SystemCallArchitectures", "native", NULL, true, true },
        { "SystemCallArchitectures", "x86", NULL, false, false },
        { "SystemCallArchitectures", "", NULL, false, false },
        { "SystemCallFilter", "@mount", NULL, true, true },
        { "SystemCallFilter", "@mount", "strict", false, false },
        { "SystemCallFilter", "", "strict", false, false },
        { "SystemCallFilter", "~@mount", "strict", true, true },
        { "RestrictAddressFamilies", "none", "strict", false, false },
        { "RestrictAddressFamilies", "AF_PACKET", "strict", false, false },
        { "RestrictAddressFamilies", "~AF_INET", "strict", true, true },
        { "RestrictNamespaces", "no", "strict", false, false },
        { "RestrictNamespaces", "", "strict", false, false },
        { "RestrictNamespaces", "user", "strict", false, false },
        { "RestrictNamespaces", "~user", "strict", true, true },
        { "ProtectProc", "noaccess", "strict", false, false },
        { "ProtectProc", "ptraceable", "strict", true, true },
        { "ProcSubset", "all", "strict", false, false },
        { "MemoryDenyWriteExecute", "no", "strict", false, false },
        { "MemoryDenyWriteExecute", "no", NULL, true, true },
};

static void test_dangerous_directives_need_the_policy(void) {
        const Policy some = { .executables = (char *[]){ (char *) "*", NULL },
                              .directives = (char *[]){ (char *) "Device*", (char *) "Nice",
                                                        (char *) "ProtectHome", NULL },
                              .users = (char *[]){ (char *) "etl", NULL },
                              .sandbox_none = true,
                              .memory_max = UINT64_MAX };

        for (size_t i = 0; i < ELEMENTSOF(dangers); i++)
                for (int by = 0; by < 2; by++) {
                        UnitSpec s = {};
                        Error e = {};
                        bool good = by ? dangers[i].by_some : dangers[i].by_default;
                        char *pairs[] = { "ExecStart",
                                          "/bin/true",
                                          (char *) dangers[i].name,
                                          (char *) dangers[i].value,
                                          (char *) (dangers[i].profile ? "SandboxProfile" : NULL),
                                          (char *) dangers[i].profile,
                                          NULL };

                        ok_int(build(by ? &some : &open_policy, pairs, &s, &e), good ? 0 : -EPERM);
                        ok_contains(e.detail, good ? "" : "policy");
                        spec_done(&s);
                }
}

static void test_lists_add_up(void) {
        const Policy all = { .executables = (char *[]){ (char *) "*", NULL },
                             .directives = (char *[]){ (char *) "*", NULL },
                             .sandbox_none = true,
                             .memory_max = UINT64_MAX };
        _cleanup_(freep) char *environment = NULL;
        UnitSpec s = {};
        Error e = {};

        ok_int(build(&all,
                     D("ExecStart", "/bin/true", "SandboxProfile", "none", "CapabilityBoundingSet",
                       "CAP_CHOWN CAP_KILL", "CapabilityBoundingSet", "CAP_FOWNER",
                       "CapabilityBoundingSet", "~CAP_KILL", "AmbientCapabilities", "CAP_KILL",
                       "AmbientCapabilities", "", "RestrictNamespaces", "net", "RestrictNamespaces",
                       "user", "CPUAffinity", "0-1", "CPUAffinity", "9", "AllowedCPUs", "3",
                       "AllowedCPUs", "", "Environment", "A=1", "Environment", "B=50%"),
                     &s, &e),
               0);
        ok_str(e.detail, "");
        ok_int(number_of(&s, "CapabilityBoundingSet"), 1 << 0 | 1 << 3);
        ok_int(number_of(&s, "AmbientCapabilities"), 0);
        ok_int(number_of(&s, "RestrictNamespaces"), 0x50000000);
        ok_int(number_of(&s, "CPUAffinity"), 2); /* bytes */
        ok_int(text_of(&s, "CPUAffinity")[0], 3);
        ok_int(text_of(&s, "CPUAffinity")[1], 2);
        ok_int(number_of(&s, "AllowedCPUs"), 0);
        environment = texts_of(&s, "Environment");
        ok_str(environment, "B=50%|"); /* PID 1 adds them up */
        ok_true(strv_contains(s.environment, "SLUICE_EPOCH=2"));
        spec_done(&s);
}

/* Every command that would be executed, not only the first. */
static void test_all_commands_are_looked_at(void) {
        static const char *const names[] = { "ExecCondition", "ExecStartPre", "ExecStartPost" };
        const Policy only = { .executables = (char *[]){ (char *) "*/tru*", NULL },
                              .memory_max = UINT64_MAX };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                UnitSpec s = {};
                Error e = {};
                char *name = (char *) names[i];

                ok_int(build(&only, D("ExecStart", "/bin/true", name, "/bin/true", name, "/bin/sh"),
                             &s, &e),
                       -EPERM);
                ok_contains(e.detail, "AllowExecutables=");
                ok_int(build(&only, D("ExecStart", "/bin/true", name, "/x/../bin/true"), &s, &e),
                       -EPERM);
                ok_int(build(&only, D("ExecStart", "/bin/true", name, "-/bin/true"), &s, &e), 0);
                spec_done(&s);
        }
}

static void test_old_hosts_say_so(void) {
        char *pairs[] = { "ExecStart", "/bin/true", "MemoryZSwapMax", "1M", NULL };
        StartRequest q = { .attempt = ATTEMPT,
                           .run = RUN_ID,
                           .project = "p",
                           .pipe = "p",
                           .task = "t",
                           .systemd = 252,
                           .directives = pairs };
        UnitSpec s = {};
        Error e = {};

        ok_int(spec_build(&q, &open_policy, &s, &e), -EINVAL);
        ok_str(e.detail, "MemoryZSwapMax= needs systemd 253, and this host has 252.");
        q.systemd = 253;
        ok_int(spec_build(&q, &open_policy, &s, &e), 0);
        spec_done(&s);
}

/* What the control plane counts on when it gives up a host. */
static void test_a_fenced_task_stops_in_time(void) {
        char *pairs[] = { "ExecStart", "/bin/true", "TimeoutAbortSec", "91s", NULL };
        StartRequest q = { .attempt = ATTEMPT,
                           .run = RUN_ID,
                           .project = "p",
                           .pipe = "p",
                           .task = "t",
                           .deadline_usec = 1,
                           .directives = pairs };
        UnitSpec s = {};
        Error e = {};

        ok_int(spec_build(&q, &open_policy, &s, &e), -EINVAL);
        ok_contains(e.detail, "TimeoutAbortSec= is longer");
        q.deadline_usec = 0;
        ok_int(spec_build(&q, &open_policy, &s, &e), 0);
        spec_done(&s);
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
        const Policy every = { .executables = (char *[]){ (char *) "*", NULL },
                               .memory_max = UINT64_MAX };
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
        ok_int(build(&every, D("ExecStart", link), &s, &e), 0);
        ok_str(s.executable, link); /* where the file is may be slow to say */
        spec_done(&s);
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

static void test_parameters_reach_the_environment(void) {
        UnitSpec s = {};
        Error e = {};

        ok_int(build(&open_policy,
                     D("ExecStart", "/bin/true", "Parameter", "day=a \n$b", "Parameter", "n_1="),
                     &s, &e),
               0);
        ok_true(strv_contains(s.environment, "SLUICE_PARAM_DAY=a \n$b"));
        ok_true(strv_contains(s.environment, "SLUICE_PARAM_N_1="));
        ok_true(strv_contains(s.environment,
                              "SLUICE_OUTPUT=/var/lib/sluice/runs/" RUN_ID "/.output-" ATTEMPT));
        spec_done(&s);
        s = (UnitSpec){};
        ok_int(build(&open_policy, D("ExecStart", "/bin/true", "Parameter", "Day=1"), &s, &e),
               -EINVAL);
        ok_int(build(&open_policy, D("ExecStart", "/bin/true", "Parameter", "day"), &s, &e),
               -EINVAL);
        ok_int(build(&open_policy, D("ExecStart", "/bin/true", "Parameter", "a=\xff"), &s, &e),
               -EINVAL);
}

static void output_is(const char *directory, const char *want) {
        Buffer b = {};
        Error e = {};
        int r = output_read(directory, "o", &b, &e);

        ok_str(r < 0 ? e.detail : b.data ? b.data : "", want);
        ok_int(r < 0, *want == 'i');
        buffer_done(&b);
}

static void test_apart_there_is_no_workspace(void) {
        UnitSpec s = {};
        Error e = {};

        ok_int(build(&open_policy, D("Workspace", "no", "ExecStart", "/bin/true"), &s, &e), 0);
        STRV_FOREACH(v, s.environment)
                ok_null(str_after(*v, "SLUICE_WORKSPACE="));
        ok_null(s.working_directory);
        ok_str(s.state_directory, "sluice/runs/" RUN_ID);
        ok_true(strv_contains(s.environment,
                              "SLUICE_OUTPUT=/var/lib/sluice/runs/" RUN_ID "/.output-" ATTEMPT));
        spec_done(&s);
}

static void test_output_files(void) {
        char directory[] = "/tmp/sluice-test-XXXXXX", path[64], other[64], big[OUTPUT_FILE_MAX + 1];

        ok_true(mkdtemp(directory));
        (void) snprintf(path, sizeof(path), "%s/o", directory);
        (void) snprintf(other, sizeof(other), "%s/other", directory);
        output_is("/nowhere", "");
        output_is(directory, "");
        ok_int(file_write_atomic(path, "a=1\n", 4, 0600), 0);
        output_is(directory, "a=1\n");
        ok_int(link(path, other), 0);
        output_is(directory, "it has other names (hard links)");
        ok_int(unlink(path), 0);
        ok_int(symlink(other, path), 0);
        output_is(directory, "it is a symbolic link");
        ok_int(unlink(path), 0);
        ok_int(mkfifo(path, 0600), 0);
        output_is(directory, "it is no regular file");
        ok_int(unlink(path), 0);
        ok_int(mkdir(path, 0700), 0);
        output_is(directory, "it is no regular file");
        ok_int(rmdir(path), 0);
        (void) memset(big, 'x', sizeof(big));
        ok_int(file_write_atomic(path, big, sizeof(big), 0600), 0);
        output_is(directory, "it is larger than 64 KiB");
        ok_int(truncate(path, OUTPUT_FILE_MAX), 0);
        big[OUTPUT_FILE_MAX] = '\0';
        output_is(directory, big);
        ok_int(unlink(path), 0);
        ok_int(unlink(other), 0);
        ok_int(rmdir(directory), 0);
}

int main(void) {
        RUN(test_names_follow_the_attempt);
        RUN(test_variables_of_a_schedule);
        RUN(test_names_have_the_instance);
        RUN(test_directives_become_properties);
        RUN(test_nonsense_is_refused);
        RUN(test_a_service_is_supervised);
        RUN(test_dangerous_directives_need_the_policy);
        RUN(test_lists_add_up);
        RUN(test_all_commands_are_looked_at);
        RUN(test_old_hosts_say_so);
        RUN(test_a_fenced_task_stops_in_time);
        RUN(test_identifiers_are_checked);
        RUN(test_policy_has_the_last_word);
        RUN(test_links_are_followed);
        RUN(test_policy_of_others_allows_nothing);
        RUN(test_parameters_reach_the_environment);
        RUN(test_apart_there_is_no_workspace);
        RUN(test_output_files);
        return tap_done();
}
