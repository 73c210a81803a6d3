/* Removes the workspace of a run, through PID 1: a transient unit that has it as its StateDirectory=, never starts because
 * of a condition, and is then cleaned. So no code of ours ever deletes a tree. */
#pragma once

#include <systemd/sd-bus.h>

#include "cleanup.h"

typedef struct Clean Clean;

/* Once, from the loop: 0 when the workspace is gone. May free the Clean. */
typedef void (*clean_done_t)(Clean *c, int r, const char *words, void *userdata);

/* run: 32 hex digits, else -EINVAL. */
int clean_start(sd_bus *bus, sd_event *event, const char *run, clean_done_t done, void *userdata,
                Clean **ret);
Clean *clean_free(Clean *c);
DEFINE_SCOPE_EXIT(Clean, clean_free)
