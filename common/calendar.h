/* Calendar events in the syntax of systemd.time(7), "Mon..Fri *-*-* 02:00 Europe/London": the value of OnCalendar=. What is taken
 * and its normal form are those of systemd 252 (`systemd-analyze calendar`); when they are due around changes of the clocks is
 * docs/schedules.md. No I/O, no clock, no tz database: the caller brings the zone. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"
#include "error.h"
#include "zone.h"

typedef struct CalendarSpec CalendarSpec;

/* -EINVAL (slug "bad-calendar") with words, and in *ret_at the byte of the text that they are about; or -ENOMEM. */
int calendar_parse(const char *text, CalendarSpec **ret, size_t *ret_at, Error *e);
CalendarSpec *calendar_free(CalendarSpec *c);
DEFINE_SCOPE_EXIT(CalendarSpec, calendar_free)

/* The zone that stands in the text: "UTC", or a name that looks like one of the tz database (whether it exists is for the database
 * to say); NULL when there is none. Borrowed from the spec. */
const char *calendar_zone(const CalendarSpec *c);

/* The normal form, for example "Mon..Fri *-*-* 02:00:00 Europe/London". The caller owns *ret. -ENOMEM. */
int calendar_format(const CalendarSpec *c, char **ret);

/* The first due instant strictly after this one, both in microseconds since the epoch, in this zone whatever zone the text has.
 * -ENOENT when it is never due again (systemd's years end with 2199). */
int calendar_next(const CalendarSpec *c, const Zone *z, uint64_t after_usec, uint64_t *ret_usec);
