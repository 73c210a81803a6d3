/* An attempt as this host has it, from its assignment until its outcome and log are acknowledged. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backoff.h"
#include "cgroup.h"
#include "exec-client.h"
#include "id.h"
#include "proto.h"
#include "recovery.h"
#include "supervision.h"
#include "unit-name.h"
#include "unit.h"

typedef enum AttemptState {
        ATTEMPT_READING,  /* found at our start: PID 1 is being asked about it */
        ATTEMPT_STARTING, /* PID 1 is asked to start it */
        ATTEMPT_RUNNING,
        ATTEMPT_STOPPING, /* PID 1 is asked to stop it */
        ATTEMPT_ENDED,
        ATTEMPT_REFUSED, /* never began */
        _ATTEMPT_STATE_MAX,
} AttemptState;

/* What the control plane is owed. */
typedef enum Report {
        REPORT_RUNNING = 1 << 0,
        REPORT_ENDED = 1 << 1,
        REPORT_REFUSED = 1 << 2,
        REPORT_LOGGED = 1 << 3,
        REPORT_STATUS = 1 << 4,
        REPORT_STUCK = 1 << 5,
} Report;

typedef struct Attempt Attempt;
typedef struct AttemptTable AttemptTable;

/* Whether the deadline of fenced attempts was over by then (CLOCK_MONOTONIC). */
typedef bool (*attempt_fence_t)(uint64_t at_usec, void *userdata);

typedef struct AttemptEvents {
        /* The state or what is owed has changed. */
        void (*on_changed)(Attempt *a, void *userdata);
        /* The process has ended: its log can be completed. Before on_changed. */
        void (*on_ended)(Attempt *a, void *userdata);
        /* Processes are left in its unit: attempt_look() is to be called now and then. */
        void (*on_stuck)(Attempt *a, void *userdata);
        attempt_fence_t fence_fell;
} AttemptEvents;

struct Attempt {
        Attempt *next, **link; /* in its bucket */
        AttemptTable *table;   /* borrowed: frees its attempts first */
        char hex[ID_HEX_SIZE];
        char id[UNIT_ID_SIZE]; /* what it is called on the host */
        char text[ID_TEXT_SIZE];
        char run[ID_TEXT_SIZE];
        uint32_t epoch;
        AttemptState state;
        unsigned owed, sent; /* Reports: to be said; of these, said and not yet acknowledged */
        bool told_stop;
        bool requeue; /* with REPORT_REFUSED: somebody else may have it */
        bool was_active;
        bool again; /* somebody has started it a second time */
        bool timed; /* PID 1 was asked when it began to stop it */
        bool stuck; /* PID 1 has given up, and a process is still there: the slot stays taken */
        bool fenced; /* stops when the control plane is not heard of: another agent may be given its task */
        bool held;          /* not asked for yet: see attempt_unhold() */
        bool streaming;     /* PID 1 supervises it */
        bool recovering;    /* attempt_recover() made it: there is no unit */
        int32_t signal;     /* that was sent last to what has outlived its command; 0: none */
        uint64_t left_usec; /* since when something outlives it, CLOCK_MONOTONIC; 0: nothing did */
        uint64_t started_usec, ended_usec; /* realtime */
        uint64_t deadline_usec;            /* of the start, CLOCK_BOOTTIME; 0: none */
        Usage usage;
        Limits limits;
        UnitState unit_state;
        char result[32]; /* of its end, as it is told: systemd's, or a word of ours */
        Supervision supervision;
        uint64_t status_usec,
                status_boottime_usec; /* of what `supervision` says: realtime, and CLOCK_BOOTTIME */
        uint32_t log_sequence;        /* with REPORT_LOGGED */
        /* owned */
        char *reason;
        char *report; /* of its end, as it was written down before; NULL: it follows from what is above */
        ProtoAssignment *assignment; /* until it has started */
        Unit *unit;
        ExecCall *start, *stop, *killing,
                *reading;         /* its output is being read, and its end not told before */
        char *output;             /* JSON object of texts; NULL: none */
        void *log;                /* the log shipper's part, which it owns */
        void (*told)(Attempt *a); /* with reading: what then */
};

/* instance: whose attempts, as of the UnitBus. */
int attempt_table_new(UnitBus *bus, ExecClient *exec, const char *instance,
                      const AttemptEvents *events, void *userdata, AttemptTable **ret);
AttemptTable *attempt_table_free(AttemptTable *t);
DEFINE_SCOPE_EXIT(AttemptTable, attempt_table_free)

/* In any form of identifier; NULL when it is not there. */
Attempt *attempt_find(AttemptTable *t, const char *id);
/* It was here, with this epoch or a later one, and is over. */
bool attempt_is_past(AttemptTable *t, const char *id, uint32_t epoch);
size_t attempt_count(const AttemptTable *t);
size_t attempt_count_live(const AttemptTable *t); /* not ended, not refused */
size_t attempt_count_reading(const AttemptTable *t);

/* Iteration; the attempt given may be freed before the next is asked for, if next was taken first. */
Attempt *attempt_first(AttemptTable *t);
Attempt *attempt_next(Attempt *a);

/* Takes the contents of the assignment and starts the unit, if it is fenced not after the deadline. hold: not before attempt_unhold(). */
int attempt_start(AttemptTable *t, ProtoAssignment *assignment, uint64_t deadline_usec, bool hold,
                  Attempt **ret);
/* Starts it if it is held. objection: somebody else may have it; NULL: none. */
void attempt_unhold(Attempt *a, const char *objection);
/* An attempt that will not be started: owes the refusal. */
int attempt_refuse(AttemptTable *t, const char *id, uint32_t epoch, bool requeue,
                   const char *reason, Attempt **ret);
/* A unit that was found at our start. */
int attempt_adopt(AttemptTable *t, const char *hex, Attempt **ret);

/* One whose unit is gone: until attempt_recovered() it is being read about. */
int attempt_recover(AttemptTable *t, const ProtoRecover *recover, Attempt **ret);
/* What the journal knew. Nothing of it: nobody can say that it began, and it owes a refusal. */
void attempt_recovered(Attempt *a, const Recovered *known);

void attempt_stop(Attempt *a, const char *reason);
/* Whether processes are still left in it; else it has ended now. */
bool attempt_look(Attempt *a);
/* Gives the unit back to PID 1 and forgets the attempt, but for attempt_is_past(). */
void attempt_release(Attempt *a);
/* Gives back a unit or slice of which nothing is known. */
void attempt_release_stray(AttemptTable *t, const char *hex);
Attempt *attempt_free(Attempt *a);

const char *attempt_state_to_string(AttemptState s); /* the protocol's words */
