/* What is given to a worker is told by it, or by nobody: the database has it in any case. */
#include "teller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "json-in.h"
#include "log.h"
#include "message-ids.h"
#include "str.h"

#define EVENTS_MAX 1000

struct Teller {
        Pg *pg;       /* borrowed: the worker's, freed after this */
        PgCall *call; /* owned */
        bool again;   /* asked for since the call was sent */
};

typedef struct Event {
        char *kind, *project, *pipe, *schedule, *due_at, *words; /* owned */
} Event;

#define TEXT(member)                                                                               \
        { #member, JSON_TEXT, true, offsetof(Event, member), .max = 65536 }

static const JsonField event_fields[] = {
        TEXT(kind), TEXT(project), TEXT(pipe), TEXT(schedule), TEXT(due_at), TEXT(words), {},
};

static const JsonField answer_fields[] = {
        { "items", JSON_ARRAY, true, 0, .max = EVENTS_MAX, .fields = event_fields,
          .size = sizeof(Event) },
        {},
};

static const struct {
        const char *kind, *id;
        int level;
} kinds[] = {
        { "schedule-late", MSG_SCHEDULE_LATE, LOG_WARNING },
        { "schedule-on-time", MSG_SCHEDULE_ON_TIME, LOG_NOTICE },
};

const Statement statement_events_tell = { "events_tell", "SELECT api.events_tell()", 0 };

static void tell(const Event *e) {
        const char *const fields[] = { "SLUICE_PROJECT", e->project,        "SLUICE_PIPE",
                                       e->pipe,          "SLUICE_SCHEDULE", e->schedule,
                                       "SLUICE_DUE_AT",  e->due_at,         NULL };

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (str_eq(kinds[i].kind, e->kind))
                        log_message(kinds[i].level, kinds[i].id, fields, "%s", e->words);
}

static int tell_all(const char *json) {
        JsonArray events = {};
        int r = json_decode(json, strlen(json), answer_fields, JSON_IGNORE_UNKNOWN, &events, NULL);

        for (size_t i = 0; r >= 0 && i < events.count; i++)
                tell((const Event *) events.items + i);
        json_done(answer_fields, &events);
        return r;
}

static void on_told(const PgReply *reply, void *userdata) {
        const char *json = reply->r >= 0 ? pg_text(reply->rows, 0, 0) : NULL;
        Teller *t = userdata;
        int r = reply->r;

        t->call = NULL;
        if (json)
                r = tell_all(json);
        if (r < 0 && r != -ENOTCONN)
                log_error(r, "Cannot ask for events");
        if (r >= 0 && (json || t->again))
                teller_look(t);
}

void teller_look(Teller *t) {
        t->again = t->call;
        if (!t->call)
                (void) pg_call(t->pg, &statement_events_tell, NULL, on_told, t, &t->call);
}

int teller_new(Pg *pg, Teller **ret) {
        Teller *t = calloc(1, sizeof(*t));

        if (!t)
                return -ENOMEM;
        t->pg = pg;
        *ret = t;
        return 0;
}

Teller *teller_free(Teller *t) {
        if (!t)
                return NULL;
        t->call = pg_call_free(t->call);
        free(t);
        return NULL;
}
