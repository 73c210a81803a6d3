/* What a worker makes of schedules that are due to be looked at: due times, ranges, the next time, errors; and the zones it asks for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "due-batch.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"
#include "../lib/tap.h"

#define HOUR 3600000000ULL
/* 2024-03-31 00:00 UTC, an hour before London's clocks jump. */
#define NIGHT 1711843200000000ULL
#define LONDON "{\"name\":\"Europe/London\",\"transitions\":[[1420070400,0],[1711846800,3600]]}"

/* What a worker answers to this. */
static const char *answer_to(Zones *z, const char *json) {
        static char *answer;
        _cleanup_(due_batch_freep) DueBatch *b = NULL;
        Error e = {};

        free(answer);
        answer = NULL;
        ok_int(due_batch_new(json, &b, &e), 0);
        ok_int(due_batch_work(b, z, &answer), 1);
        return answer ? answer : "";
}

/* The answer to one item with these members, as it is when a moment is `now` hours after NIGHT. */
static const char *work(Zones *z, const char *spec, double after, const char *last, double now) {
        char json[2048];

        (void) snprintf(
                json, sizeof(json),
                "{\"now_usec\":%llu,\"items\":[{\"schedule\":\"x\",\"spec\":%s,\"after_usec\":"
                "%llu,\"last_usec\":%s}]}",
                (unsigned long long) (NIGHT + (uint64_t) (now * (double) HOUR)), spec,
                (unsigned long long) (NIGHT + (uint64_t) (after * (double) HOUR)), last);
        return answer_to(z, json);
}

static Zones *zones_of(const char *json, char *const *names) {
        Zones *z = NULL;

        ok_int(zones_new(&z), 0);
        ok_int(zones_take(z, names, json, 0), 0);
        return z;
}

static void test_due(void) {
        char *names[] = { (char *) "Europe/London", NULL };
        _cleanup_(zones_freep) Zones *z = zones_of("{\"items\":[" LONDON "]}", names);

        ok_str(work(z, "{\"cron\":[\"0 * * * *\"]}", 0.5, "null", 0.75),
               "[{\"schedule\":\"x\",\"after_usec\":1711845000000000,\"until_usec\":"
               "1711845900000000,\"next_usec\":1711846800000000,\"dues\":[]}]");
        /* 01:00 and what is skipped after it are due together, when it is 02:00 there. */
        ok_str(work(z, "{\"cron\":[\"0 * * * *\"],\"time_zone\":\"Europe/London\"}", 0.5, "null",
                    1),
               "[{\"schedule\":\"x\",\"after_usec\":1711845000000000,\"until_usec\":"
               "1711846800000000,\"next_usec\":1711850400000000,\"last_usec\":1711846800000000,"
               "\"dues\":[{\"at_usec\":1711846800000000,\"local_usec\":1711850400000000,"
               "\"start_usec\":1711843200000000,\"start_local_usec\":1711843200000000}]}]");
        ok_contains(work(z, "{\"cron\":[\"0 * * * *\"]}", 0.5, "1711800000000000", 1),
                    "\"start_usec\":1711800000000000");
        ok_contains(work(z, "{\"on_calendar\":[\"1999-01-01 00:00:00\"]}", 0, "null", 1),
                    "\"until_usec\":1711846800000000,\"dues\":[]}]");
        /* A clock that was set back: nothing happens until it is where it was. */
        ok_contains(work(z, "{\"cron\":[\"0 * * * *\"]}", 3.5, "null", 1),
                    "\"after_usec\":1711855800000000,\"until_usec\":1711855800000000,"
                    "\"next_usec\":1711857600000000,\"dues\":[]");
}

static unsigned count(const char *text, const char *what) {
        unsigned n = 0;

        for (const char *p = text; (p = strstr(p, what)); p++)
                n++;
        return n;
}

static void test_blackouts(void) {
        char *names[] = { (char *) "Europe/London", NULL };
        _cleanup_(zones_freep) Zones *z = zones_of("{\"items\":[" LONDON "]}", names);
        const char *answer;

        /* The 31st ends at 23:00 UTC. */
        answer = work(z,
                      "{\"cron\":[\"0 * * * "
                      "*\"],\"time_zone\":\"Europe/London\",\"blackout\":[\"*-*-30\","
                      "\"*-03-31\"]}",
                      21.5, "null", 22.5);
        ok_int(count(answer, "\"blackout\":\"*-03-31\"}"), 1);
        ok_int(count(answer, "next_blackout"), 0);
        answer = work(z, "{\"cron\":[\"0 * * * *\"],\"blackout\":[\"Sun *-*-*\"]}", 21.5, "null",
                      22.5);
        ok_int(count(answer, "\"blackout\":\"Sun *-*-*\"}"), 1);
        ok_contains(answer, "\"next_blackout\":\"Sun *-*-*\"");
        ok_contains(work(z, "{\"cron\":[\"@daily\"],\"blackout\":[\"x\"]}", 0, "null", 1),
                    "\"error\":");
}

static void test_many(void) {
        _cleanup_(zones_freep) Zones *z = NULL;
        const char *answer;

        ok_int(zones_new(&z), 0);
        answer = work(z, "{\"on_calendar\":[\"*-*-* *:*:00\"]}", 0.001, "null", 3);
        ok_contains(answer, "\"missed\":{\"from_usec\":1711843260000000,\"until_usec\":"
                            "1711848000000000,\"count\":80},\"until_usec\":1711854000000000,");
        ok_int(count(answer, "\"at_usec\""), DUE_KEPT);
        ok_contains(answer, "\"start_usec\":1711848000000000");
        /* More than is looked at in one go: the last hundred of them are looked at again. */
        answer = work(z, "{\"on_calendar\":[\"*-*-* *:*:*\"]}", 0, "null", 10);
        ok_contains(answer, "\"missed\":{\"from_usec\":1711843201000000,\"until_usec\":"
                            "1711853100000000,\"count\":9900},\"until_usec\":1711853100000000,"
                            "\"next_usec\":1711853101000000,\"last_usec\":1711853100000000,"
                            "\"dues\":[]}]");
}

static void test_errors(void) {
        char *names[] = { (char *) "Nowhere", (char *) "Broken", (char *) "Silent", NULL };
        _cleanup_(zones_freep) Zones *z =
                zones_of("{\"items\":[{\"name\":\"Nowhere\",\"error\":\"There is none.\"},"
                         "{\"name\":\"Broken\",\"transitions\":[[2,0],[1,0]]}]}",
                         names);

        ok_contains(work(z, "{\"cron\":[\"@daily\"],\"time_zone\":\"Nowhere\"}", 0, "null", 1),
                    "\"error\":\"There is none.\"");
        ok_contains(work(z, "{\"cron\":[\"@daily\"],\"time_zone\":\"Broken\"}", 0, "null", 1),
                    "\"error\":\"Transition 1 of the time zone is not after the one before.\"");
        ok_contains(work(z, "{\"cron\":[\"@daily\"],\"time_zone\":\"Silent\"}", 0, "null", 1),
                    "\"error\":\"The time zone is not known.\"");
        ok_contains(work(z, "{\"cron\":[\"@reboot\"]}", 0, "null", 1), "\"error\":\"");
        ok_contains(work(z, "{}", 0, "null", 1), "\"error\":\"A schedule needs an expression.\"");
}

static void test_zones_are_asked_for(void) {
        static const char json[] =
                "{\"now_usec\":1,\"items\":[{\"schedule\":\"a\",\"after_usec\":0,\"spec\":"
                "{\"cron\":[\"@daily\"],\"time_zone\":\"Europe/London\"}},{\"schedule\":\"b\","
                "\"after_usec\":0,\"spec\":{\"on_calendar\":[\"*-*-* 00:00:00 "
                "Asia/Tokyo\"],\"cron\":"
                "[\"@daily\"],\"time_zone\":\"UTC\"}}]}";
        char *names[] = { (char *) "Europe/London", NULL };
        _cleanup_(zones_freep) Zones *z = zones_of("{\"items\":[" LONDON "]}", names);
        _cleanup_(due_batch_freep) DueBatch *b = NULL;
        _cleanup_(strv_freep) char **fresh = NULL, **stale = NULL, **few = NULL;
        Error e = {};

        ok_int(due_batch_new(json, &b, &e), 0);
        ok_int(due_batch_zones(b, z, 0, 16, &fresh), 0);
        ok_int(strv_length(fresh), 1);
        ok_str(fresh ? fresh[0] : NULL, "Asia/Tokyo");
        ok_int(due_batch_zones(b, z, 2 * HOUR, 16, &stale), 0);
        ok_int(strv_length(stale), 2);
        ok_int(due_batch_zones(b, z, 2 * HOUR, 1, &few), 0);
        ok_int(strv_length(few), 1);
        ok_true(zones_find("Europe/London", z) != NULL); /* the former one, while it is asked for */
}

static void test_nonsense(void) {
        static const char *const bad[] = { "", "[]", "{}", "{\"now_usec\":-1,\"items\":[]}",
                                           "{\"now_usec\":1,\"items\":[{\"schedule\":7}]}" };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                DueBatch *b = NULL;
                Error e = {};

                ok_true(due_batch_new(bad[i], &b, &e) < 0);
                ok_null(b);
        }
}

/* A backfill of this line of cron over so many hours from NIGHT on, both ends included. */
static const char *range(Zones *z, const char *cron, unsigned hours) {
        char json[2048];

        (void) snprintf(
                json, sizeof(json),
                "{\"now_usec\":1,\"items\":[{\"schedule\":\"x\",\"backfill\":\"b\",\"spec\":{"
                "\"cron\":[\"%s\"],\"time_zone\":\"Europe/London\"},\"after_usec\":%llu,"
                "\"until_usec\":%llu}]}",
                cron, NIGHT - 1, NIGHT + hours * HOUR);
        return answer_to(z, json);
}

static void test_backfills(void) {
        char *names[] = { (char *) "Europe/London", NULL };
        _cleanup_(zones_freep) Zones *z = zones_of("{\"items\":[" LONDON "]}", names);
        const char *answer;

        /* 00:00, and 01:00 and 02:00 in one. */
        ok_str(range(z, "0 0-2 * * *", 1),
               "[{\"schedule\":\"x\",\"backfill\":\"b\",\"dues\":[{\"at_usec\":1711843200000000,"
               "\"local_usec\":1711843200000000,\"start_usec\":1711764000000000,"
               "\"start_local_usec\":1711764000000000},{\"at_usec\":1711846800000000,"
               "\"local_usec\":1711850400000000,\"start_usec\":1711843200000000,"
               "\"start_local_usec\":1711843200000000}],\"more\":false}]");
        ok_str(range(z, "0 12 * * *", 1),
               "[{\"schedule\":\"x\",\"backfill\":\"b\",\"dues\":[],\"more\":false}]");
        answer = range(z, "* * * * *", 2000);
        ok_int(count(answer, "\"at_usec\""), DUE_BACKFILL_MAX);
        ok_contains(answer, "\"more\":true");
        ok_contains(range(z, "0 12 30 2 *", 2000), "\"dues\":[]");
}

int main(void) {
        RUN(test_due);
        RUN(test_backfills);
        RUN(test_blackouts);
        RUN(test_many);
        RUN(test_errors);
        RUN(test_zones_are_asked_for);
        RUN(test_nonsense);
        return tap_done();
}
