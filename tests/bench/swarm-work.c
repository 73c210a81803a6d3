/* Attempts as an agent plays them: begun, refused, ended after their time or when they are stopped. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "str.h"
#include "swarm-agent-internal.h"

Work *work_find(Agent *a, const char *attempt) {
        for (Work *w = a->works; w; w = w->next)
                if (str_eq(w->attempt, attempt))
                        return w;
        return NULL;
}

static bool is_past(const Agent *a, const char *attempt) {
        for (unsigned i = 0; a->past && i < PAST; i++)
                if (str_eq(a->past[i], attempt))
                        return true;
        return false;
}

static void remember(Agent *a, const char *attempt) {
        if (!a->past)
                a->past = calloc(PAST, sizeof(*a->past));
        if (a->past)
                (void) memcpy(a->past[a->n_past++ % PAST], attempt, ID_TEXT_SIZE);
}

static void end(Work *w) {
        if (w->ended)
                return;
        w->ended = true;
        w->owed |= OWES_ENDED | OWES_LOGGED;
        w->log_wanted = w->agent->fleet->chunk != NULL;
        agent_talk_kick(w->agent);
}

static void on_due(Timer *t) {
        end((Work *) (void *) ((char *) t - offsetof(Work, due)));
}

static void begin(Work *w) {
        Fleet *f = w->agent->fleet;

        if (fleet_chance(f, f->spec.options->refuse)) {
                f->spec.stats->refused_tasks++;
                w->owed = OWES_REFUSED;
                w->ended = true;
                return;
        }
        w->owed = OWES_RUNNING;
        w->held = runs_to_cancel(f->spec.runs, w->run_id);
        runs_got(f->spec.runs, w->run_id, w->got_usec);
        if (w->held)
                return;
        if (f->spec.options->task_usec == 0)
                end(w);
        else
                loop_arm(f->spec.target->loop, &w->due, f->spec.options->task_usec);
}

int work_new(Agent *a, const ProtoAssignment *given) {
        Fleet *f = a->fleet;
        Work *w = work_find(a, given->attempt);
        Id id;

        if (id_parse(given->attempt, &id) < 0)
                return -EINVAL;
        if (w && w->epoch >= given->epoch)
                return 0;
        if (w) /* given again, because an answer was lost or it was refused */
                (void) work_free(w);
        w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        if (id_parse(given->run, &w->run_id) < 0) {
                free(w);
                return -EINVAL;
        }
        (void) id_to_text(id, w->attempt);
        (void) id_to_text(w->run_id, w->run);
        if (is_past(a, w->attempt)) {
                f->spec.stats->offered_again++;
                free(w);
                return 0;
        }
        w->agent = a;
        w->epoch = given->epoch;
        w->due.on_due = on_due;
        w->got_usec = loop_now();
        w->next = a->works;
        w->slot = &a->works;
        if (a->works)
                a->works->slot = &w->next;
        a->works = w;
        f->works++;
        f->spec.stats->dispatched++;
        begin(w);
        agent_talk_kick(a);
        return 0;
}

Work *work_free(Work *w) {
        if (!w)
                return NULL;
        if (w->agent->shipping == w)
                w->agent->shipping = NULL;
        loop_disarm(&w->due);
        *w->slot = w->next;
        if (w->next)
                w->next->slot = w->slot;
        w->agent->fleet->works--;
        free(w);
        return NULL;
}

void work_stop(Work *w) {
        if (w->ended)
                return;
        w->agent->fleet->spec.stats->stops++;
        runs_stopped(w->agent->fleet->spec.runs, w->run_id, loop_now());
        loop_disarm(&w->due);
        w->stopping = true;
        end(w);
}

void work_settle(Work *w) {
        if (!w->ended || w->owed)
                return;
        /* What was refused comes again with a later epoch. */
        if (!(w->sent & OWES_REFUSED))
                remember(w->agent, w->attempt);
        (void) work_free(w);
}
