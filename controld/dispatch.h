/* The look at the queue that a notification asks for. */
#pragma once

#include <systemd/sd-event.h>

#include "pg.h"

typedef struct Dispatch Dispatch;

extern const Statement statement_dispatch;

int dispatch_new(sd_event *event, Pg *pg, Dispatch **ret);
Dispatch *dispatch_free(Dispatch *d);

/* Begins one, or sees to it that one begins after the one that is under way. */
void dispatch_look(Dispatch *d);
