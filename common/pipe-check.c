/* What is wrong with a pipe, all of it: words, numbers, tasks. What is about tasks that come one after the other is in pipe-graph.c. */
#include <errno.h>
#include <stdlib.h>

#include "directive.h"
#include "parse.h"
#include "pipe-internal.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"

#define PRIORITY_MAX 1000
#define LIMIT_MAX 1000000
#define RETRY_MAX 1000

void pipe_object(PipeCheck *c, PipePlace place, int r, const Error *e) {
        if (r >= 0 || c->trouble < 0)
                return;
        if (r == -ENOMEM) {
                c->trouble = r;
                return;
        }
        c->objections++;
        r = c->on_objection(&place, e, c->userdata);
        if (r < 0)
                c->trouble = r;
}

static int check_choice(const char *key, const char *value, const char *const words[], Error *e) {
        _cleanup_(freep) char *all = NULL;

        if (!value || strv_contains((char *const *) words, value))
                return 0;
        all = strv_join((char *const *) words, ", ");
        return error_set(e, -EINVAL, "bad-value", "%s=%.64s is not one of %s", key, value,
                         all ? all : "those that are known");
}

#define WORDS(...)                                                                                 \
        .words = (const char *const[]) {                                                           \
                __VA_ARGS__, NULL                                                                  \
        }
const char *const pipe_policies[] = { "allow", "forbid", "queue", "replace", NULL };
const char *const pipe_retry_results[] = { "exit-code",       "signal",   "core-dump", "timeout",
                                           "watchdog",        "oom-kill", "protocol",  "resources",
                                           "start-limit-hit", "output",   NULL };
const PipeRule pipe_own_rules[] = {
        { "Priority", offsetof(Pipe, priority), .min = -PRIORITY_MAX, .max = PRIORITY_MAX },
        { "ConcurrencyLimit", offsetof(Pipe, concurrency_limit), .min = 1, .max = LIMIT_MAX },
        { "Type", offsetof(Pipe, type), WORDS("batch", "streaming") },
        { "ConcurrencyPolicy", offsetof(Pipe, concurrency_policy), pipe_policies },
        { "Delivery", offsetof(Pipe, delivery), WORDS("at-least-once", "at-most-once") },
        { "OnAgentLoss", offsetof(Pipe, on_agent_loss), WORDS("wait", "retry", "fail") },
        { "Overlap", offsetof(Pipe, overlap), WORDS("no", "brief") },
        {},
};
const PipeRule pipe_task_rules[] = {
        { "Retry", offsetof(PipeTask, retry), .min = 1, .max = RETRY_MAX },
        {},
};

/* A whole number in its shortest form; the text is JSON's or a pipe file's. */
static void settle_number(PipeCheck *c, PipePlace place, char **slot, int min, int max) {
        const char *digits = *slot ? *slot + (**slot == '-') : NULL;
        _cleanup_(freep) char *settled = NULL;
        Error e = {};
        uint64_t n;
        int value;

        if (!digits)
                return;
        if (parse_u64_range(digits, 0, LIMIT_MAX, &n) < 0)
                n = UINT32_MAX / 2;
        value = digits == *slot ? (int) n : -(int) n;
        if (value < min || value > max) {
                pipe_object(c, place,
                            error_set(&e, -EINVAL, "bad-value",
                                      "%s=: a number from %d to %d is expected", place.key, min,
                                      max),
                            &e);
                return;
        }
        settled = str_format("%d", value);
        pipe_object(c, place, settled ? str_replace(slot, settled) : -ENOMEM, &e);
}

void pipe_check_rules(PipeCheck *c, const PipeRule rules[], PipePlace place, void *object) {
        for (const PipeRule *rule = rules; rule->key; rule++) {
                void *slot = (char *) object + rule->offset;
                Error e = {};

                place.key = rule->key;
                if (rule->words)
                        pipe_object(c, place,
                                    check_choice(rule->key, *(char **) slot, rule->words, &e), &e);
                else
                        settle_number(c, place, slot, rule->min, rule->max);
        }
}

/* What a line of a pipe file cannot hold came as JSON. */
int pipe_line_check(const char *key, const char *value, Error *e) {
        size_t n = value ? strlen(value) : 0;

        if (n == 0 || (!strpbrk(value, "\n") && value[n - 1] != '\\' &&
                       !strchr(" \t\r\v\f", value[0]) && !strchr(" \t\r\v\f", value[n - 1])))
                return 0;
        return error_set(e, -EINVAL, "not-a-line",
                         "%s=: a line break, white space around, or a backslash at the end cannot "
                         "be written in a pipe file",
                         key);
}

static void check_lines(PipeCheck *c) {
        const Pipe *p = c->pipe;
        Error e = {};

        pipe_object(c, PLACE_PIPE("Description"),
                    pipe_line_check("Description", p->description, &e), &e);
        for (size_t i = 0; i < p->tasks.count; i++) {
                char **first = pipe_task(p, i)->directives;

                for (char **d = first; d && *d; d += 2)
                        pipe_object(c, PLACE_DIRECTIVE(i, (size_t) (d - first) / 2),
                                    pipe_line_check(d[0], d[1], &e), &e);
        }
}

int pipe_check_span(const char *key, const char *value, Error *e) {
        uint64_t usec;

        if (!value || (timespan_parse(value, &usec) >= 0 && usec > 0 && usec != USEC_INFINITY))
                return 0;
        return error_set(e, -EINVAL, "bad-value", "%s=: a time span such as 30s is expected", key);
}

static int results_check(char *const *words, Error *e) {
        uint64_t status;

        STRV_FOREACH(w, words)
                if (!strv_contains((char *const *) pipe_retry_results, *w) &&
                    parse_u64_range(*w, 1, 255, &status) < 0) {
                        _cleanup_(freep) char *all =
                                strv_join((char *const *) pipe_retry_results, ", ");

                        return error_set(e, -EINVAL, "bad-value",
                                         "RetryOn=: \"%.64s\" is neither an exit status from 1 to "
                                         "255 nor one of %s",
                                         *w, all ? all : "those that are known");
                }
        return 0;
}

static void check_retry(PipeCheck *c, size_t i) {
        const PipeTask *t = pipe_task(c->pipe, i);
        const struct {
                const char *key;
                bool stands;
        } rows[] = { { "RetryBackoffSec", t->retry_backoff != NULL },
                     { "RetryMaxBackoffSec", t->retry_max_backoff != NULL },
                     { "RetryOn", t->retry_on != NULL } };
        Error e = {};

        for (size_t k = 0; k < ELEMENTSOF(rows) && !t->retry; k++)
                if (rows[k].stands)
                        pipe_object(c, PLACE_TASK(i, rows[k].key),
                                    error_set(&e, -EINVAL, "no-retry", "%s= goes with Retry= only",
                                              rows[k].key),
                                    &e);
        if (t->retry && pipe_is_streaming(c->pipe))
                pipe_object(c, PLACE_TASK(i, "Retry"),
                            error_set(&e, -EINVAL, "not-streaming",
                                      "Retry= does not go with Type=streaming: Restart= does"),
                            &e);
        if (t->retry && str_eq(c->pipe->delivery, "at-most-once"))
                pipe_object(c, PLACE_TASK(i, "Retry"),
                            error_set(&e, -EINVAL, "not-retried",
                                      "Retry= does not go with Delivery=at-most-once"),
                            &e);
        pipe_object(c, PLACE_TASK(i, "RetryBackoffSec"),
                    pipe_check_span("RetryBackoffSec", t->retry_backoff, &e), &e);
        pipe_object(c, PLACE_TASK(i, "RetryMaxBackoffSec"),
                    pipe_check_span("RetryMaxBackoffSec", t->retry_max_backoff, &e), &e);
        pipe_object(c, PLACE_TASK(i, "RetryOn"), results_check(t->retry_on, &e), &e);
}

static void check_directive(PipeCheck *c, size_t i, char **d, bool stood[]) {
        const Directive *row = directive_find(d[0]);
        size_t n = (size_t) (d - pipe_task(c->pipe, i)->directives) / 2;
        Error e = {};
        int r;

        if (!row) {
                r = directive_refuse(d[0], &e);
        } else if (stood[row - directives] && !row->repeats) {
                r = error_set(&e, -EINVAL, "duplicate-directive", "%s= stands twice", d[0]);
        } else {
                r = directive_check(row, d[1], &e);
                if (r < 0 && e.detail[0])
                        (void) error_prefix(&e, "%s=: ", d[0]);
        }
        if (row)
                stood[row - directives] = true;
        pipe_object(c, PLACE_DIRECTIVE(i, n), r, &e);
}

static void check_task(PipeCheck *c, size_t i, bool stood[]) {
        const PipeTask *t = pipe_task(c->pipe, i);
        bool exec = false;
        Error e = {};

        if (pipe_name_check(t->name) < 0)
                pipe_object(c, PLACE_TASK(i, NULL),
                            error_set(&e, -EINVAL, "bad-name",
                                      "\"%.64s\" is no task name: a-z, 0-9, _ and -, at most 63",
                                      t->name),
                            &e);
        for (char **d = t->directives; d && *d; d += 2) {
                check_directive(c, i, d, stood);
                exec |= str_eq(d[0], "ExecStart");
        }
        if (!exec)
                pipe_object(c, PLACE_TASK(i, NULL),
                            error_set(&e, -EINVAL, "no-command",
                                      "task \"%s\" has no ExecStart=", t->name),
                            &e);
        check_retry(c, i);
}

int pipe_check(PipeCheck *c) {
        _cleanup_(freep) bool *stood = NULL;
        const Pipe *p = c->pipe;
        size_t rows = 0;
        Error e = {};

        while (directives[rows].name)
                rows++;
        stood = calloc(rows, sizeof(*stood));
        if (!stood)
                return -ENOMEM;
        pipe_check_rules(c, pipe_own_rules, PLACE_PIPE(NULL), c->pipe);
        for (size_t i = 0; i < p->tasks.count; i++)
                pipe_check_rules(c, pipe_task_rules, PLACE_TASK(i, NULL), pipe_task(p, i));
        check_lines(c);
        if (p->concurrency_key && !label_name_ok(p->concurrency_key))
                pipe_object(c, PLACE_PIPE("ConcurrencyKey"),
                            error_set(&e, -EINVAL, "bad-value",
                                      "ConcurrencyKey=: letters, digits and _./- are expected, at "
                                      "most 63"),
                            &e);
        if (p->tasks.count == 0)
                pipe_object(
                        c, PLACE_PIPE(NULL),
                        error_set(&e, -EINVAL, "no-task", "a pipe needs at least one [Task NAME]"),
                        &e);
        for (size_t i = 0; i < p->tasks.count && c->trouble >= 0; i++) {
                (void) memset(stood, 0, rows * sizeof(*stood));
                check_task(c, i, stood);
        }
        pipe_check_type(c);
        pipe_check_places(c);
        pipe_check_secrets(c);
        pipe_check_parameters(c);
        pipe_check_references(c);
        pipe_check_schedules(c);
        pipe_check_graph(c);
        return c->trouble < 0 ? c->trouble : c->objections > 0 ? -EINVAL : 0;
}
