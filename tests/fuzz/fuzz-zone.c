/* A table of transitions is taken or refused with words. What is taken, however odd, has an instant for each local time that was not
 * reached before it, and due times that go on. */
#include <errno.h>

#include "calendar.h"
#include "fuzz.h"

static void check_moment(const Zone *z, const CalendarSpec *c, int64_t utc_usec) {
        int64_t reached = zone_local_reached(z, utc_usec);
        uint64_t next = 0;

        HOLDS(zone_first_instant(z, reached) <= utc_usec);
        HOLDS(zone_first_instant(z, reached + 1) > utc_usec);
        HOLDS(zone_local_reached(z, zone_first_instant(z, reached + 1)) > reached);
        HOLDS(zone_local_reached(z, utc_usec + 1) >= reached);
        if (utc_usec >= 0 && calendar_next(c, z, (uint64_t) utc_usec, &next) >= 0)
                HOLDS(next > (uint64_t) utc_usec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(calendar_freep) CalendarSpec *c = NULL;
        _cleanup_(zone_freep) Zone *z = NULL;
        size_t at;
        Error e = {};
        int r = zone_from_json("fuzz", (const char *) data, size, &z, &e);

        HOLDS((r >= 0) == (z != NULL));
        HOLDS(r >= 0 || e.detail[0]);
        HOLDS(calendar_parse("*:0/7", &c, &at, &e) == 0);
        for (size_t i = 0; z && i < z->count; i++)
                for (int64_t distance = -2; distance <= 2; distance++)
                        check_moment(z, c, z->transitions[i].utc_usec + distance * 1799999999 / 2);
        return 0;
}
