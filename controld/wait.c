/* Waiters in a hash of lists, and the last notifications in a ring, so that none is missed between an answer and a wait. Their
 * deadlines are a wheel with one timer: thousands wait, and a timer of its own would be most of what each costs. */
#include "wait.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lazy-timer.h"
#include "str.h"
#include "timespan.h"

#define BUCKETS 4096
#define RING 1024
#define TICK_USEC (100 * USEC_PER_MSEC)
#define TICKS                                                                                      \
        2048 /* more than twice WAIT_SEC_MAX: the timer may be so late, and a deadline so far ahead */

#define SLOWLY 50
#define SLOWLY_USEC (50 * USEC_PER_MSEC)

struct Waits {
        sd_event *event;          /* owned (reference) */
        Waiter *buckets[BUCKETS]; /* borrowed: their exchanges own them */
        Waiter *ticks[TICKS];     /* the same ones, by deadline */
        LazyTimer timer, slowly;
        uint64_t tick;      /* all before it is over */
        uint64_t next_tick; /* what the timer is set for; UINT64_MAX: nothing */
        size_t n;
        char ring[RING][WAIT_KEY_MAX];
        uint64_t sequence;
        uint64_t blind_until; /* notifications before this may have been missed */
        size_t bucket;        /* the next to be woken slowly */
};

static size_t bucket_of(const char *key) {
        uint32_t hash = 2166136261U; /* FNV-1a */

        for (; *key; key++)
                hash = (hash ^ (unsigned char) *key) * 16777619U;
        return hash % BUCKETS;
}

static uint64_t now_usec(const Waits *w) {
        uint64_t now = 0;

        (void) sd_event_now(w->event, CLOCK_MONOTONIC, &now);
        return now;
}

static void arm(Waits *w, uint64_t tick) {
        uint64_t now = now_usec(w), due = tick * TICK_USEC;

        if (tick >= w->next_tick)
                return;
        w->next_tick = tick;
        (void) lazy_timer_set(&w->timer, due > now ? due - now : 0);
}

static void on_tick(void *userdata) {
        Waits *w = userdata;
        uint64_t until = now_usec(w) / TICK_USEC;

        w->next_tick = UINT64_MAX;
        /* Who waits again does so in a later tick. */
        for (; w->tick <= until; w->tick++)
                while (w->ticks[w->tick % TICKS]) {
                        Waiter *waiter = w->ticks[w->tick % TICKS];

                        waiter_unlink(waiter);
                        waiter->on_wake(waiter, true);
                }
        for (uint64_t i = w->tick; w->n > 0 && i < w->tick + TICKS; i++)
                if (w->ticks[i % TICKS]) {
                        arm(w, i);
                        break;
                }
}

static void on_slowly(void *userdata);

int waits_new(sd_event *event, Waits **ret) {
        Waits *w = calloc(1, sizeof(*w));
        int r;

        if (!w)
                return -ENOMEM;
        w->event = sd_event_ref(event);
        w->next_tick = UINT64_MAX;
        r = lazy_timer_init(&w->timer, event, "waits", on_tick, w);
        if (r >= 0)
                r = lazy_timer_init(&w->slowly, event, "waits-slowly", on_slowly, w);
        if (r < 0) {
                (void) waits_free(w);
                return r;
        }
        *ret = w;
        return 0;
}

Waits *waits_free(Waits *w) {
        if (!w)
                return NULL;
        lazy_timer_done(&w->timer);
        lazy_timer_done(&w->slowly);
        sd_event_unref(w->event);
        free(w);
        return NULL;
}

uint64_t waits_sequence(const Waits *w) {
        return w->sequence;
}

static bool notified_since(const Waits *w, const char *key, uint64_t since) {
        if (since < w->blind_until || w->sequence - since > RING)
                return true;
        for (uint64_t i = since; i < w->sequence; i++)
                if (str_eq(w->ring[i % RING], key))
                        return true;
        return false;
}

/* The tick that begins after the deadline; the present one may be over already. */
static void link_due(Waits *w, Waiter *waiter, uint64_t deadline_usec) {
        uint64_t present = now_usec(w) / TICK_USEC, tick = deadline_usec / TICK_USEC + 1,
                 last = present + WAIT_SEC_MAX * USEC_PER_SEC / TICK_USEC;
        Waiter **slot;

        if (w->n == 0)
                w->tick = present;
        tick = tick > last ? last : (tick <= present ? present + 1 : tick);
        slot = &w->ticks[tick % TICKS];
        waiter->next_due = *slot;
        waiter->due_slot = slot;
        if (*slot)
                (*slot)->due_slot = &waiter->next_due;
        *slot = waiter;
        w->n++;
        arm(w, tick);
}

int waits_add(Waits *w, Waiter *waiter, const char *key, uint64_t since, uint64_t deadline_usec) {
        Waiter **bucket = &w->buckets[bucket_of(key)];

        if (notified_since(w, key, since))
                return 1;
        link_due(w, waiter, deadline_usec);
        (void) snprintf(waiter->key, sizeof(waiter->key), "%s", key);
        waiter->waits = w;
        waiter->begun = w->sequence;
        waiter->next = *bucket;
        waiter->slot = bucket;
        if (*bucket)
                (*bucket)->slot = &waiter->next;
        *bucket = waiter;
        return 0;
}

void waiter_unlink(Waiter *waiter) {
        if (!waiter->waits)
                return;
        *waiter->slot = waiter->next;
        if (waiter->next)
                waiter->next->slot = waiter->slot;
        *waiter->due_slot = waiter->next_due;
        if (waiter->next_due)
                waiter->next_due->due_slot = waiter->due_slot;
        waiter->waits->n--;
        waiter->waits = NULL;
        waiter->next = waiter->next_due = NULL;
        waiter->slot = waiter->due_slot = NULL;
}

/* Takes matching waiters off first: waking one may add it, or another, again. */
static unsigned wake_bucket(Waiter **bucket, bool (*fits)(const Waiter *w, const void *what),
                            const void *what) {
        Waiter *woken = NULL;
        unsigned n = 0;

        for (Waiter *i = *bucket, *next; i; i = next) {
                next = i->next;
                if (!fits(i, what))
                        continue;
                n++;
                waiter_unlink(i);
                i->next = woken;
                woken = i;
        }
        while (woken) {
                Waiter *i = woken;

                woken = i->next;
                i->next = NULL;
                i->on_wake(i, false);
        }
        return n;
}

static bool is_any(const Waiter *w, const void *what) {
        (void) w;
        (void) what;
        return true;
}

static bool has_key(const Waiter *w, const void *key) {
        return str_eq(w->key, key);
}

static bool is_kind(const Waiter *w, const void *kind) {
        const char *rest = str_after(w->key, kind);

        return rest && *rest == ' ';
}

static bool is_blind(const Waiter *w, const void *blind_until) {
        return w->begun < *(const uint64_t *) blind_until;
}

static void on_slowly(void *userdata) {
        Waits *w = userdata;
        unsigned n = 0;

        while (n < SLOWLY && w->bucket < BUCKETS)
                n += wake_bucket(&w->buckets[w->bucket++], is_blind, &w->blind_until);
        if (w->bucket < BUCKETS)
                (void) lazy_timer_set(&w->slowly, SLOWLY_USEC);
}

void waits_notify_slowly(Waits *w) {
        w->blind_until = ++w->sequence;
        w->bucket = 0;
        (void) lazy_timer_set(&w->slowly, 0);
}

void waits_notify_kind(Waits *w, const char *kind) {
        for (size_t i = 0; i < BUCKETS; i++)
                (void) wake_bucket(&w->buckets[i], is_kind, kind);
}

void waits_notify(Waits *w, const char *key) {
        if (!key) {
                w->blind_until = ++w->sequence;
                for (size_t i = 0; i < BUCKETS; i++)
                        (void) wake_bucket(&w->buckets[i], is_any, NULL);
                return;
        }
        (void) snprintf(w->ring[w->sequence++ % RING], WAIT_KEY_MAX, "%s", key);
        (void) wake_bucket(&w->buckets[bucket_of(key)], has_key, key);
}
