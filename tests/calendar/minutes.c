/* Walks through time minute by minute on the clocks of a zone, as libc has them, and notes in which minutes an expression of cron is
 * due: the slowest and plainest reading of crontab(5) and docs/schedules.md, which shares nothing with common/cron.c and common/due.c.
 * Expressions are made at random, as the sets that they mean, so nothing is parsed here. What cron_next() says must be the same.
 *
 *   minutes [EXPRESSIONS [SEED]]            from 2015 to 2045, in some zones; TAP
 *   minutes nights EXPRESSIONS SEED <FILE   around each transition of zones, lines of name, tab and table; says what differs */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/tap.h"
#include "cleanup.h"
#include "cron.h"
#include "timespan.h"

#define BEGIN 1420070400LL /* 2015-01-01 */
#define END 2398377600LL   /* 2046-01-01 */
#define NIGHT_SEC (36 * 3600)
#define LATER_SEC (20 * 60) /* within what is repeated, perhaps */
#define EXPRESSIONS_MAX 64  /* a bit each */
#define FIELDS 5
/* In 2015 and later the clocks of all zones change at quarters of an hour. */
#define QUARTER_SEC (15 * 60)

enum {
        MINUTE,
        HOUR,
        DAY,
        MONTH,
        WEEKDAY
};

typedef struct Spot {
        char text[256];
        Cron cron;
        uint64_t next_usec; /* what cron_next() says comes next; UINT64_MAX: nothing */
        unsigned wrong;
} Spot;

/* Which of the expressions have a value in a field, a bit for each. */
typedef struct Sets {
        uint64_t values[FIELDS][60];
        uint64_t star[FIELDS]; /* begins with one */
} Sets;

typedef struct Spots {
        Spot spot[EXPRESSIONS_MAX];
        Sets sets;
        unsigned count;
} Spots;

static uint64_t seed = 1;

/* Knuth's MMIX generator: the same everywhere. */
static unsigned random_below(unsigned n) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        return (unsigned) (seed >> 33) % n;
}

static void add_span(Spots *spots, unsigned i, int f, unsigned first, unsigned last,
                     unsigned step) {
        for (unsigned v = first; v <= last; v += step)
                spots->sets.values[f][f == WEEKDAY ? v % 7 : v] |= 1ULL << i;
}

/* One element of a list, and its text. */
static void make_element(Spots *spots, unsigned i, int f, unsigned min, unsigned max,
                         char text[32]) {
        static const char *const months[] = { "",    "jan", "Feb", "mar", "APR", "may", "jun",
                                              "jul", "aug", "sep", "oct", "nov", "dec" };
        static const char *const days[] = { "sun", "mon", "Tue", "wed", "thu", "FRI", "sat", "7" };
        const char *const *names = f == MONTH ? months : f == WEEKDAY ? days : NULL;
        unsigned first = min + random_below(max - min + 1);
        unsigned last = first + random_below(max - first + 1), step = 1 + random_below(max / 2);

        switch (random_below(names ? 5 : 3)) {
        case 0:
                (void) snprintf(text, 32, "%u-%u", first, last);
                add_span(spots, i, f, first, last, 1);
                break;
        case 1:
                (void) snprintf(text, 32, "%u-%u/%u", first, last, step);
                add_span(spots, i, f, first, last, step);
                break;
        case 3:
                (void) snprintf(text, 32, "%s-%s", names[first], names[last]);
                add_span(spots, i, f, first, last, 1);
                break;
        case 4:
                (void) snprintf(text, 32, "%s", names[first]);
                add_span(spots, i, f, first, first, 1);
                break;
        default:
                (void) snprintf(text, 32, "%u", first);
                add_span(spots, i, f, first, first, 1);
        }
}

static void make_field(Spots *spots, unsigned i, int f, unsigned min, unsigned max,
                       unsigned stars) {
        char *whole = spots->spot[i].text;
        unsigned step = 1 + random_below(max / 2), elements = 1 + random_below(2);
        char text[32];

        if (f > MINUTE)
                (void) strcat(whole, " ");
        if (random_below(100) < stars) {
                bool plain = random_below(3) > 0;

                (void) snprintf(text, sizeof(text), plain ? "*" : "*/%u", step);
                (void) strcat(whole, text);
                spots->sets.star[f] |= 1ULL << i;
                add_span(spots, i, f, min, max, plain ? 1 : step);
                return;
        }
        while (elements-- > 0) {
                make_element(spots, i, f, min, max, text);
                (void) strcat(strcat(whole, text), elements > 0 ? "," : "");
        }
}

static Spots *make_spots(unsigned count) {
        Spots *spots = calloc(1, sizeof(*spots));

        for (unsigned i = 0; spots && i < count; i++) {
                size_t at;
                Error e = {};

                make_field(spots, i, MINUTE, 0, 59, 5);
                make_field(spots, i, HOUR, 0, 23, 30);
                make_field(spots, i, DAY, 1, 31, 60);
                make_field(spots, i, MONTH, 1, 12, 70);
                make_field(spots, i, WEEKDAY, 0, 7, 60);
                if (cron_parse(spots->spot[i].text, &spots->spot[i].cron, &at, &e) < 0) {
                        printf("Bail out! %s: %s\n", spots->spot[i].text, e.detail);
                        exit(EXIT_FAILURE);
                }
                spots->count++;
        }
        return spots;
}

/* The expressions that match a minute of this date. */
static uint64_t matching(const Sets *s, const struct tm *date, int64_t minute) {
        uint64_t by_date = s->values[DAY][date->tm_mday];
        uint64_t by_weekday = s->values[WEEKDAY][date->tm_wday];
        uint64_t both = s->star[DAY] | s->star[WEEKDAY];

        return s->values[MINUTE][minute % 60] & s->values[HOUR][minute / 60] &
               s->values[MONTH][date->tm_mon + 1] &
               ((both & by_date & by_weekday) | (~both & (by_date | by_weekday)));
}

static void complain(Spot *s, const char *zone, int64_t second, const char *what) {
        if (s->wrong++ == 0)
                printf("# %s in %s: %s %lld, and cron_next() says %lld\n", s->text, zone, what,
                       (long long) second, (long long) (s->next_usec / USEC_PER_SEC));
}

/* Due now; cron_next() must have said so. */
static void note_due(Spot *s, const Zone *z, int64_t second) {
        uint64_t usec = (uint64_t) second * USEC_PER_SEC;

        if (s->next_usec != usec)
                complain(s, z->name, second, "due at");
        if (cron_next(&s->cron, z, usec, &s->next_usec) < 0)
                s->next_usec = UINT64_MAX;
}

static int64_t offset_at(int64_t second) {
        time_t t = second;
        struct tm tm;

        (void) localtime_r(&t, &tm);
        if (tm.tm_gmtoff % 60 != 0)
                abort();
        return tm.tm_gmtoff;
}

static uint64_t matching_wall(const Sets *sets, int64_t wall) {
        static struct tm date;
        static int64_t day = -1;

        if (wall / 1440 != day) {
                time_t t = wall * 60;

                day = wall / 1440;
                (void) gmtime_r(&t, &date);
        }
        return matching(sets, &date, wall % 1440);
}

/* The latest minute that the clocks have shown in the day before an instant, and at it. */
static int64_t latest_shown(int64_t second) {
        int64_t begin = second - 24 * 3600, offset = offset_at(begin), latest = INT64_MIN;

        for (int64_t s = begin; s <= second; s += 60) {
                int64_t wall;

                if (s % QUARTER_SEC == 0)
                        offset = offset_at(s);
                wall = (s + offset) / 60;
                if (wall > latest)
                        latest = wall;
        }
        return latest;
}

/* The minutes that the clocks reach with an instant are those behind the latest that they have shown: one, none in a repeated hour,
 * many when some are skipped. */
static void walk(Spots *spots, const Zone *z, int64_t begin, int64_t end) {
        int64_t offset = offset_at(begin), reached = latest_shown(begin);

        for (Spot *s = spots->spot; s < spots->spot + spots->count; s++)
                if (cron_next(&s->cron, z, (uint64_t) begin * USEC_PER_SEC, &s->next_usec) < 0)
                        s->next_usec = UINT64_MAX;
        for (int64_t second = begin + 60; second < end; second += 60) {
                uint64_t due = 0;

                if (second % QUARTER_SEC == 0)
                        offset = offset_at(second);
                while (reached < (second + offset) / 60)
                        due |= matching_wall(&spots->sets, ++reached);
                for (; due; due &= due - 1)
                        note_due(&spots->spot[__builtin_ctzll(due)], z, second);
        }
        for (Spot *s = spots->spot; s < spots->spot + spots->count; s++)
                if (s->next_usec < (uint64_t) end * USEC_PER_SEC)
                        complain(s, z->name, end, "nothing more until");
}

static void use_zone(const char *name) {
        (void) setenv("TZ", name, 1);
        tzset();
}

/* The zone as libc knows it, looked at each quarter of an hour. */
static int read_zone(const char *name, Zone **ret) {
        char json[16384];
        int64_t offset = offset_at(BEGIN);
        int n = snprintf(json, sizeof(json), "[[%lld,%lld]", BEGIN, (long long) offset);

        for (int64_t second = BEGIN; second < END; second += QUARTER_SEC) {
                if (offset_at(second) == offset)
                        continue;
                offset = offset_at(second);
                n += snprintf(json + n, sizeof(json) - (size_t) n, ",[%lld,%lld]",
                              (long long) second, (long long) offset);
        }
        (void) strcat(json, "]");
        return zone_from_json(name, json, strlen(json), ret, NULL);
}

static unsigned wrong_of(const Spots *spots) {
        unsigned wrong = 0;

        for (unsigned i = 0; i < spots->count; i++)
                wrong += spots->spot[i].wrong;
        return wrong;
}

static int test_years(unsigned count) {
        static const char *const names[] = { "UTC", "Europe/London", "Australia/Lord_Howe" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_(freep) Spots *spots = make_spots(count);
                _cleanup_(zone_freep) Zone *z = NULL;

                use_zone(names[i]);
                if (!spots || read_zone(names[i], &z) < 0)
                        return EXIT_FAILURE;
                walk(spots, z, BEGIN, END);
                printf("# %u expressions in %s\n", count, names[i]);
                ok_int(wrong_of(spots), 0);
        }
        return tap_done();
}

static int test_nights(unsigned count) {
        _cleanup_(freep) char *line = NULL;
        _cleanup_(freep) Spots *spots = make_spots(count);
        size_t allocated = 0;

        while (spots && getline(&line, &allocated, stdin) > 0) {
                char *json = line, *name = strsep(&json, "\t\n");
                _cleanup_(zone_freep) Zone *z = NULL;
                Error e = {};

                use_zone(name);
                if (zone_from_json(name, json, strlen(json), &z, &e) < 0) {
                        printf("# %s: %s\n", name, e.detail);
                        return EXIT_FAILURE;
                }
                for (size_t i = 1; i < z->count; i++) {
                        int64_t at = z->transitions[i].utc_usec / (int64_t) USEC_PER_SEC;

                        at -= at % 60;
                        walk(spots, z, at - NIGHT_SEC, at + NIGHT_SEC);
                        walk(spots, z, at + LATER_SEC, at + NIGHT_SEC);
                }
        }
        return !spots || wrong_of(spots) > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char *argv[]) {
        bool nights = argc > 1 && strcmp(argv[1], "nights") == 0;
        int first = nights ? 2 : 1;
        unsigned count = argc > first ? (unsigned) atoi(argv[first]) : 40;

        seed = argc > first + 1 ? (uint64_t) atoll(argv[first + 1]) : 1;
        if (count < 1 || count > EXPRESSIONS_MAX)
                return EXIT_FAILURE;
        return nights ? test_nights(count) : test_years(count);
}
