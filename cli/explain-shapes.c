/* The fields of explanations. */
#include "explain-shapes.h"

#include "fields.h"

static const JsonField evidence_fields[] = {
        T(ExplainedEvidence, why),     T(ExplainedEvidence, state),
        T(ExplainedEvidence, result),  T(ExplainedEvidence, reason),
        T(ExplainedEvidence, agent),   T(ExplainedEvidence, received_at),
        N32(ExplainedEvidence, epoch), {},
};

static const JsonField attempt_fields[] = {
        MUST(ExplainedAttempt, attempt),
        T(ExplainedAttempt, state),
        T(ExplainedAttempt, outcome),
        T(ExplainedAttempt, reason),
        T(ExplainedAttempt, agent),
        N32(ExplainedAttempt, epoch),
        B(ExplainedAttempt, counts),
        ARRAY(ExplainedAttempt, evidence, evidence_fields, ExplainedEvidence),
        {},
};

static const JsonField candidate_fields[] = {
        T(ExplainedCandidate, agent),
        T(ExplainedCandidate, hostname),
        T(ExplainedCandidate, verdict),
        B(ExplainedCandidate, suits),
        {},
};

static const JsonField task_fields[] = {
        MUST(ExplainedTask, task),
        T(ExplainedTask, state),
        T(ExplainedTask, why),
        ARRAY(ExplainedTask, attempts, attempt_fields, ExplainedAttempt),
        ARRAY(ExplainedTask, candidates, candidate_fields, ExplainedCandidate),
        {},
};

const JsonField explained_run_fields[] = {
        MUST(ExplainedRun, run),
        T(ExplainedRun, project),
        MUST(ExplainedRun, pipe),
        MUST(ExplainedRun, version),
        MUST(ExplainedRun, state),
        T(ExplainedRun, outcome),
        T(ExplainedRun, reason),
        B(ExplainedRun, trial),
        OBJECT(ExplainedRun, scheduled, scheduled_fields),
        ARRAY(ExplainedRun, tasks, task_fields, ExplainedTask),
        ARRAY(ExplainedRun, parameters, value_fields, Value),
        {},
};

static const JsonField work_fields[] = {
        T(ExplainedWork, run),
        T(ExplainedWork, pipe),
        T(ExplainedWork, task),
        T(ExplainedWork, state),
        T(ExplainedWork, reason),
        T(ExplainedWork, since),
        T(ExplainedWork, queued_at),
        T(ExplainedWork, why),
        { "priority", JSON_RAW, false, offsetof(ExplainedWork, priority) },
        {},
};

static const JsonField instance_fields[] = {
        MUST(ExplainedInstance, instance),
        T(ExplainedInstance, hostname),
        MUST(ExplainedInstance, status),
        T(ExplainedInstance, reason),
        T(ExplainedInstance, since),
        N32(ExplainedInstance, slots),
        N32(ExplainedInstance, slots_used),
        N64(ExplainedInstance, memory_bytes),
        N64(ExplainedInstance, memory_used_bytes),
        B(ExplainedInstance, draining),
        ARRAY(ExplainedInstance, has, work_fields, ExplainedWork),
        {},
};

const JsonField explained_agent_fields[] = {
        MUST(ExplainedAgent, agent),
        MUST(ExplainedAgent, name),
        T(ExplainedAgent, type),
        MUST(ExplainedAgent, status),
        T(ExplainedAgent, reason),
        T(ExplainedAgent, since),
        { "labels", JSON_MAP, false, offsetof(ExplainedAgent, labels), .max = 1000 },
        { "flags", JSON_STRV, false, offsetof(ExplainedAgent, flags), .max = 100 },
        ARRAY(ExplainedAgent, instances, instance_fields, ExplainedInstance),
        ARRAY(ExplainedAgent, waiting, work_fields, ExplainedWork),
        {},
};
