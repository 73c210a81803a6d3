/* Several calendar events and lines of cron as one: the least of their next times. */
#include "schedule-times.h"

#include <errno.h>
#include <stdlib.h>

#include "calendar.h"
#include "cron.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"

#define SKIPPED_MAX 1000 /* counted at one transition */

typedef struct Expression {
        CalendarSpec *event; /* owned; NULL: it is the line of cron */
        Cron cron;
        char *zone_name;  /* owned */
        const Zone *zone; /* borrowed from who was asked for it */
} Expression;

/* Days on which what is due is skipped. */
typedef struct Blackout {
        CalendarSpec *days; /* owned */
        char *text;         /* owned */
} Blackout;

struct ScheduleTimes {
        Expression *expressions; /* owned */
        size_t count;
        Blackout *blackouts; /* owned */
        size_t blackout_count;
        char *time_zone;       /* owned; NULL: none was said */
        const Zone *home_zone; /* borrowed, as theirs; NULL: none was said */
};

ScheduleTimes *schedule_times_free(ScheduleTimes *t) {
        if (!t)
                return NULL;
        for (size_t i = 0; i < t->count; i++) {
                (void) calendar_free(t->expressions[i].event);
                free(t->expressions[i].zone_name);
        }
        for (size_t i = 0; i < t->blackout_count; i++) {
                (void) calendar_free(t->blackouts[i].days);
                free(t->blackouts[i].text);
        }
        free(t->expressions);
        free(t->blackouts);
        free(t->time_zone);
        free(t);
        return NULL;
}

static int add(ScheduleTimes *t, const char *event, const char *cron, Error *e) {
        Expression *x = &t->expressions[t->count++];
        const char *zone = NULL;
        size_t at;
        int r = event ? calendar_parse(event, &x->event, &at, e)
                      : cron_parse(cron, &x->cron, &at, e);

        if (r < 0)
                return r;
        if (event)
                zone = calendar_zone(x->event);
        if (!zone)
                zone = t->time_zone ? t->time_zone : zone_utc.name;
        return str_replace(&x->zone_name, zone);
}

static int add_blackout(ScheduleTimes *t, const char *text, Error *e) {
        Blackout *b = &t->blackouts[t->blackout_count++];
        size_t at;
        int r = calendar_parse(text, &b->days, &at, e);

        return r < 0 ? r : str_replace(&b->text, text);
}

int schedule_times_new(char *const *on_calendar, char *const *cron, char *const *blackouts,
                       const char *time_zone, ScheduleTimes **ret, Error *e) {
        _cleanup_(schedule_times_freep) ScheduleTimes *t = calloc(1, sizeof(*t));
        size_t n = strv_length(on_calendar) + strv_length(cron);
        int r;

        if (!t)
                return -ENOMEM;
        if (n == 0)
                return error_set(e, -EINVAL, "no-time", "A schedule needs an expression.");
        t->expressions = calloc(n, sizeof(*t->expressions));
        t->blackouts = calloc(strv_length(blackouts) + 1, sizeof(*t->blackouts));
        r = t->expressions && t->blackouts ? str_replace(&t->time_zone, time_zone) : -ENOMEM;
        STRV_FOREACH(x, on_calendar)
                r = r < 0 ? r : add(t, *x, NULL, e);
        STRV_FOREACH(x, cron)
                r = r < 0 ? r : add(t, NULL, *x, e);
        STRV_FOREACH(x, blackouts)
                r = r < 0 ? r : add_blackout(t, *x, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

const char *schedule_times_zone(const ScheduleTimes *t, size_t i) {
        return i < t->count ? t->expressions[i].zone_name : i == t->count ? t->time_zone : NULL;
}

static const Zone *find_zone(const char *name, zone_find_t find, void *userdata) {
        return str_eq(name, zone_utc.name) ? &zone_utc : find(name, userdata);
}

int schedule_times_bind(ScheduleTimes *t, zone_find_t find, void *userdata, const char **ret_name) {
        const char *name;

        for (size_t i = 0; (name = schedule_times_zone(t, i)); i++) {
                const Zone *zone = find_zone(name, find, userdata);

                if (!zone) {
                        *ret_name = name;
                        return -ENOENT;
                }
                if (i < t->count)
                        t->expressions[i].zone = zone;
                else
                        t->home_zone = zone;
        }
        return 0;
}

const Zone *schedule_times_home(const ScheduleTimes *t) {
        return t->home_zone ? t->home_zone : t->expressions[0].zone;
}

static int next_of(const Expression *x, const Zone *zone, uint64_t after_usec, uint64_t *ret_usec) {
        return x->event ? calendar_next(x->event, zone, after_usec, ret_usec)
                        : cron_next(&x->cron, zone, after_usec, ret_usec);
}

int schedule_times_next(const ScheduleTimes *t, uint64_t after_usec, uint64_t *ret_usec) {
        uint64_t least = UINT64_MAX, usec;

        for (size_t i = 0; i < t->count; i++)
                if (next_of(&t->expressions[i], t->expressions[i].zone, after_usec, &usec) >= 0 &&
                    usec < least)
                        least = usec;
        if (least == UINT64_MAX)
                return -ENOENT;
        *ret_usec = least;
        return 0;
}

/* Goes back in steps that double until something is due in between, and then halves the way to the last of it. */
int schedule_times_previous(const ScheduleTimes *t, uint64_t before_usec, uint64_t *ret_usec) {
        uint64_t step = USEC_PER_SEC, low, high = before_usec, found, usec;

        do {
                low = step < before_usec ? before_usec - step : 0;
                step *= 2;
                if (schedule_times_next(t, low, &found) < 0)
                        found = before_usec;
        } while (found >= before_usec && low > 0);
        if (found >= before_usec)
                return -ENOENT;
        /* Due at found; and nothing of it is after high. */
        while (found < high - 1) {
                uint64_t middle = found + (high - found) / 2;

                if (schedule_times_next(t, middle - 1, &usec) >= 0 && usec < before_usec)
                        found = usec;
                else
                        high = middle;
        }
        *ret_usec = found;
        return 0;
}

/* Local times that are due in a span that the clocks leave out. */
static unsigned count_skipped(const Expression *x, int64_t from, int64_t until) {
        uint64_t local = (uint64_t) from - 1;
        unsigned n = 0;

        while (n < SKIPPED_MAX && next_of(x, &zone_utc, local, &local) >= 0 &&
               local < (uint64_t) until)
                n++;
        return n;
}

DueMark schedule_times_mark(const ScheduleTimes *t, uint64_t due_usec) {
        DueMark mark = {};

        for (size_t i = 0; i < t->count; i++) {
                const Expression *x = &t->expressions[i];
                int64_t from, until;
                uint64_t usec;

                if (next_of(x, x->zone, due_usec - 1, &usec) < 0 || usec != due_usec)
                        continue;
                if (zone_gap(x->zone, (int64_t) due_usec, &from, &until)) {
                        mark.skipped += count_skipped(x, from, until);
                        mark.as_well |= next_of(x, &zone_utc, (uint64_t) until - 1, &usec) >= 0 &&
                                        usec == (uint64_t) until;
                }
                mark.repeated |= zone_repeats(x->zone, (int64_t) due_usec);
        }
        return mark;
}

/* A day is the moment at which it begins, on clocks that are never changed. */
const char *schedule_times_blackout(const ScheduleTimes *t, uint64_t due_usec) {
        int64_t offset_sec = zone_offset_sec(schedule_times_home(t), (int64_t) due_usec);
        uint64_t local_usec = due_usec + (uint64_t) (offset_sec * (int64_t) USEC_PER_SEC);
        uint64_t day_usec = local_usec - local_usec % USEC_PER_DAY, usec;

        for (size_t i = 0; i < t->blackout_count; i++)
                if (calendar_next(t->blackouts[i].days, &zone_utc, day_usec - 1, &usec) >= 0 &&
                    usec == day_usec)
                        return t->blackouts[i].text;
        return NULL;
}
