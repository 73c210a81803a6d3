/* A timer that is moved with every request and fires seldom: moving it to later, or switching it off, asks nothing of the
 * kernel, for which programming a timer is dear (in a virtual machine more than all the rest of a request). It fires when it was
 * due once, sees that it has been moved, and goes on. */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

typedef struct LazyTimer {
        sd_event *event;         /* borrowed: the owner's */
        sd_event_source *source; /* owned */
        uint64_t due_usec;       /* CLOCK_MONOTONIC; UINT64_MAX: off */
        uint64_t armed_usec;     /* what the source has; UINT64_MAX: nothing */
        void (*on_due)(void *userdata);
        void *userdata; /* borrowed: the struct this is embedded in */
} LazyTimer;

/* Off at first. */
int lazy_timer_init(LazyTimer *t, sd_event *event, const char *description,
                    void (*on_due)(void *userdata), void *userdata);
void lazy_timer_done(LazyTimer *t); /* also of one that was never initialised */

/* Once, so long after the present iteration of the loop began. */
int lazy_timer_set(LazyTimer *t, uint64_t delay_usec);
void lazy_timer_off(LazyTimer *t);
