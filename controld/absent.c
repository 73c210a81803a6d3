/* A list in the order in which the connections broke, and a hash to find who is back. What was sent to the database stays until
 * it has answered: while there is no database nothing is lost, and nobody is gone who comes back meanwhile. */
#include "absent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "id.h"
#include "lazy-timer.h"
#include "log.h"
#include "str.h"

#define BUCKETS 1024
#define BATCH 1000
#define ABSENT_MAX 65536 /* the rest is found out when their leases end */
#define AGAIN_USEC USEC_PER_SEC

typedef struct Item {
        struct Item *next, **slot;           /* owned: all of them, in order */
        struct Item *next_same, **same_slot; /* borrowed: the bucket's list */
        char instance[ID_TEXT_SIZE];
        uint64_t broke_usec; /* CLOCK_MONOTONIC */
        bool sent;
} Item;

struct Absent {
        sd_event *event; /* owned (reference) */
        Pg *pg;          /* borrowed: the worker's, freed after this */
        PgCall *call;    /* owned */
        LazyTimer timer;
        uint64_t gather_usec;
        Item *first, **last, *buckets[BUCKETS];
        size_t n;
};

const Statement statement_presence_broke = {
        "presence_broke", "SELECT api.presence_broke($1::text::uuid[], $2::text::int[])", 2
};

static size_t bucket_of(const char *instance) {
        uint32_t hash = 2166136261U; /* FNV-1a */

        for (; *instance; instance++)
                hash = (hash ^ (unsigned char) *instance) * 16777619U;
        return hash % BUCKETS;
}

static uint64_t now_usec(const Absent *a) {
        uint64_t now = 0;

        (void) sd_event_now(a->event, CLOCK_MONOTONIC, &now);
        return now;
}

static Item *find(const Absent *a, const char *instance) {
        for (Item *i = a->buckets[bucket_of(instance)]; i; i = i->next_same)
                if (str_eq(i->instance, instance))
                        return i;
        return NULL;
}

static void item_free(Absent *a, Item *i) {
        *i->slot = i->next;
        if (i->next)
                i->next->slot = i->slot;
        else
                a->last = i->slot;
        *i->same_slot = i->next_same;
        if (i->next_same)
                i->next_same->same_slot = i->same_slot;
        a->n--;
        free(i);
}

static void arm(Absent *a) {
        uint64_t now = now_usec(a), due;

        if (!a->first || a->call)
                return;
        due = a->first->broke_usec + a->gather_usec;
        (void) lazy_timer_set(&a->timer, due > now ? due - now : 0);
}

static void on_told(const PgReply *reply, void *userdata) {
        Absent *a = userdata;

        a->call = NULL;
        if (reply->r < 0 && reply->r != -ENOTCONN)
                log_error(reply->r, "Cannot say whose connection broke");
        for (Item *i = a->first, *next; i && i->sent; i = next) {
                next = i->next;
                if (reply->r < 0)
                        i->sent = false;
                else
                        item_free(a, i);
        }
        if (reply->r < 0)
                (void) lazy_timer_set(&a->timer, AGAIN_USEC);
        else
                arm(a);
}

/* "{uuid,uuid}" and "{3021,3018}" of those whose time is over. How many, or -ENOMEM. */
static int gather(Absent *a, uint64_t now, Buffer *ids, Buffer *ages) {
        int n = 0, r = buffer_append_str(ids, "{");

        if (r >= 0)
                r = buffer_append_str(ages, "{");
        for (Item *i = a->first; i && n < BATCH && r >= 0 && i->broke_usec + a->gather_usec <= now;
             i = i->next, n++) {
                r = buffer_printf(ids, "%s%s", n > 0 ? "," : "", i->instance);
                if (r >= 0)
                        r = buffer_printf(ages, "%s%u", n > 0 ? "," : "",
                                          (unsigned) ((now - i->broke_usec) / USEC_PER_MSEC));
        }
        if (r >= 0)
                r = buffer_append_str(ids, "}");
        if (r >= 0)
                r = buffer_append_str(ages, "}");
        return r < 0 ? r : n;
}

static void on_due(void *userdata) {
        Buffer ids = {}, ages = {};
        Absent *a = userdata;
        Item *i = a->first;
        int n;

        if (a->call || !i)
                return;
        n = gather(a, now_usec(a), &ids, &ages);
        if (n == 0)
                arm(a);
        else if (n < 0 || pg_call(a->pg, &statement_presence_broke,
                                  (PgParam[]){ { .data = ids.data }, { .data = ages.data } },
                                  on_told, a, &a->call) < 0)
                (void) lazy_timer_set(&a->timer, AGAIN_USEC);
        else
                for (; n > 0; n--, i = i->next)
                        i->sent = true;
        buffer_done(&ids);
        buffer_done(&ages);
}

void absent_broke(Absent *a, const char *instance) {
        Item **bucket = &a->buckets[bucket_of(instance)], *i;

        if (a->n >= ABSENT_MAX || strlen(instance) >= sizeof(i->instance) || find(a, instance))
                return;
        i = calloc(1, sizeof(*i));
        if (!i)
                return;
        (void) strcpy(i->instance, instance);
        i->broke_usec = now_usec(a);
        i->slot = a->last;
        *a->last = i;
        a->last = &i->next;
        i->same_slot = bucket;
        i->next_same = *bucket;
        if (*bucket)
                (*bucket)->same_slot = &i->next_same;
        *bucket = i;
        a->n++;
        if (a->first == i)
                arm(a);
}

/* Of those that are being told of now, the database hears that they are back by what they came back with. */
void absent_back(Absent *a, const char *instance) {
        Item *i = a->n > 0 ? find(a, instance) : NULL;

        if (i)
                item_free(a, i);
}

int absent_new(sd_event *event, Pg *pg, uint64_t gather_usec, Absent **ret) {
        Absent *a = calloc(1, sizeof(*a));
        int r;

        if (!a)
                return -ENOMEM;
        a->event = sd_event_ref(event);
        a->pg = pg;
        a->gather_usec = gather_usec;
        a->last = &a->first;
        r = lazy_timer_init(&a->timer, event, "absent", on_due, a);
        if (r < 0) {
                (void) absent_free(a);
                return r;
        }
        *ret = a;
        return 0;
}

Absent *absent_free(Absent *a) {
        if (!a)
                return NULL;
        while (a->first)
                item_free(a, a->first);
        a->call = pg_call_free(a->call);
        lazy_timer_done(&a->timer);
        sd_event_unref(a->event);
        free(a);
        return NULL;
}
