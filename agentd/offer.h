/* What the control plane offers, made ready for agentd-exec: parameters stand where tasks refer to them. */
#pragma once

#include "error.h"
#include "proto.h"

/* Bytes of all directives with references, their values in them, quoted: as many as Linux lets a program have of arguments by default. */
#define OFFER_BYTES_MAX 2097152U

/* instance: as in the names of its units. Replaces the references in the directives of an offer that asks for it, and adds a pair
 * "Parameter", "NAME=VALUE" for each parameter, which agentd-exec puts into the environment. -EINVAL with words, also when there is more
 * than PARAMETER_VALUE_MAX, SUBSTITUTED_MAX or OFFER_BYTES_MAX; or -ENOMEM. */
int offer_substitute(ProtoAssignment *offer, const char *instance, Error *e);
