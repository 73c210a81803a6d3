/* One timer for all of them, which is there while there is one. */
#include "stuck.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"
#include "timespan.h"

#define LOOK_USEC (2 * USEC_PER_SEC)

struct Stuck {
        sd_event *event;        /* borrowed: the loop outlives everything */
        AttemptTable *attempts; /* borrowed: freed after us */
        sd_event_source *timer; /* owned */
};

static int on_due(sd_event_source *source, uint64_t usec, void *userdata) {
        Stuck *s = userdata;
        bool some = false;

        (void) source;
        (void) usec;
        s->timer = sd_event_source_disable_unref(s->timer);
        for (Attempt *a = attempt_first(s->attempts), *next; a; a = next) {
                next = attempt_next(a);
                if ((a->stuck || a->left_usec > 0) && a->state != ATTEMPT_ENDED)
                        some |= attempt_look(a);
        }
        if (some)
                stuck_watch(s);
        return 0;
}

void stuck_watch(Stuck *s) {
        int r;

        if (s->timer)
                return;
        r = sd_event_add_time_relative(s->event, &s->timer, CLOCK_MONOTONIC, LOOK_USEC, LOOK_USEC,
                                       on_due, s);
        if (r < 0)
                (void) log_error(r, "Cannot plan the next look at what cannot be killed");
}

int stuck_new(sd_event *event, AttemptTable *attempts, Stuck **ret) {
        Stuck *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        s->event = event;
        s->attempts = attempts;
        *ret = s;
        return 0;
}

Stuck *stuck_free(Stuck *s) {
        if (!s)
                return NULL;
        (void) sd_event_source_disable_unref(s->timer);
        free(s);
        return NULL;
}
