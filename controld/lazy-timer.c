/* The source is armed for the earliest time that was asked for since it fired last, and moved only to an earlier one. */
#include "lazy-timer.h"

#include <time.h>

#include "timespan.h"

static int arm(LazyTimer *t, uint64_t usec) {
        int r = sd_event_source_set_time(t->source, usec);

        if (r >= 0)
                r = sd_event_source_set_enabled(t->source, SD_EVENT_ONESHOT);
        t->armed_usec = r < 0 ? UINT64_MAX : usec;
        return r;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        LazyTimer *t = userdata;
        uint64_t now = usec;

        (void) source;
        (void) sd_event_now(t->event, CLOCK_MONOTONIC, &now);
        t->armed_usec = UINT64_MAX;
        if (t->due_usec == UINT64_MAX)
                return 0;
        if (t->due_usec > now)
                return arm(t, t->due_usec);
        t->due_usec = UINT64_MAX;
        t->on_due(t->userdata);
        return 0;
}

int lazy_timer_init(LazyTimer *t, sd_event *event, const char *description,
                    void (*on_due)(void *userdata), void *userdata) {
        int r;

        *t = (LazyTimer){ .event = event,
                          .due_usec = UINT64_MAX,
                          .armed_usec = UINT64_MAX,
                          .on_due = on_due,
                          .userdata = userdata };
        r = sd_event_add_time(event, &t->source, CLOCK_MONOTONIC, UINT64_MAX, PROMPT_USEC, on_time,
                              t);
        if (r >= 0)
                r = sd_event_source_set_enabled(t->source, SD_EVENT_OFF);
        if (r >= 0)
                (void) sd_event_source_set_description(t->source, description);
        return r;
}

void lazy_timer_done(LazyTimer *t) {
        t->source = sd_event_source_disable_unref(t->source);
}

int lazy_timer_set(LazyTimer *t, uint64_t delay_usec) {
        uint64_t now;
        int r = sd_event_now(t->event, CLOCK_MONOTONIC, &now);

        if (r < 0)
                return r;
        t->due_usec = now + delay_usec;
        return t->armed_usec <= t->due_usec ? 0 : arm(t, t->due_usec);
}

void lazy_timer_off(LazyTimer *t) {
        t->due_usec = UINT64_MAX;
}
