/* `controld migrate`: brings the schema up to date. A mode of its own, the one place where libpq may block. */
#pragma once

#include "error.h"
#include "settings.h"

#define MIGRATE_EXIT_REFUSED 2 /* the schema is not ours to change; repeating does not help */

/* Waits for the server up to a minute. -EPERM when the schema is refused. */
int migrate_run(const Settings *settings, Error *e);

/* `controld token create`: one statement as the owner of the schema. token is what people will present. */
int migrate_create_token(const Settings *settings, const char *name, const char *role,
                         const char *token, Error *e);
