/* A time zone as plain numbers: from which instant on which offset from UTC counts. PostgreSQL owns the tz database, so that every
 * controld agrees; sluice.zone_transitions() (sql/api/zone.sql) makes what zone_from_json() reads. No I/O here, no clock.
 *
 * Instants are microseconds since 1970-01-01 00:00 UTC. Local times are counted the same way, as if the clock on the wall were
 * UTC's: 1970-01-01 00:00 on the wall is 0, wherever the wall. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"
#include "error.h"

#define ZONE_TRANSITIONS_MAX 1024U
#define ZONE_OFFSET_SEC_MAX (26 * 3600)

typedef struct ZoneTransition {
        int64_t utc_usec;   /* from this instant on */
        int32_t offset_sec; /* local time minus UTC */
} ZoneTransition;

typedef struct Zone {
        char *name;                  /* owned */
        ZoneTransition *transitions; /* owned; sorted, no instant twice */
        size_t count;
        int32_t offset_before_sec; /* before the first transition */
} Zone;

extern const Zone zone_utc;

/* Reads [[epoch seconds, offset in seconds], …] in ascending order, 1 to ZONE_TRANSITIONS_MAX of them; the offset of the first counts
 * before it as well, the offset of the last for ever. -EINVAL, -ERANGE or -ENOMEM, with words. */
int zone_from_json(const char *name, const char *json, size_t size, Zone **ret, Error *e);
Zone *zone_free(Zone *z);
DEFINE_SCOPE_EXIT(Zone, zone_free)

/* The latest local time that the clocks have shown at any instant up to this one, and at it. */
int64_t zone_local_reached(const Zone *z, int64_t utc_usec);

/* The first instant at which the clocks show this local time or a later one: of a repeated local time the first occurrence, of a
 * skipped one the moment of the transition. Together with zone_local_reached() these are the rules of docs/schedules.md. */
int64_t zone_first_instant(const Zone *z, int64_t local_usec);

/* Local time minus UTC at this instant. */
int32_t zone_offset_sec(const Zone *z, int64_t utc_usec);

/* Whether the clocks jump forward at this instant: the local times from the one up to the other are left out. */
bool zone_gap(const Zone *z, int64_t utc_usec, int64_t *ret_from, int64_t *ret_until);

/* Whether the clocks will show the local time of this instant once more. */
bool zone_repeats(const Zone *z, int64_t utc_usec);
