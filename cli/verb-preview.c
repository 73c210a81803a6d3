/* schedule preview: when a schedule will be due, worked out here as controld does it, with the time zones of the database. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "parse.h"
#include "pipe-file.h"
#include "schedule-times.h"
#include "str.h"
#include "table.h"
#include "timespan.h"
#include "verbs.h"

#define LIMIT_DEFAULT 10U
#define TIME_MAX 64

/* Zones that were asked for. */
typedef struct Atlas {
        Context *x;
        JsonArray zones; /* owned, of Zone * */
        int r;
} Atlas;

static void atlas_done(Atlas *a) {
        Zone **zones = a->zones.items;

        for (size_t i = 0; i < a->zones.count; i++)
                (void) zone_free(zones[i]);
        free(zones);
}

static int ask_for_zone(Atlas *a, const char *name, Zone **ret) {
        _cleanup_(freep) char *path = path_format("/api/v1/time-zones?name=%s", name);
        _cleanup_(freep) char *transitions = NULL;
        const JsonField fields[] = {
                { "transitions", JSON_RAW, true, 0, .max = SIZE_MAX >> 1 },
                {},
        };
        Reply reply = {};
        Error e = {};
        int r = path ? client_get(a->x->client, path, &reply) : complain(-ENOMEM, "Out of memory.");

        if (r >= 0)
                r = reply_decode(&reply, fields, &transitions);
        reply_done(&reply);
        if (r < 0)
                return r;
        r = zone_from_json(name, transitions, strlen(transitions), ret, &e);
        return r < 0 ? complain(r, "%s: %s", name, error_text(&e, r)) : 0;
}

/* Fits schedule_times_bind(). What goes wrong is told here. */
static const Zone *atlas_find(const char *name, void *userdata) {
        Atlas *a = userdata;
        Zone **zones = a->zones.items;
        Zone *zone = NULL;

        for (size_t i = 0; i < a->zones.count; i++)
                if (str_eq(zones[i]->name, name))
                        return zones[i];
        zones = reallocarray(zones, a->zones.count + 1, sizeof(*zones));
        if (!zones)
                return NULL;
        a->zones.items = zones;
        a->r = ask_for_zone(a, name, &zone);
        if (a->r < 0)
                return NULL;
        zones[a->zones.count++] = zone;
        return zone;
}

/* "Sun 2024-03-31 02:00:00 +01:00" of the clocks of a zone. */
static const char *format_local(const Zone *z, uint64_t usec, char text[TIME_MAX]) {
        int32_t offset = zone_offset_sec(z, (int64_t) usec);
        time_t local = (time_t) (usec / USEC_PER_SEC) + offset;
        struct tm tm = {};
        size_t n;

        (void) gmtime_r(&local, &tm);
        n = strftime(text, TIME_MAX, "%a %Y-%m-%d %H:%M:%S", &tm);
        (void) snprintf(text + n, TIME_MAX - n, " %c%02d:%02d", offset < 0 ? '-' : '+',
                        abs(offset) / 3600, abs(offset) / 60 % 60);
        return text;
}

static const char *mark_words(const char *blackout, DueMark m, char text[128]) {
        *text = '\0';
        if (blackout)
                (void) snprintf(text, 128, "skipped: Blackout=%s", blackout);
        else if (m.skipped + m.as_well > 1)
                (void) snprintf(text, 128, "%u times in one: the clocks skip %u of them",
                                m.skipped + m.as_well, m.skipped);
        else if (m.skipped > 0)
                (void) snprintf(text, 128, "moved: the clocks skip its time");
        else if (m.repeated)
                (void) snprintf(text, 128, "this time comes twice; it is due once, now");
        return text;
}

static void add_json(JsonOut *o, const char *schedule, const ScheduleTimes *t, uint64_t usec,
                     DueMark m) {
        char local[TIME_MAX], utc[TIME_MAX];
        time_t sec = (time_t) (usec / USEC_PER_SEC);
        struct tm tm = {};

        (void) gmtime_r(&sec, &tm);
        (void) strftime(utc, sizeof(utc), "%Y-%m-%dT%H:%M:%SZ", &tm);
        json_out_object(o, NULL);
        json_out_text(o, "schedule", schedule);
        json_out_text(o, "due_at", utc);
        json_out_text(o, "local", format_local(schedule_times_home(t), usec, local));
        json_out_text(o, "time_zone", schedule_times_home(t)->name);
        json_out_u64(o, "times_skipped", m.skipped);
        json_out_u64(o, "times_merged", m.skipped + m.as_well > 1 ? m.skipped + m.as_well : 0);
        json_out_bool(o, "repeated", m.repeated);
        json_out_text(o, "blackout", schedule_times_blackout(t, usec));
        json_out_end_object(o);
}

static void add_row(Table *table, const char *schedule, const ScheduleTimes *t, uint64_t usec,
                    DueMark m) {
        char text[TIME_MAX], words[128];

        table_add(table, schedule);
        table_add(table, format_local(schedule_times_home(t), usec, text));
        table_add(table, schedule_times_home(t)->name);
        table_add(table, format_local(&zone_utc, usec, text));
        table_add_colour(table,
                         *mark_words(schedule_times_blackout(t, usec), m, words) ? words : NULL,
                         COLOUR_YELLOW);
}

/* A schedule that no clock makes due. */
static void add_untimed(Table *table, const char *schedule) {
        table_add(table, schedule);
        for (unsigned i = 0; i < 3; i++)
                table_add(table, NULL);
        table_add(table, "runs after a pipe or at intervals: no clock says when");
}

/* The next n due times of a schedule; fewer when it ends. */
static void preview(ScheduleTimes *t, const char *name, uint64_t n, Table *table, JsonOut *o) {
        uint64_t usec = (uint64_t) time(NULL) * USEC_PER_SEC;

        for (uint64_t i = 0; i < n && schedule_times_next(t, usec, &usec) >= 0; i++) {
                DueMark m = schedule_times_mark(t, usec);

                if (table)
                        add_row(table, name, t, usec, m);
                else
                        add_json(o, name, t, usec, m);
        }
}

static int preview_all(Context *x, const Pipe *pipe, uint64_t n, Table *table, JsonOut *o) {
        _cleanup_(atlas_done) Atlas atlas = { .x = x };
        const char *name, *missing, *wanted = x->words[1];
        bool found = false;

        for (size_t i = 0;; i++) {
                _cleanup_(schedule_times_freep) ScheduleTimes *t = NULL;
                int r = pipe_schedule_times(pipe, i, &name, &t);

                if (r == -ENOENT)
                        break;
                if (r >= 0 && wanted && !str_eq(wanted, name))
                        continue;
                found = true;
                if (r >= 0 && !t) {
                        if (table)
                                add_untimed(table, name);
                        continue;
                }
                if (r >= 0 && schedule_times_bind(t, atlas_find, &atlas, &missing) < 0)
                        return atlas.r < 0 ? atlas.r : complain(-ENOMEM, "Out of memory.");
                if (r < 0)
                        return complain(r, "Out of memory.");
                preview(t, name, n, table, o);
        }
        if (!found && wanted)
                return complain(-ENOENT, "%s has no schedule \"%s\".", x->words[0], wanted);
        return found ? 0 : complain(-ENOENT, "%s has no schedule.", x->words[0]);
}

/* What is deployed under this name. */
static int read_deployed(Context *x, Pipe **ret) {
        _cleanup_(freep) char *path =
                path_format("/api/v1/projects/%s/pipes/%s", x->settings->project, x->words[0]);
        PipeFacts facts = {};
        Reply reply = {};
        Error e = {};
        int r = path ? client_get(x->client, path, &reply) : complain(-ENOMEM, "Out of memory.");

        if (r >= 0)
                r = reply_decode(&reply, pipe_fields, &facts);
        reply_done(&reply);
        if (r < 0)
                return r;
        r = facts.spec ? pipe_from_json(facts.spec, strlen(facts.spec), ret, &e, NULL) : -EPROTO;
        json_done(pipe_fields, &facts);
        return r < 0 ? complain(r, "What is deployed as %s is not understood: %s", x->words[0],
                                error_text(&e, r))
                     : 0;
}

static int print(Context *x, const Pipe *pipe, uint64_t n) {
        static const char *const header[] = { "SCHEDULE", "DUE", "ZONE", "UTC", "NOTE", NULL };
        _cleanup_(table_freep) Table *table = NULL;
        _cleanup_(freep) char *json = NULL;
        JsonOut o = {};
        int r;

        if (!x->json && table_new(header, &table) < 0)
                return complain(-ENOMEM, "Out of memory.");
        json_out_object(&o, NULL);
        json_out_array(&o, "items");
        r = preview_all(x, pipe, n, table, &o);
        json_out_end_array(&o);
        json_out_end_object(&o);
        if (json_out_take(&o, &json) < 0)
                return complain(-ENOMEM, "Out of memory.");
        if (r >= 0 && table)
                r = table_print(table, "due times");
        else if (r >= 0)
                (void) puts(json);
        return r;
}

int verb_schedule_preview(Context *x) {
        _cleanup_(pipe_file_done) PipeFile file = {};
        _cleanup_(pipe_freep) Pipe *deployed = NULL;
        const char *text = option_value(x, OPTION_LIMIT);
        size_t length = strlen(x->words[0]);
        uint64_t n = LIMIT_DEFAULT;
        int r;

        if (text && parse_u64_range(text, 1, 10000, &n) < 0)
                return complain(EXIT_FAILURE, "--limit=%s is no number from 1 to 10000.", text);
        if (length > 5 && str_eq(x->words[0] + length - 5, ".pipe"))
                r = pipe_file_read(x->words[0], &file);
        else
                r = read_deployed(x, &deployed);
        if (r >= 0)
                r = print(x, deployed ? deployed : file.pipe, n);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
