/* The graph of a pipe's tasks: names that are there, no circles, no task that can never run. The graph is a matrix, so that 256 tasks
 * that all name each other take milliseconds. */
#include <errno.h>
#include <stdlib.h>

#include "pipe-internal.h"
#include "str.h"
#include "strv.h"

/* How a task comes after another. */
#define AFTER 1U
#define AFTER_FAILURE 2U
#define AFTER_ANY 4U

/* What must have become of a task for another to begin; both of it is impossible. */
#define SUCCEEDED 1U
#define FAILED 2U

typedef struct Graph {
        size_t n;
        const char *names[PIPE_TASKS_MAX]; /* borrowed: the pipe's; sorted */
        size_t by_name[PIPE_TASKS_MAX];    /* the task of each */
        unsigned char *edges;              /* owned: [task * n + before]: how it comes after that */
        unsigned char *needs;              /* owned: the same way */
        size_t order[PIPE_TASKS_MAX];
        size_t ordered;
} Graph;

static unsigned char *edges_of(const Graph *g, size_t task) {
        return &g->edges[task * g->n];
}

static unsigned char *needs_of(const Graph *g, size_t task) {
        return &g->needs[task * g->n];
}

static void graph_done(Graph *g) {
        free(g->edges);
        free(g->needs);
}

/* The place among the sorted names where this one is, or would be. */
static size_t lower_bound(const Graph *g, const char *name, size_t n) {
        size_t low = 0, high = n;

        while (low < high) {
                size_t middle = (low + high) / 2;

                if (strcmp(g->names[middle], name) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static void index_names(PipeCheck *c, Graph *g) {
        for (size_t i = 0; i < g->n; i++) {
                const char *name = pipe_task(c->pipe, i)->name;
                size_t at = lower_bound(g, name, i);
                Error e = {};

                if (at < i && str_eq(g->names[at], name))
                        pipe_object(c, PLACE_TASK(i, NULL),
                                    error_set(&e, -EINVAL, "duplicate-task",
                                              "task \"%s\" stands twice", name),
                                    &e);
                (void) memmove(&g->names[at + 1], &g->names[at], (i - at) * sizeof(g->names[0]));
                (void) memmove(&g->by_name[at + 1], &g->by_name[at],
                               (i - at) * sizeof(g->by_name[0]));
                g->names[at] = name;
                g->by_name[at] = i;
        }
}

/* Beyond what is said, nobody asks what was meant. */
static int unknown_task(const PipeCheck *c, const Graph *g, const char *key, const char *name,
                        Error *e) {
        const char *near = NULL;
        unsigned least = 4;

        for (size_t i = 0; c->objections < PIPE_COMPLAINTS_MAX && i < g->n; i++)
                if (str_distance(g->names[i], name) < least) {
                        near = g->names[i];
                        least = str_distance(near, name);
                }
        return error_set(e, -EINVAL, "unknown-task", "%s=%.64s: this pipe has no such task%s%s%s",
                         key, name, near ? "; did you mean " : "", near ? near : "",
                         near ? "?" : "");
}

static void add_edges(PipeCheck *c, Graph *g, size_t task, const char *key, char *const *names,
                      unsigned how) {
        STRV_FOREACH(name, names) {
                size_t at = lower_bound(g, *name, g->n);
                Error e = {};
                int r = 0;

                if (at == g->n || !str_eq(g->names[at], *name))
                        r = unknown_task(c, g, key, *name, &e);
                else if (g->by_name[at] == task)
                        r = error_set(&e, -EINVAL, "cycle", "%s= of task \"%s\" names itself", key,
                                      *name);
                else
                        edges_of(g, task)[g->by_name[at]] |= (unsigned char) how;
                pipe_object(c, PLACE_TASK(task, key), r, &e);
        }
}

/* Tasks of which all that they wait for is done can be done, in this order. */
static void sort(Graph *g) {
        size_t left[PIPE_TASKS_MAX] = {};

        for (size_t i = 0; i < g->n; i++) {
                for (size_t k = 0; k < g->n; k++)
                        left[i] += edges_of(g, i)[k] != 0;
                if (left[i] == 0)
                        g->order[g->ordered++] = i;
        }
        for (size_t done = 0; done < g->ordered; done++)
                for (size_t i = 0; i < g->n; i++)
                        if (edges_of(g, i)[g->order[done]] && --left[i] == 0)
                                g->order[g->ordered++] = i;
}

/* The names of those that are never done, of which each waits for another. */
static void object_to_circles(PipeCheck *c, const Graph *g) {
        bool done[PIPE_TASKS_MAX] = {};

        for (size_t i = 0; i < g->ordered; i++)
                done[g->order[i]] = true;
        for (size_t i = 0; i < g->n; i++) {
                Error e = {};

                if (done[i])
                        continue;
                pipe_object(c, PLACE_TASK(i, NULL),
                            error_set(&e, -EINVAL, "cycle",
                                      "task \"%s\" waits for tasks that wait for it",
                                      pipe_task(c->pipe, i)->name),
                            &e);
                return;
        }
}

/* That `before` ended like this says that it ran, and so what became of those before it. False when it cannot be. */
static bool need(const Graph *g, unsigned char needs[], size_t before, unsigned how) {
        bool possible = true;

        needs[before] |= (unsigned char) how;
        for (size_t i = 0; i < g->n; i++) {
                needs[i] |= needs_of(g, before)[i];
                possible &= needs[i] != (SUCCEEDED | FAILED);
        }
        return possible;
}

/* Of several in AfterFailure= one is enough: then there must be one that can fail. */
static bool reachable(Graph *g, size_t task) {
        unsigned char *edges = edges_of(g, task), *needs = needs_of(g, task);
        size_t failures = 0;
        bool possible = true, one = true;

        for (size_t i = 0; i < g->n; i++) {
                if (edges[i] & AFTER)
                        possible &= need(g, needs, i, SUCCEEDED);
                failures += (edges[i] & AFTER_FAILURE) != 0;
        }
        for (size_t i = 0; i < g->n && failures > 0; i++) {
                unsigned char with[PIPE_TASKS_MAX];

                if (!(edges[i] & AFTER_FAILURE))
                        continue;
                (void) memcpy(with, needs, g->n);
                one = need(g, with, i, FAILED);
                if (failures == 1)
                        (void) memcpy(needs, with, g->n);
                if (one)
                        break;
        }
        return possible && one;
}

static int has_succeeded(const void *graph, size_t task, const char *before) {
        const Graph *g = graph;
        size_t at = lower_bound(g, before, g->n);

        if (at == g->n || !str_eq(g->names[at], before))
                return -ENOENT;
        return needs_of(g, task)[g->by_name[at]] == SUCCEEDED;
}

void pipe_check_graph(PipeCheck *c) {
        _cleanup_(graph_done) Graph graph = { .n = c->pipe->tasks.count };
        unsigned before = c->objections;
        Graph *g = &graph;

        g->edges = calloc(g->n * g->n + 1, 1);
        g->needs = calloc(g->n * g->n + 1, 1);
        if (!g->edges || !g->needs) {
                c->trouble = -ENOMEM;
                return;
        }
        index_names(c, g);
        for (size_t i = 0; i < g->n; i++) {
                const PipeTask *t = pipe_task(c->pipe, i);

                add_edges(c, g, i, "After", t->after, AFTER);
                add_edges(c, g, i, "AfterFailure", t->after_failure, AFTER_FAILURE);
                add_edges(c, g, i, "AfterAny", t->after_any, AFTER_ANY);
        }
        if (c->objections > before)
                return;
        sort(g);
        if (g->ordered < g->n) {
                object_to_circles(c, g);
                return;
        }
        for (size_t i = 0; i < g->n; i++) {
                Error e = {};

                if (!reachable(g, g->order[i]))
                        pipe_object(c, PLACE_TASK(g->order[i], NULL),
                                    error_set(&e, -EINVAL, "unreachable",
                                              "task \"%s\" can never run: what its After= and "
                                              "AfterFailure= ask for cannot all be",
                                              pipe_task(c->pipe, g->order[i])->name),
                                    &e);
                pipe_check_outputs(c, g->order[i], has_succeeded, g);
        }
}
