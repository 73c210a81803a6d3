/* Looks at the queue when a commit has asked for it (sql/api/dispatch.sql says why somebody must, and why afterwards). One
 * look at a time; what comes in meanwhile is one more look, a moment later. */
#include "dispatch.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"
#include "str.h"
#include "timespan.h"

#define AGAIN_USEC (5 * USEC_PER_MSEC)

struct Dispatch {
        Pg *pg;                /* borrowed: the worker's, freed after this */
        PgCall *call;          /* owned */
        sd_event_source *wait; /* owned */
        bool again;            /* asked for since the call was sent */
};

const Statement statement_dispatch = { "dispatch", "SELECT api.dispatch()", 0 };

static void look(Dispatch *d);

static int on_wait(sd_event_source *source, uint64_t usec, void *userdata) {
        (void) source;
        (void) usec;
        look(userdata);
        return 0;
}

static void on_looked(const PgReply *reply, void *userdata) {
        Dispatch *d = userdata;
        int r = 0;

        d->call = NULL;
        if (reply->r < 0 && reply->r != -ENOTCONN)
                log_error(reply->r, "Cannot look at the queue");
        if (reply->r >= 0 && (d->again || str_eq(pg_text(reply->rows, 0, 0), "t"))) {
                r = sd_event_source_set_time_relative(d->wait, AGAIN_USEC);
                r = r < 0 ? r : sd_event_source_set_enabled(d->wait, SD_EVENT_ONESHOT);
        }
        if (r < 0)
                log_error(r, "Cannot look at the queue again");
}

/* Without a connection nothing is lost: the listener says so when there is one again, and every sweep looks, too. */
static void look(Dispatch *d) {
        d->again = false;
        (void) pg_call(d->pg, &statement_dispatch, NULL, on_looked, d, &d->call);
}

void dispatch_look(Dispatch *d) {
        int enabled = SD_EVENT_OFF;

        (void) sd_event_source_get_enabled(d->wait, &enabled);
        if (d->call)
                d->again = true;
        else if (enabled == SD_EVENT_OFF)
                look(d);
}

int dispatch_new(sd_event *event, Pg *pg, Dispatch **ret) {
        Dispatch *d = calloc(1, sizeof(*d));
        int r;

        if (!d)
                return -ENOMEM;
        d->pg = pg;
        r = sd_event_add_time_relative(event, &d->wait, CLOCK_MONOTONIC, 0, PROMPT_USEC, on_wait,
                                       d);
        if (r >= 0)
                r = sd_event_source_set_enabled(d->wait, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_description(d->wait, "dispatch-again");
        if (r < 0) {
                (void) dispatch_free(d);
                return r;
        }
        *ret = d;
        return 0;
}

Dispatch *dispatch_free(Dispatch *d) {
        if (!d)
                return NULL;
        d->call = pg_call_free(d->call);
        sd_event_source_disable_unref(d->wait);
        free(d);
        return NULL;
}
