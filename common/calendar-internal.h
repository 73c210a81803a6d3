/* What the files of calendar.h share. */
#pragma once

#include "calendar.h"
#include "due.h"
#include "timespan.h"

#define CALENDAR_TERMS_MAX 240 /* of a field, as in systemd */

typedef enum CalendarField {
        CALENDAR_YEAR,
        CALENDAR_MONTH,
        CALENDAR_DAY, /* counted from the end of the month with from_end: 1 is the last */
        CALENDAR_HOUR,
        CALENDAR_MINUTE,
        CALENDAR_SECOND, /* in microseconds */
        _CALENDAR_FIELD_MAX,
} CalendarField;

/* No terms: any value. */
typedef struct CalendarChain {
        DueTerm *terms; /* owned; sorted, none twice */
        size_t count;
} CalendarChain;

struct CalendarSpec {
        CalendarChain fields[_CALENDAR_FIELD_MAX];
        uint8_t weekdays; /* bit 0: Monday; 0: any */
        bool from_end;
        char *zone;         /* owned; NULL: none */
        DuePattern pattern; /* what the above means; its seconds are borrowed from the chain */
};

/* Makes the normal form of the terms and checks their range. -EINVAL with words and *ret_at. */
int calendar_normalize(CalendarSpec *c, size_t *ret_at, Error *e);
