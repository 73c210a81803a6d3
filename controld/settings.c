/* The table of settings, and what follows from them. */
#include "settings.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "cleanup.h"
#include "config.h"
#include "log.h"
#include "parse.h"
#include "str.h"
#include "timespan.h"

#define WORKERS_MAX 64
#define STATEMENT_TIMEOUT_MIN_USEC (100 * USEC_PER_MSEC)
#define STATEMENT_TIMEOUT_MAX_USEC USEC_PER_HOUR
#define PEER_TIMEOUT_MIN_USEC (4 * USEC_PER_SEC)
#define LEASE_MIN_USEC                                                                             \
        (75 * USEC_PER_SEC) /* a poll may last 50 s, and is written down 20 s later */

static const ConfigField fields[] = {
        { "Controld", "Listen", "listen", CONFIG_TEXT, offsetof(Settings, listen), "0.0.0.0:8443" },
        { "Controld", "StateDirectory", "state-directory", CONFIG_TEXT,
          offsetof(Settings, state_directory), "/var/lib/sluice-controld" },
        { "Controld", "RuntimeDirectory", "runtime-directory", CONFIG_TEXT,
          offsetof(Settings, runtime_directory), "/run/sluice-controld" },
        { "Controld", "CertificateFile", "certificate-file", CONFIG_TEXT,
          offsetof(Settings, certificate_file), "" },
        { "Controld", "PrivateKeyFile", "private-key-file", CONFIG_TEXT,
          offsetof(Settings, private_key_file), "" },
        { "Controld", "WebhookKeyFile", "webhook-key-file", CONFIG_TEXT,
          offsetof(Settings, webhook_key_file), "" },
        { "Controld", "Database", "database", CONFIG_TEXT, offsetof(Settings, database),
          "embedded" },
        { "Controld", "PostgreSQLBinDirectory", "postgresql-bin-directory", CONFIG_TEXT,
          offsetof(Settings, postgresql_bin_directory), "" },
        { "Controld", "Workers", "workers", CONFIG_TEXT, offsetof(Settings, workers), "auto" },
        { "Controld", "LogLevel", "log-level", CONFIG_TEXT, offsetof(Settings, log_level), "info" },
        { "Controld", "SQLDirectory", "sql-directory", CONFIG_TEXT,
          offsetof(Settings, sql_directory), SLUICE_SQL_DIR },
        { "Controld", "InsecureHTTP", "insecure-http", CONFIG_BOOL,
          offsetof(Settings, insecure_http), "no" },
        { "Controld", "MaxConnections", "max-connections", CONFIG_U32,
          offsetof(Settings, max_connections), "16384", 16, 1000000 },
        { "Controld", "StatementTimeoutSec", "statement-timeout", CONFIG_SPAN,
          offsetof(Settings, statement_timeout_usec), "10s" },
        { "Controld", "DatabasePooler", "database-pooler", CONFIG_BOOL,
          offsetof(Settings, database_pooler), "no" },
        { "Controld", "Notifications", "notifications", CONFIG_BOOL,
          offsetof(Settings, notifications), "yes" },
        { "Controld", "PollIntervalSec", "poll-interval", CONFIG_SPAN,
          offsetof(Settings, poll_interval_usec), "1s" },
        { "Controld", "PeerTimeoutSec", "peer-timeout", CONFIG_SPAN,
          offsetof(Settings, peer_timeout_usec), "9s" },
        { "Controld", "AbsenceGraceSec", "absence-grace", CONFIG_SPAN,
          offsetof(Settings, absence_grace_usec), "3s" },
        { "Controld", "LeaseSec", "lease", CONFIG_SPAN, offsetof(Settings, lease_usec), "90s" },
        {},
};

static int fill_in(char **slot, const char *directory, const char *file) {
        if (*slot)
                return 0;
        *slot = str_format("%s/%s", directory, file);
        return *slot ? 0 : -ENOMEM;
}

static const struct {
        const char *name;
        size_t offset;
        uint64_t min, max;
        const char *words;
} spans[] = {
        { "StatementTimeoutSec", offsetof(Settings, statement_timeout_usec),
          STATEMENT_TIMEOUT_MIN_USEC, STATEMENT_TIMEOUT_MAX_USEC, "from 100ms to 1h" },
        { "PollIntervalSec", offsetof(Settings, poll_interval_usec), 100 * USEC_PER_MSEC,
          USEC_PER_MINUTE, "from 100ms to 1min" },
        { "PeerTimeoutSec", offsetof(Settings, peer_timeout_usec), PEER_TIMEOUT_MIN_USEC,
          USEC_PER_HOUR, "from 4s to 1h" },
        { "AbsenceGraceSec", offsetof(Settings, absence_grace_usec), 0, USEC_PER_HOUR,
          "at most 1h" },
        { "LeaseSec", offsetof(Settings, lease_usec), LEASE_MIN_USEC, 24 * USEC_PER_HOUR,
          "from 75s to 1d" },
};

static int check_spans(const Settings *s, Error *e) {
        for (size_t i = 0; i < ELEMENTSOF(spans); i++) {
                uint64_t usec =
                        *(const uint64_t *) (const void *) ((const char *) s + spans[i].offset);

                if (usec < spans[i].min || usec > spans[i].max)
                        return error_set(e, -EINVAL, "bad-config", "%s= is %s.", spans[i].name,
                                         spans[i].words);
        }
        return 0;
}

static int check(Settings *s, Error *e) {
        uint64_t n;
        int level = log_level_from_string(s->log_level ? s->log_level : "");

        if (level < 0)
                return error_set(e, level, "bad-config", "LogLevel=%s is no log level.",
                                 s->log_level);
        log_set_max_level(level);
        if (!s->workers ||
            (!str_eq(s->workers, "auto") && parse_u64_range(s->workers, 1, WORKERS_MAX, &n) < 0))
                return error_set(e, -EINVAL, "bad-config",
                                 "Workers= is auto or a number from 1 to %d.", WORKERS_MAX);
        if (!s->state_directory || *s->state_directory != '/' || !s->runtime_directory ||
            *s->runtime_directory != '/')
                return error_set(e, -EINVAL, "bad-config",
                                 "StateDirectory= and RuntimeDirectory= are absolute paths.");
        if (check_spans(s, e) < 0)
                return -EINVAL;
        if (s->database_pooler) /* a session that LISTENs may be anybody's a moment later */
                s->notifications = false;
        if (!s->database || !s->listen)
                return error_set(e, -EINVAL, "bad-config",
                                 "Database= and Listen= cannot be empty.");
        if (fill_in(&s->certificate_file, s->state_directory, "tls/server.pem") < 0 ||
            fill_in(&s->private_key_file, s->state_directory, "tls/server.key") < 0 ||
            fill_in(&s->webhook_key_file, s->state_directory, "webhook.key") < 0)
                return -ENOMEM;
        return 0;
}

int settings_load(Settings *s, const char *path, int *argc, char **argv, Error *e) {
        const ConfigFile files[] = {
                { path ? path : SLUICE_CONFIG_DIR "/controld.conf", path != NULL },
                {},
        };
        int r = config_load(fields, files, argc, argv, s, e);

        return r != 0 ? r : check(s, e);
}

void settings_done(Settings *s) {
        config_clear(fields, s);
}

bool settings_embedded(const Settings *s) {
        return str_eq(s->database, "embedded");
}

unsigned settings_workers(const Settings *s) {
        uint64_t n = 0;
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);

        if (parse_u64(s->workers, &n) < 0)
                n = cpus < 1 ? 1 : (uint64_t) cpus;
        return (unsigned) (n > WORKERS_MAX ? WORKERS_MAX : n);
}

char *settings_socket_directory(const Settings *s) {
        return str_format("%s/postgresql", s->runtime_directory);
}

char *settings_conninfo(const Settings *s) {
        _cleanup_(freep) char *directory = NULL;

        if (!settings_embedded(s))
                return strdup(s->database);
        directory = settings_socket_directory(s);
        return directory ? str_format("host='%s' dbname=sluice user=sluice", directory) : NULL;
}
