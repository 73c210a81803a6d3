/* Specifiers of systemd.unit(5) in the values of directives: those that mean something for a task. PID 1 expands none in what comes
 * over D-Bus, so it is done before. */
#pragma once

#include "error.h"

/* -EINVAL with words when there is no such specifier here. */
int specifier_check(char letter, Error *e);

/* What it stands for on this host. unit: the task's, "….service". *ret is owned by the caller. -EINVAL as above. */
int specifier_value(char letter, const char *unit, char **ret, Error *e);
