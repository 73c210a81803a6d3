/* Writes properties into a message, in groups. What a sandbox profile means stands in one table. */
#include "properties.h"

#include <errno.h>

#include "cleanup.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"

#define LOG_BURST                                                                                  \
        100000000U /* journald's limit lost 40 to 60 % of a burst; it cannot be switched off by unit */

typedef enum SandboxType {
        SANDBOX_BOOL,  /* true */
        SANDBOX_TEXT,  /* text */
        SANDBOX_EMPTY, /* uint64: no bit of a set */
        SANDBOX_WORDS, /* array of words */
        SANDBOX_ALLOW, /* (bas): only these words */
} SandboxType;

static const struct {
        Sandbox from; /* the mildest profile that has it */
        const char *property;
        SandboxType type;
        const char *text;
} sandbox_rows[] = {
        { SANDBOX_STANDARD, "NoNewPrivileges", SANDBOX_BOOL, NULL },
        { SANDBOX_STANDARD, "ProtectSystem", SANDBOX_TEXT, "strict" },
        { SANDBOX_STANDARD, "ProtectHome", SANDBOX_TEXT, "yes" },
        { SANDBOX_STANDARD, "PrivateTmp", SANDBOX_BOOL, NULL },
        { SANDBOX_STANDARD, "PrivateDevices", SANDBOX_BOOL, NULL },
        { SANDBOX_STANDARD, "ProtectClock", SANDBOX_BOOL, NULL },
        { SANDBOX_STANDARD, "ProtectControlGroups", SANDBOX_BOOL, NULL },
        { SANDBOX_STANDARD, "ProtectHostname", SANDBOX_BOOL, NULL },
        { SANDBOX_STANDARD, "ProtectKernelLogs", SANDBOX_BOOL, NULL },
        { SANDBOX_STANDARD, "ProtectKernelModules", SANDBOX_BOOL, NULL },
        { SANDBOX_STANDARD, "ProtectKernelTunables", SANDBOX_BOOL, NULL },
        { SANDBOX_STANDARD, "RestrictRealtime", SANDBOX_BOOL, NULL },
        { SANDBOX_STANDARD, "RestrictSUIDSGID", SANDBOX_BOOL, NULL },
        { SANDBOX_STANDARD, "LockPersonality", SANDBOX_BOOL, NULL },
        { SANDBOX_STANDARD, "CapabilityBoundingSet", SANDBOX_EMPTY, NULL },
        { SANDBOX_STANDARD, "SystemCallArchitectures", SANDBOX_WORDS, "native" },
        { SANDBOX_STRICT, "RestrictNamespaces", SANDBOX_EMPTY, NULL },
        { SANDBOX_STRICT, "MemoryDenyWriteExecute", SANDBOX_BOOL, NULL },
        { SANDBOX_STRICT, "PrivateUsers", SANDBOX_BOOL, NULL },
        { SANDBOX_STRICT, "ProtectProc", SANDBOX_TEXT, "invisible" },
        { SANDBOX_STRICT, "ProcSubset", SANDBOX_TEXT, "pid" },
        { SANDBOX_STRICT, "RestrictAddressFamilies", SANDBOX_ALLOW, "AF_UNIX AF_INET AF_INET6" },
        { SANDBOX_STRICT, "SystemCallFilter", SANDBOX_ALLOW, "@system-service" },
};

static int append_words(sd_bus_message *m, const char *property, const char *text, bool allow) {
        _cleanup_(strv_freep) char **words = NULL;
        int r = strv_split(text, " ", &words);

        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'r', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", property);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', allow ? "(bas)" : "as");
        if (r >= 0 && allow)
                r = sd_bus_message_open_container(m, 'r', "bas");
        if (r >= 0 && allow)
                r = sd_bus_message_append(m, "b", true);
        if (r >= 0)
                r = sd_bus_message_append_strv(m, words);
        if (r >= 0 && allow)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_sandbox(sd_bus_message *m, Sandbox profile) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(sandbox_rows); i++) {
                const char *property = sandbox_rows[i].property, *text = sandbox_rows[i].text;

                if (profile < sandbox_rows[i].from)
                        continue;
                switch (sandbox_rows[i].type) {
                case SANDBOX_BOOL:
                        r = sd_bus_message_append(m, "(sv)", property, "b", true);
                        break;
                case SANDBOX_TEXT:
                        r = sd_bus_message_append(m, "(sv)", property, "s", text);
                        break;
                case SANDBOX_EMPTY:
                        r = sd_bus_message_append(m, "(sv)", property, "t", (uint64_t) 0);
                        break;
                case SANDBOX_WORDS:
                case SANDBOX_ALLOW:
                        r = append_words(m, property, text, sandbox_rows[i].type == SANDBOX_ALLOW);
                        break;
                }
        }
        return r;
}

static int append_strv(sd_bus_message *m, const char *property, char *const *v) {
        int r = sd_bus_message_open_container(m, 'r', "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", property);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **) v);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* ExecStartEx tells path and argv[0] apart: the resolved file is executed under the name that was asked for. */
static int append_command(sd_bus_message *m, const UnitSpec *s) {
        int r = sd_bus_message_open_container(m, 'r', "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", "ExecStartEx");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "a(sasas)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sasas)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'r', "sasas");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", s->executable);
        if (r >= 0)
                r = sd_bus_message_append_strv(m, s->command.argv);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "s");
        if (r >= 0 && (s->command.flags & EXEC_IGNORE_FAILURE))
                r = sd_bus_message_append(m, "s", "ignore-failure");
        if (r >= 0 && (s->command.flags & EXEC_NO_EXPAND))
                r = sd_bus_message_append(m, "s", "no-env-expand");
        for (int level = 0; r >= 0 && level < 5; level++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_log_fields(sd_bus_message *m, char *const *fields) {
        int r = sd_bus_message_open_container(m, 'r', "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", "LogExtraFields");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "aay");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "ay");
        for (char *const *f = fields; r >= 0 && f && *f; f++)
                r = sd_bus_message_append_array(m, 'y', *f, strlen(*f));
        for (int level = 0; r >= 0 && level < 3; level++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_credentials(sd_bus_message *m, char *const *credentials) {
        int r;

        if (!credentials)
                return 0;
        r = sd_bus_message_open_container(m, 'r', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "LoadCredential");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "a(ss)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(ss)");
        for (char *const *c = credentials; r >= 0 && c[0]; c += 2)
                r = sd_bus_message_append(m, "(ss)", c[0], c[1]);
        for (int level = 0; r >= 0 && level < 3; level++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_numbers(sd_bus_message *m, const UnitSpec *s) {
        const struct {
                const char *property;
                uint64_t value;
        } rows[] = {
                { "MemoryMax", s->memory_max },
                { "MemoryHigh", s->memory_high },
                { "CPUQuotaPerSecUSec", s->cpu_quota_usec },
                { "CPUWeight", s->cpu_weight },
                { "TasksMax", s->tasks_max },
                { "IOWeight", s->io_weight },
                { "RuntimeMaxUSec", s->runtime_max_usec },
                { "TimeoutStopUSec", s->timeout_stop_usec },
        };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(rows); i++)
                if (rows[i].value > 0)
                        r = sd_bus_message_append(m, "(sv)", rows[i].property, "t", rows[i].value);
        return r;
}

static int append_settings(sd_bus_message *m, const UnitSpec *s) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < s->n_settings; i++) {
                const char *property = s->settings[i].directive->property;
                uint64_t number = s->settings[i].number;

                if (s->settings[i].word)
                        r = sd_bus_message_append(m, "(sv)", property, "s", s->settings[i].word);
                else if (s->settings[i].directive->type == DIRECTIVE_COUNT)
                        r = sd_bus_message_append(m, "(sv)", property, "u", (uint32_t) number);
                else
                        r = sd_bus_message_append(m, "(sv)", property, "t", number);
        }
        return r;
}

/* RemainAfterExit= keeps the outcome in PID 1 until it is acknowledged; that a failed unit is kept too is CollectMode='s
 * default. Memory, tasks and IO are accounted in the service, so that its slice has the controllers as well. */
static int append_service(sd_bus_message *m, const UnitSpec *s) {
        int r = sd_bus_message_append(
                m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)", "Description", "s", s->description,
                "Type", "s", "exec", "RemainAfterExit", "b", s->leave_success, "CollectMode", "s",
                "inactive", "Slice", "s", s->slice, "CPUAccounting", "b", true, "MemoryAccounting",
                "b", true, "TasksAccounting", "b", true, "IOAccounting", "b", true);

        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)(sv)(sv)", "SyslogIdentifier", "s", s->identifier,
                                          "LogRateLimitIntervalUSec", "t", USEC_PER_SEC,
                                          "LogRateLimitBurst", "u", LOG_BURST);
        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)", "User", "s", s->user,
                                          "StateDirectory", "as", 1, s->state_directory,
                                          "StateDirectoryMode", "u", 0700U, "WorkingDirectory", "s",
                                          s->working_directory);
        if (r >= 0 && s->dynamic_user)
                r = sd_bus_message_append(m, "(sv)", "DynamicUser", "b", true);
        if (r >= 0 && s->lease)
                r = sd_bus_message_append(m, "(sv)(sv)", "PartOf", "as", 1, s->lease, "After", "as",
                                          1, s->lease);
        return r;
}

int properties_append(sd_bus_message *m, const UnitSpec *s) {
        int r = sd_bus_message_open_container(m, 'a', "(sv)");

        if (r >= 0)
                r = append_service(m, s);
        if (r >= 0)
                r = append_command(m, s);
        if (r >= 0)
                r = append_strv(m, "Environment", s->environment);
        if (r >= 0)
                r = append_log_fields(m, s->log_fields);
        if (r >= 0)
                r = append_credentials(m, s->credentials);
        if (r >= 0)
                r = append_numbers(m, s);
        if (r >= 0)
                r = append_settings(m, s); /* after Type=exec: the last word counts */
        if (r >= 0)
                r = append_sandbox(m, s->sandbox);
        return r < 0 ? r : sd_bus_message_close_container(m);
}
