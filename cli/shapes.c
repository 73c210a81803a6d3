/* Field tables. */
#include "shapes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "state.h"
#include "str.h"
#include "strv.h"
#include "table.h"

static const JsonField attempt_fields[] = {
        T(Attempt, attempt),
        T(Attempt, state),
        T(Attempt, outcome),
        T(Attempt, exit_code),
        T(Attempt, reason),
        T(Attempt, agent),
        T(Attempt, unit),
        T(Attempt, started_at),
        T(Attempt, ended_at),
        T(Attempt, why),
        N32(Attempt, epoch),
        N32(Attempt, exit_status),
        N64(Attempt, runtime_usec),
        N64(Attempt, cpu_usage_usec),
        N64(Attempt, memory_peak_bytes),
        N64(Attempt, memory_max_bytes),
        N64(Attempt, cpu_quota_per_sec_usec),
        N64(Attempt, tasks_max),
        N64(Attempt, restarts),
        T(Attempt, status_text),
        { "output", JSON_MAP, false, offsetof(Attempt, output) },
        {},
};

static const JsonField task_fields[] = {
        MUST(Task, task),
        MUST(Task, state),
        T(Task, parent),
        T(Task, reason),
        T(Task, retry_at),
        T(Task, passed_over),
        ARRAY(Task, attempts, attempt_fields, Attempt),
        {},
};

const JsonField value_fields[] = {
        MUST(Value, name), T(Value, value), T(Value, origin), B(Value, required), {},
};

const JsonField scheduled_fields[] = {
        T(Scheduled, schedule),  T(Scheduled, due_at),         T(Scheduled, interval_start),
        T(Scheduled, caused_by), T(Scheduled, caused_by_pipe), {},
};

const JsonField run_fields[] = {
        MUST(Run, run),
        T(Run, project),
        MUST(Run, pipe),
        MUST(Run, version),
        MUST(Run, state),
        T(Run, outcome),
        T(Run, reason),
        T(Run, created_by),
        T(Run, created_at),
        T(Run, started_at),
        T(Run, ended_at),
        T(Run, rerun_of),
        T(Run, etag),
        B(Run, log_complete),
        B(Run, trial),
        OBJECT(Run, scheduled, scheduled_fields),
        ARRAY(Run, tasks, task_fields, Task),
        ARRAY(Run, parameters, value_fields, Value),
        {},
};

const JsonField stream_fields[] = {
        MUST(Stream, desired), MUST(Stream, state),
        T(Stream, run),        T(Stream, version),
        T(Stream, agent),      T(Stream, status_text),
        T(Stream, reason),     T(Stream, again_at),
        N64(Stream, restarts), {},
};

const JsonField pipe_fields[] = {
        T(PipeFacts, project),
        MUST(PipeFacts, pipe),
        MUST(PipeFacts, version),
        T(PipeFacts, type),
        T(PipeFacts, description),
        T(PipeFacts, created_at),
        T(PipeFacts, created_by),
        T(PipeFacts, source),
        { "spec", JSON_RAW, false, offsetof(PipeFacts, spec) },
        B(PipeFacts, created),
        B(PipeFacts, changed),
        { "notes", JSON_STRV, false, offsetof(PipeFacts, notes) },
        OBJECT(PipeFacts, stream, stream_fields),
        {},
};

static const JsonField deployment_fields[] = {
        T(Deployment, pipe),        MUST(Deployment, version),  T(Deployment, description),
        T(Deployment, deployed_at), T(Deployment, deployed_by), {},
};

static const JsonField instance_fields[] = {
        MUST(Instance, instance),  MUST(Instance, status),
        T(Instance, hostname),     T(Instance, version),
        T(Instance, systemd),      T(Instance, kernel),
        T(Instance, architecture), T(Instance, last_seen_at),
        N32(Instance, cpus),       N32(Instance, slots),
        N32(Instance, slots_used), N64(Instance, memory_bytes),
        B(Instance, draining),     T(Instance, reason),
        T(Instance, since),        {},
};

const JsonField agent_fields[] = {
        MUST(Agent, agent),
        MUST(Agent, name),
        MUST(Agent, type),
        MUST(Agent, status),
        T(Agent, reason),
        T(Agent, since),
        T(Agent, created_at),
        { "labels", JSON_MAP, false, offsetof(Agent, labels), .max = 1000 },
        ARRAY(Agent, instances, instance_fields, Instance),
        {},
};

const JsonField key_fields[] = {
        T(Key, key),
        MUST(Key, key_id),
        MUST(Key, type),
        T(Key, description),
        T(Key, created_at),
        T(Key, created_by),
        T(Key, expires_at),
        T(Key, revoked_at),
        { "agents", JSON_STRV, false, offsetof(Key, agents), .max = 100000 },
        { "labels", JSON_MAP, false, offsetof(Key, labels), .max = 1000 },
        N32(Key, max_uses),
        N32(Key, uses),
        {},
};

const JsonField project_fields[] = { MUST(Project, project),
                                     T(Project, created_at),
                                     N32(Project, concurrency_limit),
                                     { "parameters", JSON_MAP, false,
                                       offsetof(Project, parameters) },
                                     {} };

PAGE(run_page_fields, run_fields, Run);
PAGE(pipe_page_fields, pipe_fields, PipeFacts);
PAGE(deployment_page_fields, deployment_fields, Deployment);
PAGE(agent_page_fields, agent_fields, Agent);
PAGE(key_page_fields, key_fields, Key);
PAGE(project_page_fields, project_fields, Project);

const Attempt *task_last_attempt(const Task *t) {
        const Attempt *attempts = t->attempts.items;

        return t->attempts.count > 0 ? &attempts[t->attempts.count - 1] : NULL;
}

const Attempt *run_failed_attempt(const Run *run) {
        const Task *tasks = run->tasks.items;
        const Task *top = NULL; /* a task stands before its children */
        const Attempt *first = NULL;

        for (size_t i = 0; i < run->tasks.count; i++) {
                const Attempt *a = task_last_attempt(&tasks[i]);

                if (!tasks[i].parent)
                        top = &tasks[i];
                if (!a || state_from_string(KIND_TASK, tasks[i].state) != STATE_TASK_FAILED ||
                    !top || state_from_string(KIND_TASK, top->state) != STATE_TASK_FAILED)
                        continue;
                /* RFC 3339 in UTC sorts as text. */
                if (!first ||
                    (a->ended_at && first->ended_at && strcmp(a->ended_at, first->ended_at) < 0))
                        first = a;
        }
        return first;
}

bool run_is_over(const Run *run) {
        return state_is_final(KIND_RUN, run->state);
}

bool run_waits(const Run *run) {
        const Task *tasks = run->tasks.items;

        for (size_t i = 0; i < run->tasks.count; i++) {
                const Attempt *a = task_last_attempt(&tasks[i]);

                if (a && state_from_string(KIND_ATTEMPT, a->state) == STATE_ATTEMPT_QUEUED)
                        return true;
        }
        return false;
}

int run_exit_status(const Run *run) {
        const Attempt *a = run_failed_attempt(run);
        int state = state_from_string(KIND_RUN, run->state);

        if (state == STATE_RUN_SUCCEEDED)
                return EXIT_SUCCESS;
        if (!a || state != STATE_RUN_FAILED)
                return EXIT_FAILURE;
        if (str_eq(a->exit_code, "exited") && a->exit_status > 0 && a->exit_status < 256)
                return (int) a->exit_status;
        if ((str_eq(a->exit_code, "killed") || str_eq(a->exit_code, "dumped")) &&
            a->exit_status > 0 && a->exit_status < 128)
                return 128 + (int) a->exit_status;
        return EXIT_FAILURE;
}

static int make_printable(char **slot) {
        char *safe = *slot ? text_escape(*slot, strlen(*slot)) : NULL;

        if (!*slot)
                return 0;
        if (!safe)
                return -ENOMEM;
        free(*slot);
        *slot = safe;
        return 0;
}

static int make_all_printable(const JsonField *fields, void *target) {
        int r = 0;

        for (const JsonField *f = fields; r >= 0 && f->name; f++) {
                void *slot = (char *) target + f->offset;

                if (f->type == JSON_TEXT && !str_eq(f->name, "source")) {
                        r = make_printable(slot);
                } else if (f->type == JSON_STRV || f->type == JSON_MAP) {
                        for (char **s = *(char ***) slot; r >= 0 && s && *s; s++)
                                r = make_printable(s);
                } else if (f->type == JSON_OBJECT) {
                        r = make_all_printable(f->fields, slot);
                } else if (f->type == JSON_ARRAY) {
                        const JsonArray *array = slot;

                        for (size_t i = 0; r >= 0 && i < array->count; i++)
                                r = make_all_printable(f->fields,
                                                       (char *) array->items + i * f->size);
                }
        }
        return r;
}

int shape_decode(const Reply *reply, const JsonField *fields, void *target, Error *e) {
        int r = json_decode(reply->body, reply->size, fields, JSON_IGNORE_UNKNOWN, target, e);

        if (r < 0 && r != -ENOMEM) {
                Error why = *e;

                (void) error_set(e, r, why.slug,
                                 "The answer is not what the API promises: %.256s Is the URL "
                                 "right, and is sluicectl of the same release?",
                                 error_text(&why, r));
        }
        if (r >= 0)
                r = make_all_printable(fields, target);
        if (r < 0)
                json_done(fields, target);
        return r;
}
