/* Removes the workspaces of runs, through PID 1: a transient unit that has them as its StateDirectory=, never starts because
 * of a condition, and is then cleaned. So no code of ours ever deletes a tree. */
#pragma once

#include <systemd/sd-bus.h>

#include "cleanup.h"

typedef struct Clean Clean;

#define CLEAN_RUNS_MAX 64U

/* Once, from the loop: 0 when all are gone. May free the Clean. */
typedef void (*clean_done_t)(Clean *c, int r, const char *words, void *userdata);

/* runs: 32 hex digits each, else -EINVAL; more than CLEAN_RUNS_MAX: -E2BIG. */
int clean_start(sd_bus *bus, sd_event *event, char *const *runs, clean_done_t done, void *userdata,
                Clean **ret);
Clean *clean_free(Clean *c);
DEFINE_SCOPE_EXIT(Clean, clean_free)
