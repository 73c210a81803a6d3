/* The connection that LISTENs. Its own, because a pipeline cannot wait for notifications. Nothing may come for hours, so it is
 * asked now and then whether it is still there, and still of the server that takes writes. */
#include <errno.h>
#include <stdlib.h>

#include "pg-connect.h"
#include "pg.h"
#include "str.h"
#include "timespan.h"

#define SILENCE_USEC (10 * USEC_PER_SEC)
#define BEAT_USEC (5 * USEC_PER_SEC)

struct PgListener {
        PgConnect connect;
        LazyTimer beat;
        bool listening;
        void (*on_notify)(const char *payload, void *userdata);
        void *userdata; /* borrowed: owns us */
};

static int listener_on_readable(void *userdata) {
        PgListener *l = userdata;
        PGnotify *notify;

        while (!PQisBusy(l->connect.conn)) {
                PGresult *result = PQgetResult(l->connect.conn);
                ExecStatusType status = PQresultStatus(result);
                bool beats = status == PGRES_TUPLES_OK && str_eq(PQgetvalue(result, 0, 0), "f"),
                     listens = status == PGRES_COMMAND_OK, failed = result && !beats && !listens;

                if (failed) {
                        const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

                        pg_connect_blame(&l->connect, words ? words : "it takes no writes");
                }
                PQclear(result);
                if (failed)
                        return -ENOTCONN;
                if (!result)
                        break;
                pg_connect_expect(&l->connect, false); /* a notification is no answer */
                if (listens) {
                        l->listening = true;
                        pg_connect_settled(&l->connect);
                        l->on_notify(NULL, l->userdata); /* LISTEN is in force from here on */
                }
                (void) lazy_timer_set(&l->beat, BEAT_USEC);
        }
        while ((notify = PQnotifies(l->connect.conn))) {
                l->on_notify(notify->extra, l->userdata);
                PQfreemem(notify);
        }
        return PQstatus(l->connect.conn) == CONNECTION_OK ? 0 : -ENOTCONN;
}

static int listener_on_connected(void *userdata) {
        PgListener *l = userdata;

        if (!PQsendQuery(l->connect.conn, "LISTEN sluice"))
                return -ENOTCONN;
        pg_connect_expect(&l->connect, true);
        return pg_connect_flush(&l->connect);
}

static void on_beat(void *userdata) {
        PgListener *l = userdata;

        if (!l->listening)
                return;
        if (!PQsendQuery(l->connect.conn, "SELECT pg_is_in_recovery()")) {
                pg_connect_lose_later(&l->connect);
                return;
        }
        pg_connect_expect(&l->connect, true);
        if (pg_connect_flush(&l->connect) < 0)
                pg_connect_lose_later(&l->connect);
}

/* Who waits goes on waiting: there is nobody to ask now, and when it listens again everybody looks. */
static void listener_on_lost(void *userdata) {
        PgListener *l = userdata;

        l->listening = false;
        lazy_timer_off(&l->beat);
}

int pg_listener_new(sd_event *event, const char *conninfo,
                    void (*on_notify)(const char *payload, void *userdata), void *userdata,
                    PgListener **ret) {
        PgListener *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        l->on_notify = on_notify;
        l->userdata = userdata;
        l->connect.what = "notifications";
        l->connect.silence_usec = SILENCE_USEC;
        l->connect.on_connected = listener_on_connected;
        l->connect.on_readable = listener_on_readable;
        l->connect.on_lost = listener_on_lost;
        l->connect.userdata = l;
        r = lazy_timer_init(&l->beat, event, "pg-listen-beat", on_beat, l);
        if (r >= 0)
                r = pg_connect_start(&l->connect, event, conninfo);
        if (r < 0) {
                (void) pg_listener_free(l);
                return r;
        }
        *ret = l;
        return 0;
}

PgListener *pg_listener_free(PgListener *l) {
        if (!l)
                return NULL;
        pg_connect_done(&l->connect);
        lazy_timer_done(&l->beat);
        free(l);
        return NULL;
}
