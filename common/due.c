/* The next match of a pattern. Dates are looked up a month at a time in bit masks, so a date that never comes costs one mask for
 * each month up to the last year. Everything here is local time; what instant that is, and what of it is skipped or repeated, is
 * zone.c's alone: due are the first instants at which the clocks have reached a matching local time (docs/schedules.md). */
#include "due.h"

#include <errno.h>

#include "timespan.h"

#define DAYS_PER_ERA 146097  /* of the Gregorian calendar: 400 years */
#define DAYS_TO_EPOCH 719468 /* from 0000-03-01 to 1970-01-01 */
/* After the last local time of DUE_YEAR_MAX in every zone: 2200-01-03. */
#define AFTER_USEC_MAX (7258291200ULL * USEC_PER_SEC)

typedef struct Date {
        int year, month, day;
} Date;

static int64_t floor_div(int64_t a, int64_t b) {
        return a / b - (a % b < 0);
}

/* Years are counted from March here, so that the leap day is a year's last. */
static int64_t days_of_date(int year, int month, int day) {
        int64_t y = month > 2 ? year : year - 1;
        int64_t era = floor_div(y, 400), of_era = y - era * 400;
        int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

        return era * DAYS_PER_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year -
               DAYS_TO_EPOCH;
}

static Date date_of_days(int64_t days) {
        int64_t from_march = days + DAYS_TO_EPOCH, era = floor_div(from_march, DAYS_PER_ERA);
        int64_t rest = from_march - era * DAYS_PER_ERA;
        int64_t year = (rest - rest / 1460 + rest / 36524 - rest / 146096) / 365;
        int64_t of_year = rest - (365 * year + year / 4 - year / 100);
        int64_t month = (5 * of_year + 2) / 153;
        Date d = {
                .year = (int) (year + era * 400 + (month >= 10)),
                .month = (int) (month < 10 ? month + 3 : month - 9),
                .day = (int) (of_year - (153 * month + 2) / 5 + 1),
        };

        return d;
}

static int month_length(int year, int month) {
        static const uint8_t lengths[] = { 0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

        return lengths[month] + (month == 2 && leap);
}

static bool year_matches(const DuePattern *p, int year) {
        int n = year - DUE_YEAR_MIN;

        return n >= 0 && year <= DUE_YEAR_MAX && (p->years[n / 64] >> n % 64 & 1);
}

/* The matching days of a month that begins at this day since the epoch: bit n for day n. */
static uint32_t month_days(const DuePattern *p, int length, int64_t begin) {
        int weekday =
                (int) (begin + 3 - floor_div(begin + 3, 7) * 7); /* the epoch was a Thursday */
        uint64_t week = p->weekdays, weeks = 0;
        uint32_t by_weekday, by_date = p->days[length - 28];
        uint32_t all = (uint32_t) ((1ULL << (length + 1)) - 2);

        for (int i = 0; i < 6; i++)
                weeks |= week << 7 * i;
        by_weekday = (uint32_t) (weeks >> weekday << 1);
        return (p->either ? by_date | by_weekday : by_date & by_weekday) & all;
}

/* The first matching day from this one on, in days since the epoch. */
static int day_next(const DuePattern *p, int64_t from, int64_t *ret) {
        Date d = date_of_days(from);

        for (; d.year <= DUE_YEAR_MAX; d.year++, d.month = 1, d.day = 1) {
                if (!year_matches(p, d.year))
                        continue;
                for (; d.month <= 12; d.month++, d.day = 1) {
                        int64_t begin;
                        uint32_t days;

                        if (!(p->months >> d.month & 1))
                                continue;
                        begin = days_of_date(d.year, d.month, 1);
                        days = month_days(p, month_length(d.year, d.month), begin) &
                               (UINT32_MAX << d.day);
                        if (days) {
                                *ret = begin + __builtin_ctz(days) - 1;
                                return 0;
                        }
                }
        }
        return -ENOENT;
}

/* The first microsecond of a minute that matches, from this one on; -1 when none does. */
static int64_t second_next(const DuePattern *p, int64_t from) {
        int64_t best = -1;

        for (size_t i = 0; i < p->seconds_count; i++) {
                const DueTerm *t = &p->seconds[i];
                int64_t found = t->start, last = t->stop >= 0 ? t->stop : 60000000 - 1;

                if (found < from) {
                        if (t->repeat == 0)
                                continue;
                        found += (from - found + t->repeat - 1) / t->repeat * t->repeat;
                        if (found > last)
                                continue;
                }
                if (best < 0 || found < best)
                        best = found;
        }
        return best;
}

/* The first bit from this one on; -1 when there is none. */
static int bit_next(uint64_t bits, int from) {
        uint64_t rest = from < 64 ? bits >> from << from : 0;

        return rest ? __builtin_ctzll(rest) : -1;
}

/* The first matching microsecond of a day, from this one on; -1 when none does. */
static int64_t time_next(const DuePattern *p, int64_t from) {
        int hour = (int) (from / (int64_t) USEC_PER_HOUR);
        int minute = (int) (from / (int64_t) USEC_PER_MINUTE % 60);
        int64_t second = -1;

        if (!(p->hours >> hour & 1)) {
                minute = 60;
        } else if (p->minutes >> minute & 1) {
                second = second_next(p, from % (int64_t) USEC_PER_MINUTE);
                if (second < 0)
                        minute++;
        }
        if (second < 0) {
                second = second_next(p, 0);
                minute = bit_next(p->minutes, minute);
        }
        if (minute < 0) {
                minute = bit_next(p->minutes, 0);
                hour = bit_next(p->hours, hour + 1);
        }
        if (hour < 0)
                return -1;
        return hour * (int64_t) USEC_PER_HOUR + minute * (int64_t) USEC_PER_MINUTE + second;
}

/* The first matching local time from this one on. */
static int local_next(const DuePattern *p, int64_t from, int64_t *ret) {
        int64_t today = floor_div(from, (int64_t) USEC_PER_DAY), day, time;
        int r = day_next(p, today, &day);

        if (r < 0)
                return r;
        time = time_next(p, day == today ? from - today * (int64_t) USEC_PER_DAY : 0);
        if (time < 0) {
                r = day_next(p, today + 1, &day);
                if (r < 0)
                        return r;
                time = time_next(p, 0);
        }
        *ret = day * (int64_t) USEC_PER_DAY + time;
        return 0;
}

int due_next(const DuePattern *p, const Zone *z, uint64_t after_usec, uint64_t *ret_usec) {
        int64_t local;
        int r;

        if (after_usec >= AFTER_USEC_MAX)
                return -ENOENT;
        r = local_next(p, zone_local_reached(z, (int64_t) after_usec) + 1, &local);
        if (r < 0)
                return r;
        *ret_usec = (uint64_t) zone_first_instant(z, local);
        return 0;
}
