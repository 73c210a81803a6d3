/* One line for the run, one for what became of the last one. */
#include "stream-print.h"

#include <inttypes.h>
#include <stdio.h>

#include "format.h"
#include "str.h"

Colour stream_colour(const Stream *s) {
        return str_eq(s->state, "stopped") ? COLOUR_GREY : colour_of_state(s->state);
}

void stream_print(const Stream *s, const char *prefix) {
        Colour colour = stream_colour(s);
        char when[FORMAT_MAX];

        (void) printf("%s%s%s%s", prefix, colour_begin(colour), s->state, colour_end(colour));
        if (s->run)
                (void) printf(": run %s of version %s", s->run, s->version);
        if (s->agent)
                (void) printf(" on %s", s->agent);
        if (s->restarts > 0)
                (void) printf(", restarted %" PRIu64 " %s", s->restarts,
                              s->restarts == 1 ? "time" : "times");
        if (s->again_at)
                (void) printf(" until %s", format_time(s->again_at, when));
        (void) putchar('\n');
        if (s->status_text && *s->status_text)
                (void) printf("%sit says: %s\n", prefix, s->status_text);
        if (s->reason)
                (void) printf("%s%s.\n", prefix, s->reason);
}
