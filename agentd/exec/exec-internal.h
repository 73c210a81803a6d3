/* What exec.c and methods.c share: the calls that are waiting for an answer. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "clean.h"
#include "exec.h"
#include "journal-sync.h"
#include "lease.h"

#define EXEC_NAME "io.sluice.Exec1"
#define EXEC_FAILED EXEC_NAME ".Error.Failed"

/* One method call that is waiting for PID 1 or journald. */
typedef struct Call {
        struct Call *next, **link; /* in exec->calls */
        Exec *exec;                /* borrowed: it frees its calls first */
        /* owned */
        sd_bus_message *request;
        sd_bus_slot *slot;
        Clean *clean;
        Lease *lease;
        uint64_t sync_round; /* 0: not a Sync */
} Call;

struct Exec {
        /* owned */
        sd_event *event;
        sd_bus *bus;
        sd_bus_slot *object;
        sd_bus_slot *name;
        sd_bus_slot *question;
        sd_event_source *idle;
        JournalSync *sync;
        Call *calls;
        /* borrowed: the command line */
        const char *policy_path;
        uint64_t idle_usec;
        unsigned n_calls;
        unsigned systemd;      /* the host's version */
        uint64_t started_usec; /* since when its PID 1 runs, CLOCK_MONOTONIC */
        bool used;             /* since the idle timer was set */
        bool leaving;          /* the name is being given up */
};

Call *call_free(Call *c);
DEFINE_SCOPE_EXIT(Call, call_free)
/* exec->calls has it, until call_free(). -EBUSY when there are too many. */
int call_new(Exec *x, sd_bus_message *request, Call **ret);
/* It is answered. */
void call_done(Call *c);
int reply_failure(sd_bus_message *m, int r);

extern const sd_bus_vtable exec_vtable[];
