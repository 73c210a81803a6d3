/* Schedules and what became of their due times, as structs; see shapes.h. */
#pragma once

#include "shapes.h"

typedef struct ScheduleSpec {
        char **on_calendar, **cron, **after_pipe, **after_pipe_failure, **after_pipe_any,
                **blackout;
        char *time_zone, *missed_runs, *starting_deadline_sec, *randomized_delay_sec,
                *on_unit_active_sec, *on_unit_inactive_sec, *expect_by_sec;
        bool fixed_random_delay;
} ScheduleSpec;

typedef struct SchedulePause {
        char *since, *until, *by, *reason; /* since NULL: it is not paused */
} SchedulePause;

typedef struct ScheduleLate {
        char *since, *due_at, *reason; /* since NULL: it is not late */
} ScheduleLate;

typedef struct Due {
        char *due_at, *until_at, *state, *run, *run_state, *skipped, *reason, *begin_at, *caused_by;
        uint32_t count;
} Due;

typedef struct Schedule {
        char *project, *pipe, *name, *concurrency_policy, *next_at, *next_blackout, *waits_run,
                *last_run, *last_run_state, *last_run_at, *error, *error_at, *removed_at;
        uint32_t waiting;
        char **notes;
        ScheduleSpec spec;
        SchedulePause paused;
        ScheduleLate late;
        Due last; /* due_at NULL: none yet */
} Schedule;

typedef struct BackfillDue {
        char *due_at, *run, *run_state, *passed_over;
} BackfillDue;

typedef struct Backfill {
        char *backfill, *pipe, *schedule, *from, *to, *state, *reason, *created_by, *created_at;
        uint32_t concurrency, total, passed_over, waiting, running, succeeded, failed;
        JsonArray dues; /* BackfillDue; empty in lists */
} Backfill;

typedef struct Event {
        char *kind, *pipe, *schedule, *due_at, *at, *words;
} Event;

extern const JsonField schedule_fields[], schedule_page_fields[], due_page_fields[],
        backfill_fields[], backfill_page_fields[], event_page_fields[];
