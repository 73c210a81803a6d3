/* One sample of each running attempt at a fixed interval. Samples that cannot be delivered are dropped: the final accounting
 * does not depend on them. */
#pragma once

#include "attempt.h"
#include "link.h"

typedef struct Sampler Sampler;

int sampler_new(sd_event *event, Link *link, AttemptTable *attempts, uint64_t interval_usec,
                Sampler **ret);
Sampler *sampler_free(Sampler *s);
DEFINE_SCOPE_EXIT(Sampler, sampler_free)

/* Something runs: samples are taken from now on, until nothing runs. */
void sampler_kick(Sampler *s);
