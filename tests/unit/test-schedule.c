/* [Schedule NAME]: what is taken, what is refused and where; and when the expressions of a schedule together are due. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../lib/tap.h"
#include "pipe.h"
#include "schedule-times.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"

#define TASK "[Task a]\nExecStart=/bin/true\n"
#define PARAMETER "[Parameter day]\nType=date\n"
/* London in 2024: summer time from 31 March 01:00 UTC to 27 October 01:00 UTC. */
#define LONDON "[[1420070400,0],[1711846800,3600],[1729990800,0],[1743296400,3600]]"

/* The normal form of a pipe with these lines before its task, or the words of the refusal; and its text parses to the same. */
static void form_is(const char *lines, const char *want) {
        _cleanup_(pipe_freep) Pipe *p = NULL, *again = NULL;
        _cleanup_(freep) char *json = NULL, *text = NULL, *json2 = NULL;
        char whole[2048];
        Error e = {};

        (void) snprintf(whole, sizeof(whole), "%s" TASK, lines);
        if (pipe_parse("p", whole, strlen(whole), &p, &e, NULL) < 0) {
                ok_contains(e.detail, want);
                return;
        }
        ok_int(pipe_to_json(p, &json), 0);
        ok_contains(json, want);
        ok_int(pipe_to_text(p, &text, &e), 0);
        ok_int(pipe_parse("q", text, strlen(text), &again, &e, NULL), 0);
        ok_int(pipe_to_json(again, &json2), 0);
        ok_str(json2, json);
}

static void test_forms(void) {
        form_is("[Pipe]\nConcurrencyPolicy=forbid\n[Schedule nightly]\nOnCalendar=Mon-Fri 2:00\n"
                "OnCalendar=sun 4:00 Europe/London\nTimeZone=Europe/Berlin\nPersistent=yes\n"
                "StartingDeadlineSec=1h\nRandomizedDelaySec=5min\nFixedRandomDelay=1\n"
                "ConcurrencyPolicy=queue\n",
                "\"concurrency_policy\":\"forbid\",\"delivery\":\"at-least-once\",\"schedules\":[{"
                "\"name\":\"nightly\",\"on_calendar\":[\"Mon..Fri *-*-* 02:00:00\","
                "\"Sun *-*-* 04:00:00 Europe/London\"],\"time_zone\":\"Europe/Berlin\","
                "\"missed_runs\":\"last\",\"starting_deadline_sec\":\"1h\",\"randomized_delay_"
                "sec\":"
                "\"5min\",\"fixed_random_delay\":true,\"concurrency_policy\":\"queue\"}],"
                "\"tasks\"");
        form_is("[Schedule a]\nCron= 0  4 * *\tmon-fri\nMissedRuns=all\n[Schedule b]\nCron=@daily\n"
                "MissedRuns=none\nTimeZone=UTC\nFixedRandomDelay=no\nPersistent=no\n",
                "p:9:1: Persistent= and MissedRuns= say the same");
        form_is("[Schedule a]\nCron= 0  4 * *\tmon-fri\nMissedRuns=all\n[Schedule b]\nCron=@daily\n"
                "MissedRuns=none\nTimeZone=UTC\nFixedRandomDelay=no\n",
                "\"schedules\":[{\"name\":\"a\",\"cron\":[\"0 4 * * mon-fri\"],\"missed_runs\":"
                "\"all\"},{\"name\":\"b\",\"cron\":[\"@daily\"]}],");
        form_is(PARAMETER "[Schedule a]\nCron=@daily\nParameter=day=today\n",
                "[{\"name\":\"a\",\"cron\":[\"@daily\"],\"parameters\":[\"day=today\"]}]");
        form_is("[Schedule a]\nOnCalendar=daily\nOnCalendar=\nOnCalendar=hourly\nPersistent=off\n",
                "[{\"name\":\"a\",\"on_calendar\":[\"*-*-* *:00:00\"]}]");
        form_is("[Schedule "
                "a]\nCron=@daily\nBlackout=*-12-24..26\nBlackout=sun,Sat\nBlackout=2025-1-1 "
                "0:00\n",
                "[{\"name\":\"a\",\"cron\":[\"@daily\"],\"blackout\":[\"*-12-24..26\",\"Sat,Sun "
                "*-*-*\",\"2025-01-01\"]}]");
        form_is("[Schedule a]\nAfterPipe=orders, stock\nAfterPipe=parts stock\nAfterPipeFailure=x\n"
                "AfterPipeAny=y\nTimeZone=Europe/London\nExpectBySec=2h\n",
                "[{\"name\":\"a\",\"after_pipe\":[\"orders\",\"stock\",\"parts\"],"
                "\"after_pipe_failure\":[\"x\"],\"after_pipe_any\":[\"y\"],"
                "\"time_zone\":\"Europe/London\",\"expect_by_sec\":\"2h\"}]");
}

static void test_refusals(void) {
        static const struct {
                const char *lines, *want;
        } rows[] = {
                { "[Schedule a]\nOnCalendar=\n", "p:1:1: schedule \"a\" has neither OnCalendar=" },
                { "[Schedule a]\nOnCalender=daily\n",
                  "p:2:1: unknown key OnCalender= in [Schedule]; did you mean OnCalendar=?" },
                { "[Schedule a]\nOnCalendar=daily\n  OnCalendar = Mon 25:00\n",
                  "p:3:20: OnCalendar=: " },
                { "[Schedule a]\nAfterPipe=b\nCron=@daily\n",
                  "p:1:1: schedule \"a\" runs at times and after a pipe: that is two" },
                { "[Schedule a]\nAfterPipe=B\n", "p:2:1: AfterPipe=: \"B\" is no pipe name" },
                { "[Schedule a]\nAfterPipe=b\nPersistent=no\n",
                  "p:3:1: Persistent=: goes with OnCalendar=" },
                { "[Schedule a]\nAfterPipe=b\nMissedRuns=all\n", "p:3:1: MissedRuns=: goes with" },
                { "[Task a]\nAfterPipe=b\n", "p:2:1: AfterPipe= stands in [Schedule NAME]" },
                { "[Schedule a]\nCron=@daily\nExpectBySec=soon\n",
                  "p:3:1: ExpectBySec=: a time span" },
                { "[Schedule a]\nCron=@daily\nBlackout=02:00\n",
                  "p:3:10: Blackout=: whole days are expected" },
                { "[Schedule a]\nCron=@daily\nBlackout=Sat UTC\n", "Blackout=: whole days are" },
                { "[Schedule a]\nCron=@daily\nBlackout=*-13-01\n", "p:3:12: Blackout=: " },
                { "[Schedule a]\nAfterPipe=b\nBlackout=Sat\n", "p:3:1: Blackout=: goes with" },
                { "[Schedule a]\nCron=5/10 * * * *\n", "p:2:7: Cron=: " },
                { "[Schedule a]\nCron=@reboot\n", "p:2:6: Cron=: " },
                { "[Schedule a]\nCron=@daily\nTimeZone=Central European\n",
                  "p:3:1: TimeZone=: a name of the tz database" },
                { "[Schedule a]\nCron=@daily\nTimeZone=\n", "p:3:1: TimeZone=: a name" },
                { "[Schedule a]\nCron=@daily\nMissedRuns=some\n",
                  "p:3:1: MissedRuns=some is not one of none, last, all" },
                { "[Schedule a]\nCron=@daily\nPersistent=perhaps\n",
                  "p:3:1: Persistent=: yes or no is expected" },
                { "[Schedule a]\nCron=@daily\nStartingDeadlineSec=soon\n",
                  "p:3:1: StartingDeadlineSec=: a time span" },
                { "[Schedule a]\nCron=@daily\nRandomizedDelaySec=infinity\n",
                  "p:3:1: RandomizedDelaySec=: a time span" },
                { "[Schedule a]\nCron=@daily\nFixedRandomDelay=yes\n",
                  "p:3:1: FixedRandomDelay= goes with RandomizedDelaySec= only" },
                { "[Schedule a]\nCron=@daily\nConcurrencyPolicy=wait\n",
                  "p:3:1: ConcurrencyPolicy=wait is not one of allow, forbid, queue, replace" },
                { "[Schedule a]\nCron=@daily\nOnActiveSec=15min\n",
                  "p:3:1: OnActiveSec= is no key of [Schedule]: with OnUnitActiveSec=" },
                { "[Schedule a]\nCron=@daily\nOnUnitActiveSec=15min\n",
                  "p:1:1: schedule \"a\" runs at times and at intervals" },
                { "[Schedule a]\nAfterPipe=b\nOnUnitActiveSec=15min\n",
                  "p:1:1: schedule \"a\" runs at intervals and after a pipe" },
                { "[Schedule a]\nOnUnitActiveSec=1h\nOnUnitInactiveSec=1h\n",
                  "p:3:1: OnUnitInactiveSec=: stands beside" },
                { "[Schedule a]\nOnUnitActiveSec=soon\n", "p:2:1: OnUnitActiveSec=: a time span" },
                { "[Schedule a]\nOnUnitInactiveSec=10ms\n",
                  "p:2:1: OnUnitInactiveSec=: at least 1s is expected" },
                { "[Schedule a]\nOnUnitInactiveSec=1h\nMissedRuns=all\n",
                  "p:3:1: MissedRuns=: goes with" },
                { "[Schedule a]\nCron=@daily\n[Schedule a]\nCron=@daily\n",
                  "p:3:1: schedule \"a\" stands twice" },
                { PARAMETER "[Schedule a]\nCron=@daily\nParameter=dya=today\n",
                  "p:5:11: Parameter=: there is no [Parameter dya]; did you mean day?" },
                { PARAMETER "[Schedule a]\nCron=@daily\nParameter=day=soon\n",
                  "p:5:11: Parameter=: day: \"soon\": a date such as" },
                { PARAMETER "[Schedule a]\nCron=@daily\nParameter=day=today\nParameter=day=\n",
                  "Parameter=: day: \"\": a date" },
                { PARAMETER "[Schedule a]\nCron=@daily\nParameter=day=today\nParameter=day=today\n",
                  "p:6:11: Parameter=: parameter \"day\" stands twice" },
                { PARAMETER "[Schedule a]\nCron=@daily\nParameter=day\n",
                  "p:5:11: Parameter=: NAME=VALUE is expected" },
                { "[Schedule A]\nCron=@daily\n", "p:1:1: \"A\" is no schedule name" },
                { "[Schedule]\nCron=@daily\n",
                  "p:1:2: unknown section [Schedule]: a schedule has a name" },
                { "[Pipe]\nOnCalendar=daily\n", "p:2:1: OnCalendar= stands in [Schedule NAME]" },
                { "[Pipe]\nConcurrencyPolicy=forbid\n",
                  "p:2:1: ConcurrencyPolicy= is about the runs of schedules" },
                { "[Pipe]\nType=streaming\n[Schedule a]\nCron=@daily\n",
                  "p:3:1: [Schedule] does not go with Type=streaming" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                form_is(rows[i].lines, rows[i].want);
}

static void test_json_names_the_schedule(void) {
        static const char json[] =
                "{\"schedules\":[{\"name\":\"a\",\"on_calendar\":[\"daily\",\"never\"],"
                "\"fixed_random_delay\":\"yes\"}],\"tasks\":[{\"name\":\"a\",\"directives\":"
                "[[\"ExecStart\",\"/bin/true\"]]}]}";
        _cleanup_(strv_freep) char **all = NULL;
        _cleanup_(pipe_freep) Pipe *p = NULL;
        Error e = {};

        ok_int(pipe_from_json(json, strlen(json), &p, &e, &all), -EINVAL);
        ok_int(strv_length(all), 2);
        ok_contains(all[0], "schedule \"a\": OnCalendar=: ");
        ok_contains(all[1], "schedule \"a\": FixedRandomDelay=: yes or no is expected");
}

static void test_many(void) {
        Buffer b = {};
        _cleanup_(pipe_freep) Pipe *p = NULL;
        Error e = {};

        for (int i = 0; i <= PIPE_SCHEDULES_MAX; i++)
                (void) buffer_printf(&b, "[Schedule s%d]\nCron=@daily\n", i);
        (void) buffer_append_str(&b, TASK);
        ok_true(pipe_parse("p", b.data, b.size, &p, &e, NULL) < 0);
        ok_contains(e.detail, "more than 32 schedules");
        b.size = 0;
        (void) buffer_append_str(&b, "[Schedule a]\n");
        for (int i = 0; i <= PIPE_EXPRESSIONS_MAX; i++)
                (void) buffer_append_str(&b, "Cron=@daily\n");
        ok_true(pipe_parse("p", b.data, b.size, &p, &e, NULL) < 0);
        ok_contains(e.detail, "p:66:1: Cron= stands more than 64 times");
        buffer_done(&b);
}

static uint64_t at(const char *text) {
        struct tm tm = {};

        (void) strptime(text, "%Y-%m-%d %H:%M:%S", &tm);
        return (uint64_t) timegm(&tm) * USEC_PER_SEC;
}

static const Zone *find(const char *name, void *userdata) {
        return str_eq(name, "Europe/London") ? userdata : NULL;
}

/* The zones are found, or -ENOENT with the name of one that is not. */
static int times_load(const char *on_calendar, const char *cron, const char *zone, Zone *london,
                      ScheduleTimes **ret, const char **ret_name) {
        char *events[] = { (char *) on_calendar, NULL }, *lines[] = { (char *) cron, NULL };
        Error e = {};

        ok_int(schedule_times_new(events, lines, NULL, zone, ret, &e), 0);
        return schedule_times_bind(*ret, find, london, ret_name);
}

static void test_times(void) {
        _cleanup_(schedule_times_freep) ScheduleTimes *t = NULL, *lost = NULL, *never = NULL;
        _cleanup_(zone_freep) Zone *london = NULL;
        const char *name = NULL;
        uint64_t usec = 0;
        Error e = {};

        ok_int(zone_from_json("Europe/London", LONDON, strlen(LONDON), &london, &e), 0);
        ok_int(times_load("Mon 04:00 Europe/London", "30 4 * * *", NULL, london, &t, &name), 0);
        ok_str(schedule_times_home(t)->name, "Europe/London");
        /* 15 July 2024 is a Monday, and in London it is 04:00 an hour before UTC. */
        ok_int(schedule_times_next(t, at("2024-07-14 12:00:00"), &usec), 0);
        ok_true(usec == at("2024-07-15 03:00:00"));
        ok_int(schedule_times_next(t, usec, &usec), 0);
        ok_true(usec == at("2024-07-15 04:30:00"));
        ok_int(schedule_times_previous(t, usec, &usec), 0);
        ok_true(usec == at("2024-07-15 03:00:00"));
        ok_int(schedule_times_previous(t, usec, &usec), 0);
        ok_true(usec == at("2024-07-14 04:30:00"));
        ok_int(times_load("daily", NULL, "Europe/Londn", london, &lost, &name), -ENOENT);
        ok_str(name, "Europe/Londn");
        ok_int(times_load("2024-02-30 00:00:00", NULL, NULL, london, &never, &name), 0);
        ok_int(schedule_times_next(never, at("2020-01-01 00:00:00"), &usec), -ENOENT);
        ok_int(schedule_times_previous(never, at("2030-01-01 00:00:00"), &usec), -ENOENT);
}

/* Each is the last one before the one after it, whatever the distances. */
static void test_previous(void) {
        static const char *const events[] = { "*:0/10", "Sun 01:30", "*-02-29 00:00:00",
                                              "Mon *-05..09~03", "*-*-* *:*:0/20" };
        _cleanup_(zone_freep) Zone *london = NULL;
        Error e = {};

        ok_int(zone_from_json("Europe/London", LONDON, strlen(LONDON), &london, &e), 0);
        for (size_t i = 0; i < ELEMENTSOF(events); i++) {
                _cleanup_(schedule_times_freep) ScheduleTimes *t = NULL;
                uint64_t usec = at("2024-03-31 00:00:00"), next = 0, back = 0;
                const char *name;
                bool right = true;

                ok_int(times_load(events[i], NULL, "Europe/London", london, &t, &name), 0);
                ok_int(schedule_times_next(t, usec, &usec), 0);
                for (int n = 0; n < 30; n++, usec = next)
                        right = right && schedule_times_next(t, usec, &next) >= 0 &&
                                schedule_times_previous(t, next, &back) >= 0 && back == usec;
                ok_true(right);
        }
}

static void test_blackout(void) {
        char *events[] = { (char *) "hourly", NULL };
        char *days[] = { (char *) "*-12-24..26", (char *) "Sat,Sun *-*-*", (char *) "*-*~1", NULL };
        _cleanup_(schedule_times_freep) ScheduleTimes *t = NULL;
        _cleanup_(zone_freep) Zone *london = NULL;
        const char *name;
        Error e = {};

        ok_int(zone_from_json("Europe/London", LONDON, strlen(LONDON), &london, &e), 0);
        ok_int(schedule_times_new(events, NULL, days, "Europe/London", &t, &e), 0);
        ok_int(schedule_times_bind(t, find, london, &name), 0);
        ok_str(schedule_times_blackout(t, at("2024-12-24 00:00:00")), "*-12-24..26");
        ok_str(schedule_times_blackout(t, at("2024-12-26 23:59:59")), "*-12-24..26");
        ok_null(schedule_times_blackout(t, at("2024-12-27 00:00:00")));
        /* Its days begin an hour before those of UTC. */
        ok_null(schedule_times_blackout(t, at("2024-07-12 22:59:59")));
        ok_str(schedule_times_blackout(t, at("2024-07-12 23:00:00")), "Sat,Sun *-*-*");
        ok_null(schedule_times_blackout(t, at("2024-07-14 23:00:00")));
        ok_str(schedule_times_blackout(t, at("2024-07-31 12:00:00")), "*-*~1");
}

static void test_marks(void) {
        _cleanup_(schedule_times_freep) ScheduleTimes *moved = NULL, *merged = NULL;
        _cleanup_(zone_freep) Zone *london = NULL;
        const char *name;
        Error e = {};
        DueMark m;

        ok_int(zone_from_json("Europe/London", LONDON, strlen(LONDON), &london, &e), 0);
        ok_int(times_load("01:30", NULL, "Europe/London", london, &moved, &name), 0);
        m = schedule_times_mark(moved, at("2024-03-31 01:00:00"));
        ok_true(m.skipped == 1 && !m.as_well && !m.repeated);
        m = schedule_times_mark(moved, at("2024-10-27 00:30:00"));
        ok_true(m.skipped == 0 && m.repeated);
        m = schedule_times_mark(moved, at("2024-10-28 01:30:00"));
        ok_true(m.skipped == 0 && !m.repeated);
        ok_int(times_load("*:0/30", NULL, "Europe/London", london, &merged, &name), 0);
        m = schedule_times_mark(merged, at("2024-03-31 01:00:00"));
        ok_true(m.skipped == 2 && m.as_well);
        m = schedule_times_mark(merged, at("2024-10-27 01:00:00")); /* 01:00 GMT, the second time */
        ok_true(m.skipped == 0 && !m.repeated);
}

int main(void) {
        RUN(test_forms);
        RUN(test_refusals);
        RUN(test_json_names_the_schedule);
        RUN(test_many);
        RUN(test_times);
        RUN(test_previous);
        RUN(test_marks);
        RUN(test_blackout);
        return tap_done();
}
