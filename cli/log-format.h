/* Entries of the journal export format as lines for people. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

typedef enum LogFormat {
        LOG_FORMAT_SHORT,
        LOG_FORMAT_CAT,
        LOG_FORMAT_JSON,
        LOG_FORMAT_EXPORT,
} LogFormat;

typedef struct LogView {
        LogFormat format;
        FILE *to;      /* borrowed: stdout or stderr */
        bool terminal; /* which it is: colours, and no control characters */
        bool prefix;   /* cat: the task's name before each line */
} LogView;

/* By name; -EINVAL. */
int log_format_from_string(const char *name);
/* The header that asks the server for it. */
const char *log_format_accept(LogFormat format);

/* What a page holds. -EBADMSG when it is not the format; -EPIPE and others when it cannot be written. */
int log_print(const LogView *v, const char *data, size_t size);
