/* The text form of a pipe. */
#include <errno.h>
#include <stdlib.h>

#include "pipe-internal.h"
#include "str.h"
#include "strv.h"

static int line_out(Buffer *b, const char *key, const char *value) {
        return value ? buffer_printf(b, "%s=%s\n", key, value) : 0;
}

static int list_out(Buffer *b, const char *key, char *const *list) {
        _cleanup_(freep) char *joined = list ? strv_join(list, " ") : NULL;

        if (list && !joined)
                return -ENOMEM;
        return joined && *joined ? line_out(b, key, joined) : 0;
}

static int lines_out(Buffer *b, const char *key, char *const *lines) {
        int r = 0;

        STRV_FOREACH(l, lines)
                r = r < 0 ? r : line_out(b, key, *l);
        return r;
}

/* "a in (b, c), !d" */
static int selector_text(const Selector *s, char **ret) {
        const SelectorTerm *terms = s->terms.items;
        Buffer b = {};
        int r = 0;

        for (size_t i = 0; r >= 0 && i < s->terms.count; i++) {
                const char *operator= terms[i].operator;

                r = buffer_append_str(&b, i > 0 ? ", " : "");
                if (r >= 0)
                        r = buffer_printf(&b, "%s%s", str_eq(operator, "absent") ? "!" : "",
                                          terms[i].key);
                if (r >= 0 && strv_length(terms[i].values) > 0) {
                        _cleanup_(freep) char *values = strv_join(terms[i].values, ", ");

                        r = values ? buffer_printf(&b, " %s (%s)", operator, values) : -ENOMEM;
                }
        }
        if (r >= 0)
                r = buffer_take(&b, ret);
        buffer_done(&b);
        return r;
}

/* Values that came as JSON may hold what a selector's text has other uses for. */
static int selector_out(Buffer *b, const char *key, const Selector *s, Error *e) {
        _cleanup_(freep) char *text = NULL, *again = NULL;
        _cleanup_(selector_done) Selector parsed = {};
        size_t at;
        int r = s->terms.count > 0 ? selector_text(s, &text) : 0;

        if (r < 0 || !text)
                return r;
        r = strpbrk(text, "\n") ? -EINVAL : selector_parse(text, &parsed, &at, NULL);
        if (r >= 0)
                r = selector_text(&parsed, &again);
        if (r == -EINVAL || (r >= 0 && !str_eq(text, again)))
                return error_set(e, -EINVAL, "not-a-line",
                                 "%s=: a value cannot be written in a pipe file", key);
        return r < 0 ? r : line_out(b, key, text);
}

static int words_out(Buffer *b, const PipeWord words[], size_t n, const void *source, Error *e) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < n; i++) {
                const void *slot = (const char *) source + words[i].offset;

                if (words[i].lines)
                        r = lines_out(b, words[i].key, *(char *const *const *) slot);
                else if (words[i].list)
                        r = list_out(b, words[i].key, *(char *const *const *) slot);
                else if (words[i].selector)
                        r = selector_out(
                                b, words[i].key,
                                (const Selector *) ((const char *) source + words[i].selector), e);
                else
                        r = line_out(b, words[i].key, *(const char *const *) slot);
        }
        return r;
}

static int task_out(Buffer *b, const PipeTask *t, Error *e) {
        int r = buffer_printf(b, "\n[Task %s]\n", t->name);

        if (r >= 0)
                r = words_out(b, pipe_task_words, PIPE_TASK_WORDS, t, e);
        for (char **d = t->directives; r >= 0 && d && *d; d += 2)
                r = line_out(b, d[0], d[1]);
        return r;
}

static int parameter_out(Buffer *b, const PipeParameter *t) {
        int r = buffer_printf(b, "\n[Parameter %s]\n", t->name);

        return r < 0 ? r : words_out(b, pipe_parameter_words, PIPE_PARAMETER_WORDS, t, NULL);
}

static int schedule_out(Buffer *b, const PipeSchedule *s) {
        int r = buffer_printf(b, "\n[Schedule %s]\n", s->name);

        return r < 0 ? r : words_out(b, pipe_schedule_words, PIPE_SCHEDULE_WORDS, s, NULL);
}

int pipe_to_text(const Pipe *p, char **ret, Error *e) {
        Buffer b = {};
        int r = buffer_append_str(&b, "[Pipe]\n");

        if (r >= 0)
                r = words_out(&b, pipe_own_words, PIPE_OWN_WORDS, p, e);
        for (size_t i = 0; r >= 0 && i < p->parameters.count; i++)
                r = parameter_out(&b, pipe_parameter(p, i));
        for (size_t i = 0; r >= 0 && i < p->schedules.count; i++)
                r = schedule_out(&b, pipe_schedule(p, i));
        for (size_t i = 0; r >= 0 && i < p->tasks.count; i++)
                r = task_out(&b, pipe_task(p, i), e);
        if (r >= 0)
                r = buffer_take(&b, ret);
        buffer_done(&b);
        return r;
}
