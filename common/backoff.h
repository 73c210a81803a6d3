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
/* The next delay where a server has asked for one, with Retry-After for instance: no shorter than that, but for what is above a minute, which
 * would keep a fleet away long after the trouble is over. */
uint64_t backoff_next_asked_usec(Backoff *b, unsigned asked_sec);
static inline void backoff_reset(Backoff *b) {
        b->tries = 0;
}
