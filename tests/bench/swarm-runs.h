/* The runs that the swarm has created, by id: when they were asked for, and when an agent had them. Bounded: what does not fit is
 * not timed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "id.h"
#include "swarm-stats.h"

typedef struct Runs Runs;

int runs_new(uint32_t count, uint32_t cancel_percent, Stats *stats, Runs **ret);
Runs *runs_free(Runs *r);

/* Either may come first: the agent can have a run before the answer that names it is here. */
void runs_created(Runs *r, Id run, uint64_t sent_usec, uint64_t answered_usec);
void runs_got(Runs *r, Id run, uint64_t now_usec);

/* Whether this run is one of those to cancel; the id alone decides. */
bool runs_to_cancel(const Runs *r, Id run);
void runs_cancelled(Runs *r, Id run, uint64_t sent_usec);
void runs_stopped(Runs *r, Id run, uint64_t now_usec);
