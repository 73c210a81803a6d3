/* Bodies of requests that are being read. Whoever sends them is known only when they are here, so all of them together are bounded;
 * where one more does not fit, the one that has been coming for the longest gives way: a peer that trickles keeps no place from
 * others, whose bodies are here in a moment. */
#pragma once

#include "str.h"

typedef struct Body Body;

typedef struct Bodies {
        size_t max;          /* bytes that all of them may hold */
        size_t size;         /* that they hold */
        Body *first, **last; /* borrowed: those that are still coming, the oldest first */
} Bodies;

struct Body {
        Bodies *all;        /* borrowed: outlives it */
        Body *next, **slot; /* borrowed; slot is NULL when it is not among those that are coming */
        Buffer data;
        size_t max;
        int trouble; /* 0, or why there is nothing in it: -EFBIG above its own limit, -ENOBUFS when it gave way, -ENOMEM */
};

void bodies_init(Bodies *all, size_t max);

void body_begin(Body *b, Bodies *all, size_t max);
void body_append(Body *b, const char *data, size_t size); /* nothing more, once there is trouble */
void body_end(Body *b);                                   /* it is whole, and gives way to none */
void body_done(Body *b); /* also of one that has not begun, but is zeroed */
