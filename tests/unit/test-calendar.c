/* Calendar events: known answers, normal forms of systemd.time(7), refusals with their places. More, and at random, is compared with
 * systemd itself by tests/calendar/oracle. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../lib/tap.h"
#include "calendar.h"
#include "timespan.h"

/* "2024-02-29 12:00:00", UTC, in microseconds. */
static uint64_t at(const char *text) {
        struct tm tm = {};

        return strptime(text, "%Y-%m-%d %H:%M:%S", &tm) ? (uint64_t) timegm(&tm) * USEC_PER_SEC : 0;
}

static const char *text_of(uint64_t usec, char text[64]) {
        time_t t = (time_t) (usec / USEC_PER_SEC);
        struct tm tm;
        size_t n = strftime(text, 64, "%F %T", gmtime_r(&t, &tm));

        if (usec % USEC_PER_SEC)
                (void) snprintf(text + n, 64 - n, ".%06u", (unsigned) (usec % USEC_PER_SEC));
        return text;
}

/* What comes after this in UTC, "never", or the words of the refusal. */
static const char *next(const char *expression, const char *after) {
        static Error e;
        static char text[64];
        _cleanup_(calendar_freep) CalendarSpec *c = NULL;
        uint64_t usec = 0;
        size_t byte;

        e = (Error){};
        if (calendar_parse(expression, &c, &byte, &e) < 0)
                return e.detail;
        if (calendar_next(c, &zone_utc, at(after), &usec) == -ENOENT)
                return usec ? "written to" : "never";
        return text_of(usec, text);
}

static void test_known_answers(void) {
        static const struct {
                const char *expression, *after, *want;
        } cases[] = {
                { "*:0/10", "2024-01-01 00:00:00", "2024-01-01 00:10:00" },
                { "Mon..Fri 02:00", "2024-03-01 02:00:00", "2024-03-04 02:00:00" },
                { "12-31 23:59:59", "2024-12-31 23:59:59", "2025-12-31 23:59:59" },
                { "*-*~1", "2024-02-01 00:00:00", "2024-02-29 00:00:00" },
                { "*-*~1", "2100-02-01 00:00:00", "2100-02-28 00:00:00" },
                { "Mon *-05~07/1", "2024-01-01 00:00:00", "2024-05-27 00:00:00" },
                { "*-02~28/9", "2024-02-02 00:00:00", "2024-02-11 00:00:00" },
                { "*-02~3..10/2", "2023-01-01 00:00:00", "2023-02-20 00:00:00" },
                { "*-02-29", "2024-02-29 00:00:00", "2028-02-29 00:00:00" },
                { "*-02-29", "1999-12-31 00:00:00", "2000-02-29 00:00:00" },
                { "*-02-29", "2096-02-29 00:00:00", "2104-02-29 00:00:00" },
                { "Sun *-02-29", "2024-01-01 00:00:00", "2032-02-29 00:00:00" },
                { "Fri *-*-13", "2024-01-01 00:00:00", "2024-09-13 00:00:00" },
                { "2038-01-19 03:14:08", "2038-01-19 03:14:07", "2038-01-19 03:14:08" },
                { "*:*", "2038-01-19 03:14:08", "2038-01-19 03:15:00" },
                { "*-*-* 00:00:00", "2106-02-07 06:28:16", "2106-02-08 00:00:00" },
                { "12:00:00.25/0.5", "2024-01-01 12:00:00", "2024-01-01 12:00:00.250000" },
                { "*:*:59.999999", "2024-01-01 00:00:00", "2024-01-01 00:00:59.999999" },
                { "*:*:0.1..0.4/0.1", "2024-01-01 00:00:01", "2024-01-01 00:01:00.100000" },
                { "@1700000000", "2023-01-01 00:00:00", "2023-11-14 22:13:20" },
                { "@1700000000", "2023-11-14 22:13:20", "never" },
                { "2012-*-*", "2013-01-01 00:00:00", "never" },
                { "*-02-30", "2024-01-01 00:00:00", "never" },
                { "*-04,06,09,11-31", "1970-01-01 00:00:00", "never" },
                { "Mon 2024-02-29", "2020-01-01 00:00:00", "never" },
                { "2199-12-31 23:59:59", "2199-01-01 00:00:00", "2199-12-31 23:59:59" },
                { "*:*", "2199-12-31 23:59:00", "never" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                printf("# %s after %s\n", cases[i].expression, cases[i].after);
                ok_str(next(cases[i].expression, cases[i].after), cases[i].want);
        }
}

static void test_strictly_after(void) {
        _cleanup_(calendar_freep) CalendarSpec *c = NULL;
        uint64_t due = at("2024-06-01 00:00:00"), got;
        size_t byte;

        ok_int(calendar_parse("*:*:00", &c, &byte, NULL), 0);
        ok_int(calendar_next(c, &zone_utc, due - 1, &got), 0);
        ok_int(got, due);
        ok_int(calendar_next(c, &zone_utc, due, &got), 0);
        ok_int(got, due + USEC_PER_MINUTE);
        ok_int(calendar_next(c, &zone_utc, 0, &got), 0);
        ok_int(got, USEC_PER_MINUTE);
        ok_int(calendar_next(c, &zone_utc, UINT64_MAX, &got), -ENOENT);
        ok_int(calendar_next(c, &zone_utc, INT64_MAX, &got), -ENOENT);
}

/* The examples of systemd.time(7), and what it does not show. */
static void test_normal_forms(void) {
        static const struct {
                const char *expression, *want, *zone;
        } cases[] = {
                { "Sat,Thu,Mon..Wed,Sat..Sun", "Mon..Thu,Sat,Sun *-*-* 00:00:00", NULL },
                { "Mon,Sun 12-*-* 2,1:23", "Mon,Sun 2012-*-* 01,02:23:00", NULL },
                { "Wed *-1", "Wed *-*-01 00:00:00", NULL },
                { "Wed..Wed,Wed *-1", "Wed *-*-01 00:00:00", NULL },
                { "Wed, 17:48", "Wed *-*-* 17:48:00", NULL },
                { "Wed..Sat,Tue 12-10-15 1:2:3", "Tue..Sat 2012-10-15 01:02:03", NULL },
                { "*-*-7 0:0:0", "*-*-07 00:00:00", NULL },
                { "10-15", "*-10-15 00:00:00", NULL },
                { "monday *-12-* 17:00", "Mon *-12-* 17:00:00", NULL },
                { "Mon,Fri *-*-3,1,2 *:30:45", "Mon,Fri *-*-01,02,03 *:30:45", NULL },
                { "12,14,13,12:20,10,30", "*-*-* 12,13,14:10,20,30:00", NULL },
                { "12..14:10,20,30", "*-*-* 12..14:10,20,30:00", NULL },
                { "mon,fri *-1/2-1,3 *:30:45", "Mon,Fri *-01/2-01,03 *:30:45", NULL },
                { "03-05 08:05:40", "*-03-05 08:05:40", NULL },
                { "08:05:40", "*-*-* 08:05:40", NULL },
                { "05:40", "*-*-* 05:40:00", NULL },
                { "Sat,Sun 12-05 08:05:40", "Sat,Sun *-12-05 08:05:40", NULL },
                { "Sat,Sun 08:05:40", "Sat,Sun *-*-* 08:05:40", NULL },
                { "2003-03-05 05:40", "2003-03-05 05:40:00", NULL },
                { "05:40:23.4200004/3.1700005", "*-*-* 05:40:23.420000/3.170001", NULL },
                { "2003-02..04-05", "2003-02..04-05 00:00:00", NULL },
                { "2003-03-05 05:40 UTC", "2003-03-05 05:40:00 UTC", "UTC" },
                { "2003-03-05", "2003-03-05 00:00:00", NULL },
                { "03-05", "*-03-05 00:00:00", NULL },
                { "minutely", "*-*-* *:*:00", NULL },
                { "hourly", "*-*-* *:00:00", NULL },
                { "daily", "*-*-* 00:00:00", NULL },
                { "daily UTC", "*-*-* 00:00:00 UTC", "UTC" },
                { "monthly", "*-*-01 00:00:00", NULL },
                { "weekly", "Mon *-*-* 00:00:00", NULL },
                { "weekly Pacific/Auckland", "Mon *-*-* 00:00:00 Pacific/Auckland",
                  "Pacific/Auckland" },
                { "yearly", "*-01-01 00:00:00", NULL },
                { "annually", "*-01-01 00:00:00", NULL },
                { "quarterly", "*-01,04,07,10-01 00:00:00", NULL },
                { "SemiAnnually", "*-01,07-01 00:00:00", NULL },
                { "*:2/3", "*-*-* *:02/3:00", NULL },
                { "69,70-1-1", "1970,2069-01-01 00:00:00", NULL },
                { "Mon-Sun 1:1", "*-*-* 01:01:00", NULL },
                { "1:1:*", "*-*-* 01:01:*", NULL },
                { "1:1:1,0/1", "*-*-* 01:01:*", NULL },
                { "*:0/59", "*-*-* *:00/59:00", NULL },
                { "1:5..5", "*-*-* 01:05:00", NULL },
                { "1:0..59/7", "*-*-* 01:00..56/7:00", NULL },
                { "*-*~*", "*-*-* 00:00:00", NULL },
                { "2~3 utc", "*-02~03 00:00:00 UTC", "UTC" },
                { "1:1 Etc/GMT+5", "*-*-* 01:01:00 Etc/GMT+5", "Etc/GMT+5" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(calendar_freep) CalendarSpec *c = NULL;
                _cleanup_(freep) char *normal = NULL;
                size_t byte = 0;
                Error e = {};

                printf("# %s\n", cases[i].expression);
                ok_int(calendar_parse(cases[i].expression, &c, &byte, &e), 0);
                ok_str(e.detail, "");
                if (!c)
                        continue;
                ok_int(calendar_format(c, &normal), 0);
                ok_str(normal, cases[i].want);
                ok_str(calendar_zone(c), cases[i].zone);
        }
}

static void test_refusals(void) {
        static const struct {
                const char *expression;
                size_t byte;
                const char *want;
        } cases[] = {
                { "", 0,
                  "a weekday, a date, a time or a word like daily is expected, and the text ends" },
                { "fortnightly", 0, "a word like daily is expected, not \"fortnightly\"" },
                { " UTC", 0, "and the text ends" },
                { "Mon..Foo", 5, "a weekday is expected, not \"Foo\"" },
                { "Sat..Mon", 0, "the range of weekdays goes backwards" },
                { "Mond", 3, "a comma or a space is expected" },
                { "Mon..Wed..Fri", 8, "a comma or a space is expected" },
                { "Mon Tue", 4, "a date or a time is expected, not \"Tue\"" },
                { "12", 2, "-, ~ or : is expected, and the text ends" },
                { "*/2:00", 1, "a step cannot follow *; write 0/2" },
                { "2024-13-01", 5, "the month is not in the range 1 to 12" },
                { "1969-01-01", 0, "the year is not in the range 1970 to 2199" },
                { "2200-01-01", 0, "the year is not in the range 1970 to 2199" },
                { "*-*-0", 4, "the day is not in the range 1 to 31" },
                { "*-*~29", 4, "the day is not in the range 1 to 28" },
                { "*-*~3/3", 4, "leaves the day before it matches a second time" },
                { "*-*-1,32", 6, "the day is not in the range 1 to 31" },
                { "24:00", 0, "the hour is not in the range 0 to 23" },
                { "1:60", 2, "the minute is not in the range 0 to 59" },
                { "1:1:60", 4, "the second is not in the range 0 to 59" },
                { "1:1:59.9999999", 4, "the second is not in the range 0 to 59" },
                { "1:1:1.", 6, "a digit is expected, and the text ends" },
                { "1:1:0.1..0.4", 4, "a range of less than a second needs a step" },
                { "*:0/60", 2, "the step behind / leaves the minute" },
                { "*:1/59", 2, "the step behind / leaves the minute" },
                { "*:0/0", 2, "the step behind / is 0" },
                { "5..3:00", 0, "the range of the hour goes backwards" },
                { "1:99999999999999999999", 2, "the number is too large" },
                { "1:1,", 4, "a number is expected, and the text ends" },
                { "1:1:1:1", 5, "the end or a time zone is expected, not \":1\"" },
                { "2024~1-1", 6, "a space or the end is expected, not \"-1\"" },
                { "10:00 ", 5, "a colon and seconds is expected" },
                { "@", 1, "a number is expected" },
                { "@99999999999999999999", 0, "the number is too large" },
                { "@9999999999", 1, "the year is not in the range" },
                { "10:00 Foo//Bar", 5, "a colon and seconds is expected" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                CalendarSpec *c = NULL;
                size_t byte = SIZE_MAX;
                Error e = {};

                printf("# %s\n", cases[i].expression);
                ok_int(calendar_parse(cases[i].expression, &c, &byte, &e), -EINVAL);
                ok_null(c);
                ok_int(byte, cases[i].byte);
                ok_contains(e.detail, cases[i].want);
                ok_str(e.slug, "bad-calendar");
        }
}

/* A list as long as systemd takes it, and one longer. */
static void test_long_lists(void) {
        char text[1024] = "1:0";

        for (size_t terms = 1; terms <= 240; terms++) {
                CalendarSpec *c = NULL;
                size_t byte;

                if (terms >= 239)
                        ok_int(calendar_parse(text, &c, &byte, NULL), 0);
                (void) calendar_free(c);
                (void) strcat(text, ",0");
        }
        ok_contains(next(text, "2024-01-01 00:00:00"), "the list has too many elements");
}

int main(void) {
        RUN(test_known_answers);
        RUN(test_strictly_after);
        RUN(test_normal_forms);
        RUN(test_refusals);
        RUN(test_long_lists);
        return tap_done();
}
