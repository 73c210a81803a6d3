/* What the API answers, as structs; docs/openapi.yaml has the meanings. All pointers are owned and may be NULL. Decode with
 * shape_decode(), empty with json_done(). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "client.h"
#include "json-in.h"

typedef struct Attempt {
        char *attempt, *state, *outcome, *exit_code, *reason, *agent, *unit, *started_at, *ended_at,
                *why;
        uint32_t epoch, exit_status;
        uint64_t runtime_usec, cpu_usage_usec, memory_peak_bytes, memory_max_bytes,
                cpu_quota_per_sec_usec, tasks_max, restarts;
        char *status_text;
        char **output; /* key, value, key, value */
} Attempt;

typedef struct Task {
        char *task, *parent, *state, *reason, *retry_at, *passed_over;
        JsonArray attempts; /* Attempt */
} Task;

/* What a run was given. */
typedef struct Value {
        char *name, *value, *origin;
        bool required; /* where nothing is run yet */
} Value;
/* The due time that a run is for; schedule NULL: somebody asked for it. */
typedef struct Scheduled {
        char *schedule, *due_at, *interval_start, *caused_by, *caused_by_pipe;
} Scheduled;

typedef struct Run {
        char *run, *project, *pipe, *version, *state, *outcome, *reason, *created_by, *created_at,
                *started_at, *ended_at, *rerun_of, *etag;
        bool log_complete, trial;
        Scheduled scheduled;
        JsonArray tasks;      /* Task; empty in lists */
        JsonArray parameters; /* Value; empty in lists */
} Run;

typedef struct Stream {
        char *desired, *state, *run, *version, *agent, *status_text, *reason, *again_at;
        uint64_t restarts;
} Stream;

typedef struct PipeFacts {
        char *project, *pipe, *version, *type, *description, *created_at, *created_by, *source,
                *spec;
        bool created, changed;
        char **notes;  /* of a deployment */
        Stream stream; /* of a streaming pipe; else its texts are NULL */
} PipeFacts;

typedef struct Deployment {
        char *pipe, *version, *description, *deployed_at, *deployed_by;
} Deployment;

typedef struct Instance {
        char *instance, *status, *hostname, *version, *systemd, *kernel, *architecture,
                *last_seen_at, *reason, *since;
        uint32_t cpus, slots, slots_used;
        uint64_t memory_bytes;
        bool draining;
} Instance;

typedef struct Agent {
        char *agent, *name, *type, *status, *reason, *since, *created_at;
        char **labels;       /* label, value */
        JsonArray instances; /* Instance */
} Agent;

typedef struct Key {
        char *key, *key_id, *type, *description, *created_at, *created_by, *expires_at, *revoked_at;
        char **agents, **labels;
        uint32_t max_uses, uses;
} Key;

typedef struct Project {
        char *project, *created_at;
        uint32_t concurrency_limit; /* 0: none */
        char **parameters;          /* name, value, name, value */
} Project;

/* A page of a list. */
typedef struct Page {
        JsonArray items;
        char *next;
} Page;

/* Decodes the reply; then all texts but a pipe's source are fit for a terminal. On error, with words in e, there is nothing to empty. */
int shape_decode(const Reply *reply, const JsonField *fields, void *target, Error *e);

extern const JsonField scheduled_fields[], value_fields[], stream_fields[], run_fields[],
        pipe_fields[], agent_fields[], key_fields[], project_fields[];
extern const JsonField run_page_fields[], pipe_page_fields[], deployment_page_fields[],
        agent_page_fields[], key_page_fields[], project_page_fields[];

/* The last attempt of a task; NULL when there is none. */
const Attempt *task_last_attempt(const Task *t);
/* The attempt that decided how a failed run ended: the one that failed first. NULL when there is none. */
const Attempt *run_failed_attempt(const Run *run);
/* What --wait ends with: 0, the exit status of the failed task, 128 + the signal that killed it, else 1. */
int run_exit_status(const Run *run);
bool run_is_over(const Run *run);
/* A task of it waits for an agent. */
bool run_waits(const Run *run);
