/* Which local times match, and the next of them: what OnCalendar= and Cron= become. No I/O, no clock. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zone.h"

/* The years that systemd's calendar events know; nothing is due outside of them. */
#define DUE_YEAR_MIN 1970
#define DUE_YEAR_MAX 2199
#define DUE_WEEKDAYS_ALL 0x7fU

/* Some values of a field: start; or start and each repeat after it, up to and with stop, or to the end of the field. */
typedef struct DueTerm {
        int32_t start;
        int32_t stop;   /* -1: none */
        int32_t repeat; /* 0: start alone */
        uint32_t at;    /* where it stood in the text, in bytes: for errors */
} DueTerm;

typedef struct DuePattern {
        uint64_t years[4]; /* bit 0 of the first: DUE_YEAR_MIN */
        uint64_t minutes;
        uint32_t hours;
        uint32_t days[4];       /* by length of the month, from 28: bit n for day n */
        uint16_t months;        /* bit n for month n */
        uint8_t weekdays;       /* bit 0: Monday */
        bool either;            /* a day needs to match by date or by weekday, not by both */
        const DueTerm *seconds; /* borrowed, at least one: microseconds of a minute, below 60 s */
        size_t seconds_count;
} DuePattern;

/* The first due instant strictly after this one, both in microseconds since the epoch. -ENOENT when nothing is due any more. Hours,
 * minutes and seconds of the pattern must not be empty; its dates may be. */
int due_next(const DuePattern *p, const Zone *z, uint64_t after_usec, uint64_t *ret_usec);
