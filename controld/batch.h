/* Calls of many requests made as one: what comes in while the last ones are under way waits for the next transaction, and has one
 * parse, one plan, one commit with all others. */
#pragma once

#include <stddef.h>
#include <systemd/sd-event.h>

#include "pg.h"

#define BATCH_AUTH_SIZE 32

typedef struct Batches Batches;
typedef struct BatchGroup BatchGroup;

/* One request's part. Lives in its owner, who unlinks it when it goes away first. */
typedef struct BatchItem {
        BatchGroup *group;         /* borrowed; NULL when it is not in one */
        struct BatchItem *next;    /* borrowed: of those that wait */
        const unsigned char *auth; /* borrowed until done: BATCH_AUTH_SIZE bytes */
        const char *json;          /* borrowed until done: a JSON value */
        /* The row of the reply that has the answer, from column 1 on. -1: there is none, make the call alone; or, when the
         * reply is a failure, the failure is the answer. The item is unlinked already. */
        void (*done)(struct BatchItem *item, const PgReply *reply, int row);
} BatchItem;

int batches_new(sd_event *event, Pg *pg, Batches **ret);
Batches *batches_free(Batches *b); /* every item must have been unlinked */

/* statement: (hashes one behind the other, JSON array) -> rows (number of the element from 1, answer…). -ENOMEM. */
int batch_add(Batches *b, const Statement *statement, BatchItem *item);
void batch_item_unlink(BatchItem *item);
