/* Says in the journal what people want to hear of: events that the database has and that are in no journal yet. Every worker asks when
 * it is told that there are some; each is given to one of them. */
#pragma once

#include "cleanup.h"
#include "pg.h"

typedef struct Teller Teller;

extern const Statement statement_events_tell;

int teller_new(sd_event *event, Pg *pg, Teller **ret);
Teller *teller_free(Teller *t);

/* Asks, unless it is asking; then once more. */
void teller_look(Teller *t);
