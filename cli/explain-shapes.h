/* What the API's explanations are, as structs; see shapes.h. */
#pragma once

#include "shapes.h"

typedef struct ExplainedEvidence {
        char *why, *state, *result, *reason, *agent, *received_at;
        uint32_t epoch;
} ExplainedEvidence;

typedef struct ExplainedAttempt {
        char *attempt, *state, *outcome, *reason, *agent;
        uint32_t epoch;
        bool counts;
        JsonArray evidence; /* ExplainedEvidence */
} ExplainedAttempt;

typedef struct ExplainedCandidate {
        char *agent, *hostname, *verdict;
        bool suits;
} ExplainedCandidate;

typedef struct ExplainedTask {
        char *task, *state, *why;
        JsonArray attempts;   /* ExplainedAttempt */
        JsonArray candidates; /* ExplainedCandidate */
} ExplainedTask;

typedef struct ExplainedRun {
        char *run, *project, *pipe, *version, *state, *outcome, *reason;
        bool trial;
        Scheduled scheduled;
        JsonArray tasks;      /* ExplainedTask */
        JsonArray parameters; /* Value */
} ExplainedRun;

/* What an instance has, or what waits. */
typedef struct ExplainedWork {
        char *run, *pipe, *task, *state, *reason, *since, *queued_at, *why, *priority;
} ExplainedWork;

typedef struct ExplainedInstance {
        char *instance, *hostname, *status, *reason, *since;
        uint32_t slots, slots_used;
        uint64_t memory_bytes, memory_used_bytes;
        bool draining;
        JsonArray has; /* ExplainedWork */
} ExplainedInstance;

typedef struct ExplainedAgent {
        char *agent, *name, *type, *status, *reason, *since;
        char **labels, **flags;
        JsonArray instances; /* ExplainedInstance */
        JsonArray waiting;   /* ExplainedWork */
} ExplainedAgent;

extern const JsonField explained_run_fields[], explained_agent_fields[];
