/* Composition root. Order at start: ask PID 1 what there is, enrol if need be, and only when everything that was found has been
 * read does the first sync say what this host has: a list that is not complete would let the control plane give work up. */
#include "agentd.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "attempt.h"
#include "cleaner.h"
#include "contact.h"
#include "enroller.h"
#include "exec-client.h"
#include "facts.h"
#include "identity.h"
#include "json-out.h"
#include "link.h"
#include "log.h"
#include "poller.h"
#include "reporter.h"
#include "sampler.h"
#include "shipper.h"
#include "stuck.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"
#include "unit.h"

#define REST_USEC (30 * USEC_PER_SEC)   /* without attempts, before memory is given back */
#define GOODBYE_USEC (5 * USEC_PER_SEC) /* how long an end waits for its goodbye */
#define GOODBYE_TIMEOUT_SEC 4U
#define STATUS_USEC USEC_PER_SEC /* between two lines for systemctl status */

struct Agentd {
        /* owned, in the order in which they are made */
        sd_event *event;
        Identity identity;
        Link *link;
        UnitBus *bus;
        ExecClient *exec;
        Contact *contact;
        AttemptTable *attempts;
        Cleaner *cleaner;
        Shipper *shipper;
        Recovery *recovery;
        Reporter *reporter;
        Sampler *sampler;
        Stuck *stuck;
        Poller *poller;
        Enroller *enroller;
        Channel *goodbye;
        sd_event_source *settle; /* after changes: releases */
        sd_event_source *status_timer;
        sd_event_source *rest;
        sd_event_source *leave;
        char **stray_slices; /* slices that were found, by their attempts */
        char *workspaces;    /* the directory of ours */
        /* borrowed: our maker's */
        const Settings *settings;
        Facts facts;
        char session[ID_TEXT_SIZE];
        char systemd[64];
        char status[64];
        bool listed;
        bool fence_asked, fence_resumed; /* a deadline stands for what was found */
        bool polling;
        bool drain_heard; /* the control plane wants nothing new to begin here */
        bool finishing;   /* we are to end when all tasks have: DrainOnStopSec= */
        bool leaving;
};

static uint64_t monotonic_usec(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

static void leave(Agentd *a);

static void settle(Agentd *a) {
        (void) sd_event_source_set_enabled(a->settle, SD_EVENT_ONESHOT);
}

static void fail(Agentd *a, int status) {
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

        settle(a);
}

static bool has_fenced(Agentd *a) {
        for (Attempt *x = attempt_first(a->attempts); x; x = attempt_next(x))
                if (x->fenced && x->state != ATTEMPT_ENDED && x->state != ATTEMPT_REFUSED)
                        return true;
        return false;
}

static void on_fence_resumed(void *userdata) {
        Agentd *a = userdata;

        a->fence_resumed = true;
        settle(a);
}

static void resume_fence(Agentd *a) {
        int r;

        if (a->fence_asked)
                return;
        a->fence_asked = true;
        r = has_fenced(a) ? contact_resume(a->contact, on_fence_resumed, a) : -ENOENT;
        if (r < 0)
                on_fence_resumed(a);
}

/* Enrols, then polls, each once its conditions are met. */
static void advance(Agentd *a) {
        int r;

        if (!a->listed || !*a->systemd || a->polling || attempt_count_reading(a->attempts) > 0)
                return;
        if (!a->identity.credential) {
                r = a->enroller ? 0
                                : enroller_new(a->link, a->settings, &a->facts, a->systemd,
                                               &a->identity, on_enrolled, a, &a->enroller);
                if (r < 0)
                        fail(a, log_error(r, "Cannot begin to enrol"));
                return;
        }
        a->enroller = enroller_free(a->enroller);
        if (!a->fence_resumed) {
                resume_fence(a);
                return;
        }
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
                fail(a, AGENTD_EXIT_CONFIG);
                return;
        }
        (void) snprintf(a->systemd, sizeof(a->systemd), "%s", version);
        settle(a);
}

static void on_found(const char *attempt, bool slice, void *userdata) {
        Agentd *a = userdata;
        Attempt *found;
        int r = slice ? strv_append(&a->stray_slices, attempt)
                      : attempt_adopt(a->attempts, attempt, &found);

        if (r < 0)
                fail(a, log_error(r, "Cannot look after sluice-%s.service", attempt));
}

static void on_listed(int r, const Error *e, void *userdata) {
        Agentd *a = userdata;

        if (r < 0) {
                fail(a, log_error(r, "%s", error_text(e, r)));
                return;
        }
        a->listed = true;
        if (attempt_count(a->attempts) > 0)
                log_info("Found %zu tasks of an earlier start.", attempt_count(a->attempts));
        release_stray_slices(a);
        settle(a);
}

static void on_attempt_changed(Attempt *attempt, void *userdata) {
        Agentd *a = userdata;

        if (a->polling && attempt->owed)
                reporter_kick(a->reporter, attempt);
        if (attempt->state == ATTEMPT_RUNNING)
                sampler_kick(a->sampler);
        settle(a);
}

static void on_attempt_ended(Attempt *attempt, void *userdata) {
        Agentd *a = userdata;

        shipper_finish(a->shipper, attempt);
}

static void on_attempt_stuck(Attempt *attempt, void *userdata) {
        Agentd *a = userdata;

        (void) attempt;
        stuck_watch(a->stuck);
}

static void on_log_complete(Attempt *attempt, void *userdata) {
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

static void let_go(Agentd *a, Attempt *attempt) {
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
                        let_go(a, attempt);
        }
        advance(a);
        if (attempt_count(a->attempts) == 0 && a->finishing && !a->leaving)
                leave(a);
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

/* Before anything that the contact brought is begun. */
static void keep_fence(Agentd *a, const ProtoWork *work) {
        const ProtoAssignment *start = work->start.items;
        bool fenced = has_fenced(a);

        for (size_t i = 0; i < work->start.count; i++)
                fenced |= start[i].fence;
        if (fenced)
                contact_fence(a->contact);
}

static bool fence_fell(void *userdata) {
        Agentd *a = userdata;

        return contact_is_over(a->contact);
}

static void hear_drain(Agentd *a, const char *drain) {
        if (!drain || str_eq(drain, "true") == a->drain_heard)
                return;
        a->drain_heard = !a->drain_heard;
        log_notice(a->drain_heard ? "Draining: the control plane wants nothing new to begin here."
                                  : "Draining is over: the control plane gives tasks again.");
}

static void start_attempt(Agentd *a, ProtoAssignment *assignment, uint64_t deadline_usec) {
        _cleanup_(freep) char *id = strdup(assignment->attempt);
        uint32_t epoch = assignment->epoch;
        Attempt *attempt = attempt_find(a->attempts, assignment->attempt);
        /* Where the next version of a streaming pipe begins, the last one may still run. */
        bool full = attempt_count_live(a->attempts) >=
                    a->settings->slots + (assignment->streaming ? 1U : 0U);
        int r;

        if (attempt || !id || attempt_is_past(a->attempts, id, epoch))
                return; /* offered again because our word crossed the offer */
        if (full || a->drain_heard || a->finishing) {
                r = attempt_refuse(a->attempts, id, epoch, true,
                                   full ? "All slots are taken." : "The agent is draining.",
                                   &attempt);
        } else {
                r = attempt_start(a->attempts, assignment, deadline_usec, &attempt);
                if (r >= 0)
                        r = shipper_follow(a->shipper, attempt, 0, "", monotonic_usec());
        }
        if (r < 0)
                (void) log_error(r, "Cannot take attempt %s", id);
}

static void stop_attempt(Agentd *a, const ProtoStop *stop) {
        const char *reason = stop->reason ? stop->reason : "The control plane asked for it.";
        Attempt *attempt = attempt_find(a->attempts, stop->attempt);
        int r = 0;

        if (!attempt && attempt_is_past(a->attempts, stop->attempt, stop->epoch))
                return; /* our word that it is over crossed this */
        if (!attempt)
                r = attempt_refuse(a->attempts, stop->attempt, stop->epoch, false, reason,
                                   &attempt);
        else if (attempt->epoch == stop->epoch)
                attempt_stop(attempt, reason);
        if (r < 0)
                (void) log_error(r, "Cannot stop attempt %s", stop->attempt);
}

static void resume_log(Agentd *a, const ProtoResume *resume) {
        Attempt *attempt = attempt_find(a->attempts, resume->attempt);
        int r;

        if (!attempt || attempt->epoch != resume->epoch || shipper_follows(attempt) ||
            attempt->recovering || attempt->state == ATTEMPT_REFUSED)
                return;
        r = shipper_follow(a->shipper, attempt, resume->sequence,
                           resume->cursor ? resume->cursor : "", resume->monotonic_usec);
        if (r < 0)
                (void) log_error(r, "Cannot go on with the log of attempt %s", attempt->text);
}

static void recover_attempt(Agentd *a, ProtoRecover *recover) {
        Attempt *attempt = attempt_find(a->attempts, recover->attempt);
        int r;

        if (attempt || attempt_is_past(a->attempts, recover->attempt, recover->epoch))
                return; /* offered again because our word crossed the offer */
        r = attempt_recover(a->attempts, recover, &attempt);
        if (r < 0) {
                (void) log_error(r, "Cannot look for attempt %s", recover->attempt);
                return;
        }
        r = recovery_add(a->recovery, recover);
        if (r < 0)
                let_go(a, attempt); /* out of memory: it will be offered again */
}

static void on_recovered(const ProtoRecover *wanted, const Recovered *known, void *userdata) {
        Agentd *a = userdata;
        Attempt *attempt = attempt_find(a->attempts, wanted->attempt);
        int r;

        if (!attempt || attempt->epoch != wanted->epoch)
                return; /* the control plane has let go of it */
        attempt_recovered(attempt, known);
        if (attempt->state != ATTEMPT_ENDED)
                return;
        r = shipper_recover(a->shipper, attempt, wanted->sequence, wanted->cursor,
                            wanted->monotonic_usec);
        if (r >= 0)
                return;
        (void) log_error(r, "Cannot ship the rest of the log of attempt %s", attempt->text);
        attempt->log_sequence = wanted->sequence;
        on_log_complete(attempt, a);
}

/* Each array at most as long as the field table allows. */
static void on_work(ProtoWork *work, uint64_t sent_usec, void *userdata) {
        ProtoRelease *release = work->release.items;
        ProtoAssignment *start = work->start.items;
        ProtoResume *resume = work->resume.items;
        ProtoRecover *recover = work->recover.items;
        ProtoStop *stop = work->stop.items;
        Agentd *a = userdata;

        hear_drain(a, work->drain);
        contact_note(a->contact, sent_usec);
        keep_fence(a, work);
        for (size_t i = 0; i < work->release.count; i++) {
                Attempt *attempt = attempt_find(a->attempts, release[i].attempt);

                if (attempt && attempt->epoch == release[i].epoch)
                        let_go(a, attempt);
        }
        for (size_t i = 0; i < work->resume.count; i++)
                resume_log(a, &resume[i]);
        for (size_t i = 0; i < work->recover.count; i++)
                recover_attempt(a, &recover[i]);
        for (size_t i = 0; i < work->stop.count; i++)
                stop_attempt(a, &stop[i]);
        for (size_t i = 0; i < work->start.count && !a->leaving; i++)
                start_attempt(a, &start[i], contact_deadline(a->contact, sent_usec));
        STRV_FOREACH(run, work->clean) {
                int r = cleaner_remove(a->cleaner, *run);

                if (r < 0)
                        (void) log_error(r, "Cannot remove the workspace of run %s", *run);
        }
        settle(a);
}

/* The machine may be a snapshot that was restored, or a copy: a new session says anew what there is, and has to be let in. */
static int make_session(Agentd *a) {
        Id session;
        int r = id_random(&session);

        if (r >= 0)
                (void) id_to_text(session, a->session);
        return r;
}

static void begin_anew(Agentd *a, uint64_t sent_usec) {
        (void) sent_usec;
        if (make_session(a) < 0)
                fail(a, EXIT_FAILURE);
        else
                poller_renew(a->poller);
}

static void on_clock_set(void *userdata) {
        log_notice("The clock was set by more than a minute, as after a snapshot was restored: "
                   "beginning a new session.");
        if (make_session(userdata) < 0)
                fail(userdata, EXIT_FAILURE);
}

static void enrol_anew(Agentd *a, uint64_t sent_usec) {
        Error e = {};

        if (identity_renew(a->settings->state_directory, &a->identity, &e) < 0)
                (void) log_error(e.code, "Cannot give up the identity: %s", e.detail);
        (void) sent_usec;
        fail(a, EXIT_FAILURE); /* to enrol at the next start */
}

/* Nothing of ours is given to another meanwhile, so it is a contact. */
static void wait_in_quarantine(Agentd *a, uint64_t sent_usec) {
        contact_note(a->contact, sent_usec);
        if (has_fenced(a))
                contact_fence(a->contact);
}

static void on_refused(const Error *problem, uint64_t sent_usec, void *userdata) {
        static const struct {
                const char *slug;
                void (*act)(Agentd *a, uint64_t sent_usec);
        } known[] = {
                { "session-replaced", begin_anew },
                { "identity-taken", enrol_anew },
                { "quarantined", wait_in_quarantine },
        };

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (str_eq(problem->slug, known[i].slug))
                        known[i].act(userdata, sent_usec);
}

static int on_leave(sd_event_source *source, uint64_t usec, void *userdata) {
        (void) source;
        (void) usec;
        fail(userdata, 0);
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
                fail(a, 0);
}

static void on_fence_lifted(void *userdata) {
        fail(userdata, 0);
}

static void on_goodbye_answer(Channel *c, const ChannelAnswer *answer, void *userdata) {
        Agentd *a = userdata;

        (void) c;
        if (answer->problem || !has_fenced(a) || contact_lift(a->contact, on_fence_lifted, a) < 0)
                fail(a, 0);
}

/* Ends, telling the control plane if it is there. Tasks go on without us. */
static void leave(Agentd *a) {
        (void) sd_notify(false, "STOPPING=1\nSTATUS=Saying goodbye");
        if (a->leaving || !a->polling || !link_is_up(a->link)) {
                fail(a, 0);
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
                fail(a, 0);
                return;
        }
        channel_kick(a->goodbye);
}

static int on_patience_over(sd_event_source *source, uint64_t usec, void *userdata) {
        (void) source;
        (void) usec;
        leave(userdata);
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

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Agentd *a = userdata;

        (void) source;
        (void) info;
        if (!finish_tasks(a))
                leave(a);
        return 0;
}

static const UnitBusEvents bus_events = { on_version, on_found, on_listed };
static const AttemptEvents attempt_events = { on_attempt_changed, on_attempt_ended,
                                              on_attempt_stuck, fence_fell };

static int make_loop(Agentd *a) {
        int r = sd_event_new(&a->event);

        if (r >= 0)
                r = sd_event_add_signal(a->event, NULL, SIGTERM, on_signal, a);
        if (r >= 0)
                r = sd_event_add_signal(a->event, NULL, SIGINT, on_signal, a);
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

static int make_parts(Agentd *a) {
        const Settings *s = a->settings;
        const char *instance = s->instance ? s->instance : "";
        int r = link_new(a->event, s->url, s->ca_file, &a->link);

        if (r >= 0 && a->identity.credential)
                r = link_set_bearer(a->link, a->identity.credential);
        if (r >= 0)
                r = unit_bus_new(a->event, instance, &bus_events, a, &a->bus);
        if (r >= 0)
                r = exec_client_new(a->event, unit_bus_connection(a->bus), &a->exec);
        if (r >= 0)
                r = contact_new(a->exec, instance, s->self_fence_usec, &a->contact);
        if (r >= 0)
                r = attempt_table_new(a->bus, a->exec, instance, &attempt_events, a, &a->attempts);
        if (r >= 0)
                r = stuck_new(a->event, a->attempts, &a->stuck);
        if (r >= 0)
                r = cleaner_new(a->event, a->exec, instance, on_workspace_removed, a, &a->cleaner);
        if (r >= 0)
                r = shipper_new(a->event, a->link, a->exec, a->attempts, on_log_complete, a,
                                &a->shipper);
        if (r >= 0)
                r = recovery_new(a->event, instance, on_recovered, a, &a->recovery);
        if (r >= 0)
                r = reporter_new(a->link, a->attempts, a->cleaner, a->session, on_work, a,
                                 &a->reporter);
        if (r >= 0)
                r = sampler_new(a->event, a->link, a->attempts, s->metrics_interval_usec,
                                &a->sampler);
        if (r >= 0)
                r = poller_new(a->link, a->attempts,
                               &(PollerSpec){ a->session, a->facts.boot, s->on_clone, a->workspaces,
                                              s->slots, s->self_fence_usec, &a->finishing,
                                              &a->drain_heard, on_work, on_refused, on_clock_set,
                                              a },
                               &a->poller);
        return r;
}

/* Where agentd-exec has them made. */
static int find_workspaces(Agentd *a) {
        _cleanup_(freep) char *below = instance_workspaces(a->settings->instance);

        a->workspaces = below ? str_format("/var/lib/%s", below) : NULL;
        return a->workspaces ? 0 : -ENOMEM;
}

int agentd_new(const Settings *settings, Agentd **ret, Error *e) {
        _cleanup_(agentd_freep) Agentd *a = calloc(1, sizeof(*a));
        int r;

        if (!a)
                return -ENOMEM;
        a->settings = settings;
        r = facts_read(&a->facts, e);
        if (r >= 0)
                r = identity_load(settings->state_directory, &a->identity, e);
        if (r >= 0)
                r = make_session(a);
        if (r >= 0)
                r = find_workspaces(a);
        if (r >= 0)
                r = make_loop(a);
        if (r >= 0)
                r = make_parts(a);
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
        (void) exec_client_free(a->exec);
        (void) cleaner_free(a->cleaner);
        (void) unit_bus_free(a->bus);
        (void) link_free(a->link);
        identity_done(&a->identity);
        strv_free(a->stray_slices);
        free(a->workspaces);
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
