/* The list of those that are coming goes by their first bytes: who has sent nothing holds nothing. */
#include "body.h"

#include <errno.h>

static void unlink_body(Body *b) {
        if (!b->slot)
                return;
        *b->slot = b->next;
        if (b->next)
                b->next->slot = b->slot;
        else
                b->all->last = b->slot;
        b->next = NULL;
        b->slot = NULL;
}

static void link_last(Body *b) {
        if (b->slot)
                return;
        b->slot = b->all->last;
        *b->slot = b;
        b->all->last = &b->next;
}

static void fail(Body *b, int trouble) {
        body_done(b);
        b->trouble = trouble;
}

void bodies_init(Bodies *all, size_t max) {
        *all = (Bodies){ .max = max };
        all->last = &all->first;
}

void body_begin(Body *b, Bodies *all, size_t max) {
        *b = (Body){ .all = all, .max = max };
}

void body_append(Body *b, const char *data, size_t size) {
        Bodies *all = b->all;
        int r;

        if (b->trouble < 0)
                return;
        if (size > b->max - b->data.size) {
                fail(b, -EFBIG);
                return;
        }
        link_last(b);
        while (b->slot && size > all->max - all->size)
                fail(all->first, -ENOBUFS);
        if (b->trouble < 0)
                return;
        r = buffer_append(&b->data, data, size);
        if (r < 0)
                fail(b, r);
        else
                all->size += size;
}

void body_end(Body *b) {
        unlink_body(b);
}

void body_done(Body *b) {
        unlink_body(b);
        if (b->all)
                b->all->size -= b->data.size;
        buffer_done(&b->data);
}
