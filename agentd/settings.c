/* The table of settings, and the key that stands outside of it. */
#include "settings.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "config.h"
#include "fileio.h"
#include "id.h"
#include "log.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"
#include "unit-name.h"

#define KEY_FILE_MAX 4096
#define INTERVAL_MIN_USEC USEC_PER_SEC
#define SELF_FENCE_MIN_USEC (15 * USEC_PER_SEC)
#define SELF_FENCE_MAX_USEC (86400 * USEC_PER_SEC)

static const ConfigField fields[] = {
        { "Agent", "URL", "url", CONFIG_LIST, offsetof(Settings, urls), "" },
        { "Agent", "CAFile", "ca-file", CONFIG_TEXT, offsetof(Settings, ca_file), "" },
        { "Agent", "Name", "name", CONFIG_TEXT, offsetof(Settings, name), "" },
        { "Agent", "Type", "type", CONFIG_TEXT, offsetof(Settings, type), "batch" },
        { "Agent", "Slots", "slots", CONFIG_U32, offsetof(Settings, slots), "4", 1, 1000 },
        { "Agent", "Labels", "labels", CONFIG_LIST, offsetof(Settings, labels), "" },
        { "Agent", "EnrolmentKeyFile", "enrolment-key-file", CONFIG_TEXT,
          offsetof(Settings, enrolment_key_file), "" },
        { "Agent", "AgentID", "agent-id", CONFIG_TEXT, offsetof(Settings, agent_id), "" },
        { "Agent", "APIKeyFile", "api-key-file", CONFIG_TEXT, offsetof(Settings, api_key_file),
          "" },
        { "Agent", "StateDirectory", "state-directory", CONFIG_TEXT,
          offsetof(Settings, state_directory), "/var/lib/sluice-agentd" },
        { "Agent", "MetricsIntervalSec", "metrics-interval", CONFIG_SPAN,
          offsetof(Settings, metrics_interval_usec), "10s" },
        { "Agent", "SelfFenceSec", "self-fence", CONFIG_SPAN, offsetof(Settings, self_fence_usec),
          "5min" },
        { "Agent", "DrainOnStopSec", "drain-on-stop", CONFIG_SPAN,
          offsetof(Settings, drain_on_stop_usec), "0" },
        { "Agent", "OnClone", "on-clone", CONFIG_TEXT, offsetof(Settings, on_clone), "quarantine" },
        { "Agent", "Instance", "instance", CONFIG_TEXT, offsetof(Settings, instance), "" },
        { "Agent", "LogLevel", "log-level", CONFIG_TEXT, offsetof(Settings, log_level), "info" },
        {},
};

static int check(const Settings *s, Error *e) {
        int level = log_level_from_string(s->log_level ? s->log_level : "");
        Id id;

        if (level < 0)
                return error_set(e, level, "bad-config", "LogLevel=%s is no log level.",
                                 s->log_level);
        log_set_max_level(level);
        if (!str_eq(s->type, "batch") && !str_eq(s->type, "streaming"))
                return error_set(e, -EINVAL, "bad-config", "Type= is batch or streaming.");
        if (s->instance && !instance_is_valid(s->instance))
                return error_set(e, -EINVAL, "bad-config",
                                 "Instance=%s is not 2 to 16 lower-case letters, digits and _, a "
                                 "letter first.",
                                 s->instance);
        if (!str_eq(s->on_clone, "quarantine") && !str_eq(s->on_clone, "enrol"))
                return error_set(e, -EINVAL, "bad-config", "OnClone= is quarantine or enrol.");
        if (!s->state_directory || *s->state_directory != '/')
                return error_set(e, -EINVAL, "bad-config", "StateDirectory= is an absolute path.");
        if (s->agent_id && id_parse(s->agent_id, &id) < 0)
                return error_set(e, -EINVAL, "bad-config", "AgentID=%s is no UUID.", s->agent_id);
        if (s->metrics_interval_usec < INTERVAL_MIN_USEC)
                return error_set(e, -EINVAL, "bad-config", "MetricsIntervalSec= is at least 1s.");
        if (s->self_fence_usec < SELF_FENCE_MIN_USEC || s->self_fence_usec > SELF_FENCE_MAX_USEC)
                return error_set(e, -EINVAL, "bad-config", "SelfFenceSec= is 15s to 1day.");
        return 0;
}

int settings_load(Settings *s, const char *path, int *argc, char **argv, Error *e) {
        const ConfigFile files[] = {
                { path ? path : SLUICE_CONFIG_DIR "/agentd.conf", path != NULL },
                {},
        };
        int r = config_load(fields, files, argc, argv, s, e);

        return r != 0 ? r : check(s, e);
}

void settings_done(Settings *s) {
        config_clear(fields, s);
}

int settings_check(const Settings *s, Error *e) {
        if (!s->urls || !*s->urls)
                return error_set(e, -EINVAL, "bad-config",
                                 "URL= is missing: say in " SLUICE_CONFIG_DIR
                                 "/agentd.conf where controld answers, as "
                                 "URL=https://controld.example.org:8443");
        STRV_FOREACH(url, s->urls)
                if (!str_after(*url, "https://") && !str_after(*url, "http://"))
                        return error_set(e, -EINVAL, "bad-config",
                                         "URL=%s must begin with https://.", *url);
        return 0;
}

static int read_key_file(const char *path, char **ret, Error *e) {
        int r = file_read_secret(path, KEY_FILE_MAX, ret);

        if (r == -EPERM)
                return error_set(e, r, "bad-key", "Others may read the key in %s. Try: chmod o= %s",
                                 path, path);
        if (r < 0)
                return error_set(e, r, "bad-key", "Cannot read the key in %s: %s.", path,
                                 strerror(-r));
        return 0;
}

static int read_credential(const char *name, char **ret) {
        const char *directory = getenv("CREDENTIALS_DIRECTORY");
        _cleanup_(freep) char *path = directory ? str_format("%s/%s", directory, name) : NULL;

        return path ? file_read_secret(path, KEY_FILE_MAX, ret) : -ENOENT;
}

int settings_read_key(const Settings *s, char **ret, bool *ret_api, Error *e) {
        *ret_api = s->agent_id != NULL;
        if (*ret_api && s->api_key_file)
                return read_key_file(s->api_key_file, ret, e);
        if (!*ret_api && s->enrolment_key_file)
                return read_key_file(s->enrolment_key_file, ret, e);
        if (read_credential(*ret_api ? "api-key" : "enrolment-key", ret) >= 0)
                return 0;
        return error_set(e, -ENOKEY, "no-key",
                         *ret_api ? "AgentID= needs the agent's API key: set APIKeyFile=."
                                  : "This agent is not enrolled and has no key to enrol with: set "
                                    "EnrolmentKeyFile=, or AgentID= and APIKeyFile=.");
}
