/* One comparison, and one sentence. */
#include "supervision.h"

#include <string.h>

#include "str.h"

bool supervision_note(Supervision *s, const UnitState *unit) {
        bool ready = s->ready || str_eq(unit->active, "active");

        if (s->ready == ready && s->restarts == unit->restarts &&
            str_eq(s->status_text, unit->status_text))
                return false;
        s->ready = ready;
        s->restarts = unit->restarts;
        (void) strcpy(s->status_text, unit->status_text);
        return true;
}

char *supervision_reason(const UnitState *unit) {
        if (!str_eq(unit->sub, "failed") || unit->restarts == 0)
                return NULL;
        return str_format("systemd had restarted it %u times, and does not again.", unit->restarts);
}
