/* What the end of an attempt is called: systemd's result of the unit, or a word of ours where somebody stopped it. */
#include "attempt-internal.h"

#include <stdlib.h>
#include <string.h>

#include "str.h"
#include "timespan.h"

/* A task that ends by itself leaves its unit "exited" or "failed". A unit that is "dead" was stopped, and if that was not us,
 * PID 1 calls it a success when the task obeyed: it is none, for the work was not done. What somebody starts again has been
 * stopped as well; its start limit is that it is not, and where that was lifted it is stopped by us. */
static bool was_stopped(const Attempt *a, const UnitState *s) {
        return str_eq(s->sub, "dead") ? !unit_was_skipped(s)
                                      : !a->streaming && str_eq(s->result, "start-limit-hit");
}

/* Exit status and signal are those of its command, which did not begin; systemd says nothing of others but in the journal. */
static bool failed_before(const UnitState *s) {
        return str_eq(s->sub, "failed") && s->main_start_usec == 0 && s->main_code == 0 &&
               (str_eq(s->result, "exit-code") || str_eq(s->result, "signal"));
}

/* When PID 1 was stopping it, if it was, or some time after that; 0: it ended by itself. What fails by itself leaves "active" behind
 * its end. What never was active leaves no time of its stop but its end, and behind the deadline that is the stop's. */
static uint64_t stopped_usec(const UnitState *s) {
        uint64_t left_usec = s->active_exit_monotonic_usec;

        if (unit_was_skipped(s) || str_eq(s->sub, "exited"))
                return 0;
        if (str_eq(s->sub, "dead"))
                return clock_usec(CLOCK_MONOTONIC);
        if (failed_before(s))
                return s->inactive_enter_monotonic_usec;
        return s->main_exit_usec && left_usec >= s->main_exit_monotonic_usec ? 0 : left_usec;
}

/* Whatever a task makes of being stopped, an exit status or the end of TimeoutStopSec=: it was the fence. */
static bool was_fenced(const Attempt *a, const UnitState *s) {
        uint64_t usec = stopped_usec(s);

        return a->fenced && usec > 0 && a->table->events->fence_fell(usec, a->table->userdata);
}

static void note_stopped(Attempt *a, bool fenced) {
        (void) strcpy(a->result, fenced ? "fenced" : "stopped");
        (void) str_replace(&a->reason,
                           fenced     ? "The control plane was not heard of for SelfFenceSec=, and "
                                        "might have given it to another agent."
                           : a->again ? "It was restarted on the host."
                                      : "It was stopped on the host.");
}

void attempt_name_end(Attempt *a, const UnitState *s, bool wanted) {
        (void) strcpy(a->result, *s->result ? s->result : "lost");
        if (a->again || (!wanted && (was_fenced(a, s) || was_stopped(a, s))))
                note_stopped(a, was_fenced(a, s));
        else if (!wanted && !a->streaming && unit_was_interrupted(s))
                (void) strcpy(a->result, "signal");
        else if (!wanted && !a->reason && failed_before(s))
                (void) str_replace(&a->reason,
                                   "What runs before its command failed, ExecStartPre= for one.");
        else if (!wanted && a->streaming && !a->reason)
                a->reason = supervision_reason(s);
}

/* A failure that the fence may have made: when PID 1 began to stop the unit, only a question tells. */
bool attempt_asks_for_times(Attempt *a, const UnitState *s) {
        if (!a->timed && a->fenced && str_eq(s->sub, "failed") &&
            s->inactive_enter_monotonic_usec == 0 &&
            a->table->events->fence_fell(clock_usec(CLOCK_MONOTONIC), a->table->userdata)) {
                a->timed = true;
                return unit_read(a->unit) >= 0;
        }
        return a->timed && s->inactive_enter_monotonic_usec == 0 && unit_is_asking(a->unit);
}
