/* The connection that LISTENs. Its own, because a pipeline cannot wait for notifications. */
#include <errno.h>
#include <stdlib.h>

#include "pg-connect.h"
#include "pg.h"
#include "timespan.h"

#define SILENCE_USEC (20 * USEC_PER_SEC)

struct PgListener {
        PgConnect connect;
        void (*on_notify)(const char *payload, void *userdata);
        void *userdata; /* borrowed: owns us */
};

static int listener_on_readable(void *userdata) {
        PgListener *l = userdata;
        PGnotify *notify;

        pg_connect_expect(&l->connect, false);
        while (!PQisBusy(l->connect.conn)) {
                PGresult *result = PQgetResult(l->connect.conn);
                bool failed = result && PQresultStatus(result) != PGRES_COMMAND_OK;

                PQclear(result);
                if (failed)
                        return -ENOTCONN;
                if (!result)
                        break;
                pg_connect_settled(&l->connect);
                l->on_notify(NULL, l->userdata); /* LISTEN is in force from here on */
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

static void listener_on_lost(void *userdata) {
        PgListener *l = userdata;

        l->on_notify(NULL, l->userdata);
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
        free(l);
        return NULL;
}
