/* Cron: known answers from crontab(5) and the rationale of POSIX's crontab, what is refused and with which words. More, against
 * a walk over every minute, is in tests/calendar/minutes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../lib/tap.h"
#include "cleanup.h"
#include "cron.h"
#include "timespan.h"

/* The first n due times after one, all in UTC, with commas. */
static const char *next(const char *expression, const char *after, int n) {
        static Error e;
        static char text[512];
        struct tm tm = {};
        size_t byte, used = 0;
        uint64_t usec;
        Cron c;

        e = (Error){};
        text[0] = '\0';
        if (cron_parse(expression, &c, &byte, &e) < 0)
                return e.detail;
        (void) strptime(after, "%Y-%m-%d %H:%M", &tm);
        usec = (uint64_t) timegm(&tm) * USEC_PER_SEC;
        for (; n > 0 && used + 20 < sizeof(text); n--) {
                time_t t;

                if (cron_next(&c, &zone_utc, usec, &usec) < 0)
                        return used ? text : "never";
                t = (time_t) (usec / USEC_PER_SEC);
                used += strftime(text + used, sizeof(text) - used, used ? ",%F %R" : "%F %R",
                                 gmtime_r(&t, &tm));
        }
        return text;
}

static void test_known_answers(void) {
        static const struct {
                const char *expression, *after;
                int n;
                const char *want;
        } cases[] = {
                /* crontab(5): "run five minutes after midnight, every day" */
                { "5 0 * * *", "2024-01-01 00:00", 2, "2024-01-01 00:05,2024-01-02 00:05" },
                /* "run at 2:15pm on the first of every month" */
                { "15 14 1 * *", "2024-01-01 14:15", 1, "2024-02-01 14:15" },
                /* "run at 10 pm on weekdays" */
                { "0 22 * * 1-5", "2024-01-05 00:00", 2, "2024-01-05 22:00,2024-01-08 22:00" },
                /* "run 23 minutes after midn, 2am, 4am …, everyday" */
                { "23 0-23/2 * * *", "2024-01-01 22:00", 2, "2024-01-01 22:23,2024-01-02 00:23" },
                /* "run at 5 after 4 every sunday" */
                { "5 4 * * sun", "2024-01-01 00:00", 1, "2024-01-07 04:05" },
                /* "30 4 1,15 * 5 would cause a command to be run at 4:30 am on the 1st and 15th of each month, plus every Friday" */
                { "30 4 1,15 * 5", "2024-01-01 04:30", 4,
                  "2024-01-05 04:30,2024-01-12 04:30,2024-01-15 04:30,2024-01-19 04:30" },
                /* POSIX: "0 0 1,15 * 1 would run on the first and fifteenth of each month, as well as on every Monday"; "to specify
                 * days by only one field, the other field should be set to '*'" */
                { "0 0 1,15 * 1", "2024-02-01 00:00", 3,
                  "2024-02-05 00:00,2024-02-12 00:00,2024-02-15 00:00" },
                { "0 0 * * 1", "2024-02-01 00:00", 2, "2024-02-05 00:00,2024-02-12 00:00" },
                /* POSIX: "0 0 1 1 *", once a year */
                { "0 0 1 1 *", "2024-02-01 00:00", 1, "2025-01-01 00:00" },
                /* A field that begins with * does not restrict, whatever follows: then both must match. */
                { "0 0 */2 * 1", "2024-01-01 00:00", 2, "2024-01-15 00:00,2024-01-29 00:00" },
                { "0 0 13 * */5", "2024-01-01 00:00", 2, "2024-09-13 00:00,2024-10-13 00:00" },
                { "0 0 *,1 * 1", "2024-01-02 00:00", 1, "2024-01-08 00:00" },
                { "0 0 13 * 5", "2024-01-01 00:00", 2, "2024-01-05 00:00,2024-01-12 00:00" },
                { "0 0 * * 0", "2024-01-01 00:00", 1, "2024-01-07 00:00" },
                { "0 0 * * 7", "2024-01-01 00:00", 1, "2024-01-07 00:00" },
                { "0 0 * * 5-7", "2024-01-01 00:00", 3,
                  "2024-01-05 00:00,2024-01-06 00:00,2024-01-07 00:00" },
                { "0 0 * * Fri-Sun", "2024-01-06 00:00", 2, "2024-01-07 00:00,2024-01-12 00:00" },
                { "0 0 * * 0-7", "2024-01-01 00:00", 1, "2024-01-02 00:00" },
                { "0 0 1 JAN-mar,dec *", "2024-01-01 00:00", 3,
                  "2024-02-01 00:00,2024-03-01 00:00,2024-12-01 00:00" },
                { "\t*/20  1-3/2 * *  *\t", "2024-01-01 00:00", 4,
                  "2024-01-01 01:00,2024-01-01 01:20,2024-01-01 01:40,2024-01-01 03:00" },
                { "0 0 29 2 *", "2024-02-29 00:00", 1, "2028-02-29 00:00" },
                { "0 0 29 2 *", "2096-02-29 00:00", 1, "2104-02-29 00:00" },
                { "0 0 31 4,6 *", "2024-02-29 00:00", 1, "never" },
                { "0 0 30 2 1", "2024-01-01 00:00", 2, "2024-02-05 00:00,2024-02-12 00:00" },
                { "14 3 19 1 *", "2038-01-19 03:13", 2, "2038-01-19 03:14,2039-01-19 03:14" },
                { "@hourly", "2024-01-01 00:00", 1, "2024-01-01 01:00" },
                { "@daily", "2024-01-01 00:00", 1, "2024-01-02 00:00" },
                { "@midnight", "2024-01-01 00:00", 1, "2024-01-02 00:00" },
                { " @Weekly ", "2024-01-01 00:00", 1, "2024-01-07 00:00" },
                { "@monthly", "2024-01-01 00:00", 1, "2024-02-01 00:00" },
                { "@yearly", "2024-01-01 00:00", 1, "2025-01-01 00:00" },
                { "@annually", "2024-01-01 00:00", 1, "2025-01-01 00:00" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                printf("# %s\n", cases[i].expression);
                ok_str(next(cases[i].expression, cases[i].after, cases[i].n), cases[i].want);
        }
}

static void test_refusals(void) {
        static const struct {
                const char *expression;
                size_t byte;
                const char *want;
        } cases[] = {
                { "", 0, "cron has five fields" },
                { "* * * *", 7, "cron has five fields" },
                { "0 0 12 * * MON", 11, "seconds or years (Quartz) are not taken" },
                { "0 0 12 1 1 * 2024", 11, "seconds or years (Quartz) are not taken" },
                { "0 12 ? * 1", 5, "? is Quartz's; in cron it is *" },
                { "0 12 L * *", 5, "OnCalendar=*-*~01" },
                { "0 12 * * 5L", 10, "L is Quartz's" },
                { "0 12 15W * *", 7, "W is Quartz's" },
                { "0 12 * * 1#2", 10, "OnCalendar=Mon *-*-08..14" },
                { "H 12 * * *", 0, "RandomizedDelaySec=" },
                { "0~30 12 * * *", 1, "RandomizedDelaySec=" },
                { "60 * * * *", 0, "the minute is not in the range 0 to 59" },
                { "99999999999999999999 * * * *", 0, "the minute is not in the range 0 to 59" },
                { "* 24 * * *", 2, "the hour is not in the range 0 to 23" },
                { "* * 0 * *", 4, "the day of the month is not in the range 1 to 31" },
                { "* * * 13 *", 6, "the month is not in the range 1 to 12" },
                { "* * * * 8", 8, "the weekday is not in the range 0 to 7" },
                { "5-1 * * * *", 0, "the range goes backwards; write two" },
                { "* * * * sat-mon", 8, "the range goes backwards" },
                { "*/0 * * * *", 1, "the step behind / is 0" },
                { "*/60 * * * *", 1, "it would match only once" },
                { "* * * * */8", 9, "it would match only once" },
                { "*/x * * * *", 2, "a value is expected for the minute, not \"x\"" },
                { "5/10 * * * *", 1, "a step needs a range before it" },
                { "1,,2 * * * *", 2, "a value is expected for the minute, not \",2\"" },
                { "1, * * * *", 2, "a value is expected for the minute, and the field ends" },
                { "1- * * * *", 2, "a value is expected for the minute, and the field ends" },
                { "-1 * * * *", 0, "a value is expected for the minute, not \"-1\"" },
                { "** * * * *", 1, "a value is expected for the minute, not \"*\"" },
                { "* * * * monday", 8, "a value is expected for the weekday, not \"monday\"" },
                { "* * * mon *", 6, "a value is expected for the month, not \"mon\"" },
                { "jan * * * *", 0, "a value is expected for the minute, not \"jan\"" },
                { "@reboot", 0, "@reboot is no time" },
                { "@often", 0, "unknown word; there are @hourly" },
                { "@daily /bin/true", 0, "unknown word" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Cron c = {};
                size_t byte = SIZE_MAX;
                Error e = {};

                printf("# %s\n", cases[i].expression);
                ok_int(cron_parse(cases[i].expression, &c, &byte, &e), -EINVAL);
                ok_int(c.pattern.minutes, 0);
                ok_int(byte, cases[i].byte);
                ok_contains(e.detail, cases[i].want);
                ok_str(e.slug, "bad-cron");
        }
}

int main(void) {
        RUN(test_known_answers);
        RUN(test_refusals);
        return tap_done();
}
