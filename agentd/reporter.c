/* Builds the body of `events` from what attempts owe. */
#include "reporter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json-out.h"
#include "log.h"
#include "proto.h"
#include "report.h"
#include "str.h"
#include "timespan.h"

#define TIMEOUT_SEC 30U
/* With the output of one more, each byte of which may be escaped by six, within the 512 KiB that controld takes. */
#define BODY_MAX (96U * 1024)
#define REFUSED_USEC (30 * USEC_PER_SEC)
#define CLEANED_USEC (500 * USEC_PER_MSEC) /* nobody waits for it */

struct Reporter {
        Channel *channel; /* owned */
        /* borrowed */
        AttemptTable *attempts;
        Cleaner *cleaner;
        const char *session;
        reporter_work_t on_work;
        void *userdata;
};

/* In the order in which they are to be said. Each may wait a little for what is likely to follow: the end of a short task, the
 * end of its log. */
static const struct {
        Report report;
        const char *state;
        void (*write)(JsonOut *o, const Attempt *a);
        uint64_t patience_usec;
} rows[] = {
        { REPORT_RUNNING, "running", report_running, 100 * USEC_PER_MSEC },
        { REPORT_STATUS, "status", report_status, 500 * USEC_PER_MSEC },
        { REPORT_STUCK, "stuck", report_stuck, 0 },
        { REPORT_ENDED, "ended", report_ended, 10 * USEC_PER_MSEC },
        { REPORT_REFUSED, "refused", report_refused, 0 },
        { REPORT_LOGGED, "logged", report_logged, 0 },
};

/* The beginning is not told before the invocation is known, the end not before the limits and the output are, nor the log's end before the end. */
static unsigned sayable(const Attempt *a) {
        unsigned owed = a->owed;

        if (a->unit && unit_is_asking(a->unit))
                owed &= ~((unsigned) REPORT_RUNNING | (unsigned) REPORT_ENDED);
        if (a->reading)
                owed &= ~(unsigned) REPORT_ENDED;
        if (a->owed & REPORT_ENDED && !(owed & REPORT_ENDED))
                owed &= ~(unsigned) REPORT_LOGGED;
        return owed;
}

static unsigned write_attempt(JsonOut *o, Attempt *a, unsigned room) {
        unsigned owed = sayable(a), n = 0;

        for (size_t i = 0; i < ELEMENTSOF(rows) && n < room; i++)
                if (owed & rows[i].report) {
                        rows[i].write(o, a);
                        a->sent |= rows[i].report;
                        n++;
                }
        return n;
}

static unsigned write_cleaned(JsonOut *o, Cleaner *cleaner, unsigned room) {
        unsigned n = 0;

        for (CleanedRun *run = cleaner_first(cleaner); run && n < room; run = run->next)
                if (run->removed) {
                        json_out_object(o, NULL);
                        json_out_text(o, "state", "cleaned");
                        json_out_text(o, "run", run->run);
                        json_out_end_object(o);
                        n++;
                }
        return n;
}

static void on_turn(Channel *channel, void *userdata) {
        _cleanup_(freep) char *json = NULL;
        Reporter *p = userdata;
        JsonOut o = {};
        unsigned n = 0;

        json_out_object(&o, NULL);
        json_out_text(&o, "session", p->session);
        json_out_array(&o, "events");
        for (Attempt *a = attempt_first(p->attempts);
             a && n < PROTO_EVENTS_MAX && o.buffer.size < BODY_MAX; a = attempt_next(a))
                n += write_attempt(&o, a, PROTO_EVENTS_MAX - n);
        n += write_cleaned(&o, p->cleaner, PROTO_EVENTS_MAX - n);
        json_out_end_array(&o);
        json_out_end_object(&o);
        if (json_out_take(&o, &json) < 0) {
                channel_kick_later(channel, USEC_PER_SEC);
                return;
        }
        if (n > 0)
                (void) channel_send(channel,
                                    &(ChannelRequest){ PROTO_PATH "/events", "application/json",
                                                       json, strlen(json), TIMEOUT_SEC });
}

static void acknowledge(Reporter *p, const ProtoAcknowledged *ack) {
        Attempt *a;

        if (str_eq(ack->state, "cleaned") && ack->run) {
                cleaner_acknowledge(p->cleaner, ack->run);
                return;
        }
        a = attempt_find(p->attempts, ack->attempt);
        if (!a || a->epoch != ack->epoch)
                return;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (str_eq(rows[i].state, ack->state) && (a->sent & rows[i].report))
                        a->owed &= ~(unsigned) rows[i].report;
}

static uint64_t patience(const Attempt *a) {
        unsigned owed = sayable(a);
        uint64_t usec = UINT64_MAX;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (owed & rows[i].report && rows[i].patience_usec < usec)
                        usec = rows[i].patience_usec;
        return usec;
}

/* UINT64_MAX: nothing is owed. */
static uint64_t patience_of_all(Reporter *p) {
        uint64_t usec = UINT64_MAX;

        for (Attempt *a = attempt_first(p->attempts); a; a = attempt_next(a))
                if (patience(a) < usec)
                        usec = patience(a);
        for (CleanedRun *run = cleaner_first(p->cleaner); run; run = run->next)
                if (run->removed && CLEANED_USEC < usec)
                        usec = CLEANED_USEC;
        return usec;
}

static void on_answer(Channel *channel, const ChannelAnswer *answer, void *userdata) {
        Reporter *p = userdata;
        ProtoWork work = {};
        Error e = {};
        int r = 0;

        if (answer->problem)
                e = *answer->problem;
        else
                r = json_decode(answer->body, answer->size, proto_work_fields, JSON_IGNORE_UNKNOWN,
                                &work, &e);
        if (r < 0 || answer->problem) {
                log_message(LOG_ERR, NULL, NULL, "The answer to events is not usable: %s",
                            error_text(&e, r));
                channel_kick_later(channel, REFUSED_USEC);
        } else {
                const ProtoAcknowledged *acks = work.acknowledged.items;
                size_t before = work.acknowledged.count;
                uint64_t usec;

                for (size_t i = 0; i < work.acknowledged.count; i++)
                        acknowledge(p, &acks[i]);
                p->on_work(&work, answer->sent_usec, p->userdata);
                usec = patience_of_all(p);
                if (usec < UINT64_MAX && before > 0)
                        channel_kick_within(channel, usec);
                else if (usec < UINT64_MAX) /* it did not take what was said: not in a tight loop */
                        channel_kick_later(channel, USEC_PER_SEC);
        }
        json_done(proto_work_fields, &work);
}

void reporter_kick(Reporter *p, const Attempt *a) {
        uint64_t usec = patience(a);

        if (usec < UINT64_MAX)
                channel_kick_within(p->channel, usec);
}

void reporter_kick_cleaned(Reporter *p) {
        channel_kick_within(p->channel, CLEANED_USEC);
}

int reporter_new(Link *link, AttemptTable *attempts, Cleaner *cleaner, const char *session,
                 reporter_work_t on_work, void *userdata, Reporter **ret) {
        Reporter *p = calloc(1, sizeof(*p));
        int r;

        if (!p)
                return -ENOMEM;
        *p = (Reporter){ .attempts = attempts,
                         .cleaner = cleaner,
                         .session = session,
                         .on_work = on_work,
                         .userdata = userdata };
        r = channel_new(link, "events", on_turn, on_answer, p, &p->channel);
        if (r < 0) {
                (void) reporter_free(p);
                return r;
        }
        *ret = p;
        return 0;
}

Reporter *reporter_free(Reporter *p) {
        if (!p)
                return NULL;
        (void) channel_free(p->channel);
        free(p);
        return NULL;
}
