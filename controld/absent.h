/* Instances whose connection broke, the one of their last poll. Who does not come back at once is reported to the database, in
 * batches; who does is forgotten. */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

#include "pg.h"
#include "timespan.h"

typedef struct Absent Absent;

extern const Statement statement_presence_broke;

/* Within gather_usec those who come back are not told of, and those who do not are told of together. */
#define ABSENT_GATHER_USEC (50 * USEC_PER_MSEC)
int absent_new(sd_event *event, Pg *pg, uint64_t gather_usec, Absent **ret);
Absent *absent_free(Absent *a);

void absent_broke(Absent *a, const char *instance);
void absent_back(Absent *a, const char *instance);
