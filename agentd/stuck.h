/* Looks now and then whether the processes that PID 1 could not kill are gone. Nothing tells: PID 1 has done with them. */
#pragma once

#include <systemd/sd-event.h>

#include "attempt.h"

typedef struct Stuck Stuck;

int stuck_new(sd_event *event, AttemptTable *attempts, Stuck **ret);
Stuck *stuck_free(Stuck *s);
/* There is one more. */
void stuck_watch(Stuck *s);
