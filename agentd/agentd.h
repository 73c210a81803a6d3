/* The agent: its parts, made, connected and taken down. */
#pragma once

#include <systemd/sd-event.h>

#include "cleanup.h"
#include "error.h"
#include "settings.h"

typedef struct Agentd Agentd;

/* settings must live longer. */
int agentd_new(const Settings *settings, Agentd **ret, Error *e);
Agentd *agentd_free(Agentd *a);
DEFINE_SCOPE_EXIT(Agentd, agentd_free)

sd_event *agentd_event(Agentd *a);

/* Exit status when the configuration cannot work: see agentd.service. */
#define AGENTD_EXIT_CONFIG 78
