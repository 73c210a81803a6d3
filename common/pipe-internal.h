/* The pipe as it is between parser and normal form. */
#pragma once

#include "pipe.h"

#include "json-in.h"
#include "pipe-selector.h"

typedef struct PipeTask {
        char *name;                                 /* owned */
        char **after, **after_failure, **after_any; /* owned: names of tasks */
        char *retry;                                /* owned: a whole number */
        char *retry_backoff, *retry_max_backoff;    /* owned: time spans */
        char **retry_on;                            /* owned: results and exit statuses */
        char **directives; /* owned: name, value, name, value, in the order of the text */
} PipeTask;

struct Pipe {
        char *description;   /* owned */
        char *type;          /* owned */
        Selector selector;   /* owned */
        char *selector_json; /* owned: as it came, where it came as JSON */
        char *priority;      /* owned: a whole number; so is the limit */
        char *concurrency_policy, *concurrency_limit, *concurrency_key; /* owned */
        char *delivery;                                                 /* owned */
        char *on_agent_loss, *overlap;                                  /* owned */
        JsonArray tasks;                                                /* owned, of PipeTask */
};

/* What is wrong: a key of [Pipe]; else a task, and perhaps a directive of it; else the whole. */
typedef struct PipePlace {
        const char *key;  /* NULL: none */
        size_t task;      /* the number of tasks: none */
        size_t directive; /* SIZE_MAX: none */
} PipePlace;

/* What holds for a pipe whatever form it came in; words without a place, which is in *ret. */
int pipe_check(const Pipe *p, PipePlace *ret, Error *e);

/* The part of pipe_check() that is about batch and streaming pipes, whose type is one of the two. */
int pipe_check_type(const Pipe *p, PipePlace *ret, Error *e);
bool pipe_is_streaming(const Pipe *p);

/* The number of tasks when there is none of that name. */
size_t pipe_task_index(const Pipe *p, const char *name);

/* The tasks that a task names are there; what it says of tries goes with the pipe. */
int pipe_check_edges(const Pipe *p, const PipeTask *t, Error *e);
int pipe_check_retry(const Pipe *p, const PipeTask *t, Error *e);

/* Once all edges are right: the tasks can be done one after the other, and each can come to run. */
int pipe_check_graph(const Pipe *p, size_t *ret_task, Error *e);

/* Adds a task; the array grows by one. */
int pipe_add_task(Pipe *p, const char *name, PipeTask **ret);

/* Numbers in their shortest form, or words about what is wrong with them. */
int pipe_settle(Pipe *p, Error *e);
