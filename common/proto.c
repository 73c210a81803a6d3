/* Field tables of the agent protocol. Identifiers are checked where they are used: by id_parse() or by PostgreSQL. */
#include "proto.h"

#include "id.h"

#define ID_MAX (ID_TEXT_SIZE - 1)
#define WORD_MAX 64
#define SENTENCE_MAX 4096
#define CURSOR_MAX 1024

#define FIELD(type, struct, name, ...) #name, type, .offset = offsetof(struct, name), ##__VA_ARGS__
#define ITEMS(table, item) .fields = table, .size = sizeof(item)

const JsonField proto_enroll_fields[] = {
        { FIELD(JSON_TEXT, ProtoEnroll, instance, .max = ID_MAX, .required = true) },
        { FIELD(JSON_TEXT, ProtoEnroll, agent, .max = ID_MAX) },
        { FIELD(JSON_TEXT, ProtoEnroll, name, .max = WORD_MAX) },
        { FIELD(JSON_TEXT, ProtoEnroll, type, .max = WORD_MAX) },
        { FIELD(JSON_MAP, ProtoEnroll, labels, .max = 64) },
        { FIELD(JSON_U32, ProtoEnroll, slots, .max = PROTO_SLOTS_MAX, .required = true) },
        { FIELD(JSON_TEXT, ProtoEnroll, version, .max = WORD_MAX) },
        { FIELD(JSON_U32, ProtoEnroll, protocol) },
        { FIELD(JSON_TEXT, ProtoEnroll, hostname, .max = 255) },
        { FIELD(JSON_TEXT, ProtoEnroll, systemd, .max = 255) },
        { FIELD(JSON_TEXT, ProtoEnroll, kernel, .max = 255) },
        { FIELD(JSON_TEXT, ProtoEnroll, architecture, .max = WORD_MAX) },
        { FIELD(JSON_U32, ProtoEnroll, cpus) },
        { FIELD(JSON_U64, ProtoEnroll, memory_bytes) },
        {},
};

const JsonField proto_enrolled_fields[] = {
        { FIELD(JSON_TEXT, ProtoEnrolled, agent, .max = ID_MAX, .required = true) },
        { FIELD(JSON_TEXT, ProtoEnrolled, instance, .max = ID_MAX, .required = true) },
        { FIELD(JSON_TEXT, ProtoEnrolled, name, .max = 255) },
        { FIELD(JSON_TEXT, ProtoEnrolled, credential, .max = 255, .required = true) },
        {},
};

static const JsonField known_fields[] = {
        { FIELD(JSON_TEXT, ProtoKnown, attempt, .max = ID_MAX, .required = true) },
        { FIELD(JSON_U32, ProtoKnown, epoch, .required = true) },
        { FIELD(JSON_TEXT, ProtoKnown, state, .max = WORD_MAX, .required = true) },
        { FIELD(JSON_BOOL, ProtoKnown, resume) },
        {},
};

const JsonField proto_sync_fields[] = {
        { FIELD(JSON_TEXT, ProtoSync, session, .max = ID_MAX, .required = true) },
        { FIELD(JSON_U64, ProtoSync, sequence) },
        { FIELD(JSON_TEXT, ProtoSync, boot, .max = ID_MAX, .required = true) },
        { FIELD(JSON_TEXT, ProtoSync, version, .max = WORD_MAX) },
        { FIELD(JSON_U32, ProtoSync, slots, .max = PROTO_SLOTS_MAX, .required = true) },
        { FIELD(JSON_BOOL, ProtoSync, draining) },
        { FIELD(JSON_BOOL, ProtoSync, drain_heard) },
        { FIELD(JSON_U32, ProtoSync, self_fence_sec) },
        { FIELD(JSON_U32, ProtoSync, wait_sec, .max = PROTO_WAIT_SEC_MAX) },
        { FIELD(JSON_ARRAY, ProtoSync, attempts, .max = PROTO_ATTEMPTS_MAX,
                ITEMS(known_fields, ProtoKnown)) },
        { FIELD(JSON_STRV, ProtoSync, workspaces, .max = PROTO_WORKSPACES_MAX) },
        { FIELD(JSON_TEXT, ProtoSync, challenge, .max = ID_MAX) },
        { FIELD(JSON_TEXT, ProtoSync, on_clone, .max = WORD_MAX) },
        { FIELD(JSON_TEXT, ProtoSync, hostname, .max = 255) },
        { FIELD(JSON_TEXT, ProtoSync, systemd, .max = 255) },
        { FIELD(JSON_TEXT, ProtoSync, kernel, .max = 255) },
        { FIELD(JSON_TEXT, ProtoSync, architecture, .max = WORD_MAX) },
        { FIELD(JSON_U32, ProtoSync, cpus) },
        { FIELD(JSON_U64, ProtoSync, memory_bytes) },
        {},
};

const JsonField proto_event_fields[] = {
        { FIELD(JSON_TEXT, ProtoEvent, attempt, .max = ID_MAX) },
        { FIELD(JSON_TEXT, ProtoEvent, run, .max = ID_MAX) },
        { FIELD(JSON_U32, ProtoEvent, epoch) },
        { FIELD(JSON_TEXT, ProtoEvent, state, .max = WORD_MAX, .required = true) },
        { FIELD(JSON_U64, ProtoEvent, realtime_usec) },
        { FIELD(JSON_TEXT, ProtoEvent, invocation_id, .max = ID_MAX) },
        { FIELD(JSON_TEXT, ProtoEvent, slice, .max = 255) },
        { FIELD(JSON_TEXT, ProtoEvent, reason, .max = SENTENCE_MAX) },
        { FIELD(JSON_BOOL, ProtoEvent, requeue) },
        { FIELD(JSON_TEXT, ProtoEvent, result, .max = WORD_MAX) },
        { FIELD(JSON_TEXT, ProtoEvent, exit_code, .max = WORD_MAX) },
        { FIELD(JSON_U32, ProtoEvent, exit_status) },
        { FIELD(JSON_U64, ProtoEvent, runtime_usec) },
        { FIELD(JSON_U64, ProtoEvent, cpu_usage_usec) },
        { FIELD(JSON_U64, ProtoEvent, memory_peak_bytes) },
        { FIELD(JSON_U64, ProtoEvent, io_read_bytes) },
        { FIELD(JSON_U64, ProtoEvent, io_write_bytes) },
        { FIELD(JSON_U64, ProtoEvent, oom_kills) },
        { FIELD(JSON_U64, ProtoEvent, memory_max_bytes) },
        { FIELD(JSON_U64, ProtoEvent, cpu_quota_per_sec_usec) },
        { FIELD(JSON_U64, ProtoEvent, tasks_max) },
        { FIELD(JSON_U32, ProtoEvent, sequence) },
        { FIELD(JSON_U32, ProtoEvent, restarts) },
        { FIELD(JSON_TEXT, ProtoEvent, status_text, .max = SENTENCE_MAX) },
        { FIELD(JSON_BOOL, ProtoEvent, ready) },
        { FIELD(JSON_MAP, ProtoEvent, output, .max = PROTO_OUTPUT_MAX) },
        {},
};

const JsonField proto_events_fields[] = {
        { FIELD(JSON_TEXT, ProtoEvents, session, .max = ID_MAX, .required = true) },
        { FIELD(JSON_ARRAY, ProtoEvents, events, .max = PROTO_EVENTS_MAX, .required = true,
                ITEMS(proto_event_fields, ProtoEvent)) },
        {},
};

const JsonField proto_assignment_fields[] = {
        { FIELD(JSON_TEXT, ProtoAssignment, attempt, .max = ID_MAX, .required = true) },
        { FIELD(JSON_U32, ProtoAssignment, epoch, .required = true) },
        { FIELD(JSON_TEXT, ProtoAssignment, run, .max = ID_MAX, .required = true) },
        { FIELD(JSON_TEXT, ProtoAssignment, project, .max = PROTO_NAME_MAX, .required = true) },
        { FIELD(JSON_TEXT, ProtoAssignment, pipe, .max = PROTO_NAME_MAX, .required = true) },
        { FIELD(JSON_TEXT, ProtoAssignment, task, .max = PROTO_NAME_MAX, .required = true) },
        { FIELD(JSON_BOOL, ProtoAssignment, fence) },
        { FIELD(JSON_BOOL, ProtoAssignment, streaming) },
        { FIELD(JSON_MAP, ProtoAssignment, variables, .max = PROTO_VARIABLES_MAX) },
        { FIELD(JSON_PAIRS, ProtoAssignment, directives, .max = PROTO_DIRECTIVES_MAX,
                .required = true) },
        { FIELD(JSON_MAP, ProtoAssignment, parameters, .max = PROTO_PARAMETERS_MAX) },
        { FIELD(JSON_MAP, ProtoAssignment, outputs, .max = PROTO_OUTPUTS_MAX) },
        {},
};

static const JsonField stop_fields[] = {
        { FIELD(JSON_TEXT, ProtoStop, attempt, .max = ID_MAX, .required = true) },
        { FIELD(JSON_U32, ProtoStop, epoch, .required = true) },
        { FIELD(JSON_TEXT, ProtoStop, reason, .max = SENTENCE_MAX) },
        {},
};

static const JsonField release_fields[] = {
        { FIELD(JSON_TEXT, ProtoRelease, attempt, .max = ID_MAX, .required = true) },
        { FIELD(JSON_U32, ProtoRelease, epoch, .required = true) },
        {},
};

static const JsonField resume_fields[] = {
        { FIELD(JSON_TEXT, ProtoResume, attempt, .max = ID_MAX, .required = true) },
        { FIELD(JSON_U32, ProtoResume, epoch, .required = true) },
        { FIELD(JSON_U32, ProtoResume, sequence, .required = true) },
        { FIELD(JSON_TEXT, ProtoResume, cursor, .max = CURSOR_MAX) },
        { FIELD(JSON_U64, ProtoResume, monotonic_usec) },
        {},
};

const JsonField proto_recover_fields[] = {
        { FIELD(JSON_TEXT, ProtoRecover, attempt, .max = ID_MAX, .required = true) },
        { FIELD(JSON_U32, ProtoRecover, epoch, .required = true) },
        { FIELD(JSON_TEXT, ProtoRecover, run, .max = ID_MAX, .required = true) },
        { FIELD(JSON_U32, ProtoRecover, sequence, .required = true) },
        { FIELD(JSON_TEXT, ProtoRecover, cursor, .max = CURSOR_MAX) },
        { FIELD(JSON_U64, ProtoRecover, monotonic_usec) },
        {},
};

static const JsonField acknowledged_fields[] = {
        { FIELD(JSON_TEXT, ProtoAcknowledged, attempt, .max = ID_MAX) },
        { FIELD(JSON_U32, ProtoAcknowledged, epoch) },
        { FIELD(JSON_TEXT, ProtoAcknowledged, run, .max = ID_MAX) },
        { FIELD(JSON_TEXT, ProtoAcknowledged, state, .max = WORD_MAX, .required = true) },
        {},
};

const JsonField proto_work_fields[] = {
        { FIELD(JSON_ARRAY, ProtoWork, start, .max = PROTO_SLOTS_MAX,
                ITEMS(proto_assignment_fields, ProtoAssignment)) },
        { FIELD(JSON_ARRAY, ProtoWork, stop, .max = PROTO_ATTEMPTS_MAX,
                ITEMS(stop_fields, ProtoStop)) },
        { FIELD(JSON_ARRAY, ProtoWork, release, .max = PROTO_ATTEMPTS_MAX,
                ITEMS(release_fields, ProtoRelease)) },
        { FIELD(JSON_STRV, ProtoWork, clean, .max = PROTO_ATTEMPTS_MAX) },
        { FIELD(JSON_ARRAY, ProtoWork, resume, .max = PROTO_ATTEMPTS_MAX,
                ITEMS(resume_fields, ProtoResume)) },
        { FIELD(JSON_ARRAY, ProtoWork, recover, .max = PROTO_ATTEMPTS_MAX,
                ITEMS(proto_recover_fields, ProtoRecover)) },
        { FIELD(JSON_RAW, ProtoWork, drain) },
        { FIELD(JSON_ARRAY, ProtoWork, acknowledged, .max = PROTO_ATTEMPTS_MAX,
                ITEMS(acknowledged_fields, ProtoAcknowledged)) },
        { FIELD(JSON_TEXT, ProtoWork, challenge, .max = ID_MAX) },
        { FIELD(JSON_BOOL, ProtoWork, pending) },
        {},
};

const JsonField proto_logged_fields[] = {
        { FIELD(JSON_U32, ProtoLogged, sequence, .required = true) },
        { FIELD(JSON_TEXT, ProtoLogged, cursor, .max = CURSOR_MAX) },
        { FIELD(JSON_U64, ProtoLogged, monotonic_usec) },
        {},
};

static const JsonField sample_fields[] = {
        { FIELD(JSON_TEXT, ProtoSample, attempt, .max = ID_MAX, .required = true) },
        { FIELD(JSON_U32, ProtoSample, epoch, .required = true) },
        { FIELD(JSON_U64, ProtoSample, realtime_usec, .required = true) },
        { FIELD(JSON_U64, ProtoSample, cpu_usage_usec) },
        { FIELD(JSON_U64, ProtoSample, memory_current_bytes) },
        { FIELD(JSON_U64, ProtoSample, memory_peak_bytes) },
        { FIELD(JSON_U64, ProtoSample, io_read_bytes) },
        { FIELD(JSON_U64, ProtoSample, io_write_bytes) },
        { FIELD(JSON_U64, ProtoSample, tasks_current) },
        {},
};

const JsonField proto_metrics_fields[] = {
        { FIELD(JSON_ARRAY, ProtoMetrics, samples, .max = PROTO_SAMPLES_MAX, .required = true,
                ITEMS(sample_fields, ProtoSample)) },
        {},
};

const JsonField proto_goodbye_fields[] = {
        { FIELD(JSON_TEXT, ProtoGoodbye, session, .max = ID_MAX, .required = true) },
        { FIELD(JSON_TEXT, ProtoGoodbye, reason, .max = SENTENCE_MAX) },
        {},
};

const JsonField proto_problem_fields[] = {
        { FIELD(JSON_TEXT, ProtoProblem, title, .max = SENTENCE_MAX) },
        { FIELD(JSON_TEXT, ProtoProblem, detail, .max = SENTENCE_MAX) },
        { FIELD(JSON_TEXT, ProtoProblem, code, .max = WORD_MAX) },
        { FIELD(JSON_TEXT, ProtoProblem, hint, .max = SENTENCE_MAX) },
        {},
};
