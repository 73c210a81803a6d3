/* What keeps a unit's commands as they were asked for. PID 1 writes a transient unit into a file, and reads it again at each
 * `systemctl daemon-reload`; a "$" in an argument is then another one, and with systemd 252 a ";" as well, for the escapes that are written
 * are not those that are read. A drop-in beside that file says the commands once more, in the syntax of systemd.service(5), "Command
 * lines"; PID 1 sees it when it reads the unit again, and not before. */
#pragma once

#include "spec.h"

#define COMMAND_FILE_ROOT "/run/systemd/transient"

/* The text of the drop-in: a new string, or NULL when the commands can do without. -ENOMEM. */
int command_file_format(const Atoms *properties, char **ret);

/* Before the unit is asked for; its content is that of the last one. PID 1 removes it with the unit where it has read it. */
int command_file_write(const char *root, const UnitSpec *spec);
void command_file_remove(const char *root, const char *unit);
