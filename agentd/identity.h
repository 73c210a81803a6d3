/* What agentd keeps on disk: who it is, and the secret that proves it. Nothing about its tasks: PID 1 and the control
 * plane know those. */
#pragma once

#include "cleanup.h"
#include "error.h"
#include "id.h"

typedef struct Identity {
        char instance[ID_TEXT_SIZE]; /* made here, at the first start */
        char agent[ID_TEXT_SIZE];    /* "" until enrolled */
        /* owned */
        char *name;
        char *credential; /* NULL until enrolled */
} Identity;

/* A descriptor that holds the state directory for one process, for as long as it is open; -EBUSY while another has it. */
int identity_lock(const char *directory, Error *e);

/* Reads the state directory; makes and stores an instance id when there is none. */
int identity_load(const char *directory, Identity *ret, Error *e);

/* Stores what enrolment answered; credential in a file of its own, 0600. */
int identity_store(const char *directory, const Identity *identity, Error *e);

/* A new instance id, no credential: the control plane says that the old one is used up. */
int identity_renew(const char *directory, Identity *identity, Error *e);

void identity_done(Identity *identity);
