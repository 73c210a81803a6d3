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
        Selector selector;                          /* owned; no terms: it goes where its run is */
        char *selector_text;                        /* owned: as it came, a text or JSON */
        Selector all;                               /* owned; no terms: it is done once */
        char *all_text;                             /* owned: as it came */
        char *all_batch;                            /* owned: a number or a percentage */
        char *all_success;                          /* owned: a percentage */
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
typedef struct PipeSchedule {
        char *name;                                 /* owned */
        char **on_calendar, **cron;                 /* owned: expressions */
        char **after, **after_failure, **after_any; /* owned: names of pipes */
        char **blackouts;                           /* owned: expressions of days */
        char *on_active, *on_inactive;              /* owned: time spans */
        char *time_zone;                            /* owned */
        char *persistent;                           /* owned: until it is missed_runs */
        char *missed_runs;                          /* owned */
        char *starting_deadline, *randomized_delay; /* owned: time spans */
        char *fixed_random_delay;                   /* owned: a boolean */
        char *expect_by;                            /* owned: a time span */
        char *concurrency_policy;                   /* owned */
        char **parameters;                          /* owned: NAME=VALUE */
} PipeSchedule;

struct Pipe {
        char *description;   /* owned */
        char *type;          /* owned */
        Selector selector;   /* owned */
        char *selector_text; /* owned: as it came, a text or JSON */
        char *priority;      /* owned: a whole number; so is the limit */
        char *concurrency_policy, *concurrency_limit, *concurrency_key; /* owned */
        char *delivery;                                                 /* owned */
        char *on_agent_loss, *overlap;                                  /* owned */
        JsonArray schedules;                                            /* owned, of PipeSchedule */
        JsonArray tasks;                                                /* owned, of PipeTask */
        JsonArray parameters; /* owned, of PipeParameter */
};

/* The words of a pipe file and where their values are. A list adds up, and an empty one begins anew, as systemd's do: a list of words,
 * or one of whole lines. */
typedef struct PipeWord {
        const char *key;
        size_t offset;
        bool list;
        bool lines;
        size_t selector; /* where its terms are; 0: it is no selector */
} PipeWord;

#define PIPE_OWN_WORDS 10  /* of [Pipe] */
#define PIPE_TASK_WORDS 11 /* of [Task], beside directives */
#define PIPE_PARAMETER_WORDS 8
#define PIPE_SCHEDULE_WORDS 17
extern const PipeWord pipe_own_words[PIPE_OWN_WORDS];
extern const PipeWord pipe_task_words[PIPE_TASK_WORDS];
extern const PipeWord pipe_parameter_words[PIPE_PARAMETER_WORDS];
extern const PipeWord pipe_schedule_words[PIPE_SCHEDULE_WORDS];
/* The JSON form; the arrays in pipe_own_fields have the fields of what is in them. */
extern const JsonField pipe_own_fields[], pipe_task_fields[], pipe_parameter_fields[],
        pipe_schedule_fields[];

/* What else holds for a value: it is one of the words, or, where there are none, a whole number in the range. */
typedef struct PipeRule {
        const char *key; /* NULL ends a table */
        size_t offset;
        const char *const *words;
        int min, max;
} PipeRule;

extern const PipeRule pipe_own_rules[], pipe_task_rules[], pipe_schedule_rules[];
extern const char *const pipe_policies[];      /* what ConcurrencyPolicy= takes */
extern const char *const pipe_retry_results[]; /* what RetryOn= takes, beside exit statuses */

/* The row of a word; n when it is none. */
size_t pipe_word_find(const PipeWord words[], size_t n, const char *key);
/* What is said of a key that a section does not have, and of a section that there is not: where it is right, or what was meant. -EINVAL. */
int pipe_unknown_key(const PipeWord words[], size_t n, const char *key, const char *section,
                     Error *e);
int pipe_unknown_directive(const char *key, Error *e);
int pipe_unknown_schedule_key(const char *key, Error *e);
int pipe_unknown_section(const char *name, Error *e);

/* What is wrong: a directive of a task; or an expression of a schedule, at a byte of it; or a word, of a task, a schedule or of
 * [Pipe]; or a task; or a schedule; or the whole. */
typedef struct PipePlace {
        const char *key; /* NULL: none */
        size_t task;     /* SIZE_MAX: none; so are these */
        size_t directive;
        size_t parameter;
        size_t schedule;
        size_t expression; /* of the list that is key's */
        size_t at;         /* 0: its beginning */
} PipePlace;

#define PLACE(key, task, directive, parameter, schedule, expression, at)                           \
        ((PipePlace){ (key), (task), (directive), (parameter), (schedule), (expression), (at) })
#define PLACE_PIPE(k) PLACE(k, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, 0)
#define PLACE_TASK(t, k) PLACE(k, t, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, 0)
#define PLACE_DIRECTIVE(t, d) PLACE(NULL, t, d, SIZE_MAX, SIZE_MAX, SIZE_MAX, 0)
#define PLACE_PARAMETER(n, k) PLACE(k, SIZE_MAX, SIZE_MAX, n, SIZE_MAX, SIZE_MAX, 0)
#define PLACE_SCHEDULE(s, k) PLACE(k, SIZE_MAX, SIZE_MAX, SIZE_MAX, s, SIZE_MAX, 0)
#define PLACE_EXPRESSION(s, k, i, a) PLACE(k, SIZE_MAX, SIZE_MAX, SIZE_MAX, s, i, a)

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
void pipe_check_secrets(PipeCheck *c);
void pipe_check_references(PipeCheck *c);
/* Whether a task has always succeeded before another begins; -ENOENT: there is none of that name. */
typedef int (*pipe_succeeded_t)(const void *graph, size_t task, const char *before);
void pipe_check_outputs(PipeCheck *c, size_t task, pipe_succeeded_t succeeded, const void *graph);

/* For the parts of it: passes on what a look at one thing has found; does nothing when r is not negative. */
void pipe_object(PipeCheck *c, PipePlace place, int r, const Error *e);

/* For the parts of it as well: the values of an object by its rules, of which numbers are brought into their shortest form; place has
 * the object. And a time span above zero. NULL is right. */
void pipe_check_rules(PipeCheck *c, const PipeRule rules[], PipePlace place, void *object);
int pipe_check_span(const char *key, const char *value, Error *e);

/* NAME=VALUE, which a schedule gives to its runs, against what is said of the parameter. -EINVAL with words, or -ENOMEM. */
int pipe_check_assignment(const Pipe *p, const char *assignment, Error *e);

/* Where tasks are placed, and what goes with that. */
void pipe_check_places(PipeCheck *c);
/* What goes with batch pipes only, or with streaming ones only. */
void pipe_check_type(PipeCheck *c);
/* Schedules; their expressions are brought into normal form, and what is said twice is said once. */
void pipe_check_schedules(PipeCheck *c);
/* The tasks that tasks name are there, can be done one after the other, and each can come to run. */
void pipe_check_graph(PipeCheck *c);

static inline PipeTask *pipe_task(const Pipe *p, size_t i) {
        return (PipeTask *) p->tasks.items + i;
}

static inline PipeParameter *pipe_parameter(const Pipe *p, size_t i) {
        return (PipeParameter *) p->parameters.items + i;
}
static inline PipeSchedule *pipe_schedule(const Pipe *p, size_t i) {
        return (PipeSchedule *) p->schedules.items + i;
}

/* Adds a task, a parameter or a schedule; the array grows by one. */
int pipe_add_parameter(Pipe *p, const char *name, PipeParameter **ret);
int pipe_add_task(Pipe *p, const char *name, PipeTask **ret);
int pipe_add_schedule(Pipe *p, const char *name, PipeSchedule **ret);

/* "schedules" and "parameters", where there are any. */
void pipe_schedules_out(const Pipe *p, JsonOut *o);
void pipe_parameters_to_json(const Pipe *p, JsonOut *o);

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
