/* What an agent says by itself: events, up to 64 at a time, what collects while one request is under way going with the next;
 * log chunks; goodbye. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "str.h"
#include "swarm-agent-internal.h"
#include "timespan.h"

#define TIMEOUT_SEC 30U
#define IDLE_USEC                                                                                  \
        (10 * USEC_PER_SEC) /* then the connection is closed: descriptors are what is scarce */
#define UNTAKEN_USEC USEC_PER_SEC

static uint64_t realtime_usec(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_REALTIME, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

static unsigned sayable(const Work *w) {
        return w->log_wanted ? w->owed & ~(unsigned) OWES_LOGGED : w->owed;
}

static int write_head(Buffer *b, const Work *w, const char *state, uint64_t now) {
        return buffer_printf(b,
                             "%s{\"attempt\":\"%s\",\"epoch\":%u,\"state\":\"%s\","
                             "\"realtime_usec\":%llu",
                             b->data[b->size - 1] == '[' ? "" : ",", w->attempt, w->epoch, state,
                             (unsigned long long) now);
}

static int write_unit(Buffer *b, const Work *w) {
        return buffer_printf(b,
                             ",\"invocation_id\":\"%.8s%.4s%.4s%.4s%.12s\","
                             "\"slice\":\"sluice-%c-%s.slice\"",
                             w->attempt, w->attempt + 9, w->attempt + 14, w->attempt + 19,
                             w->attempt + 24, w->attempt[35], w->attempt);
}

static int write_ended(Buffer *b, const Work *w, uint64_t now) {
        int r = write_head(b, w, "ended", now);

        if (r >= 0)
                r = write_unit(b, w);
        return r < 0 ? r
                     : buffer_printf(b,
                                     ",\"result\":\"%s\",\"exit_code\":\"%s\",\"exit_status\":%u,"
                                     "\"runtime_usec\":%llu,\"cpu_usage_usec\":1500,"
                                     "\"memory_peak_bytes\":524288,\"io_read_bytes\":0,"
                                     "\"io_write_bytes\":0,\"oom_kills\":0,"
                                     "\"memory_max_bytes\":67108864,\"tasks_max\":4915}",
                                     w->stopping ? "signal" : "success",
                                     w->stopping ? "killed" : "exited", w->stopping ? 15U : 0U,
                                     (unsigned long long) (loop_now() - w->got_usec));
}

static int write_event(Buffer *b, Work *w, unsigned owed, uint64_t now) {
        int r;

        w->sent |= owed;
        if (owed == OWES_ENDED)
                return write_ended(b, w, now);
        if (owed == OWES_RUNNING) {
                r = write_head(b, w, "running", now);
                return r < 0 || write_unit(b, w) < 0 ? -ENOMEM : buffer_append_str(b, "}");
        }
        r = write_head(b, w, owed == OWES_REFUSED ? "refused" : "logged", now);
        if (r < 0)
                return r;
        return buffer_append_str(b, owed == OWES_REFUSED
                                            ? ",\"reason\":\"The swarm refuses this one.\","
                                              "\"requeue\":true}"
                                    : w->agent->fleet->chunk ? ",\"sequence\":1}"
                                                             : ",\"sequence\":0}");
}

/* How many events there are; the body is in b. */
static int write_report(Agent *a, Buffer *b) {
        unsigned n = 0;
        uint64_t now = realtime_usec();
        int r = buffer_printf(b, "{\"session\":\"%s\",\"events\":[", a->session);

        for (Work *w = a->works; r >= 0 && w && n < PROTO_EVENTS_MAX; w = w->next)
                for (unsigned bit = OWES_RUNNING; bit <= OWES_LOGGED; bit <<= 1)
                        if (r >= 0 && (sayable(w) & bit) && n < PROTO_EVENTS_MAX) {
                                r = write_event(b, w, bit, now);
                                n++;
                        }
        for (Cleaned *c = a->cleaned; r >= 0 && c && n < PROTO_EVENTS_MAX; c = c->next, n++)
                r = buffer_printf(b, "%s{\"state\":\"cleaned\",\"run\":\"%s\"}", n ? "," : "",
                                  c->run);
        if (r >= 0)
                r = buffer_append_str(b, "]}");
        return r < 0 ? r : (int) n;
}

static void pause_talk(Agent *a, uint64_t usec) {
        a->talk_delayed = true;
        loop_arm(a->fleet->spec.target->loop, &a->talk_timer, usec);
}

static void talk_failed(Agent *a, unsigned after_sec) {
        uint64_t usec = fleet_backoff(a->fleet, a->talk_tries++), asked = after_sec * USEC_PER_SEC;

        pause_talk(a, usec < asked ? asked + usec / 4 : usec);
}

static void post(Agent *a, TalkKind kind, const char *path, const char *type, const char *body,
                 size_t size) {
        Fleet *f = a->fleet;
        bool lose = kind != TALK_GOODBYE && fleet_chance(f, f->spec.options->lose);

        if (conn_send(&a->talk, &(Request){ .method = "POST",
                                            .path = path,
                                            .bearer = a->credential,
                                            .content_type = type,
                                            .body = body,
                                            .size = size,
                                            .timeout_sec = TIMEOUT_SEC,
                                            .lose_answer = lose }) < 0) {
                talk_failed(a, 0);
                return;
        }
        a->talking = kind;
        f->spec.stats->lost_answers += lose;
        f->spec.stats->reports += kind == TALK_EVENTS;
        f->spec.stats->chunks += kind == TALK_CHUNK;
}

static bool send_report(Agent *a) {
        _cleanup_(buffer_done) Buffer body = {};
        Fleet *f = a->fleet;
        int n = write_report(a, &body);

        if (n <= 0)
                return n < 0;
        post(a, TALK_EVENTS, PROTO_PATH "/events", "application/json", body.data, body.size);
        if (a->talking == TALK_EVENTS && fleet_chance(f, f->spec.options->repeat)) {
                free(a->last_report);
                a->last_report = NULL;
                (void) buffer_take(&body, &a->last_report);
        }
        return true;
}

static void send_chunk(Agent *a) {
        char path[512];

        for (Work *w = a->works; w; w = w->next)
                if (w->log_wanted) {
                        (void) snprintf(path, sizeof(path),
                                        PROTO_PATH "/logs?attempt=%s&epoch=%u&%s", w->attempt,
                                        w->epoch, a->fleet->chunk_query);
                        post(a, TALK_CHUNK, path, "application/zstd", a->fleet->chunk,
                             a->fleet->chunk_size);
                        if (a->talking == TALK_CHUNK)
                                a->shipping = w;
                        return;
                }
}

static void send_goodbye(Agent *a) {
        _cleanup_(buffer_done) Buffer body = {};

        if (buffer_printf(&body, "{\"session\":\"%s\",\"reason\":\"The swarm is over.\"}",
                          a->session) >= 0)
                post(a, TALK_GOODBYE, PROTO_PATH "/goodbye", "application/json", body.data,
                     body.size);
}

static void talk(Agent *a) {
        if (a->gone || a->talk_delayed || !conn_is_free(&a->talk) || !*a->credential)
                return;
        if (a->fleet->leaving)
                send_goodbye(a);
        else if (!send_report(a))
                send_chunk(a);
}

static void on_talk_turn(Turn *t) {
        Agent *a = (Agent *) (void *) ((char *) t - offsetof(Agent, talk_turn));
        Fleet *f = a->fleet;

        if (a->talk_delayed || !conn_is_free(&a->talk))
                return;
        if (fleet_chance(f, f->spec.options->delay)) {
                f->spec.stats->delays++;
                pause_talk(a, fleet_random(f, f->spec.options->delay_usec));
                return;
        }
        talk(a);
}

static void on_talk_timer(Timer *t) {
        Agent *a = (Agent *) (void *) ((char *) t - offsetof(Agent, talk_timer));

        if (a->talk_delayed) {
                a->talk_delayed = false;
                talk(a);
        } else if (a->talk.state == CONN_IDLE) {
                conn_close(&a->talk);
        }
}

void agent_talk_kick(Agent *a) {
        loop_later(a->fleet->spec.target->loop, &a->talk_turn);
}

static bool anything_to_say(const Agent *a) {
        for (const Work *w = a->works; w; w = w->next)
                if (w->owed)
                        return true;
        return a->cleaned != NULL;
}

static void on_reported(Agent *a, const Answer *answer) {
        ProtoWork work = {};
        Fleet *f = a->fleet;
        size_t taken;
        int r = json_decode(answer->body, answer->size, proto_work_fields, JSON_IGNORE_UNKNOWN,
                            &work, NULL);

        histogram_add(&f->spec.stats->report, loop_now() - a->talk.sent_usec);
        taken = work.acknowledged.count;
        if (r >= 0)
                agent_take_work(a, &work);
        json_done(proto_work_fields, &work);
        if (a->last_report) {
                _cleanup_(freep) char *again = TAKE_PTR(a->last_report);

                f->spec.stats->repeats++;
                post(a, TALK_EVENTS, PROTO_PATH "/events", "application/json", again,
                     strlen(again));
        } else if (anything_to_say(a)) {
                if (taken > 0)
                        agent_talk_kick(a);
                else /* it did not take what was said: not in a tight loop */
                        pause_talk(a, UNTAKEN_USEC);
        }
}

static void on_shipped(Agent *a) {
        if (a->shipping)
                a->shipping->log_wanted = false;
        a->shipping = NULL;
        agent_talk_kick(a);
}

static void leave(Agent *a) {
        Fleet *f = a->fleet;

        a->gone = true;
        f->n_gone++;
        conn_close(&a->poll);
        conn_close(&a->talk);
        if (f->leave_next < f->n)
                agent_goodbye(&f->agents[f->leave_next++]);
        if (f->n_gone == f->n)
                f->spec.on_change(f->spec.userdata);
}

static void on_talk_done(Conn *c, const Answer *answer, int r) {
        Agent *a = (Agent *) (void *) ((char *) c - offsetof(Agent, talk));
        TalkKind kind = a->talking;

        a->talking = TALK_NONE;
        if (kind == TALK_GOODBYE) {
                leave(a);
                return;
        }
        if (r < 0 || answer->status >= 300) {
                a->shipping = NULL;
                free(a->last_report);
                a->last_report = NULL;
                if (r == -ECONNABORTED)
                        agent_talk_kick(a);
                else
                        talk_failed(a, answer ? answer->retry_after_sec : 0);
                return;
        }
        a->talk_tries = 0;
        loop_arm(a->fleet->spec.target->loop, &a->talk_timer, IDLE_USEC);
        if (a->fleet->leaving)
                agent_talk_kick(a);
        else if (kind == TALK_EVENTS)
                on_reported(a, answer);
        else
                on_shipped(a);
}

void agent_talk_init(Agent *a) {
        conn_init(&a->talk, a->fleet->spec.target, on_talk_done);
        a->talk_timer.on_due = on_talk_timer;
        a->talk_turn.on_turn = on_talk_turn;
}

void agent_goodbye(Agent *a) {
        conn_close(&a->poll);
        loop_disarm(&a->poll_timer);
        if (!a->started) {
                leave(a);
                return;
        }
        a->talk_delayed = false;
        talk(a);
}
