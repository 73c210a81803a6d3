/* One pipelined connection to PostgreSQL on the event loop. A call is one prepared statement and its sync, so each is a
 * transaction of its own. Results come in the order of the calls. Losing the server ends every call with -ENOTCONN and
 * reconnects by itself; a call that waits for too long behind others ends with -ETIMEDOUT. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "error.h"

#define PG_PARAMS_MAX 16
#define PG_QUEUE_MAX 10000

typedef struct Pg Pg;
typedef struct PgCall PgCall;
typedef struct PgRows PgRows;

typedef struct Statement {
        const char *name;
        const char *sql;
        unsigned n_params;
} Statement;

typedef struct PgParam {
        const char *data; /* NULL: SQL NULL; text is NUL-terminated */
        size_t size;      /* binary only */
        bool binary;      /* bytea */
} PgParam;

typedef struct PgReply {
        int r;           /* 0, -ENOTCONN, -ETIMEDOUT, -EREMOTEIO with error set, … */
        bool unknown;    /* it was sent, and nobody knows whether it was done */
        unsigned status; /* the HTTP status that the database asks for (SQLSTATE ZFnnn), or 0 */
        const char *hint;
        const char *message; /* with the status: all of it, a line for each thing that is wrong */
        Error error;
        PgRows *rows; /* borrowed until the callback returns; NULL on failure */
} PgReply;

/* Called exactly once, from the loop, unless the call was freed before. The call is freed afterwards. */
typedef void (*PgDone)(const PgReply *reply, void *userdata);

typedef struct PgOptions {
        const char *conninfo;
        const Statement *statements; /* borrowed: end with a NULL name, outlive the connection */
        unsigned timeout_msec;       /* of a statement, at least 1 */
        unsigned lease_msec;         /* sluice.lease() of our sessions */
        unsigned absence_grace_msec; /* sluice.absence_grace() of them */
        bool pooled;                 /* each transaction may be in another session of the server */
} PgOptions;

/* on_ready (may be NULL) is called at each connect and loss. */
int pg_new(sd_event *event, const PgOptions *options, void (*on_ready)(bool ready, void *userdata),
           void *userdata, Pg **ret);
Pg *pg_free(Pg *pg);
bool pg_is_ready(const Pg *pg);

/* -ENOTCONN without a connection, -ENOBUFS when the queue is full. The caller owns *ret until its callback has run. */
int pg_call(Pg *pg, const Statement *statement, const PgParam *params, PgDone done, void *userdata,
            PgCall **ret);

/* Forgets a call: its callback will not run; the result is still read and dropped. */
PgCall *pg_call_free(PgCall *call);

unsigned pg_rows_count(const PgRows *rows);
const char *pg_text(const PgRows *rows, unsigned row, unsigned column); /* NULL for SQL NULL */
/* A bytea column's bytes, owned by the caller. */
int pg_bytes(const PgRows *rows, unsigned row, unsigned column, char **ret, size_t *ret_size);

/* Calls on_notify for each payload of channel "sluice", and with NULL whenever notifications may have been missed. */
typedef struct PgListener PgListener;
int pg_listener_new(sd_event *event, const char *conninfo,
                    void (*on_notify)(const char *payload, void *userdata), void *userdata,
                    PgListener **ret);
PgListener *pg_listener_free(PgListener *l);
