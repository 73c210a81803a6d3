/* The long poll: says what this host has, hears what it should do. */
#pragma once

#include "attempt.h"
#include "facts.h"
#include "link.h"
#include "workspaces.h"

typedef struct Poller Poller;

/* The answer to a request that was sent then, decoded; *work stays the poller's. */
typedef void (*poller_work_t)(ProtoWork *work, uint64_t sent_usec, void *userdata);
/* The control plane refused a request that was sent then. It is asked again slowly. */
typedef void (*poller_refused_t)(const Error *problem, uint64_t sent_usec, void *userdata);

typedef struct PollerSpec {
        const char *session; /* borrowed, as the next */
        const Facts *facts;
        const char *on_clone;
        const Workspaces *workspaces;
        uint32_t slots;
        uint64_t self_fence_usec;
        const bool *draining,
                *drain_heard; /* nothing new is taken; the control plane's last word about it */
        poller_work_t on_work;
        poller_refused_t on_refused;
        /* By so much that the host may be a snapshot that was restored: makes another session. */
        void (*on_clock_set)(void *userdata);
        void *userdata;
} PollerSpec;

int poller_new(Link *link, AttemptTable *attempts, const PollerSpec *spec, Poller **ret);
Poller *poller_free(Poller *p);
DEFINE_SCOPE_EXIT(Poller, poller_free)

void poller_start(Poller *p);
bool poller_is_asking(const Poller *p); /* a poll is under way, and mostly held */
/* Out of on_refused: the session is another from here on, and the next poll is its first. */
void poller_renew(Poller *p);
