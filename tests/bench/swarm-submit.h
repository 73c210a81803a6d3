/* The people's side: deploys the pipe, makes the enrolment key, creates runs and cancels some. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "swarm-conn.h"
#include "swarm-options.h"
#include "swarm-runs.h"
#include "swarm-stats.h"

typedef struct Submit Submit;

typedef struct SubmitSpec {
        const Options *options; /* borrowed, as all of it */
        const Target *target;
        Runs *runs;
        Stats *stats;
        /* The pipe and, if it was wanted, the key are there; or e says why not. */
        void (*on_prepared)(const char *key, const Error *e, void *userdata);
        /* Every run has been created. */
        void (*on_submitted)(void *userdata);
        void (*on_revoked)(void *userdata);
        void *userdata;
} SubmitSpec;

int submit_new(const SubmitSpec *spec, Submit **ret);
Submit *submit_free(Submit *s);

void submit_prepare(Submit *s, unsigned key_uses); /* 0: no key */
void submit_start(Submit *s);
void submit_stop(Submit *s);  /* no more runs */
void submit_ended(Submit *s); /* a run has: the window moves on */
void submit_cancel(Submit *s, const char *run);
void submit_revoke(Submit *s); /* the key, if one was made */
