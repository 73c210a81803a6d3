/* Composition root. Order at start: ask PID 1 what there is, enrol if need be, and only when everything that was found has been
 * read does the first sync say what this host has: a list that is not complete would let the control plane give work up. */
#include "agentd-internal.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "fd.h"
#include "log.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"

#define REST_USEC (30 * USEC_PER_SEC)  /* without attempts, before memory is given back */
#define STATUS_USEC (3 * USEC_PER_SEC) /* between two lines for systemctl status */

void agentd_settle(Agentd *a) {
        (void) sd_event_source_set_enabled(a->settle, SD_EVENT_ONESHOT);
}

void agentd_fail(Agentd *a, int status) {
        (void) sd_event_exit(a->event, status);
}

/* A slice without a service: the service was stopped and forgotten while nobody looked. */
static void release_stray_slices(Agentd *a) {
        STRV_FOREACH(hex, a->stray_slices)
                if (!attempt_find(a->attempts, *hex))
                        attempt_release_stray(a->attempts, *hex);
        a->stray_slices = strv_free(a->stray_slices);
}

static void on_enrolled(void *userdata) {
        Agentd *a = userdata;

        agentd_settle(a);
}

bool agentd_has_fenced(Agentd *a) {
        for (Attempt *x = attempt_first(a->attempts); x; x = attempt_next(x))
                if (x->fenced && x->state != ATTEMPT_ENDED && x->state != ATTEMPT_REFUSED)
                        return true;
        return false;
}

static void on_fence_resumed(void *userdata) {
        Agentd *a = userdata;

        a->fence_resumed = true;
        agentd_settle(a);
}

static void on_workspaces(void *userdata) {
        Agentd *a = userdata;

        agentd_settle(a);
}

static void resume_fence(Agentd *a) {
        int r;

        if (a->fence_asked)
                return;
        a->fence_asked = true;
        r = agentd_has_fenced(a) ? contact_resume(a->contact, on_fence_resumed, a) : -ENOENT;
        if (r < 0)
                on_fence_resumed(a);
}

/* Enrols, then polls, each once its conditions are met. */
static void advance(Agentd *a) {
        int r;

        if (!a->listed || !*a->facts.systemd || a->polling ||
            attempt_count_reading(a->attempts) > 0)
                return;
        if (!a->identity.credential) {
                r = a->enroller ? 0
                                : enroller_new(a->link, a->settings, &a->facts, &a->identity,
                                               on_enrolled, a, &a->enroller);
                if (r < 0)
                        agentd_fail(a, log_error(r, "Cannot begin to enrol"));
                return;
        }
        a->enroller = enroller_free(a->enroller);
        if (!a->fence_resumed) {
                resume_fence(a);
                return;
        }
        if (!workspaces_are_known(a->workspaces, on_workspaces, a))
                return;
        a->polling = true;
        poller_start(a->poller);
        for (Attempt *owing = attempt_first(a->attempts); owing; owing = attempt_next(owing))
                reporter_kick(a->reporter, owing);
}

static void on_version(const char *version, void *userdata) {
        Agentd *a = userdata;
        Error e = {};

        if (facts_check_systemd(version, &e) < 0) {
                (void) log_error(e.code, "%s", e.detail);
                agentd_fail(a, AGENTD_EXIT_CONFIG);
                return;
        }
        (void) snprintf(a->facts.systemd, sizeof(a->facts.systemd), "%s", version);
        agentd_settle(a);
}

static void on_found(const char *attempt, bool slice, void *userdata) {
        Agentd *a = userdata;
        Attempt *found;
        int r = slice ? strv_append(&a->stray_slices, attempt)
                      : attempt_adopt(a->attempts, attempt, &found);

        if (r < 0)
                agentd_fail(a, log_error(r, "Cannot look after sluice-%s.service", attempt));
}

static void on_listed(int r, const Error *e, void *userdata) {
        Agentd *a = userdata;

        if (r < 0) {
                agentd_fail(a, log_error(r, "%s", error_text(e, r)));
                return;
        }
        a->listed = true;
        if (attempt_count(a->attempts) > 0)
                log_info("Found %zu tasks of an earlier start.", attempt_count(a->attempts));
        release_stray_slices(a);
        agentd_settle(a);
}

static void on_attempt_changed(Attempt *attempt, void *userdata) {
        Agentd *a = userdata;

        if (a->polling && attempt->owed)
                reporter_kick(a->reporter, attempt);
        if (attempt->state == ATTEMPT_RUNNING)
                sampler_kick(a->sampler);
        agentd_settle(a);
}

static void on_attempt_ended(Attempt *attempt, void *userdata) {
        Agentd *a = userdata;

        if (attempt->fenced &&
            (str_eq(attempt->result, "stopped") || str_eq(attempt->result, "fenced")))
                contact_doubt(a->contact);
        shipper_finish(a->shipper, attempt);
}

static void on_attempt_stuck(Attempt *attempt, void *userdata) {
        Agentd *a = userdata;

        (void) attempt;
        stuck_watch(a->stuck);
}

void agentd_on_log_complete(Attempt *attempt, void *userdata) {
        Agentd *a = userdata;

        attempt->owed |= REPORT_LOGGED;
        on_attempt_changed(attempt, a);
}

static void on_workspace_removed(void *userdata) {
        Agentd *a = userdata;

        reporter_kick_cleaned(a->reporter);
}

/* Nothing is owed any more and nothing can come: the unit goes back to PID 1. */
static bool is_finished(const Attempt *attempt) {
        if (attempt->owed)
                return false;
        return attempt->state == ATTEMPT_REFUSED ||
               (attempt->state == ATTEMPT_ENDED && (attempt->sent & REPORT_LOGGED));
}

void agentd_let_go(Agentd *a, Attempt *attempt) {
        shipper_forget(a->shipper, attempt);
        attempt_release(attempt);
}

/* What systemctl status shows; said when it has changed, and not for each task of many. */
static int on_status(sd_event_source *source, uint64_t usec, void *userdata) {
        Agentd *a = userdata;
        char status[sizeof(a->status)];

        (void) source;
        (void) usec;
        (void) snprintf(status, sizeof(status), "STATUS=%s, %zu running",
                        a->polling ? "Enrolled" : "Not enrolled", attempt_count_live(a->attempts));
        if (a->leaving || str_eq(status, a->status))
                return 0;
        (void) strcpy(a->status, status);
        (void) sd_notify(false, status);
        return 0;
}

static void tell_status(Agentd *a) {
        int enabled = SD_EVENT_OFF;

        (void) sd_event_source_get_enabled(a->status_timer, &enabled);
        if (enabled != SD_EVENT_OFF)
                return;
        (void) sd_event_source_set_time_relative(a->status_timer, STATUS_USEC);
        (void) sd_event_source_set_enabled(a->status_timer, SD_EVENT_ONESHOT);
}

static int on_settle(sd_event_source *source, void *userdata) {
        Agentd *a = userdata;

        (void) source;
        for (Attempt *attempt = attempt_first(a->attempts), *next; attempt; attempt = next) {
                next = attempt_next(attempt);
                if (is_finished(attempt))
                        agentd_let_go(a, attempt);
        }
        advance(a);
        if (attempt_count(a->attempts) == 0 && a->finishing && !a->leaving)
                agentd_leave(a);
        if (attempt_count(a->attempts) == 0) {
                (void) sd_event_source_set_time_relative(a->rest, REST_USEC);
                (void) sd_event_source_set_enabled(a->rest, SD_EVENT_ONESHOT);
        }
        tell_status(a);
        return 0;
}

static int on_rest(sd_event_source *source, uint64_t usec, void *userdata) {
        Agentd *a = userdata;

        (void) source;
        (void) usec;
        if (attempt_count(a->attempts) > 0)
                return 0;
        shipper_rest(a->shipper);
        (void) malloc_trim(0);
        return 0;
}

static const UnitBusEvents bus_events = { on_version, on_found, on_listed };
static const AttemptEvents attempt_events = { on_attempt_changed, on_attempt_ended,
                                              on_attempt_stuck, agentd_fence_fell };

static int make_loop(Agentd *a) {
        int r = sd_event_new(&a->event);

        if (r >= 0)
                r = sd_event_add_signal(a->event, NULL, SIGTERM, agentd_on_signal, a);
        if (r >= 0)
                r = sd_event_add_signal(a->event, NULL, SIGINT, agentd_on_signal, a);
        if (r >= 0)
                r = sd_event_add_defer(a->event, &a->settle, on_settle, a);
        if (r >= 0)
                r = sd_event_add_time_relative(a->event, &a->rest, CLOCK_MONOTONIC, REST_USEC, 0,
                                               on_rest, a);
        if (r >= 0)
                r = sd_event_add_time_relative(a->event, &a->status_timer, CLOCK_MONOTONIC, 0, 0,
                                               on_status, a);
        if (r >= 0)
                r = sd_event_set_watchdog(a->event, true);
        return r < 0 ? r : 0;
}

static int make_parts(Agentd *a, Error *e) {
        const Settings *s = a->settings;
        const char *instance = s->instance ? s->instance : "";
        int r = link_new(a->event, s->urls, s->ca_file, &a->link);

        if (r >= 0 && a->identity.credential)
                r = link_set_bearer(a->link, a->identity.credential);
        if (r >= 0)
                r = unit_bus_new(a->event, instance, &bus_events, a, &a->bus, e);
        if (r >= 0)
                r = exec_client_new(a->event, unit_bus_connection(a->bus), &a->exec);
        if (r >= 0)
                r = workspaces_new(a->exec, "/var/lib", instance, &a->workspaces);
        if (r >= 0)
                r = contact_new(a->event, a->exec, instance, s->self_fence_usec,
                                getenv("RUNTIME_DIRECTORY"), agentd_on_fence, a, &a->contact);
        if (r >= 0)
                r = attempt_table_new(a->bus, a->exec, instance, &attempt_events, a, &a->attempts);
        if (r >= 0)
                r = stuck_new(a->event, a->attempts, &a->stuck);
        if (r >= 0)
                r = cleaner_new(a->event, a->exec, instance, on_workspace_removed, a, &a->cleaner);
        if (r >= 0)
                r = shipper_new(a->event, a->link, a->exec, a->attempts, agentd_on_log_complete, a,
                                &a->shipper);
        if (r >= 0)
                r = recovery_new(a->event, instance, agentd_on_recovered, a, &a->recovery);
        if (r >= 0)
                r = reporter_new(a->link, a->attempts, a->cleaner, a->session, agentd_on_work, a,
                                 &a->reporter);
        if (r >= 0)
                r = sampler_new(a->event, a->link, a->attempts, s->metrics_interval_usec,
                                &a->sampler);
        if (r >= 0)
                r = poller_new(a->link, a->attempts,
                               &(PollerSpec){ a->session, &a->facts, s->on_clone, a->workspaces,
                                              s->slots, s->self_fence_usec, &a->finishing,
                                              &a->drain_heard, agentd_on_work, agentd_on_refused,
                                              agentd_on_clock_set, a },
                               &a->poller);
        return r;
}

int agentd_new(const Settings *settings, Agentd **ret, Error *e) {
        _cleanup_(agentd_freep) Agentd *a = calloc(1, sizeof(*a));
        int r;

        if (!a)
                return -ENOMEM;
        a->settings = settings;
        a->lock = identity_lock(settings->state_directory, e);
        r = a->lock < 0 ? a->lock : facts_read(&a->facts, e);
        if (r >= 0)
                r = identity_load(settings->state_directory, &a->identity, e);
        if (r >= 0)
                r = agentd_make_session(a);
        if (r >= 0)
                r = make_loop(a);
        if (r >= 0)
                r = make_parts(a, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(a);
        return 0;
}

Agentd *agentd_free(Agentd *a) {
        if (!a)
                return NULL;
        (void) channel_free(a->goodbye);
        (void) enroller_free(a->enroller);
        (void) poller_free(a->poller);
        (void) sampler_free(a->sampler);
        (void) reporter_free(a->reporter);
        (void) recovery_free(a->recovery);
        (void) shipper_free(a->shipper);
        (void) stuck_free(a->stuck);
        (void) attempt_table_free(a->attempts);
        (void) contact_free(a->contact);
        (void) workspaces_free(a->workspaces);
        (void) exec_client_free(a->exec);
        (void) cleaner_free(a->cleaner);
        (void) unit_bus_free(a->bus);
        (void) link_free(a->link);
        identity_done(&a->identity);
        (void) fd_close(a->lock);
        strv_free(a->stray_slices);
        (void) sd_event_source_disable_unref(a->settle);
        (void) sd_event_source_disable_unref(a->status_timer);
        (void) sd_event_source_disable_unref(a->rest);
        (void) sd_event_source_disable_unref(a->leave);
        (void) sd_event_unref(a->event);
        free(a);
        return NULL;
}

sd_event *agentd_event(Agentd *a) {
        return a->event;
}
