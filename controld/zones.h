/* The time zones that schedules are in, as the database has them (sql/api/zone.sql). Kept by each worker for an hour, since the tz
 * database may be changed under a PostgreSQL that is started anew. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"
#include "zone.h"

typedef struct Zones Zones;

int zones_new(Zones **ret);
Zones *zones_free(Zones *z);
DEFINE_SCOPE_EXIT(Zones, zones_free)

/* Whether the database has to be asked for it, at this time of CLOCK_BOOTTIME. */
bool zones_wants(const Zones *z, const char *name, uint64_t now_usec);
/* NULL when there is none; it stays until the next zones_take(). Fits schedule_times_bind(). */
const Zone *zones_find(const char *name, void *zones);
/* Why there is none; never NULL. */
const char *zones_error(const Zones *z, const char *name);

/* Reads the answer of api.zones() to a question for these names. What it does not say is wrong for a while. -EINVAL or -ENOMEM. */
int zones_take(Zones *z, char *const *names, const char *json, uint64_t now_usec);
