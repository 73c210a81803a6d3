/* One statement at a time: what is due, then the zones that are not known, then the times in parts. A schedule that was asked for is
 * nobody else's for ten seconds, so whatever goes wrong here is begun again by somebody. */
#include "schedules.h"

#include <errno.h>
#include <stdlib.h>

#include "due-batch.h"
#include "json-out.h"
#include "log.h"
#include "strv.h"

#define LIMIT "256"
#define ZONES_AT_ONCE 16 /* each takes the database some milliseconds */

struct Schedules {
        sd_event *event; /* borrowed: the worker's; so is the connection, freed after this */
        Pg *pg;
        void (*done)(void *userdata);
        void *userdata;  /* borrowed: it holds us */
        Zones *zones;    /* owned */
        DueBatch *batch; /* owned */
        char **asked;    /* owned: zones */
        PgCall *call;    /* owned */
};

const Statement statement_schedules_due = { "schedules_due",
                                            "SELECT api.schedules_due($1::text::int)", 1 };
const Statement statement_zones = {
        "zones", "SELECT api.zones(ARRAY(SELECT jsonb_array_elements_text($1::text::jsonb)))", 1
};
const Statement statement_schedules_fire = { "schedules_fire",
                                             "SELECT api.schedules_fire($1::text::jsonb)", 1 };

static int go_on(Schedules *s);

static void fail(Schedules *s, int r, const Error *e) {
        s->batch = due_batch_free(s->batch);
        if (r != -ENOTCONN)
                log_message(LOG_ERR, NULL, NULL, "Cannot look after schedules: %s",
                            error_text(e, r));
}

static void on_fired(const PgReply *reply, void *userdata) {
        Schedules *s = userdata;
        int r = reply->r;

        s->call = NULL;
        if (r >= 0)
                r = go_on(s);
        if (r < 0)
                fail(s, r, &reply->error);
}

static int fire(Schedules *s) {
        _cleanup_(freep) char *json = NULL;
        PgParam param;
        int r = due_batch_work(s->batch, s->zones, &json);

        if (r <= 0) {
                s->batch = due_batch_free(s->batch);
                if (r == 0)
                        s->done(s->userdata);
                return r;
        }
        param = (PgParam){ .data = json };
        return pg_call(s->pg, &statement_schedules_fire, &param, on_fired, s, &s->call);
}

static uint64_t now_usec(const Schedules *s) {
        uint64_t now = 0;

        (void) sd_event_now(s->event, CLOCK_BOOTTIME, &now);
        return now;
}

static void on_zones(const PgReply *reply, void *userdata) {
        Schedules *s = userdata;
        const char *json = reply->r >= 0 ? pg_text(reply->rows, 0, 0) : NULL;
        int r = reply->r;

        s->call = NULL;
        if (r >= 0)
                r = zones_take(s->zones, s->asked, json ? json : "", now_usec(s));
        if (r >= 0)
                r = go_on(s);
        if (r < 0)
                fail(s, r, &reply->error);
}

static int ask_for_zones(Schedules *s) {
        _cleanup_(freep) char *json = NULL;
        JsonOut o = {};
        PgParam param;
        int r;

        json_out_array(&o, NULL);
        STRV_FOREACH(name, s->asked)
                json_out_text(&o, NULL, *name);
        json_out_end_array(&o);
        r = json_out_take(&o, &json);
        if (r < 0)
                return r;
        param = (PgParam){ .data = json };
        return pg_call(s->pg, &statement_zones, &param, on_zones, s, &s->call);
}

static int go_on(Schedules *s) {
        int r;

        s->asked = strv_free(s->asked);
        r = due_batch_zones(s->batch, s->zones, now_usec(s), ZONES_AT_ONCE, &s->asked);
        if (r < 0)
                return r;
        return s->asked ? ask_for_zones(s) : fire(s);
}

static void on_due(const PgReply *reply, void *userdata) {
        Schedules *s = userdata;
        const char *json = reply->r >= 0 ? pg_text(reply->rows, 0, 0) : NULL;
        Error e = reply->error;
        int r = reply->r;

        s->call = NULL;
        if (r >= 0 && json)
                r = due_batch_new(json, &s->batch, &e);
        if (r >= 0 && json)
                r = go_on(s);
        if (r < 0)
                fail(s, r, &e);
}

void schedules_look(Schedules *s) {
        static const PgParam limit = { .data = LIMIT };

        if (!s->call)
                (void) pg_call(s->pg, &statement_schedules_due, &limit, on_due, s, &s->call);
}

int schedules_new(sd_event *event, Pg *pg, void (*done)(void *userdata), void *userdata,
                  Schedules **ret) {
        Schedules *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->event = event;
        s->pg = pg;
        s->done = done;
        s->userdata = userdata;
        r = zones_new(&s->zones);
        if (r < 0) {
                (void) schedules_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

Schedules *schedules_free(Schedules *s) {
        if (!s)
                return NULL;
        s->call = pg_call_free(s->call);
        s->batch = due_batch_free(s->batch);
        s->zones = zones_free(s->zones);
        s->asked = strv_free(s->asked);
        free(s);
        return NULL;
}
