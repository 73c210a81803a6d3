/* Attempts that this host has let go of lately. An answer that was on its way for long may still speak of them: to start one
 * again would be to run it twice. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "id.h"

typedef struct PastAttempt {
        Id id;
        uint32_t epoch;
        uint64_t usec; /* monotonic */
} PastAttempt;

typedef struct Past {
        PastAttempt *items; /* owned: a ring of `size` */
        size_t size, first, count;
} Past;

/* Longer than any request is under way. Older ones are forgotten. */
#define PAST_USEC (180ULL * 1000000)
#define PAST_MAX 65536U /* then the oldest goes */

int past_add(Past *p, Id id, uint32_t epoch, uint64_t now_usec);
bool past_has(const Past *p, Id id, uint32_t epoch);
void past_done(Past *p);
