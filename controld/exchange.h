/* One request on its way through controld: what the router found out, the statement under way, the wait, the reply. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "batch.h"
#include "error.h"
#include "http-server.h"
#include "pg.h"
#include "wait.h"

#define PATH_PARAMS_MAX 3
#define PATH_PARAM_MAX 128
#define AUTH_HASH_SIZE 32

typedef struct Exchange Exchange;
typedef struct Route Route;
typedef struct Worker Worker;

struct Exchange {
        Worker *worker;       /* borrowed: outlives its exchanges */
        HttpRequest *request; /* borrowed: frees us */
        const Route *route;   /* borrowed: static */
        char params[PATH_PARAMS_MAX][PATH_PARAM_MAX];
        unsigned char auth[AUTH_HASH_SIZE];
        char *text;      /* owned: a handler's own text, alive while its statement runs */
        char secret[64]; /* of a key or credential being made */
        PgCall *call;    /* owned */
        BatchItem item;  /* embedded; unlinked with us */
        void (*alone)(Exchange *x);   /* makes the call that was a part of a batch by itself */
        PgDone done;                  /* of that part */
        unsigned row, column;         /* of the reply: where our answer begins */
        Waiter waiter;                /* embedded; unlinked with us */
        void (*again)(Exchange *x);   /* runs the statement once more after a wake-up */
        void (*nothing)(Exchange *x); /* replies that nothing is new: the wait is over */
        uint64_t deadline_usec;       /* CLOCK_MONOTONIC: when a wait is over; 0: none is wanted */
        uint64_t asked_sequence;      /* of notifications, when the statement was sent */
        uint64_t
                patience_usec; /* CLOCK_MONOTONIC: how long it waits for a database; 0: never had to */
};

/* Replies. Bodies are JSON or problem documents (RFC 9457). */
void exchange_reply_json(Exchange *x, unsigned status, const char *json);
void exchange_reply_empty(Exchange *x, unsigned status);
void exchange_reply_problem(Exchange *x, unsigned status, const char *code, const char *detail,
                            const char *hint);
/* A request that was wrong, or our trouble. */
void exchange_reply_error(Exchange *x, int r, const Error *e);
/* The same, with everything that was found wrong: each a text of its own. */
void exchange_reply_complaints(Exchange *x, int r, const Error *e, char *const *complaints);
void exchange_reply_pg(Exchange *x, const PgReply *reply); /* a statement that failed */

/* Sends the statement; replies by itself when that cannot be done. done gets the Exchange as userdata. */
void exchange_query(Exchange *x, const Statement *statement, const PgParam *params, PgDone done);

/* The same as a part of a batch of the route's. json: its element, alive until done or alone, which is called when it cannot be a part. */
void exchange_query_together(Exchange *x, const char *json, PgDone done,
                             void (*alone)(Exchange *x));

/* The n-th column of our answer, from 0; NULL for SQL NULL. */
const char *exchange_text(const Exchange *x, const PgReply *reply, unsigned column);

/* Requests that wait for a database begin anew. */
void exchange_database_is_back(Waits *waits);

/* A statement found nothing new: x->again when key is notified, x->nothing at the deadline, or at once when there is none or
 * controld is about to stop. The database is not asked again for what nobody has notified: the client's next request does. */
void exchange_wait(Exchange *x, const char *key);

/* The p_auth parameter. */
PgParam exchange_auth(const Exchange *x);
PgParam text_param(const char *text);

/* A query parameter as number: fallback when absent, negative errno after replying 400 when it is not within 0 and max. */
int exchange_query_number(Exchange *x, const char *name, unsigned fallback, unsigned max,
                          unsigned *ret);
