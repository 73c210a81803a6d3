/* Collects calls and makes them together. Must never hold a call back while nothing of its kind is under way. */
#include "batch.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "parse.h"
#include "str.h"

#define GROUPS_MAX 4
#define ITEMS_MAX 100
#define BYTES_MAX (256UL * 1024)

struct BatchGroup {
        Batches *all;               /* borrowed: has us */
        const Statement *statement; /* borrowed: static */
        PgCall *call;               /* owned */
        BatchItem *first, **last;   /* those that wait */
        BatchItem *sent[ITEMS_MAX]; /* NULL: its owner has gone away */
        size_t n_sent;
};

struct Batches {
        Pg *pg;                 /* borrowed: the worker's, freed after this */
        sd_event_source *later; /* owned */
        BatchGroup groups[GROUPS_MAX];
};

static void group_send(BatchGroup *g);

static void finish(BatchGroup *g, size_t i, const PgReply *reply, int row) {
        BatchItem *item = g->sent[i];

        if (!item)
                return;
        g->sent[i] = NULL;
        item->group = NULL;
        item->done(item, reply, row);
}

static void on_reply(const PgReply *reply, void *userdata) {
        BatchGroup *g = userdata;
        unsigned n = reply->r < 0 ? 0 : pg_rows_count(reply->rows);
        static const PgReply alone = {};
        uint64_t number;

        g->call = NULL;
        for (unsigned row = 0; row < n; row++)
                if (parse_u64_range(pg_text(reply->rows, row, 0), 1, g->n_sent, &number) >= 0)
                        finish(g, (size_t) number - 1, reply, (int) row);
        /* Of one that failed nobody knows which request is to blame: each finds out for itself. But not when it may have been
         * done, or when the database has no time for more. */
        for (size_t i = 0; i < g->n_sent; i++)
                finish(g, i,
                       reply->unknown || reply->r == -ENOTCONN || reply->r == -ETIMEDOUT ? reply
                                                                                         : &alone,
                       -1);
        g->n_sent = 0;
        group_send(g);
}

/* Takes from those that wait what makes one call. */
static int collect(BatchGroup *g, unsigned char *auths, Buffer *json) {
        size_t n = 0;
        int r = buffer_append_str(json, "[");

        while (r >= 0 && g->first && n < ITEMS_MAX && json->size < BYTES_MAX) {
                BatchItem *item = g->first;

                r = n == 0 ? 0 : buffer_append_str(json, ",");
                r = r < 0 ? r : buffer_append_str(json, item->json);
                (void) memcpy(auths + n * BATCH_AUTH_SIZE, item->auth, BATCH_AUTH_SIZE);
                g->first = item->next;
                if (!g->first)
                        g->last = &g->first;
                g->sent[n++] = item;
        }
        g->n_sent = n;
        return r < 0 ? r : buffer_append_str(json, "]");
}

static void group_send(BatchGroup *g) {
        unsigned char auths[ITEMS_MAX * BATCH_AUTH_SIZE];

        while (g->first && !g->call) {
                Buffer json = {};
                int r = collect(g, auths, &json);

                if (r >= 0)
                        r = pg_call(g->all->pg, g->statement,
                                    (PgParam[]){ { .data = (const char *) auths,
                                                   .size = g->n_sent * BATCH_AUTH_SIZE,
                                                   .binary = true },
                                                 { .data = json.data } },
                                    on_reply, g, &g->call);
                buffer_done(&json);
                if (r < 0) {
                        PgReply failed = { .r = r };

                        for (size_t i = 0; i < g->n_sent; i++)
                                finish(g, i, &failed, -1);
                        g->n_sent = 0;
                }
        }
}

static int on_later(sd_event_source *source, void *userdata) {
        Batches *b = userdata;

        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        for (size_t i = 0; i < GROUPS_MAX; i++)
                group_send(&b->groups[i]);
        return 0;
}

int batch_add(Batches *b, const Statement *statement, BatchItem *item) {
        BatchGroup *g = NULL;

        for (size_t i = 0; i < GROUPS_MAX && !g; i++)
                if (!b->groups[i].statement || b->groups[i].statement == statement)
                        g = &b->groups[i];
        if (!g)
                return -ENOMEM;
        g->statement = statement;
        item->group = g;
        item->next = NULL;
        *g->last = item;
        g->last = &item->next;
        /* When all that has come in by now has been looked at. */
        if (!g->call)
                return sd_event_source_set_enabled(b->later, SD_EVENT_ONESHOT);
        return 0;
}

void batch_item_unlink(BatchItem *item) {
        BatchGroup *g = item->group;

        if (!g)
                return;
        item->group = NULL;
        for (size_t i = 0; i < g->n_sent; i++)
                if (g->sent[i] == item)
                        g->sent[i] = NULL;
        for (BatchItem **slot = &g->first; *slot; slot = &(*slot)->next) {
                if (*slot != item)
                        continue;
                *slot = item->next;
                if (!*slot)
                        g->last = slot;
                return;
        }
}

int batches_new(sd_event *event, Pg *pg, Batches **ret) {
        Batches *b = calloc(1, sizeof(*b));
        int r;

        if (!b)
                return -ENOMEM;
        b->pg = pg;
        for (size_t i = 0; i < GROUPS_MAX; i++) {
                b->groups[i].all = b;
                b->groups[i].last = &b->groups[i].first;
        }
        r = sd_event_add_defer(event, &b->later, on_later, b);
        if (r >= 0)
                r = sd_event_source_set_enabled(b->later, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_description(b->later, "batches");
        if (r < 0) {
                (void) batches_free(b);
                return r;
        }
        *ret = b;
        return 0;
}

Batches *batches_free(Batches *b) {
        if (!b)
                return NULL;
        for (size_t i = 0; i < GROUPS_MAX; i++)
                b->groups[i].call = pg_call_free(b->groups[i].call);
        sd_event_source_disable_unref(b->later);
        free(b);
        return NULL;
}
