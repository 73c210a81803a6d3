/* A libpq connection made and watched on the event loop, for pg.c and pg-listen.c: connects, reconnects with backoff,
 * remakes its io source because libpq may change the socket. Of several hosts each is tried by itself, so that one that says
 * nothing does not keep us from the next; only one that takes writes will do. */
#pragma once

#include <libpq-fe.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include "backoff.h"
#include "lazy-timer.h"

typedef struct PgConnect {
        sd_event *event;              /* owned (reference) */
        char *conninfo;               /* owned */
        char *host, *hostaddr, *port; /* owned: lists, of which one entry each is used at a time */
        unsigned n_hosts, turn, failed; /* which is next; how many in a row have failed */
        PGconn *conn;                   /* owned; NULL between tries */
        sd_event_source *io, *retry;    /* owned */
        LazyTimer silence;
        Backoff backoff;
        uint64_t silence_usec; /* how long the server may take for what it owes us */
        bool connected;
        char *why;       /* owned: a host is of no use because of this, which libpq does not know */
        char *complaint; /* owned: trouble was logged, with these words; said again when it ends */
        uint64_t complained_usec; /* CLOCK_MONOTONIC */
        const char *what;         /* borrowed: literal, for messages */
        int (*on_connected)(
                void *userdata); /* may send queries; negative gives up this connection */
        int (*on_readable)(void *userdata); /* input was consumed; negative loses the connection */
        void (*on_lost)(void *userdata);
        void *userdata; /* borrowed: the struct this is embedded in */
} PgConnect;

int pg_connect_start(PgConnect *c, sd_event *event, const char *conninfo);
void pg_connect_done(PgConnect *c);

/* The connection is of use now: the next trouble is news, and its first retry is soon. */
void pg_connect_settled(PgConnect *c);

/* Sends what is buffered; asks for EPOLLOUT only if bytes remain. */
int pg_connect_flush(PgConnect *c);

/* Why it is about to be lost, where libpq does not know; copied. Of several hosts this one counts: another is a standby, as it should be. */
void pg_connect_blame(PgConnect *c, const char *why);

/* Drops the connection and tries again later. */
void pg_connect_lose(PgConnect *c);

/* The same, but from the loop, for who must not be called back now. */
void pg_connect_lose_later(PgConnect *c);

/* Whether the server owes an answer. It has silence_usec for it from here on; then the connection is lost. */
void pg_connect_expect(PgConnect *c, bool expected);
