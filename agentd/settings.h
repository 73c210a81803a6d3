/* agentd.conf(5): where the control plane is, and who this agent is. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

typedef struct Settings {
        /* owned */
        char **urls;
        char *ca_file; /* NULL: the system's */
        char *name;    /* NULL: the host name */
        char *type;
        char **labels; /* "region=eu-west", "warehouse" */
        char *enrolment_key_file;
        char *agent_id;
        char *api_key_file;
        char *state_directory;
        char *log_level;
        char *on_clone; /* "quarantine" or "enrol" */
        char *instance; /* NULL: the one without a name */
        uint32_t slots;
        uint64_t metrics_interval_usec;
        uint64_t self_fence_usec;
        uint64_t drain_on_stop_usec; /* 0: tasks are left alone */
} Settings;

/* path: the file, or NULL for the usual one. Takes what it knows out of argv. 1 when --print-config has been answered. */
int settings_load(Settings *s, const char *path, int *argc, char **argv, Error *e);
void settings_done(Settings *s);

/* What is missing before an agent can work; not needed for --print-config. */
int settings_check(const Settings *s, Error *e);

/* The key to enrol with: of the file that is configured, or of the unit's credential "enrolment-key" or "api-key".
 * *ret_api: it is an API key. Owned by the caller. */
int settings_read_key(const Settings *s, char **ret, bool *ret_api, Error *e);
