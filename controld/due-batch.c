/* From the moment up to which the due times of a schedule are known, to the present one. What cannot be worked out says why. */
#include "due-batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json-in.h"
#include "json-out.h"
#include "schedule-times.h"
#include "strv.h"
#include "timespan.h"

#define ITEMS_MAX 10000

typedef struct Spec {
        char **on_calendar, **cron, **blackouts, *time_zone; /* owned */
} Spec;

typedef struct Item {
        char *schedule, *backfill; /* owned; backfill NULL: it is the schedule itself */
        Spec spec;
        uint64_t until_usec;            /* of a backfill */
        uint64_t after_usec, last_usec; /* last: 0 when it is not known */
        ScheduleTimes *times;           /* owned; NULL: its error says why */
        Error error;
} Item;

struct DueBatch {
        uint64_t now_usec;
        JsonArray items; /* of Item */
        size_t next;
};

/* Up to now, the last of them in a ring. */
typedef struct Found {
        uint64_t first_usec, next_usec; /* next: UINT64_MAX when it is never due again */
        size_t count;
        uint64_t ring[DUE_KEPT + 1];
} Found;

static const JsonField spec_fields[] = {
        { "on_calendar", JSON_STRV, false, offsetof(Spec, on_calendar) },
        { "cron", JSON_STRV, false, offsetof(Spec, cron) },
        { "blackout", JSON_STRV, false, offsetof(Spec, blackouts) },
        { "time_zone", JSON_TEXT, false, offsetof(Spec, time_zone) },
        {},
};

static const JsonField item_fields[] = {
        { "schedule", JSON_TEXT, true, offsetof(Item, schedule), .max = 36 },
        { "backfill", JSON_TEXT, false, offsetof(Item, backfill), .max = 36 },
        { "until_usec", JSON_U64, false, offsetof(Item, until_usec) },
        { "spec", JSON_OBJECT, true, offsetof(Item, spec), .fields = spec_fields },
        { "after_usec", JSON_U64, true, offsetof(Item, after_usec) },
        { "last_usec", JSON_U64, false, offsetof(Item, last_usec) },
        {},
};

static const JsonField batch_fields[] = {
        { "now_usec", JSON_U64, true, offsetof(DueBatch, now_usec) },
        { "items", JSON_ARRAY, true, offsetof(DueBatch, items), .max = ITEMS_MAX,
          .fields = item_fields, .size = sizeof(Item) },
        {},
};

static Item *item_of(const DueBatch *b, size_t i) {
        return (Item *) b->items.items + i;
}

DueBatch *due_batch_free(DueBatch *b) {
        if (!b)
                return NULL;
        for (size_t i = 0; i < b->items.count; i++)
                (void) schedule_times_free(item_of(b, i)->times);
        json_done(batch_fields, b);
        free(b);
        return NULL;
}

int due_batch_new(const char *json, DueBatch **ret, Error *e) {
        _cleanup_(due_batch_freep) DueBatch *b = calloc(1, sizeof(*b));
        int r;

        if (!b)
                return -ENOMEM;
        r = json_decode(json, strlen(json), batch_fields, JSON_IGNORE_UNKNOWN, b, e);
        for (size_t i = 0; r >= 0 && i < b->items.count; i++) {
                Item *item = item_of(b, i);

                r = schedule_times_new(item->spec.on_calendar, item->spec.cron,
                                       item->spec.blackouts, item->spec.time_zone, &item->times,
                                       &item->error);
                r = r == -EINVAL ? 0 : r;
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(b);
        return 0;
}

int due_batch_zones(const DueBatch *b, const Zones *z, uint64_t now_usec, size_t max,
                    char ***names) {
        const char *name;
        int r = 0;

        for (size_t i = b->next; i < b->items.count; i++)
                for (size_t k = 0;
                     item_of(b, i)->times && (name = schedule_times_zone(item_of(b, i)->times, k));
                     k++)
                        if (r >= 0 && zones_wants(z, name, now_usec) &&
                            !strv_contains(*names, name) && strv_length(*names) < max)
                                r = strv_append(names, name);
        return r;
}

/* The n-th of what was found, one of the last. */
static uint64_t found_at(const Found *f, size_t n) {
        return f->ring[n % ELEMENTSOF(f->ring)];
}

static void find(const Item *item, uint64_t until_usec, Found *f) {
        uint64_t usec = item->after_usec;

        f->next_usec = UINT64_MAX;
        while (schedule_times_next(item->times, usec, &usec) >= 0) {
                if (usec > until_usec || f->count == DUE_LOOK_MAX) {
                        f->next_usec = usec;
                        return;
                }
                if (f->count == 0)
                        f->first_usec = usec;
                f->ring[f->count++ % ELEMENTSOF(f->ring)] = usec;
        }
}

static void moment_out(JsonOut *o, const Item *item, const char *key, const char *local_key,
                       uint64_t usec) {
        int64_t offset_sec = zone_offset_sec(schedule_times_home(item->times), (int64_t) usec);

        json_out_u64(o, key, usec);
        json_out_u64(o, local_key, usec + (uint64_t) (offset_sec * (int64_t) USEC_PER_SEC));
}

static void blackout_out(JsonOut *o, const Item *item, const char *key, uint64_t due_usec) {
        const char *text = schedule_times_blackout(item->times, due_usec);

        if (text)
                json_out_text(o, key, text);
}

/* Its interval begins with the due time before it; start_usec 0: that is to be found. */
static void due_out(JsonOut *o, const Item *item, uint64_t due_usec, uint64_t start_usec) {
        bool known =
                start_usec > 0 || schedule_times_previous(item->times, due_usec, &start_usec) >= 0;

        json_out_object(o, NULL);
        moment_out(o, item, "at_usec", "local_usec", due_usec);
        if (known)
                moment_out(o, item, "start_usec", "start_local_usec", start_usec);
        blackout_out(o, item, "blackout", due_usec);
        json_out_end_object(o);
}

/* The first n of what was found are but a number. */
static void missed_out(JsonOut *o, const Found *f, size_t n) {
        if (n == 0)
                return;
        json_out_object(o, "missed");
        json_out_u64(o, "from_usec", f->first_usec);
        json_out_u64(o, "until_usec", found_at(f, n - 1));
        json_out_u64(o, "count", n);
        json_out_end_object(o);
}

/* Where more is due than is looked at in one go, only what is no more than a number is told, and the rest is looked at next. */
static void times_out(JsonOut *o, const Item *item, uint64_t now_usec, const Found *f) {
        size_t missed = f->count > DUE_KEPT ? f->count - DUE_KEPT : 0;
        bool all = f->next_usec > now_usec;

        missed_out(o, f, missed);
        json_out_u64(o, "until_usec", all ? now_usec : found_at(f, missed - 1));
        json_out_known(o, "next_usec", all ? f->next_usec : found_at(f, missed));
        if (all && f->next_usec != UINT64_MAX)
                blackout_out(o, item, "next_blackout", f->next_usec);
        if (f->count > 0)
                json_out_u64(o, "last_usec", found_at(f, (all ? f->count : missed) - 1));
        json_out_array(o, "dues");
        for (size_t i = missed; all && i < f->count; i++)
                due_out(o, item, found_at(f, i), i > 0 ? found_at(f, i - 1) : item->last_usec);
        json_out_end_array(o);
}

/* Returns how many times were worked out. */
static size_t range_out(JsonOut *o, const Item *item) {
        uint64_t usec = item->after_usec, start_usec = 0;
        size_t n = 0;
        bool more = false;

        json_out_array(o, "dues");
        while (schedule_times_next(item->times, usec, &usec) >= 0 && usec <= item->until_usec) {
                more = n == DUE_BACKFILL_MAX;
                if (more)
                        break;
                due_out(o, item, usec, start_usec);
                start_usec = usec;
                n++;
        }
        json_out_end_array(o);
        json_out_bool(o, "more", more);
        return n;
}

/* The same. */
static size_t item_out(JsonOut *o, Item *item, uint64_t now_usec, Zones *z) {
        Found found = {};
        const char *zone = NULL;

        if (item->times && schedule_times_bind(item->times, zones_find, z, &zone) < 0)
                (void) error_set(&item->error, -EINVAL, "zone", "%s", zones_error(z, zone));
        json_out_object(o, NULL);
        json_out_text(o, "schedule", item->schedule);
        if (item->backfill)
                json_out_text(o, "backfill", item->backfill);
        else
                json_out_u64(o, "after_usec", item->after_usec);
        if (item->times && !zone && item->backfill) {
                found.count = range_out(o, item);
        } else if (item->times && !zone) {
                uint64_t until_usec = now_usec > item->after_usec ? now_usec : item->after_usec;

                find(item, until_usec, &found);
                times_out(o, item, until_usec, &found);
        } else {
                json_out_text(o, "error", error_text(&item->error, -EINVAL));
        }
        json_out_end_object(o);
        return found.count + 1;
}

int due_batch_work(DueBatch *b, Zones *z, char **ret) {
        JsonOut o = {};
        int r;

        if (b->next == b->items.count)
                return 0;
        json_out_array(&o, NULL);
        for (size_t work = 0; b->next < b->items.count && work < DUE_WORK_MAX; b->next++)
                work += item_out(&o, item_of(b, b->next), b->now_usec, z);
        json_out_end_array(&o);
        r = json_out_take(&o, ret);
        return r < 0 ? r : 1;
}
