/* The end, in good order: the tasks first where DrainOnStopSec= says so, then the goodbye. */
#include <stdlib.h>
#include <string.h>

#include "agentd-internal.h"
#include "json-out.h"
#include "log.h"
#include "timespan.h"

#define GOODBYE_TIMEOUT_SEC 4U

static int on_leave(sd_event_source *source, uint64_t usec, void *userdata) {
        (void) source;
        (void) usec;
        agentd_fail(userdata, 0);
        return 0;
}

static void on_goodbye_turn(Channel *c, void *userdata) {
        _cleanup_(freep) char *json = NULL;
        Agentd *a = userdata;
        JsonOut o = {};

        json_out_object(&o, NULL);
        json_out_text(&o, "session", a->session);
        json_out_text(&o, "reason", "agentd was stopped");
        json_out_end_object(&o);
        if (json_out_take(&o, &json) < 0 ||
            channel_send(c, &(ChannelRequest){ "/agent/v1/goodbye", "application/json", json,
                                               strlen(json), GOODBYE_TIMEOUT_SEC }) < 0)
                agentd_fail(a, 0);
}

static void on_fence_lifted(void *userdata) {
        agentd_fail(userdata, 0);
}

static void on_goodbye_answer(Channel *c, const ChannelAnswer *answer, void *userdata) {
        Agentd *a = userdata;

        (void) c;
        if (answer->problem || !agentd_has_fenced(a) ||
            contact_lift(a->contact, on_fence_lifted, a) < 0)
                agentd_fail(a, 0);
}

/* Ends, telling the control plane if it is there. Tasks go on without us. */
void agentd_leave(Agentd *a) {
        (void) sd_notify(false, "STOPPING=1\nSTATUS=Saying goodbye");
        /* After a failure a poll that is held says for a minute nothing of the link; without a goodbye we would be waited for. */
        if (a->leaving || !a->polling || (!link_is_up(a->link) && !poller_is_asking(a->poller))) {
                agentd_fail(a, 0);
                return;
        }
        a->leaving = true;
        unit_bus_let_go(a->bus);
        a->poller = poller_free(a->poller);
        a->leave = sd_event_source_disable_unref(a->leave);
        if (channel_new(a->link, "goodbye", on_goodbye_turn, on_goodbye_answer, a, &a->goodbye) <
                    0 ||
            sd_event_add_time_relative(a->event, &a->leave, CLOCK_MONOTONIC, GOODBYE_USEC, 0,
                                       on_leave, a) < 0) {
                agentd_fail(a, 0);
                return;
        }
        channel_kick(a->goodbye);
}

static int on_patience_over(sd_event_source *source, uint64_t usec, void *userdata) {
        (void) source;
        (void) usec;
        agentd_leave(userdata);
        return 0;
}

/* DrainOnStopSec=: first the tasks, then we. */
static bool finish_tasks(Agentd *a) {
        uint64_t usec = a->settings->drain_on_stop_usec;

        if (usec == 0 || a->finishing || !a->polling || attempt_count(a->attempts) == 0)
                return false;
        if (sd_event_add_time_relative(a->event, &a->leave, CLOCK_MONOTONIC, usec, 0,
                                       on_patience_over, a) < 0)
                return false;
        a->finishing = true;
        (void) sd_notifyf(false,
                          "STOPPING=1\nSTATUS=Waiting for tasks\nEXTEND_TIMEOUT_USEC=%" PRIu64,
                          (uint64_t) (usec + 2 * GOODBYE_USEC));
        log_notice("Ending when the tasks have, at the latest in %" PRIu64 " s.",
                   (uint64_t) (usec / USEC_PER_SEC));
        return true;
}

int agentd_on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Agentd *a = userdata;

        (void) source;
        (void) info;
        if (!finish_tasks(a))
                agentd_leave(a);
        return 0;
}
