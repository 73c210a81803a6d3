/* Functions look again behind a lock, which a snapshot of the whole transaction would make blind (docs/decisions/0007), their text
 * and what they answer is read as in a new cluster, and acknowledged means on disk: PostgreSQL's settings decide all of that. */
#include "pg-session.h"

#include <string.h>

#include "cleanup.h"
#include "str.h"

static const struct {
        const char *name, *value; /* as SQL */
} settings[] = {
        { "default_transaction_isolation", "'read committed'" },
        { "synchronous_commit", "replace(current_setting('synchronous_commit'), 'off', 'on')" },
        { "standard_conforming_strings", "'on'" },
        { "transform_null_equals", "'off'" },
        { "array_nulls", "'on'" },
        { "DateStyle", "'ISO, YMD'" },
        { "IntervalStyle", "'postgres'" },
        { "bytea_output", "'hex'" },
        { "extra_float_digits", "'1'" },
        { "client_min_messages", "'warning'" },
};

char *pg_session_select(bool local, const char *more) {
        Buffer sql = {};
        char *text = NULL;
        int r = buffer_append_str(&sql, "SELECT");

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(settings); i++)
                r = buffer_printf(&sql, " set_config('%s', %s, %s),", settings[i].name,
                                  settings[i].value, local ? "true" : "false");
        r = r < 0 ? r : buffer_printf(&sql, " %s", more);
        if (r >= 0)
                (void) buffer_take(&sql, &text);
        buffer_done(&sql);
        return text;
}
