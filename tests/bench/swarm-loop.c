/* epoll, timers in a wheel of one millisecond a slot, and turns. */
#include "swarm-loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#include "cleanup.h"
#include "fd.h"
#include "timespan.h"

#define SLOTS 8192U
#define LOOK_AHEAD 100U /* milliseconds: the longest sleep */
#define BATCH 256

struct Loop {
        int epoll_fd; /* owned */
        Timer *slots[SLOTS];
        uint64_t tick; /* milliseconds: all before it is done */
        Turn *turns, **last_turn;
        bool stopped;
};

uint64_t loop_now(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

int loop_new(Loop **ret) {
        Loop *l = calloc(1, sizeof(*l));

        if (!l)
                return -ENOMEM;
        l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (l->epoll_fd < 0) {
                free(l);
                return -errno;
        }
        l->tick = loop_now() / USEC_PER_MSEC;
        l->last_turn = &l->turns;
        *ret = l;
        return 0;
}

Loop *loop_free(Loop *l) {
        if (!l)
                return NULL;
        (void) fd_close(l->epoll_fd);
        free(l);
        return NULL;
}

int loop_watch(Loop *l, int fd, Watch *w) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                     .data.ptr = w };

        return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void loop_disarm(Timer *t) {
        if (!t->slot)
                return;
        *t->slot = t->next;
        if (t->next)
                t->next->slot = t->slot;
        t->next = NULL;
        t->slot = NULL;
}

void loop_arm(Loop *l, Timer *t, uint64_t delay_usec) {
        uint64_t tick;
        Timer **slot;

        loop_disarm(t);
        t->due_usec = loop_now() + delay_usec;
        tick = t->due_usec / USEC_PER_MSEC + 1;
        slot = &l->slots[(tick > l->tick ? tick : l->tick) % SLOTS];
        t->next = *slot;
        t->slot = slot;
        if (*slot)
                (*slot)->slot = &t->next;
        *slot = t;
}

void loop_later(Loop *l, Turn *t) {
        if (t->linked)
                return;
        t->linked = true;
        t->next = NULL;
        *l->last_turn = t;
        l->last_turn = &t->next;
}

/* A timer of a later revolution stays. What a callback arms is due after now. */
static void run_slot(Timer **slot, uint64_t now_usec) {
        Timer *due = NULL;

        for (Timer *t = *slot, *next; t; t = next) {
                next = t->next;
                if (t->due_usec > now_usec)
                        continue;
                loop_disarm(t);
                t->next = due;
                t->slot = &due;
                if (due)
                        due->slot = &t->next;
                due = t;
        }
        while (due) {
                Timer *t = due;

                loop_disarm(t);
                t->on_due(t);
        }
}

static void run_timers(Loop *l) {
        uint64_t now = loop_now(), until = now / USEC_PER_MSEC;

        if (until - l->tick >= SLOTS) /* it stood still: every slot once */
                l->tick = until - SLOTS + 1;
        for (; l->tick <= until; l->tick++)
                run_slot(&l->slots[l->tick % SLOTS], now);
}

static void run_turns(Loop *l) {
        Turn *turns = l->turns;

        l->turns = NULL;
        l->last_turn = &l->turns;
        while (turns) {
                Turn *t = turns;

                turns = t->next;
                t->linked = false;
                t->on_turn(t);
        }
}

static int sleep_msec(const Loop *l) {
        if (l->turns)
                return 0;
        for (unsigned i = 0; i < LOOK_AHEAD; i++)
                if (l->slots[(l->tick + i) % SLOTS]) {
                        uint64_t now = loop_now() / USEC_PER_MSEC, then = l->tick + i;

                        return then > now ? (int) (then - now) : 0;
                }
        return LOOK_AHEAD;
}

int loop_run(Loop *l) {
        struct epoll_event events[BATCH];

        while (!l->stopped) {
                int n = epoll_wait(l->epoll_fd, events, BATCH, sleep_msec(l));

                if (n < 0 && errno != EINTR)
                        return -errno;
                for (int i = 0; i < n; i++) {
                        Watch *w = events[i].data.ptr;

                        w->on_ready(w);
                }
                run_timers(l);
                run_turns(l);
        }
        return 0;
}

void loop_stop(Loop *l) {
        l->stopped = true;
}
