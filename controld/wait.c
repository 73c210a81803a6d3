/* Waiters in a hash of lists, and the last notifications in a ring, so that none is missed between an answer and a wait. */
#include "wait.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "str.h"
#include "timespan.h"

#define BUCKETS 4096
#define RING 1024

struct Waits {
        sd_event *event;          /* owned (reference) */
        Waiter *buckets[BUCKETS]; /* borrowed: their exchanges own them */
        char ring[RING][WAIT_KEY_MAX];
        uint64_t sequence;
        uint64_t blind_until; /* notifications before this may have been missed */
};

static size_t bucket_of(const char *key) {
        uint32_t hash = 2166136261U; /* FNV-1a */

        for (; *key; key++)
                hash = (hash ^ (unsigned char) *key) * 16777619U;
        return hash % BUCKETS;
}

int waits_new(sd_event *event, Waits **ret) {
        Waits *w = calloc(1, sizeof(*w));

        if (!w)
                return -ENOMEM;
        w->event = sd_event_ref(event);
        *ret = w;
        return 0;
}

Waits *waits_free(Waits *w) {
        if (!w)
                return NULL;
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

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        Waiter *waiter = userdata;

        (void) source;
        (void) usec;
        waiter_unlink(waiter);
        waiter->on_wake(waiter, true);
        return 0;
}

int waits_add(Waits *w, Waiter *waiter, const char *key, uint64_t since, uint64_t deadline_usec) {
        Waiter **bucket = &w->buckets[bucket_of(key)];
        int r;

        if (notified_since(w, key, since))
                return 1;
        r = sd_event_add_time(w->event, &waiter->deadline, CLOCK_MONOTONIC, deadline_usec,
                              100 * USEC_PER_MSEC, on_deadline, waiter);
        if (r < 0)
                return r;
        (void) snprintf(waiter->key, sizeof(waiter->key), "%s", key);
        waiter->waits = w;
        waiter->next = *bucket;
        waiter->slot = bucket;
        if (*bucket)
                (*bucket)->slot = &waiter->next;
        *bucket = waiter;
        return 0;
}

void waiter_unlink(Waiter *waiter) {
        waiter->deadline = sd_event_source_disable_unref(waiter->deadline);
        if (!waiter->waits)
                return;
        *waiter->slot = waiter->next;
        if (waiter->next)
                waiter->next->slot = waiter->slot;
        waiter->waits = NULL;
        waiter->next = NULL;
        waiter->slot = NULL;
}

/* Takes matching waiters off first: waking one may add it, or another, again. */
static void wake_bucket(Waiter **bucket, const char *key) {
        Waiter *woken = NULL;

        for (Waiter *i = *bucket, *next; i; i = next) {
                next = i->next;
                if (key && !str_eq(i->key, key))
                        continue;
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
}

void waits_notify(Waits *w, const char *key) {
        if (!key) {
                w->blind_until = ++w->sequence;
                for (size_t i = 0; i < BUCKETS; i++)
                        wake_bucket(&w->buckets[i], NULL);
                return;
        }
        (void) snprintf(w->ring[w->sequence++ % RING], WAIT_KEY_MAX, "%s", key);
        wake_bucket(&w->buckets[bucket_of(key)], key);
}
