/* A sorted table would be no faster: people write down a few zones. */
#include "zones.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "json-in.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"

#define ZONES_MAX                                                                                  \
        1024 /* more names than the tz database has; what is above is somebody's mistakes */
#define KEEP_USEC USEC_PER_HOUR
#define KEEP_WRONG_USEC USEC_PER_MINUTE

typedef struct Entry {
        char *name;  /* owned; as the others */
        Zone *zone;  /* NULL: there is none */
        char *error; /* why */
        uint64_t until_usec;
} Entry;

struct Zones {
        Entry entries[ZONES_MAX];
        size_t count;
};

int zones_new(Zones **ret) {
        *ret = calloc(1, sizeof(**ret));
        return *ret ? 0 : -ENOMEM;
}

static void entry_done(Entry *e) {
        free(e->name);
        (void) zone_free(e->zone);
        free(e->error);
        *e = (Entry){};
}

static void forget(Zones *z) {
        for (size_t i = 0; i < z->count; i++)
                entry_done(&z->entries[i]);
        z->count = 0;
}

Zones *zones_free(Zones *z) {
        if (!z)
                return NULL;
        forget(z);
        free(z);
        return NULL;
}

static const Entry *find(const Zones *z, const char *name) {
        for (size_t i = 0; i < z->count; i++)
                if (str_eq(z->entries[i].name, name))
                        return &z->entries[i];
        return NULL;
}

bool zones_wants(const Zones *z, const char *name, uint64_t now_usec) {
        const Entry *e = find(z, name);

        return !str_eq(name, zone_utc.name) && (!e || e->until_usec <= now_usec);
}

const Zone *zones_find(const char *name, void *zones) {
        const Entry *e = find(zones, name);

        return e ? e->zone : NULL;
}

const char *zones_error(const Zones *z, const char *name) {
        const Entry *e = find(z, name);

        return e && e->error ? e->error : "The time zone is not known.";
}

/* An element of the answer. */
typedef struct Said {
        char *name, *transitions, *error;
} Said;

static const JsonField said_fields[] = {
        { "name", JSON_TEXT, true, offsetof(Said, name), .max = 256 },
        { "transitions", JSON_RAW, false, offsetof(Said, transitions) },
        { "error", JSON_TEXT, false, offsetof(Said, error), .max = 1024 },
        {},
};

static const JsonField answer_fields[] = {
        { "items", JSON_ARRAY, true, 0, .max = ZONES_MAX, .fields = said_fields,
          .size = sizeof(Said) },
        {},
};

static int entry_set(Zones *z, const char *name, const Said *said, uint64_t now_usec) {
        Entry *place = (Entry *) find(z, name), fresh = {};
        Error e = {};
        int r = str_replace(&fresh.name, name);

        if (r >= 0 && said && said->transitions)
                r = zone_from_json(name, said->transitions, strlen(said->transitions), &fresh.zone,
                                   &e);
        if (r == -ENOMEM) {
                entry_done(&fresh);
                return r;
        }
        if (!fresh.zone)
                r = str_replace(&fresh.error, e.detail[0] ? e.detail
                                              : said && said->error
                                                      ? said->error
                                                      : "The time zone is not known.");
        fresh.until_usec = now_usec + (fresh.zone ? KEEP_USEC : KEEP_WRONG_USEC);
        if (!place)
                place = &z->entries[z->count++];
        entry_done(place);
        *place = fresh;
        return r < 0 ? r : 0;
}

int zones_take(Zones *z, char *const *names, const char *json, uint64_t now_usec) {
        JsonArray answer = {};
        const Said *said;
        Error e = {};
        int r = json_decode(json, strlen(json), answer_fields, JSON_IGNORE_UNKNOWN, &answer, &e);

        if (z->count + strv_length(names) > ZONES_MAX)
                forget(z);
        said = answer.items;
        STRV_FOREACH(name, names) {
                size_t i = 0;

                while (i < answer.count && !str_eq(said[i].name, *name))
                        i++;
                if (r >= 0)
                        r = entry_set(z, *name, i < answer.count ? &said[i] : NULL, now_usec);
        }
        json_done(answer_fields, &answer);
        return r;
}
