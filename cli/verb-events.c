/* events: what people want to hear of. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "format.h"
#include "parse.h"
#include "schedule-shapes.h"
#include "table.h"
#include "verbs.h"

#define LIMIT_DEFAULT 20U

static void add_event(const void *item, void *userdata) {
        const Event *e = item;
        char text[FORMAT_MAX];

        table_add(userdata, format_time(e->at, text));
        table_add(userdata, e->kind);
        table_add(userdata, e->pipe);
        table_add(userdata, e->schedule);
        table_add(userdata, e->words);
}

int verb_events(Context *x) {
        static const char *const header[] = { "AT", "EVENT", "PIPE", "SCHEDULE", "WHAT", NULL };
        _cleanup_(freep) char *path =
                path_format("/api/v1/projects/%s/events", x->settings->project);
        _cleanup_(table_freep) Table *table = NULL;
        const char *text = option_value(x, OPTION_LIMIT);
        uint64_t limit = LIMIT_DEFAULT;
        int status;

        if (text && parse_u64_range(text, 1, 100000, &limit) < 0)
                return complain(EXIT_FAILURE, "--limit=%s is no number from 1 to 100000.", text);
        if (!path || table_new(header, &table) < 0)
                return complain(EXIT_FAILURE, "Out of memory.");
        status = list_all(x, path, event_page_fields, sizeof(Event), limit, add_event, table);
        if (status == EXIT_SUCCESS && !x->json)
                (void) table_print(table, "events");
        if (x->more && isatty(STDERR_FILENO))
                (void) complain(0, "There are older ones; --limit= shows more.");
        return status;
}
