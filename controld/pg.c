/* Prepared statements in a libpq pipeline. Must never wait, and never hold a transaction open across a return to the loop. */
#include "pg.h"

#include <errno.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "lazy-timer.h"
#include "log.h"
#include "parse.h"
#include "pg-connect.h"
#include "pg-session.h"
#include "str.h"
#include "timespan.h"

struct PgCall {
        PgCall *next;      /* owned by the queue, in order of submission */
        PgDone done;       /* NULL: forgotten, or ours (preparing) */
        void *userdata;    /* borrowed: frees the call when it goes away */
        PGresult *result;  /* owned: first result of the statement */
        uint64_t due_usec; /* CLOCK_MONOTONIC */
        bool preparing;
};

struct Pg {
        PgConnect connect;
        const Statement *statements; /* borrowed: static table */
        char *setup;        /* owned: first query of a connection, or of each transaction */
        LazyTimer deadline; /* of the first call that has one */
        uint64_t patience_usec;
        void (*on_ready)(bool ready, void *userdata);
        void *userdata; /* borrowed: owns us */
        PgCall *first, **last;
        size_t queued;
        bool ready, pooled, advised;
};

typedef PGresult pg_result_t;
static inline void pg_result_freep(pg_result_t **slot) {
        PQclear(*slot);
}

static void queue_push(Pg *pg, PgCall *call) {
        if (!pg->first)
                pg_connect_expect(&pg->connect, true);
        *pg->last = call;
        pg->last = &call->next;
        pg->queued++;
}

static PgCall *queue_pop(Pg *pg) {
        PgCall *call = pg->first;

        pg->first = call->next;
        if (!pg->first)
                pg->last = &pg->first;
        pg->queued--;
        pg_connect_expect(&pg->connect, pg->first != NULL);
        return call;
}

/* SQLSTATEs, or how they begin, that are not our fault; the first that fits counts. */
static const struct {
        const char *state;
        int r;
        unsigned status; /* for the client; 0: by r */
        bool reconnect;  /* what was prepared is of no use any more */
} states[] = {
        { "22", -EREMOTEIO, 400 },       /* data exception: a value that the types do not take */
        { "08", -ENOTCONN },             /* connection exception */
        { "53", -ENOTCONN },             /* insufficient resources */
        { "57014", -ETIMEDOUT },         /* statement_timeout */
        { "57", -ENOTCONN },             /* operator intervention: shutdown */
        { "25006", -ENOTCONN, 0, true }, /* read only: another one is the primary */
        { "40001", -ENOBUFS },           /* serialization failure */
        { "40P01", -ENOBUFS },           /* deadlock */
        { "55P03", -ENOBUFS },           /* lock not available */
        { "0A000", -ENOTCONN, 0, true }, /* a function answers other columns now: it was upgraded */
        { "26000", -ENOTCONN, 0, true }, /* the prepared statement is gone */
};

/* What a failed result says: ZFnnn is meant for the client, the rest is ours to log. */
static void reply_from_error(Pg *pg, const PGresult *result, PgReply *reply) {
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        const char *code = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
        const char *status = str_after(state, "ZF");
        uint64_t n;

        reply->hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
        if (status && parse_u64_range(status, 400, 499, &n) >= 0) {
                reply->status = (unsigned) n;
                reply->message = message;
                reply->r = error_set(&reply->error, -EREMOTEIO, code ? code : "refused", "%s",
                                     message ? message : "");
                return;
        }
        reply->r = error_set(&reply->error, -EIO, "database",
                             "The database refused an internal statement.");
        for (size_t i = 0; i < ELEMENTSOF(states); i++) {
                if (!str_after(state, states[i].state))
                        continue;
                reply->status = states[i].status;
                reply->r = error_set(&reply->error, states[i].r, "bad-value", "%s",
                                     message ? message : "");
                if (states[i].reconnect)
                        pg_connect_lose_later(&pg->connect);
                break;
        }
        if (reply->status == 0)
                log_message(LOG_ERR, NULL, NULL, "PostgreSQL: %s (SQLSTATE %s)",
                            message ? message : PQresultErrorMessage(result),
                            state ? state : "none");
}

/* A pooler that gives each transaction another session has no idea of our prepared statements. */
static void advise(Pg *pg, const PGresult *result) {
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

        if (pg->advised || pg->pooled || (!str_eq(state, "42P05") && !str_eq(state, "26000")))
                return;
        pg->advised = true;
        log_message(LOG_ERR, NULL, NULL,
                    "Prepared statements are lost or not ours (SQLSTATE %s). If Database= leads to "
                    "a connection pooler in transaction mode, set DatabasePooler=yes.",
                    state);
}

static void call_finish(Pg *pg, PgCall *call, int r) {
        PgReply reply = { .r = r, .unknown = r < 0 };

        if (call->result)
                advise(pg, call->result);

        if (call->done) {
                if (r >= 0 && PQresultStatus(call->result) == PGRES_TUPLES_OK)
                        reply.rows = (PgRows *) call->result;
                else if (r >= 0)
                        reply_from_error(pg, call->result, &reply);
                call->done(&reply, call->userdata);
        } else if (r >= 0 && call->preparing && PQresultStatus(call->result) == PGRES_FATAL_ERROR) {
                pg_connect_blame(&pg->connect,
                                 PQresultErrorField(call->result, PG_DIAG_MESSAGE_PRIMARY));
        }
        PQclear(call->result);
        free(call);
}

static void set_ready(Pg *pg, bool ready) {
        if (pg->ready == ready)
                return;
        pg->ready = ready;
        if (ready)
                pg_connect_settled(&pg->connect);
        if (pg->on_ready)
                pg->on_ready(ready, pg->userdata);
}

/* The first result of a call is its result; through a pooler, the one behind those of its setup. */
static void keep_result(Pg *pg, PGresult *result) {
        PgCall *call = pg->first;

        if (!call->result || (pg->pooled && PQresultStatus(call->result) != PGRES_FATAL_ERROR)) {
                PQclear(call->result);
                call->result = result;
        } else {
                PQclear(result);
        }
}

/* The last column of the setup says so: also of a server that the connection string insists on. */
static bool takes_no_writes(const PGresult *result) {
        return PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
               str_eq(PQgetvalue(result, 0, PQnfields(result) - 1), "on");
}

static int on_readable(void *userdata) {
        Pg *pg = userdata;

        while (pg->first && !PQisBusy(pg->connect.conn)) {
                _cleanup_(pg_result_freep) pg_result_t *result = PQgetResult(pg->connect.conn);

                if (!result && PQstatus(pg->connect.conn) != CONNECTION_OK)
                        return -ENOTCONN; /* a callback's call found the server gone */
                if (!result)
                        continue; /* end of one statement's results */
                if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
                        PgCall *call = queue_pop(pg);
                        bool bad = call->preparing &&
                                   PQresultStatus(call->result) == PGRES_FATAL_ERROR;
                        bool last = call->preparing && call->userdata;

                        if (call->preparing && takes_no_writes(call->result)) {
                                pg_connect_blame(&pg->connect, "it takes no writes");
                                bad = true;
                        }
                        call_finish(pg, call, 0);
                        if (bad)
                                return -ENOTCONN;
                        if (last)
                                set_ready(pg, true);
                } else {
                        keep_result(pg, TAKE_PTR(result));
                }
        }
        return PQstatus(pg->connect.conn) == CONNECTION_OK ? 0 : -ENOTCONN;
}

/* One call after the other ends here when its time is over; what it answers later is dropped. */
static void on_deadline(void *userdata) {
        Pg *pg = userdata;
        uint64_t now = 0;

        (void) sd_event_now(pg->connect.event, CLOCK_MONOTONIC, &now);
        for (PgCall *call = pg->first; call; call = call->next) {
                PgReply reply = { .r = -ETIMEDOUT, .unknown = true };
                PgDone done = call->done;

                if (done && call->due_usec > now) {
                        (void) lazy_timer_set(&pg->deadline, call->due_usec - now);
                        break;
                }
                call->done = NULL;
                if (done)
                        done(&reply, call->userdata);
        }
}

static int push_preparing(Pg *pg, bool last) {
        PgCall *call = calloc(1, sizeof(*call));

        if (!call)
                return -ENOMEM;
        call->preparing = true;
        call->due_usec = UINT64_MAX;
        call->userdata = last ? pg : NULL;
        queue_push(pg, call);
        return PQpipelineSync(pg->connect.conn) ? 0 : -ENOTCONN;
}

static int on_connected(void *userdata) {
        Pg *pg = userdata;
        PGconn *conn = pg->connect.conn;
        int r;

        if (!PQenterPipelineMode(conn) ||
            !PQsendQueryParams(conn, pg->setup, 0, NULL, NULL, NULL, NULL, 0))
                return -ENOTCONN;
        r = push_preparing(pg, false);
        if (r >= 0 && pg->pooled) /* the check that it answers is all that there is to do */
                pg->first->userdata = pg;
        for (const Statement *s = pg->statements; r >= 0 && s->name && !pg->pooled; s++) {
                if (!PQsendPrepare(conn, s->name, s->sql, 0, NULL))
                        return -ENOTCONN;
                r = push_preparing(pg, !s[1].name);
        }
        return r < 0 ? r : pg_connect_flush(&pg->connect);
}

static void on_lost(void *userdata) {
        Pg *pg = userdata;

        set_ready(pg, false);
        while (pg->first)
                call_finish(pg, queue_pop(pg), -ENOTCONN);
}

int pg_new(sd_event *event, const PgOptions *options, void (*on_ready)(bool ready, void *userdata),
           void *userdata, Pg **ret) {
        _cleanup_(freep) char *more = NULL;
        Pg *pg = calloc(1, sizeof(*pg));
        int r;

        if (!pg)
                return -ENOMEM;
        pg->statements = options->statements;
        pg->on_ready = on_ready;
        pg->userdata = userdata;
        pg->last = &pg->first;
        pg->pooled = options->pooled;
        pg->connect.what = "requests";
        /* The server ends a statement after the timeout; when nothing came a while after that, it is not there. A call may
         * have to wait for others before. */
        pg->connect.silence_usec = options->timeout_msec * USEC_PER_MSEC / 4 * 5;
        pg->patience_usec = options->timeout_msec * USEC_PER_MSEC / 2 * 3;
        pg->connect.on_connected = on_connected;
        pg->connect.on_readable = on_readable;
        pg->connect.on_lost = on_lost;
        pg->connect.userdata = pg;
        /* The functions ask for rows by key. PostgreSQL would plan each such statement anew at each call, because the key says
         * which partition it is about, and took longer for that than to find it. */
        more = str_format("set_config('role', 'sluice_controld', %1$s),"
                          " set_config('statement_timeout', '%2$u', %1$s),"
                          " set_config('plan_cache_mode', 'force_generic_plan', %1$s),"
                          " set_config('sluice.lease', '%3$ums', %1$s),"
                          " set_config('sluice.absence_grace', '%4$ums', %1$s),"
                          " set_config('application_name', 'sluice-controld', %1$s),"
                          " current_setting('transaction_read_only')",
                          options->pooled ? "true" : "false", options->timeout_msec,
                          options->lease_msec, options->absence_grace_msec);
        pg->setup = more ? pg_session_select(options->pooled, more) : NULL;
        r = pg->setup ? lazy_timer_init(&pg->deadline, event, "pg-deadline", on_deadline, pg)
                      : -ENOMEM;
        if (r >= 0)
                r = pg_connect_start(&pg->connect, event, options->conninfo);
        if (r < 0) {
                (void) pg_free(pg);
                return r;
        }
        *ret = pg;
        return 0;
}

Pg *pg_free(Pg *pg) {
        if (!pg)
                return NULL;
        pg->on_ready = NULL;
        on_lost(pg);
        pg_connect_done(&pg->connect);
        lazy_timer_done(&pg->deadline);
        free(pg->setup);
        free(pg);
        return NULL;
}

bool pg_is_ready(const Pg *pg) {
        return pg->ready;
}

/* Without a session of our own, what a session has goes before the statement, into the same transaction. */
static bool send_statement(Pg *pg, const Statement *s, const char *const *values,
                           const int *lengths, const int *formats) {
        PGconn *conn = pg->connect.conn;

        if (!pg->pooled)
                return PQsendQueryPrepared(conn, s->name, (int) s->n_params, values, lengths,
                                           formats, 0) &&
                       PQpipelineSync(conn);
        return PQsendQueryParams(conn, PG_SESSION_ISOLATION, 0, NULL, NULL, NULL, NULL, 0) &&
               PQsendQueryParams(conn, pg->setup, 0, NULL, NULL, NULL, NULL, 0) &&
               PQsendQueryParams(conn, s->sql, (int) s->n_params, NULL, values, lengths, formats,
                                 0) &&
               PQpipelineSync(conn);
}

int pg_call(Pg *pg, const Statement *statement, const PgParam *params, PgDone done, void *userdata,
            PgCall **ret) {
        uint64_t now = 0;
        const char *values[PG_PARAMS_MAX];
        int lengths[PG_PARAMS_MAX], formats[PG_PARAMS_MAX];
        PgCall *call;

        if (!pg->ready)
                return -ENOTCONN;
        if (pg->queued >= PG_QUEUE_MAX)
                return -ENOBUFS;
        for (unsigned i = 0; i < statement->n_params; i++) {
                values[i] = params[i].data;
                lengths[i] = (int) params[i].size;
                formats[i] = params[i].binary;
        }
        call = calloc(1, sizeof(*call));
        if (!call)
                return -ENOMEM;
        if (!send_statement(pg, statement, values, lengths, formats)) {
                free(call);
                pg_connect_lose_later(&pg->connect);
                return -ENOTCONN;
        }
        (void) sd_event_now(pg->connect.event, CLOCK_MONOTONIC, &now);
        call->due_usec = now + pg->patience_usec;
        if (pg->deadline.due_usec == UINT64_MAX)
                (void) lazy_timer_set(&pg->deadline, pg->patience_usec);
        call->done = done;
        call->userdata = userdata;
        queue_push(pg, call);
        *ret = call;
        if (pg_connect_flush(&pg->connect) < 0)
                pg_connect_lose_later(&pg->connect);
        return 0;
}

PgCall *pg_call_free(PgCall *call) {
        if (call)
                call->done = NULL;
        return NULL;
}

unsigned pg_rows_count(const PgRows *rows) {
        return (unsigned) PQntuples((const PGresult *) rows);
}

const char *pg_text(const PgRows *rows, unsigned row, unsigned column) {
        const PGresult *result = (const PGresult *) rows;

        if ((int) row >= PQntuples(result) || (int) column >= PQnfields(result) ||
            PQgetisnull(result, (int) row, (int) column))
                return NULL;
        return PQgetvalue(result, (int) row, (int) column);
}

int pg_bytes(const PgRows *rows, unsigned row, unsigned column, char **ret, size_t *ret_size) {
        const char *text = pg_text(rows, row, column);
        unsigned char *bytes;
        size_t size;
        char *copy;

        if (!text)
                return -ENODATA;
        bytes = PQunescapeBytea((const unsigned char *) text, &size);
        copy = bytes ? malloc(size + 1) : NULL;
        if (copy)
                (void) memcpy(copy, bytes, size);
        PQfreemem(bytes);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        *ret_size = size;
        return 0;
}
