/* The agent protocol as C structs, their field tables and limits; docs/PROTOCOL.md is the text. controld decodes the
 * requests, agentd the answers. Structs are zero-initialised, decoded with JSON_IGNORE_UNKNOWN, emptied by json_done(). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "json-in.h"

#define PROTO_VERSION 1U
#define PROTO_PATH "/agent/v1"
#define PROTO_EVENTS_MAX 64U
#define PROTO_SAMPLES_MAX 256U
#define PROTO_ATTEMPTS_MAX 2000U
#define PROTO_WORKSPACES_MAX 1024U
#define PROTO_SLOTS_MAX 1000U
#define PROTO_WAIT_SEC_MAX 50U
#define PROTO_DIRECTIVES_MAX 512U
#define PROTO_PARAMETERS_MAX 64U
#define PROTO_VARIABLES_MAX 16U
#define PROTO_OUTPUT_MAX 256U    /* keys of a task */
#define PROTO_OUTPUTS_MAX 65536U /* of all tasks before */
#define PROTO_NAME_MAX 256U      /* project, pipe, task */
#define PROTO_ANSWER_MAX (8U * 1024 * 1024)

/* enroll */
typedef struct ProtoEnroll {
        char *instance;
        char *agent; /* NULL with an enrolment key */
        char *name;
        char *type;
        char **labels; /* name, value, name, value */
        uint32_t slots;
        char *version;
        uint32_t protocol;
        char *hostname;
        char *systemd;
        char *kernel;
        char *architecture;
        uint32_t cpus;
        uint64_t memory_bytes;
} ProtoEnroll;

typedef struct ProtoEnrolled {
        char *agent;
        char *instance;
        char *name;
        char *credential;
} ProtoEnrolled;

/* sync */
typedef struct ProtoKnown {
        char *attempt;
        uint32_t epoch;
        char *state;
        bool resume;
} ProtoKnown;

typedef struct ProtoSync {
        char *session;
        uint64_t sequence; /* of this sync in its session */
        char *boot;
        char *version;
        uint32_t slots;
        bool draining;
        bool drain_heard;
        uint32_t self_fence_sec;
        uint32_t wait_sec;
        JsonArray attempts; /* ProtoKnown */
        char **workspaces;
        char *challenge; /* as the last answer had it */
        char *on_clone;  /* "quarantine" or "enrol" */
        /* As in ProtoEnroll, in the first of a session; NULL or 0: as they were. */
        char *hostname;
        char *systemd;
        char *kernel;
        char *architecture;
        uint32_t cpus;
        uint64_t memory_bytes;
} ProtoSync;

/* events */
typedef struct ProtoEvent {
        char *attempt; /* NULL in state cleaned */
        char *run;     /* only in state cleaned */
        uint32_t epoch;
        char *state;
        uint64_t realtime_usec;
        char *invocation_id;
        char *slice;
        char *reason;
        bool requeue;
        char *result;
        char *exit_code;
        uint32_t exit_status;
        uint64_t runtime_usec;
        uint64_t cpu_usage_usec;
        uint64_t memory_peak_bytes;
        uint64_t io_read_bytes;
        uint64_t io_write_bytes;
        uint64_t oom_kills;
        uint64_t memory_max_bytes;
        uint64_t cpu_quota_per_sec_usec;
        uint64_t tasks_max;
        uint32_t sequence;
        uint32_t restarts;
        char *status_text;
        bool ready;
        char **output; /* key, value, key, value */
} ProtoEvent;

typedef struct ProtoEvents {
        char *session;
        JsonArray events; /* ProtoEvent */
} ProtoEvents;

/* The answer to sync and to events. */
typedef struct ProtoAssignment {
        char *attempt;
        uint32_t epoch;
        char *run;
        char *project;
        char *pipe;
        char *task;
        bool fence;        /* another agent may be given the task when this one is not heard of */
        bool streaming;    /* PID 1 supervises it, and the control plane wants its `status` */
        char **variables;  /* of its schedule, for its environment: name, value, name, value */
        char **directives; /* name, value, name, value */
        char **parameters; /* name, value, name, value */
        char **outputs;    /* "TASK.KEY", value, … */
} ProtoAssignment;

typedef struct ProtoStop {
        char *attempt;
        uint32_t epoch;
        char *reason;
} ProtoStop;

typedef struct ProtoRelease {
        char *attempt;
        uint32_t epoch;
} ProtoRelease;

typedef struct ProtoResume {
        char *attempt;
        uint32_t epoch;
        uint32_t sequence;
        char *cursor;
        uint64_t monotonic_usec;
} ProtoResume;

typedef struct ProtoRecover {
        char *attempt;
        uint32_t epoch;
        char *run;
        uint32_t sequence;
        char *cursor;
        uint64_t monotonic_usec;
} ProtoRecover;

typedef struct ProtoAcknowledged {
        char *attempt;
        uint32_t epoch;
        char *run;
        char *state;
} ProtoAcknowledged;

typedef struct ProtoWork {
        JsonArray start;   /* ProtoAssignment */
        JsonArray stop;    /* ProtoStop */
        JsonArray release; /* ProtoRelease */
        char **clean;
        JsonArray resume;       /* ProtoResume */
        JsonArray recover;      /* ProtoRecover */
        char *drain;            /* "true" or "false", NULL when there is no news of it */
        JsonArray acknowledged; /* ProtoAcknowledged; only from events */
        char *challenge;        /* a session that would be another's; say it back at once */
        bool pending; /* our session does not count yet, or not now; nothing else is in here */
} ProtoWork;

/* logs: the answer, 200 or 409 */
typedef struct ProtoLogged {
        uint32_t sequence;
        char *cursor;
        uint64_t monotonic_usec;
} ProtoLogged;

/* metrics */
typedef struct ProtoSample {
        char *attempt;
        uint32_t epoch;
        uint64_t realtime_usec;
        uint64_t cpu_usage_usec;
        uint64_t memory_current_bytes;
        uint64_t memory_peak_bytes;
        uint64_t io_read_bytes;
        uint64_t io_write_bytes;
        uint64_t tasks_current;
} ProtoSample;

typedef struct ProtoMetrics {
        JsonArray samples; /* ProtoSample */
} ProtoMetrics;

/* goodbye */
typedef struct ProtoGoodbye {
        char *session;
        char *reason;
} ProtoGoodbye;

/* Every refusal. */
typedef struct ProtoProblem {
        char *title;
        char *detail;
        char *code;
        char *hint;
} ProtoProblem;

extern const JsonField proto_event_fields[], proto_recover_fields[];
extern const JsonField proto_enroll_fields[];
extern const JsonField proto_enrolled_fields[];
extern const JsonField proto_sync_fields[];
extern const JsonField proto_events_fields[];
extern const JsonField proto_assignment_fields[];
extern const JsonField proto_work_fields[];
extern const JsonField proto_logged_fields[];
extern const JsonField proto_metrics_fields[];
extern const JsonField proto_goodbye_fields[];
extern const JsonField proto_problem_fields[];
