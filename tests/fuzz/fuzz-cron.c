/* Five fields of cron are taken or refused, with words and a place within the text; what is taken is due ever later. A line each. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "cron.h"
#include "fuzz.h"

static void check(const char *text) {
        uint64_t usec = 1711846799000000, next = 0;
        size_t at = SIZE_MAX;
        Error e = {};
        Cron c;
        int r;

        if (cron_parse(text, &c, &at, &e) < 0) {
                HOLDS(e.detail[0] && at <= strlen(text));
                return;
        }
        for (int n = 0; n < 8; n++, usec = next) {
                r = cron_next(&c, &zone_utc, usec, &next);
                HOLDS(r == 0 || r == -ENOENT);
                if (r < 0)
                        return;
                HOLDS(next > usec && next % 60000000 == 0);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = strndup((const char *) data, size);

        for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
                check(line);
        return 0;
}
