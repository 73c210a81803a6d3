/* The tables of states. A new state or move is a row here, one in sql/api/state.sql, and `make docs/states.md`. */
#include "state.h"

#include <errno.h>

#include "cleanup.h"
#include "str.h"

static const char *const run_words[_STATE_RUN_MAX] = {
        [STATE_RUN_QUEUED] = "queued",       [STATE_RUN_RUNNING] = "running",
        [STATE_RUN_SUCCEEDED] = "succeeded", [STATE_RUN_FAILED] = "failed",
        [STATE_RUN_CANCELLED] = "cancelled",
};

static const StateMove run_moves[] = {
        { STATE_RUN_QUEUED, STATE_RUN_RUNNING, "the first process of its tasks is there" },
        { STATE_RUN_QUEUED, STATE_RUN_SUCCEEDED, "nothing was left that had to begin" },
        { STATE_RUN_QUEUED, STATE_RUN_FAILED,
          "a task was refused, or lost before it was seen to run" },
        { STATE_RUN_QUEUED, STATE_RUN_CANCELLED, "cancelled while nothing ran" },
        { STATE_RUN_RUNNING, STATE_RUN_SUCCEEDED, "all tasks have succeeded" },
        { STATE_RUN_RUNNING, STATE_RUN_FAILED, "a task has failed, and nothing is left to do" },
        { STATE_RUN_RUNNING, STATE_RUN_CANCELLED, "cancelled, and all that ran has ended" },
};

static const char *const task_words[_STATE_TASK_MAX] = {
        [STATE_TASK_WAITING] = "waiting", [STATE_TASK_QUEUED] = "queued",
        [STATE_TASK_RUNNING] = "running", [STATE_TASK_SUCCEEDED] = "succeeded",
        [STATE_TASK_FAILED] = "failed",   [STATE_TASK_CANCELLED] = "cancelled",
        [STATE_TASK_SKIPPED] = "skipped",
};

static const StateMove task_moves[] = {
        { STATE_TASK_WAITING, STATE_TASK_QUEUED,
          "the tasks that it comes after have ended as it says" },
        { STATE_TASK_WAITING, STATE_TASK_SKIPPED,
          "one of them has ended otherwise, or it is passed over" },
        { STATE_TASK_WAITING, STATE_TASK_CANCELLED, "the run was cancelled" },
        { STATE_TASK_QUEUED, STATE_TASK_RUNNING, "the process of its attempt is there" },
        { STATE_TASK_QUEUED, STATE_TASK_FAILED,
          "its attempt was refused, or lost before it was seen to run" },
        { STATE_TASK_QUEUED, STATE_TASK_CANCELLED, "the run was cancelled" },
        { STATE_TASK_QUEUED, STATE_TASK_WAITING,
          "its attempt was lost before it was seen to run, and another follows" },
        { STATE_TASK_RUNNING, STATE_TASK_WAITING,
          "its attempt has failed or was lost, and another follows" },
        { STATE_TASK_SUCCEEDED, STATE_TASK_WAITING,
          "what it made was lost with its host, and the run begins again" },
        { STATE_TASK_SKIPPED, STATE_TASK_WAITING, "the run begins again on another host" },
        { STATE_TASK_RUNNING, STATE_TASK_SUCCEEDED, "its attempt has succeeded" },
        { STATE_TASK_RUNNING, STATE_TASK_FAILED,
          "its attempt has ended otherwise, and was the last" },
        { STATE_TASK_RUNNING, STATE_TASK_SKIPPED,
          "its ExecCondition= says that there is nothing to do" },
        { STATE_TASK_RUNNING, STATE_TASK_CANCELLED,
          "its attempt has ended after a request to stop" },
};

static const char *const attempt_words[_STATE_ATTEMPT_MAX] = {
        [STATE_ATTEMPT_QUEUED] = "queued",   [STATE_ATTEMPT_ASSIGNED] = "assigned",
        [STATE_ATTEMPT_RUNNING] = "running", [STATE_ATTEMPT_STOPPING] = "stopping",
        [STATE_ATTEMPT_ENDED] = "ended",     [STATE_ATTEMPT_CANCELLED] = "cancelled",
};

static const StateMove attempt_moves[] = {
        { STATE_ATTEMPT_QUEUED, STATE_ATTEMPT_ASSIGNED, "an instance has a seat for it" },
        { STATE_ATTEMPT_QUEUED, STATE_ATTEMPT_CANCELLED,
          "the run was cancelled, or begins again on another host" },
        { STATE_ATTEMPT_ASSIGNED, STATE_ATTEMPT_RUNNING, "the agent has reported its process" },
        { STATE_ATTEMPT_ASSIGNED, STATE_ATTEMPT_STOPPING, "the run was cancelled" },
        { STATE_ATTEMPT_ASSIGNED, STATE_ATTEMPT_QUEUED, "the agent cannot take it now" },
        { STATE_ATTEMPT_ASSIGNED, STATE_ATTEMPT_ENDED,
          "the agent has refused it, or has reported its end at once, or it is lost" },
        { STATE_ATTEMPT_RUNNING, STATE_ATTEMPT_STOPPING, "the run was cancelled" },
        { STATE_ATTEMPT_RUNNING, STATE_ATTEMPT_ENDED,
          "the agent has reported its end, or it is lost" },
        { STATE_ATTEMPT_STOPPING, STATE_ATTEMPT_ENDED,
          "the agent has reported its end, or it is lost" },
};

static const char *const instance_words[_STATE_INSTANCE_MAX] = {
        [STATE_INSTANCE_PENDING] = "Pending",
        [STATE_INSTANCE_RUNNING] = "Running",
        [STATE_INSTANCE_STOPPED] = "Stopped",
        [STATE_INSTANCE_UNKNOWN] = "Unknown",
};

static const StateMove instance_moves[] = {
        { STATE_INSTANCE_PENDING, STATE_INSTANCE_RUNNING, "its first request came" },
        { STATE_INSTANCE_RUNNING, STATE_INSTANCE_STOPPED, "it said goodbye" },
        { STATE_INSTANCE_RUNNING, STATE_INSTANCE_UNKNOWN, "its lease ran out" },
        { STATE_INSTANCE_STOPPED, STATE_INSTANCE_RUNNING, "it was started again" },
        { STATE_INSTANCE_UNKNOWN, STATE_INSTANCE_RUNNING, "it was heard of again" },
        { STATE_INSTANCE_UNKNOWN, STATE_INSTANCE_STOPPED, "its goodbye came late" },
};

#define TABLE(name, KIND)                                                                          \
        [KIND] = { .kind = #name,                                                                  \
                   .words = name##_words,                                                          \
                   .n_words = ELEMENTSOF(name##_words),                                            \
                   .moves = name##_moves,                                                          \
                   .n_moves = ELEMENTSOF(name##_moves) }

static const StateTable tables[_KIND_MAX] = {
        TABLE(run, KIND_RUN),
        TABLE(task, KIND_TASK),
        TABLE(attempt, KIND_ATTEMPT),
        TABLE(instance, KIND_INSTANCE),
};

const StateTable *state_table(StateKind kind) {
        return &tables[kind];
}

const char *state_to_string(StateKind kind, int state) {
        return state >= 0 && (size_t) state < tables[kind].n_words ? tables[kind].words[state]
                                                                   : NULL;
}

int state_from_string(StateKind kind, const char *word) {
        for (size_t i = 0; word && i < tables[kind].n_words; i++)
                if (str_eq(tables[kind].words[i], word))
                        return (int) i;
        return -EINVAL;
}

bool state_may_move(StateKind kind, int from, int to) {
        for (size_t i = 0; i < tables[kind].n_moves; i++)
                if (tables[kind].moves[i].from == from && tables[kind].moves[i].to == to)
                        return true;
        return false;
}

bool state_is_final(StateKind kind, const char *word) {
        int state = state_from_string(kind, word);

        for (size_t i = 0; state >= 0 && i < tables[kind].n_moves; i++)
                if (tables[kind].moves[i].from == state)
                        return false;
        return state >= 0;
}
