/* States and moves of attempts. What PID 1 says of a unit is turned into a state here and nowhere else. */
#include "attempt-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "message-ids.h"
#include "report.h"
#include "str.h"
#include "timespan.h"

#define START_TRIES_MAX 6U

static const unsigned moves[_ATTEMPT_STATE_MAX] = {
        [ATTEMPT_READING] = BIT(ATTEMPT_STARTING) | BIT(ATTEMPT_RUNNING) | BIT(ATTEMPT_ENDED) |
                            BIT(ATTEMPT_REFUSED),
        [ATTEMPT_STARTING] = BIT(ATTEMPT_RUNNING) | BIT(ATTEMPT_STOPPING) | BIT(ATTEMPT_ENDED) |
                             BIT(ATTEMPT_REFUSED),
        [ATTEMPT_RUNNING] = BIT(ATTEMPT_STOPPING) | BIT(ATTEMPT_ENDED),
        [ATTEMPT_STOPPING] = BIT(ATTEMPT_ENDED) | BIT(ATTEMPT_REFUSED),
};

static int set_state(Attempt *a, AttemptState to) {
        if (!(moves[a->state] & BIT(to)))
                return -EPROTO;
        a->state = to;
        return 0;
}

const char *attempt_state_to_string(AttemptState s) {
        static const char *const words[_ATTEMPT_STATE_MAX] = {
                [ATTEMPT_READING] = "starting", [ATTEMPT_STARTING] = "starting",
                [ATTEMPT_RUNNING] = "running",  [ATTEMPT_STOPPING] = "stopping",
                [ATTEMPT_ENDED] = "ended",      [ATTEMPT_REFUSED] = "ended",
        };

        return words[s];
}

static void changed(Attempt *a) {
        a->table->events->on_changed(a, a->table->userdata);
}

static void owe(Attempt *a, unsigned report) {
        a->owed |= report;
}

/* Also what a later start of agentd goes by, should the unit be gone then: see recovery.h. */
static void log_outcome(const Attempt *a, int level, const char *message_id, const char *text,
                        const char *report) {
        _cleanup_(freep) char *attempt = str_format("SLUICE_ATTEMPT=%s", a->text);
        _cleanup_(freep) char *run = str_format("SLUICE_RUN=%s", a->run);
        _cleanup_(freep) char *unit = str_format("SLUICE_UNIT=sluice-%s.service", a->id);
        _cleanup_(freep) char *json = report ? str_format(RECOVERY_FIELD "=%s", report) : NULL;
        const char *fields[] = { attempt, run, unit, json, NULL };

        if (attempt && run && unit)
                (json ? log_record : log_message)(level, message_id, fields, "Attempt %s: %s",
                                                  a->text, text);
}

static void refused(Attempt *a, bool requeue, const char *reason) {
        if (set_state(a, ATTEMPT_REFUSED) < 0)
                return;
        a->requeue = requeue;
        (void) str_replace(&a->reason, reason);
        a->ended_usec = clock_usec(CLOCK_REALTIME);
        a->unit = unit_free(a->unit);
        a->owed &= ~(unsigned) REPORT_STUCK; /* no longer */
        owe(a, REPORT_REFUSED);
        log_outcome(a, LOG_NOTICE, MSG_ATTEMPT_REFUSED, a->reason, NULL);
        changed(a);
}

static void started(Attempt *a, const UnitState *s) {
        if (a->started_usec == 0) {
                a->started_usec =
                        s->main_start_usec ? s->main_start_usec : clock_usec(CLOCK_REALTIME);
                owe(a, REPORT_RUNNING);
                if (!*s->invocation_id && a->unit)
                        (void) unit_ask(a->unit, UNIT_ASK_START);
        }
        if (!a->stuck)
                a->owed &= ~(unsigned) REPORT_STUCK; /* PID 1 has it after all */
        a->start = exec_call_free(
                a->start); /* its answer tells nothing new, and it shall not be repeated */
        assignment_free(TAKE_PTR(a->assignment));
}

/* The journal keeps the report without the output, which is read again should the unit be gone. */
static void tell_end(Attempt *a) {
        _cleanup_(freep) char *report = NULL, *output = TAKE_PTR(a->output);
        JsonOut o = {};

        report_ended(&o, a);
        (void) json_out_take(&o, &report);
        a->output = TAKE_PTR(output);
        log_outcome(a, LOG_INFO, MSG_ATTEMPT_ENDED, a->result, report);
        changed(a);
}

static void tell_recovered(Attempt *a) {
        log_outcome(a, LOG_NOTICE, NULL, a->reason, NULL);
        changed(a);
}

/* What succeeded may have left an output. */
static void note_end(Attempt *a, attempt_told_t told) {
        owe(a, REPORT_ENDED);
        if (str_eq(a->result, "success") && !a->streaming)
                attempt_read_output(a, told);
        else
                told(a);
}

static void ended(Attempt *a, const UnitState *s) {
        if (s->main_start_usec)
                started(a, s);
        bool wanted = a->state == ATTEMPT_STOPPING && !a->requeue;

        if (set_state(a, ATTEMPT_ENDED) < 0)
                return;
        a->ended_usec = s->main_exit_usec ? s->main_exit_usec : clock_usec(CLOCK_REALTIME);
        (void) cgroup_read(a->id, &a->usage);
        a->owed &= ~(unsigned) REPORT_STATUS; /* the end says it */
        attempt_name_end(a, s, wanted);
        note_end(a, tell_end);
        a->table->events->on_ended(a, a->table->userdata);
}

/* The kernel's word while the service has its cgroup; what it was too short-lived for, PID 1 is asked. */
static void note_limits(Attempt *a, const UnitState *s) {
        if (limits_are_known(&a->limits))
                return;
        if (limits_are_known(&s->limits))
                a->limits = s->limits;
        else if (cgroup_read_limits(a->id, &a->limits) >= 0 && a->unit)
                unit_limits_known(a->unit);
}

/* What was sent is no news of now: its acknowledgement is not waited for. */
static void note_status(Attempt *a, const UnitState *s) {
        if (!a->streaming || !supervision_note(&a->supervision, s))
                return;
        a->status_usec = clock_usec(CLOCK_REALTIME);
        a->status_boottime_usec = clock_usec(CLOCK_BOOTTIME);
        a->sent &= ~(unsigned) REPORT_STATUS;
        owe(a, REPORT_STATUS);
        changed(a);
}

/* RemainAfterExit= makes a success "exited"; whatever was stopped by somebody, or skipped, is "dead". Between two starts of a
 * service it may be "dead" for a moment, too: then PID 1 has a job for it. */
static bool has_ended(const Attempt *a, const UnitState *s) {
        return unit_is_over(s) && !(a->streaming && s->job > 0) &&
               (!unit_was_interrupted(s) || s->described) &&
               (!str_eq(s->sub, "dead") || a->was_active || s->main_exit_usec > 0 ||
                unit_was_skipped(s));
}

/* Only now: what is given to this host again would find the old slice, or be released in its place. */
static void on_unstarted_released(ExecVerdict verdict, const char *words, void *userdata) {
        Attempt *a = userdata;

        (void) verdict; /* it is asked for until it is done */
        (void) words;
        a->stop = NULL;
        (void) unit_read(a->unit);
}

/* A unit whose start was still queued is gone without a signal. Its slice may have come before it. */
static void release_unstarted(Attempt *a) {
        int r = exec_call_new(a->table->exec,
                              &(ExecRequest){ .method = "Release",
                                              .text = a->id,
                                              .done = on_unstarted_released,
                                              .userdata = a },
                              &a->stop);

        if (r < 0) {
                (void) log_error(r, "Cannot release attempt %s", a->text);
                (void) unit_read(a->unit);
        }
}

/* The unit is not there. While it starts, its turn has not come; when it shall stop, that is what was wanted. */
static void unit_missing(Attempt *a) {
        if (a->state == ATTEMPT_READING) {
                /* Gone since it was listed: nothing is known of it, and nothing owed. */
                (void) set_state(a, ATTEMPT_REFUSED);
                changed(a);
        } else if (a->state == ATTEMPT_RUNNING ||
                   (a->state == ATTEMPT_STOPPING && a->started_usec > 0)) {
                (void) str_replace(&a->reason, "systemd no longer knows the unit.");
                (void) strcpy(a->unit_state.result, "lost");
                ended(a, &a->unit_state);
        } else if (a->state == ATTEMPT_STARTING && !a->start) {
                a->requeue = true;
                (void) set_state(a, ATTEMPT_STOPPING);
                (void) str_replace(&a->reason,
                                   "systemd did not begin it: its job was cancelled, or something "
                                   "that it needs failed, a mount for one.");
                release_unstarted(a);
        } else if (a->state == ATTEMPT_STOPPING && !a->stop) {
                refused(a, a->requeue, a->reason ? a->reason : "It was stopped before it began.");
        }
}

/* Its job is over, and has not begun anything. */
static bool has_not_begun(const Attempt *a, const UnitState *s) {
        return (a->state == ATTEMPT_STARTING || a->state == ATTEMPT_STOPPING) &&
               a->started_usec == 0 && !a->was_active && str_eq(s->sub, "dead") && s->job == 0 &&
               s->main_start_usec == 0 && !unit_was_skipped(s);
}

static bool is_stuck(const Attempt *a, const UnitState *s) {
        return !str_eq(s->sub, "exited") && cgroup_is_populated(a->id);
}

/* Nothing else comes from PID 1 any more. */
static void note_stuck(Attempt *a, const UnitState *s) {
        if (a->stuck)
                return;
        a->stuck = true;
        if (s->main_start_usec > 0)
                started(a, s);
        if (a->state == ATTEMPT_READING || a->state == ATTEMPT_STARTING)
                (void) set_state(a, ATTEMPT_RUNNING);
        log_outcome(a, LOG_ERR, MSG_ATTEMPT_STUCK,
                    "systemd could not kill all of its processes. Its slot stays taken until they "
                    "are gone.",
                    NULL);
        owe(a, REPORT_STUCK);
        a->table->events->on_stuck(a, a->table->userdata);
        changed(a);
}

bool attempt_look(Attempt *a) {
        if (is_stuck(a, &a->unit_state))
                return true;
        if (attempt_end_leftovers(a, &a->unit_state)) {
                if (attempt_leftovers_are_stuck(a, &a->unit_state))
                        note_stuck(a, &a->unit_state);
                return true;
        }
        a->owed &= ~(unsigned) REPORT_STUCK;
        ended(a, &a->unit_state);
        return false;
}

static void on_stop_answered(ExecVerdict verdict, const char *words, void *userdata) {
        Attempt *a = userdata;

        a->stop = NULL;
        if (verdict != EXEC_DONE)
                log_message(LOG_ERR, NULL, NULL, "Attempt %s cannot be stopped: %s", a->text,
                            words);
        if (a->unit && a->started_usec == 0)
                release_unstarted(a);
}

static void ask_stop(Attempt *a) {
        int r;

        a->stop = exec_call_free(a->stop); /* what was started since has not seen it */
        r = exec_call_new(
                a->table->exec,
                &(ExecRequest){
                        .method = "Stop", .text = a->id, .done = on_stop_answered, .userdata = a },
                &a->stop);
        if (r < 0)
                (void) log_error(r, "Cannot stop attempt %s", a->text);
}

void attempt_stop(Attempt *a, const char *reason) {
        if (a->held) {
                a->held = false;
                refused(a, false, reason);
                return;
        }
        if (set_state(a, ATTEMPT_STOPPING) < 0)
                return;
        (void) str_replace(&a->reason, reason);
        a->start = exec_call_free(
                a->start); /* PID 1 sees what was sent before the stop; what waits is not sent */
        ask_stop(a);
        changed(a);
}

static void note_again(Attempt *a) {
        a->again = true;
        (void) set_state(a, ATTEMPT_STOPPING);
        ask_stop(a);
        changed(a);
}

/* Of a batch task one process is the attempt, and what follows it has begun without anybody's leave. */
static bool has_begun_again(const Attempt *a, const UnitState *s) {
        uint64_t before = a->unit_state.main_start_monotonic_usec;

        return !a->streaming && before > 0 && s->main_start_monotonic_usec > before;
}

static void note_running(Attempt *a, const UnitState *s) {
        started(a, s);
        if (set_state(a, ATTEMPT_RUNNING) >= 0 || a->owed)
                changed(a);
}

static void on_unit_state(Unit *u, const UnitState *s, void *userdata) {
        Attempt *a = userdata;
        bool again = has_begun_again(a, s);
        /* Somebody has made PID 1 forget it while it was asked for the times: what is known counts. */
        bool forgotten = a->timed && str_eq(s->load, "not-found");

        (void) u;
        if (!forgotten)
                a->unit_state = *s;
        if (a->state == ATTEMPT_ENDED || a->state == ATTEMPT_REFUSED) {
                changed(a); /* what the report of the end waits for may have come */
                return;
        }
        if (a->state == ATTEMPT_READING && *s->load && !str_eq(s->load, "not-found")) {
                a->epoch = s->epoch;
                a->fenced = s->fenced;
                a->streaming = s->streaming;
                (void) snprintf(a->run, sizeof(a->run), "%s", s->run);
        }
        if (forgotten) {
                ended(a, &a->unit_state);
                return;
        }
        if (str_eq(s->load, "not-found") || has_not_begun(a, s)) {
                unit_missing(a);
                return;
        }
        if (again)
                note_again(a);
        a->was_active |= s->main_start_usec > 0 || (*s->active && !str_eq(s->active, "inactive"));
        note_limits(a, s);
        if (has_ended(a, s) && attempt_asks_for_times(a, s))
                return;
        if (has_ended(a, s) && is_stuck(a, s)) {
                note_stuck(a, s);
        } else if (has_ended(a, s) && attempt_end_leftovers(a, s)) {
                note_running(a, s);
        } else if (has_ended(a, s)) {
                ended(a, s);
        } else if (s->main_start_usec > 0) {
                note_running(a, s);
                note_status(a, s);
        } else if (a->state == ATTEMPT_READING) {
                (void) set_state(a, ATTEMPT_STARTING);
                changed(a);
        }
}

static int append_assignment(sd_bus_message *m, void *userdata) {
        const Attempt *a = userdata;
        const ProtoAssignment *p = a->assignment;
        char run[ID_HEX_SIZE];
        Id id = {};
        int r = id_parse(p->run, &id);

        (void) id_to_hex(id, run);
        if (r >= 0)
                r = sd_bus_message_append(m, "susssst", a->id, a->epoch, run, p->project, p->pipe,
                                          p->task, a->deadline_usec);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(ss)");
        /* A name that begins with SLUICE_ is no directive's. */
        for (char *const *v = p->variables; r >= 0 && v && v[0]; v += 2)
                r = sd_bus_message_append(m, "(ss)", v[0], v[1]);
        for (char *const *d = p->directives; r >= 0 && d && d[0]; d += 2)
                r = sd_bus_message_append(m, "(ss)", d[0], d[1]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* PID 1 may have it all the same. Only when it has said that it is gone may somebody else begin; until then people see why not. */
static void unsure(Attempt *a, const char *words) {
        _cleanup_(freep) char *reason = str_format("agentd-exec did not start it: %s", words);

        a->requeue = true;
        owe(a, REPORT_STUCK);
        attempt_stop(a, reason ? reason : words);
}

static void on_start_answered(ExecVerdict verdict, const char *words, void *userdata) {
        Attempt *a = userdata;

        a->start = NULL;
        switch (verdict) {
        case EXEC_DONE:
                if (str_eq(a->unit_state.load, "not-found"))
                        (void) unit_read(a->unit); /* that was before this answer, and may be all */
                break;
        case EXEC_EXISTS: /* an earlier call whose answer was lost: our match may have come too late */
                (void) unit_read(a->unit);
                break;
        case EXEC_REFUSED:
                refused(a, false, words);
                break;
        case EXEC_FAILED:
                unsure(a, words);
                break;
        }
}

static int ask_start(Attempt *a) {
        int r = unit_new(a->table->bus, a->id, on_unit_state, a, &a->unit);

        if (r < 0)
                return r;
        if (a->streaming)
                unit_supervise(a->unit);
        return exec_call_new(a->table->exec,
                             &(ExecRequest){ .method = a->streaming ? "StartStreaming" : "Start",
                                             .append = append_assignment,
                                             .text = a->id,
                                             .tries_max = START_TRIES_MAX,
                                             .done = on_start_answered,
                                             .userdata = a },
                             &a->start);
}

int attempt_start(AttemptTable *t, ProtoAssignment *assignment, uint64_t deadline_usec, bool hold,
                  Attempt **ret) {
        _cleanup_(attempt_freep) Attempt *a = NULL;
        Id run;
        int r = id_parse(assignment->run, &run);

        if (r >= 0)
                r = attempt_new(t, assignment->attempt, assignment->epoch, ATTEMPT_STARTING, &a);
        if (r < 0)
                return r;
        (void) id_to_text(run, a->run);
        a->fenced = assignment->fence;
        a->streaming = assignment->streaming;
        a->deadline_usec = a->fenced ? deadline_usec : 0;
        a->assignment = malloc(sizeof(*a->assignment));
        if (!a->assignment)
                return -ENOMEM;
        *a->assignment = *assignment;
        *assignment = (ProtoAssignment){};
        a->held = hold;
        r = a->held ? 0 : ask_start(a);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(a);
        return 0;
}

void attempt_unhold(Attempt *a, const char *objection) {
        int r = 0;

        if (!a->held)
                return;
        a->held = false;
        if (!objection)
                r = ask_start(a);
        if (objection || r < 0)
                refused(a, true, objection ? objection : strerror(-r));
}

int attempt_refuse(AttemptTable *t, const char *id, uint32_t epoch, bool requeue,
                   const char *reason, Attempt **ret) {
        Attempt *a;
        int r = attempt_new(t, id, epoch, ATTEMPT_STARTING, &a);

        if (r < 0)
                return r;
        *ret = a;
        refused(a, requeue, reason);
        return 0;
}

int attempt_adopt(AttemptTable *t, const char *hex, Attempt **ret) {
        _cleanup_(attempt_freep) Attempt *a = NULL;
        int r = attempt_new(t, hex, 0, ATTEMPT_READING, &a);

        if (r >= 0)
                r = unit_new(t->bus, a->id, on_unit_state, a, &a->unit);
        if (r >= 0)
                r = unit_read(a->unit);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(a);
        return 0;
}

int attempt_recover(AttemptTable *t, const ProtoRecover *recover, Attempt **ret) {
        Id run;
        int r = id_parse(recover->run, &run);

        if (r >= 0)
                r = attempt_new(t, recover->attempt, recover->epoch, ATTEMPT_READING, ret);
        if (r < 0)
                return r;
        (void) id_to_text(run, (*ret)->run);
        (*ret)->recovering = true;
        return 0;
}

void attempt_recovered(Attempt *a, const Recovered *known) {
        if (!known->began) {
                refused(a, true, known->reason);
                return;
        }
        if (set_state(a, ATTEMPT_ENDED) < 0)
                return;
        a->ended_usec = known->ended_usec;
        (void) strcpy(a->result, known->result);
        a->unit_state.main_code = known->main_code;
        a->unit_state.main_status = known->main_status;
        (void) str_replace(&a->reason, known->reason);
        (void) str_replace(&a->report, known->report);
        note_end(a, tell_recovered);
}

void attempt_release_stray(AttemptTable *t, const char *hex) {
        char id[UNIT_ID_SIZE];
        ExecRequest request = { .method = "Release", .text = unit_id(t->instance, hex, id) };
        int r = exec_call_new(t->exec, &request, NULL);

        if (r < 0)
                (void) log_error(r, "Cannot release sluice-%s.service", id);
}

void attempt_release(Attempt *a) {
        Id id = {};

        (void) id_parse(a->hex, &id);
        if (past_add(&a->table->past, id, a->epoch, clock_usec(CLOCK_MONOTONIC)) < 0)
                return; /* out of memory: it stays, and is released later */
        if (a->unit || a->recovering)
                attempt_release_stray(a->table, a->hex);
        (void) attempt_free(a);
}
