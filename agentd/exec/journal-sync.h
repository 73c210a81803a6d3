/* Asks journald to store all that it has been sent so far (io.systemd.Journal.Synchronize). One request is under way at a
 * time; those who ask meanwhile share the next one, because only that has begun after they asked. */
#pragma once

#include <systemd/sd-event.h>

#include "cleanup.h"

typedef struct JournalSync JournalSync;

/* From the loop; r is 0 or negative errno, for all who asked with this number. */
typedef void (*journal_sync_done_t)(uint64_t round, int r, void *userdata);

int journal_sync_new(sd_event *event, const char *path, journal_sync_done_t done, void *userdata,
                     JournalSync **ret);
JournalSync *journal_sync_free(JournalSync *s);
DEFINE_SCOPE_EXIT(JournalSync, journal_sync_free)

/* The number of the round that will answer this request. */
int journal_sync_request(JournalSync *s, uint64_t *ret_round);
