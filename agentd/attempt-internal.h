/* What attempt.c (states and moves), attempt-end.c (what an end is called), attempt-leftover.c, attempt-output.c and attempt-table.c (which there are) share. */
#pragma once

#include "attempt.h"
#include "past.h"

#define ATTEMPT_BUCKETS 256U

struct AttemptTable {
        /* owned */
        Attempt *buckets[ATTEMPT_BUCKETS];
        Past past;
        size_t count;
        /* borrowed: the composition root frees us first */
        UnitBus *bus;
        ExecClient *exec;
        const char *instance;
        const AttemptEvents *events;
        void *userdata;
};

DEFINE_SCOPE_EXIT(Attempt, attempt_free)
/* In the table from here on. */
int attempt_new(AttemptTable *t, const char *id, uint32_t epoch, AttemptState state, Attempt **ret);
/* Sets result, and reason where there is one. wanted: the control plane has asked for it, and systemd's word stays. */
void attempt_name_end(Attempt *a, const UnitState *s, bool wanted);
/* Whether the name of an end waits for PID 1 to say when it began to stop the unit; asks it, once. */
bool attempt_asks_for_times(Attempt *a, const UnitState *s);
/* Whether processes have outlived its command: they are told to end, and on_stuck is told of the attempt. */
bool attempt_end_leftovers(Attempt *a, const UnitState *s);
/* SIGKILL does nothing to them. */
bool attempt_leftovers_are_stuck(const Attempt *a, const UnitState *s);
/* Asks for what the task left, and calls told when that, or what is wrong with it, is in the attempt. */
typedef void (*attempt_told_t)(Attempt *a);
void attempt_read_output(Attempt *a, attempt_told_t told);
void assignment_free(ProtoAssignment *assignment);
