/* Field tables. */
#include "shapes.h"

#include "str.h"

#define TEXT_MAX (1024 * 1024)
#define T(struct, name)                                                                            \
        { #name, JSON_TEXT, false, offsetof(struct, name), .max = TEXT_MAX }
#define N32(struct, name)                                                                          \
        { #name, JSON_U32, false, offsetof(struct, name) }
#define N64(struct, name)                                                                          \
        { #name, JSON_U64, false, offsetof(struct, name) }
#define B(struct, name)                                                                            \
        { #name, JSON_BOOL, false, offsetof(struct, name) }
#define ARRAY(struct, name, table, item)                                                           \
        { #name, JSON_ARRAY, false, offsetof(struct, name), .fields = table, .size = sizeof(item) }

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
        {},
};

static const JsonField task_fields[] = {
        T(Task, task),
        T(Task, state),
        ARRAY(Task, attempts, attempt_fields, Attempt),
        {},
};

const JsonField run_fields[] = {
        T(Run, run),
        T(Run, project),
        T(Run, pipe),
        T(Run, version),
        T(Run, state),
        T(Run, outcome),
        T(Run, reason),
        T(Run, created_by),
        T(Run, created_at),
        T(Run, started_at),
        T(Run, ended_at),
        T(Run, etag),
        B(Run, log_complete),
        ARRAY(Run, tasks, task_fields, Task),
        {},
};

const JsonField pipe_fields[] = {
        T(PipeFacts, project),     T(PipeFacts, pipe),
        T(PipeFacts, version),     T(PipeFacts, type),
        T(PipeFacts, description), T(PipeFacts, created_at),
        T(PipeFacts, created_by),  T(PipeFacts, source),
        B(PipeFacts, created),     {},
};

static const JsonField instance_fields[] = {
        T(Instance, instance),
        T(Instance, status),
        T(Instance, hostname),
        T(Instance, version),
        T(Instance, systemd),
        T(Instance, kernel),
        T(Instance, architecture),
        T(Instance, last_seen_at),
        N32(Instance, cpus),
        N32(Instance, slots),
        N32(Instance, slots_used),
        N64(Instance, memory_bytes),
        {},
};

const JsonField agent_fields[] = {
        T(Agent, agent),
        T(Agent, name),
        T(Agent, type),
        T(Agent, status),
        T(Agent, created_at),
        { "labels", JSON_MAP, false, offsetof(Agent, labels), .max = 1000 },
        ARRAY(Agent, instances, instance_fields, Instance),
        {},
};

const JsonField key_fields[] = {
        T(Key, key),
        T(Key, key_id),
        T(Key, type),
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

static const JsonField project_fields[] = { T(Project, project), T(Project, created_at), {} };

#define PAGE(table, fields_, item)                                                                 \
        const JsonField table[] = { ARRAY(Page, items, fields_, item), T(Page, next), {} }
PAGE(run_page_fields, run_fields, Run);
PAGE(pipe_page_fields, pipe_fields, PipeFacts);
PAGE(agent_page_fields, agent_fields, Agent);
PAGE(key_page_fields, key_fields, Key);
PAGE(project_page_fields, project_fields, Project);

const Attempt *task_last_attempt(const Task *t) {
        const Attempt *attempts = t->attempts.items;

        return t->attempts.count > 0 ? &attempts[t->attempts.count - 1] : NULL;
}

bool run_is_over(const Run *run) {
        return str_eq(run->state, "succeeded") || str_eq(run->state, "failed") ||
               str_eq(run->state, "cancelled");
}

int run_exit_status(const Run *run) {
        const Task *tasks = run->tasks.items;

        if (str_eq(run->state, "succeeded"))
                return 0;
        for (size_t i = 0; i < run->tasks.count; i++) {
                const Attempt *a = task_last_attempt(&tasks[i]);

                if (!a || !str_eq(tasks[i].state, "failed"))
                        continue;
                if (str_eq(a->exit_code, "exited") && a->exit_status > 0 && a->exit_status < 256)
                        return (int) a->exit_status;
                if (str_eq(a->exit_code, "killed") || str_eq(a->exit_code, "dumped"))
                        return 128 + (int) (a->exit_status & 127);
                return 1;
        }
        return 1;
}
