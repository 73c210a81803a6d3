/* Processes that outlive the command of a task that is "exited". RemainAfterExit= has PID 1 keep them; here they are ended as it ends those of
 * any other service: KillSignal=, and SIGKILL when TimeoutStopSec= is over. Until they are gone the task is not. */
#include "attempt-internal.h"

#include <signal.h>

#include "log.h"
#include "str.h"
#include "timespan.h"

#define ALONE_USEC (1 * USEC_PER_SEC)  /* to end by themselves, as the reader of a pipe does */
#define STUCK_USEC (10 * USEC_PER_SEC) /* to be gone after SIGKILL */

static int append_signal(sd_bus_message *m, void *userdata) {
        const Attempt *a = userdata;

        return sd_bus_message_append(m, "si", a->id, a->signal);
}

static void on_killed(ExecVerdict verdict, const char *words, void *userdata) {
        Attempt *a = userdata;

        a->killing = NULL;
        if (verdict != EXEC_DONE)
                log_message(LOG_WARNING, NULL, NULL,
                            "Processes that attempt %s left cannot be ended: %s", a->text, words);
}

static void kill_all(Attempt *a, int32_t signal) {
        int r = 0;

        a->signal = signal;
        if (!a->killing)
                r = exec_call_new(a->table->exec,
                                  &(ExecRequest){ .method = "Kill",
                                                  .append = append_signal,
                                                  .text = a->id,
                                                  .tries_max = 1,
                                                  .done = on_killed,
                                                  .userdata = a },
                                  &a->killing);
        if (r < 0)
                (void) log_error(r, "Cannot end what attempt %s left", a->text);
}

/* Since the command ended; more_usec may be USEC_INFINITY. */
static bool is_over(const Attempt *a, uint64_t usec, uint64_t more_usec) {
        uint64_t age_usec = clock_usec(CLOCK_MONOTONIC) - a->left_usec;

        return age_usec >= usec && age_usec - usec >= more_usec;
}

bool attempt_end_leftovers(Attempt *a, const UnitState *s) {
        if (!str_eq(s->sub, "exited") || !cgroup_is_populated(a->id))
                return false;
        if (a->left_usec == 0) {
                a->left_usec = clock_usec(CLOCK_MONOTONIC);
                a->table->events->on_stuck(a, a->table->userdata);
        }
        if (s->kill_signal == 0) {
                if (!unit_is_asking(a->unit))
                        (void) unit_read(a->unit); /* how it is to be stopped */
        } else if (is_over(a, ALONE_USEC, s->timeout_stop_usec)) {
                kill_all(a, SIGKILL);
        } else if (a->signal == 0 && is_over(a, ALONE_USEC, 0)) {
                kill_all(a, s->kill_signal);
        }
        return true;
}

bool attempt_leftovers_are_stuck(const Attempt *a, const UnitState *s) {
        return a->signal == SIGKILL && is_over(a, STUCK_USEC, s->timeout_stop_usec);
}
