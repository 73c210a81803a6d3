/* Looks after schedules that the database says are due to be looked at: asks for some, works out their times, and gives the times
 * back. Asked by the ticker; every worker does it, and who was faster is decided by the database. */
#pragma once

#include <systemd/sd-event.h>

#include "pg.h"

typedef struct Schedules Schedules;

extern const Statement statement_schedules_due, statement_zones, statement_schedules_fire;

/* done: something was given back, so there may be more, and what is due by the clock is something else. */
int schedules_new(sd_event *event, Pg *pg, void (*done)(void *userdata), void *userdata,
                  Schedules **ret);
Schedules *schedules_free(Schedules *s);

/* Looks, unless it is looking. */
void schedules_look(Schedules *s);
