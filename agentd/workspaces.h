/* The workspaces that are on this host, by the names of their directories. */
#pragma once

#include "json-out.h"

/* An array of the runs' ids, PROTO_WORKSPACES_MAX at most. A directory that is not there has none. */
void workspaces_write(JsonOut *o, const char *key, const char *directory);
