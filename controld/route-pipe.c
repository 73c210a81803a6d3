/* Handlers that deploy pipes: what they say is parsed here, and the database gets the normal form. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "directive.h"
#include "json-out.h"
#include "pipe.h"
#include "router.h"
#include "routes.h"
#include "str.h"
#include "strv.h"

#define PIPES_MAX 100 /* of a batch */

/* Whether this version is new: 201 then. */
static bool created_member(const char *json) {
        const JsonField fields[] = { { "created", JSON_BOOL, false, 0 }, {} };
        bool created = false;

        (void) json_decode(json, strlen(json), fields, JSON_IGNORE_UNKNOWN, &created, NULL);
        return created;
}

static void on_pipe_put(const PgReply *reply, void *userdata) {
        Exchange *x = userdata;
        const char *json;

        x->call = NULL;
        if (reply->r < 0) {
                exchange_reply_pg(x, reply);
                return;
        }
        json = pg_text(reply->rows, 0, 0);
        (void) http_request_add_header(x->request, "ETag", x->secret);
        exchange_reply_json(x, json && created_member(json) ? 201 : 200, json ? json : "{}");
}

void route_pipe_put(Exchange *x) {
        _cleanup_(pipe_freep) Pipe *pipe = NULL;
        _cleanup_(strv_freep) char **complaints = NULL;
        char version[PIPE_VERSION_SIZE], name[PATH_PARAM_MAX + 8];
        Error e = {};
        size_t size;
        const char *body = http_request_body(x->request, &size);
        int r;

        (void) snprintf(name, sizeof(name), "%s.pipe", x->params[1]);
        if (http_request_content_is(x->request, "application/json"))
                r = pipe_from_json(body, size, &pipe, &e, &complaints);
        else
                r = pipe_parse(name, body, size, &pipe, &e, &complaints);
        if (r >= 0)
                r = pipe_to_json(pipe, &x->text);
        if (r >= 0)
                r = pipe_version(pipe, version);
        if (r < 0) {
                exchange_reply_complaints(x, r, &e, complaints);
                return;
        }
        (void) snprintf(x->secret, sizeof(x->secret), "\"%s\"", version);
        exchange_query(x, x->route->statement,
                       (PgParam[]){ exchange_auth(x), text_param(x->params[0]),
                                    text_param(x->params[1]), text_param(version),
                                    text_param(x->text), text_param(body) },
                       on_pipe_put);
}

/* text or spec says what the pipe is. */
typedef struct Named {
        char *pipe, *text, *spec;
} Named;

typedef struct Trial {
        Named draft;
        char *agent, *instance, *parameters;
} Trial;

static const JsonField named_fields[] = {
        { "pipe", JSON_TEXT, true, offsetof(Named, pipe), .max = 63 },
        { "text", JSON_TEXT, true, offsetof(Named, text), .max = PIPE_TEXT_MAX },
        {},
};
static const JsonField batch_fields[] = {
        { "pipes", JSON_ARRAY, true, 0, .max = PIPES_MAX, .fields = named_fields,
          .size = sizeof(Named) },
        {},
};

#define DRAFT_FIELDS                                                                               \
        { "pipe", JSON_TEXT, true, offsetof(Trial, draft.pipe), .max = 63 },                       \
                { "text", JSON_TEXT, false, offsetof(Trial, draft.text), .max = PIPE_TEXT_MAX }, { \
                "spec", JSON_RAW, false, offsetof(Trial, draft.spec)                               \
        }
static const JsonField draft_fields[] = { DRAFT_FIELDS, {} };
static const JsonField trial_fields[] = {
        DRAFT_FIELDS,
        { "agent", JSON_TEXT, true, offsetof(Trial, agent), .max = 64 },
        { "instance", JSON_TEXT, false, offsetof(Trial, instance), .max = 255 },
        { "parameters", JSON_RAW, false, offsetof(Trial, parameters) },
        {},
};

static int read_named(const Named *n, Pipe **ret, Error *e, char ***ret_wrong) {
        _cleanup_(freep) char *name = str_format("%s.pipe", n->pipe);

        if (!name)
                return -ENOMEM;
        if (n->text)
                return pipe_parse(name, n->text, strlen(n->text), ret, e, ret_wrong);
        return pipe_from_json(n->spec, strlen(n->spec), ret, e, ret_wrong);
}

/* Which of its directives not every host knows that has a systemd that is new enough for an agent. */
static void add_needs(JsonOut *o, const Pipe *pipe) {
        json_out_array(o, "needs");
        for (const Directive *d = directives; d->name; d++) {
                bool used = false;

                for (size_t i = 0; d->since > SYSTEMD_VERSION_MIN && i < pipe_task_count(pipe); i++)
                        for (char *const *s = pipe_task_directives(pipe, i); s && *s; s += 2)
                                used = used || str_eq(*s, d->name);
                if (!used)
                        continue;
                json_out_object(o, NULL);
                json_out_text(o, "directive", d->name);
                json_out_u64(o, "since", d->since);
                json_out_end_object(o);
        }
        json_out_end_array(o);
}

/* Its members in what the database takes. What is wrong is added to the complaints. */
static int add_named(JsonOut *o, const Named *n, bool needs, Error *e, char ***complaints) {
        _cleanup_(pipe_freep) Pipe *pipe = NULL;
        _cleanup_(strv_freep) char **wrong = NULL;
        _cleanup_(freep) char *spec = NULL;
        char version[PIPE_VERSION_SIZE];
        int r = read_named(n, &pipe, e, &wrong);

        STRV_FOREACH(w, wrong) {
                int added = strv_length(*complaints) < PIPE_COMPLAINTS_MAX
                                    ? strv_append(complaints, *w)
                                    : 0;

                if (added < 0)
                        return added;
        }
        if (r >= 0)
                r = pipe_to_json(pipe, &spec);
        if (r >= 0)
                r = pipe_version(pipe, version);
        if (r < 0)
                return r;
        json_out_text(o, "pipe", n->pipe);
        json_out_text(o, "version", version);
        json_out_raw(o, "spec", spec);
        json_out_text(o, "source", n->text ? n->text : n->spec);
        if (needs)
                add_needs(o, pipe);
        return 0;
}

/* All are read, so that all complaints come at once; the first error is the answer's. */
static int parse_batch(const char *body, size_t size, char **ret, Error *e, char ***complaints) {
        JsonArray pipes = {};
        const Named *items;
        JsonOut o = {};
        int r = json_decode(body, size, batch_fields, 0, &pipes, e), result = r;

        items = pipes.items;
        json_out_object(&o, NULL);
        json_out_array(&o, "pipes");
        for (size_t i = 0; r >= 0 && i < pipes.count; i++) {
                Error wrong = {};
                int k;

                json_out_object(&o, NULL);
                k = add_named(&o, &items[i], false, &wrong, complaints);
                json_out_end_object(&o);
                if (k < 0 && result >= 0) {
                        result = k;
                        *e = wrong;
                }
        }
        json_out_end_array(&o);
        json_out_end_object(&o);
        if (result >= 0)
                result = json_out_take(&o, ret);
        json_out_done(&o);
        json_done(batch_fields, &pipes);
        return result;
}

static void on_answer(const PgReply *reply, void *userdata) {
        Exchange *x = userdata;

        x->call = NULL;
        if (reply->r < 0)
                exchange_reply_pg(x, reply);
        else
                exchange_reply_json(x, x->route->success ? x->route->success : 200,
                                    pg_text(reply->rows, 0, 0));
}

void route_pipes_put(Exchange *x) {
        _cleanup_(strv_freep) char **complaints = NULL;
        Error e = {};
        size_t size;
        const char *body = http_request_body(x->request, &size);
        int r = parse_batch(body, size, &x->text, &e, &complaints);

        if (r < 0) {
                exchange_reply_complaints(x, r, &e, complaints);
                return;
        }
        exchange_query(
                x, x->route->statement,
                (PgParam[]){ exchange_auth(x), text_param(x->params[0]), text_param(x->text) },
                on_answer);
}

/* What api.trial_create() takes; without an agent, api.pipe_verify(). */
static int draft_request(const Trial *t, char **ret, Error *e, char ***complaints) {
        JsonOut o = {};
        int r;

        if (!t->draft.text == !t->draft.spec)
                return error_set(e, -EINVAL, "bad-request",
                                 "A draft has a member \"text\", or \"spec\".");
        json_out_object(&o, NULL);
        r = add_named(&o, &t->draft, !t->agent, e, complaints);
        if (t->agent)
                json_out_text(&o, "agent", t->agent);
        if (t->instance)
                json_out_text(&o, "instance", t->instance);
        if (t->parameters)
                json_out_raw(&o, "parameters", t->parameters);
        json_out_end_object(&o);
        if (r >= 0)
                r = json_out_take(&o, ret);
        json_out_done(&o);
        return r;
}

/* Takes the body in as the statement's request; replies by itself when it is wrong. */
static int read_draft(Exchange *x, const JsonField *fields) {
        _cleanup_(strv_freep) char **complaints = NULL;
        Trial trial = {};
        Error e = {};
        size_t size;
        const char *body = http_request_body(x->request, &size);
        int r = json_decode(body, size, fields, 0, &trial, &e);

        if (r >= 0)
                r = draft_request(&trial, &x->text, &e, &complaints);
        json_done(fields, &trial);
        if (r < 0)
                exchange_reply_complaints(x, r, &e, complaints);
        return r;
}

void route_pipe_verify(Exchange *x) {
        unsigned limit;

        if (exchange_query_number(x, "limit", 100, 1000, &limit) < 0 ||
            read_draft(x, draft_fields) < 0)
                return;
        (void) snprintf(x->secret, sizeof(x->secret), "%u", limit ? limit : 1);
        exchange_query(x, x->route->statement,
                       (PgParam[]){ exchange_auth(x), text_param(x->params[0]), text_param(x->text),
                                    text_param(http_request_query(x->request, "agent")),
                                    text_param(x->secret),
                                    text_param(http_request_query(x->request, "after")) },
                       on_answer);
}

void route_trial_create(Exchange *x) {
        if (read_draft(x, trial_fields) < 0)
                return;
        exchange_query(
                x, x->route->statement,
                (PgParam[]){ exchange_auth(x), text_param(x->params[0]), text_param(x->text),
                             text_param(http_request_header(x->request, "Idempotency-Key")) },
                on_answer);
}
