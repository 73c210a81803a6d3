/* The swarm's event loop: one epoll descriptor, a wheel of timers, and what is to be done when a batch of events is over. sd-event
 * asks the kernel again before every single dispatch, which for thousands of busy connections costs more than their work.
 * Watches, timers and turns are embedded in objects that outlive the loop's run; a spurious call must do no harm. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct Loop Loop;

typedef struct Watch {
        void (*on_ready)(struct Watch *w);
} Watch;

typedef struct Timer {
        struct Timer *next, **slot; /* borrowed: the wheel's list; slot is NULL when disarmed */
        uint64_t due_usec;
        void (*on_due)(struct Timer *t);
} Timer;

typedef struct Turn {
        struct Turn *next;
        bool linked;
        void (*on_turn)(struct Turn *t);
} Turn;

int loop_new(Loop **ret);
Loop *loop_free(Loop *l);

/* Edge-triggered, for reading and writing, until the descriptor is closed. */
int loop_watch(Loop *l, int fd, Watch *w);
/* Once, after the delay, to the millisecond. Arming again moves it. */
void loop_arm(Loop *l, Timer *t, uint64_t delay_usec);
void loop_disarm(Timer *t);
/* Once, when the events at hand have been handled. */
void loop_later(Loop *l, Turn *t);

uint64_t loop_now(void); /* CLOCK_MONOTONIC */
int loop_run(Loop *l);   /* until loop_stop() */
void loop_stop(Loop *l);
