/* What a session of ours has, whatever a DBA gave the server, the database or the role. */
#pragma once

#include <stdbool.h>

/* A SELECT that sets it, for the present transaction only if local, with more columns behind; owned by the caller, NULL without
 * memory. Its own transaction began before: through a pooler PG_SESSION_ISOLATION goes before it. */
char *pg_session_select(bool local, const char *more);

/* Takes no snapshot, so that the transaction that it begins can still have it. */
#define PG_SESSION_ISOLATION "SET transaction_isolation = 'read committed'"
