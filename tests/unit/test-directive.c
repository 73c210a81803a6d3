/* Every row of the directive table: values that it takes and that it refuses, the form that it has on D-Bus, and its place in the
 * manual. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>

#include "../lib/tap.h"
#include "cleanup.h"
#include "directive.h"
#include "fd.h"
#include "fileio.h"
#include "properties.h"
#include "pipe-internal.h"
#include "str.h"
#include "strv.h"

/* Between bars. An empty value is good where the row is a list, and bad where it is not. */
static const struct {
        const char *name, *good, *bad;
} values[] = {
        { "ExecStart", "/bin/true|-/bin/sh -c 'a b'|:/bin/echo ${A}",
          "true|+/bin/true|!/bin/true" },
        { "ExecCondition", "/bin/true|-/bin/true", "true|@/bin/true" },
        { "ExecStartPre", "/bin/true", "true|/bin/sh 'x" },
        { "ExecStartPost", "/bin/true", "true" },
        { "RuntimeMaxSec", "90|2h 30min|infinity", "0|soon|-1" },
        { "RuntimeRandomizedExtraSec", "5s", "0|soon" },
        { "TimeoutStopSec", "5s", "0" },
        { "TimeoutAbortSec", "5s", "0" },
        { "TimeoutStartFailureMode", "terminate|abort|kill", "stop" },
        { "TimeoutStopFailureMode", "terminate|kill", "abort" },
        { "SuccessExitStatus", "3|TEMPFAIL 250 SIGUSR1|USR2", "256|-1|SIGNOT" },
        { "RestartPreventExitStatus", "1 6 SIGABRT", "often" },
        { "RestartForceExitStatus", "133", "300" },
        { "RootDirectoryStartOnly", "yes|no", "maybe" },
        { "OOMPolicy", "continue|stop|kill", "none" },
        { "Type", "exec|notify", "forking|oneshot" },
        { "NotifyAccess", "none|main|exec|all", "some" },
        { "Restart", "no|always|on-failure", "sometimes" },
        { "RestartSec", "0|100ms", "soon" },
        { "RestartSteps", "0|10", "-1|many" },
        { "RestartMaxDelaySec", "5min", "0" },
        { "StartLimitIntervalSec", "0|10s", "never" },
        { "StartLimitBurst", "1|5", "0|x" },
        { "WatchdogSec", "30s", "0" },
        { "TimeoutStartSec", "2min", "0" },
        { "FileDescriptorStoreMax", "0|64", "-1" },
        { "KillMode", "control-group|mixed", "process|none" },
        { "KillSignal", "SIGINT|TERM|15|RTMIN+3|SIGRTMIN|SIGRTMAX-1|SIGIO", "0|65|SIGNOT|RTMIN-1" },
        { "RestartKillSignal", "HUP", "x" },
        { "WatchdogSignal", "SIGABRT", "-6" },
        { "SendSIGHUP", "yes|0|on|F", "2" },
        { "CPUWeight", "1|10000", "0|10001|idle" },
        { "StartupCPUWeight", "500", "0" },
        { "CPUQuota", "50%|0.5%|1200%", "0%|50|%" },
        { "CPUQuotaPeriodSec", "10ms", "0" },
        { "AllowedCPUs", "0|0-3,7 9", "3-1|9999|a|0-" },
        { "StartupAllowedCPUs", "0", "-1" },
        { "AllowedMemoryNodes", "0", "0,,x" },
        { "StartupAllowedMemoryNodes", "0-1", "all" },
        { "MemoryMin", "0|1M|10%", "lots|-1" },
        { "MemoryLow", "0|1G", "101%" },
        { "MemoryHigh", "512M|1.5G|50%|infinity", "0|1X" },
        { "MemoryMax", "512M|50%|infinity", "0|lots|101%" },
        { "MemorySwapMax", "0|1M|infinity", "x" },
        { "MemoryZSwapMax", "0|1M", "x" },
        { "MemoryZSwapWriteback", "no", "x" },
        { "MemoryPressureWatch", "auto|on|off|skip", "yes" },
        { "MemoryPressureThresholdSec", "200ms", "0" },
        { "TasksMax", "1|infinity|10%", "0|-1|0%|101%" },
        { "IPAccounting", "yes", "x" },
        { "IOWeight", "100", "0" },
        { "StartupIOWeight", "100", "0" },
        { "IODeviceWeight", "/dev/sda 100", "/dev/sda|sda 100|/dev/sda 0" },
        { "IOReadBandwidthMax", "/dev/sda 10M|/ infinity",
          "/dev/sda 0|/dev/sda 1.5M|10M|/../x 1M" },
        { "IOWriteBandwidthMax", "/dev/sda 5K", "/dev/sda 99999999999E" },
        { "IOReadIOPSMax", "/dev/sda 1K", "/dev/sda -1" },
        { "IOWriteIOPSMax", "/dev/sda 100", "/dev/sda" },
        { "IODeviceLatencyTargetSec", "/dev/sda 25ms", "/dev/sda soon" },
        { "IPAddressAllow", "any|localhost 10.0.0.0/8|::1|fe80::/64",
          "10.0.0.0/33|host|1.2.3|::/129" },
        { "IPAddressDeny", "any|multicast link-local", "everything" },
        { "SocketBindAllow", "any|80|ipv4:tcp:1024-2000|udp|ipv6:any", "0|70000|ipv5:1|2-1|tcp:x" },
        { "SocketBindDeny", "any", "some" },
        { "RestrictNetworkInterfaces", "lo eth0|~wlan0", "~|a/b" },
        { "DevicePolicy", "auto|closed|strict", "open" },
        { "DeviceAllow", "/dev/null rw|char-pts|/dev/fuse", "null rw|/dev/null x|/dev/null rwmr" },
        { "Delegate", "yes", "cpu" },
        { "ManagedOOMSwap", "auto|kill", "x" },
        { "ManagedOOMMemoryPressure", "auto|kill", "x" },
        { "ManagedOOMMemoryPressureLimit", "0%|60%|12.5%", "101%|60" },
        { "ManagedOOMPreference", "none|avoid|omit", "x" },
        { "ExecSearchPath", "/a:/b|/a /b", "a|/a/../b|-/a" },
        { "WorkingDirectory", "/tmp|~|-/not/there", "tmp|/a/..|/..|~root" },
        { "RootDirectory", "/srv/root", "srv|-/srv" },
        { "MountAPIVFS", "yes", "x" },
        { "ProtectProc", "default|noaccess|invisible|ptraceable", "yes" },
        { "ProcSubset", "all|pid", "x" },
        { "BindPaths", "/a|/a:/b|-/a:/b:norbind /c:/d:rbind", "a|/a:b|/a:/b:x|/a:/b/../c" },
        { "BindReadOnlyPaths", "/a:/b", "a:/b" },
        { "User", "nobody|a_b-c", "a b|0|-x|a.b|aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
        { "Group", "nogroup", "a:b" },
        { "SupplementaryGroups", "a b", "a;b|1" },
        { "CapabilityBoundingSet", "CAP_CHOWN cap_kill|~CAP_SYS_ADMIN", "CAP_ALL|chown" },
        { "AmbientCapabilities", "CAP_NET_RAW", "CAP_X" },
        { "NoNewPrivileges", "yes", "x" },
        { "SecureBits", "noroot keep-caps-locked", "root" },
        { "LimitCPU", "10|1min|5:10|infinity", "10:5|x|-1" },
        { "LimitFSIZE", "1M|1K:1G", "x" },
        { "LimitDATA", "1G", "x" },
        { "LimitSTACK", "8M:infinity", "infinity:8M" },
        { "LimitCORE", "0|infinity", "x" },
        { "LimitRSS", "1G", "x" },
        { "LimitNOFILE", "1024:4096", "1K" },
        { "LimitAS", "4G", "x" },
        { "LimitNPROC", "100", "x" },
        { "LimitMEMLOCK", "64K", "x" },
        { "LimitLOCKS", "10", "x" },
        { "LimitSIGPENDING", "10", "x" },
        { "LimitMSGQUEUE", "800K", "x" },
        { "LimitNICE", "+5|-5|20", "+20|-21|x" },
        { "LimitRTPRIO", "9", "x" },
        { "LimitRTTIME", "1000|1s", "x" },
        { "UMask", "0027|077", "8|99|x|077777" },
        { "CoredumpFilter", "default|private-anonymous elf-headers", "x" },
        { "KeyringMode", "inherit|private|shared", "x" },
        { "OOMScoreAdjust", "-1000|0|1000", "1001|-1001|x" },
        { "TimerSlackNSec", "50|50us|1ms|1s", "1h|x|-1" },
        { "Personality", "x86-64", "z80" },
        { "IgnoreSIGPIPE", "no", "x" },
        { "Nice", "-20|0|+5|19", "20|-21|x" },
        { "CPUSchedulingPolicy", "other|batch|idle|fifo|rr|0", "x|9" },
        { "CPUSchedulingPriority", "1|99", "0|100" },
        { "CPUSchedulingResetOnFork", "yes", "x" },
        { "CPUAffinity", "0 1-3", "numa|x" },
        { "NUMAPolicy", "default|preferred|bind|interleave|local", "x" },
        { "NUMAMask", "0", "x" },
        { "IOSchedulingClass", "none|best-effort|idle|realtime|2", "x" },
        { "IOSchedulingPriority", "0|7", "8|-1" },
        { "ProtectSystem", "no|yes|full|strict|true", "x" },
        { "ProtectHome", "no|yes|read-only|tmpfs|0", "x" },
        { "RuntimeDirectory", "a|a/b c", "/a|../a|a:b" },
        { "CacheDirectory", "a", "/a" },
        { "LogsDirectory", "a", "a/../../b" },
        { "ConfigurationDirectory", "a", "/" },
        { "RuntimeDirectoryMode", "0750", "x" },
        { "CacheDirectoryMode", "0750", "x" },
        { "LogsDirectoryMode", "0750", "x" },
        { "ConfigurationDirectoryMode", "0750", "x" },
        { "RuntimeDirectoryPreserve", "no|yes|restart", "x" },
        { "ReadWritePaths", "/a -/b +/c -+/d", "a" },
        { "ReadOnlyPaths", "/a", "/a/.." },
        { "InaccessiblePaths", "-/a", "-" },
        { "ExecPaths", "/usr", "usr" },
        { "NoExecPaths", "/", "." },
        { "TemporaryFileSystem", "/a|/a:ro,size=1M,mode=0700 /b",
          "a|/a:dev|/a:exec|/a:size=|/a:mode=u+x" },
        { "PrivateTmp", "yes", "x" },
        { "PrivateDevices", "yes", "x" },
        { "PrivateNetwork", "yes", "x" },
        { "NetworkNamespacePath", "/run/netns/a", "a" },
        { "PrivateIPC", "yes", "x" },
        { "IPCNamespacePath", "/run/ipc", "a" },
        { "PrivateUsers", "yes", "x" },
        { "PrivateMounts", "yes", "x" },
        { "ProtectHostname", "yes", "x" },
        { "ProtectClock", "yes", "x" },
        { "ProtectKernelTunables", "yes", "x" },
        { "ProtectKernelModules", "yes", "x" },
        { "ProtectKernelLogs", "yes", "x" },
        { "ProtectControlGroups", "yes", "x" },
        { "RestrictAddressFamilies", "AF_INET AF_INET6|~AF_PACKET|none", "INET|~|AF_INET none" },
        { "RestrictFileSystems", "ext4 @basic-api|~tmpfs", "~|a/b" },
        { "RestrictNamespaces", "yes|no|user net|~user mnt", "x|~" },
        { "LockPersonality", "yes", "x" },
        { "MemoryDenyWriteExecute", "yes", "x" },
        { "RestrictRealtime", "yes", "x" },
        { "RestrictSUIDSGID", "yes", "x" },
        { "RemoveIPC", "yes", "x" },
        { "MountFlags", "shared|slave|private", "x" },
        { "SystemCallFilter", "@system-service|~@mount ptrace:EPERM|~reboot:kill",
          "@system-servic|~|a:EWHAT|a b;c" },
        { "SystemCallErrorNumber", "EPERM|1|kill", "EWHAT|0|x" },
        { "SystemCallArchitectures", "native|x86 x86-64", "z80" },
        { "SystemCallLog", "@mount", "@x" },
        { "Environment", "A=1 \"B=2 3\"|C=50%", "A|1=2|SLUICE_RUN=1|A=1 B" },
        { "EnvironmentFile", "/etc/default/x|-/etc/default/x", "x|-x" },
        { "PassEnvironment", "LANG PATH", "A=B-C D|1A|SLUICE_X" },
        { "UnsetEnvironment", "A B=1", "1|SLUICE_RUN" },
        { "StandardInput", "null|data|tty|file:/a", "x|file:a|fd:x" },
        { "StandardOutput", "journal|inherit|null|kmsg|append:/a|truncate:/a",
          "x|file:/a/../b|socket" },
        { "StandardError", "journal", "x" },
        { "StandardInputText", "a line\\x20here|\\tb", "\\q" },
        { "StandardInputData", "aGVsbG8=|aGVsbG8h", "a|====|aGVs=bG8|!!!!" },
        { "LogLevelMax", "debug|3|emerg", "8|x" },
        { "LogExtraFields", "A_B=c D=e|A=|\"A=b c\"", "a=b|_A=b|A|A=b c|SLUICE_RUN=x|1=2" },
        { "SyslogFacility", "daemon|local7|3", "12|x" },
        { "SyslogLevel", "info|6", "x" },
        { "SyslogLevelPrefix", "no", "x" },
        { "LoadCredential", "a:/etc/x", "a|a:x|/a:/b|:/a|a:/b/../c|a:/b/..|..:/a" },
        { "LoadCredentialEncrypted", "a:/etc/x", "a" },
        { "SandboxProfile", "strict|standard|none", "lax" },
};

static void values_are(const Directive *d, const char *list, bool good) {
        _cleanup_(strv_freep) char **all = NULL;

        ok_int(strv_split(list, "|", &all), 0);
        STRV_FOREACH(value, all) {
                Error e = {};
                int r = directive_check(d, *value, &e);

                if ((r == 0) != good || (!good && (r != -EINVAL || !e.detail[0]))) {
                        printf("# %s=%s: %d %s\n", d->name, *value, r, e.detail);
                        ok_int(r, good ? 0 : -EINVAL);
                }
        }
}

static void test_values(void) {
        size_t rows = 0;

        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                const Directive *d = directive_find(values[i].name);

                ok_str(d ? d->name : "no row", values[i].name);
                if (!d)
                        continue;
                values_are(d, values[i].good, true);
                values_are(d, values[i].bad, false);
                ok_int(directive_check(d, "", NULL), d->repeats ? 0 : -EINVAL);
                ok_int(directive_check(d, "\x1b[31m", NULL), -EINVAL);
                ok_int(directive_check(d, "\xff", NULL), -EINVAL);
        }
        for (const Directive *d = directives; d->name; d++)
                rows++;
        ok_int(ELEMENTSOF(values), rows);
        ok_true(rows >= 120);
}

/* A bus that nobody answers on: enough to make messages. */
static sd_bus *bus_make(int fds[2]) {
        sd_bus *bus = NULL;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 || sd_bus_new(&bus) < 0 ||
            sd_bus_set_fd(bus, fds[0], fds[0]) < 0 || sd_bus_start(bus) < 0)
                return NULL;
        return bus;
}

/* What was decoded fits the signature of the row, and D-Bus takes it. */
static void test_values_are_properties(void) {
        int fds[2] = { -EBADF, -EBADF };
        sd_bus *bus = bus_make(fds);

        ok_true(bus != NULL);
        for (size_t i = 0; bus && i < ELEMENTSOF(values); i++) {
                const Directive *d = directive_find(values[i].name);
                _cleanup_(strv_freep) char **good = NULL;

                if (!d->property)
                        continue;
                ok_int(strv_split(values[i].good, "|", &good), 0);
                if (d->repeats)
                        ok_int(strv_append(&good, ""), 0);
                STRV_FOREACH(value, good) {
                        sd_bus_message *m = NULL;
                        Atoms atoms = {};
                        size_t end = 0;

                        ok_int(directive_decode(d, *value, &atoms, NULL), 0);
                        while (end < atoms.count)
                                end = atoms_next(&atoms, end);
                        ok_int(end, atoms.count);
                        ok_true(sd_bus_message_new_method_call(bus, &m, "a.b", "/", "a.b", "c") >=
                                0);
                        ok_true(sd_bus_message_open_container(m, 'a', "(sv)") >= 0);
                        ok_int(properties_write(m, &atoms), 0);
                        ok_true(sd_bus_message_close_container(m) >= 0);
                        ok_true(sd_bus_message_seal(m, 1, 0) >= 0);
                        (void) sd_bus_message_unref(m);
                        atoms_done(&atoms);
                }
        }
        (void) sd_bus_unref(bus);
        (void) close(fds[1]);
}

static void test_refusals_say_why(void) {
        Error e = {};

        for (const Refusal *r = refusals; r->name; r++) {
                ok_null((void *) directive_find(r->name));
                ok_int(directive_refuse(r->name, &e), -EINVAL);
                ok_contains(e.detail, r->why);
        }
        ok_int(directive_refuse("SetCredential", &e), -EINVAL);
        ok_contains(e.detail, "use LoadCredential=");
        ok_int(directive_refuse("PrivateTemp", &e), -EINVAL);
        ok_contains(e.detail, "did you mean PrivateTmp=?");
}

/* What is dangerous whatever its value says so, lists but for their reset. */
static void test_guards(void) {
        for (const Directive *d = directives; d->name; d++) {
                if (d->guard == GUARD_ALWAYS)
                        ok_true(directive_is_guarded(d, "x"));
                if (d->guard == GUARD_UNLESS)
                        for (const char *const *w = d->harmless; *w; w++) {
                                ok_true(!directive_is_guarded(d, *w));
                                ok_int(directive_check(d, *w, NULL), 0);
                        }
                if (d->repeats)
                        ok_true(!directive_is_guarded(d, ""));
                ok_true(d->since >= 249);
        }
}

/* The names before a = in the text, but for those that stand in it as a value's. */
static char **names_in(const char *text, const char *end, bool heads) {
        char **names = NULL;
        bool head = !heads;

        while (text < end) {
                const char *line = text, *next = strchr(text, '\n');

                text = next ? next + 1 : end;
                for (const char *p = line; head && p < text;) {
                        size_t n =
                                strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

                        if (n > 0 && p[n] == '=')
                                (void) strv_append_take(&names, strndup(p, n));
                        p += n + 1;
                }
                head = !heads || strncmp(line, ".TP\n", 4) == 0;
        }
        return names;
}

/* sluice.pipe(5) has each word of [Task] at the head of a paragraph, and nothing else; and all that are refused. */
static void test_the_manual_has_them_all(void) {
        const char *top = getenv("top_srcdir");
        _cleanup_(freep) char *path = str_format("%s/man/sluice.pipe.5", top ? top : ".");
        _cleanup_(freep) char *page = NULL;
        _cleanup_(strv_freep) char **heads = NULL, **refused = NULL;
        const char *task, *further, *refusal, *end;
        size_t size, rows = 0, n = 0;

        ok_int(file_read(path, 1 << 20, &page, &size), 0);
        task = strstr(page, "\n.SH [TASK ");
        further = strstr(page, "\n.SH FURTHER DIRECTIVES");
        refusal = strstr(page, "\n.SH REFUSED DIRECTIVES");
        end = strstr(page, "\n.SH STREAMING PIPES");
        ok_true(task && further && refusal && end);
        heads = names_in(task, refusal, true);
        refused = names_in(refusal, end, false);
        for (const Directive *d = directives; d->name; d++, rows++)
                ok_str(strv_contains(heads, d->name) ? d->name : "not in the manual", d->name);
        STRV_FOREACH(name, heads)
                if (pipe_word_find(pipe_task_words, PIPE_TASK_WORDS, *name) == PIPE_TASK_WORDS)
                        ok_str(directive_find(*name) ? *name : "not in the table", *name);
        ok_int(strv_length(heads), rows + PIPE_TASK_WORDS);
        for (const Refusal *r = refusals; r->name; r++, n++)
                ok_str(strv_contains(refused, r->name) ? r->name : "not in the manual", r->name);
        ok_int(strv_length(refused), n);
}

/* The marks in the manual: * for what needs the policy, + for what needs it for some values, and no other. */
static void test_the_manual_marks_the_dangerous(void) {
        static const char *const marks[] = { [GUARD_NONE] = "",
                                             [GUARD_ALWAYS] = " *",
                                             [GUARD_NEGATIVE] = " +",
                                             [GUARD_UNLESS] = " +" };
        const char *top = getenv("top_srcdir");
        _cleanup_(freep) char *path = str_format("%s/man/sluice.pipe.5", top ? top : ".");
        _cleanup_(freep) char *page = NULL;
        const char *further;
        size_t size;

        ok_int(file_read(path, 1 << 20, &page, &size), 0);
        further = strstr(page, "\n.SH FURTHER DIRECTIVES");
        for (const Directive *d = directives; further && d->name; d++) {
                char name[64];
                const char *found = further;

                (void) snprintf(name, sizeof(name), "%s=", d->name);
                while ((found = strstr(found + 1, name)) && found[-1] != ' ' && found[-1] != '"')
                        ;
                if (!found) {
                        ok_int(d->guard, GUARD_NONE); /* among the most used */
                        continue;
                }
                found += strlen(name);
                ok_true(strncmp(found, marks[d->guard], strlen(marks[d->guard])) == 0);
                if (d->guard == GUARD_NONE)
                        ok_true(!strchr("*+", found[1]));
        }
}

int main(void) {
        RUN(test_values);
        RUN(test_values_are_properties);
        RUN(test_refusals_say_why);
        RUN(test_guards);
        RUN(test_the_manual_has_them_all);
        RUN(test_the_manual_marks_the_dangerous);
        return tap_done();
}
