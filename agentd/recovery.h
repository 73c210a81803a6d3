/* How attempts ended whose units are gone, from the host's journal: what agentd wrote down when it saw the end, or what PID 1
 * said of the unit. Message identifiers: systemd's sd-messages.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "cleanup.h"
#include "proto.h"

/* Journal field with the `ended` event of an attempt, in entries of MSG_ATTEMPT_ENDED. */
#define RECOVERY_FIELD "SLUICE_REPORT"

typedef struct Recovered {
        bool began; /* false: the journal has no trace of it, and what follows but the reason means nothing */
        char result[32]; /* "lost" when it does not tell */
        int32_t main_code, main_status;
        uint64_t ended_usec;
        const char *reason; /* for people; borrowed */
        char *report;       /* owned; of agentd, NULL when it saw no end */
} Recovered;

typedef struct Recovery Recovery;

/* Once for each that was added, from the loop. Both are freed afterwards. */
typedef void (*recovery_done_t)(const ProtoRecover *wanted, const Recovered *known, void *userdata);

/* instance: whose attempts; must live longer. */
int recovery_new(sd_event *event, const char *instance, recovery_done_t done, void *userdata,
                 Recovery **ret);
Recovery *recovery_free(Recovery *r);
DEFINE_SCOPE_EXIT(Recovery, recovery_free)

/* Takes the contents of wanted. */
int recovery_add(Recovery *r, ProtoRecover *wanted);
