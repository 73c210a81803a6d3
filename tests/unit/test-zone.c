/* Time zones: what is taken for a table of transitions, and the rules of docs/schedules.md for local times that the clocks skip or
 * show twice. More, for all zones there are, is in tests/calendar/. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../lib/tap.h"
#include "calendar.h"
#include "cron.h"
#include "timespan.h"

/* London in 2024: summer time from 31 March 01:00 UTC to 27 October 01:00 UTC. */
#define LONDON "[[1420070400,0],[1711846800,3600],[1729990800,0],[1743296400,3600]]"
/* Apia at the end of 2011: a whole day, 30 December, is skipped. */
#define APIA "[[1300000000,-36000],[1325239200,50400]]"
/* Lord Howe in April 2024: half an hour is repeated, 02:00 to 01:30. */
#define LORD_HOWE "[[1690000000,39600],[1712415600,37800]]"
/* Made up: an hour is skipped, and skipped again half an hour later. */
#define TWICE "[[1700000000,0],[1711846800,3600],[1711848600,7200]]"

static uint64_t at(const char *text) {
        struct tm tm = {};

        (void) strptime(text, "%Y-%m-%d %H:%M", &tm);
        return (uint64_t) timegm(&tm) * USEC_PER_SEC;
}

/* The due times (UTC, hours and minutes) between two instants in this zone. */
static const char *due(const char *expression, const char *zone, const char *from,
                       const char *until) {
        static char text[1024];
        _cleanup_(calendar_freep) CalendarSpec *c = NULL;
        _cleanup_(zone_freep) Zone *z = NULL;
        bool is_cron = expression[0] == '=';
        uint64_t usec = at(from);
        size_t byte, used = 0;
        Cron cron;
        Error e = {};

        text[0] = '\0';
        if (zone_from_json("z", zone, strlen(zone), &z, &e) < 0 ||
            (is_cron ? cron_parse(expression + 1, &cron, &byte, &e)
                     : calendar_parse(expression, &c, &byte, &e)) < 0) {
                (void) snprintf(text, sizeof(text), "%s", e.detail);
                return text;
        }
        while ((is_cron ? cron_next(&cron, z, usec, &usec) : calendar_next(c, z, usec, &usec)) >=
                       0 &&
               usec < at(until) && used + 16 < sizeof(text)) {
                time_t t = (time_t) (usec / USEC_PER_SEC);
                struct tm tm;

                used += strftime(text + used, sizeof(text) - used, used ? " %R" : "%R",
                                 gmtime_r(&t, &tm));
        }
        return text;
}

/* Rule: a skipped local time is due once, at the first instant behind the gap. */
static void test_skipped(void) {
        static const char day[] = "2024-03-31 00:00", noon[] = "2024-03-31 12:00";

        ok_str(due("01:30", LONDON, day, noon), "01:00");
        ok_str(due("=30 1 * * *", LONDON, day, noon), "01:00");
        ok_str(due("01:00", LONDON, day, noon), "01:00");
        ok_str(due("02:00", LONDON, day, noon), "01:00");
        ok_str(due("00:59", LONDON, day, noon), "00:59");
        /* All that are skipped are one, and one with what is due at that instant anyway. */
        ok_str(due("0..2:0/20", LONDON, day, noon), "00:20 00:40 01:00 01:20 01:40");
        ok_str(due("=*/20 0-2 * * *", LONDON, day, noon), "00:20 00:40 01:00 01:20 01:40");
        ok_str(due("01:10,50", LONDON, day, noon), "01:00");
        ok_str(due("*:10", LONDON, day, "2024-03-31 03:00"), "00:10 01:00 01:10 02:10");
        /* A day that does not exist at all. */
        ok_str(due("*-12-30 08:00", APIA, "2011-12-01 00:00", "2012-01-10 00:00"), "10:00");
        ok_str(due("*-12-30 *:00", APIA, "2011-12-01 00:00", "2012-01-10 00:00"), "10:00");
        ok_str(due("08:00", APIA, "2011-12-29 00:00", "2012-01-01 00:00"),
               "18:00 10:00 18:00 18:00");
        ok_str(due("01:15", TWICE, "2024-03-31 00:00", "2024-03-31 12:00"), "01:00");
        ok_str(due("02:45", TWICE, "2024-03-31 00:00", "2024-03-31 12:00"), "01:30");
}

/* Rule: a repeated local time is due at its first occurrence only. */
static void test_repeated(void) {
        static const char day[] = "2024-10-26 23:00", noon[] = "2024-10-27 12:00";

        ok_str(due("01:30", LONDON, day, noon), "00:30");
        ok_str(due("=30 1 * * *", LONDON, day, noon), "00:30");
        ok_str(due("01:00", LONDON, day, noon), "00:00");
        ok_str(due("02:00", LONDON, day, noon), "02:00");
        ok_str(due("00..2:0/30", LONDON, day, noon), "23:30 00:00 00:30 02:00 02:30");
        ok_str(due("*:0/30", LONDON, day, "2024-10-27 03:00"), "23:30 00:00 00:30 02:00 02:30");
        ok_str(due("hourly", LONDON, day, "2024-10-27 04:00"), "00:00 02:00 03:00");
        ok_str(due("=*/30 * * * *", LONDON, day, "2024-10-27 03:00"),
               "23:30 00:00 00:30 02:00 02:30");
        /* Asked in the second pass, the first one counts. */
        ok_str(due("01:30", LONDON, "2024-10-27 01:10", noon), "");
        ok_str(due("*:0/30", LONDON, "2024-10-27 01:10", "2024-10-27 02:40"), "02:00 02:30");
        ok_str(due("1..2:0/10", LORD_HOWE, "2024-04-06 14:25", "2024-04-06 15:50"),
               "14:30 14:40 14:50 15:30 15:40");
}

/* Microseconds at the edges of both. */
static void test_edges(void) {
        _cleanup_(zone_freep) Zone *z = NULL;
        int64_t gap = 1711846800 * (int64_t) USEC_PER_SEC;
        int64_t fold = 1729990800 * (int64_t) USEC_PER_SEC, hour = USEC_PER_HOUR;

        ok_int(zone_from_json("Europe/London", LONDON, strlen(LONDON), &z, NULL), 0);
        ok_str(z->name, "Europe/London");
        ok_int(zone_first_instant(z, gap - 1), gap - 1);
        ok_int(zone_first_instant(z, gap), gap);
        ok_int(zone_first_instant(z, gap + hour - 1), gap);
        ok_int(zone_first_instant(z, gap + hour), gap);
        ok_int(zone_first_instant(z, gap + hour + 1), gap + 1);
        ok_int(zone_first_instant(z, fold), fold - hour);
        ok_int(zone_first_instant(z, fold + hour - 1), fold - 1);
        ok_int(zone_first_instant(z, fold + hour), fold + hour);
        ok_int(zone_local_reached(z, gap - 1), gap - 1);
        ok_int(zone_local_reached(z, gap), gap + hour);
        ok_int(zone_local_reached(z, fold - 1), fold + hour - 1);
        ok_int(zone_local_reached(z, fold), fold + hour - 1);
        ok_int(zone_local_reached(z, fold + hour - 1), fold + hour - 1);
        ok_int(zone_local_reached(z, fold + hour), fold + hour);
        /* Before the first and after the last the offset stays. */
        ok_int(zone_first_instant(z, 0), 0);
        ok_int(zone_first_instant(z, 4000000000 * (int64_t) USEC_PER_SEC),
               (4000000000 - 3600) * (int64_t) USEC_PER_SEC);
        ok_int(zone_local_reached(&zone_utc, 17), 17);
        ok_int(zone_first_instant(&zone_utc, 17), 17);
}

static void test_refusals(void) {
        static const struct {
                const char *json;
                int r;
                const char *want;
        } cases[] = {
                { "", -EINVAL, "JSON" },
                { "[[0,0]", -EINVAL, "Not valid JSON" },
                { "{}", -EINVAL, "A JSON array was expected." },
                { "[]", -EINVAL, "The time zone has no offset." },
                { "[[0]]", -EINVAL, "Element 0 must be an array of two whole numbers." },
                { "[[0,0],[1,2,3]]", -EINVAL, "Element 1 must be an array of two whole numbers." },
                { "[[0,1.5]]", -EINVAL, "Element 0" },
                { "[[0,\"1\"]]", -EINVAL, "Element 0" },
                { "[[0,null]]", -EINVAL, "Element 0" },
                { "[null]", -EINVAL, "Element 0" },
                { "[[5,0],[5,0]]", -EINVAL, "Transition 1 of the time zone is not after" },
                { "[[5,0],[4,0]]", -EINVAL, "Transition 1 of the time zone is not after" },
                { "[[0,93601]]", -ERANGE, "has offset 93601, out of range." },
                { "[[0,-93601]]", -ERANGE, "has offset -93601, out of range." },
                { "[[253402300800,0]]", -ERANGE, "is at 253402300800, out of range." },
                { "[[-99999999999999999999999,0]]", -ERANGE, "out of range." },
                { "[[0,99999999999999999999999]]", -ERANGE, "out of range." },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Zone *z = NULL;
                Error e = {};

                printf("# %s\n", cases[i].json);
                ok_int(zone_from_json("z", cases[i].json, strlen(cases[i].json), &z, &e),
                       cases[i].r);
                ok_null(z);
                ok_contains(e.detail, cases[i].want);
        }
}

static void test_limit(void) {
        for (unsigned count = ZONE_TRANSITIONS_MAX; count <= ZONE_TRANSITIONS_MAX + 1; count++) {
                _cleanup_(zone_freep) Zone *z = NULL;
                char json[32 * 1024] = "[[0,0]";
                size_t used = strlen(json);

                for (unsigned i = 1; i < count; i++)
                        used += (size_t) snprintf(json + used, sizeof(json) - used, ",[%u,%u]", i,
                                                  i % 2);
                (void) strcat(json, "]");
                ok_int(zone_from_json("z", json, strlen(json), &z, NULL),
                       count > ZONE_TRANSITIONS_MAX ? -ERANGE : 0);
        }
}

int main(void) {
        RUN(test_skipped);
        RUN(test_repeated);
        RUN(test_edges);
        RUN(test_refusals);
        RUN(test_limit);
        return tap_done();
}
