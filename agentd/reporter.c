/* Builds the body of `events` from what attempts owe. */
#include "reporter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "json-out.h"
#include "log.h"
#include "proto.h"
#include "str.h"
#include "timespan.h"

#define TIMEOUT_SEC 30U
#define REFUSED_USEC (30 * USEC_PER_SEC)

struct Reporter {
        Channel *channel; /* owned */
        /* borrowed */
        AttemptTable *attempts;
        Cleaner *cleaner;
        const char *session;
        reporter_work_t on_work;
        void *userdata;
};

static void write_head(JsonOut *o, const Attempt *a, const char *state, uint64_t realtime_usec) {
        json_out_object(o, NULL);
        json_out_text(o, "attempt", a->text);
        json_out_u64(o, "epoch", a->epoch);
        json_out_text(o, "state", state);
        json_out_u64(o, "realtime_usec", realtime_usec);
}

static void write_unit(JsonOut *o, const Attempt *a) {
        _cleanup_(freep) char *slice =
                str_format("sluice-%c-%s.slice", a->hex[ID_HEX_SIZE - 2], a->hex);

        if (*a->unit_state.invocation_id)
                json_out_text(o, "invocation_id", a->unit_state.invocation_id);
        json_out_text(o, "slice", slice);
}

static void write_running(JsonOut *o, const Attempt *a) {
        write_head(o, a, "running", a->started_usec);
        write_unit(o, a);
        json_out_end_object(o);
}

static const char *exit_code_to_string(int code) {
        return code == CLD_EXITED
                       ? "exited"
                       : (code == CLD_KILLED ? "killed" : (code == CLD_DUMPED ? "dumped" : NULL));
}

static void write_ended(JsonOut *o, const Attempt *a) {
        const UnitState *s = &a->unit_state;
        const char *code = exit_code_to_string(s->main_code);

        write_head(o, a, "ended", a->ended_usec);
        write_unit(o, a);
        json_out_text(o, "result", *s->result ? s->result : "lost");
        if (code) {
                json_out_text(o, "exit_code", code);
                json_out_u64(o, "exit_status", (uint64_t) s->main_status);
        }
        if (a->reason)
                json_out_text(o, "reason", a->reason);
        if (s->main_start_monotonic_usec > 0 &&
            s->main_exit_monotonic_usec >= s->main_start_monotonic_usec)
                json_out_known(o, "runtime_usec",
                               s->main_exit_monotonic_usec - s->main_start_monotonic_usec);
        json_out_known(o, "cpu_usage_usec", a->usage.cpu_usage_usec);
        json_out_known(o, "memory_peak_bytes", a->usage.memory_peak_bytes);
        json_out_known(o, "io_read_bytes", a->usage.io_read_bytes);
        json_out_known(o, "io_write_bytes", a->usage.io_write_bytes);
        json_out_known(o, "oom_kills", a->usage.oom_kills);
        json_out_known(o, "memory_max_bytes", s->memory_max_bytes);
        json_out_known(o, "cpu_quota_per_sec_usec", s->cpu_quota_per_sec_usec);
        json_out_known(o, "tasks_max", s->tasks_max);
        json_out_end_object(o);
}

static void write_refused(JsonOut *o, const Attempt *a) {
        write_head(o, a, "refused", a->ended_usec);
        json_out_text(o, "reason", a->reason);
        json_out_bool(o, "requeue", a->requeue);
        json_out_end_object(o);
}

static void write_logged(JsonOut *o, const Attempt *a) {
        write_head(o, a, "logged", a->ended_usec);
        json_out_u64(o, "sequence", a->log_sequence);
        json_out_end_object(o);
}

/* In the order in which they are to be said. */
static const struct {
        Report report;
        const char *state;
        void (*write)(JsonOut *o, const Attempt *a);
} rows[] = {
        { REPORT_RUNNING, "running", write_running },
        { REPORT_ENDED, "ended", write_ended },
        { REPORT_REFUSED, "refused", write_refused },
        { REPORT_LOGGED, "logged", write_logged },
};

/* The end is not told before the limits are known, nor the log's end before the end. */
static unsigned sayable(const Attempt *a) {
        unsigned owed = a->owed;

        if (a->unit && unit_is_asking(a->unit))
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
        for (Attempt *a = attempt_first(p->attempts); a && n < PROTO_EVENTS_MAX;
             a = attempt_next(a))
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

static bool anything_owed(Reporter *p) {
        for (Attempt *a = attempt_first(p->attempts); a; a = attempt_next(a))
                if (sayable(a))
                        return true;
        for (CleanedRun *run = cleaner_first(p->cleaner); run; run = run->next)
                if (run->removed)
                        return true;
        return false;
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

                for (size_t i = 0; i < work.acknowledged.count; i++)
                        acknowledge(p, &acks[i]);
                p->on_work(&work, p->userdata);
                if (anything_owed(p)) {
                        if (before > 0)
                                channel_kick(channel);
                        else /* it did not take what was said: not in a tight loop */
                                channel_kick_later(channel, USEC_PER_SEC);
                }
        }
        json_done(proto_work_fields, &work);
}

void reporter_kick(Reporter *p) {
        channel_kick(p->channel);
}

void reporter_kick_later(Reporter *p, uint64_t usec) {
        channel_kick_later(p->channel, usec);
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
