/* The table itself, in the order of systemd's manual pages. What stands here is data: name, form, D-Bus property and type, the first
 * version of systemd that has it, and whether the host's owner has to allow it. */
#include <sched.h>
#include <sys/mount.h>

#include "directive-types.h"

#define ROW(name_, type_, signature_, since_, ...)                                                 \
        {                                                                                          \
                .name = (name_), .type = DIRECTIVE_##type_, .property = (name_),                   \
                .signature = (signature_), .since = (since_), __VA_ARGS__                          \
        }
/* Where D-Bus has another name for it. */
#define ROW_AS(name_, type_, property_, signature_, since_, ...)                                   \
        {                                                                                          \
                .name = (name_), .type = DIRECTIVE_##type_, .property = (property_),               \
                .signature = (signature_), .since = (since_), __VA_ARGS__                          \
        }
#define LIST .repeats = true
#define POLICY .guard = GUARD_ALWAYS
#define STREAMING .streaming = true
#define SUBSTITUTES .substitutes = true
#define WORDS(...)                                                                                 \
        .words = (const char *const[]) {                                                           \
                __VA_ARGS__, NULL                                                                  \
        }
#define UNLESS(...)                                                                                \
        .guard = GUARD_UNLESS, .harmless = (const char *const[]) {                                 \
                __VA_ARGS__, NULL                                                                  \
        }
#define NAMES(table_) .names = (table_)
#define RANGE(min_, max_) .min = (min_), .max = (max_)

/* capabilities(7), linux/capability.h */
static const NamedNumber capabilities[] = {
#define CAP(name_, bit_)                                                                           \
        { "CAP_" name_, UINT64_C(1) << (bit_) }
        CAP("CHOWN", 0),
        CAP("DAC_OVERRIDE", 1),
        CAP("DAC_READ_SEARCH", 2),
        CAP("FOWNER", 3),
        CAP("FSETID", 4),
        CAP("KILL", 5),
        CAP("SETGID", 6),
        CAP("SETUID", 7),
        CAP("SETPCAP", 8),
        CAP("LINUX_IMMUTABLE", 9),
        CAP("NET_BIND_SERVICE", 10),
        CAP("NET_BROADCAST", 11),
        CAP("NET_ADMIN", 12),
        CAP("NET_RAW", 13),
        CAP("IPC_LOCK", 14),
        CAP("IPC_OWNER", 15),
        CAP("SYS_MODULE", 16),
        CAP("SYS_RAWIO", 17),
        CAP("SYS_CHROOT", 18),
        CAP("SYS_PTRACE", 19),
        CAP("SYS_PACCT", 20),
        CAP("SYS_ADMIN", 21),
        CAP("SYS_BOOT", 22),
        CAP("SYS_NICE", 23),
        CAP("SYS_RESOURCE", 24),
        CAP("SYS_TIME", 25),
        CAP("SYS_TTY_CONFIG", 26),
        CAP("MKNOD", 27),
        CAP("LEASE", 28),
        CAP("AUDIT_WRITE", 29),
        CAP("AUDIT_CONTROL", 30),
        CAP("SETFCAP", 31),
        CAP("MAC_OVERRIDE", 32),
        CAP("MAC_ADMIN", 33),
        CAP("SYSLOG", 34),
        CAP("WAKE_ALARM", 35),
        CAP("BLOCK_SUSPEND", 36),
        CAP("AUDIT_READ", 37),
        CAP("PERFMON", 38),
        CAP("BPF", 39),
        CAP("CHECKPOINT_RESTORE", 40),
        {},
};

/* namespaces(7), linux/sched.h */
static const NamedNumber namespaces[] = {
        { "cgroup", CLONE_NEWCGROUP }, { "ipc", CLONE_NEWIPC },
        { "net", CLONE_NEWNET },       { "mnt", CLONE_NEWNS },
        { "pid", CLONE_NEWPID },       { "user", CLONE_NEWUSER },
        { "uts", CLONE_NEWUTS },       {},
};

/* linux/securebits.h */
static const NamedNumber secure_bits[] = {
        { "noroot", 1 },
        { "noroot-locked", 2 },
        { "no-setuid-fixup", 4 },
        { "no-setuid-fixup-locked", 8 },
        { "keep-caps", 16 },
        { "keep-caps-locked", 32 },
        {},
};

/* core(5); default is the kernel's */
static const NamedNumber core_parts[] = {
        { "private-anonymous", 1 },
        { "shared-anonymous", 2 },
        { "private-file-backed", 4 },
        { "shared-file-backed", 8 },
        { "elf-headers", 16 },
        { "private-huge", 32 },
        { "shared-huge", 64 },
        { "private-dax", 128 },
        { "shared-dax", 256 },
        { "default", 1 | 2 | 16 | 32 },
        {},
};

static const NamedNumber propagations[] = {
        { "shared", MS_SHARED },
        { "slave", MS_SLAVE },
        { "private", MS_PRIVATE },
        {},
};

/* sched(7), set_mempolicy(2), ioprio_set(2) */
static const NamedNumber cpu_policies[] = {
        { "other", SCHED_OTHER }, { "batch", SCHED_BATCH }, { "idle", SCHED_IDLE },
        { "fifo", SCHED_FIFO },   { "rr", SCHED_RR },       {},
};
static const NamedNumber numa_policies[] = {
        { "default", 0 },    { "preferred", 1 }, { "bind", 2 },
        { "interleave", 3 }, { "local", 4 },     {},
};
static const NamedNumber io_classes[] = {
        { "none", 0 }, { "realtime", 1 }, { "best-effort", 2 }, { "idle", 3 }, {},
};

/* syslog(3) */
static const NamedNumber log_levels[] = {
        { "emerg", 0 },  { "alert", 1 }, { "crit", 2 },  { "err", 3 }, { "warning", 4 },
        { "notice", 5 }, { "info", 6 },  { "debug", 7 }, {},
};
static const NamedNumber log_facilities[] = {
        { "kern", 0 },    { "user", 1 },      { "mail", 2 },
        { "daemon", 3 },  { "auth", 4 },      { "syslog", 5 },
        { "lpr", 6 },     { "news", 7 },      { "uucp", 8 },
        { "cron", 9 },    { "authpriv", 10 }, { "ftp", 11 },
        { "local0", 16 }, { "local1", 17 },   { "local2", 18 },
        { "local3", 19 }, { "local4", 20 },   { "local5", 21 },
        { "local6", 22 }, { "local7", 23 },   {},
};

/* sysexits.h and what systemd.exec(5) lists */
static const NamedNumber exit_statuses[] = {
        { "SUCCESS", 0 },        { "FAILURE", 1 },      { "INVALIDARGUMENT", 2 },
        { "NOTIMPLEMENTED", 3 }, { "NOPERMISSION", 4 }, { "NOTINSTALLED", 5 },
        { "NOTCONFIGURED", 6 },  { "NOTRUNNING", 7 },   { "USAGE", 64 },
        { "DATAERR", 65 },       { "NOINPUT", 66 },     { "NOUSER", 67 },
        { "NOHOST", 68 },        { "UNAVAILABLE", 69 }, { "SOFTWARE", 70 },
        { "OSERR", 71 },         { "OSFILE", 72 },      { "CANTCREAT", 73 },
        { "IOERR", 74 },         { "TEMPFAIL", 75 },    { "PROTOCOL", 76 },
        { "NOPERM", 77 },        { "CONFIG", 78 },      {},
};

/* systemd-analyze syscall-filter of 249 */
#define SYSCALL_GROUPS                                                                             \
        WORDS("@aio", "@basic-io", "@chown", "@clock", "@cpu-emulation", "@debug", "@default",     \
              "@file-system", "@io-event", "@ipc", "@keyring", "@known", "@memlock", "@module",    \
              "@mount", "@network-io", "@obsolete", "@pkey", "@privileged", "@process", "@raw-io", \
              "@reboot", "@resources", "@setuid", "@signal", "@swap", "@sync", "@system-service",  \
              "@timer")
#define ARCHITECTURES                                                                              \
        WORDS("native", "x86", "x86-64", "x32", "arm", "arm64", "ppc", "ppc64", "ppc64-le",        \
              "riscv64", "s390", "s390x", "mips", "mips64", "mips64-n32", "mips-le", "mips64-le",  \
              "mips64-le-n32", "parisc", "parisc64")

const Directive directives[] = {
        /* systemd.service(5) */
        ROW("ExecStart", EXEC, "a(sasb)", 249, SUBSTITUTES),
        ROW("ExecCondition", EXEC, "a(sasb)", 249, LIST, SUBSTITUTES),
        ROW("ExecStartPre", EXEC, "a(sasb)", 249, LIST, SUBSTITUTES),
        ROW("ExecStartPost", EXEC, "a(sasb)", 249, LIST, SUBSTITUTES),
        ROW_AS("RuntimeMaxSec", SPAN, "RuntimeMaxUSec", "t", 249),
        ROW_AS("RuntimeRandomizedExtraSec", SPAN, "RuntimeRandomizedExtraUSec", "t", 250),
        ROW_AS("TimeoutStopSec", SPAN, "TimeoutStopUSec", "t", 249),
        ROW_AS("TimeoutAbortSec", SPAN, "TimeoutAbortUSec", "t", 249),
        ROW("TimeoutStartFailureMode", WORD, "s", 249, WORDS("terminate", "abort", "kill")),
        ROW("TimeoutStopFailureMode", WORD, "s", 249, WORDS("terminate", "kill")),
        ROW("SuccessExitStatus", STATUSES, "(aiai)", 249, LIST, NAMES(exit_statuses)),
        ROW("RestartPreventExitStatus", STATUSES, "(aiai)", 249, LIST, STREAMING,
            NAMES(exit_statuses)),
        ROW("RestartForceExitStatus", STATUSES, "(aiai)", 249, LIST, STREAMING,
            NAMES(exit_statuses)),
        ROW("RootDirectoryStartOnly", BOOL, "b", 249),
        ROW("OOMPolicy", WORD, "s", 249, WORDS("continue", "stop", "kill")),
        ROW("Type", WORD, "s", 249, STREAMING, WORDS("exec", "notify")),
        ROW("NotifyAccess", WORD, "s", 249, STREAMING, WORDS("none", "main", "exec", "all")),
        ROW("Restart", WORD, "s", 249, STREAMING,
            WORDS("no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort",
                  "always")),
        ROW_AS("RestartSec", PAUSE, "RestartUSec", "t", 249, STREAMING),
        ROW("RestartSteps", NUMBER, "u", 254, STREAMING, RANGE(0, 1000000)),
        ROW_AS("RestartMaxDelaySec", SPAN, "RestartMaxDelayUSec", "t", 254, STREAMING),
        ROW_AS("StartLimitIntervalSec", PAUSE, "StartLimitIntervalUSec", "t", 249, STREAMING),
        ROW("StartLimitBurst", NUMBER, "u", 249, STREAMING, RANGE(1, 1000000)),
        ROW_AS("WatchdogSec", SPAN, "WatchdogUSec", "t", 249, STREAMING),
        ROW_AS("TimeoutStartSec", SPAN, "TimeoutStartUSec", "t", 249, STREAMING),
        ROW("FileDescriptorStoreMax", NUMBER, "u", 249, STREAMING, RANGE(0, 1000000)),
        /* systemd.kill(5) */
        ROW("KillMode", WORD, "s", 249, WORDS("control-group", "mixed")),
        ROW("KillSignal", SIGNAL, "i", 249),
        ROW("RestartKillSignal", SIGNAL, "i", 249),
        ROW("WatchdogSignal", SIGNAL, "i", 249),
        ROW("SendSIGHUP", BOOL, "b", 249),
        /* systemd.resource-control(5) */
        ROW("CPUWeight", WEIGHT, "t", 249),
        ROW("StartupCPUWeight", WEIGHT, "t", 249),
        ROW_AS("CPUQuota", QUOTA, "CPUQuotaPerSecUSec", "t", 249),
        ROW_AS("CPUQuotaPeriodSec", SPAN, "CPUQuotaPeriodUSec", "t", 249),
        ROW("AllowedCPUs", CPUS, "ay", 249, LIST),
        ROW("StartupAllowedCPUs", CPUS, "ay", 252, LIST),
        ROW("AllowedMemoryNodes", CPUS, "ay", 249, LIST),
        ROW("StartupAllowedMemoryNodes", CPUS, "ay", 252, LIST),
        ROW("MemoryMin", SIZE_OR_NOTHING, "t", 249),
        ROW("MemoryLow", SIZE_OR_NOTHING, "t", 249),
        ROW("MemoryHigh", SIZE, "t", 249),
        ROW("MemoryMax", SIZE, "t", 249),
        ROW("MemorySwapMax", SIZE_OR_NOTHING, "t", 249),
        ROW("MemoryZSwapMax", SIZE_OR_NOTHING, "t", 253),
        ROW("MemoryZSwapWriteback", BOOL, "b", 256),
        ROW("MemoryPressureWatch", WORD, "s", 254, WORDS("auto", "on", "off", "skip")),
        ROW_AS("MemoryPressureThresholdSec", SPAN, "MemoryPressureThresholdUSec", "t", 254),
        ROW("TasksMax", TASKS, "t", 249),
        ROW("IPAccounting", BOOL, "b", 249),
        ROW("IOWeight", WEIGHT, "t", 249),
        ROW("StartupIOWeight", WEIGHT, "t", 249),
        ROW("IODeviceWeight", DEVICE_WEIGHT, "a(st)", 249, LIST),
        ROW("IOReadBandwidthMax", DEVICE_RATE, "a(st)", 249, LIST),
        ROW("IOWriteBandwidthMax", DEVICE_RATE, "a(st)", 249, LIST),
        ROW("IOReadIOPSMax", DEVICE_RATE, "a(st)", 249, LIST),
        ROW("IOWriteIOPSMax", DEVICE_RATE, "a(st)", 249, LIST),
        ROW_AS("IODeviceLatencyTargetSec", DEVICE_SPAN, "IODeviceLatencyTargetUSec", "a(st)", 249,
               LIST),
        /* An address that is allowed here is allowed whatever the slices above deny. */
        ROW("IPAddressAllow", ADDRESSES, "a(iayu)", 249, LIST, POLICY),
        ROW("IPAddressDeny", ADDRESSES, "a(iayu)", 249, LIST),
        ROW("SocketBindAllow", SOCKET, "a(iiqq)", 249, LIST),
        ROW("SocketBindDeny", SOCKET, "a(iiqq)", 249, LIST),
        ROW("RestrictNetworkInterfaces", FILTER, "(bas)", 250, LIST, .alphabet = "_.-"),
        ROW("DevicePolicy", WORD, "s", 249, WORDS("auto", "closed", "strict")),
        ROW("DeviceAllow", DEVICE, "a(ss)", 249, LIST, POLICY),
        ROW("Delegate", BOOL, "b", 249, POLICY),
        ROW("ManagedOOMSwap", WORD, "s", 249, WORDS("auto", "kill")),
        ROW("ManagedOOMMemoryPressure", WORD, "s", 249, WORDS("auto", "kill")),
        ROW("ManagedOOMMemoryPressureLimit", SHARE, "u", 249),
        ROW("ManagedOOMPreference", WORD, "s", 249, WORDS("none", "avoid", "omit"), UNLESS("none")),
        /* systemd.exec(5): paths */
        ROW("ExecSearchPath", SEARCH_PATH, "as", 250, LIST),
        ROW("WorkingDirectory", HOME, "s", 249, SUBSTITUTES),
        ROW("RootDirectory", PATH, "s", 249, POLICY),
        ROW("MountAPIVFS", BOOL, "b", 249),
        ROW("ProtectProc", WORD, "s", 249, WORDS("default", "noaccess", "invisible", "ptraceable")),
        ROW("ProcSubset", WORD, "s", 249, WORDS("all", "pid")),
        ROW("BindPaths", BINDS, "a(ssbt)", 249, LIST, POLICY),
        ROW("BindReadOnlyPaths", BINDS, "a(ssbt)", 249, LIST, POLICY),
        /* users and groups */
        ROW("User", USER, "s", 249),
        ROW("Group", USER, "s", 249, POLICY),
        ROW("SupplementaryGroups", USERS, "as", 249, LIST, POLICY),
        /* capabilities and security */
        ROW("CapabilityBoundingSet", SET, "t", 249, LIST, NAMES(capabilities), .all = true),
        ROW("AmbientCapabilities", SET, "t", 249, LIST, POLICY, NAMES(capabilities)),
        ROW("NoNewPrivileges", BOOL, "b", 249),
        ROW("SecureBits", MASK, "i", 249, POLICY, NAMES(secure_bits)),
        /* process properties */
        ROW("LimitCPU", LIMIT, "t", 249, .unit = 's'),
        ROW("LimitFSIZE", LIMIT, "t", 249, .unit = 'b'),
        ROW("LimitDATA", LIMIT, "t", 249, .unit = 'b'),
        ROW("LimitSTACK", LIMIT, "t", 249, .unit = 'b'),
        ROW("LimitCORE", LIMIT, "t", 249, .unit = 'b'),
        ROW("LimitRSS", LIMIT, "t", 249, .unit = 'b'),
        ROW("LimitNOFILE", LIMIT, "t", 249),
        ROW("LimitAS", LIMIT, "t", 249, .unit = 'b'),
        ROW("LimitNPROC", LIMIT, "t", 249),
        ROW("LimitMEMLOCK", LIMIT, "t", 249, .unit = 'b'),
        ROW("LimitLOCKS", LIMIT, "t", 249),
        ROW("LimitSIGPENDING", LIMIT, "t", 249),
        ROW("LimitMSGQUEUE", LIMIT, "t", 249, .unit = 'b'),
        ROW("LimitNICE", LIMIT, "t", 249, POLICY, .unit = 'n'),
        ROW("LimitRTPRIO", LIMIT, "t", 249, POLICY),
        ROW("LimitRTTIME", LIMIT, "t", 249, .unit = 'u'),
        ROW("UMask", MODE, "u", 249),
        ROW("CoredumpFilter", MASK, "t", 249, NAMES(core_parts)),
        ROW("KeyringMode", WORD, "s", 249, WORDS("inherit", "private", "shared"),
            UNLESS("private")),
        ROW("OOMScoreAdjust", NUMBER, "i", 249, .guard = GUARD_NEGATIVE, RANGE(-1000, 1000)),
        ROW("TimerSlackNSec", NSEC, "t", 249),
        ROW("Personality", WORD, "s", 249,
            WORDS("x86", "x86-64", "ppc", "ppc-le", "ppc64", "ppc64-le", "s390", "s390x", "arm",
                  "arm64")),
        ROW("IgnoreSIGPIPE", BOOL, "b", 249),
        /* scheduling */
        ROW("Nice", NUMBER, "i", 249, .guard = GUARD_NEGATIVE, RANGE(-20, 19)),
        ROW("CPUSchedulingPolicy", CODE, "i", 249, NAMES(cpu_policies),
            UNLESS("other", "batch", "idle")),
        ROW("CPUSchedulingPriority", NUMBER, "i", 249, POLICY, RANGE(1, 99)),
        ROW("CPUSchedulingResetOnFork", BOOL, "b", 249),
        ROW("CPUAffinity", CPUS, "ay", 249, LIST),
        ROW("NUMAPolicy", CODE, "i", 249, NAMES(numa_policies)),
        ROW("NUMAMask", CPUS, "ay", 249, LIST),
        ROW("IOSchedulingClass", CODE, "i", 249, NAMES(io_classes),
            UNLESS("none", "best-effort", "idle")),
        ROW("IOSchedulingPriority", NUMBER, "i", 249, RANGE(0, 7)),
        /* sandboxing */
        ROW("ProtectSystem", WORD, "s", 249, WORDS("no", "yes", "full", "strict")),
        ROW("ProtectHome", WORD, "s", 249, WORDS("no", "read-only", "tmpfs", "yes")),
        /* These are made, or become the task's if they are there: /var/cache/private of another service as well. */
        ROW("RuntimeDirectory", DIRECTORIES, "as", 249, LIST, POLICY),
        ROW("CacheDirectory", DIRECTORIES, "as", 249, LIST, POLICY),
        ROW("LogsDirectory", DIRECTORIES, "as", 249, LIST, POLICY),
        ROW("ConfigurationDirectory", DIRECTORIES, "as", 249, LIST, POLICY),
        ROW("RuntimeDirectoryMode", MODE, "u", 249),
        ROW("CacheDirectoryMode", MODE, "u", 249),
        ROW("LogsDirectoryMode", MODE, "u", 249),
        ROW("ConfigurationDirectoryMode", MODE, "u", 249),
        ROW("RuntimeDirectoryPreserve", WORD, "s", 249, POLICY, WORDS("no", "yes", "restart")),
        ROW("ReadWritePaths", MARKED_PATHS, "as", 249, LIST, POLICY),
        ROW("ReadOnlyPaths", MARKED_PATHS, "as", 249, LIST),
        ROW("InaccessiblePaths", MARKED_PATHS, "as", 249, LIST),
        ROW("ExecPaths", MARKED_PATHS, "as", 249, LIST, POLICY),
        ROW("NoExecPaths", MARKED_PATHS, "as", 249, LIST),
        ROW("TemporaryFileSystem", TMPFS, "a(ss)", 249, LIST),
        ROW("PrivateTmp", BOOL, "b", 249),
        ROW("PrivateDevices", BOOL, "b", 249),
        ROW("PrivateNetwork", BOOL, "b", 249),
        ROW("NetworkNamespacePath", PATH, "s", 249, POLICY),
        ROW("PrivateIPC", BOOL, "b", 249),
        ROW("IPCNamespacePath", PATH, "s", 249, POLICY),
        ROW("PrivateUsers", BOOL, "b", 249),
        ROW("PrivateMounts", BOOL, "b", 249),
        ROW("ProtectHostname", BOOL, "b", 249),
        ROW("ProtectClock", BOOL, "b", 249),
        ROW("ProtectKernelTunables", BOOL, "b", 249),
        ROW("ProtectKernelModules", BOOL, "b", 249),
        ROW("ProtectKernelLogs", BOOL, "b", 249),
        ROW("ProtectControlGroups", BOOL, "b", 249),
        ROW("RestrictAddressFamilies", FILTER, "(bas)", 249, LIST, .alphabet = "_", WORDS("AF_")),
        ROW("RestrictFileSystems", FILTER, "(bas)", 250, LIST, .alphabet = "_.-@"),
        ROW("RestrictNamespaces", NAMESPACES, "t", 249, LIST, NAMES(namespaces)),
        ROW("LockPersonality", BOOL, "b", 249),
        ROW("MemoryDenyWriteExecute", BOOL, "b", 249),
        ROW("RestrictRealtime", BOOL, "b", 249),
        ROW("RestrictSUIDSGID", BOOL, "b", 249),
        ROW("RemoveIPC", BOOL, "b", 249),
        ROW("MountFlags", CODE, "t", 249, NAMES(propagations)),
        /* system call filtering */
        ROW("SystemCallFilter", SYSCALLS, "(bas)", 249, LIST, SYSCALL_GROUPS),
        ROW("SystemCallErrorNumber", ERRNO, "i", 249),
        ROW("SystemCallArchitectures", WORDS, "as", 249, LIST, ARCHITECTURES),
        ROW("SystemCallLog", SYSCALLS, "(bas)", 249, LIST, SYSCALL_GROUPS),
        /* environment */
        ROW("Environment", ENVIRONMENT, "as", 249, LIST, SUBSTITUTES),
        ROW_AS("EnvironmentFile", FILE, "EnvironmentFiles", "a(sb)", 249, LIST,
               POLICY),                                             /* read by root */
        ROW("PassEnvironment", VARIABLES, "as", 249, LIST, POLICY), /* PID 1's own */
        ROW("UnsetEnvironment", VARIABLES, "as", 249, LIST, .alphabet = "="),
        /* logging and standard input and output */
        ROW("StandardInput", STREAM, "s", 249,
            WORDS("null", "data", "tty", "tty-force", "tty-fail"), UNLESS("null", "data")),
        ROW("StandardOutput", STREAM, "s", 249,
            WORDS("journal", "inherit", "null", "tty", "kmsg", "journal+console", "kmsg+console"),
            UNLESS("journal", "inherit", "null")),
        ROW("StandardError", STREAM, "s", 249,
            WORDS("journal", "inherit", "null", "tty", "kmsg", "journal+console", "kmsg+console"),
            UNLESS("journal", "inherit", "null")),
        ROW_AS("StandardInputText", TEXT, "StandardInputData", "ay", 249, LIST, SUBSTITUTES),
        ROW("StandardInputData", BASE64, "ay", 249, LIST),
        ROW("LogLevelMax", CODE, "i", 249, NAMES(log_levels)),
        ROW("LogExtraFields", FIELDS, "aay", 249, LIST),
        ROW("SyslogFacility", CODE, "i", 249, NAMES(log_facilities)),
        ROW("SyslogLevel", CODE, "i", 249, NAMES(log_levels)),
        ROW("SyslogLevelPrefix", BOOL, "b", 249),
        /* credentials */
        ROW("LoadCredential", CREDENTIAL, "a(ss)", 249, LIST),
        ROW("LoadCredentialEncrypted", CREDENTIAL, "a(ss)", 250, LIST),
        /* Sluice's own */
        { .name = "SandboxProfile", .type = DIRECTIVE_SANDBOX, .since = 249 },
        {},
};

#define KEEPS_OUTCOME "the outcome is kept in systemd with it until the control plane has it"
#define KEEPS_FENCE "a task whose host is given up must be gone within TimeoutStopSec="

const Refusal refusals[] = {
        { "SetCredential", "everybody who may ask systemd can read it; use LoadCredential= with a "
                           "file of the host" },
        { "SetCredentialEncrypted", "it would pass through the control plane; use "
                                    "LoadCredentialEncrypted= with a file of the host" },
        { "Slice", "each attempt has a slice of its own; limit all of a host's with sluice.slice" },
        { "RemainAfterExit", KEEPS_OUTCOME },
        { "CollectMode", KEEPS_OUTCOME },
        { "ExecStop", "it would run only when the outcome has been acknowledged; KillSignal= says "
                      "how a task is asked to stop" },
        { "ExecStopPost", "it would run only when the outcome has been acknowledged; make it a "
                          "task with After= this one" },
        { "ExecReload", "nobody reloads a task; deploy another version" },
        { "SyslogIdentifier", "it is the name of the task" },
        { "LogNamespace", "its log would not be seen; all of them are in the host's journal" },
        { "LogRateLimitIntervalSec", "no line may be lost; Sluice sets it" },
        { "LogRateLimitBurst", "no line may be lost; Sluice sets it" },
        { "LogFilterPatterns", "no line may be lost; choose with sluicectl logs" },
        { "StateDirectory", "it is the run's workspace, see SLUICE_WORKSPACE" },
        { "StateDirectoryMode", "it is the run's workspace, which is its user's alone" },
        { "DynamicUser", "a task without User= has one" },
        { "SendSIGKILL", KEEPS_FENCE },
        { "FinalKillSignal", KEEPS_FENCE },
        { "TimeoutSec", "say TimeoutStopSec=, and TimeoutStartSec= in a streaming pipe" },
        { "MemoryLimit", "systemd has replaced it by MemoryMax=" },
        { "CPUShares", "systemd has replaced it by CPUWeight=" },
        { "BlockIOWeight", "systemd has replaced it by IOWeight=" },
        { "WantedBy", "nothing is enabled; a [Schedule NAME] says when the pipe runs" },
        { "PAMName", "no session belongs to a task" },
        { "PIDFile", "systemd starts the task's process itself" },
        { "GuessMainPID", "systemd starts the task's process itself" },
        { "CPUAccounting", "it is always on" },
        { "MemoryAccounting", "it is always on" },
        { "TasksAccounting", "it is always on" },
        { "IOAccounting", "it is always on" },
        { "Requires", "tasks of a pipe wait for each other with After=" },
        { "Wants", "tasks of a pipe wait for each other with After=" },
        {},
};
