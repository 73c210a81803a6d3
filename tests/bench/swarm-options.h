/* The command line of the swarm. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

typedef struct Options {
        char *url, *ca_file, *token, *identities, *project, *pipe, *output, *label; /* owned */
        uint32_t agents, runs, seconds, slots, rate, submitters, window, parallel, settle_sec, seed;
        uint32_t log_bytes;
        /* parts of a hundred */
        uint32_t lose, repeat, refuse, delay, cancel;
        uint64_t task_usec, delay_usec;
        bool goodbye;
} Options;

/* 1 when --help has been answered. */
int options_load(Options *o, int argc, char **argv, Error *e);
void options_done(Options *o);
bool options_json(const Options *o);
