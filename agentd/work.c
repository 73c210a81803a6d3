/* What the control plane's answers ask for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agentd-internal.h"
#include "log.h"
#include "offer.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"

/* Before anything that the contact brought is begun. */
static void keep_fence(Agentd *a, const ProtoWork *work) {
        const ProtoAssignment *start = work->start.items;
        bool fenced = agentd_has_fenced(a);

        for (size_t i = 0; i < work->start.count; i++)
                fenced |= start[i].fence;
        if (fenced)
                contact_fence(a->contact);
}

/* What is fenced begins behind a deadline, or not here. */
void agentd_on_fence(const char *words, void *userdata) {
        _cleanup_(freep) char *objection =
                words ? str_format("The deadline of SelfFenceSec= cannot be set: %s", words) : NULL;
        Agentd *a = userdata;

        for (Attempt *x = attempt_first(a->attempts), *next; x; x = next) {
                next = attempt_next(x);
                attempt_unhold(x, objection ? objection : words);
        }
}

bool agentd_fence_fell(uint64_t at_usec, void *userdata) {
        Agentd *a = userdata;

        return contact_was_over(a->contact, at_usec);
}

static void hear_drain(Agentd *a, const char *drain) {
        if (!drain || str_eq(drain, "true") == a->drain_heard)
                return;
        a->drain_heard = !a->drain_heard;
        log_notice(a->drain_heard ? "Draining: the control plane wants nothing new to begin here."
                                  : "Draining is over: the control plane gives tasks again.");
}

/* Why it cannot be begun now; NULL: it can. */
static const char *objection(Agentd *a, const ProtoAssignment *assignment) {
        /* Where the next version of a streaming pipe begins, the last one may still run. */
        if (attempt_count_live(a->attempts) >=
            a->settings->slots + (assignment->streaming ? 1U : 0U))
                return "All slots are taken.";
        if (a->drain_heard || a->finishing)
                return "The agent is draining.";
        if (!cleaner_make_way(a->cleaner, assignment->run))
                return "What the run left here before is being removed.";
        return NULL;
}

/* A sync could not tell of more, and what was not taken is asked for again: only a control plane that means harm gets here. */
static bool has_room(const Agentd *a) {
        return attempt_count(a->attempts) < PROTO_ATTEMPTS_MAX;
}

static void start_attempt(Agentd *a, ProtoAssignment *assignment, uint64_t deadline_usec) {
        _cleanup_(freep) char *id = strdup(assignment->attempt);
        uint32_t epoch = assignment->epoch;
        Attempt *attempt = attempt_find(a->attempts, assignment->attempt);
        uint64_t before_usec =
                clock_usec(CLOCK_MONOTONIC); /* the start is asked for before its log is read */
        const char *why;
        Error e = {};
        int r;

        if (attempt || !id || !has_room(a) || attempt_is_past(a->attempts, id, epoch))
                return; /* offered again because our word crossed the offer */
        why = objection(a, assignment);
        if (why) {
                r = attempt_refuse(a->attempts, id, epoch, true, why, &attempt);
        } else if ((r = offer_substitute(assignment, a->settings->instance, &e)) == -EINVAL) {
                r = attempt_refuse(a->attempts, id, epoch, false, e.detail, &attempt);
        } else if (r >= 0) {
                bool hold = assignment->fence && !contact_stands(a->contact);

                r = attempt_start(a->attempts, assignment, deadline_usec, hold, &attempt);
                if (r >= 0)
                        r = shipper_follow(a->shipper, attempt, 0, "", before_usec);
        }
        if (r < 0)
                (void) log_error(r, "Cannot take attempt %s", id);
}

static void stop_attempt(Agentd *a, const ProtoStop *stop) {
        const char *reason = stop->reason ? stop->reason : "The control plane asked for it.";
        Attempt *attempt = attempt_find(a->attempts, stop->attempt);
        int r = 0;

        if (!attempt && (!has_room(a) || attempt_is_past(a->attempts, stop->attempt, stop->epoch)))
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

        if (attempt || !has_room(a) ||
            attempt_is_past(a->attempts, recover->attempt, recover->epoch))
                return; /* offered again because our word crossed the offer */
        r = attempt_recover(a->attempts, recover, &attempt);
        if (r < 0) {
                (void) log_error(r, "Cannot look for attempt %s", recover->attempt);
                return;
        }
        r = recovery_add(a->recovery, recover);
        if (r < 0)
                agentd_let_go(a, attempt); /* out of memory: it will be offered again */
}

void agentd_on_recovered(const ProtoRecover *wanted, const Recovered *known, void *userdata) {
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
        agentd_on_log_complete(attempt, a);
}

/* Each array at most as long as the field table allows. */
void agentd_on_work(ProtoWork *work, uint64_t sent_usec, void *userdata) {
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
                        agentd_let_go(a, attempt);
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
        agentd_settle(a);
}

/* The machine may be a snapshot that was restored, or a copy: a new session says anew what there is, and has to be let in. */
int agentd_make_session(Agentd *a) {
        Id session;
        int r = id_random(&session);

        if (r >= 0)
                (void) id_to_text(session, a->session);
        return r;
}

static void begin_anew(Agentd *a, uint64_t sent_usec) {
        (void) sent_usec;
        if (agentd_make_session(a) < 0)
                agentd_fail(a, EXIT_FAILURE);
        else
                poller_renew(a->poller);
}

void agentd_on_clock_set(void *userdata) {
        log_notice("The clock was set by more than a minute, as after a snapshot was restored: "
                   "beginning a new session.");
        if (agentd_make_session(userdata) < 0)
                agentd_fail(userdata, EXIT_FAILURE);
}

static void enrol_anew(Agentd *a, uint64_t sent_usec) {
        Error e = {};

        if (identity_renew(a->settings->state_directory, &a->identity, &e) < 0)
                (void) log_error(e.code, "Cannot give up the identity: %s", e.detail);
        (void) sent_usec;
        agentd_fail(a, EXIT_FAILURE); /* to enrol at the next start */
}

/* Nothing of ours is given to another meanwhile, so it is a contact. */
static void wait_in_quarantine(Agentd *a, uint64_t sent_usec) {
        contact_note(a->contact, sent_usec);
        if (agentd_has_fenced(a))
                contact_fence(a->contact);
}

void agentd_on_refused(const Error *problem, uint64_t sent_usec, void *userdata) {
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
