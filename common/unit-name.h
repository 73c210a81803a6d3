/* What attempts are called on a host. Several agentd may share one: each has a name, which stands in the names of its units,
 * and leaves alone what has another. That of agentd.service is empty.
 *
 *     id HEX       sluice-HEX.service       sluice-X-HEX.slice
 *     id NAME-HEX  sluice-NAME-HEX.service  sluice-NAME-X-HEX.slice
 *
 * X is the last digit of HEX: it spreads attempts over sixteen slices, and is random where the first are the time. */
#pragma once

#include <stdbool.h>

#include "id.h"

#define INSTANCE_SIZE 17 /* with the end */
#define UNIT_ID_SIZE (INSTANCE_SIZE + ID_HEX_SIZE)

typedef struct UnitName {
        char instance[INSTANCE_SIZE]; /* "" for agentd.service */
        char hex[ID_HEX_SIZE];
} UnitName;

/* 2 to 16 of a-z, 0-9 and _, a letter first: never what an X is. */
bool instance_is_valid(const char *name);

/* Each false for anything else; then nothing is written. */
bool unit_name_from_id(const char *id, UnitName *ret);
bool unit_name_from_service(const char *service, UnitName *ret);
bool unit_name_from_slice(const char *slice, UnitName *ret);

/* Returns id. instance: NULL is as "". */
const char *unit_id(const char *instance, const char *hex, char id[UNIT_ID_SIZE]);
/* The service of an attempt, a UUID. New string; -EINVAL, -ENOMEM. */
int unit_name_of_attempt(const char *instance, const char *attempt, char **ret);
/* New strings; NULL: out of memory. */
char *unit_name_service(const UnitName *u);
char *unit_name_slice(const UnitName *u);
/* The slice's place below sluice.slice in the cgroup tree. */
char *unit_name_cgroup(const UnitName *u);
/* Where the workspaces of an instance's runs are, below /var/lib. */
char *instance_workspaces(const char *instance);
/* The name of an attempt's $SLUICE_OUTPUT in the workspace of its run. */
char *unit_output_file(const UnitName *u);
