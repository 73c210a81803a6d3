/* Long polls: how they are asked, and what keeps them from turning into a busy loop. */
#pragma once

#include <stdint.h>
#include <time.h>

#define POLL_WAIT "wait=50"
#define POLL_TIMEOUT_SEC 75U

/* To be taken when a poll is sent. */
static inline uint64_t poll_now_msec(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}

/* The delay of the next poll: none, but for a server that answered at once with nothing new. */
static inline unsigned poll_delay_msec(uint64_t sent_msec) {
        return poll_now_msec() - sent_msec < 1000 ? 1000 : 0;
}
