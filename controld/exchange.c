/* Replies and waits, the same for every route. */
#include "exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cleanup.h"
#include "call-class.h"
#include "json-out.h"
#include "parse.h"
#include "router.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"
#include "worker.h"

#define DATABASE_KEY "database"
#define PATIENCE_USEC (3 * USEC_PER_SEC)
#define RETRY_MIN_SEC 2
#define RETRY_SPREAD_SEC 4

static const struct {
        unsigned status;
        const char *title;
} titles[] = {
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 413, "Content Too Large" },
        { 415, "Unsupported Media Type" },
        { 422, "Unprocessable Content" },
        { 500, "Internal Server Error" },
        { 503, "Service Unavailable" },
};

static const char *title_of(unsigned status) {
        for (size_t i = 0; i < ELEMENTSOF(titles); i++)
                if (titles[i].status == status)
                        return titles[i].title;
        return "Error";
}

PgParam text_param(const char *text) {
        return (PgParam){ .data = text };
}

PgParam exchange_auth(const Exchange *x) {
        return (PgParam){ .data = (const char *) x->auth, .size = sizeof(x->auth), .binary = true };
}

void exchange_reply_json(Exchange *x, unsigned status, const char *json) {
        char *copy = strdup(json);

        http_request_reply(x->request, copy ? status : 500, "application/json", copy, strlen(json));
}

void exchange_reply_empty(Exchange *x, unsigned status) {
        http_request_reply(x->request, status, NULL, NULL, 0);
}

/* Not the same for all, so that they do not all come back in one moment. */
static const char *retry_after(char seconds[8]) {
        unsigned char random = 0;

        (void) !getrandom(&random, sizeof(random), GRND_NONBLOCK);
        (void) snprintf(seconds, 8, "%u", RETRY_MIN_SEC + random % RETRY_SPREAD_SEC);
        return seconds;
}

static void reply_problem(Exchange *x, unsigned status, const char *code, const char *detail,
                          const char *hint, char *const *complaints) {
        char *body = NULL, seconds[8];
        JsonOut o = {};

        json_out_object(&o, NULL);
        json_out_text(&o, "title", title_of(status));
        json_out_u64(&o, "status", status);
        json_out_text(&o, "code", code);
        json_out_text(&o, "detail", detail);
        if (hint && *hint)
                json_out_text(&o, "hint", hint);
        if (complaints) {
                json_out_array(&o, "errors");
                STRV_FOREACH(c, complaints)
                        json_out_text(&o, NULL, *c);
                json_out_end_array(&o);
        }
        json_out_end_object(&o);
        if (json_out_take(&o, &body) < 0)
                body = NULL;
        if (status == 401)
                (void) http_request_add_header(x->request, "WWW-Authenticate", "Bearer");
        if (status == 503)
                (void) http_request_add_header(x->request, "Retry-After", retry_after(seconds));
        http_request_reply(x->request, status, "application/problem+json", body,
                           body ? strlen(body) : 0);
}

void exchange_reply_problem(Exchange *x, unsigned status, const char *code, const char *detail,
                            const char *hint) {
        reply_problem(x, status, code, detail, hint, NULL);
}

void exchange_reply_error(Exchange *x, int r, const Error *e) {
        exchange_reply_complaints(x, r, e, NULL);
}

void exchange_reply_complaints(Exchange *x, int r, const Error *e, char *const *complaints) {
        if (r == -ENOMEM || r == -ENOTCONN || r == -ENOBUFS || r == -ETIMEDOUT)
                exchange_reply_problem(x, 503, "unavailable",
                                       r == -ENOTCONN    ? "The database cannot be reached."
                                       : r == -ETIMEDOUT ? "The database took too long."
                                                         : "Too much to do.",
                                       "The request can be repeated.");
        else
                reply_problem(x, 400, e && *e->slug ? e->slug : "bad-request", error_text(e, r),
                              NULL, complaints);
}

static Exchange *exchange_of(Waiter *w) {
        return (Exchange *) ((char *) w - offsetof(Exchange, waiter));
}

/* The request begins anew: what came with it is all still there. */
static void on_database(Waiter *w, bool timed_out) {
        Exchange *x = exchange_of(w);

        w->on_wake = NULL;
        if (timed_out || worker_is_stopping(x->worker)) {
                exchange_reply_error(x, -ENOTCONN, NULL);
                return;
        }
        free(x->text);
        x->text = NULL;
        x->deadline_usec = 0;
        x->route->handler(x);
}

/* A server that restarts, or another that takes over, is often back within seconds: who asked meanwhile need not hear of it. But
 * not when it has been away for longer, and not what nobody knows to be undone and may not be done twice. */
static bool wait_for_database(Exchange *x) {
        Waits *waits = worker_waits(x->worker);
        uint64_t now = clock_usec(CLOCK_MONOTONIC), lost = worker_database_lost_usec(x->worker);

        if (x->patience_usec == 0)
                x->patience_usec = (lost > 0 ? lost : now) + PATIENCE_USEC;
        if (now >= x->patience_usec || worker_is_stopping(x->worker))
                return false;
        x->waiter.on_wake = on_database;
        if (waits_add(waits, &x->waiter, DATABASE_KEY, waits_sequence(waits), x->patience_usec) !=
            0)
                return false;
        http_request_watch_peer(x->request);
        return true;
}

void exchange_database_is_back(Waits *waits) {
        waits_notify(waits, DATABASE_KEY);
}

static bool may_be_repeated(const Exchange *x) {
        CallClass class = call_class(x->route->statement->name);

        return class == CALL_SAFE ||
               (class == CALL_KEYED && http_request_header(x->request, "Idempotency-Key"));
}

/* What says several things says one in a line. */
static void reply_refusal(Exchange *x, const PgReply *reply) {
        _cleanup_(strv_freep) char **lines = NULL;
        _cleanup_(freep) char *detail = NULL;

        if (reply->message && strchr(reply->message, '\n') &&
            strv_split(reply->message, "\n", &lines) >= 0)
                detail = strv_join(lines, " ");
        reply_problem(x, reply->status, reply->error.slug, detail ? detail : reply->error.detail,
                      reply->hint, detail ? lines : NULL);
}

void exchange_reply_pg(Exchange *x, const PgReply *reply) {
        if (reply->status > 0)
                reply_refusal(x, reply);
        else if (reply->unknown && !may_be_repeated(x))
                exchange_reply_problem(x, 503, "outcome-unknown",
                                       "The database was lost before it said whether this was "
                                       "done.",
                                       "It may have been: look before you ask for it again.");
        else if (reply->r == -ENOTCONN && wait_for_database(x))
                return;
        else if (reply->r == -ENOTCONN || reply->r == -ENOBUFS || reply->r == -ETIMEDOUT)
                exchange_reply_error(x, reply->r, NULL);
        else
                exchange_reply_problem(x, 500, "internal",
                                       "The control plane failed; its journal has the reason.",
                                       NULL);
}

void exchange_query(Exchange *x, const Statement *statement, const PgParam *params, PgDone done) {
        int r;

        x->asked_sequence = waits_sequence(worker_waits(x->worker));
        x->row = x->column = 0;
        r = pg_call(worker_pg(x->worker), statement, params, done, x, &x->call);
        if (r < 0 && (r != -ENOTCONN || !wait_for_database(x)))
                exchange_reply_error(x, r, NULL);
}

static void on_part_done(BatchItem *item, const PgReply *reply, int row) {
        Exchange *x = (Exchange *) ((char *) item - offsetof(Exchange, item));

        if (row < 0 && reply->r >= 0) {
                x->alone(x);
                return;
        }
        x->row = row < 0 ? 0 : (unsigned) row;
        x->column = 1;
        x->done(reply, x);
}

void exchange_query_together(Exchange *x, const char *json, PgDone done,
                             void (*alone)(Exchange *x)) {
        int r;

        x->asked_sequence = waits_sequence(worker_waits(x->worker));
        x->alone = alone;
        x->done = done;
        x->item = (BatchItem){ .auth = x->auth, .json = json, .done = on_part_done };
        r = batch_add(worker_batches(x->worker), x->route->together, &x->item);
        if (r < 0) {
                batch_item_unlink(&x->item);
                exchange_reply_error(x, r, NULL);
        }
}

const char *exchange_text(const Exchange *x, const PgReply *reply, unsigned column) {
        return pg_text(reply->rows, x->row, x->column + column);
}

static void on_wake(Waiter *w, bool timed_out) {
        Exchange *x = exchange_of(w);

        if (timed_out || worker_is_stopping(x->worker))
                x->nothing(x);
        else
                x->again(x);
}

void exchange_wait(Exchange *x, const char *key) {
        int r = -ECANCELED;

        x->waiter.on_wake = on_wake;
        if (x->deadline_usec > 0 && !worker_is_stopping(x->worker))
                r = waits_add(worker_waits(x->worker), &x->waiter, key, x->asked_sequence,
                              x->deadline_usec);
        if (r < 0)
                x->nothing(x);
        else if (r > 0)
                x->again(x);
        else
                http_request_watch_peer(x->request);
}

int exchange_query_number(Exchange *x, const char *name, unsigned fallback, unsigned max,
                          unsigned *ret) {
        const char *text = http_request_query(x->request, name);
        uint64_t n = fallback;
        char words[128];

        if (text && parse_u64_range(text, 0, max, &n) < 0) {
                (void) snprintf(words, sizeof(words), "%s= is a number from 0 to %u.", name, max);
                exchange_reply_problem(x, 400, "bad-query", words, NULL);
                return -EINVAL;
        }
        *ret = (unsigned) n;
        return 0;
}
