/* What the swarm counts and times. A histogram has 32 buckets for each power of two: values are right to 3 %. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "json-out.h"

#define HISTOGRAM_BUCKETS (40 * 32)

typedef struct Histogram {
        uint64_t count, sum, max;
        uint32_t buckets[HISTOGRAM_BUCKETS];
} Histogram;

void histogram_add(Histogram *h, uint64_t usec);
/* The value that this part (0 to 1) of all is not above; 0 when there is none. */
uint64_t histogram_quantile(const Histogram *h, double part);

typedef struct Stats {
        /* connections */
        uint64_t connects, connect_failures, losses, request_failures, bytes_in, bytes_out;
        uint64_t refusals; /* answers of 400 and above */
        uint64_t polls, reports, chunks;
        /* faults that were played */
        uint64_t lost_answers, repeats, refused_tasks, delays;
        /* attempts */
        uint64_t submitted, dispatched, ended, dropped, stops, cleaned, offered_again, cancels;
        Histogram handshake, enroll, created_to_got, answered_to_got, cancel_to_stop, submit,
                report, got_to_ended;
} Stats;

/* A histogram as an object member: count, p50, p90, p99, max and mean, in microseconds. */
void stats_write_histogram(JsonOut *o, const char *key, const Histogram *h);
void stats_write_counts(JsonOut *o, const Stats *s);
void stats_print(FILE *to, const Stats *s);
