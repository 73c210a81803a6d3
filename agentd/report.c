/* One function for each state that docs/PROTOCOL.md has for events. */
#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "str.h"

static void write_head(JsonOut *o, const Attempt *a, const char *state, uint64_t realtime_usec) {
        json_out_object(o, NULL);
        json_out_text(o, "attempt", a->text);
        json_out_u64(o, "epoch", a->epoch);
        json_out_text(o, "state", state);
        json_out_u64(o, "realtime_usec", realtime_usec);
}

static void write_unit(JsonOut *o, const Attempt *a) {
        UnitName u = {};
        _cleanup_(freep) char *slice = unit_name_from_id(a->id, &u) ? unit_name_slice(&u) : NULL;

        if (*a->unit_state.invocation_id)
                json_out_text(o, "invocation_id", a->unit_state.invocation_id);
        json_out_text(o, "slice", slice);
}

void report_running(JsonOut *o, const Attempt *a) {
        write_head(o, a, "running", a->started_usec);
        write_unit(o, a);
        json_out_end_object(o);
}

static void write_supervision(JsonOut *o, uint32_t restarts, const char *status_text) {
        json_out_u64(o, "restarts", restarts);
        json_out_text(o, "status_text", status_text);
}

void report_status(JsonOut *o, const Attempt *a) {
        write_head(o, a, "status", a->status_usec);
        json_out_u64(o, "boottime_usec", a->status_boottime_usec);
        write_supervision(o, a->supervision.restarts, a->supervision.status_text);
        json_out_bool(o, "ready", a->supervision.ready);
        json_out_end_object(o);
}

static const char *exit_code_to_string(int code) {
        return code == CLD_EXITED
                       ? "exited"
                       : (code == CLD_KILLED ? "killed" : (code == CLD_DUMPED ? "dumped" : NULL));
}

/* As it was written down, an object, which did not have the output. */
static void write_kept(JsonOut *o, const Attempt *a) {
        size_t n = strlen(a->report);
        _cleanup_(freep) char *whole =
                a->output ? str_format("%.*s,\"output\":%s}", (int) n - 1, a->report, a->output)
                          : str_format("%s", a->report);

        if (whole)
                json_out_raw(o, NULL, whole);
        else
                o->error = -ENOMEM;
}

void report_ended(JsonOut *o, const Attempt *a) {
        const UnitState *s = &a->unit_state;
        const char *code = exit_code_to_string(s->main_code);

        if (a->report) {
                write_kept(o, a);
                return;
        }
        write_head(o, a, "ended", a->ended_usec);
        write_unit(o, a);
        json_out_text(o, "result", a->result);
        if (code) {
                json_out_text(o, "exit_code", code);
                json_out_u64(o, "exit_status", (uint64_t) s->main_status);
        }
        if (a->reason)
                json_out_text(o, "reason", a->reason);
        if (a->streaming)
                write_supervision(o, s->restarts, s->status_text);
        if (s->main_start_monotonic_usec > 0 &&
            s->main_exit_monotonic_usec >= s->main_start_monotonic_usec)
                json_out_known(o, "runtime_usec",
                               s->main_exit_monotonic_usec - s->main_start_monotonic_usec);
        json_out_known(o, "cpu_usage_usec", a->usage.cpu_usage_usec);
        json_out_known(o, "memory_peak_bytes", a->usage.memory_peak_bytes);
        json_out_known(o, "io_read_bytes", a->usage.io_read_bytes);
        json_out_known(o, "io_write_bytes", a->usage.io_write_bytes);
        json_out_known(o, "oom_kills", a->usage.oom_kills);
        json_out_known(o, "memory_max_bytes", a->limits.memory_max_bytes);
        json_out_known(o, "cpu_quota_per_sec_usec", a->limits.cpu_quota_per_sec_usec);
        json_out_known(o, "tasks_max", a->limits.tasks_max);
        if (a->output)
                json_out_raw(o, "output", a->output);
        json_out_end_object(o);
}

void report_stuck(JsonOut *o, const Attempt *a) {
        write_head(o, a, "stuck",
                   a->unit_state.main_exit_usec ? a->unit_state.main_exit_usec : a->started_usec);
        json_out_text(o, "reason",
                      a->stuck ? "systemd could not kill all of its processes" : a->reason);
        json_out_end_object(o);
}

void report_refused(JsonOut *o, const Attempt *a) {
        write_head(o, a, "refused", a->ended_usec);
        json_out_text(o, "reason", a->reason);
        json_out_bool(o, "requeue", a->requeue);
        json_out_end_object(o);
}

void report_logged(JsonOut *o, const Attempt *a) {
        write_head(o, a, "logged", a->ended_usec);
        json_out_u64(o, "sequence", a->log_sequence);
        json_out_end_object(o);
}
