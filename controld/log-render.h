/* What api.run_logs() answers, as text for a client. */
#pragma once

#include <stdbool.h>

#include "pg.h"
#include "str.h"

/* A page ends with the chunk that reaches this: a megabyte of chunks can hold gigabytes of text. */
#define LOG_PAGE_BYTES (4U * 1024 * 1024)
#define LOG_READ_BYTES (16U * 1024 * 1024) /* of entries, whatever a format leaves out of them */

typedef struct LogFormat LogFormat; /* static */

/* By the Accept header, which may be NULL; JSON lines when it names none that we have. */
const LogFormat *log_format_of(const char *accept);
const char *log_format_type(const LogFormat *format);

typedef struct LogPage {
        Buffer text; /* owned */
        const char *
                next; /* borrowed from the rows: the place behind the last chunk that was written */
        bool complete;   /* nothing will ever follow */
        unsigned chunks; /* written */
        size_t read;     /* bytes of their entries */
} LogPage;

/* Fills *page, which is zero-initialised; log_page_done() empties it, also after a failure. */
int log_render(const PgRows *rows, const LogFormat *format, LogPage *page);
void log_page_done(LogPage *page);
