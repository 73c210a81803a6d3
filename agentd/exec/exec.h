/* agentd-exec: the D-Bus service io.sluice.Exec1. It holds no state but the calls that it is answering. */
#pragma once

#include <systemd/sd-event.h>

#include "cleanup.h"

typedef struct Exec Exec;

int exec_new(const char *policy_path, uint64_t idle_usec, Exec **ret);
Exec *exec_free(Exec *x);
DEFINE_SCOPE_EXIT(Exec, exec_free)

sd_event *exec_event(Exec *x);
