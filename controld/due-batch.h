/* The work on schedules that api.schedules_due() has given: which of their due times have come, and which is next; and of backfills,
 * which due times are in their range. Everything that is decided about them is decided by the database, which gets this back (sql/api/due.sql). No I/O, no clock. */
#pragma once

#include "cleanup.h"
#include "error.h"
#include "zones.h"

#define DUE_KEPT                                                                                   \
        100 /* of the due times that are looked at together; others before them are a number */
#define DUE_LOOK_MAX 10000    /* times of a schedule that are worked out at once */
#define DUE_BACKFILL_MAX 1000 /* due times of a backfill */
#define DUE_WORK_MAX 20000    /* times that are worked out in one go; an item is not begun beyond */

typedef struct DueBatch DueBatch;

/* -EINVAL with words, or -ENOMEM. */
int due_batch_new(const char *json, DueBatch **ret, Error *e);
DueBatch *due_batch_free(DueBatch *b);
DEFINE_SCOPE_EXIT(DueBatch, due_batch_free)

/* Adds the zones, up to max, that the database has to be asked for first. */
int due_batch_zones(const DueBatch *b, const Zones *z, uint64_t now_usec, size_t max,
                    char ***names);

/* The next part of the work, for api.schedules_fire(); 0 when all is done, 1 with *ret, which the caller owns. */
int due_batch_work(DueBatch *b, Zones *z, char **ret);
