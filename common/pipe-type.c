/* What goes with batch pipes only, and what with streaming ones only. */
#include <errno.h>

#include "directive.h"
#include "pipe-internal.h"
#include "str.h"

bool pipe_is_streaming(const Pipe *p) {
        return str_eq(p->type, "streaming");
}

static void check_streaming(PipeCheck *c) {
        const Pipe *p = c->pipe;
        const struct {
                const char *key;
                bool stands;
                const char *why;
        } rows[] = {
                { "ConcurrencyLimit", p->concurrency_limit != NULL, "it has one run at a time" },
                { "ConcurrencyKey", p->concurrency_key != NULL, "it has one run at a time" },
                { "Delivery", str_eq(p->delivery, "at-most-once"),
                  "what shall always run is begun again" },
        };
        Error e = {};

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (rows[i].stands)
                        pipe_object(c, PLACE_PIPE(rows[i].key),
                                    error_set(&e, -EINVAL, "not-streaming",
                                              "%s= does not go with Type=streaming: %s",
                                              rows[i].key, rows[i].why),
                                    &e);
        if (p->parameters.count > 0)
                pipe_object(c, PLACE_PARAMETER(0, NULL),
                            error_set(&e, -EINVAL, "not-streaming",
                                      "[Parameter %.64s] does not go with Type=streaming: nobody "
                                      "gives values to what always runs",
                                      pipe_parameter(p, 0)->name),
                            &e);
        if (p->schedules.count > 0)
                pipe_object(c, PLACE_SCHEDULE(0, NULL),
                            error_set(&e, -EINVAL, "not-streaming",
                                      "[Schedule] does not go with Type=streaming: it runs always"),
                            &e);
        if (p->tasks.count > 1)
                pipe_object(
                        c, PLACE_TASK(1, NULL),
                        error_set(&e, -EINVAL, "too-many-tasks", "a streaming pipe has one task"),
                        &e);
}

static void check_batch(PipeCheck *c) {
        const Pipe *p = c->pipe;
        Error e = {};

        if (p->overlap)
                pipe_object(
                        c, PLACE_PIPE("Overlap"),
                        error_set(&e, -EINVAL, "not-batch",
                                  "Overlap= goes with Type=streaming only: runs of a batch pipe "
                                  "end"),
                        &e);
        for (size_t i = 0; i < p->tasks.count; i++) {
                char **first = pipe_task(p, i)->directives;

                for (char **d = first; d && *d; d += 2) {
                        const Directive *row = directive_find(d[0]);

                        if (row && row->streaming)
                                pipe_object(c, PLACE_DIRECTIVE(i, (size_t) (d - first) / 2),
                                            error_set(&e, -EINVAL, "not-batch",
                                                      "%s= goes with Type=streaming only: a task "
                                                      "of a batch pipe runs once",
                                                      d[0]),
                                            &e);
                }
        }
}

void pipe_check_type(PipeCheck *c) {
        if (pipe_is_streaming(c->pipe))
                check_streaming(c);
        else
                check_batch(c);
}
