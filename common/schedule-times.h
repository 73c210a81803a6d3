/* When a schedule is due: its expressions together (docs/schedules.md). A due time that several of them have is one. No I/O, no clock,
 * no tz database: the caller brings the zones. Times are microseconds since the epoch. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"
#include "error.h"
#include "zone.h"

typedef struct ScheduleTimes ScheduleTimes;

/* Expressions as OnCalendar= and Cron= have them, at least one in all; blackouts as Blackout= has them; time_zone NULL: UTC. -EINVAL
 * with words, or -ENOMEM. */
int schedule_times_new(char *const *on_calendar, char *const *cron, char *const *blackouts,
                       const char *time_zone, ScheduleTimes **ret, Error *e);
ScheduleTimes *schedule_times_free(ScheduleTimes *t);
DEFINE_SCOPE_EXIT(ScheduleTimes, schedule_times_free)

/* The zone of the i-th expression, which may be the same as another's; NULL behind the last. UTC is among them and need not be
 * found. */
const char *schedule_times_zone(const ScheduleTimes *t, size_t i);

/* Finds all zones; they are borrowed for as long as t is asked. -ENOENT when one is not found; *ret_name is its name. */
typedef const Zone *(*zone_find_t)(const char *name, void *userdata);
int schedule_times_bind(ScheduleTimes *t, zone_find_t find, void *userdata, const char **ret_name);

/* The next functions are for bound ones. The first due time after this one; -ENOENT when it is never due again. */
int schedule_times_next(const ScheduleTimes *t, uint64_t after_usec, uint64_t *ret_usec);
/* The last due time before this one; -ENOENT when there is none. */
int schedule_times_previous(const ScheduleTimes *t, uint64_t before_usec, uint64_t *ret_usec);

/* The zone in which a person reads its times: TimeZone=, or that of the first expression. */
const Zone *schedule_times_home(const ScheduleTimes *t);

/* What the clocks have to do with a due time. */
typedef struct DueMark {
        unsigned skipped; /* so many local times that were skipped are due at it */
        bool as_well;     /* and so is the local time that it is */
        bool repeated;    /* the local time comes once more, and is not due then */
} DueMark;

DueMark schedule_times_mark(const ScheduleTimes *t, uint64_t due_usec);

/* The blackout that a due time falls on, by the days of the home zone; NULL: none. Borrowed. */
const char *schedule_times_blackout(const ScheduleTimes *t, uint64_t due_usec);
