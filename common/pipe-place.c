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

static void check_directives(PipeCheck *c, size_t i) {
        char **first = pipe_task(c->pipe, i)->directives;
        Error e = {};

        for (char **d = first; d && *d; d += 2)
                if (names_workspace(d[1]))
                        pipe_object(c, PLACE_DIRECTIVE(i, (size_t) (d - first) / 2),
                                    error_set(&e, -EINVAL, "no-workspace",
                                              "%s=: a task with AgentSelector= has no "
                                              "$" WORKSPACE ": leave AgentSelector= out, or pass "
                                              "values on as outputs, ${task.KEY}",
                                              d[0]),
                                    &e);
}

static void check_task(PipeCheck *c, size_t i) {
        const PipeTask *t = pipe_task(c->pipe, i);
        Error e = {};

        if (!t->selector_text)
                return;
        if (t->selector.terms.count == 0)
                pipe_object(c, PLACE_TASK(i, "AgentSelector"),
                            error_set(&e, -EINVAL, "bad-selector",
                                      "AgentSelector=: a label is expected; to let the task go to "
                                      "any agent of the pipe, repeat the pipe's own"),
                            &e);
        if (pipe_is_streaming(c->pipe))
                pipe_object(c, PLACE_TASK(i, "AgentSelector"),
                            error_set(&e, -EINVAL, "not-streaming",
                                      "AgentSelector= of a task does not go with Type=streaming: "
                                      "write it in [Pipe]"),
                            &e);
        check_directives(c, i);
}

void pipe_check_places(PipeCheck *c) {
        for (size_t i = 0; i < c->pipe->tasks.count; i++)
                check_task(c, i);
}
