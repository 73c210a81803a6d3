/* What the files of the composition root share. agentd.c starts and settles, work.c does what the control plane wants, leave.c ends. */
#pragma once

#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "agentd.h"
#include "attempt.h"
#include "cleaner.h"
#include "contact.h"
#include "enroller.h"
#include "exec-client.h"
#include "facts.h"
#include "identity.h"
#include "link.h"
#include "poller.h"
#include "recovery.h"
#include "reporter.h"
#include "sampler.h"
#include "shipper.h"
#include "stuck.h"
#include "unit.h"
#include "workspaces.h"

#define GOODBYE_USEC (5 * USEC_PER_SEC) /* how long an end waits for its goodbye */

struct Agentd {
        /* owned, in the order in which they are made */
        int lock; /* on the state directory */
        sd_event *event;
        Identity identity;
        Link *link;
        UnitBus *bus;
        ExecClient *exec;
        Workspaces *workspaces;
        Contact *contact;
        AttemptTable *attempts;
        Cleaner *cleaner;
        Shipper *shipper;
        Recovery *recovery;
        Reporter *reporter;
        Sampler *sampler;
        Stuck *stuck;
        Poller *poller;
        Enroller *enroller;
        Channel *goodbye;
        sd_event_source *settle; /* after changes: releases */
        sd_event_source *status_timer;
        sd_event_source *rest;
        sd_event_source *leave;
        char **stray_slices; /* slices that were found, by their attempts */
        /* borrowed: our maker's */
        const Settings *settings;
        Facts facts;
        char session[ID_TEXT_SIZE];
        char status[64];
        bool listed;
        bool fence_asked, fence_resumed; /* a deadline stands for what was found */
        bool polling;
        bool drain_heard; /* the control plane wants nothing new to begin here */
        bool finishing;   /* we are to end when all tasks have: DrainOnStopSec= */
        bool leaving;
};

/* agentd.c */
void agentd_settle(Agentd *a); /* when the loop comes round */
void agentd_fail(Agentd *a, int status);
bool agentd_has_fenced(Agentd *a);
void agentd_let_go(Agentd *a, Attempt *attempt);
void agentd_on_log_complete(Attempt *attempt, void *userdata);

/* work.c */
int agentd_make_session(Agentd *a);
void agentd_on_work(ProtoWork *work, uint64_t sent_usec, void *userdata);
void agentd_on_refused(const Error *problem, uint64_t sent_usec, void *userdata);
void agentd_on_recovered(const ProtoRecover *wanted, const Recovered *known, void *userdata);
void agentd_on_clock_set(void *userdata);
void agentd_on_fence(const char *words, void *userdata);
bool agentd_fence_fell(uint64_t at_usec, void *userdata);

/* leave.c */
void agentd_leave(Agentd *a);
int agentd_on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata);
