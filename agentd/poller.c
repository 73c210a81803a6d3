/* There is always one poll under way, or one about to be. */
#include "poller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "contact.h"
#include "json-out.h"
#include "log.h"
#include "message-ids.h"
#include "proto.h"
#include "shipper.h"
#include "str.h"
#include "timespan.h"

#define WAIT_SEC 50U
#define TIMEOUT_SEC (WAIT_SEC + 25U)
#define REFUSED_USEC (10 * USEC_PER_SEC)
#define CLOCK_SET_USEC (60 * USEC_PER_SEC)
#define EARLY_USEC USEC_PER_SEC /* an empty answer sooner than this was no wait */

struct Poller {
        Channel *channel; /* owned */
        /* borrowed */
        AttemptTable *attempts;
        PollerSpec spec;
        uint64_t sent_usec;     /* monotonic */
        int64_t clock_gap_usec; /* of CLOCK_REALTIME to CLOCK_BOOTTIME, at the last turn; 0: none */
        bool answered;          /* in this session */
        uint64_t sequence;      /* of the last sync */
        char challenge[ID_TEXT_SIZE]; /* to be said back: a session that began while we were here */
        char refused[ERROR_SLUG_MAX]; /* the last refusal, so that it is told once */
};

/* A machine that is restored from a snapshot has the time of then, until somebody sets it; its memory holds the session of then. */
static bool clock_was_set(Poller *p) {
        int64_t before = p->clock_gap_usec;
        int64_t gap = (int64_t) clock_usec(CLOCK_REALTIME) - (int64_t) contact_now();

        p->clock_gap_usec = gap;
        return before != 0 && (uint64_t) llabs(gap - before) > CLOCK_SET_USEC;
}

static void forget_session(Poller *p) {
        p->answered = false;
        *p->challenge = '\0';
}

static void write_attempts(JsonOut *o, AttemptTable *attempts) {
        json_out_array(o, "attempts");
        for (Attempt *a = attempt_first(attempts); a; a = attempt_next(a)) {
                json_out_object(o, NULL);
                json_out_text(o, "attempt", a->text);
                json_out_u64(o, "epoch", a->epoch);
                json_out_text(o, "state", attempt_state_to_string(a->state));
                if (a->state != ATTEMPT_REFUSED && !a->recovering && !shipper_follows(a))
                        json_out_bool(o, "resume", true);
                json_out_end_object(o);
        }
        json_out_end_array(o);
}

/* A poll that is answered after its wait is a contact of then: it must be much younger than the fence. */
static uint64_t wait_sec(const Poller *p) {
        uint64_t third = p->spec.self_fence_usec / USEC_PER_SEC / 3;

        return third < WAIT_SEC ? third : WAIT_SEC;
}

static void on_turn(Channel *c, void *userdata) {
        _cleanup_(freep) char *json = NULL;
        Poller *p = userdata;
        JsonOut o = {};

        if (clock_was_set(p)) {
                p->spec.on_clock_set(p->spec.userdata);
                forget_session(p);
        }
        json_out_object(&o, NULL);
        json_out_text(&o, "session", p->spec.session);
        json_out_u64(&o, "sequence", ++p->sequence);
        json_out_text(&o, "boot", p->spec.facts->boot);
        json_out_text(&o, "version", PACKAGE_VERSION);
        json_out_u64(&o, "slots", p->spec.slots);
        json_out_bool(&o, "draining", *p->spec.draining || *p->spec.drain_heard);
        json_out_bool(&o, "drain_heard", *p->spec.drain_heard);
        json_out_u64(&o, "self_fence_sec", p->spec.self_fence_usec / USEC_PER_SEC);
        json_out_u64(&o, "wait_sec", wait_sec(p));
        json_out_text(&o, "on_clone", p->spec.on_clone);
        if (*p->challenge)
                json_out_text(&o, "challenge", p->challenge);
        write_attempts(&o, p->attempts);
        if (!p->answered) {
                facts_write(p->spec.facts, &o);
                workspaces_write(p->spec.workspaces, &o, "workspaces");
        }
        json_out_end_object(&o);
        p->sent_usec = clock_usec(CLOCK_MONOTONIC);
        if (json_out_take(&o, &json) < 0)
                channel_kick_later(c, USEC_PER_SEC);
        else
                (void) channel_send(c, &(ChannelRequest){ PROTO_PATH "/sync", "application/json",
                                                          json, strlen(json), TIMEOUT_SEC });
}

static bool is_empty(const ProtoWork *work) {
        return work->start.count + work->stop.count + work->release.count + work->resume.count +
                               work->recover.count ==
                       0 &&
               !work->clean && !work->drain;
}

static void hear_refusal(Poller *p, const ChannelAnswer *answer) {
        bool clone = str_eq(answer->problem->slug, "quarantined");

        if (!str_eq(p->refused, answer->problem->slug))
                log_message(LOG_ERR, clone ? MSG_AGENT_QUARANTINED : NULL, NULL,
                            "The control plane refuses to sync: %s", answer->problem->detail);
        (void) snprintf(p->refused, sizeof(p->refused), "%s", answer->problem->slug);
        p->spec.on_refused(answer->problem, answer->sent_usec, p->spec.userdata);
        channel_kick_later(p->channel, REFUSED_USEC); /* unless it is sooner already */
}

/* Whether another session of ours, or of somebody with our identity, is in the way. */
static bool hear_challenge(Poller *p, const ProtoWork *work) {
        bool news = work->challenge && !str_eq(p->challenge, work->challenge);
        Id id;

        *p->challenge = '\0';
        if (work->challenge && id_parse(work->challenge, &id) >= 0)
                (void) id_to_text(id, p->challenge);
        if (news)
                channel_kick(p->channel);
        else if (work->pending)
                channel_kick_later(p->channel, EARLY_USEC);
        return news || work->pending;
}

static void on_answer(Channel *c, const ChannelAnswer *answer, void *userdata) {
        Poller *p = userdata;
        ProtoWork work = {};
        Error e = {};
        bool empty, challenged;
        int r;

        if (answer->problem) {
                hear_refusal(p, answer);
                return;
        }
        *p->refused = '\0';
        r = json_decode(answer->body, answer->size, proto_work_fields, JSON_IGNORE_UNKNOWN, &work,
                        &e);
        if (r < 0) {
                log_message(LOG_ERR, NULL, NULL, "The answer to sync is not usable: %s",
                            error_text(&e, r));
                channel_kick_later(c, REFUSED_USEC);
        } else {
                challenged = hear_challenge(p, &work);
                p->answered |= !challenged;
                empty = is_empty(&work);
                p->spec.on_work(&work, answer->sent_usec, p->spec.userdata);
                if (!challenged && empty && clock_usec(CLOCK_MONOTONIC) - p->sent_usec < EARLY_USEC)
                        channel_kick_later(c, EARLY_USEC);
                else if (!challenged)
                        channel_kick(c);
        }
        json_done(proto_work_fields, &work);
}

void poller_start(Poller *p) {
        channel_kick(p->channel);
}

void poller_renew(Poller *p) {
        forget_session(p);
        channel_kick_later(p->channel, EARLY_USEC);
}

bool poller_is_asking(const Poller *p) {
        return channel_is_asking(p->channel);
}

int poller_new(Link *link, AttemptTable *attempts, const PollerSpec *spec, Poller **ret) {
        Poller *p = calloc(1, sizeof(*p));
        int r;

        if (!p)
                return -ENOMEM;
        p->attempts = attempts;
        p->spec = *spec;
        r = channel_new(link, "sync", on_turn, on_answer, p, &p->channel);
        if (r < 0) {
                (void) poller_free(p);
                return r;
        }
        *ret = p;
        return 0;
}

Poller *poller_free(Poller *p) {
        if (!p)
                return NULL;
        (void) channel_free(p->channel);
        free(p);
        return NULL;
}
