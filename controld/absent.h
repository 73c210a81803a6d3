/* Instances whose connection broke while their poll was held. Who does not come back within some seconds is reported to the
 * database, in batches; who does is forgotten. */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

#include "pg.h"

typedef struct Absent Absent;

extern const Statement statement_presence_broke;

int absent_new(sd_event *event, Pg *pg, uint64_t grace_usec, Absent **ret);
Absent *absent_free(Absent *a);

void absent_broke(Absent *a, const char *instance);
void absent_back(Absent *a, const char *instance);
