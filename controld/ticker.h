/* What is due by the database's clock: asked for when a commit has changed when that is, and when the time has come. */
#pragma once

#include <systemd/sd-event.h>

#include "pg.h"

typedef struct Ticker Ticker;

extern const Statement statement_tick;

int ticker_new(sd_event *event, Pg *pg, Ticker **ret);
Ticker *ticker_free(Ticker *t);

/* Asks, or sees to it that it is asked once more after the question that is under way. */
void ticker_look(Ticker *t);
