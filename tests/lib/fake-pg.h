/* A PostgreSQL server that is a script: it speaks as much of the protocol as a pipeline needs, in a child process. A connection is
 * ready after two syncs, of its setup and of the only statement that it prepares. */
#pragma once

#include <sys/types.h>

typedef enum FakeManner {
        FAKE_ANSWERS,        /* everything */
        FAKE_SILENT_AT_ONCE, /* not even the greeting */
        FAKE_SILENT_LATER,   /* nothing but what a new connection asks */
        FAKE_LEAVES,         /* ends behind its first answer to a call */
        FAKE_REFUSES,        /* calls, with the SQLSTATE fake_pg_refusal */
        FAKE_DAWDLES,        /* takes most of the time that a statement has */
} FakeManner;

#define FAKE_TIMEOUT_MSEC 150 /* of a statement, to be given to pg_new() */

extern const char *fake_pg_refusal;
extern const char *fake_pg_rows; /* each character is a row of one column; at first "x" */

/* Makes a directory with the socket that servers take turns at; its path, for host=. NULL on failure. */
const char *fake_pg_listen(void);
void fake_pg_close(void);

pid_t fake_pg_start(FakeManner manner);
void fake_pg_end(pid_t pid);
unsigned fake_pg_calls(
        void); /* so many were asked of all servers since fake_pg_listen(), without what makes a connection ready */
