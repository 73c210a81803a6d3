/* Delays between retries: exponential, jittered, capped, so that a fleet does not return in step. */
#pragma once

#include <stdint.h>

typedef struct Backoff {
        uint64_t first_usec;
        uint64_t limit_usec;
        unsigned tries;
} Backoff;

/* The next delay: between half and the whole of first * 2^tries, never above the limit. Counts the try. */
uint64_t backoff_next_usec(Backoff *b);
static inline void backoff_reset(Backoff *b) {
        b->tries = 0;
}
