/* Parameters of a pipe, and what its tasks refer to. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "directive.h"
#include "parameter.h"
#include "parse.h"
#include "pipe-internal.h"
#include "secret.h"
#include "specifier.h"
#include "str.h"
#include "strv.h"
#include "substitute.h"

#define VALUES_MAX 256
#define NEAR_MAX 4 /* letters; further away is no likeness */

const PipeWord pipe_parameter_words[PIPE_PARAMETER_WORDS] = {
        { "Type", offsetof(PipeParameter, type), false },
        { "Default", offsetof(PipeParameter, preset), false },
        { "Pattern", offsetof(PipeParameter, pattern), false },
        { "Minimum", offsetof(PipeParameter, minimum), false },
        { "Maximum", offsetof(PipeParameter, maximum), false },
        { "Values", offsetof(PipeParameter, values), true },
        { "Required", offsetof(PipeParameter, required), false },
        { "Description", offsetof(PipeParameter, description), false },
};

#define T(name_, member_)                                                                          \
        { name_, JSON_TEXT, false, offsetof(PipeParameter, member_), .max = PIPE_VALUE_MAX }
const JsonField pipe_parameter_fields[] = {
        { "name", JSON_TEXT, true, offsetof(PipeParameter, name), .max = 255 },
        T("type", type),
        T("default", preset),
        T("pattern", pattern),
        T("minimum", minimum),
        T("maximum", maximum),
        { "values", JSON_STRV, false, offsetof(PipeParameter, values), .max = VALUES_MAX },
        { "required", JSON_RAW, false, offsetof(PipeParameter, required), .max = 16 },
        T("description", description),
        {},
};

/* Only what is said: the rest has its default. */
void pipe_parameters_to_json(const Pipe *p, JsonOut *o) {
        if (p->parameters.count == 0)
                return;
        json_out_array(o, "parameters");
        for (size_t i = 0; i < p->parameters.count; i++) {
                const PipeParameter *t = pipe_parameter(p, i);

                json_out_object(o, NULL);
                for (const JsonField *f = pipe_parameter_fields; f->name; f++) {
                        const void *slot = (const char *) t + f->offset;
                        const char *text = *(const char *const *) slot;

                        if (f->type == JSON_TEXT && text)
                                json_out_text(o, f->name, text);
                        else if (f->type == JSON_RAW && text)
                                json_out_raw(o, f->name, text);
                        else if (f->type == JSON_STRV &&
                                 strv_length(*(char *const *const *) slot)) {
                                json_out_array(o, f->name);
                                STRV_FOREACH(v, *(char *const *const *) slot)
                                        json_out_text(o, NULL, *v);
                                json_out_end_array(o);
                        }
                }
                json_out_end_object(o);
        }
        json_out_end_array(o);
}

int pipe_describe_parameter(const Pipe *p, size_t i, char **ret) {
        const PipeParameter *t = i < p->parameters.count ? pipe_parameter(p, i) : NULL;
        _cleanup_(freep) char *values = t && t->values ? strv_join(t->values, ", ") : NULL;
        char *text;

        if (!t)
                return -ENOENT;
        text = str_format("%s: %s%s%s%s, %s%s%s%s", t->name, t->type ? t->type : "string",
                          values ? " (" : "", values ? values : "", values ? ")" : "",
                          t->preset     ? "default "
                          : t->required ? "required"
                                        : "empty unless given",
                          t->preset ? t->preset : "", t->description ? "; " : "",
                          t->description ? t->description : "");
        *ret = text;
        return text ? 0 : -ENOMEM;
}

bool pipe_parameter_preset(const Pipe *p, size_t i, const char **ret_name, const char **ret_value) {
        const PipeParameter *t = i < p->parameters.count ? pipe_parameter(p, i) : NULL;

        if (!t)
                return false;
        *ret_name = t->name;
        *ret_value = t->required || parameter_is_relative(t->type, t->preset) ? NULL
                     : t->preset                                              ? t->preset
                                                                              : "";
        return true;
}

static const PipeParameter *find(const Pipe *p, const char *name, size_t size) {
        for (size_t i = 0; i < p->parameters.count; i++) {
                const PipeParameter *t = pipe_parameter(p, i);

                if (strlen(t->name) == size && memcmp(t->name, name, size) == 0)
                        return t;
        }
        return NULL;
}

/* The name of a parameter that may have been meant; NULL. */
static const char *nearest(const Pipe *p, const char *name) {
        unsigned least = NEAR_MAX;
        const char *near = NULL;

        for (size_t i = 0; i < p->parameters.count; i++) {
                unsigned distance = str_distance(pipe_parameter(p, i)->name, name);

                if (distance < least) {
                        least = distance;
                        near = pipe_parameter(p, i)->name;
                }
        }
        return near;
}

static int check_name(const Pipe *p, size_t i, Error *e) {
        const PipeParameter *t = pipe_parameter(p, i);

        if (!parameter_name_ok(t->name, strlen(t->name)))
                return error_set(e, -EINVAL, "bad-name",
                                 "\"%.64s\" is no parameter name: a-z, 0-9 and _, at most %d, "
                                 "beginning with a letter",
                                 t->name, PARAMETER_NAME_MAX);
        if (find(p, t->name, strlen(t->name)) != t)
                return error_set(e, -EINVAL, "duplicate-parameter",
                                 "parameter \"%.64s\" stands twice", t->name);
        return 0;
}

/* true stands there, or nothing. */
static int settle_required(PipeParameter *t, Error *e) {
        bool required = false;

        if (!t->required)
                return 0;
        if (parse_bool(t->required, &required) < 0)
                return error_set(e, -EINVAL, "bad-value", "Required=: yes or no is expected");
        if (required && t->preset)
                return error_set(e, -EINVAL, "bad-parameter",
                                 "Required= does not go with Default=, which is a value");
        return str_replace(&t->required, required ? "true" : NULL);
}

/* What a line of a pipe file cannot hold came as JSON; a list's words have no blanks and commas. */
static int check_lines(const PipeParameter *t, const char **ret_key, Error *e) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < PIPE_PARAMETER_WORDS; i++) {
                const void *slot = (const char *) t + pipe_parameter_words[i].offset;

                *ret_key = pipe_parameter_words[i].key;
                if (!pipe_parameter_words[i].list)
                        r = pipe_line_check(*ret_key, *(const char *const *) slot, e);
                else
                        STRV_FOREACH(v, *(char *const *const *) slot)
                                if (!**v || strpbrk(*v, " ,\t\n\r\v\f\\"))
                                        r = error_set(e, -EINVAL, "not-a-line",
                                                      "%s=: a value is a word without blanks, "
                                                      "commas and backslashes",
                                                      *ret_key);
        }
        return r;
}

static ParameterRule rule_of(const PipeParameter *t) {
        return (ParameterRule){ .type = t->type,
                                .pattern = t->pattern,
                                .minimum = t->minimum,
                                .maximum = t->maximum,
                                .values = t->values };
}

static int check_values(const PipeParameter *t, const char **ret_key, Error *e) {
        const ParameterRule rule = rule_of(t);
        int r = parameter_rule_check(&rule, ret_key, e);

        if (r < 0)
                return r;
        *ret_key = t->preset ? "Default" : NULL;
        r = secret_check("parameter", t->name, t->preset ? t->preset : "", e);
        if (r < 0 || !t->preset)
                return r;
        r = parameter_value_check(&rule, t->preset, e);
        return r == -ENOMEM ? r : r < 0 ? error_prefix(e, "Default=: ") : 0;
}

int pipe_check_assignment(const Pipe *p, const char *assignment, Error *e) {
        const char *equals = strchr(assignment, '=');
        size_t n = equals ? (size_t) (equals - assignment) : 0;
        const PipeParameter *t = find(p, assignment, n);
        _cleanup_(freep) char *name = strndup(assignment, n);
        const char *near, *key;
        ParameterRule rule;
        int r;

        if (!name)
                return -ENOMEM;
        if (n == 0)
                return error_set(e, -EINVAL, "bad-value", "NAME=VALUE is expected");
        if (!t) {
                near = nearest(p, name);
                return error_set(e, -EINVAL, "unknown-parameter",
                                 "there is no [Parameter %.64s]%s%s%s", name,
                                 near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
        }
        rule = rule_of(t);
        if (parameter_rule_check(&rule, &key, NULL) < 0)
                return 0; /* which was said where the rule stands */
        r = pipe_line_check(name, equals + 1, e);
        if (r >= 0)
                r = secret_check("parameter", name, equals + 1, e);
        if (r < 0)
                return r;
        r = parameter_value_check(&rule, equals + 1, e);
        return r == -ENOMEM ? r : r < 0 ? error_prefix(e, "%s: ", name) : 0;
}

void pipe_check_parameters(PipeCheck *c) {
        for (size_t i = 0; i < c->pipe->parameters.count; i++) {
                PipeParameter *t = pipe_parameter(c->pipe, i);
                const char *key = NULL;
                Error e = {};
                int r;

                pipe_object(c, PLACE_PARAMETER(i, NULL), check_name(c->pipe, i, &e), &e);
                pipe_object(c, PLACE_PARAMETER(i, "Required"), settle_required(t, &e), &e);
                r = check_lines(t, &key, &e);
                pipe_object(c, PLACE_PARAMETER(i, key), r, &e);
                r = check_values(t, &key, &e);
                pipe_object(c, PLACE_PARAMETER(i, key), r, &e);
        }
}

/* One directive of one task. */
typedef struct Look {
        PipeCheck *c;
        const Directive *row;
        size_t task, directive;
        pipe_succeeded_t succeeded; /* NULL: outputs are not looked at */
        const void *graph;
} Look;

static int object(const Look *l, int r, const Error *e) {
        pipe_object(l->c, PLACE_DIRECTIVE(l->task, l->directive), r, e);
        return l->c->trouble;
}

static int on_reference(const Reference *reference, void *userdata) {
        const Look *l = userdata;
        const Pipe *p = l->c->pipe;
        bool known = !reference->specifier && find(p, reference->name, reference->name_size);
        char name[PARAMETER_NAME_MAX + 1] = "";
        const char *near;
        Error e = {};
        int size = (int) reference->size, r = 0;

        if (reference->specifier) {
                r = specifier_check(reference->specifier, &e);
                if (r >= 0 && !l->row->substitutes)
                        r = error_set(
                                &e, -EINVAL, "not-replaced",
                                "specifiers are not replaced there; write what %.*s stands for",
                                size, reference->text);
                if (r < 0)
                        (void) error_prefix(&e, "%s=: ", l->row->name);
        } else if (!reference->braces) {
                if (known && l->row->substitutes)
                        r = error_set(
                                &e, -EINVAL, "no-braces",
                                "%s=: %.*s is split into words by systemd, or not replaced at "
                                "all; write ${%.*s}",
                                l->row->name, size, reference->text, (int) reference->name_size,
                                reference->name);
        } else if (!reference->complete) {
                r = error_set(&e, -EINVAL, "bad-reference",
                              "%s=: \"%.*s\" begins a reference and is none; ${parameter} or "
                              "${task.KEY} is expected, or $$ for a $",
                              l->row->name, size < 64 ? size : 64, reference->text);
        } else if (!l->row->substitutes) {
                r = error_set(&e, -EINVAL, "not-replaced", "%s=: %.*s is not replaced there",
                              l->row->name, size, reference->text);
        } else if (!reference->key && !known) {
                (void) snprintf(name, sizeof(name), "%.*s", (int) reference->name_size,
                                reference->name);
                near = nearest(p, name);
                r = error_set(&e, -EINVAL, "unknown-parameter",
                              "%s=: there is no parameter %.*s%s%s%s", l->row->name, size,
                              reference->text, near ? "; did you mean ${" : "", near ? near : "",
                              near ? "}?" : "; make it a [Parameter NAME], or write $$ for a $");
        }
        return object(l, r, &e);
}

static int on_output(const Reference *reference, void *userdata) {
        const Look *l = userdata;
        char name[64] = "";
        Error e = {};
        int r;

        if (!reference->braces || !reference->complete || !reference->key || !l->row->substitutes)
                return 0;
        (void) snprintf(name, sizeof(name), "%.*s", (int) reference->name_size, reference->name);
        r = l->succeeded(l->graph, l->task, name);
        if (str_eq(name, pipe_task(l->c->pipe, l->task)->name))
                r = error_set(&e, -EINVAL, "output-not-there",
                              "%s=: %.*s: a task cannot have its own output", l->row->name,
                              (int) reference->size, reference->text);
        else if (r < 0)
                r = error_set(&e, -EINVAL, "unknown-task",
                              "%s=: %.*s: this pipe has no task \"%s\"", l->row->name,
                              (int) reference->size, reference->text, name);
        else if (r == 0)
                r = error_set(
                        &e, -EINVAL, "output-not-there",
                        "%s=: %.*s: task \"%s\" has not always succeeded before this one; say "
                        "After=%s",
                        l->row->name, (int) reference->size, reference->text, name, name);
        for (size_t i = 0; r > 0 && i < l->c->pipe->tasks.count; i++)
                if (pipe_task(l->c->pipe, i)->all_text &&
                    str_eq(pipe_task(l->c->pipe, i)->name, name))
                        r = error_set(&e, -EINVAL, "output-of-many",
                                      "%s=: %.*s: task \"%s\" is done on many hosts, so it has no "
                                      "output that could be meant",
                                      l->row->name, (int) reference->size, reference->text, name);
        return object(l, r, &e);
}

static void each_reference(Look look, on_reference_t on) {
        char **first = pipe_task(look.c->pipe, look.task)->directives;

        for (char **d = first; d && *d && look.c->trouble >= 0; d += 2) {
                int r;

                look.row = directive_find(d[0]);
                look.directive = (size_t) (d - first) / 2;
                r = look.row ? substitute_each(look.row, d[1], on, &look) : 0;
                if (r < 0 && look.c->trouble >= 0)
                        look.c->trouble = r;
        }
}

void pipe_check_references(PipeCheck *c) {
        for (size_t i = 0; i < c->pipe->tasks.count; i++)
                each_reference((Look){ .c = c, .task = i }, on_reference);
}

void pipe_check_outputs(PipeCheck *c, size_t task, pipe_succeeded_t succeeded, const void *graph) {
        each_reference((Look){ .c = c, .task = task, .succeeded = succeeded, .graph = graph },
                       on_output);
}
