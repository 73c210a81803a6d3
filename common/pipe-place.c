/* Where tasks are placed. Those that are placed by themselves have no workspace: what would need one is refused, since it would be there
 * only by chance. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "pipe-internal.h"
#include "str.h"

#define WORKSPACE "SLUICE_WORKSPACE"

/* As $NAME or ${NAME}, for systemd; as $$NAME or $${NAME}, for a shell. */
static bool names_workspace(const char *value) {
        for (const char *p = strstr(value, WORKSPACE); p; p = strstr(p + 1, WORKSPACE)) {
                const char *end = p + strlen(WORKSPACE);
                const char *before = p > value && p[-1] == '{' ? p - 1 : p;

                if (before > value && before[-1] == '$' && *end != '_' &&
                    !isalnum((unsigned char) *end))
                        return true;
        }
        return false;
}

static void check_directives(PipeCheck *c, size_t i, const char *key) {
        char **first = pipe_task(c->pipe, i)->directives;
        Error e = {};

        for (char **d = first; d && *d; d += 2)
                if (names_workspace(d[1]))
                        pipe_object(c, PLACE_DIRECTIVE(i, (size_t) (d - first) / 2),
                                    error_set(&e, -EINVAL, "no-workspace",
                                              "%s=: a task with %s= has no $" WORKSPACE
                                              ": leave %s= out, or pass values on as outputs, "
                                              "${task.KEY}",
                                              d[0], key, key),
                                    &e);
}

static void check_selector(PipeCheck *c, size_t i, const PipeWord *word) {
        const Selector *s = (const Selector *) ((char *) pipe_task(c->pipe, i) + word->selector);
        Error e = {};

        if (s->terms.count == 0)
                pipe_object(c, PLACE_TASK(i, word->key),
                            error_set(&e, -EINVAL, "bad-selector",
                                      "%s=: a label is expected; for any agent of the pipe repeat "
                                      "the pipe's AgentSelector=",
                                      word->key),
                            &e);
        if (pipe_is_streaming(c->pipe))
                pipe_object(c, PLACE_TASK(i, word->key),
                            error_set(&e, -EINVAL, "not-streaming",
                                      "%s= of a task does not go with Type=streaming: write "
                                      "AgentSelector= in [Pipe]",
                                      word->key),
                            &e);
        check_directives(c, i, word->key);
}

/* From 1 to 100 with a percent sign; or, where that is possible, a number of at most four digits. */
static int check_share(const char *key, const char *value, bool number, Error *e) {
        size_t n = value ? strspn(value, "0123456789") : 0;
        bool percent = n > 0 && str_eq(value + n, "%");

        if (!value || (n > 0 && *value != '0' && percent && (n < 3 || str_eq(value, "100%"))) ||
            (number && n > 0 && n <= 4 && *value != '0' && !value[n]))
                return 0;
        return error_set(e, -EINVAL, "bad-value", "%s=: %s is expected", key,
                         number ? "a number such as 3 or a percentage such as 25%"
                                : "a percentage such as 80%");
}

static void check_fan(PipeCheck *c, size_t i) {
        const PipeTask *t = pipe_task(c->pipe, i);
        const struct {
                const char *key, *value;
                bool number;
        } rows[] = { { "RunOnAllBatch", t->all_batch, true },
                     { "RunOnAllSuccess", t->all_success, false } };
        Error e = {};

        for (size_t k = 0; k < ELEMENTSOF(rows); k++) {
                pipe_object(c, PLACE_TASK(i, rows[k].key),
                            check_share(rows[k].key, rows[k].value, rows[k].number, &e), &e);
                if (rows[k].value && !t->all_text)
                        pipe_object(c, PLACE_TASK(i, rows[k].key),
                                    error_set(&e, -EINVAL, "no-fan-out",
                                              "%s= goes with RunOnAll= only", rows[k].key),
                                    &e);
        }
        if (t->all_text && t->selector_text)
                pipe_object(c, PLACE_TASK(i, "AgentSelector"),
                            error_set(&e, -EINVAL, "two-places",
                                      "AgentSelector= and RunOnAll= do not go together: one says "
                                      "which host has the task, the other that all have"),
                            &e);
}

void pipe_check_places(PipeCheck *c) {
        for (size_t i = 0; i < c->pipe->tasks.count; i++) {
                for (size_t k = 0; k < PIPE_TASK_WORDS; k++)
                        if (pipe_task_words[k].selector &&
                            *(char **) ((char *) pipe_task(c->pipe, i) + pipe_task_words[k].offset))
                                check_selector(c, i, &pipe_task_words[k]);
                check_fan(c, i);
        }
}
