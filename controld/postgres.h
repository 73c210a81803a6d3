/* The embedded PostgreSQL: a private cluster in the state directory, on a Unix socket, made at the first start, restarted when it dies. */
#pragma once

#include <systemd/sd-event.h>

#include "error.h"
#include "settings.h"

typedef struct Postgres Postgres;

/* Starts making or starting it at once; who needs it connects until it answers. on_stopped is called after postgres_stop(). */
int postgres_new(sd_event *event, const Settings *settings, void (*on_stopped)(void *userdata),
                 void *userdata, Postgres **ret, Error *e);
Postgres *postgres_free(Postgres *p);
void postgres_stop(Postgres *p);

/* Directory of the newest server programs on this host, or NULL. Owned by the caller. */
char *postgres_find_bin(const Settings *settings);
