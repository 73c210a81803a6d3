/* Tables and sentences about runs. Texts were made fit for a terminal when they were decoded. */
#include "run-print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "str.h"
#include "table.h"

/* Statuses that systemd itself gives to what could not begin, see systemd.exec(5). */
static const struct {
        unsigned status;
        const char *words, *name;
} systemd_statuses[] = {
        { 200, "its WorkingDirectory= cannot be entered", "CHDIR" },
        { 203, "its command cannot be executed there", "EXEC" },
        { 217, "its User= does not exist there", "USER" },
        { 226, "its sandbox cannot be set up there", "NAMESPACE" },
        { 243, "a credential cannot be loaded there", "CREDENTIALS" },
};

/* "SIGKILL". */
static const char *signal_name(uint32_t number, char text[FORMAT_MAX]) {
        const char *name = number < 128 ? sigabbrev_np((int) number) : NULL;

        if (name)
                (void) snprintf(text, FORMAT_MAX, "SIG%s", name);
        else
                (void) snprintf(text, FORMAT_MAX, "signal %u", number);
        return text;
}

static char *explain_exit(const Attempt *a) {
        for (size_t i = 0; i < ELEMENTSOF(systemd_statuses); i++)
                if (systemd_statuses[i].status == a->exit_status)
                        return str_format("%s (status %u/%s)", systemd_statuses[i].words,
                                          a->exit_status, systemd_statuses[i].name);
        return str_format("exited with status %u", a->exit_status);
}

static char *explain_outcome(const Attempt *a) {
        char text[FORMAT_MAX];

        if (str_eq(a->outcome, "exit-code"))
                return explain_exit(a);
        if (str_eq(a->outcome, "signal"))
                return str_format("was ended by %s", signal_name(a->exit_status, text));
        if (str_eq(a->outcome, "core-dump"))
                return str_format("crashed with %s", signal_name(a->exit_status, text));
        if (str_eq(a->outcome, "timeout"))
                return strdup("was stopped because its time was over, see RuntimeMaxSec=");
        if (str_eq(a->outcome, "oom-kill") && a->memory_max_bytes > 0)
                return str_format("was killed because it needed more than MemoryMax=%s",
                                  format_bytes(a->memory_max_bytes, text));
        if (str_eq(a->outcome, "oom-kill"))
                return strdup("was killed because the host ran out of memory");
        return str_format("ended with %s", a->outcome);
}

char *attempt_explain(const Attempt *a) {
        _cleanup_(freep) char *words = NULL;

        if (!a->outcome)
                return a->why ? str_format("%s%s",
                                           str_after(a->why, "waits ") ? "" : "waits: ", a->why)
                              : NULL;
        if (str_eq(a->outcome, "success"))
                return NULL;
        if (a->reason && (str_eq(a->outcome, "refused") || str_eq(a->outcome, "lost") ||
                          str_eq(a->outcome, "stopped") || str_eq(a->outcome, "cancelled") ||
                          str_eq(a->outcome, "output")))
                return str_format("%s%s%s", str_eq(a->outcome, "cancelled") ? "" : a->outcome,
                                  str_eq(a->outcome, "cancelled") ? "" : ": ", a->reason);
        words = explain_outcome(a);
        if (!words || !a->reason)
                return TAKE_PTR(words);
        return str_format("%s: %s", words, a->reason);
}

static void add_memory(Table *t, const Attempt *a) {
        char peak[FORMAT_MAX], max[FORMAT_MAX];

        if (!a || a->memory_peak_bytes == 0)
                table_add(t, NULL);
        else if (a->memory_max_bytes == 0)
                table_addf(t, "%s", format_bytes(a->memory_peak_bytes, peak));
        else
                table_addf(t, "%s / %s", format_bytes(a->memory_peak_bytes, peak),
                           format_bytes(a->memory_max_bytes, max));
}

static void add_exit(Table *t, const Attempt *a) {
        char text[FORMAT_MAX];

        if (a && str_eq(a->exit_code, "exited"))
                table_addf(t, "%u", a->exit_status);
        else
                table_add(t, a && a->exit_code ? signal_name(a->exit_status, text) : NULL);
}

static void add_task(Table *t, const Task *task, const Attempt *a) {
        const char *outcome =
                a && a->outcome ? a->outcome : (a && a->state ? a->state : task->state);
        char cpu[FORMAT_MAX], runtime[FORMAT_MAX];

        table_add(t, task->task);
        table_add_colour(t, outcome, colour_of_state(outcome));
        add_exit(t, a);
        table_add(t,
                  a && a->ended_at && a->started_at ? format_span(a->cpu_usage_usec, cpu) : NULL);
        add_memory(t, a);
        table_add(t, !a                    ? NULL
                     : a->runtime_usec > 0 ? format_span(a->runtime_usec, runtime)
                                           : format_between(a->started_at, a->ended_at, runtime));
        table_add(t, a ? a->agent : NULL);
}

static char *task_explain(const Task *t) {
        const Attempt *a = task_last_attempt(t);
        char time[FORMAT_MAX];

        if (t->passed_over)
                return str_format("is passed over: %s", t->passed_over);
        if (t->reason)
                return str_format("%s: %s", t->state, t->reason);
        if (t->retry_at)
                return str_format("is tried again at %s", format_time(t->retry_at, time));
        return a ? attempt_explain(a) : NULL;
}

static void print_explanations(const Run *run) {
        const Task *tasks = run->tasks.items;
        bool first = true;

        for (size_t i = 0; i < run->tasks.count; i++) {
                _cleanup_(freep) char *words = task_explain(&tasks[i]);

                if (!words)
                        continue;
                (void) printf("%s%s: %s%s\n", first ? "\n" : "", tasks[i].task, words,
                              words[strlen(words) - 1] == '.' || words[strlen(words) - 1] == '?'
                                      ? ""
                                      : ".");
                first = false;
        }
}

int run_print_tasks(const Run *run) {
        static const char *const header[] = {
                "TASK", "OUTCOME", "EXIT", "CPU", "MEMORY PEAK / MAX", "DURATION", "AGENT", NULL
        };
        _cleanup_(table_freep) Table *table = NULL;
        const Task *tasks = run->tasks.items;
        int r = table_new(header, &table);

        if (r < 0)
                return r;
        for (size_t i = 0; i < run->tasks.count; i++) {
                const Attempt *attempts = tasks[i].attempts.items;

                if (tasks[i].attempts.count == 0)
                        add_task(table, &tasks[i], NULL);
                for (size_t k = 0; k < tasks[i].attempts.count; k++)
                        add_task(table, &tasks[i], &attempts[k]);
        }
        r = table_print(table, NULL);
        if (r >= 0)
                print_explanations(run);
        return r;
}

static void print_moment(const char *label, const char *rfc3339) {
        char text[FORMAT_MAX], age[FORMAT_MAX];

        if (rfc3339)
                (void) printf("%s%s; %s", label, format_time(rfc3339, text),
                              format_age(rfc3339, age));
}

static void print_unit(const Attempt *a, const char *task) {
        (void) printf("     Unit: %s on %s (%s)\n", a->unit, a->agent ? a->agent : "-", task);
        if (a->restarts > 0)
                (void) printf(" Restarts: %" PRIu64 "\n", a->restarts);
        if (a->status_text && *a->status_text)
                (void) printf("   Status: %s\n", a->status_text);
}

/* What journalctl -u and systemctl on the host want to know. */
static void print_units(const Run *run) {
        const Task *tasks = run->tasks.items;

        for (size_t i = 0; i < run->tasks.count; i++) {
                const Attempt *a = task_last_attempt(&tasks[i]);

                if (a && a->unit && a->started_at)
                        print_unit(a, tasks[i].task);
        }
}

static void print_outputs(const Run *run) {
        const Task *tasks = run->tasks.items;
        bool first = true;

        for (size_t i = 0; i < run->tasks.count; i++) {
                const Attempt *a = task_last_attempt(&tasks[i]);

                for (char *const *o = a ? a->output : NULL; o && o[0]; o += 2, first = false)
                        (void) printf("%s%s.%s=%s\n", first ? "   Output: " : "           ",
                                      tasks[i].task, o[0], o[1]);
        }
}

void run_print_values(const JsonArray *values) {
        const Value *items = values->items;

        for (size_t i = 0; i < values->count; i++) {
                bool unset = str_eq(items[i].origin, "unset");

                (void) printf("%s%s=%s (%s%s)\n", i == 0 ? "Parameter: " : "           ",
                              items[i].name, items[i].value ? items[i].value : "",
                              unset ? "" : "from the ",
                              !unset              ? items[i].origin
                              : items[i].required ? "a run has to say it"
                                                  : "not given");
        }
}

void run_print_cause(const Scheduled *s) {
        if (s->caused_by)
                (void) printf(", after run %s of pipe %s", s->caused_by,
                              s->caused_by_pipe ? s->caused_by_pipe : "-");
        (void) putchar('\n');
}

void run_print_trial(bool trial) {
        if (trial)
                (void) printf("    Trial: of a draft, which is not deployed\n");
}

int run_print(const Run *run) {
        const char *outcome = run->outcome ? run->outcome : run->state;
        Colour colour = colour_of_state(outcome);
        char text[FORMAT_MAX];

        (void) printf("      Run: %s\n", run->run);
        (void) printf("     Pipe: %s, version %s, project %s\n", run->pipe, run->version,
                      run->project ? run->project : "-");
        run_print_trial(run->trial);
        if (run->rerun_of)
                (void) printf(" Rerun of: %s\n", run->rerun_of);
        (void) printf("  Outcome: %s%s%s%s%s\n", colour_begin(colour), outcome, colour_end(colour),
                      run->reason ? "; " : "", run->reason ? run->reason : "");
        print_moment("  Created: ", run->created_at);
        (void) printf(", by %s\n", run->created_by ? run->created_by : "-");
        if (run->scheduled.schedule) {
                print_moment("      Due: ", run->scheduled.due_at);
                (void) printf(", by schedule %s", run->scheduled.schedule);
                run_print_cause(&run->scheduled);
        }
        if (run->started_at) {
                print_moment("  Started: ", run->started_at);
                (void) putchar('\n');
        }
        if (run->ended_at) {
                print_moment("    Ended: ", run->ended_at);
                if (format_between(run->started_at, run->ended_at, text))
                        (void) printf(", after %s", text);
                (void) printf("\n      Log: %s\n",
                              run->log_complete ? "complete" : "still on its way");
        }
        run_print_values(&run->parameters);
        print_outputs(run);
        print_units(run);
        (void) putchar('\n');
        return run_print_tasks(run);
}
