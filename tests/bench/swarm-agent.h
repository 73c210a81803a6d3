/* The agents: each with its identity, session, a connection that polls and one that reports. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "swarm-conn.h"
#include "swarm-loop.h"
#include "swarm-options.h"
#include "swarm-runs.h"
#include "swarm-stats.h"

typedef struct Fleet Fleet;

typedef struct FleetSpec {
        const Options *options; /* borrowed, as all of it */
        const Target *target;
        Runs *runs;
        Stats *stats;
        /* The number of agents that are there has reached all, or none is under way any more. */
        void (*on_change)(void *userdata);
        /* A run that is to be cancelled runs. */
        void (*on_running)(const char *run, void *userdata);
        void (*on_ended)(void *userdata);
        void *userdata;
} FleetSpec;

/* Takes known identities from options->identities, makes the others up. */
int fleet_new(const FleetSpec *spec, Fleet **ret, Error *e);
Fleet *fleet_free(Fleet *f);

/* How many must be enrolled yet: a key for them is needed. */
unsigned fleet_strangers(const Fleet *f);
int fleet_start(Fleet *f, const char *key);
/* Writes the identities down. */
int fleet_save(const Fleet *f);

/* Agents that are enrolled and whose poll was answered on its present connection. */
unsigned fleet_present(const Fleet *f);
/* Since the connection of a first one was lost; 0 when all are there. */
uint64_t fleet_lost_usec(const Fleet *f);
unsigned fleet_most_lost(const Fleet *f);
bool fleet_is_quiet(const Fleet *f); /* nothing runs, nothing is owed */
void fleet_goodbye(Fleet *f);
bool fleet_is_gone(const Fleet *f);
