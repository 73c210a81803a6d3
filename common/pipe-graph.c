/* The graph of a pipe's tasks: names that are there, no circles, no task that can never run. */
#include <errno.h>
#include <stdlib.h>

#include "parse.h"
#include "pipe-internal.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"

static const PipeTask *task_at(const Pipe *p, size_t i) {
        return (const PipeTask *) p->tasks.items + i;
}

size_t pipe_task_index(const Pipe *p, const char *name) {
        size_t i = 0;

        while (i < p->tasks.count && !str_eq(task_at(p, i)->name, name))
                i++;
        return i;
}

static int names_check(const Pipe *p, const PipeTask *t, const char *key, char *const *names,
                       Error *e) {
        STRV_FOREACH(name, names)
                if (pipe_task_index(p, *name) == p->tasks.count)
                        return error_set(e, -EINVAL, "unknown-task",
                                         "%s=%.64s: this pipe has no such task", key, *name);
                else if (str_eq(*name, t->name))
                        return error_set(e, -EINVAL, "cycle", "%s= of task \"%s\" names itself",
                                         key, t->name);
        return 0;
}

int pipe_check_edges(const Pipe *p, const PipeTask *t, Error *e) {
        int r = names_check(p, t, "After", t->after, e);

        if (r >= 0)
                r = names_check(p, t, "AfterFailure", t->after_failure, e);
        return r < 0 ? r : names_check(p, t, "AfterAny", t->after_any, e);
}

static bool all_done(const Pipe *p, const bool done[], char *const *names) {
        STRV_FOREACH(name, names)
                if (!done[pipe_task_index(p, *name)])
                        return false;
        return true;
}

/* Tasks whose predecessors are all done can be done, in this order; who is never done stands in a circle. */
static int order(const Pipe *p, size_t ret_order[], size_t *ret_task, Error *e) {
        bool done[PIPE_TASKS_MAX] = {};
        size_t n = 0, before;

        do {
                before = n;
                for (size_t i = 0; i < p->tasks.count; i++) {
                        const PipeTask *t = task_at(p, i);

                        if (done[i] || !all_done(p, done, t->after) ||
                            !all_done(p, done, t->after_failure) ||
                            !all_done(p, done, t->after_any))
                                continue;
                        done[i] = true;
                        ret_order[n++] = i;
                }
        } while (n > before);

        for (size_t i = 0; i < p->tasks.count; i++)
                if (!done[i]) {
                        *ret_task = i;
                        return error_set(e, -EINVAL, "cycle",
                                         "task \"%s\" waits for tasks that wait for it",
                                         task_at(p, i)->name);
                }
        return 0;
}

/* What must have become of a task for another to begin; both of it is impossible. */
#define SUCCEEDED 1U
#define FAILED 2U

typedef struct Needs {
        unsigned char of[PIPE_TASKS_MAX];
} Needs;

static bool needs_add(const Needs all[], Needs *n, size_t task, unsigned how, size_t count) {
        bool possible = true;

        n->of[task] |= (unsigned char) how;
        for (size_t i = 0; i < count; i++) {
                n->of[i] |= all[task].of[i];
                possible &= n->of[i] != (SUCCEEDED | FAILED);
        }
        return possible;
}

/* That a task has failed says no less than that it ran. Of several in AfterFailure= one is enough: then there must be one that can. */
static bool reachable(const Pipe *p, Needs all[], size_t task) {
        const PipeTask *t = task_at(p, task);
        Needs *n = &all[task];
        bool possible = true, one = !t->after_failure;

        STRV_FOREACH(name, t->after)
                possible &= needs_add(all, n, pipe_task_index(p, *name), SUCCEEDED, p->tasks.count);
        STRV_FOREACH(name, t->after_failure) {
                Needs with = *n;

                one |= needs_add(all, &with, pipe_task_index(p, *name), FAILED, p->tasks.count);
                if (!t->after_failure[1])
                        *n = with;
        }
        return possible && one;
}

int pipe_check_graph(const Pipe *p, size_t *ret_task, Error *e) {
        _cleanup_(freep) Needs *needs = calloc(p->tasks.count + 1, sizeof(Needs));
        size_t sorted[PIPE_TASKS_MAX];
        int r = needs ? order(p, sorted, ret_task, e) : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < p->tasks.count; i++)
                if (!reachable(p, needs, sorted[i])) {
                        *ret_task = sorted[i];
                        r = error_set(e, -EINVAL, "unreachable",
                                      "task \"%s\" can never run: what its After= and "
                                      "AfterFailure= ask for cannot all be",
                                      task_at(p, sorted[i])->name);
                }
        return r;
}

static int span_check(const char *key, const char *value, Error *e) {
        uint64_t usec;

        if (!value || (timespan_parse(value, &usec) >= 0 && usec > 0 && usec != USEC_INFINITY))
                return 0;
        return error_set(e, -EINVAL, "bad-value", "%s=: a time span such as 30s is expected", key);
}

static int results_check(char *const *words, Error *e) {
        static const char *const results[] = { "exit-code", "signal",    "core-dump",
                                               "timeout",   "watchdog",  "oom-kill",
                                               "protocol",  "resources", "start-limit-hit",
                                               NULL };
        uint64_t status;

        STRV_FOREACH(w, words)
                if (!strv_contains((char *const *) results, *w) &&
                    parse_u64_range(*w, 1, 255, &status) < 0)
                        return error_set(e, -EINVAL, "bad-value",
                                         "RetryOn=: \"%.64s\" is neither an exit status from 1 to "
                                         "255 nor one of exit-code, signal, core-dump, timeout, "
                                         "watchdog, oom-kill, protocol, resources, "
                                         "start-limit-hit",
                                         *w);
        return 0;
}

int pipe_check_retry(const Pipe *p, const PipeTask *t, Error *e) {
        const struct {
                const char *key;
                bool stands;
        } rows[] = { { "RetryBackoffSec", t->retry_backoff != NULL },
                     { "RetryMaxBackoffSec", t->retry_max_backoff != NULL },
                     { "RetryOn", t->retry_on != NULL } };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(rows) && !t->retry; i++)
                if (rows[i].stands)
                        return error_set(e, -EINVAL, "no-retry", "%s= goes with Retry= only",
                                         rows[i].key);
        if (!t->retry)
                return 0;
        if (pipe_is_streaming(p))
                return error_set(e, -EINVAL, "not-streaming",
                                 "Retry= does not go with Type=streaming: Restart= does");
        if (str_eq(p->delivery, "at-most-once"))
                return error_set(e, -EINVAL, "not-retried",
                                 "Retry= does not go with Delivery=at-most-once");
        r = span_check("RetryBackoffSec", t->retry_backoff, e);
        if (r >= 0)
                r = span_check("RetryMaxBackoffSec", t->retry_max_backoff, e);
        return r < 0 ? r : results_check(t->retry_on, e);
}
