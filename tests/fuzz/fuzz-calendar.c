/* A calendar event that is taken has a normal form, which is taken too, is its own, and is due at the same times; each is due later
 * than the one before. A refusal has words, and a place within the text. One expression a line. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "calendar.h"
#include "fuzz.h"
#include "str.h"

/* Around a change of the clocks, far away, and at the end of what there is. */
static const uint64_t moments[] = { 0, 1711846799000000, 7258118399000000, UINT64_MAX };

static void check_due(const CalendarSpec *c, const CalendarSpec *again) {
        for (size_t i = 0; i < ELEMENTSOF(moments); i++) {
                uint64_t usec = moments[i], next = 0, same = 0;

                for (int n = 0; n < 4; n++, usec = next) {
                        int r = calendar_next(c, &zone_utc, usec, &next);

                        HOLDS(calendar_next(again, &zone_utc, usec, &same) == r);
                        HOLDS(r == 0 || r == -ENOENT);
                        if (r < 0)
                                break;
                        HOLDS(next == same && next > usec);
                }
        }
}

static void check(const char *text) {
        _cleanup_(calendar_freep) CalendarSpec *c = NULL, *again = NULL;
        _cleanup_(freep) char *normal = NULL, *normal_again = NULL;
        size_t at = SIZE_MAX;
        Error e = {};

        if (calendar_parse(text, &c, &at, &e) < 0) {
                HOLDS(!c && e.detail[0] && at <= strlen(text));
                return;
        }
        HOLDS(calendar_format(c, &normal) == 0);
        HOLDS(calendar_parse(normal, &again, &at, &e) == 0);
        HOLDS(calendar_format(again, &normal_again) == 0);
        HOLDS(str_eq(normal, normal_again));
        HOLDS(str_eq(calendar_zone(c), calendar_zone(again)));
        check_due(c, again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = strndup((const char *) data, size);

        for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
                check(line);
        return 0;
}
