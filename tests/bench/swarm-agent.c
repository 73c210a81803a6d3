/* Agents as a whole: who they are, who is there, and what an answer of controld means for one. */
#include "swarm-agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "cleanup.h"
#include "journal-export.h"
#include "str.h"
#include "swarm-agent-internal.h"
#include "timespan.h"

uint64_t fleet_random(Fleet *f, uint64_t below) {
        f->random ^= f->random << 13; /* xorshift: replayable by --seed */
        f->random ^= f->random >> 7;
        f->random ^= f->random << 17;
        return below ? f->random % below : 0;
}

bool fleet_chance(Fleet *f, uint32_t percent) {
        return percent > 0 && fleet_random(f, 100) < percent;
}

/* As agentd waits: from half a second on, doubled up to a minute, jittered by half. */
uint64_t fleet_backoff(Fleet *f, unsigned tries) {
        uint64_t usec = (500 * USEC_PER_MSEC) << (tries < 7 ? tries : 7);

        if (usec > USEC_PER_MINUTE)
                usec = USEC_PER_MINUTE;
        return usec / 2 + fleet_random(f, usec / 2);
}

static void add_cleaned(Agent *a, const char *run) {
        Cleaned *c;

        for (c = a->cleaned; c; c = c->next)
                if (str_eq(c->run, run))
                        return;
        c = strlen(run) < ID_TEXT_SIZE ? calloc(1, sizeof(*c)) : NULL;
        if (!c)
                return;
        (void) strcpy(c->run, run);
        c->next = a->cleaned;
        a->cleaned = c;
        agent_talk_kick(a);
}

static void acknowledge(Agent *a, const ProtoAcknowledged *ack) {
        static const struct {
                const char *state;
                unsigned owed;
        } states[] = { { "running", OWES_RUNNING },
                       { "ended", OWES_ENDED },
                       { "refused", OWES_REFUSED },
                       { "logged", OWES_LOGGED } };
        Fleet *f = a->fleet;
        unsigned owed = 0;
        Work *w;

        if (str_eq(ack->state, "cleaned")) {
                for (Cleaned **c = &a->cleaned, *gone; *c; c = &(*c)->next)
                        if (str_eq((*c)->run, ack->run)) {
                                gone = *c;
                                *c = gone->next;
                                free(gone);
                                f->spec.stats->cleaned++;
                                return;
                        }
                return;
        }
        w = work_find(a, ack->attempt);
        for (size_t i = 0; w && i < ELEMENTSOF(states); i++)
                if (str_eq(states[i].state, ack->state))
                        owed = states[i].owed & w->owed & w->sent;
        if (!owed || w->epoch != ack->epoch)
                return;
        w->owed &= ~owed;
        if (owed == OWES_RUNNING && w->held && !w->stopping)
                f->spec.on_running(w->run, f->spec.userdata);
        if (owed == OWES_ENDED) {
                f->spec.stats->ended++;
                histogram_add(&f->spec.stats->got_to_ended, loop_now() - w->got_usec);
                f->spec.on_ended(f->spec.userdata);
        }
        work_settle(w);
}

static void take_stop(Agent *a, const ProtoStop *stop) {
        Work *w = work_find(a, stop->attempt);

        if (w && w->epoch == stop->epoch)
                work_stop(w);
}

static void take_release(Agent *a, const ProtoRelease *release) {
        Work *w = work_find(a, release->attempt);

        if (!w || w->epoch != release->epoch)
                return;
        a->fleet->spec.stats->dropped++;
        /* Its end is stored: the answer that said so was lost. */
        if (w->owed & w->sent & OWES_ENDED) {
                a->fleet->spec.stats->ended++;
                a->fleet->spec.on_ended(a->fleet->spec.userdata);
        }
        (void) work_free(w);
}

void agent_take_work(Agent *a, const ProtoWork *work) {
        const ProtoAcknowledged *acks = work->acknowledged.items;
        const ProtoAssignment *starts = work->start.items;
        const ProtoRelease *releases = work->release.items;
        const ProtoStop *stops = work->stop.items;

        for (size_t i = 0; i < work->acknowledged.count; i++)
                acknowledge(a, &acks[i]);
        if (a->fleet->leaving)
                return;
        for (size_t i = 0; i < work->start.count; i++)
                (void) work_new(a, &starts[i]);
        for (size_t i = 0; i < work->stop.count; i++)
                take_stop(a, &stops[i]);
        for (size_t i = 0; i < work->release.count; i++)
                take_release(a, &releases[i]);
        for (char **run = work->clean; run && *run; run++)
                add_cleaned(a, *run);
}

/* One line an agent: instance and credential. */
static void read_identities(Fleet *f) {
        _cleanup_(fclosep) FILE *file =
                f->spec.options->identities ? fopen(f->spec.options->identities, "re") : NULL;
        char instance[ID_TEXT_SIZE], credential[64];
        Id id;

        for (unsigned i = 0;
             file && i < f->n && fscanf(file, "%36s %63s", instance, credential) == 2; i++) {
                if (id_parse(instance, &id) < 0)
                        continue;
                (void) id_to_text(id, f->agents[i].instance);
                (void) strcpy(f->agents[i].credential, credential);
                f->strangers--;
        }
}

int fleet_save(const Fleet *f) {
        _cleanup_(fclosep) FILE *file = NULL;

        if (!f->spec.options->identities)
                return 0;
        file = fopen(f->spec.options->identities, "we");
        if (!file)
                return -errno;
        for (unsigned i = 0; i < f->n; i++)
                if (*f->agents[i].credential &&
                    fprintf(file, "%s %s\n", f->agents[i].instance, f->agents[i].credential) < 0)
                        return -EIO;
        return fflush(file) == 0 ? 0 : -errno;
}

/* The same for every attempt: one entry with a message of the wanted size. */
static int make_chunk(Fleet *f) {
        _cleanup_(buffer_done) Buffer content = {}, out = {};
        _cleanup_(freep) char *message = NULL;
        size_t size = f->spec.options->log_bytes;
        int r;

        if (size == 0)
                return 0;
        message = malloc(size);
        if (!message)
                return -ENOMEM;
        for (size_t i = 0; i < size; i++)
                message[i] = (char) ('a' + fleet_random(f, 26));
        r = export_write_field(&content, "__CURSOR", "s=swarm;i=1", 11);
        if (r >= 0)
                r = export_write_field(&content, "__REALTIME_TIMESTAMP", "1", 1);
        if (r >= 0)
                r = export_write_field(&content, "__MONOTONIC_TIMESTAMP", "1", 1);
        if (r >= 0)
                r = export_write_field(&content, "PRIORITY", "6", 1);
        if (r >= 0)
                r = export_write_field(&content, "MESSAGE", message, size);
        if (r >= 0)
                r = export_write_end(&content);
        if (r >= 0)
                r = chunk_compress(content.data, content.size, &out);
        if (r < 0)
                return r;
        f->chunk_size = out.size;
        (void) snprintf(f->chunk_query, sizeof(f->chunk_query),
                        "sequence=1&entries=1&first_cursor=s%%3Dswarm%%3Bi%%3D1&"
                        "last_cursor=s%%3Dswarm%%3Bi%%3D1&first_realtime_usec=1&"
                        "last_realtime_usec=1&last_monotonic_usec=1");
        return buffer_take(&out, &f->chunk);
}

static int make_agents(Fleet *f) {
        Id id;
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < f->n; i++) {
                Agent *a = &f->agents[i];

                a->fleet = f;
                agent_poll_init(a);
                agent_talk_init(a);
                r = id_random(&id);
                (void) id_to_text(id, a->session);
                if (r >= 0)
                        r = id_random(&id);
                (void) id_to_text(id, a->instance);
        }
        return r;
}

int fleet_new(const FleetSpec *spec, Fleet **ret, Error *e) {
        Fleet *f = calloc(1, sizeof(*f));
        int r;

        if (!f)
                return -ENOMEM;
        f->spec = *spec;
        f->random = 0x9e3779b97f4a7c15ULL ^ ((uint64_t) spec->options->seed << 17);
        f->n = f->strangers = spec->options->agents;
        f->agents = calloc(f->n, sizeof(*f->agents));
        r = f->agents ? make_chunk(f) : -ENOMEM;
        if (r >= 0)
                r = make_agents(f);
        if (r < 0) {
                (void) fleet_free(f);
                return error_set(e, r, "fleet", "Cannot make %u agents: %s.", spec->options->agents,
                                 strerror(-r));
        }
        read_identities(f);
        *ret = f;
        return 0;
}

static void agent_done(Agent *a) {
        conn_close(&a->poll);
        conn_close(&a->talk);
        while (a->works)
                (void) work_free(a->works);
        for (Cleaned *c = a->cleaned, *next; c; c = next) {
                next = c->next;
                free(c);
        }
        free(a->last_report);
        free(a->past);
}

Fleet *fleet_free(Fleet *f) {
        if (!f)
                return NULL;
        for (unsigned i = 0; f->agents && i < f->n; i++)
                if (f->agents[i].fleet)
                        agent_done(&f->agents[i]);
        free(f->agents);
        free(f->key);
        free(f->chunk);
        free(f);
        return NULL;
}

unsigned fleet_strangers(const Fleet *f) {
        return f->strangers;
}

int fleet_start(Fleet *f, const char *key) {
        int r = str_replace(&f->key, key);

        while (r >= 0 && f->next < f->n && f->under_way < f->spec.options->parallel)
                agent_poll_start(&f->agents[f->next++]);
        return r;
}

unsigned fleet_present(const Fleet *f) {
        return f->present;
}

uint64_t fleet_lost_usec(const Fleet *f) {
        return f->lost_usec;
}

unsigned fleet_most_lost(const Fleet *f) {
        return f->most_lost;
}

bool fleet_is_quiet(const Fleet *f) {
        for (unsigned i = 0; i < f->n; i++)
                if (f->agents[i].works || f->agents[i].cleaned)
                        return false;
        return true;
}

void fleet_goodbye(Fleet *f) {
        f->leaving = true;
        /* The others follow as these are done. */
        while (f->leave_next < f->n && f->leave_next < f->n_gone + f->spec.options->parallel)
                agent_goodbye(&f->agents[f->leave_next++]);
}

bool fleet_is_gone(const Fleet *f) {
        return f->n_gone == f->n;
}
