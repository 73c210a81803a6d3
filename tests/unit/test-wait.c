/* Waits: each ends once, by its notification or its deadline, and no notification is lost between an answer and a wait. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "cleanup.h"
#include "lazy-timer.h"
#include "str.h"
#include "timespan.h"
#include "wait.h"
#include "../lib/tap.h"

#define WAITERS 8

typedef struct Guest {
        Waiter waiter; /* first, so that a waiter is a guest */
        unsigned woken, timed_out;
        bool again; /* waits once more when it is woken */
} Guest;

static sd_event *event;
static Waits *waits;
static Guest guests[WAITERS];

static uint64_t in_msec(uint64_t msec) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000 +
               msec * USEC_PER_MSEC;
}

static int stay(Guest *g, const char *key, uint64_t since, uint64_t msec);

static void on_wake(Waiter *w, bool timed_out) {
        Guest *g = (Guest *) w;

        g->woken++;
        g->timed_out += timed_out;
        if (g->again)
                (void) stay(g, "run 1", waits_sequence(waits), 60000);
}

static int stay(Guest *g, const char *key, uint64_t since, uint64_t msec) {
        g->waiter.on_wake = on_wake;
        return waits_add(waits, &g->waiter, key, since, in_msec(msec));
}

static void begin(void) {
        (void) memset(guests, 0, sizeof(guests));
        ok_int(sd_event_new(&event), 0);
        ok_int(waits_new(event, &waits), 0);
}

static void end(void) {
        for (size_t i = 0; i < WAITERS; i++)
                waiter_unlink(&guests[i].waiter);
        waits = waits_free(waits);
        event = sd_event_unref(event);
}

static void test_the_right_ones_wake(void) {
        begin();
        for (size_t i = 0; i < 4; i++)
                ok_int(stay(&guests[i], i % 2 ? "run 1" : "run 2", waits_sequence(waits), 60000),
                       0);
        waits_notify(waits, "run 1");
        ok_int(guests[0].woken, 0);
        ok_int(guests[1].woken, 1);
        ok_int(guests[2].woken, 0);
        ok_int(guests[3].woken, 1);
        ok_int(guests[1].timed_out, 0);
        waits_notify(waits, "run 1");
        ok_int(guests[1].woken, 1);
        waits_notify(waits, NULL);
        ok_int(guests[0].woken, 1);
        ok_int(guests[2].woken, 1);
        ok_int(guests[3].woken, 1);
        end();
}

static void test_unlinked_ones_do_not(void) {
        begin();
        for (size_t i = 0; i < 3; i++)
                ok_int(stay(&guests[i], "run 1", waits_sequence(waits), 60000), 0);
        waiter_unlink(&guests[1].waiter);
        waiter_unlink(&guests[1].waiter);
        waits_notify(waits, "run 1");
        ok_int(guests[0].woken, 1);
        ok_int(guests[1].woken, 0);
        ok_int(guests[2].woken, 1);
        end();
}

static void test_deadline_ends_a_wait(void) {
        begin();
        ok_int(stay(&guests[0], "run 1", waits_sequence(waits), 20), 0);
        for (int i = 0; i < 50 && guests[0].woken == 0; i++)
                (void) sd_event_run(event, 100 * USEC_PER_MSEC);
        ok_int(guests[0].woken, 1);
        ok_int(guests[0].timed_out, 1);
        waits_notify(waits, "run 1");
        ok_int(guests[0].woken, 1);
        end();
}

/* One wheel for all: the earlier deadline ends first, whichever came first, and a place that is free again is found empty. */
static void test_deadlines_end_in_order(void) {
        begin();
        ok_int(stay(&guests[0], "run 1", waits_sequence(waits), 500), 0);
        ok_int(stay(&guests[1], "run 1", waits_sequence(waits), 20), 0);
        ok_int(stay(&guests[2], "run 1", waits_sequence(waits), 20), 0);
        ok_int(stay(&guests[3], "run 1", waits_sequence(waits), 3600000), 0);
        waiter_unlink(&guests[2].waiter);
        for (int i = 0; i < 50 && guests[1].woken == 0; i++)
                (void) sd_event_run(event, 100 * USEC_PER_MSEC);
        ok_int(guests[1].timed_out, 1);
        ok_int(guests[0].woken, 0);
        for (int i = 0; i < 50 && guests[0].woken == 0; i++)
                (void) sd_event_run(event, 100 * USEC_PER_MSEC);
        ok_int(guests[0].timed_out, 1);
        ok_int(guests[2].woken, 0);
        ok_int(guests[3].woken, 0);
        end();
}

static void count(void *userdata) {
        ++*(unsigned *) userdata;
}

/* Moved to later and off it fires no earlier for that; moved to earlier it does. */
static void test_lazy_timer(void) {
        unsigned fired = 0;
        LazyTimer timer;
        uint64_t due = in_msec(60);

        ok_int(sd_event_new(&event), 0);
        ok_int(lazy_timer_init(&timer, event, "test", count, &fired), 0);
        ok_int(lazy_timer_set(&timer, 60000 * USEC_PER_MSEC), 0);
        ok_int(lazy_timer_set(&timer, 10 * USEC_PER_MSEC), 0);
        ok_int(lazy_timer_set(&timer, 60 * USEC_PER_MSEC), 0);
        for (int i = 0; i < 50 && fired == 0; i++)
                (void) sd_event_run(event, 100 * USEC_PER_MSEC);
        ok_int(fired, 1);
        ok_int(in_msec(0) >= due, 1);
        ok_int(lazy_timer_set(&timer, 10 * USEC_PER_MSEC), 0);
        lazy_timer_off(&timer);
        due = in_msec(60);
        while (in_msec(0) < due)
                (void) sd_event_run(event, 10 * USEC_PER_MSEC);
        ok_int(fired, 1);
        lazy_timer_done(&timer);
        event = sd_event_unref(event);
}

static void test_waiting_again_while_woken(void) {
        begin();
        for (size_t i = 0; i < WAITERS; i++) {
                guests[i].again = true;
                ok_int(stay(&guests[i], "run 1", waits_sequence(waits), 60000), 0);
        }
        waits_notify(waits, "run 1");
        for (size_t i = 0; i < WAITERS; i++)
                ok_int(guests[i].woken, 1);
        waits_notify(waits, "run 1");
        for (size_t i = 0; i < WAITERS; i++)
                ok_int(guests[i].woken, 2);
        end();
}

/* What came behind the question and before the wait is found in the ring. */
static void test_nothing_is_lost_in_between(void) {
        uint64_t before;

        begin();
        before = waits_sequence(waits);
        waits_notify(waits, "run 1");
        ok_int(stay(&guests[0], "run 1", before, 60000), 1);
        ok_int(stay(&guests[0], "run 2", before, 60000), 0);
        ok_int(stay(&guests[1], "run 1", waits_sequence(waits), 60000), 0);
        ok_int(guests[0].woken, 0);
        end();
}

static void test_a_full_ring_errs_on_the_side_of_looking(void) {
        uint64_t before;

        begin();
        before = waits_sequence(waits);
        for (int i = 0; i < 1024; i++)
                waits_notify(waits, "run of somebody else");
        ok_int(stay(&guests[0], "run 1", before, 60000), 0);
        waits_notify(waits, "run of somebody else");
        ok_int(stay(&guests[1], "run 1", before, 60000), 1);
        end();
}

static void test_blindness_wakes_who_asked_before(void) {
        uint64_t before;

        begin();
        before = waits_sequence(waits);
        waits_notify(waits, NULL);
        ok_int(stay(&guests[0], "run 1", before, 60000), 1);
        ok_int(stay(&guests[0], "run 1", waits_sequence(waits), 60000), 0);
        end();
}

static void test_long_keys_are_cut_alike(void) {
        char longer[2 * WAIT_KEY_MAX];
        uint64_t before;

        begin();
        (void) memset(longer, 'x', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = '\0';
        before = waits_sequence(waits);
        waits_notify(waits, longer);
        longer[WAIT_KEY_MAX - 1] = '\0';
        ok_int(stay(&guests[0], longer, before, 60000), 1);
        end();
}

static void turn(unsigned msec) {
        for (uint64_t end = in_msec(msec); in_msec(0) < end;)
                (void) sd_event_run(event, 10 * USEC_PER_MSEC);
}

static void test_all_of_a_kind_are_woken(void) {
        begin();
        ok_int(stay(&guests[0], "run 1", 0, 60000), 0);
        ok_int(stay(&guests[1], "run 2", 0, 60000), 0);
        ok_int(stay(&guests[2], "runner 2", 0, 60000), 0);
        ok_int(stay(&guests[3], "instance 1", 0, 60000), 0);
        waits_notify_kind(waits, "run");
        ok_int(guests[0].woken, 1);
        ok_int(guests[1].woken, 1);
        ok_int(guests[2].woken, 0);
        ok_int(guests[3].woken, 0);
        end();
}

static void test_after_a_gap_all_look_once_and_not_in_one_moment(void) {
        static Guest crowd[200];
        unsigned woken = 0;
        char key[32];

        begin();
        (void) memset(crowd, 0, sizeof(crowd));
        for (unsigned i = 0; i < ELEMENTSOF(crowd); i++) {
                (void) snprintf(key, sizeof(key), "instance %u", i);
                if (stay(&crowd[i], key, 0, 60000) != 0)
                        ok_true(false);
        }
        waits_notify_slowly(waits);
        ok_int(stay(&guests[0], "run 1", waits_sequence(waits) - 1, 60000),
               1); /* it may have missed one */
        ok_int(stay(&guests[0], "run 1", waits_sequence(waits), 60000), 0);
        (void) sd_event_run(event, 10 * USEC_PER_MSEC);
        for (unsigned i = 0; i < ELEMENTSOF(crowd); i++)
                woken += crowd[i].woken;
        ok_true(woken >= 50 && woken < 150);
        turn(400);
        woken = 0;
        for (unsigned i = 0; i < ELEMENTSOF(crowd); i++)
                woken += crowd[i].woken;
        ok_int(woken, ELEMENTSOF(crowd));
        ok_int(guests[0].woken, 0); /* it began to wait after the gap */
        end();
}

int main(void) {
        RUN(test_all_of_a_kind_are_woken);
        RUN(test_after_a_gap_all_look_once_and_not_in_one_moment);
        RUN(test_the_right_ones_wake);
        RUN(test_unlinked_ones_do_not);
        RUN(test_deadline_ends_a_wait);
        RUN(test_deadlines_end_in_order);
        RUN(test_lazy_timer);
        RUN(test_waiting_again_while_woken);
        RUN(test_nothing_is_lost_in_between);
        RUN(test_a_full_ring_errs_on_the_side_of_looking);
        RUN(test_blindness_wakes_who_asked_before);
        RUN(test_long_keys_are_cut_alike);
        return tap_done();
}
