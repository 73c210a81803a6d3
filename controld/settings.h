/* controld's settings, controld.conf(5). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

typedef struct Settings {
        char *listen; /* "ADDRESS:PORT" */
        char *state_directory;
        char *runtime_directory;
        char *certificate_file; /* absolute; filled in from state_directory when not set */
        char *private_key_file;
        char *webhook_key_file;         /* the same */
        char *database;                 /* "embedded" or a libpq connection string */
        char *postgresql_bin_directory; /* found when not set */
        char *workers;                  /* "auto" or a number */
        char *log_level;
        char *sql_directory;
        bool insecure_http;
        bool database_pooler;        /* in transaction mode: no session is ours */
        bool notifications;          /* LISTEN, or ask every poll_interval_usec */
        uint64_t poll_interval_usec; /* without notifications */
        uint32_t max_connections;    /* a worker */
        uint64_t statement_timeout_usec;
        uint64_t peer_timeout_usec;  /* of a connection whose other end does not answer */
        uint64_t absence_grace_usec; /* for an agent whose connection broke, to come back */
        uint64_t lease_usec;         /* of an agent that was heard of, and not since */
} Settings;

/* Reads file, environment and those of argv that are settings; the rest stays in argv (compacted, *argc updated).
 * 0 to go on, 1 when --print-config has been answered. */
int settings_load(Settings *s, const char *path, int *argc, char **argv, Error *e);
void settings_done(Settings *s);

bool settings_embedded(const Settings *s);
unsigned settings_workers(const Settings *s);

/* Directory of the embedded cluster's socket; the connection string for libpq. Owned by the caller; NULL without memory. */
char *settings_socket_directory(const Settings *s);
char *settings_conninfo(const Settings *s);
