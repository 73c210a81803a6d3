/* Reads a run's log page by page, by the server's links, and prints it. */
#pragma once

#include "cleanup.h"
#include "client.h"
#include "log-format.h"

typedef struct LogReader LogReader;

/* r: 0 when the log is complete or, without follow, all that is there was printed. e may be NULL. The receiver does not free the reader. */
typedef void (*LogDone)(int r, const Error *e, void *userdata);

/* path: of the log, with its query. patience: for the first page; one that follows has all patience for the others. */
int log_reader_new(Client *c, const char *path, const LogView *view, bool follow, Patience patience,
                   LogDone done, void *userdata, LogReader **ret);
LogReader *log_reader_free(LogReader *l);
DEFINE_SCOPE_EXIT(LogReader, log_reader_free)

/* How many pages had something in them. */
unsigned log_reader_pages(const LogReader *l);
