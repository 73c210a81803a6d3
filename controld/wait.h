/* Who waits for what: requests keyed by the payload of the notification that wakes them, "run UUID" or "instance UUID". */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define WAIT_KEY_MAX 64
#define WAIT_SEC_MAX 60 /* a later deadline counts as this */

typedef struct Waits Waits;

typedef struct Waiter {
        Waits *waits;                        /* borrowed; NULL when not waiting */
        struct Waiter *next, **slot;         /* borrowed: the bucket's list */
        struct Waiter *next_due, **due_slot; /* borrowed: of those that end at the same time */
        char key[WAIT_KEY_MAX];
        uint64_t begun; /* the sequence when it was linked */
        /* A wake-up, or the deadline. The waiter is unlinked already. */
        void (*on_wake)(struct Waiter *w, bool timed_out);
} Waiter;

int waits_new(sd_event *event, Waits **ret);
Waits *waits_free(Waits *w); /* every waiter must have been unlinked */

/* Counts notifications. A statement remembers it before it is sent; a wait that begins after the answer can then tell whether
 * a notification for its key came in between. */
uint64_t waits_sequence(const Waits *w);

/* Links the waiter until the deadline, which is kept to a tenth of a second. 1 when its key was notified since `since` (it is
 * not linked then: look again), else 0, or -errno. */
int waits_add(Waits *w, Waiter *waiter, const char *key, uint64_t since, uint64_t deadline_usec);
void waiter_unlink(Waiter *waiter);

/* Wakes those that wait for the key; all of them for NULL. */
void waits_notify(Waits *w, const char *key);
/* Those whose key is kind and more, as "run UUID" for "run". */
void waits_notify_kind(Waits *w, const char *kind);
/* Notifications may have been missed: wakes all that wait now, some at a time, so that the database is not asked by the whole
 * fleet at once when it has just come back. */
void waits_notify_slowly(Waits *w);
