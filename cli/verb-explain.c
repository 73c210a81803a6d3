/* explain: why a run or an agent is as it is. The words are the control plane's; here they are set. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "explain-shapes.h"
#include "format.h"
#include "id.h"
#include "run-print.h"
#include "str.h"
#include "strv.h"
#include "table.h"
#include "verbs.h"

static const char *dash(const char *text) {
        return text && *text ? text : "-";
}

static void print_evidence(const ExplainedAttempt *a) {
        const ExplainedEvidence *items = a->evidence.items;
        char text[FORMAT_MAX];

        for (size_t i = 0; i < a->evidence.count; i++) {
                const ExplainedEvidence *v = &items[i];

                (void) printf(
                        "    kept, without effect (%s): %s%s%s of epoch %u, from %s, %s%s%s\n",
                        dash(v->why), dash(v->state), v->result ? " " : "",
                        v->result ? v->result : "", v->epoch,
                        v->agent ? v->agent : "an instance that is gone",
                        format_age(v->received_at, text), v->reason ? ": " : "",
                        v->reason ? v->reason : "");
        }
}

static void print_attempt(const ExplainedAttempt *a) {
        const char *state = a->outcome ? a->outcome : dash(a->state);
        Colour colour = colour_of_state(state);

        (void) printf("  attempt %s%s: %s%s%s%s%s, epoch %u%s%s\n", a->attempt,
                      a->counts ? " (counts)" : "", colour_begin(colour), state, colour_end(colour),
                      a->agent ? " on " : "", a->agent ? a->agent : "", a->epoch,
                      a->reason ? ": " : "", a->reason ? a->reason : "");
        print_evidence(a);
}

static int print_candidates(const ExplainedTask *task) {
        static const char *const header[] = { "AGENT", "HOST", "VERDICT", NULL };
        _cleanup_(table_freep) Table *table = NULL;
        const ExplainedCandidate *items = task->candidates.items;
        int r;

        if (task->candidates.count == 0)
                return 0;
        r = table_new(header, &table);
        if (r < 0)
                return r;
        for (size_t i = 0; i < task->candidates.count; i++) {
                table_add(table, items[i].agent);
                table_add(table, items[i].hostname);
                table_add_colour(table, items[i].verdict,
                                 items[i].suits ? COLOUR_NONE : COLOUR_GREY);
        }
        (void) putchar('\n');
        return table_print(table, NULL);
}

static int print_run(const ExplainedRun *run) {
        const ExplainedTask *tasks = run->tasks.items;
        const char *outcome = run->outcome ? run->outcome : run->state;
        Colour colour = colour_of_state(outcome);
        char text[FORMAT_MAX];
        int r = 0;

        (void) printf("      Run: %s\n     Pipe: %s, version %s, project %s\n", run->run, run->pipe,
                      run->version, dash(run->project));
        run_print_trial(run->trial);
        (void) printf("  Outcome: %s%s%s%s%s\n", colour_begin(colour), outcome, colour_end(colour),
                      run->reason ? "; " : "", run->reason ? run->reason : "");
        run_print_values(&run->parameters);
        if (run->scheduled.schedule) {
                (void) printf("      Due: %s, by schedule %s",
                              format_time(run->scheduled.due_at, text), run->scheduled.schedule);
                run_print_cause(&run->scheduled);
        }
        for (size_t i = 0; r >= 0 && i < run->tasks.count; i++) {
                const ExplainedAttempt *attempts = tasks[i].attempts.items;

                (void) printf("\n%s: %s.\n", tasks[i].task, dash(tasks[i].why));
                for (size_t k = 0; k < tasks[i].attempts.count; k++)
                        print_attempt(&attempts[k]);
                r = print_candidates(&tasks[i]);
        }
        return r;
}

static void print_instance(const ExplainedInstance *n) {
        const ExplainedWork *has = n->has.items;
        Colour colour = colour_of_state(n->status);
        char text[FORMAT_MAX], more[FORMAT_MAX];

        (void) printf("\n Instance: %s on %s\n", n->instance, dash(n->hostname));
        (void) printf("   Status: %s%s%s since %s: %s%s\n", colour_begin(colour), n->status,
                      colour_end(colour), format_time(n->since, text), dash(n->reason),
                      n->draining ? "; it is draining" : "");
        (void) printf("    Slots: %u of %u taken\n", n->slots_used, n->slots);
        if (n->memory_bytes > 0)
                (void) printf("   Memory: %s of %s given away\n",
                              format_bytes(n->memory_used_bytes, text),
                              format_bytes(n->memory_bytes, more));
        for (size_t i = 0; i < n->has.count; i++)
                (void) printf("      %4s: %s of %s, %s %s%s%s (run %s)\n", i ? "" : "Has",
                              dash(has[i].task), dash(has[i].pipe), dash(has[i].state),
                              format_age(has[i].since, text), has[i].reason ? ": " : "",
                              has[i].reason ? has[i].reason : "", dash(has[i].run));
}

static int print_waiting(const ExplainedAgent *agent) {
        static const char *const header[] = { "RUN",   "PIPE", "TASK", "PRIORITY",
                                              "SINCE", "WHY",  NULL };
        _cleanup_(table_freep) Table *table = NULL;
        const ExplainedWork *items = agent->waiting.items;
        char text[FORMAT_MAX];
        int r;

        if (agent->waiting.count == 0) {
                (void) printf("\nNothing waits for it.\n");
                return 0;
        }
        r = table_new(header, &table);
        if (r < 0)
                return r;
        for (size_t i = 0; i < agent->waiting.count; i++) {
                table_add(table, items[i].run);
                table_add(table, items[i].pipe);
                table_add(table, items[i].task);
                table_add(table, items[i].priority);
                table_add(table, format_age(items[i].queued_at, text));
                table_add(table, items[i].why);
        }
        (void) printf("\nWaiting for it, or for one like it:\n\n");
        return table_print(table, NULL);
}

static int print_agent(const ExplainedAgent *agent) {
        _cleanup_(freep) char *labels = labels_text(agent->labels);
        _cleanup_(freep) char *flags = strv_join(agent->flags, ", ");
        const ExplainedInstance *instances = agent->instances.items;
        Colour colour = colour_of_state(agent->status);
        char text[FORMAT_MAX];

        (void) printf("    Agent: %s (%s)\n", agent->name, agent->agent);
        (void) printf("   Status: %s%s%s since %s: %s\n", colour_begin(colour), agent->status,
                      colour_end(colour), format_time(agent->since, text), dash(agent->reason));
        (void) printf("     Type: %s\n   Labels: %s\n    Flags: %s\n", dash(agent->type),
                      dash(labels), dash(flags));
        for (size_t i = 0; i < agent->instances.count; i++)
                print_instance(&instances[i]);
        return print_waiting(agent);
}

static int show(Context *x, const Reply *reply, bool is_run) {
        ExplainedRun run = {};
        ExplainedAgent agent = {};
        int r;

        if (x->json)
                return print_json(reply);
        if (is_run)
                r = reply_decode(reply, explained_run_fields, &run);
        else
                r = reply_decode(reply, explained_agent_fields, &agent);
        if (r < 0)
                return r;
        r = is_run ? print_run(&run) : print_agent(&agent);
        json_done(explained_run_fields, &run);
        json_done(explained_agent_fields, &agent);
        return r < 0 ? complain(r, "Out of memory.") : 0;
}

/* What has the form of an id may be either; an agent's name never has it. */
int verb_explain(Context *x) {
        _cleanup_(freep) char *run = path_format("/api/v1/runs/%s/explain", x->words[0]);
        _cleanup_(freep) char *agent = path_format("/api/v1/agents/%s/explain", x->words[0]);
        Reply reply = {};
        bool is_run = false;
        Id id;
        int r = run && agent ? -ENOENT : complain(-ENOMEM, "Out of memory.");

        if (r == -ENOENT && id_parse(x->words[0], &id) >= 0) {
                r = client_get_unless(x->client, run, "run-not-found", &reply);
                is_run = r >= 0;
        }
        if (r == -ENOENT)
                r = client_get(x->client, agent, &reply);
        if (r >= 0)
                r = show(x, &reply, is_run);
        reply_done(&reply);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
