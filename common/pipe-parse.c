/* The text form: sections, keys, comments and continued lines as systemd.syntax(7) says. Every complaint has a place. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "directive.h"
#include "pipe-internal.h"
#include "str.h"
#include "strv.h"

#define NEAR_MAX 4 /* letters; further away is no likeness */

typedef enum Section {
        SECTION_NONE,
        SECTION_PIPE,
        SECTION_TASK,
} Section;

static const struct {
        const char *key;
        size_t offset;
} pipe_keys[] = {
        { "Description", offsetof(Pipe, description) },
        { "Type", offsetof(Pipe, type) },
        { "ConcurrencyPolicy", offsetof(Pipe, concurrency_policy) },
        { "Delivery", offsetof(Pipe, delivery) },
        { "OnAgentLoss", offsetof(Pipe, on_agent_loss) },
        { "Overlap", offsetof(Pipe, overlap) },
        { "AgentSelector", offsetof(Pipe, selector_json) }, /* its place, until it is parsed */
        { "Priority", offsetof(Pipe, priority) },
        { "ConcurrencyLimit", offsetof(Pipe, concurrency_limit) },
        { "ConcurrencyKey", offsetof(Pipe, concurrency_key) },
};

/* What [Task] has beside directives. */
static const struct {
        const char *key;
        size_t offset;
        bool list; /* adds up, and an empty one begins anew, as systemd's lists do */
} task_keys[] = {
        { "After", offsetof(PipeTask, after), true },
        { "AfterFailure", offsetof(PipeTask, after_failure), true },
        { "AfterAny", offsetof(PipeTask, after_any), true },
        { "Retry", offsetof(PipeTask, retry), false },
        { "RetryBackoffSec", offsetof(PipeTask, retry_backoff), false },
        { "RetryMaxBackoffSec", offsetof(PipeTask, retry_max_backoff), false },
        { "RetryOn", offsetof(PipeTask, retry_on), true },
};

typedef struct Place {
        unsigned line, column;
} Place;

typedef struct Parser {
        const char *name; /* borrowed: the caller's, for messages */
        unsigned line;    /* of the logical line's first physical one */
        Section section;
        Pipe *pipe;     /* borrowed: owned by pipe_parse() */
        PipeTask *task; /* borrowed: in pipe */
        Place keys[ELEMENTSOF(
                pipe_keys)]; /* where the keys of [Pipe] stand, in the order of pipe_keys */
        Place tasks[PIPE_TASKS_MAX];
        Place directives[PIPE_TASKS_MAX][PIPE_DIRECTIVES_MAX];
} Parser;

/* Words of the language that this release does not do: better said than guessed. */
static const char *const later_keys[] = { "Cron", "OnCalendar", NULL };
static const char *const later_sections[] = { "Parameter", "Schedule", NULL };

static bool is_later(const char *const list[], const char *word) {
        for (; *list; list++)
                if (str_eq(*list, word))
                        return true;
        return false;
}

/* Puts "NAME:LINE:COLUMN: " before the words. */
static int at(const Parser *p, unsigned column, int r, Error *e) {
        if (r < 0 && r != -ENOMEM && e && e->detail[0])
                (void) error_prefix(e, "%s:%u:%u: ", p->name, p->line, column);
        return r;
}

static int section_open(Parser *p, char *line, Error *e) {
        size_t n = strlen(line);
        char *name;

        if (line[n - 1] != ']')
                return at(p, (unsigned) n, error_set(e, -EINVAL, "bad-section", "] is missing"), e);
        line[n - 1] = '\0';
        name = str_strip(line + 1);
        if (str_eq(name, "Pipe")) {
                p->section = SECTION_PIPE;
                return 0;
        }
        if (str_after(name, "Task ")) {
                char *task = str_strip(name + strlen("Task "));

                if (p->pipe->tasks.count >= PIPE_TASKS_MAX)
                        return at(p, 1,
                                  error_set(e, -E2BIG, "too-many-tasks", "more than %d tasks",
                                            PIPE_TASKS_MAX),
                                  e);
                p->tasks[p->pipe->tasks.count] = (Place){ p->line, 1 };
                p->section = SECTION_TASK;
                return pipe_add_task(p->pipe, task, &p->task);
        }
        name[strcspn(name, " ")] = '\0';
        if (is_later(later_sections, name))
                return at(p, 2,
                          error_set(e, -EINVAL, "unsupported",
                                    "[%s …] is not supported by this release", name),
                          e);
        return at(p, 2,
                  error_set(e, -EINVAL, "unknown-section",
                            "unknown section [%.64s]; there are [Pipe] and [Task NAME]", name),
                  e);
}

/* *column moves to what is wrong in the value. */
static int pipe_key(Parser *p, const char *key, const char *value, unsigned *column, Error *e) {
        const char *near = NULL;
        size_t place;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(pipe_keys); i++) {
                void *slot = (char *) p->pipe + pipe_keys[i].offset;

                if (str_distance(pipe_keys[i].key, key) < NEAR_MAX)
                        near = pipe_keys[i].key;
                if (!str_eq(pipe_keys[i].key, key))
                        continue;
                if (*(void **) slot)
                        return error_set(e, -EINVAL, "duplicate-key", "%s= stands twice", key);
                p->keys[i] = (Place){ p->line, *column };
                r = str_replace(slot, value);
                if (r < 0 || pipe_keys[i].offset != offsetof(Pipe, selector_json))
                        return r < 0 ? r : pipe_settle(p->pipe, e);
                r = selector_parse(value, &p->pipe->selector, &place, e);
                if (r < 0 && e && e->detail[0]) {
                        (void) error_prefix(e, "%s=: ", key);
                        *column += (unsigned) (value - key + (ptrdiff_t) place);
                }
                return r;
        }
        return error_set(e, -EINVAL, "unknown-key", "unknown key %.64s= in [Pipe]%s%s%s", key,
                         near ? "; did you mean " : "", near ? near : "", near ? "=?" : "");
}

static int words_add(char ***list, const char *value) {
        _cleanup_(strv_freep) char **words = NULL;
        int r = strv_split(value, " ,\t", &words);

        if (r >= 0 && strv_length(words) == 0)
                *list = strv_free(*list);
        STRV_FOREACH(w, words)
                if (r >= 0 && !strv_contains(*list, *w))
                        r = strv_append(list, *w);
        return r;
}

/* 0 when it is none of task_keys. */
static int own_key(Parser *p, const char *key, const char *value, Error *e) {
        for (size_t i = 0; i < ELEMENTSOF(task_keys); i++) {
                void *slot = (char *) p->task + task_keys[i].offset;
                int r;

                if (!str_eq(task_keys[i].key, key))
                        continue;
                if (task_keys[i].list)
                        r = words_add(slot, value);
                else if (*(char **) slot)
                        return error_set(e, -EINVAL, "duplicate-key", "%s= stands twice", key);
                else
                        r = str_replace(slot, value);
                if (r >= 0)
                        r = pipe_settle(p->pipe, e);
                return r < 0 ? r : 1;
        }
        return 0;
}

static const char *task_word_near(const char *key) {
        const char *near = NULL;

        for (size_t i = 0; i < ELEMENTSOF(task_keys); i++)
                if (str_distance(task_keys[i].key, key) <
                    (near ? str_distance(near, key) : NEAR_MAX))
                        near = task_keys[i].key;
        return near;
}

static int task_key(Parser *p, const char *key, const char *value, unsigned column, Error *e) {
        size_t count = strv_length(p->task->directives) / 2;
        const Directive *row = directive_find(key);
        const char *near;
        int r = own_key(p, key, value, e);

        if (r != 0)
                return r;
        if (!row) {
                near = task_word_near(key);
                return near ? error_set(e, -EINVAL, "unknown-directive",
                                        "%.64s= is not allowed in [Task]; did you mean %s=?", key,
                                        near)
                            : directive_refuse(key, e);
        }
        if (count >= PIPE_DIRECTIVES_MAX)
                return error_set(e, -E2BIG, "too-many-directives", "more than %d directives",
                                 PIPE_DIRECTIVES_MAX);
        r = directive_check(row, value, e);
        if (r < 0) {
                if (e && e->detail[0])
                        (void) error_prefix(e, "%s=: ", key);
                return r;
        }
        p->directives[p->pipe->tasks.count - 1][count] = (Place){ p->line, column };
        r = strv_append(&p->task->directives, key);
        return r < 0 ? r : strv_append(&p->task->directives, value);
}

static int assignment(Parser *p, char *line, unsigned indent, Error *e) {
        char *equals = strchr(line, '='), *key, *value;
        unsigned column = indent + 1;
        int r;

        if (!equals)
                return at(p, column,
                          error_set(e, -EINVAL, "bad-line", "expected Key=value or [Section]"), e);
        *equals = '\0';
        key = str_strip(line);
        value = str_strip(equals + 1);
        if (strlen(value) > PIPE_VALUE_MAX)
                return at(p, column,
                          error_set(e, -E2BIG, "too-long", "%.64s= is longer than %d bytes", key,
                                    PIPE_VALUE_MAX),
                          e);
        if (is_later(later_keys, key))
                return at(p, column,
                          error_set(e, -EINVAL, "unsupported",
                                    "%s= is not supported by this release", key),
                          e);
        if (p->section == SECTION_NONE)
                return at(p, column,
                          error_set(e, -EINVAL, "no-section",
                                    "%.64s= stands before the first [Section]", key),
                          e);
        r = p->section == SECTION_PIPE ? pipe_key(p, key, value, &column, e)
                                       : task_key(p, key, value, column, e);
        return at(p, column, r, e);
}

/* Joins a continued line: *line grows by the next physical lines while it ends in a backslash. Comment lines between are dropped. */
static int line_continue(Buffer *line, char **rest, unsigned *count) {
        int r = 0;

        while (r >= 0 && line->size > 0 && line->data[line->size - 1] == '\\') {
                char *next = strsep(rest, "\n");

                line->data[line->size - 1] = ' ';
                if (!next)
                        break;
                (*count)++;
                if (*next != '#' && *next != ';')
                        r = buffer_append_str(line, next);
                else
                        r = buffer_append_str(line, "\\");
        }
        return r;
}

static int text_parse(Parser *p, char *text, Error *e) {
        char *rest = text, *physical;
        unsigned number = 0;

        while ((physical = strsep(&rest, "\n"))) {
                Buffer line = {};
                char *stripped;
                int r;

                p->line = ++number;
                stripped = str_strip(physical);
                if (!*stripped || *stripped == '#' || *stripped == ';')
                        continue;
                r = buffer_append_str(&line, physical);
                if (r >= 0)
                        r = line_continue(&line, &rest, &number);
                if (r >= 0) {
                        stripped = str_strip(line.data);
                        r = *stripped == '['
                                    ? section_open(p, stripped, e)
                                    : assignment(p, stripped, (unsigned) (stripped - line.data), e);
                }
                buffer_done(&line);
                if (r < 0)
                        return r;
        }
        return 0;
}

static Place place_of(const Parser *p, const PipePlace *wrong) {
        for (size_t i = 0; wrong->key && i < ELEMENTSOF(pipe_keys); i++)
                if (str_eq(pipe_keys[i].key, wrong->key) && p->keys[i].line > 0)
                        return p->keys[i];
        if (wrong->task >= p->pipe->tasks.count)
                return (Place){ 1, 1 };
        return wrong->directive == SIZE_MAX ? p->tasks[wrong->task]
                                            : p->directives[wrong->task][wrong->directive];
}

int pipe_parse(const char *name, const char *text, size_t size, Pipe **ret, Error *e) {
        _cleanup_(pipe_freep) Pipe *pipe = calloc(1, sizeof(*pipe));
        _cleanup_(freep) char *copy = NULL;
        Parser parser = { .name = name, .pipe = pipe };
        PipePlace wrong;
        int r;

        if (size > PIPE_TEXT_MAX)
                return error_set(e, -E2BIG, "too-long", "%s: a pipe is at most %d KiB", name,
                                 PIPE_TEXT_MAX / 1024);
        if (memchr(text, '\0', size) || !str_is_utf8(text, size))
                return error_set(e, -EINVAL, "bad-text", "%s: not UTF-8 text", name);
        copy = strndup(text, size);
        if (!pipe || !copy)
                return -ENOMEM;
        r = text_parse(&parser, copy, e);
        if (r < 0)
                return r;
        r = pipe_check(pipe, &wrong, e);
        if (r < 0) {
                Place place = place_of(&parser, &wrong);

                parser.line = place.line;
                return at(&parser, place.column, r, e);
        }
        *ret = TAKE_PTR(pipe);
        return 0;
}
