/* Retry delays. The jitter need not be secret, only different on every host. */
#include "backoff.h"

#include <sys/random.h>

#include "timespan.h"

#define ASKED_MAX_SEC 60U

uint64_t backoff_next_usec(Backoff *b) {
        uint64_t whole = b->first_usec;
        uint64_t random = 0;

        for (unsigned i = 0; i < b->tries && whole < b->limit_usec; i++)
                whole *= 2;
        if (whole > b->limit_usec)
                whole = b->limit_usec;
        b->tries++;

        (void) !getrandom(&random, sizeof(random), GRND_NONBLOCK);
        return whole / 2 + random % (whole / 2 + 1);
}

/* What is above it stays jittered. */
uint64_t backoff_next_asked_usec(Backoff *b, unsigned asked_sec) {
        uint64_t asked = (asked_sec < ASKED_MAX_SEC ? asked_sec : ASKED_MAX_SEC) * USEC_PER_SEC;
        uint64_t usec = backoff_next_usec(b);

        return usec < asked ? asked + usec / 4 : usec;
}
