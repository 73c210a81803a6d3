/* Schedules in the five fields of cron, "30 2 * * mon-fri": the value of Cron=. The language is that of crontab(5), Vixie's: POSIX with
 * names, steps, and @daily and its like. A field that begins with * does not restrict; when day of month and weekday both restrict,
 * a day needs to match one of them only. When it is due around changes of the clocks is docs/schedules.md. No I/O, no clock. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "due.h"
#include "error.h"
#include "zone.h"

typedef struct Cron {
        DuePattern pattern;
} Cron;

/* -EINVAL (slug "bad-cron") with words, and in *ret_at the byte of the text that they are about. */
int cron_parse(const char *text, Cron *ret, size_t *ret_at, Error *e);

/* As calendar_next(). */
int cron_next(const Cron *c, const Zone *z, uint64_t after_usec, uint64_t *ret_usec);
