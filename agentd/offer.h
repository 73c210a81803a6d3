/* What the control plane offers, made ready for agentd-exec: parameters stand where tasks refer to them. */
#pragma once

#include "error.h"
#include "proto.h"

/* instance: as in the names of its units. Replaces the references in the directives of an offer that asks for it, and adds a pair "Parameter", "NAME=VALUE" for each parameter,
 * which agentd-exec puts into the environment. -EINVAL with words, or -ENOMEM. */
int offer_substitute(ProtoAssignment *offer, const char *instance, Error *e);
