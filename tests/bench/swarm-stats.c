/* Counting and timing, and how it is shown. */
#include "swarm-stats.h"

#include <inttypes.h>
#include <stddef.h>

#include "cleanup.h"

#define SUB_BITS 5U
#define SUB (1U << SUB_BITS)

static unsigned bucket_of(uint64_t value) {
        unsigned shift, index;

        if (value < SUB)
                return (unsigned) value;
        shift = 63U - (unsigned) __builtin_clzll(value) - SUB_BITS;
        index = (shift + 1) * SUB + (unsigned) ((value >> shift) - SUB);
        return index < HISTOGRAM_BUCKETS ? index : HISTOGRAM_BUCKETS - 1;
}

/* The largest value that falls into the bucket. */
static uint64_t bucket_top(unsigned index) {
        if (index < SUB)
                return index;
        return ((uint64_t) (SUB + index % SUB + 1) << (index / SUB - 1)) - 1;
}

void histogram_add(Histogram *h, uint64_t usec) {
        h->buckets[bucket_of(usec)]++;
        h->count++;
        h->sum += usec;
        if (usec > h->max)
                h->max = usec;
}

uint64_t histogram_quantile(const Histogram *h, double part) {
        uint64_t wanted = (uint64_t) ((double) h->count * part + 0.5), seen = 0;

        if (h->count == 0)
                return 0;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
                seen += h->buckets[i];
                if (seen > 0 && seen >= wanted)
                        return bucket_top(i) < h->max ? bucket_top(i) : h->max;
        }
        return h->max;
}

static const struct {
        const char *name, *words;
        size_t offset;
} counts[] = {
        { "submitted", "runs submitted", offsetof(Stats, submitted) },
        { "dispatched", "attempts that agents got", offsetof(Stats, dispatched) },
        { "ended", "attempts whose end was acknowledged", offsetof(Stats, ended) },
        { "cancels", "runs cancelled", offsetof(Stats, cancels) },
        { "stops", "stops that agents got", offsetof(Stats, stops) },
        { "cleaned", "workspaces said to be removed", offsetof(Stats, cleaned) },
        { "offered_again", "offers of what was begun already", offsetof(Stats, offered_again) },
        { "polls", "sync requests", offsetof(Stats, polls) },
        { "reports", "events requests", offsetof(Stats, reports) },
        { "chunks", "log chunks", offsetof(Stats, chunks) },
        { "connects", "TLS connections", offsetof(Stats, connects) },
        { "connect_failures", "failures to connect", offsetof(Stats, connect_failures) },
        { "losses", "connections lost", offsetof(Stats, losses) },
        { "request_failures", "requests without an answer", offsetof(Stats, request_failures) },
        { "refusals", "answers of status 400 and above", offsetof(Stats, refusals) },
        { "lost_answers", "faults: answers not read", offsetof(Stats, lost_answers) },
        { "repeats", "faults: requests repeated", offsetof(Stats, repeats) },
        { "refused_tasks", "faults: tasks refused", offsetof(Stats, refused_tasks) },
        { "delays", "faults: requests delayed", offsetof(Stats, delays) },
        { "bytes_in", "bytes read", offsetof(Stats, bytes_in) },
        { "bytes_out", "bytes written", offsetof(Stats, bytes_out) },
};

static const struct {
        const char *name, *words;
        size_t offset;
} times[] = {
        { "handshake", "connect and TLS handshake", offsetof(Stats, handshake) },
        { "enroll", "enroll", offsetof(Stats, enroll) },
        { "submit", "run create, request to answer", offsetof(Stats, submit) },
        { "created_to_got", "run create sent, agent has it", offsetof(Stats, created_to_got) },
        { "answered_to_got", "run create answered, agent has it",
          offsetof(Stats, answered_to_got) },
        { "cancel_to_stop", "cancel sent, agent has the stop", offsetof(Stats, cancel_to_stop) },
        { "report", "events, request to answer", offsetof(Stats, report) },
        { "got_to_ended", "agent has it, end acknowledged", offsetof(Stats, got_to_ended) },
};

static const Histogram *time_at(const Stats *s, size_t i) {
        return (const Histogram *) (const void *) ((const char *) s + times[i].offset);
}

static uint64_t count_at(const Stats *s, size_t i) {
        return *(const uint64_t *) (const void *) ((const char *) s + counts[i].offset);
}

void stats_write_histogram(JsonOut *o, const char *key, const Histogram *h) {
        json_out_object(o, key);
        json_out_u64(o, "count", h->count);
        json_out_u64(o, "p50_usec", histogram_quantile(h, 0.5));
        json_out_u64(o, "p90_usec", histogram_quantile(h, 0.9));
        json_out_u64(o, "p99_usec", histogram_quantile(h, 0.99));
        json_out_u64(o, "max_usec", h->max);
        json_out_u64(o, "mean_usec", h->count ? h->sum / h->count : 0);
        json_out_end_object(o);
}

void stats_write_counts(JsonOut *o, const Stats *s) {
        for (size_t i = 0; i < ELEMENTSOF(counts); i++)
                json_out_u64(o, counts[i].name, count_at(s, i));
        for (size_t i = 0; i < ELEMENTSOF(times); i++)
                stats_write_histogram(o, times[i].name, time_at(s, i));
}

void stats_print(FILE *to, const Stats *s) {
        for (size_t i = 0; i < ELEMENTSOF(counts); i++)
                if (count_at(s, i) > 0)
                        (void) fprintf(to, "%12" PRIu64 "  %s\n", count_at(s, i), counts[i].words);
        for (size_t i = 0; i < ELEMENTSOF(times); i++) {
                const Histogram *h = time_at(s, i);

                if (h->count > 0)
                        (void) fprintf(to, "%-34s p50 %9.3f ms  p99 %9.3f ms  max %9.3f ms\n",
                                       times[i].words, (double) histogram_quantile(h, 0.5) / 1000,
                                       (double) histogram_quantile(h, 0.99) / 1000,
                                       (double) h->max / 1000);
        }
}
