/* Time spans in systemd's syntax ("5min 20s", "1.5h", "infinity"), see systemd.time(7). All in microseconds. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define USEC_PER_MSEC 1000ULL
#define USEC_PER_SEC 1000000ULL
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)
#define USEC_INFINITY UINT64_MAX
/* Accuracy of a timer that something waits for; sd-event takes 0 for its default, a quarter of a second. */
#define PROMPT_USEC 1

#define TIMESPAN_TEXT_MAX 64

/* A number without unit counts seconds. -EINVAL or -ERANGE. */
int timespan_parse(const char *s, uint64_t *ret_usec);

/* "1min 30s", "250ms"; at most two units. Returns text. */
const char *timespan_format(uint64_t usec, char text[TIMESPAN_TEXT_MAX]);

/* What clock_gettime(2) says. */
uint64_t clock_usec(clockid_t clock);
