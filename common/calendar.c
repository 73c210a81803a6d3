/* A calendar event in memory: its fields in normal form, and the bit masks that are made of them for the search. Which values a field
 * may have, and which steps, is systemd's choice, down to those that seem odd: whoever knows what `systemd-analyze calendar` takes
 * and makes of it knows what this does. tests/calendar/oracle compares both. */
#include "calendar-internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* No day is more than 28 before the end of its month, so that it exists in each. */
#define FROM_END_MAX 28

static const struct {
        const char *name;
        int32_t min, max;
} ranges[_CALENDAR_FIELD_MAX] = {
        [CALENDAR_YEAR] = { "year", DUE_YEAR_MIN, DUE_YEAR_MAX },
        [CALENDAR_MONTH] = { "month", 1, 12 },
        [CALENDAR_DAY] = { "day", 1, 31 },
        [CALENDAR_HOUR] = { "hour", 0, 23 },
        [CALENDAR_MINUTE] = { "minute", 0, 59 },
        [CALENDAR_SECOND] = { "second", 0, 60 * USEC_PER_SEC - 1 },
};

CalendarSpec *calendar_free(CalendarSpec *c) {
        if (!c)
                return NULL;
        for (size_t i = 0; i < _CALENDAR_FIELD_MAX; i++)
                free(c->fields[i].terms);
        free(c->zone);
        free(c);
        return NULL;
}

const char *calendar_zone(const CalendarSpec *c) {
        return c->zone;
}

int calendar_next(const CalendarSpec *c, const Zone *z, uint64_t after_usec, uint64_t *ret_usec) {
        return due_next(&c->pattern, z, after_usec, ret_usec);
}

/* 12 is 2012, 89 is 1989. */
static int32_t year_complete(int32_t year) {
        if (year < 0 || year >= 100)
                return year;
        return year + (year < 70 ? 2000 : 1900);
}

static int term_compare(const void *a, const void *b) {
        const DueTerm *x = a, *y = b;

        if (x->start != y->start)
                return x->start < y->start ? -1 : 1;
        if (x->stop != y->stop)
                return x->stop < y->stop ? -1 : 1;
        return (x->repeat > y->repeat) - (x->repeat < y->repeat);
}

/* Ends a range at a value that it has; what is left with one value is no range. */
static void term_normalize(DueTerm *t) {
        if (t->stop > t->start && t->repeat > 0)
                t->stop -= (t->stop - t->start) % t->repeat;
        if (t->stop == t->start) {
                t->stop = -1;
                t->repeat = 0;
        }
}

static int refuse(const DueTerm *t, size_t *ret_at, Error *e, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));

static int refuse(const DueTerm *t, size_t *ret_at, Error *e, const char *fmt, ...) {
        char words[128];
        va_list ap;

        va_start(ap, fmt);
        (void) vsnprintf(words, sizeof(words), fmt, ap);
        va_end(ap);
        *ret_at = t->at;
        return error_set(e, -EINVAL, "bad-calendar", "%s", words);
}

/* systemd's rules: within the field, forwards, and a step must be taken at least once. */
static int term_check(const DueTerm *t, CalendarField f, bool from_end, size_t *ret_at, Error *e) {
        int32_t min = ranges[f].min, max = from_end ? FROM_END_MAX : ranges[f].max;
        int32_t unit = f == CALENDAR_SECOND ? USEC_PER_SEC : 1;

        if (t->start < min || t->start > max || t->stop > max || (t->stop >= 0 && t->stop < min))
                return refuse(t, ret_at, e, "the %s is not in the range %d to %d", ranges[f].name,
                              min, max / unit);
        if (t->stop >= 0 && t->stop < t->start)
                return refuse(t, ret_at, e, "the range of the %s goes backwards", ranges[f].name);
        if (t->repeat > max - min || (t->stop < 0 && !from_end && t->start + t->repeat > max) ||
            (t->stop < 0 && from_end && t->start - t->repeat < min))
                return refuse(t, ret_at, e,
                              "the step behind / leaves the %s before it matches a second time",
                              ranges[f].name);
        return 0;
}

static void chain_sort(CalendarChain *chain) {
        size_t kept = 0;

        if (chain->count == 0)
                return;
        qsort(chain->terms, chain->count, sizeof(*chain->terms), term_compare);
        for (size_t i = 0; i < chain->count; i++)
                if (kept == 0 || term_compare(&chain->terms[kept - 1], &chain->terms[i]) != 0)
                        chain->terms[kept++] = chain->terms[i];
        chain->count = kept;
}

/* Sets the bit of each value of a field, counted from this one. */
static void chain_bits(const CalendarChain *chain, int32_t from, int32_t max, uint64_t *bits) {
        const DueTerm any = { .start = from, .stop = -1, .repeat = 1 };

        for (size_t i = 0; i < (chain->count ? chain->count : 1); i++) {
                const DueTerm *t = chain->count ? &chain->terms[i] : &any;
                int32_t last = t->repeat == 0 ? t->start : t->stop >= 0 ? t->stop : max;

                for (int32_t v = t->start; v <= last; v += t->repeat ? t->repeat : 1)
                        bits[(v - from) / 64] |= 1ULL << (v - from) % 64;
        }
}

/* The days of a month of this length. From its end, a range begins with its last value, and the step goes on to the end. */
static uint32_t days_of_month(const CalendarSpec *c, int32_t length) {
        const CalendarChain *chain = &c->fields[CALENDAR_DAY];
        uint64_t bits = 0;

        if (!c->from_end || chain->count == 0) {
                chain_bits(chain, 0, length, &bits);
                return (uint32_t) bits;
        }
        for (size_t i = 0; i < chain->count; i++) {
                DueTerm t = chain->terms[i];
                CalendarChain one = { .terms = &t, .count = 1 };

                if (t.stop >= 0)
                        t = (DueTerm){ length + 1 - t.stop, length + 1 - t.start, t.repeat, t.at };
                else
                        t.start = length + 1 - t.start;
                chain_bits(&one, 0, length, &bits);
        }
        return (uint32_t) bits;
}

static void pattern_make(CalendarSpec *c) {
        DuePattern *p = &c->pattern;
        uint64_t months = 0, hours = 0;

        chain_bits(&c->fields[CALENDAR_YEAR], DUE_YEAR_MIN, DUE_YEAR_MAX, p->years);
        chain_bits(&c->fields[CALENDAR_MONTH], 0, 12, &months);
        chain_bits(&c->fields[CALENDAR_HOUR], 0, 23, &hours);
        chain_bits(&c->fields[CALENDAR_MINUTE], 0, 59, &p->minutes);
        for (int32_t length = 28; length <= 31; length++)
                p->days[length - 28] = days_of_month(c, length);
        p->months = (uint16_t) months;
        p->hours = (uint32_t) hours;
        p->weekdays = c->weekdays ? c->weekdays : DUE_WEEKDAYS_ALL;
        p->seconds = c->fields[CALENDAR_SECOND].terms;
        p->seconds_count = c->fields[CALENDAR_SECOND].count;
}

int calendar_normalize(CalendarSpec *c, size_t *ret_at, Error *e) {
        if (c->weekdays == DUE_WEEKDAYS_ALL)
                c->weekdays = 0;
        if (c->fields[CALENDAR_DAY].count == 0)
                c->from_end = false;
        for (CalendarField f = 0; f < _CALENDAR_FIELD_MAX; f++) {
                CalendarChain *chain = &c->fields[f];

                for (size_t i = 0; i < chain->count; i++) {
                        DueTerm *t = &chain->terms[i];
                        int r;

                        if (f == CALENDAR_YEAR) {
                                t->start = year_complete(t->start);
                                t->stop = year_complete(t->stop);
                        }
                        term_normalize(t);
                        r = term_check(t, f, f == CALENDAR_DAY && c->from_end, ret_at, e);
                        if (r < 0)
                                return r;
                }
                chain_sort(chain);
        }
        pattern_make(c);
        return 0;
}
