/* The process that systemd starts: owns the listening socket, the embedded PostgreSQL, the migration, and the workers' lives. */
#pragma once

#include "settings.h"

/* argv: as main() got it, to start workers with the same settings. Runs until SIGTERM. */
int supervisor_run(const Settings *settings, char *const argv[]);

/* argv of a child in another mode: our program, the mode, its argument (may be NULL), and the options of argv. Owned by the
 * caller; NULL without memory. */
char **supervisor_child_argv(char *const *argv, const char *mode, const char *argument);
