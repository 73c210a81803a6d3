/* The schedules of a pipe: their words, what is wrong with them, and their normal form. When they are due is schedule-times.c's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "calendar.h"
#include "cron.h"
#include "parse.h"
#include "pipe-internal.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"

#define ZONE_NAME_MAX 64

const JsonField pipe_schedule_fields[] = {
        { "name", JSON_TEXT, true, offsetof(PipeSchedule, name), .max = 63 },
        { "on_calendar", JSON_STRV, false, offsetof(PipeSchedule, on_calendar),
          .max = PIPE_EXPRESSIONS_MAX },
        { "cron", JSON_STRV, false, offsetof(PipeSchedule, cron), .max = PIPE_EXPRESSIONS_MAX },
        { "after_pipe", JSON_STRV, false, offsetof(PipeSchedule, after),
          .max = PIPE_EXPRESSIONS_MAX },
        { "after_pipe_failure", JSON_STRV, false, offsetof(PipeSchedule, after_failure),
          .max = PIPE_EXPRESSIONS_MAX },
        { "after_pipe_any", JSON_STRV, false, offsetof(PipeSchedule, after_any),
          .max = PIPE_EXPRESSIONS_MAX },
        { "on_unit_active_sec", JSON_TEXT, false, offsetof(PipeSchedule, on_active), .max = 64 },
        { "on_unit_inactive_sec", JSON_TEXT, false, offsetof(PipeSchedule, on_inactive),
          .max = 64 },
        { "blackout", JSON_STRV, false, offsetof(PipeSchedule, blackouts),
          .max = PIPE_EXPRESSIONS_MAX },
        { "time_zone", JSON_TEXT, false, offsetof(PipeSchedule, time_zone), .max = ZONE_NAME_MAX },
        { "missed_runs", JSON_TEXT, false, offsetof(PipeSchedule, missed_runs), .max = 16 },
        { "starting_deadline_sec", JSON_TEXT, false, offsetof(PipeSchedule, starting_deadline),
          .max = 64 },
        { "randomized_delay_sec", JSON_TEXT, false, offsetof(PipeSchedule, randomized_delay),
          .max = 64 },
        { "fixed_random_delay", JSON_RAW, false, offsetof(PipeSchedule, fixed_random_delay) },
        { "concurrency_policy", JSON_TEXT, false, offsetof(PipeSchedule, concurrency_policy),
          .max = 16 },
        { "expect_by_sec", JSON_TEXT, false, offsetof(PipeSchedule, expect_by), .max = 64 },
        { "parameters", JSON_STRV, false, offsetof(PipeSchedule, parameters),
          .max = PIPE_EXPRESSIONS_MAX },
        {},
};

const PipeWord pipe_schedule_words[PIPE_SCHEDULE_WORDS] = {
        { "OnCalendar", offsetof(PipeSchedule, on_calendar), true, true },
        { "Cron", offsetof(PipeSchedule, cron), true, true },
        { "AfterPipe", offsetof(PipeSchedule, after), true, false },
        { "AfterPipeFailure", offsetof(PipeSchedule, after_failure), true, false },
        { "AfterPipeAny", offsetof(PipeSchedule, after_any), true, false },
        { "OnUnitActiveSec", offsetof(PipeSchedule, on_active), false, false },
        { "OnUnitInactiveSec", offsetof(PipeSchedule, on_inactive), false, false },
        { "Blackout", offsetof(PipeSchedule, blackouts), true, true },
        { "TimeZone", offsetof(PipeSchedule, time_zone), false, false },
        { "Persistent", offsetof(PipeSchedule, persistent), false, false },
        { "MissedRuns", offsetof(PipeSchedule, missed_runs), false, false },
        { "StartingDeadlineSec", offsetof(PipeSchedule, starting_deadline), false, false },
        { "RandomizedDelaySec", offsetof(PipeSchedule, randomized_delay), false, false },
        { "FixedRandomDelay", offsetof(PipeSchedule, fixed_random_delay), false, false },
        { "ConcurrencyPolicy", offsetof(PipeSchedule, concurrency_policy), false, false },
        { "ExpectBySec", offsetof(PipeSchedule, expect_by), false, false },
        { "Parameter", offsetof(PipeSchedule, parameters), true, true },
};

/* A value that is the default need not be said. */
static void settle_default(char **slot, const char *word) {
        if (str_eq(*slot, word)) {
                free(*slot);
                *slot = NULL;
        }
}

static int event_settle(char **expression, size_t *ret_at, Error *e) {
        _cleanup_(calendar_freep) CalendarSpec *event = NULL;
        char *normal = NULL;
        int r = calendar_parse(*expression, &event, ret_at, e);

        if (r >= 0)
                r = calendar_format(event, &normal);
        if (r < 0)
                return r;
        free(*expression);
        *expression = normal;
        return 0;
}

static int cron_settle(char **expression, size_t *ret_at, Error *e) {
        _cleanup_(strv_freep) char **fields = NULL;
        Cron cron;
        char *normal;
        int r = cron_parse(*expression, &cron, ret_at, e);

        if (r >= 0)
                r = strv_split(*expression, " \t\r\n\v\f", &fields);
        if (r < 0)
                return r;
        normal = strv_join(fields, " ");
        if (!normal)
                return -ENOMEM;
        free(*expression);
        *expression = normal;
        return 0;
}

/* A calendar event without a time is a day. */
static int days_settle(char **expression, size_t *ret_at, Error *e) {
        _cleanup_(calendar_freep) CalendarSpec *days = NULL;
        _cleanup_(freep) char *normal = NULL;
        const char *midnight = " 00:00:00";
        size_t size, n = strlen(midnight);
        int r = calendar_parse(*expression, &days, ret_at, e);

        if (r >= 0)
                r = calendar_format(days, &normal);
        if (r < 0)
                return r;
        size = strlen(normal);
        if (calendar_zone(days) || size <= n || !str_eq(normal + size - n, midnight))
                return error_set(e, -EINVAL, "no-day",
                                 "whole days are expected, without a time or a zone, such as "
                                 "*-12-24..26 or Sat,Sun");
        normal[size - n] = '\0';
        free(*expression);
        *expression = TAKE_PTR(normal);
        return 0;
}

static void settle_expressions(PipeCheck *c, size_t i, const char *key, char **expressions,
                               int (*settle)(char **expression, size_t *ret_at, Error *e)) {
        for (size_t k = 0; expressions && expressions[k]; k++) {
                size_t at = 0;
                Error e = {};
                int r = settle(&expressions[k], &at, &e);

                if (r < 0 && e.detail[0])
                        (void) error_prefix(&e, "%s=: ", key);
                pipe_object(c, PLACE_EXPRESSION(i, key, k, at), r, &e);
        }
}

/* Whether there is such a zone is for the database to say. */
static int zone_check(const char *zone, Error *e) {
        static const char letters[] =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/+-";
        size_t n = zone ? strlen(zone) : 1;

        if (!zone || (n > 0 && n <= ZONE_NAME_MAX && strspn(zone, letters) == n))
                return 0;
        return error_set(e, -EINVAL, "bad-value",
                         "TimeZone=: a name of the tz database such as Europe/London is expected");
}

static int boolean_check(const char *key, const char *value, Error *e) {
        bool is;

        return !value || parse_bool(value, &is) >= 0
                       ? 0
                       : error_set(e, -EINVAL, "bad-value", "%s=: yes or no is expected", key);
}

/* Persistent=yes is systemd's word for the last of the missed runs. */
static int persistent_settle(PipeSchedule *s, Error *e) {
        bool is = false;
        int r;

        if (!s->persistent)
                return 0;
        if (s->missed_runs)
                return error_set(e, -EINVAL, "duplicate-key",
                                 "Persistent= and MissedRuns= say the same: one of them is enough");
        r = boolean_check("Persistent", s->persistent, e);
        if (r < 0)
                return r;
        (void) parse_bool(s->persistent, &is);
        if (is)
                r = str_replace(&s->missed_runs, "last");
        free(s->persistent);
        s->persistent = NULL;
        return r;
}

static int fixed_settle(PipeSchedule *s, Error *e) {
        bool is = false;
        int r = boolean_check("FixedRandomDelay", s->fixed_random_delay, e);

        if (r < 0 || !s->fixed_random_delay)
                return r;
        (void) parse_bool(s->fixed_random_delay, &is);
        if (is && !s->randomized_delay)
                return error_set(e, -EINVAL, "no-delay",
                                 "FixedRandomDelay= goes with RandomizedDelaySec= only");
        if (is)
                return str_replace(&s->fixed_random_delay, "yes");
        free(s->fixed_random_delay);
        s->fixed_random_delay = NULL;
        return 0;
}

static const char *const missed[] = { "none", "last", "all", NULL };
const PipeRule pipe_schedule_rules[] = {
        { "MissedRuns", offsetof(PipeSchedule, missed_runs), missed },
        { "ConcurrencyPolicy", offsetof(PipeSchedule, concurrency_policy), pipe_policies },
        {},
};

static void check_words(PipeCheck *c, size_t i) {
        PipeSchedule *s = pipe_schedule(c->pipe, i);
        Error e = {};

#define CHECK(key, call) pipe_object(c, PLACE_SCHEDULE(i, key), call, &e)
        CHECK("Persistent", persistent_settle(s, &e));
        pipe_check_rules(c, pipe_schedule_rules, PLACE_SCHEDULE(i, NULL), s);
        CHECK("TimeZone", zone_check(s->time_zone, &e));
        CHECK("StartingDeadlineSec",
              pipe_check_span("StartingDeadlineSec", s->starting_deadline, &e));
        CHECK("RandomizedDelaySec", pipe_check_span("RandomizedDelaySec", s->randomized_delay, &e));
        CHECK("FixedRandomDelay", fixed_settle(s, &e));
        CHECK("ExpectBySec", pipe_check_span("ExpectBySec", s->expect_by, &e));
#undef CHECK
        settle_default(&s->missed_runs, "none");
        settle_default(&s->time_zone, "UTC");
}

static void check_name(PipeCheck *c, size_t i) {
        const char *name = pipe_schedule(c->pipe, i)->name;
        Error e = {};
        int r = 0;

        if (pipe_name_check(name) < 0)
                r = error_set(&e, -EINVAL, "bad-name",
                              "\"%.64s\" is no schedule name: a-z, 0-9, _ and -, at most 63", name);
        for (size_t k = 0; r >= 0 && k < i; k++)
                if (str_eq(pipe_schedule(c->pipe, k)->name, name))
                        r = error_set(&e, -EINVAL, "duplicate-schedule",
                                      "schedule \"%s\" stands twice", name);
        pipe_object(c, PLACE_SCHEDULE(i, NULL), r, &e);
}

static size_t name_size(const char *assignment) {
        return strcspn(assignment, "=");
}

static void check_parameters(PipeCheck *c, size_t i) {
        char *const *parameters = pipe_schedule(c->pipe, i)->parameters;

        for (size_t k = 0; parameters && parameters[k]; k++) {
                size_t n = name_size(parameters[k]);
                Error e = {};
                int r = pipe_check_assignment(c->pipe, parameters[k], &e);

                for (size_t before = 0; r >= 0 && before < k; before++)
                        if (n == name_size(parameters[before]) &&
                            strncmp(parameters[before], parameters[k], n) == 0)
                                r = error_set(&e, -EINVAL, "duplicate-parameter",
                                              "parameter \"%.*s\" stands twice", (int) n,
                                              parameters[k]);
                if (r < 0 && e.detail[0])
                        (void) error_prefix(&e, "Parameter=: ");
                pipe_object(c, PLACE_EXPRESSION(i, "Parameter", k, 0), r, &e);
        }
}

static void check_names(PipeCheck *c, size_t i, const char *key, char *const *names) {
        STRV_FOREACH(name, names) {
                Error e = {};
                int r = 0;

                if (pipe_name_check(*name) < 0)
                        r = error_set(&e, -EINVAL, "bad-name", "%s=: \"%.64s\" is no pipe name",
                                      key, *name);
                for (char *const *other = names; r >= 0 && other < name; other++)
                        if (str_eq(*other, *name))
                                r = error_set(&e, -EINVAL, "duplicate-pipe",
                                              "%s=: \"%s\" stands twice", key, *name);
                pipe_object(c, PLACE_SCHEDULE(i, key), r, &e);
        }
}

/* Runs at times, after other pipes, or after its own. */
static int occasion_check(const PipeSchedule *s, const char **ret_key, Error *e) {
        bool timed = s->on_calendar || s->cron, paced = s->on_active || s->on_inactive;
        bool caused = s->after || s->after_failure || s->after_any;
        int kinds = timed + paced + caused;

        *ret_key = NULL;
        if (kinds == 0)
                return error_set(e, -EINVAL, "no-time",
                                 "schedule \"%s\" has neither OnCalendar= nor Cron=, AfterPipe= or "
                                 "OnUnitActiveSec=",
                                 s->name);
        if (kinds > 1)
                return error_set(e, -EINVAL, "two-occasions",
                                 "schedule \"%s\" runs at %s and %s: that is two schedules, "
                                 "[Schedule NAME] for each",
                                 s->name, timed ? "times" : "intervals",
                                 caused ? "after a pipe" : "at intervals");
        *ret_key = "OnUnitInactiveSec";
        if (s->on_active && s->on_inactive)
                return error_set(e, -EINVAL, "two-intervals",
                                 "OnUnitInactiveSec=: stands beside OnUnitActiveSec=: one of them "
                                 "says when it is due");
        *ret_key = "Blackout";
        if (!timed && s->blackouts)
                return error_set(e, -EINVAL, "no-due-times",
                                 "Blackout=: goes with OnCalendar= and Cron= only; what is not due "
                                 "by the calendar may be paused");
        *ret_key = s->persistent ? "Persistent" : "MissedRuns";
        if (!timed && (s->missed_runs || s->persistent))
                return error_set(
                        e, -EINVAL, "nothing-missed",
                        "%s=: goes with OnCalendar= and Cron= only; nothing else is missed",
                        *ret_key);
        return 0;
}

/* At least a second. */
static int interval_check(const char *key, const char *value, Error *e) {
        uint64_t usec = 0;
        int r = pipe_check_span(key, value, e);

        if (r < 0 || !value)
                return r;
        r = timespan_parse(value, &usec);
        return r < 0 || usec >= USEC_PER_SEC
                       ? r
                       : error_set(e, -EINVAL, "bad-value", "%s=: at least 1s is expected", key);
}

static void check_schedule(PipeCheck *c, size_t i) {
        PipeSchedule *s = pipe_schedule(c->pipe, i);
        const char *key;
        Error e = {};
        int r;

        check_name(c, i);
        r = occasion_check(s, &key, &e);
        pipe_object(c, PLACE_SCHEDULE(i, key), r, &e);
        check_names(c, i, "AfterPipe", s->after);
        check_names(c, i, "AfterPipeFailure", s->after_failure);
        check_names(c, i, "AfterPipeAny", s->after_any);
        r = interval_check("OnUnitActiveSec", s->on_active, &e);
        pipe_object(c, PLACE_SCHEDULE(i, "OnUnitActiveSec"), r, &e);
        r = interval_check("OnUnitInactiveSec", s->on_inactive, &e);
        pipe_object(c, PLACE_SCHEDULE(i, "OnUnitInactiveSec"), r, &e);
        settle_expressions(c, i, "OnCalendar", s->on_calendar, event_settle);
        settle_expressions(c, i, "Cron", s->cron, cron_settle);
        settle_expressions(c, i, "Blackout", s->blackouts, days_settle);
        check_parameters(c, i);
        check_words(c, i);
}

void pipe_check_schedules(PipeCheck *c) {
        const Pipe *p = c->pipe;
        Error e = {};

        for (size_t i = 0; i < p->schedules.count && c->trouble >= 0; i++)
                check_schedule(c, i);
        if (p->schedules.count == 0 && p->concurrency_policy &&
            !str_eq(p->concurrency_policy, "allow"))
                pipe_object(
                        c, PLACE_PIPE("ConcurrencyPolicy"),
                        error_set(&e, -EINVAL, "no-schedule",
                                  "ConcurrencyPolicy= is about the runs of schedules, and there "
                                  "is no [Schedule NAME]; ConcurrencyLimit=1 is for all runs"),
                        &e);
}

static void expressions_out(JsonOut *o, const char *key, char *const *expressions) {
        if (!expressions || !*expressions)
                return;
        json_out_array(o, key);
        STRV_FOREACH(x, expressions)
                json_out_text(o, NULL, *x);
        json_out_end_array(o);
}

static void word_out(JsonOut *o, const char *key, const char *value) {
        if (value)
                json_out_text(o, key, value);
}

static void schedule_out(JsonOut *o, const PipeSchedule *s) {
        json_out_object(o, NULL);
        json_out_text(o, "name", s->name);
        expressions_out(o, "on_calendar", s->on_calendar);
        expressions_out(o, "cron", s->cron);
        expressions_out(o, "after_pipe", s->after);
        expressions_out(o, "after_pipe_failure", s->after_failure);
        expressions_out(o, "after_pipe_any", s->after_any);
        word_out(o, "on_unit_active_sec", s->on_active);
        word_out(o, "on_unit_inactive_sec", s->on_inactive);
        expressions_out(o, "blackout", s->blackouts);
        word_out(o, "time_zone", s->time_zone);
        word_out(o, "missed_runs", s->missed_runs);
        word_out(o, "starting_deadline_sec", s->starting_deadline);
        word_out(o, "randomized_delay_sec", s->randomized_delay);
        if (s->fixed_random_delay)
                json_out_bool(o, "fixed_random_delay", true);
        word_out(o, "concurrency_policy", s->concurrency_policy);
        word_out(o, "expect_by_sec", s->expect_by);
        expressions_out(o, "parameters", s->parameters);
        json_out_end_object(o);
}

void pipe_schedules_out(const Pipe *p, JsonOut *o) {
        if (p->schedules.count == 0)
                return;
        json_out_array(o, "schedules");
        for (size_t i = 0; i < p->schedules.count; i++)
                schedule_out(o, pipe_schedule(p, i));
        json_out_end_array(o);
}

int pipe_schedule_times(const Pipe *p, size_t i, const char **ret_name, ScheduleTimes **ret) {
        const PipeSchedule *s = i < p->schedules.count ? pipe_schedule(p, i) : NULL;

        if (!s)
                return -ENOENT;
        *ret_name = s->name;
        if (!s->on_calendar && !s->cron) {
                *ret = NULL;
                return 0;
        }
        return schedule_times_new(s->on_calendar, s->cron, s->blackouts, s->time_zone, ret, NULL);
}
