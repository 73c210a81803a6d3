/* A ring that grows as needed; expired entries leave at its other end. */
#include "past.h"

#include <errno.h>
#include <stdlib.h>

#define SIZE_FIRST 64U

static int grow(Past *p) {
        size_t size = p->size ? p->size * 2 : SIZE_FIRST;
        PastAttempt *items = reallocarray(NULL, size, sizeof(*items));

        if (!items)
                return -ENOMEM;
        for (size_t i = 0; i < p->count; i++)
                items[i] = p->items[(p->first + i) % p->size];
        free(p->items);
        p->items = items;
        p->size = size;
        p->first = 0;
        return 0;
}

static void drop_first(Past *p) {
        p->first = (p->first + 1) % p->size;
        p->count--;
}

int past_add(Past *p, Id id, uint32_t epoch, uint64_t now_usec) {
        int r = 0;

        while (p->count > 0 && now_usec - p->items[p->first].usec > PAST_USEC)
                drop_first(p);
        if (p->count == PAST_MAX)
                drop_first(p);
        else if (p->count == p->size)
                r = grow(p);
        if (r < 0)
                return r;
        p->items[(p->first + p->count++) % p->size] = (PastAttempt){ id, epoch, now_usec };
        return 0;
}

bool past_has(const Past *p, Id id, uint32_t epoch) {
        for (size_t i = 0; i < p->count; i++) {
                const PastAttempt *a = &p->items[(p->first + i) % p->size];

                if (a->epoch >= epoch && id_equal(a->id, id))
                        return true;
        }
        return false;
}

void past_done(Past *p) {
        free(p->items);
        *p = (Past){};
}
