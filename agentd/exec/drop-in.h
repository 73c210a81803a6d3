/* What keeps a unit as it was asked for. PID 1 writes a transient unit into a file, and reads it again at each `systemctl
 * daemon-reload`. A "$" in an argument is then another one, and with systemd 252 a ";" as well, for the escapes that are written are not
 * those that are read; and before systemd 255 the starts that StartLimitBurst= counts are forgotten. Drop-ins beside that file say
 * the commands once more, in the syntax of systemd.service(5), "Command lines", and that the unit is not to be started by hand. PID 1
 * may see them as soon as they are there, also before it starts the unit; and a start that we ask for is one by hand, too. */
#pragma once

#include "spec.h"

#define DROP_IN_ROOT "/run/systemd/transient"

/* The text of the commands' drop-in: a new string, or NULL when they can do without. -ENOMEM. */
int drop_in_format(const Atoms *properties, char **ret);

/* Before the unit is asked for; its content is that of the last one. PID 1 removes drop-ins with the unit where it has read them. */
int drop_in_write(const char *root, const UnitSpec *spec);
/* Once PID 1 has taken its start, and not before: it would refuse it. */
int drop_in_write_started(const char *root, const char *unit);
void drop_in_remove(const char *root, const char *unit);
