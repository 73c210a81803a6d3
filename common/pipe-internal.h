/* The pipe as it is between parser and normal form. */
#pragma once

#include "pipe.h"

#include "json-in.h"
#include "json-out.h"
#include "pipe-selector.h"

typedef struct PipeTask {
        char *name;                                 /* owned */
        char **after, **after_failure, **after_any; /* owned: names of tasks */
        char *retry;                                /* owned: a whole number */
        char *retry_backoff, *retry_max_backoff;    /* owned: time spans */
        char **retry_on;                            /* owned: results and exit statuses */
        char **directives; /* owned: name, value, name, value, in the order of the text */
} PipeTask;

typedef struct PipeParameter {
        char *name;                        /* owned */
        char *type;                        /* owned */
        char *preset;                      /* owned: its Default= */
        char *pattern, *minimum, *maximum; /* owned */
        char **values;                     /* owned: of an enum or a list */
        char *required;                    /* owned: a boolean */
        char *description;                 /* owned */
} PipeParameter;

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
        JsonArray parameters; /* owned, of PipeParameter */
};

/* The words of a pipe file and where their values are. A list adds up, and an empty one begins anew, as systemd's do. */
typedef struct PipeWord {
        const char *key;
        size_t offset;
        bool list;
} PipeWord;

#define PIPE_OWN_WORDS 10 /* of [Pipe] */
#define PIPE_TASK_WORDS 7 /* of [Task], beside directives */
#define PIPE_PARAMETER_WORDS 8
extern const PipeWord pipe_own_words[PIPE_OWN_WORDS];
extern const PipeWord pipe_task_words[PIPE_TASK_WORDS];
extern const PipeWord pipe_parameter_words[PIPE_PARAMETER_WORDS];
extern const JsonField pipe_parameter_fields[];

/* The row of a word; n when it is none. */
size_t pipe_word_find(const PipeWord words[], size_t n, const char *key);

/* What is wrong: a directive of a task; or a word, of a task or of [Pipe]; or a task; or the whole. */
typedef struct PipePlace {
        const char *key;  /* NULL: none */
        size_t task;      /* SIZE_MAX: none */
        size_t directive; /* SIZE_MAX: none */
        size_t parameter; /* counted from 1; 0: none */
} PipePlace;

#define PLACE_PIPE(k) ((PipePlace){ (k), SIZE_MAX, SIZE_MAX, 0 })
#define PLACE_TASK(t, k) ((PipePlace){ (k), (t), SIZE_MAX, 0 })
#define PLACE_DIRECTIVE(t, d) ((PipePlace){ NULL, (t), (d), 0 })
#define PLACE_PARAMETER(n, k) ((PipePlace){ (k), SIZE_MAX, SIZE_MAX, (n) + 1 })

/* One look at all of a pipe. */
typedef struct PipeCheck {
        Pipe *pipe;
        /* Once for each thing that is wrong; e has no place in it. Below zero ends the look. */
        int (*on_objection)(const PipePlace *place, const Error *e, void *userdata);
        void *userdata;
        unsigned objections;
        int trouble; /* out of memory, or what on_objection answered */
} PipeCheck;

/* What holds for a pipe whatever form it came in. Numbers are brought into their shortest form. 0, -EINVAL after objections, or
 * the trouble. */
int pipe_check(PipeCheck *c);

/* Whether a pipe file can hold the value on a line; NULL it can. */
int pipe_line_check(const char *key, const char *value, Error *e);
/* What each parameter says; and the references in tasks' directives, but for when outputs are there. */
void pipe_check_parameters(PipeCheck *c);
void pipe_check_references(PipeCheck *c);
/* Whether a task has always succeeded before another begins; -ENOENT: there is none of that name. */
typedef int (*pipe_succeeded_t)(const void *graph, size_t task, const char *before);
void pipe_check_outputs(PipeCheck *c, size_t task, pipe_succeeded_t succeeded, const void *graph);

/* For the parts of it: passes on what a look at one thing has found; does nothing when r is not negative. */
void pipe_object(PipeCheck *c, PipePlace place, int r, const Error *e);

/* What goes with batch pipes only, or with streaming ones only. */
void pipe_check_type(PipeCheck *c);
/* The tasks that tasks name are there, can be done one after the other, and each can come to run. */
void pipe_check_graph(PipeCheck *c);

static inline PipeTask *pipe_task(const Pipe *p, size_t i) {
        return (PipeTask *) p->tasks.items + i;
}

static inline PipeParameter *pipe_parameter(const Pipe *p, size_t i) {
        return (PipeParameter *) p->parameters.items + i;
}
int pipe_add_parameter(Pipe *p, const char *name, PipeParameter **ret);
void pipe_parameters_to_json(const Pipe *p, JsonOut *o);

/* Adds a task; the array grows by one. */
int pipe_add_task(Pipe *p, const char *name, PipeTask **ret);

/* What was found wrong so far, to be said in the order of the lines. */
typedef struct Complaints {
        struct Complaint *items; /* owned */
        size_t n;
} Complaints;

/* line 0: it has no place. -ENOMEM. */
int complaints_add(Complaints *c, unsigned line, unsigned column, const Error *e);
/* The first as *e, and each as a text of its own ("NAME:LINE:COLUMN: words") in *ret_all, which may be NULL. Returns -EINVAL or
 * -ENOMEM; 0 when there are none. */
int complaints_take(Complaints *c, const char *name, Error *e, char ***ret_all);
void complaints_done(Complaints *c);
