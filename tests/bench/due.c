/* What due times cost: the CPU time of 100,000 computations of the next one, of mixed expressions of both languages in mixed zones, one
 * behind the other as a scheduler asks for them, and of dates that never come. usage: due [COMPUTATIONS]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "calendar.h"
#include "cron.h"
#include "timespan.h"

#define BEGIN 1420070400LL /* 2015-01-01 */
#define END 2398377600LL   /* 2046-01-01 */
#define NOW (1750000000 * USEC_PER_SEC)

static const char *const zone_names[] = { "UTC", "Europe/London", "America/New_York",
                                          "Africa/Casablanca", "Australia/Lord_Howe" };
static const char *const events[] = {
        "*:0/10",
        "hourly",
        "daily",
        "Mon..Fri 02:00",
        "*-*-1,15 4:30",
        "quarterly",
        "*-*~1 23:55",
        "Fri *-*-13 12:00",
        "Mon *-05~07/1",
        "*-02-29",
        "Sun *-02-29",
        "*:*:0/0.25",
        "Sat,Sun 8..18/2:15,45",
};
static const char *const crons[] = {
        "*/5 * * * *", "0 22 * * 1-5", "30 4 1,15 * 5", "0 0 1 1 *", "15,45 9-17 * jan-jun mon-fri",
};
static const char *const never[] = { "*-02-30", "*-04,06,09,11-31", "2012-*-*", "Mon 2099-02-29" };

typedef int (*NextFunction)(const void *spec, const Zone *z, uint64_t after, uint64_t *ret);

typedef struct Schedule {
        NextFunction next;
        const void *spec;
        const Zone *zone;
        uint64_t at_usec;
} Schedule;

static int next_of_event(const void *spec, const Zone *z, uint64_t after, uint64_t *ret) {
        return calendar_next(spec, z, after, ret);
}

static int next_of_cron(const void *spec, const Zone *z, uint64_t after, uint64_t *ret) {
        return cron_next(spec, z, after, ret);
}

static _Noreturn void fail(const char *what) {
        (void) fprintf(stderr, "due: %s\n", what);
        exit(EXIT_FAILURE);
}

static long offset_at(time_t t) {
        struct tm tm;

        (void) localtime_r(&t, &tm);
        return tm.tm_gmtoff;
}

/* The zone as libc has it, looked at each half hour. */
static Zone *zone_load(const char *name) {
        char json[16384];
        Zone *z = NULL;
        long offset;
        int n;

        (void) setenv("TZ", name, 1);
        tzset();
        offset = offset_at(BEGIN);
        n = snprintf(json, sizeof(json), "[[%lld,%ld]", BEGIN, offset);
        for (time_t t = BEGIN; t < END; t += 1800)
                if (offset_at(t) != offset) {
                        offset = offset_at(t);
                        n += snprintf(json + n, sizeof(json) - (size_t) n, ",[%lld,%ld]",
                                      (long long) t, offset);
                }
        (void) strcat(json, "]");
        if (zone_from_json(name, json, strlen(json), &z, NULL) < 0)
                fail(name);
        return z;
}

static CalendarSpec *event_load(const char *text) {
        CalendarSpec *c;
        size_t at;

        if (calendar_parse(text, &c, &at, NULL) < 0)
                fail(text);
        return c;
}

static Cron *cron_load(const char *text) {
        Cron *c = malloc(sizeof(*c));
        size_t at;

        if (!c || cron_parse(text, c, &at, NULL) < 0)
                fail(text);
        return c;
}

static double cpu_msec(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (double) t.tv_sec * 1e3 + (double) t.tv_nsec / 1e6;
}

/* In turn, each from where it has come to; from now again after its end. */
static void measure(const char *what, Schedule *schedules, size_t count, unsigned long n) {
        double begin = cpu_msec(), taken;

        for (unsigned long i = 0; i < n; i++) {
                Schedule *s = &schedules[i % count];

                if (s->next(s->spec, s->zone, s->at_usec, &s->at_usec) < 0)
                        s->at_usec = NOW;
        }
        taken = cpu_msec() - begin;
        printf("%-28s %8lu computations %10.1f ms %8.3f us each\n", what, n, taken,
               taken * 1000 / (double) n);
}

int main(int argc, char *argv[]) {
        unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
        Schedule mixed[ELEMENTSOF(zone_names) * (ELEMENTSOF(events) + ELEMENTSOF(crons))];
        Schedule nothing[ELEMENTSOF(never)];
        size_t count = 0;

        for (size_t z = 0; z < ELEMENTSOF(zone_names); z++) {
                Zone *zone = zone_load(zone_names[z]);

                for (size_t i = 0; i < ELEMENTSOF(events); i++)
                        mixed[count++] =
                                (Schedule){ next_of_event, event_load(events[i]), zone, NOW };
                for (size_t i = 0; i < ELEMENTSOF(crons); i++)
                        mixed[count++] = (Schedule){ next_of_cron, cron_load(crons[i]), zone, NOW };
        }
        for (size_t i = 0; i < ELEMENTSOF(never); i++)
                nothing[i] = (Schedule){ next_of_event, event_load(never[i]), &zone_utc, NOW };
        measure("mixed expressions and zones", mixed, count, n);
        measure("dates that never come", nothing, ELEMENTSOF(never), n);
        return EXIT_SUCCESS;
}
