/* Every worker asks; who comes first does what is due (sql/api/retry.sql). The answer is when to ask again. Without a connection
 * nothing is lost: who is told of a new one asks. */
#include "ticker.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"
#include "parse.h"
#include "schedules.h"
#include "timespan.h"

#define LATER_USEC (10 * USEC_PER_SEC) /* after a failure */
#define FAR_MSEC (3600 * 1000)         /* a clock may be set meanwhile */

struct Ticker {
        Pg *pg;                /* borrowed: the worker's, freed after this */
        PgCall *call;          /* owned */
        Schedules *schedules;  /* owned */
        sd_event_source *wait; /* owned */
        bool again;            /* asked for since the call was sent */
};

const Statement statement_tick = { "tick", "SELECT api.tick()", 0 };

static int on_wait(sd_event_source *source, uint64_t usec, void *userdata) {
        (void) source;
        (void) usec;
        ticker_look(userdata);
        return 0;
}

static int arm(Ticker *t, uint64_t usec) {
        int r = sd_event_source_set_time_relative(t->wait, usec);

        return r < 0 ? r : sd_event_source_set_enabled(t->wait, SD_EVENT_ONESHOT);
}

static void on_told(const PgReply *reply, void *userdata) {
        const char *text = reply->r >= 0 ? pg_text(reply->rows, 0, 0) : NULL;
        uint64_t msec = 0;
        Ticker *t = userdata;
        int r;

        t->call = NULL;
        if (reply->r < 0 && reply->r != -ENOTCONN)
                log_error(reply->r, "Cannot ask for what is due");
        if (reply->r < 0)
                r = arm(t, LATER_USEC);
        else if (t->again)
                r = arm(t, 0);
        else if (!text)
                r = sd_event_source_set_enabled(t->wait, SD_EVENT_OFF);
        else if ((r = parse_u64_range(text, 0, INT64_MAX, &msec)) >= 0)
                r = arm(t, (msec < FAR_MSEC ? msec : FAR_MSEC) * USEC_PER_MSEC);
        if (r < 0)
                log_error(r, "Cannot wait for what is due");
        if (reply->r >= 0)
                schedules_look(t->schedules);
}

static void on_schedules_fired(void *userdata) {
        ticker_look(userdata);
}

void ticker_look(Ticker *t) {
        if (t->call) {
                t->again = true;
                return;
        }
        t->again = false;
        if (pg_call(t->pg, &statement_tick, NULL, on_told, t, &t->call) < 0)
                (void) arm(t, LATER_USEC);
}

int ticker_new(sd_event *event, Pg *pg, Ticker **ret) {
        Ticker *t = calloc(1, sizeof(*t));
        int r;

        if (!t)
                return -ENOMEM;
        t->pg = pg;
        r = schedules_new(event, pg, on_schedules_fired, t, &t->schedules);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &t->wait, CLOCK_BOOTTIME, 0, PROMPT_USEC,
                                               on_wait, t);
        if (r >= 0)
                r = sd_event_source_set_enabled(t->wait, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_description(t->wait, "ticker");
        if (r < 0) {
                (void) ticker_free(t);
                return r;
        }
        *ret = t;
        return 0;
}

Ticker *ticker_free(Ticker *t) {
        if (!t)
                return NULL;
        t->call = pg_call_free(t->call);
        t->schedules = schedules_free(t->schedules);
        sd_event_source_disable_unref(t->wait);
        free(t);
        return NULL;
}
