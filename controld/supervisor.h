/* The process that systemd starts: owns the listening socket, the embedded PostgreSQL, the migration, and the workers' lives. */
#pragma once

#include "settings.h"

/* argv: as main() got it, to start workers with the same settings. Runs until SIGTERM. */
int supervisor_run(const Settings *settings, char *const argv[]);
