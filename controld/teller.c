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
#include "timespan.h"

#define EVENTS_MAX 1000
#define LATER_USEC (5 * USEC_PER_SEC) /* when it did not work */

struct Teller {
        Pg *pg;                 /* borrowed: the worker's, freed after this */
        PgCall *call;           /* owned */
        sd_event_source *later; /* owned */
        bool again;             /* asked for since the call was sent */
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

static int on_later(sd_event_source *source, uint64_t usec, void *userdata) {
        (void) source;
        (void) usec;
        teller_look(userdata);
        return 0;
}

static void look_later(Teller *t) {
        if (sd_event_source_set_time_relative(t->later, LATER_USEC) < 0 ||
            sd_event_source_set_enabled(t->later, SD_EVENT_ONESHOT) < 0)
                log_error(-EIO, "Cannot arm the timer that asks for events again");
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
        if (reply->r < 0)
                look_later(t);
        else if (r >= 0 && (json || t->again))
                teller_look(t);
}

void teller_look(Teller *t) {
        t->again = t->call;
        if (!t->call && pg_call(t->pg, &statement_events_tell, NULL, on_told, t, &t->call) < 0)
                look_later(t);
}

int teller_new(sd_event *event, Pg *pg, Teller **ret) {
        Teller *t = calloc(1, sizeof(*t));
        int r;

        if (!t)
                return -ENOMEM;
        t->pg = pg;
        r = sd_event_add_time_relative(event, &t->later, CLOCK_MONOTONIC, 0, USEC_PER_SEC, on_later,
                                       t);
        if (r >= 0)
                r = sd_event_source_set_enabled(t->later, SD_EVENT_OFF);
        if (r < 0) {
                (void) teller_free(t);
                return r;
        }
        *ret = t;
        return 0;
}

Teller *teller_free(Teller *t) {
        if (!t)
                return NULL;
        t->call = pg_call_free(t->call);
        t->later = sd_event_source_disable_unref(t->later);
        free(t);
        return NULL;
}
