/* Logging: to the journal with fields when it takes us, else to stderr with <N> prefixes. Only deciders log, once. */
#pragma once

#include <syslog.h>

/* Call once, first thing in main(). Messages above max_level (LOG_INFO by default) are dropped. */
void log_setup(const char *identifier);
/* A command for people: always to stderr, without the <N> that is for the journal. */
void log_setup_command(const char *identifier);
void log_set_max_level(int level);
int log_level_from_string(const char *s); /* emerg … debug, or 0 to 7; -EINVAL */

/* Fields are "NAME=value" strings, NULL-terminated vector or NULL; message_id is from message-ids.h, or NULL. */
void log_message(int level, const char *message_id, const char *const fields[], const char *fmt,
                 ...) __attribute__((format(printf, 4, 5)));
/* The same for what is read back from the journal later: it gets there at any level and wherever messages go. */
void log_record(int level, const char *message_id, const char *const fields[], const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));

/* Logs at ERR "…: reason of r" and returns r, so that a caller can `return log_error(r, …)`. */
int log_error(int r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int log_warning(int r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_notice(...) log_message(LOG_NOTICE, NULL, NULL, __VA_ARGS__)
#define log_info(...) log_message(LOG_INFO, NULL, NULL, __VA_ARGS__)
#define log_debug(...) log_message(LOG_DEBUG, NULL, NULL, __VA_ARGS__)
