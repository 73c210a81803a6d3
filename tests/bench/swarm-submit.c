/* Some connections, each with one request at a time; a step of preparation, then runs and cancellations. */
#include "swarm-submit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "json-in.h"
#include "json-out.h"
#include "proto.h"
#include "timespan.h"

#define TIMEOUT_SEC 30U
#define TICK_USEC USEC_PER_MSEC
#define PAUSE_USEC (500 * USEC_PER_MSEC)
#define PREPARE_TRIES 20U

typedef enum Asked {
        ASKED_PIPE,
        ASKED_KEY,
        ASKED_RUN,
        ASKED_CANCEL,
        ASKED_REVOKE,
} Asked;

typedef struct Cancel {
        struct Cancel *next;
        char run[ID_TEXT_SIZE];
} Cancel;

typedef struct Line {
        Conn conn;
        Submit *submit; /* borrowed: owns us */
        Asked asked;
        Cancel *cancel;         /* owned: being asked */
        char key[ID_TEXT_SIZE]; /* of the run that it creates */
        bool unsettled;         /* nobody knows whether that is there: asked for again */
} Line;

struct Submit {
        SubmitSpec spec;
        Line *lines; /* owned, as what follows */
        Cancel *cancels, **last_cancel;
        char *key_id;
        Timer tick, again;
        unsigned tries;
        char runs_path[160], run_body[96];
        unsigned key_uses, window;
        uint32_t left, out; /* runs to create; asked for and not answered */
        uint64_t open;      /* created, not ended */
        uint64_t started_usec, paused_until_usec,
                allowed; /* --rate: how many may have been asked for */
        bool running, told;
};

static int ask(Line *l, Asked asked, const char *method, const char *path, const char *type,
               const char *body) {
        int r = conn_send(&l->conn, &(Request){ .method = method,
                                                .path = path,
                                                .bearer = l->submit->spec.options->token,
                                                .content_type = type,
                                                .key = asked == ASKED_RUN ? l->key : NULL,
                                                .body = body,
                                                .size = body ? strlen(body) : 0,
                                                .timeout_sec = TIMEOUT_SEC });

        if (r >= 0)
                l->asked = asked;
        return r;
}

static void fail(Submit *s, const char *what, const Answer *answer, int r) {
        ProtoProblem problem = {};
        Error e = {};

        if (answer)
                (void) json_decode(answer->body, answer->size, proto_problem_fields,
                                   JSON_IGNORE_UNKNOWN, &problem, NULL);
        if (answer)
                (void) error_set(&e, -EREMOTEIO, "refused", "Cannot %s: status %u. %s %s", what,
                                 answer->status, problem.detail ? problem.detail : "",
                                 problem.hint ? problem.hint : "");
        else
                (void) error_set(&e, r, "unreachable", "Cannot %s: %s.%s", what, strerror(-r),
                                 r == -EKEYREJECTED ? " Is --ca-file= the CA of its certificate?"
                                                    : "");
        json_done(proto_problem_fields, &problem);
        s->spec.on_prepared(NULL, &e, s->spec.userdata);
}

static void ask_key(Submit *s) {
        _cleanup_(freep) char *json = NULL;
        JsonOut o = {};

        if (s->key_uses == 0) {
                s->spec.on_prepared("", NULL, s->spec.userdata);
                return;
        }
        json_out_object(&o, NULL);
        json_out_text(&o, "type", "enrolment");
        json_out_text(&o, "agent_type", "batch");
        json_out_u64(&o, "max_uses", s->key_uses);
        json_out_u64(&o, "expires_sec", 3600);
        json_out_text(&o, "description", "of a swarm");
        json_out_end_object(&o);
        if (json_out_take(&o, &json) < 0 ||
            ask(&s->lines[0], ASKED_KEY, "POST", "/api/v1/keys", "application/json", json) < 0)
                fail(s, "ask for an enrolment key", NULL, -ENOMEM);
}

static void on_key(Submit *s, const Answer *answer) {
        struct {
                char *key, *id;
        } made = {};
        const JsonField fields[] = { { "key", JSON_TEXT, true, 0, .max = 255 },
                                     { "key_id", JSON_TEXT, false, sizeof(char *), .max = 64 },
                                     {} };

        if (json_decode(answer->body, answer->size, fields, JSON_IGNORE_UNKNOWN, &made, NULL) < 0) {
                fail(s, "read the enrolment key", answer, 0);
        } else {
                s->key_id = TAKE_PTR(made.id);
                s->spec.on_prepared(made.key, NULL, s->spec.userdata);
        }
        json_done(fields, &made);
}

static bool take_cancel(Line *l) {
        Submit *s = l->submit;
        char path[96];

        l->cancel = s->cancels;
        if (!l->cancel)
                return false;
        s->cancels = l->cancel->next;
        if (!s->cancels)
                s->last_cancel = &s->cancels;
        (void) snprintf(path, sizeof(path), "/api/v1/runs/%s/cancel", l->cancel->run);
        (void) ask(l, ASKED_CANCEL, "POST", path, NULL, NULL);
        return true;
}

static bool may_create(const Submit *s) {
        return s->running && s->left > 0 && s->open + s->out < s->window &&
               (s->spec.options->rate == 0 || s->allowed > 0);
}

static void next(Line *l) {
        Submit *s = l->submit;
        Id id;

        if (!conn_is_free(&l->conn) || take_cancel(l) || (!l->unsettled && !may_create(s)) ||
            loop_now() < s->paused_until_usec)
                return;
        if (!l->unsettled && (id_random(&id) < 0 || !id_to_text(id, l->key)))
                return;
        if (ask(l, ASKED_RUN, "POST", s->runs_path, "application/json", s->run_body) < 0 ||
            l->unsettled)
                return;
        s->left--;
        s->out++;
        if (s->spec.options->rate > 0)
                s->allowed--;
}

static void next_all(Submit *s) {
        for (unsigned i = 0; i < s->spec.options->submitters; i++)
                next(&s->lines[i]);
}

static void on_tick(Timer *t) {
        Submit *s = (Submit *) (void *) ((char *) t - offsetof(Submit, tick));
        const Options *o = s->spec.options;
        uint64_t asked = o->runs - s->left,
                 due = (loop_now() - s->started_usec) * o->rate / USEC_PER_SEC;

        s->allowed = due > asked ? due - asked : 0;
        next_all(s);
        if (s->running)
                loop_arm(s->spec.target->loop, t, TICK_USEC);
}

static void on_created(Line *l, const Answer *answer, int r) {
        Submit *s = l->submit;
        const JsonField fields[] = { { "run", JSON_TEXT, true, 0, .max = ID_TEXT_SIZE }, {} };
        _cleanup_(freep) char *run = NULL;
        uint64_t now = loop_now();
        Id id;

        l->unsettled = r < 0 || answer->status != 201;
        if (l->unsettled) {
                s->paused_until_usec = now + PAUSE_USEC;
                return;
        }
        s->out--;
        s->spec.stats->submitted++;
        s->open++;
        histogram_add(&s->spec.stats->submit, now - l->conn.sent_usec);
        if (json_decode(answer->body, answer->size, fields, JSON_IGNORE_UNKNOWN, &run, NULL) >= 0 &&
            id_parse(run, &id) >= 0)
                runs_created(s->spec.runs, id, l->conn.sent_usec, now);
}

static void on_cancelled(Line *l, const Answer *answer) {
        free(l->cancel);
        l->cancel = NULL;
        l->submit->spec.stats->cancels += answer && answer->status == 200;
}

/* A controld that has just been started may not reach its database yet. */
static bool try_again(Submit *s, const Answer *answer) {
        if (!answer || answer->status != 503 || s->tries++ >= PREPARE_TRIES)
                return false;
        loop_arm(s->spec.target->loop, &s->again, PAUSE_USEC);
        return true;
}

static void on_again(Timer *t) {
        Submit *s = (Submit *) (void *) ((char *) t - offsetof(Submit, again));

        submit_prepare(s, s->key_uses);
}

static void on_done(Conn *c, const Answer *answer, int r) {
        Line *l = (Line *) (void *) c;
        Submit *s = l->submit;

        switch (l->asked) {
        case ASKED_PIPE:
                if (try_again(s, answer))
                        return;
                if (r < 0 || answer->status >= 300)
                        fail(s, "deploy the pipe", answer, r);
                else
                        ask_key(s);
                return;
        case ASKED_KEY:
                if (try_again(s, answer))
                        return;
                if (r < 0 || answer->status != 201)
                        fail(s, "make an enrolment key", answer, r);
                else
                        on_key(s, answer);
                return;
        case ASKED_REVOKE:
                s->spec.on_revoked(s->spec.userdata);
                return;
        case ASKED_RUN:
                on_created(l, answer, r);
                break;
        case ASKED_CANCEL:
                on_cancelled(l, answer);
                break;
        }
        next(l);
        if (s->left + s->out == 0 && !s->told) {
                s->told = true;
                s->spec.on_submitted(s->spec.userdata);
        }
}

int submit_new(const SubmitSpec *spec, Submit **ret) {
        const Options *o = spec->options;
        Submit *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        s->spec = *spec;
        s->last_cancel = &s->cancels;
        s->tick.on_due = on_tick;
        s->again.on_due = on_again;
        s->left = o->runs;
        s->window = o->window ? o->window : 2 * o->agents * o->slots;
        s->lines = calloc(o->submitters, sizeof(*s->lines));
        if (!s->lines) {
                free(s);
                return -ENOMEM;
        }
        for (unsigned i = 0; i < o->submitters; i++) {
                s->lines[i].submit = s;
                conn_init(&s->lines[i].conn, spec->target, on_done);
        }
        (void) snprintf(s->runs_path, sizeof(s->runs_path), "/api/v1/projects/%.64s/runs",
                        o->project);
        (void) snprintf(s->run_body, sizeof(s->run_body), "{\"pipe\":\"%.64s\"}", o->pipe);
        *ret = s;
        return 0;
}

Submit *submit_free(Submit *s) {
        if (!s)
                return NULL;
        for (unsigned i = 0; i < s->spec.options->submitters; i++) {
                conn_close(&s->lines[i].conn);
                free(s->lines[i].cancel);
        }
        for (Cancel *c = s->cancels, *next_one; c; c = next_one) {
                next_one = c->next;
                free(c);
        }
        free(s->lines);
        free(s->key_id);
        free(s);
        return NULL;
}

void submit_prepare(Submit *s, unsigned key_uses) {
        const Options *o = s->spec.options;
        char path[192], text[256];

        s->key_uses = key_uses;
        (void) snprintf(path, sizeof(path), "/api/v1/projects/%.64s/pipes/%.64s", o->project,
                        o->pipe);
        (void) snprintf(text, sizeof(text),
                        "[Pipe]\nType=batch\nAgentSelector=%.64s\n\n[Task main]\n"
                        "ExecStart=/bin/true\nMemoryMax=64M\n",
                        o->label);
        if (ask(&s->lines[0], ASKED_PIPE, "PUT", path, "text/plain", text) < 0)
                fail(s, "deploy the pipe", NULL, -ENOMEM);
}

void submit_start(Submit *s) {
        s->running = true;
        s->started_usec = loop_now();
        if (s->left == 0)
                return;
        loop_arm(s->spec.target->loop, &s->tick, 0);
}

void submit_stop(Submit *s) {
        s->running = false;
        loop_disarm(&s->tick);
}

void submit_ended(Submit *s) {
        if (s->open > 0)
                s->open--;
        if (s->spec.options->rate == 0)
                next_all(s);
}

void submit_cancel(Submit *s, const char *run) {
        Cancel *c = calloc(1, sizeof(*c));
        Id id;

        if (!c || id_parse(run, &id) < 0) {
                free(c);
                return;
        }
        (void) id_to_text(id, c->run);
        *s->last_cancel = c;
        s->last_cancel = &c->next;
        runs_cancelled(s->spec.runs, id, loop_now());
        next_all(s);
}

void submit_revoke(Submit *s) {
        char path[96];

        if (s->key_id && conn_is_free(&s->lines[0].conn)) {
                (void) snprintf(path, sizeof(path), "/api/v1/keys/%s", s->key_id);
                if (ask(&s->lines[0], ASKED_REVOKE, "DELETE", path, NULL, NULL) >= 0)
                        return;
        }
        s->spec.on_revoked(s->spec.userdata);
}
