/* States of runs, tasks, attempts and instances as the control plane keeps them, and the moves between them: one table for each kind.
 * SQL has the same in sluice.state_moves(), and the database refuses any other move; a test compares the two. docs/states.md is
 * made from this one. An agent's own states of an attempt are in agentd/attempt.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef enum StateKind {
        KIND_RUN,
        KIND_TASK,
        KIND_ATTEMPT,
        KIND_INSTANCE, /* derived from its presence, not stored */
        _KIND_MAX,
} StateKind;

typedef enum RunState {
        STATE_RUN_QUEUED,
        STATE_RUN_RUNNING,
        STATE_RUN_SUCCEEDED,
        STATE_RUN_FAILED,
        STATE_RUN_CANCELLED,
        _STATE_RUN_MAX,
} RunState;

typedef enum TaskState {
        STATE_TASK_WAITING,
        STATE_TASK_QUEUED,
        STATE_TASK_RUNNING,
        STATE_TASK_SUCCEEDED,
        STATE_TASK_FAILED,
        STATE_TASK_CANCELLED,
        STATE_TASK_SKIPPED,
        _STATE_TASK_MAX,
} TaskState;

typedef enum AssignmentState {
        STATE_ATTEMPT_QUEUED,
        STATE_ATTEMPT_ASSIGNED,
        STATE_ATTEMPT_RUNNING,
        STATE_ATTEMPT_STOPPING,
        STATE_ATTEMPT_ENDED,
        STATE_ATTEMPT_CANCELLED,
        _STATE_ATTEMPT_MAX,
} AssignmentState;

typedef enum InstanceState {
        STATE_INSTANCE_PENDING,
        STATE_INSTANCE_RUNNING,
        STATE_INSTANCE_STOPPED,
        STATE_INSTANCE_UNKNOWN,
        _STATE_INSTANCE_MAX,
} InstanceState;

typedef struct StateMove {
        int from, to;
        const char *when; /* for docs/states.md */
} StateMove;

/* Its first state is the one that it begins in. */
typedef struct StateTable {
        const char *kind;
        const char *const *words;
        size_t n_words;
        const StateMove *moves;
        size_t n_moves;
} StateTable;

const StateTable *state_table(StateKind kind);

/* NULL when there is no such state. */
const char *state_to_string(StateKind kind, int state);
/* -EINVAL when there is no such word; NULL is none. */
int state_from_string(StateKind kind, const char *word);
/* Staying is no move. */
bool state_may_move(StateKind kind, int from, int to);
/* No move leads away from it; a word that is unknown is not final. */
bool state_is_final(StateKind kind, const char *word);
