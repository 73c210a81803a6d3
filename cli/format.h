/* Numbers and times for people, as systemd prints them. */
#pragma once

#include <stdint.h>

#define FORMAT_MAX 64

/* "64.0M". */
const char *format_bytes(uint64_t bytes, char text[FORMAT_MAX]);
/* "1.250s", "3min 20s". */
const char *format_span(uint64_t usec, char text[FORMAT_MAX]);
/* RFC 3339 in UTC to microseconds since 1970; 0 when it is not. */
uint64_t time_parse(const char *text);
/* In the local zone: "Sat 2026-01-31 12:00:00 CET". "-" for NULL. */
const char *format_time(const char *rfc3339, char text[FORMAT_MAX]);
/* "3min ago". */
const char *format_age(const char *rfc3339, char text[FORMAT_MAX]);
/* The time from one to the other; to NULL: until now, for what still goes on. NULL when it has not begun. */
const char *format_between(const char *from, const char *to, char text[FORMAT_MAX]);
