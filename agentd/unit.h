/* The units of attempts as PID 1 tells of them: what exists, and what becomes of it. Only looks; exec-client.h changes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "cgroup.h"
#include "cleanup.h"
#include "error.h"
#include "id.h"

#define STATUS_TEXT_SIZE 256 /* what is longer is cut */

/* Properties of org.freedesktop.systemd1.Unit and .Service, by their names. */
typedef struct UnitState {
        char load[16];
        char active[16]; /* with unit_read() only, as load */
        char sub[32];    /* with unit_read() and unit_ask() only, as invocation_id */
        char result[32];
        char invocation_id[ID_HEX_SIZE];
        int32_t main_code; /* CLD_EXITED, CLD_KILLED, CLD_DUMPED; 0: it has not ended */
        int32_t main_status;
        uint64_t main_start_usec; /* realtime, 0: not started */
        uint64_t main_exit_usec;
        uint64_t main_start_monotonic_usec, main_exit_monotonic_usec;
        uint64_t
                active_exit_monotonic_usec; /* it has ended, or is about to be stopped; with unit_read() only, as the next */
        uint64_t inactive_enter_monotonic_usec; /* it is over */
        int32_t kill_signal; /* with unit_read() only, as the next; 0: not known */
        uint64_t timeout_stop_usec;
        Limits limits;
        uint32_t
                epoch; /* of SLUICE_EPOCH= in its environment; with unit_read() only, as the next two */
        bool fenced;    /* of SLUICE_FENCED= */
        bool streaming; /* of SLUICE_STREAMING= */
        uint32_t job;   /* what PID 1 is about to do with it; 0: nothing. With unit_read() only */
        uint32_t restarts;
        char status_text[STATUS_TEXT_SIZE];
        uint64_t
                success_signals; /* of SuccessExitStatus=, by bits; with unit_read() only, as the next two */
        bool ignores_failure; /* "-" before its command */
        bool described;       /* both are known */
        char run[ID_TEXT_SIZE];
} UnitState;

typedef struct UnitBus UnitBus;
typedef struct Unit Unit;

typedef struct UnitBusEvents {
        /* The host's systemd, and each unit and slice of an attempt that exists (32 hex digits); then the end, or an error. */
        void (*on_version)(const char *version, void *userdata);
        void (*on_found)(const char *attempt, bool slice, void *userdata);
        void (*on_listed)(int r, const Error *e, void *userdata);
} UnitBusEvents;

/* Connects to the system bus without waiting for it. -EAGAIN when there is none now; one that breaks ends the loop with an error. */
/* instance: whose units are found, "" for those without a name; must live longer. */
int unit_bus_new(sd_event *event, const char *instance, const UnitBusEvents *events, void *userdata,
                 UnitBus **ret, Error *e);
UnitBus *unit_bus_free(UnitBus *b); /* after its units */
DEFINE_SCOPE_EXIT(UnitBus, unit_bus_free)
sd_bus *unit_bus_connection(UnitBus *b);
/* We are about to end: the connection may break now. */
void unit_bus_let_go(UnitBus *b);

/* The state as far as it is known, at every change of it. May free the unit. */
typedef void (*unit_state_t)(Unit *u, const UnitState *state, void *userdata);

/* id: as in common/unit-name.h. -EEXIST: there is one with this id. The match is in place before any later call on this connection reaches
 * anybody. */
int unit_new(UnitBus *b, const char *id, unit_state_t on_state, void *userdata, Unit **ret);
Unit *unit_free(Unit *u);
DEFINE_SCOPE_EXIT(Unit, unit_free)

/* PID 1 may restart it: that its process has ended means little, so each such change is answered by unit_read(). Found by itself in
 * what SLUICE_STREAMING= says. */
void unit_supervise(Unit *u);

/* Asks for everything; answered by on_state. load is "not-found" when there is no such unit. */
int unit_read(Unit *u);
/* What changes do not tell, by when it is worth asking for; bits. */
typedef enum UnitAsk {
        UNIT_ASK_START = 1 << 0,  /* invocation_id */
        UNIT_ASK_END = 1 << 1,    /* sub; asked for by itself when it may be over */
        UNIT_ASK_LIMITS = 1 << 2, /* along with the end, but after unit_limits_known() */
        UNIT_ASK_RESULT = 1 << 3, /* asked for by itself when the end does not fit what is known */
} UnitAsk;

/* Answered by on_state once all have come. */
int unit_ask(Unit *u, unsigned what);
void unit_limits_known(Unit *u);
/* Its ExecCondition= did not hold: it is over without having begun, and PID 1 forgets it at once. */
bool unit_was_skipped(const UnitState *s);
/* It has ended by a signal that PID 1 calls a success ("clean" in systemd.service(5), SuccessExitStatus=), and nothing in its unit
 * says that it is one: known once it is described. */
bool unit_was_interrupted(const UnitState *s);
/* sub says that PID 1 will do no more about it. */
bool unit_is_over(const UnitState *s);
/* An answer of the two is still to come. */
bool unit_is_asking(const Unit *u);
