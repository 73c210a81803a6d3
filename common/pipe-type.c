/* What goes with batch pipes only, and what with streaming ones only. */
#include <errno.h>

#include "directive.h"
#include "pipe-internal.h"
#include "str.h"

bool pipe_is_streaming(const Pipe *p) {
        return str_eq(p->type, "streaming");
}

static int streaming_keys_check(const Pipe *p, PipePlace *place, Error *e) {
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

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (rows[i].stands) {
                        place->key = rows[i].key;
                        return error_set(e, -EINVAL, "not-streaming",
                                         "%s= does not go with Type=streaming: %s", rows[i].key,
                                         rows[i].why);
                }
        return 0;
}

static int streaming_check(const Pipe *p, PipePlace *place, Error *e) {
        int r = streaming_keys_check(p, place, e);

        if (r < 0 || p->tasks.count == 1)
                return r;
        place->task = 1;
        return error_set(e, -EINVAL, "too-many-tasks", "a streaming pipe has one task");
}

static int batch_check(const Pipe *p, PipePlace *place, Error *e) {
        const PipeTask *tasks = p->tasks.items;

        if (p->overlap) {
                place->key = "Overlap";
                return error_set(
                        e, -EINVAL, "not-batch",
                        "Overlap= goes with Type=streaming only: runs of a batch pipe end");
        }
        for (size_t i = 0; i < p->tasks.count; i++)
                for (char **d = tasks[i].directives; d && *d; d += 2) {
                        if (!directive_find(d[0])->streaming)
                                continue;
                        place->task = i;
                        place->directive = (size_t) (d - tasks[i].directives) / 2;
                        return error_set(e, -EINVAL, "not-batch",
                                         "%s= goes with Type=streaming only: a task of a batch "
                                         "pipe runs once",
                                         d[0]);
                }
        return 0;
}

int pipe_check_type(const Pipe *p, PipePlace *ret, Error *e) {
        return pipe_is_streaming(p) ? streaming_check(p, ret, e) : batch_check(p, ret, e);
}
