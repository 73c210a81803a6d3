/* The fields of schedules. */
#include "schedule-shapes.h"

#include "fields.h"

static const JsonField spec_fields[] = {
        { "on_calendar", JSON_STRV, false, offsetof(ScheduleSpec, on_calendar) },
        { "cron", JSON_STRV, false, offsetof(ScheduleSpec, cron) },
        { "after_pipe", JSON_STRV, false, offsetof(ScheduleSpec, after_pipe) },
        { "after_pipe_failure", JSON_STRV, false, offsetof(ScheduleSpec, after_pipe_failure) },
        { "after_pipe_any", JSON_STRV, false, offsetof(ScheduleSpec, after_pipe_any) },
        { "blackout", JSON_STRV, false, offsetof(ScheduleSpec, blackout) },
        T(ScheduleSpec, time_zone),
        T(ScheduleSpec, missed_runs),
        T(ScheduleSpec, starting_deadline_sec),
        T(ScheduleSpec, randomized_delay_sec),
        T(ScheduleSpec, expect_by_sec),
        T(ScheduleSpec, on_unit_active_sec),
        T(ScheduleSpec, on_unit_inactive_sec),
        { "fixed_random_delay", JSON_BOOL, false, offsetof(ScheduleSpec, fixed_random_delay) },
        {},
};

static const JsonField pause_fields[] = {
        T(SchedulePause, since),
        T(SchedulePause, until),
        T(SchedulePause, by),
        T(SchedulePause, reason),
        {},
};

static const JsonField late_fields[] = {
        T(ScheduleLate, since),
        T(ScheduleLate, due_at),
        T(ScheduleLate, reason),
        {},
};

static const JsonField due_fields[] = {
        T(Due, due_at),
        T(Due, until_at),
        T(Due, state),
        T(Due, run),
        T(Due, run_state),
        T(Due, skipped),
        T(Due, reason),
        T(Due, begin_at),
        T(Due, caused_by),
        N32(Due, count),
        {},
};

const JsonField schedule_fields[] = {
        T(Schedule, project),
        MUST(Schedule, pipe),
        MUST(Schedule, name),
        T(Schedule, concurrency_policy),
        T(Schedule, next_at),
        T(Schedule, next_blackout),
        T(Schedule, waits_run),
        T(Schedule, last_run),
        T(Schedule, last_run_state),
        T(Schedule, last_run_at),
        T(Schedule, error),
        T(Schedule, error_at),
        T(Schedule, removed_at),
        N32(Schedule, waiting),
        { "notes", JSON_STRV, false, offsetof(Schedule, notes) },
        OBJECT(Schedule, spec, spec_fields),
        OBJECT(Schedule, paused, pause_fields),
        OBJECT(Schedule, late, late_fields),
        OBJECT(Schedule, last, due_fields),
        {},
};

PAGE(schedule_page_fields, schedule_fields, Schedule);
PAGE(due_page_fields, due_fields, Due);

static const JsonField backfill_due_fields[] = {
        MUST(BackfillDue, due_at),
        T(BackfillDue, run),
        T(BackfillDue, run_state),
        T(BackfillDue, passed_over),
        {},
};

const JsonField backfill_fields[] = {
        MUST(Backfill, backfill),
        MUST(Backfill, pipe),
        MUST(Backfill, schedule),
        MUST(Backfill, state),
        T(Backfill, from),
        T(Backfill, to),
        T(Backfill, reason),
        T(Backfill, created_by),
        T(Backfill, created_at),
        N32(Backfill, concurrency),
        N32(Backfill, total),
        N32(Backfill, passed_over),
        N32(Backfill, waiting),
        N32(Backfill, running),
        N32(Backfill, succeeded),
        N32(Backfill, failed),
        ARRAY(Backfill, dues, backfill_due_fields, BackfillDue),
        {},
};

PAGE(backfill_page_fields, backfill_fields, Backfill);

static const JsonField event_fields[] = {
        MUST(Event, kind),
        T(Event, pipe),
        T(Event, schedule),
        T(Event, due_at),
        T(Event, at),
        T(Event, words),
        {},
};

PAGE(event_page_fields, event_fields, Event);
