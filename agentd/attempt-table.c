/* The attempts of this agent, by their ids, and those that it has let go of. */
#include "attempt-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "str.h"

/* The last byte is random, also where the first are the time. */
static unsigned bucket_of(const char *hex) {
        return (unsigned) strtoul(hex + ID_HEX_SIZE - 3, NULL, 16) % ATTEMPT_BUCKETS;
}

Attempt *attempt_find(AttemptTable *t, const char *id) {
        char hex[ID_HEX_SIZE];
        Id parsed;

        if (!id || id_parse(id, &parsed) < 0)
                return NULL;
        (void) id_to_hex(parsed, hex);
        for (Attempt *a = t->buckets[bucket_of(hex)]; a; a = a->next)
                if (str_eq(a->hex, hex))
                        return a;
        return NULL;
}

static Attempt *first_from(AttemptTable *t, unsigned bucket) {
        for (; bucket < ATTEMPT_BUCKETS; bucket++)
                if (t->buckets[bucket])
                        return t->buckets[bucket];
        return NULL;
}

Attempt *attempt_first(AttemptTable *t) {
        return first_from(t, 0);
}

Attempt *attempt_next(Attempt *a) {
        return a->next ? a->next : first_from(a->table, bucket_of(a->hex) + 1);
}

size_t attempt_count(const AttemptTable *t) {
        return t->count;
}

static size_t count_states(const AttemptTable *t, unsigned states) {
        size_t n = 0;

        for (unsigned i = 0; i < ATTEMPT_BUCKETS; i++)
                for (const Attempt *a = t->buckets[i]; a; a = a->next)
                        n += (states & BIT(a->state)) != 0;
        return n;
}

size_t attempt_count_live(const AttemptTable *t) {
        return count_states(t, BIT(ATTEMPT_READING) | BIT(ATTEMPT_STARTING) | BIT(ATTEMPT_RUNNING) |
                                       BIT(ATTEMPT_STOPPING));
}

size_t attempt_count_reading(const AttemptTable *t) {
        return count_states(t, BIT(ATTEMPT_READING));
}

void assignment_free(ProtoAssignment *assignment) {
        if (!assignment)
                return;
        json_done(proto_assignment_fields, assignment);
        free(assignment);
}

Attempt *attempt_free(Attempt *a) {
        if (!a)
                return NULL;
        *a->link = a->next;
        if (a->next)
                a->next->link = a->link;
        a->table->count--;
        (void) exec_call_free(a->start);
        (void) exec_call_free(a->stop);
        (void) exec_call_free(a->killing);
        (void) exec_call_free(a->reading);
        free(a->output);
        (void) unit_free(a->unit);
        assignment_free(a->assignment);
        free(a->reason);
        free(a->report);
        free(a);
        return NULL;
}
int attempt_new(AttemptTable *t, const char *id, uint32_t epoch, AttemptState state,
                Attempt **ret) {
        Attempt *a;
        Id parsed;
        int r = id_parse(id, &parsed);

        if (r < 0)
                return r;
        a = calloc(1, sizeof(*a));
        if (!a)
                return -ENOMEM;
        a->table = t;
        (void) id_to_hex(parsed, a->hex);
        (void) unit_id(t->instance, a->hex, a->id);
        (void) id_to_text(parsed, a->text);
        a->epoch = epoch;
        a->state = state;
        (void) memset(&a->usage, 0xff, sizeof(a->usage)); /* USAGE_UNKNOWN */
        a->limits = LIMITS_UNKNOWN;
        a->link = &t->buckets[bucket_of(a->hex)];
        a->next = *a->link;
        if (a->next)
                a->next->link = &a->next;
        *a->link = a;
        t->count++;
        *ret = a;
        return 0;
}

bool attempt_is_past(AttemptTable *t, const char *id, uint32_t epoch) {
        Id parsed;

        return id && id_parse(id, &parsed) >= 0 && past_has(&t->past, parsed, epoch);
}

int attempt_table_new(UnitBus *bus, ExecClient *exec, const char *instance,
                      const AttemptEvents *events, void *userdata, AttemptTable **ret) {
        AttemptTable *t = calloc(1, sizeof(*t));

        if (!t)
                return -ENOMEM;
        t->bus = bus;
        t->exec = exec;
        t->instance = instance;
        t->events = events;
        t->userdata = userdata;
        *ret = t;
        return 0;
}

AttemptTable *attempt_table_free(AttemptTable *t) {
        if (!t)
                return NULL;
        for (unsigned i = 0; i < ATTEMPT_BUCKETS; i++)
                while (t->buckets[i])
                        (void) attempt_free(t->buckets[i]);
        past_done(&t->past);
        free(t);
        return NULL;
}
