/* The command by which systemd-run(1) starts what agentd-exec starts for a task. */
#pragma once

#include <stdbool.h>

#include "pipe.h"

typedef struct Rendered {
        char **command;       /* owned */
        bool ignores_failure; /* the prefix - of ExecStart=, which systemd-run has no word for */
} Rendered;

/* values: NAME=VALUE of parameters, and TASK.KEY=VALUE of what earlier tasks leave; NULL for none. Ids of run and attempt are made when there are some: here the run's is 0, and an attempt's the number of its task, from 1. Without the
 * lease by which a host that is cut off stops what another may be given, and without the limits of the host's policy. -EINVAL with words, or
 * -ENOMEM. */
int task_render(const Pipe *pipe, size_t task, const char *project, const char *name,
                char *const *values, Rendered *ret, Error *e);
void rendered_done(Rendered *r);
