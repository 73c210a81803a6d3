/* Open addressing by the random end of the version 7 id. */
#include "swarm-runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct Run {
        Id id;
        uint64_t sent_usec, answered_usec, got_usec, cancel_usec;
} Run;

struct Runs {
        Stats *stats; /* borrowed */
        Run *slots;   /* owned */
        uint32_t size, used, cancel_percent;
};

int runs_new(uint32_t count, uint32_t cancel_percent, Stats *stats, Runs **ret) {
        Runs *r = calloc(1, sizeof(*r));
        uint32_t size = 1024;

        while (size < count + count / 2 && size < 1U << 26)
                size *= 2;
        if (r)
                r->slots = calloc(size, sizeof(*r->slots));
        if (!r || !r->slots) {
                free(r);
                return -ENOMEM;
        }
        r->size = size;
        r->cancel_percent = cancel_percent;
        r->stats = stats;
        *ret = r;
        return 0;
}

Runs *runs_free(Runs *r) {
        if (!r)
                return NULL;
        free(r->slots);
        free(r);
        return NULL;
}

static uint64_t random_end(Id id) {
        uint64_t n;

        (void) memcpy(&n, id.bytes + 8, sizeof(n));
        return n * 0x9e3779b97f4a7c15ULL;
}

/* NULL when it is not there and no room is left. */
static Run *find(Runs *r, Id id, bool add) {
        uint64_t i = (random_end(id) >> 32) & (r->size - 1);

        for (; !id_is_null(r->slots[i].id); i = (i + 1) & (r->size - 1))
                if (id_equal(r->slots[i].id, id))
                        return &r->slots[i];
        if (!add || r->used >= r->size / 8 * 7)
                return NULL;
        r->used++;
        r->slots[i].id = id;
        return &r->slots[i];
}

static void note_latency(Runs *r, const Run *run) {
        /* One that was begun before the answer that created it, after others that were lost, has no latency. */
        if (run->sent_usec == 0 || run->got_usec == 0 || run->got_usec < run->sent_usec)
                return;
        histogram_add(&r->stats->created_to_got, run->got_usec - run->sent_usec);
        histogram_add(&r->stats->answered_to_got,
                      run->got_usec > run->answered_usec ? run->got_usec - run->answered_usec : 0);
}

void runs_created(Runs *r, Id id, uint64_t sent_usec, uint64_t answered_usec) {
        Run *run = find(r, id, true);

        if (!run || run->sent_usec > 0)
                return;
        run->sent_usec = sent_usec;
        run->answered_usec = answered_usec;
        note_latency(r, run);
}

void runs_got(Runs *r, Id id, uint64_t now_usec) {
        Run *run = find(r, id, true);

        if (!run || run->got_usec > 0)
                return;
        run->got_usec = now_usec;
        note_latency(r, run);
}

bool runs_to_cancel(const Runs *r, Id run) {
        return random_end(run) % 100 < r->cancel_percent;
}

void runs_cancelled(Runs *r, Id id, uint64_t sent_usec) {
        Run *run = find(r, id, false);

        if (run && run->cancel_usec == 0)
                run->cancel_usec = sent_usec;
}

void runs_stopped(Runs *r, Id id, uint64_t now_usec) {
        Run *run = find(r, id, false);

        if (!run || run->cancel_usec == 0)
                return;
        histogram_add(&r->stats->cancel_to_stop, now_usec - run->cancel_usec);
        run->cancel_usec = 0;
}
