/* The pipe as it is between parser and normal form. */
#pragma once

#include "pipe.h"

#include "json-in.h"

typedef struct PipeTask {
        char *name;        /* owned */
        char **after;      /* owned */
        char **directives; /* owned: name, value, name, value, in the order of the text */
} PipeTask;

struct Pipe {
        char *description; /* owned */
        char *type;        /* owned */
        char **selector;   /* owned: label, value ("" for: must be there) */
        char *concurrency_policy;
        char *delivery;
        JsonArray tasks; /* owned, of PipeTask */
};

/* What holds for a pipe whatever form it came in; words without a place. *ret_task is the index of the task that is wrong, if one is. */
int pipe_check(const Pipe *p, size_t *ret_task, Error *e);

/* Adds a task; the array grows by one. */
int pipe_add_task(Pipe *p, const char *name, PipeTask **ret);

/* "region=eu-west, warehouse" as label, value pairs. */
int pipe_parse_selector(const char *text, char ***ret, Error *e);
