/* Ships the log of each attempt: entries of the journal become chunks, a chunk is repeated until it is stored, and only then
 * does the next one go. The journal is the buffer; what is held here is bounded. */
#pragma once

#include "attempt.h"
#include "cleanup.h"
#include "link.h"

typedef struct Shipper Shipper;

/* The whole log is stored: a->log_sequence says of how many chunks. */
typedef void (*shipper_complete_t)(Attempt *a, void *userdata);

int shipper_new(sd_event *event, Link *link, ExecClient *exec, AttemptTable *attempts,
                shipper_complete_t on_complete, void *userdata, Shipper **ret);
Shipper *shipper_free(Shipper *s); /* before the attempts */
DEFINE_SCOPE_EXIT(Shipper, shipper_free)

/* Begins with the log of an attempt: a new one (cursor ""), or behind the last stored chunk. */
int shipper_follow(Shipper *s, Attempt *a, uint32_t sequence, const char *cursor,
                   uint64_t monotonic_usec);
bool shipper_follows(const Attempt *a);
/* The rest of the log of an attempt that is gone, maybe of an earlier boot. */
int shipper_recover(Shipper *s, Attempt *a, uint32_t sequence, const char *cursor,
                    uint64_t monotonic_usec);
/* The process has ended: what it said is shipped to its end. */
void shipper_finish(Shipper *s, Attempt *a);
void shipper_forget(Shipper *s, Attempt *a);
/* There is no attempt: closes the journal, so that nothing that others write wakes us. */
void shipper_rest(Shipper *s);
