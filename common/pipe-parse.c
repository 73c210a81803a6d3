/* The text form: sections, keys, comments and continued lines as systemd.syntax(7) says. Reads on after a mistake, so that all of
 * them are said at once, each with its place. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "directive.h"
#include "parameter.h"
#include "pipe-internal.h"
#include "str.h"
#include "strv.h"

#define NEAR_MAX 4 /* letters; further away is no likeness */

typedef enum Section {
        SECTION_NONE,
        SECTION_PIPE,
        SECTION_SCHEDULE,
        SECTION_TASK,
        SECTION_PARAMETER,
        SECTION_LOST, /* its head was wrong, and so nobody knows what its lines mean */
} Section;

typedef struct Place {
        unsigned line, column;
} Place;

/* Where a task and what it says stands. */
typedef struct TaskPlaces {
        Place head, words[PIPE_TASK_WORDS], directives[PIPE_DIRECTIVES_MAX];
        bool broken; /* a line of it was wrong */
} TaskPlaces;

typedef struct ParameterPlaces {
        Place head, words[PIPE_PARAMETER_WORDS];
} ParameterPlaces;
/* Where a schedule and what it says stands; of expressions where they begin. */
typedef struct SchedulePlaces {
        Place head, words[PIPE_SCHEDULE_WORDS],
                expressions[PIPE_SCHEDULE_WORDS][PIPE_EXPRESSIONS_MAX];
        bool broken;
} SchedulePlaces;

typedef struct Parser {
        unsigned line; /* of the logical line's first physical one; in the end, the last one */
        Section section;
        Pipe *pipe;     /* owned */
        PipeTask *task; /* borrowed: in pipe, its last one; as is the schedule */
        PipeSchedule *schedule;
        Place words[PIPE_OWN_WORDS];
        TaskPlaces *tasks; /* owned: as many as the pipe has; so are the schedules' */
        SchedulePlaces *schedules;
        ParameterPlaces parameters[PARAMETERS_MAX];
        bool lost; /* a head was wrong */
        Complaints complaints;
} Parser;

/* Notes what is wrong, and where; only being out of memory ends the reading. */
static int complain(Parser *p, unsigned column, int r, const Error *e) {
        if (r >= 0 || r == -ENOMEM || !e->detail[0])
                return r;
        if (p->section == SECTION_TASK)
                p->tasks[p->pipe->tasks.count - 1].broken = true;
        if (p->section == SECTION_SCHEDULE)
                p->schedules[p->pipe->schedules.count - 1].broken = true;
        return complaints_add(&p->complaints, p->line, column, e);
}

static int task_open(Parser *p, const char *name, Error *e) {
        size_t n = p->pipe->tasks.count;
        TaskPlaces *grown;

        if (n >= PIPE_TASKS_MAX)
                return error_set(e, -E2BIG, "too-many-tasks", "more than %d tasks", PIPE_TASKS_MAX);
        grown = reallocarray(p->tasks, n + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        p->tasks = grown;
        grown[n] = (TaskPlaces){ .head = { p->line, 1 } };
        p->section = SECTION_TASK;
        return pipe_add_task(p->pipe, name, &p->task);
}

static int parameter_open(Parser *p, const char *name, Error *e) {
        size_t n = p->pipe->parameters.count;
        PipeParameter *parameter;

        if (n >= PARAMETERS_MAX)
                return error_set(e, -E2BIG, "too-many-parameters", "more than %d parameters",
                                 PARAMETERS_MAX);
        p->parameters[n].head = (Place){ p->line, 1 };
        p->section = SECTION_PARAMETER;
        return pipe_add_parameter(p->pipe, name, &parameter);
}

static int schedule_open(Parser *p, const char *name, Error *e) {
        size_t n = p->pipe->schedules.count;
        SchedulePlaces *grown;

        if (n >= PIPE_SCHEDULES_MAX)
                return error_set(e, -E2BIG, "too-many-schedules", "more than %d schedules",
                                 PIPE_SCHEDULES_MAX);
        grown = reallocarray(p->schedules, n + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        p->schedules = grown;
        grown[n] = (SchedulePlaces){ .head = { p->line, 1 } };
        p->section = SECTION_SCHEDULE;
        return pipe_add_schedule(p->pipe, name, &p->schedule);
}

static int section_open(Parser *p, char *line, unsigned indent) {
        size_t n = strlen(line);
        unsigned column = indent + 2;
        Error e = {};
        char *name;
        int r;

        p->section = SECTION_LOST;
        name = line[n - 1] == ']' ? line + 1 : NULL;
        if (name) {
                line[n - 1] = '\0';
                name = str_strip(name);
        }
        if (!name) {
                column = indent + (unsigned) n;
                r = error_set(&e, -EINVAL, "bad-section", "] is missing");
        } else if (str_eq(name, "Pipe")) {
                p->section = SECTION_PIPE;
                return 0;
        } else if (str_after(name, "Task ")) {
                column = indent + 1;
                r = task_open(p, str_strip(name + strlen("Task ")), &e);
        } else if (str_after(name, "Parameter ")) {
                column = indent + 1;
                r = parameter_open(p, str_strip(name + strlen("Parameter ")), &e);
        } else if (str_after(name, "Schedule ")) {
                column = indent + 1;
                r = schedule_open(p, str_strip(name + strlen("Schedule ")), &e);
        } else {
                name[strcspn(name, " ")] = '\0';
                r = error_set(&e, -EINVAL, "unknown-section",
                              "unknown section [%.64s]; there are [Pipe], [Parameter NAME], "
                              "[Schedule NAME] and [Task NAME]",
                              name);
        }
        p->lost |= p->section == SECTION_LOST;
        return complain(p, column, r, &e);
}

static int list_add(char ***list, const char *value) {
        _cleanup_(strv_freep) char **words = NULL;
        int r = strv_split(value, " ,\t", &words);

        if (r >= 0 && strv_length(words) == 0)
                *list = strv_free(*list);
        STRV_FOREACH(w, words)
                if (r >= 0 && !strv_contains(*list, *w))
                        r = strv_append(list, *w);
        return r;
}

static int line_add(char ***lines, const char *key, const char *value, Error *e) {
        if (!*value)
                *lines = strv_free(*lines);
        else if (strv_length(*lines) >= PIPE_EXPRESSIONS_MAX)
                return error_set(e, -E2BIG, "too-many-expressions", "%s= stands more than %d times",
                                 key, PIPE_EXPRESSIONS_MAX);
        return *value ? strv_append(lines, value) : 0;
}

static int word_take(const PipeWord *word, void *target, const char *value, Error *e) {
        void *slot = (char *) target + word->offset;

        if (word->lines)
                return line_add(slot, word->key, value, e);
        if (word->list)
                return list_add(slot, value);
        return *(char **) slot
                       ? error_set(e, -EINVAL, "duplicate-key", "%s= stands twice", word->key)
                       : str_replace(slot, value);
}

/* column is that of the key, *ret_column that of what is wrong. */
static int selector_take(Parser *p, const char *key, const char *value, unsigned column,
                         unsigned *ret_column, Error *e) {
        size_t place;
        int r = selector_parse(value, &p->pipe->selector, &place, e);

        if (r < 0 && e->detail[0]) {
                (void) error_prefix(e, "%s=: ", key);
                *ret_column = column + (unsigned) (value - key + (ptrdiff_t) place);
        }
        return r;
}

static const char *nearest_word(const PipeWord words[], size_t n, const char *key,
                                const char *near) {
        unsigned least = near ? str_distance(near, key) : NEAR_MAX;

        for (size_t i = 0; i < n; i++)
                if (str_distance(words[i].key, key) < least) {
                        near = words[i].key;
                        least = str_distance(near, key);
                }
        return near;
}

static int unknown_key(const PipeWord words[], size_t n, const char *key, const char *section,
                       Error *e) {
        const char *near = nearest_word(words, n, key, NULL);

        return error_set(e, -EINVAL, "unknown-key", "unknown key %.64s= in [%s]%s%s%s", key,
                         section, near ? "; did you mean " : "", near ? near : "",
                         near ? "=?" : "");
}

static int pipe_key(Parser *p, const char *key, const char *value, unsigned column,
                    unsigned *ret_column, Error *e) {
        size_t i = pipe_word_find(pipe_own_words, PIPE_OWN_WORDS, key);
        int r;

        if (i == PIPE_OWN_WORDS)
                return unknown_key(pipe_own_words, PIPE_OWN_WORDS, key, "Pipe", e);
        r = word_take(&pipe_own_words[i], p->pipe, value, e);
        if (r < 0)
                return r;
        p->words[i] = (Place){ p->line, column };
        return str_eq(key, "AgentSelector") ? selector_take(p, key, value, column, ret_column, e)
                                            : 0;
}

static int parameter_key(Parser *p, const char *key, const char *value, unsigned column, Error *e) {
        size_t n = p->pipe->parameters.count - 1;
        size_t i = pipe_word_find(pipe_parameter_words, PIPE_PARAMETER_WORDS, key);

        if (i == PIPE_PARAMETER_WORDS)
                return unknown_key(pipe_parameter_words, PIPE_PARAMETER_WORDS, key, "Parameter", e);
        p->parameters[n].words[i] = (Place){ p->line, column };
        return word_take(&pipe_parameter_words[i], pipe_parameter(p->pipe, n), value, e);
}

static int unknown_directive(const char *key, Error *e) {
        const char *near = nearest_word(pipe_task_words, PIPE_TASK_WORDS, key, NULL);
        const char *other = directive_nearest(key);

        if (near && (!other || str_distance(near, key) < str_distance(other, key)))
                return error_set(e, -EINVAL, "unknown-directive",
                                 "%.64s= is not allowed in [Task]; did you mean %s=?", key, near);
        return directive_refuse(key, e);
}

static int task_key(Parser *p, const char *key, const char *value, unsigned column, Error *e) {
        size_t count = strv_length(p->task->directives) / 2;
        size_t i = pipe_word_find(pipe_task_words, PIPE_TASK_WORDS, key);
        TaskPlaces *places = &p->tasks[p->pipe->tasks.count - 1];
        const Directive *row = directive_find(key);
        int r;

        if (i < PIPE_TASK_WORDS) {
                places->words[i] = (Place){ p->line, column };
                return word_take(&pipe_task_words[i], p->task, value, e);
        }
        if (!row)
                return unknown_directive(key, e);
        if (count >= PIPE_DIRECTIVES_MAX)
                return error_set(e, -E2BIG, "too-many-directives", "more than %d directives",
                                 PIPE_DIRECTIVES_MAX);
        places->directives[count] = (Place){ p->line, column };
        r = strv_append(&p->task->directives, key);
        return r < 0 ? r : strv_append(&p->task->directives, value);
}

/* What timer units know, and a schedule does otherwise. */
static const struct {
        const char *key, *instead;
} timer_words[] = {
        { "AccuracySec", "a run begins when it is due; RandomizedDelaySec= spreads runs" },
        { "OnActiveSec", "with OnUnitActiveSec= the first run is due one interval after the "
                         "deployment" },
        { "OnBootSec", "there is no boot to count from; OnCalendar=*:0/15 is every 15 minutes" },
        { "OnStartupSec",
          "there is no start to count from; OnCalendar=*:0/15 is every 15 minutes" },
        { "Unit", "a schedule starts the pipe that it stands in" },
};

static int schedule_key(Parser *p, const char *key, const char *value, unsigned column, Error *e) {
        size_t i = pipe_word_find(pipe_schedule_words, PIPE_SCHEDULE_WORDS, key);
        SchedulePlaces *places = &p->schedules[p->pipe->schedules.count - 1];
        size_t n;
        int r;

        for (size_t k = 0; k < ELEMENTSOF(timer_words); k++)
                if (str_eq(timer_words[k].key, key))
                        return error_set(e, -EINVAL, "unknown-key",
                                         "%s= is no key of [Schedule]: %s", key,
                                         timer_words[k].instead);
        if (i == PIPE_SCHEDULE_WORDS)
                return unknown_key(pipe_schedule_words, PIPE_SCHEDULE_WORDS, key, "Schedule", e);
        r = word_take(&pipe_schedule_words[i], p->schedule, value, e);
        if (r < 0)
                return r;
        places->words[i] = (Place){ p->line, column };
        if (!pipe_schedule_words[i].lines || !*value)
                return 0;
        n = strv_length(*(char ***) ((char *) p->schedule + pipe_schedule_words[i].offset));
        places->expressions[i][n - 1] = (Place){ p->line, column + (unsigned) (value - key) };
        return 0;
}

static bool is_of_schedules(const char *key) {
        return pipe_word_find(pipe_schedule_words, PIPE_SCHEDULE_WORDS, key) <
                       PIPE_SCHEDULE_WORDS &&
               pipe_word_find(pipe_own_words, PIPE_OWN_WORDS, key) == PIPE_OWN_WORDS;
}

static int assignment(Parser *p, char *line, unsigned indent) {
        unsigned column = indent + 1, wrong = column;
        char *equals = strchr(line, '='), *key, *value;
        Error e = {};
        int r;

        if (p->section == SECTION_LOST)
                return 0;
        if (!equals)
                return complain(
                        p, column,
                        error_set(&e, -EINVAL, "bad-line", "expected Key=value or [Section]"), &e);
        *equals = '\0';
        key = str_strip(line);
        value = str_strip(equals + 1);
        if (strlen(value) > PIPE_VALUE_MAX) {
                r = error_set(&e, -E2BIG, "too-long", "%.64s= is longer than %d bytes", key,
                              PIPE_VALUE_MAX);
        } else if (p->section == SECTION_NONE) {
                r = error_set(&e, -EINVAL, "no-section", "%.64s= stands before the first [Section]",
                              key);
                p->section = SECTION_LOST;
        } else if (p->section == SECTION_SCHEDULE) {
                r = schedule_key(p, key, value, column, &e);
        } else if (is_of_schedules(key)) {
                r = error_set(&e, -EINVAL, "unknown-key", "%s= stands in [Schedule NAME]", key);
        } else {
                r = p->section == SECTION_PIPE   ? pipe_key(p, key, value, column, &wrong, &e)
                    : p->section == SECTION_TASK ? task_key(p, key, value, column, &e)
                                                 : parameter_key(p, key, value, column, &e);
        }
        return complain(p, wrong, r, &e);
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

static int text_parse(Parser *p, char *text) {
        char *rest = text, *physical;
        unsigned number = 0;

        /* When there is more to say than is said, the rest of the text says nothing. */
        while (p->complaints.n <= PIPE_COMPLAINTS_MAX && (physical = strsep(&rest, "\n"))) {
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
                        unsigned indent;

                        stripped = str_strip(line.data);
                        indent = (unsigned) (stripped - line.data);
                        r = *stripped == '[' ? section_open(p, stripped, indent)
                                             : assignment(p, stripped, indent);
                }
                buffer_done(&line);
                if (r < 0)
                        return r;
        }
        return 0;
}

static Place place_in_schedule(const SchedulePlaces *s, const PipePlace *wrong) {
        size_t i = wrong->key ? pipe_word_find(pipe_schedule_words, PIPE_SCHEDULE_WORDS, wrong->key)
                              : PIPE_SCHEDULE_WORDS;

        if (i < PIPE_SCHEDULE_WORDS && wrong->expression != SIZE_MAX) {
                Place place = s->expressions[i][wrong->expression];

                return (Place){ place.line, place.column + (unsigned) wrong->at };
        }
        return i < PIPE_SCHEDULE_WORDS && s->words[i].line > 0 ? s->words[i] : s->head;
}

static Place place_of(const Parser *p, const PipePlace *wrong) {
        const TaskPlaces *t = wrong->task == SIZE_MAX ? NULL : &p->tasks[wrong->task];
        const ParameterPlaces *parameter =
                wrong->parameter != SIZE_MAX ? &p->parameters[wrong->parameter] : NULL;
        Place place = {};
        size_t i;

        if (wrong->schedule != SIZE_MAX)
                return place_in_schedule(&p->schedules[wrong->schedule], wrong);
        if (t && wrong->directive != SIZE_MAX)
                return t->directives[wrong->directive];
        if (t && wrong->key) {
                i = pipe_word_find(pipe_task_words, PIPE_TASK_WORDS, wrong->key);
                place = i < PIPE_TASK_WORDS ? t->words[i] : place;
        } else if (parameter && wrong->key) {
                i = pipe_word_find(pipe_parameter_words, PIPE_PARAMETER_WORDS, wrong->key);
                place = i < PIPE_PARAMETER_WORDS ? parameter->words[i] : place;
        } else if (wrong->key) {
                i = pipe_word_find(pipe_own_words, PIPE_OWN_WORDS, wrong->key);
                place = i < PIPE_OWN_WORDS ? p->words[i] : place;
        }
        if (place.line > 0)
                return place;
        return t ? t->head : parameter ? parameter->head : (Place){ p->line, 1 };
}

/* What only follows from a mistake that was said already is left out. */
static bool follows(const Parser *p, const PipePlace *wrong, const Error *e) {
        if (str_eq(e->slug, "no-command"))
                return p->tasks[wrong->task].broken;
        if (str_eq(e->slug, "no-time"))
                return p->schedules[wrong->schedule].broken;
        return p->lost && (str_eq(e->slug, "unknown-task") || str_eq(e->slug, "no-task") ||
                           str_eq(e->slug, "unknown-parameter"));
}

static int on_objection(const PipePlace *wrong, const Error *e, void *userdata) {
        Parser *p = userdata;
        Place place = place_of(p, wrong);

        return follows(p, wrong, e) ? 0
                                    : complaints_add(&p->complaints, place.line, place.column, e);
}

static void parser_done(Parser *p) {
        (void) pipe_free(p->pipe);
        free(p->tasks);
        free(p->schedules);
        complaints_done(&p->complaints);
}

int pipe_parse(const char *name, const char *text, size_t size, Pipe **ret, Error *e,
               char ***ret_all) {
        _cleanup_(parser_done) Parser p = { .pipe = calloc(1, sizeof(Pipe)) };
        PipeCheck check = { .pipe = p.pipe, .on_objection = on_objection, .userdata = &p };
        _cleanup_(freep) char *copy = NULL;
        int r;

        if (size > PIPE_TEXT_MAX)
                return error_set(e, -E2BIG, "too-long", "%s: a pipe is at most %d KiB", name,
                                 PIPE_TEXT_MAX / 1024);
        if (memchr(text, '\0', size) || !str_is_utf8(text, size))
                return error_set(e, -EINVAL, "bad-text", "%s: not UTF-8 text", name);
        copy = strndup(text, size);
        if (!p.pipe || !copy)
                return -ENOMEM;
        r = text_parse(&p, copy);
        if (r >= 0)
                r = pipe_check(&check);
        if (r >= 0 || r == -EINVAL)
                r = complaints_take(&p.complaints, name, e, ret_all);
        if (r >= 0)
                *ret = TAKE_PTR(p.pipe);
        return r;
}
