/* Reports what became of attempts and workspaces, until each report is acknowledged. What is owed stands in the attempts, so
 * nothing here can overflow or be lost. */
#pragma once

#include "attempt.h"
#include "cleaner.h"
#include "link.h"

typedef struct Reporter Reporter;

/* The answer, decoded: it may hold work. *work stays the reporter's. */
typedef void (*reporter_work_t)(ProtoWork *work, uint64_t sent_usec, void *userdata);

int reporter_new(Link *link, AttemptTable *attempts, Cleaner *cleaner, const char *session,
                 reporter_work_t on_work, void *userdata, Reporter **ret);
Reporter *reporter_free(Reporter *p);
DEFINE_SCOPE_EXIT(Reporter, reporter_free)

/* The attempt owes something; so does a workspace that is gone. Sent once a report that is likely to follow may have come: each
 * request costs both sides. */
void reporter_kick(Reporter *p, const Attempt *a);
void reporter_kick_cleaned(Reporter *p);
