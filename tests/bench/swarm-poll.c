/* Enrolment, and then always one sync under way. The first on a connection asks without waiting: its answer proves that controld
 * knows the agent to be there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "json-out.h"
#include "str.h"
#include "swarm-agent-internal.h"
#include "timespan.h"

#define TIMEOUT_SEC (PROTO_WAIT_SEC_MAX + 25U)
#define ENROLL_TIMEOUT_SEC 60U
#define EARLY_USEC USEC_PER_SEC /* as agentd: an empty answer sooner than this was no wait */
#define BOOT "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"

static void retry(Agent *a, unsigned after_sec) {
        uint64_t usec = fleet_backoff(a->fleet, a->poll_tries++), asked = after_sec * USEC_PER_SEC;

        a->poll_delayed = true;
        loop_arm(a->fleet->spec.target->loop, &a->poll_timer,
                 usec < asked ? asked + usec / 4 : usec);
}

static void mark_lost(Agent *a) {
        Fleet *f = a->fleet;

        if (!a->present)
                return;
        a->present = false;
        f->present--;
        if (f->lost_usec == 0) {
                f->lost_usec = loop_now();
                f->most_lost = 0;
        }
        if (f->n - f->present > f->most_lost)
                f->most_lost = f->n - f->present;
}

static void mark_present(Agent *a) {
        Fleet *f = a->fleet;

        if (a->present)
                return;
        a->present = true;
        f->present++;
        if (!a->started) {
                a->started = true;
                f->under_way--;
                if (f->next < f->n)
                        agent_poll_start(&f->agents[f->next++]);
        }
        if (f->present == f->n) {
                f->spec.on_change(f->spec.userdata);
                f->lost_usec = 0;
        }
}

static void send_enroll(Agent *a) {
        _cleanup_(freep) char *json = NULL, *name = NULL;
        const Options *options = a->fleet->spec.options;
        JsonOut o = {};

        name = str_format("swarm-%.18s", a->instance);
        json_out_object(&o, NULL);
        json_out_text(&o, "instance", a->instance);
        json_out_text(&o, "name", name);
        json_out_text(&o, "type", "batch");
        json_out_object(&o, "labels");
        json_out_text(&o, options->label, "");
        json_out_end_object(&o);
        json_out_u64(&o, "slots", options->slots);
        json_out_text(&o, "version", PACKAGE_VERSION);
        json_out_u64(&o, "protocol", PROTO_VERSION);
        json_out_text(&o, "hostname", "swarm");
        json_out_text(&o, "systemd", "252");
        json_out_text(&o, "kernel", "6.1");
        json_out_text(&o, "architecture", "x86-64");
        json_out_u64(&o, "cpus", 1);
        json_out_u64(&o, "memory_bytes", 1U << 30);
        json_out_end_object(&o);
        if (json_out_take(&o, &json) < 0 ||
            conn_send(&a->poll, &(Request){ .method = "POST",
                                            .path = PROTO_PATH "/enroll",
                                            .bearer = a->fleet->key,
                                            .content_type = "application/json",
                                            .body = json,
                                            .size = strlen(json),
                                            .timeout_sec = ENROLL_TIMEOUT_SEC }) < 0)
                retry(a, 0);
        else
                a->enrolling = true;
}

static const char *state_of(const Work *w) {
        return w->ended ? "ended" : (w->stopping ? "stopping" : "running");
}

static int write_sync(const Agent *a, Buffer *b) {
        int r = buffer_printf(
                b,
                "{\"session\":\"%s\",\"boot\":\"" BOOT "\",\"version\":\"" PACKAGE_VERSION
                "\",\"slots\":%u,\"draining\":false,\"wait_sec\":%u,\"attempts\":[",
                a->session, a->fleet->spec.options->slots, a->probing ? 0 : PROTO_WAIT_SEC_MAX);

        for (const Work *w = a->works; r >= 0 && w; w = w->next)
                r = buffer_printf(b, "%s{\"attempt\":\"%s\",\"epoch\":%u,\"state\":\"%s\"}",
                                  w == a->works ? "" : ",", w->attempt, w->epoch, state_of(w));
        return r < 0 ? r : buffer_append_str(b, "]}");
}

static void send_sync(Agent *a) {
        _cleanup_(buffer_done) Buffer body = {};
        Fleet *f = a->fleet;
        bool lose;

        if (a->poll.state == CONN_CLOSED && !a->by_fault) {
                mark_lost(a);
                a->probing = true;
        }
        a->by_fault = false;
        lose = !a->probing && fleet_chance(f, f->spec.options->lose);
        if (write_sync(a, &body) < 0 ||
            conn_send(&a->poll, &(Request){ .method = "POST",
                                            .path = PROTO_PATH "/sync",
                                            .bearer = a->credential,
                                            .content_type = "application/json",
                                            .body = body.data,
                                            .size = body.size,
                                            .timeout_sec = TIMEOUT_SEC,
                                            .lose_answer = lose }) < 0) {
                retry(a, 0);
                return;
        }
        f->spec.stats->polls++;
        f->spec.stats->lost_answers += lose;
        a->poll_sent_usec = loop_now();
}

static void send_next(Agent *a) {
        if (a->gone || a->fleet->leaving || !conn_is_free(&a->poll))
                return;
        if (*a->credential)
                send_sync(a);
        else
                send_enroll(a);
}

static void on_poll_timer(Timer *t) {
        Agent *a = (Agent *) (void *) ((char *) t - offsetof(Agent, poll_timer));

        a->poll_delayed = false;
        send_next(a);
}

static void on_poll_turn(Turn *t) {
        Agent *a = (Agent *) (void *) ((char *) t - offsetof(Agent, poll_turn));
        Fleet *f = a->fleet;

        if (a->poll_delayed)
                return;
        if (a->started && fleet_chance(f, f->spec.options->delay)) {
                f->spec.stats->delays++;
                a->poll_delayed = true;
                loop_arm(f->spec.target->loop, &a->poll_timer,
                         fleet_random(f, f->spec.options->delay_usec));
                return;
        }
        send_next(a);
}

static void poll_again(Agent *a) {
        loop_later(a->fleet->spec.target->loop, &a->poll_turn);
}

static void on_enrolled(Agent *a, const Answer *answer) {
        ProtoEnrolled enrolled = {};
        int r = json_decode(answer->body, answer->size, proto_enrolled_fields, JSON_IGNORE_UNKNOWN,
                            &enrolled, NULL);

        if (r >= 0 && strlen(enrolled.credential) < sizeof(a->credential)) {
                (void) strcpy(a->credential, enrolled.credential);
                a->fleet->strangers--;
                histogram_add(&a->fleet->spec.stats->enroll, loop_now() - a->poll.sent_usec);
        }
        json_done(proto_enrolled_fields, &enrolled);
        if (*a->credential) {
                a->probing = true;
                send_next(a);
        } else {
                retry(a, 0);
        }
}

static bool is_empty(const ProtoWork *work) {
        return work->start.count + work->stop.count + work->release.count == 0 && !work->clean;
}

static void on_synced(Agent *a, const Answer *answer) {
        ProtoWork work = {};
        bool empty, early = loop_now() - a->poll_sent_usec < EARLY_USEC;
        int r = json_decode(answer->body, answer->size, proto_work_fields, JSON_IGNORE_UNKNOWN,
                            &work, NULL);

        empty = is_empty(&work);
        if (r >= 0)
                agent_take_work(a, &work);
        json_done(proto_work_fields, &work);
        if (r < 0) {
                retry(a, 0);
        } else if (a->probing) {
                a->probing = false;
                mark_present(a);
                poll_again(a);
        } else if (empty && early) {
                a->poll_delayed = true;
                loop_arm(a->fleet->spec.target->loop, &a->poll_timer, EARLY_USEC);
        } else {
                poll_again(a);
        }
}

static void on_poll_done(Conn *c, const Answer *answer, int r) {
        Agent *a = (Agent *) (void *) ((char *) c - offsetof(Agent, poll));
        bool enrolling = a->enrolling;

        a->enrolling = false;
        if (a->gone || a->fleet->leaving)
                return;
        if (r == -ECONNABORTED) { /* on purpose: it counts as being there */
                a->by_fault = true;
                poll_again(a);
                return;
        }
        if (r < 0 || answer->status != 200) {
                mark_lost(a);
                retry(a, answer ? answer->retry_after_sec : 0);
                return;
        }
        a->poll_tries = 0;
        if (enrolling)
                on_enrolled(a, answer);
        else
                on_synced(a, answer);
}

void agent_poll_init(Agent *a) {
        conn_init(&a->poll, a->fleet->spec.target, on_poll_done);
        a->poll_timer.on_due = on_poll_timer;
        a->poll_turn.on_turn = on_poll_turn;
}

void agent_poll_start(Agent *a) {
        a->fleet->under_way++;
        a->probing = true;
        send_next(a);
}
