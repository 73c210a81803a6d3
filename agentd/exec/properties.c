/* Writes properties into a message: what every attempt's unit has, then what its directives say, then what they cannot change. */
#include "properties.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"

#define LOG_BURST                                                                                  \
        100000000U /* journald's limit lost 40 to 60 % of a burst; it cannot be switched off by unit */

/* How long the complete type is that a signature begins with. */
static size_t type_length(const char *signature) {
        size_t n = 0, depth = 0;

        if (*signature == 'a')
                return 1 + type_length(signature + 1);
        do {
                depth += signature[n] == '(';
                depth -= signature[n] == ')';
                n++;
        } while (depth > 0);
        return n;
}

/* One of the basic types: D-Bus has each in its own width. */
static int append_basic(sd_bus_message *m, char type, const Atom *atom) {
        const uint32_t u32 = (uint32_t) atom->number; /* i and b as well */
        const uint16_t u16 = (uint16_t) atom->number;

        switch (type) {
        case 's':
                return sd_bus_message_append_basic(m, type, atom->text);
        case 't':
                return sd_bus_message_append_basic(m, type, &atom->number);
        case 'q':
                return sd_bus_message_append_basic(m, type, &u16);
        default:
                return sd_bus_message_append_basic(m, type, &u32);
        }
}

/* A value of the complete type at signature, of the length n; *i moves behind its atoms. */
static int append_value(sd_bus_message *m, const Atoms *a, size_t *i, const char *signature,
                        size_t n) {
        char inner[16] = "";
        uint64_t count;
        int r;

        if (*signature != 'a' && *signature != '(')
                return append_basic(m, *signature, &a->items[(*i)++]);
        if (n == 2 && signature[1] == 'y') {
                const Atom *bytes = &a->items[(*i)++];

                return sd_bus_message_append_array(m, 'y', bytes->text, bytes->number);
        }
        (void) memcpy(inner, signature + 1, *signature == 'a' ? n - 1 : n - 2);
        r = sd_bus_message_open_container(m, *signature == 'a' ? 'a' : 'r', inner);
        if (r >= 0 && *signature == 'a') {
                count = a->items[(*i)++].number;
                for (uint64_t k = 0; r >= 0 && k < count; k++)
                        r = append_value(m, a, i, inner, n - 1);
        } else {
                for (const char *s = inner; r >= 0 && *s; s += type_length(s))
                        r = append_value(m, a, i, s, type_length(s));
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int properties_write(sd_bus_message *m, const Atoms *a) {
        int r = a->error;

        for (size_t i = 0; r >= 0 && i < a->count;) {
                const char *name = a->items[i].text, *signature = a->items[i + 1].text;

                i += 2;
                r = sd_bus_message_open_container(m, 'r', "sv");
                if (r >= 0)
                        r = sd_bus_message_append_basic(m, 's', name);
                if (r >= 0)
                        r = sd_bus_message_open_container(m, 'v', signature);
                if (r >= 0)
                        r = append_value(m, a, &i, signature, strlen(signature));
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }
        return r;
}

static void add_text(Atoms *a, const char *name, const char *text) {
        atoms_property(a, name, "s");
        atoms_text(a, text);
}

static void add_number(Atoms *a, const char *name, const char *signature, uint64_t n) {
        atoms_property(a, name, signature);
        atoms_number(a, n);
}

/* as, or aay, which looks the same in atoms. */
static void add_list(Atoms *a, const char *name, const char *signature, char *const *words) {
        size_t array;

        atoms_property(a, name, signature);
        array = atoms_array(a);
        STRV_FOREACH(w, words) {
                atoms_element(a, array);
                atoms_text(a, *w);
        }
}

/* RemainAfterExit= keeps the outcome in PID 1 until it is acknowledged; that a failed unit is kept too is CollectMode='s
 * default. Memory, tasks and IO are accounted in the service, so that its slice has the controllers as well. */
static void add_service(Atoms *a, const UnitSpec *s) {
        add_text(a, "Description", s->description);
        add_text(a, "Type", "exec");
        add_number(a, "RemainAfterExit", "b", s->leave_success);
        add_text(a, "CollectMode", "inactive");
        add_text(a, "Slice", s->slice);
        add_number(a, "CPUAccounting", "b", true);
        add_number(a, "MemoryAccounting", "b", true);
        add_number(a, "TasksAccounting", "b", true);
        add_number(a, "IOAccounting", "b", true);
        add_text(a, "SyslogIdentifier", s->identifier);
        add_number(a, "LogRateLimitIntervalUSec", "t", USEC_PER_SEC);
        add_number(a, "LogRateLimitBurst", "u", LOG_BURST);
        add_text(a, "User", s->user);
        add_list(a, "StateDirectory", "as", (char *[]){ s->state_directory, NULL });
        add_number(a, "StateDirectoryMode", "u", 0700);
        if (s->working_directory)
                add_text(a, "WorkingDirectory", s->working_directory);
        add_number(a, "MemoryMax", "t", s->memory_max);
        if (s->timeout_stop_usec > 0)
                add_number(a, "TimeoutStopUSec", "t", s->timeout_stop_usec);
        if (s->once) {
                add_number(a, "StartLimitIntervalUSec", "t", UINT64_MAX);
                add_number(a, "StartLimitBurst", "u", 1);
        }
        if (s->dynamic_user)
                add_number(a, "DynamicUser", "b", true);
        if (s->lease) {
                add_list(a, "PartOf", "as", (char *[]){ s->lease, NULL });
                add_list(a, "After", "as", (char *[]){ s->lease, NULL });
        }
}

/* Behind the directives: an empty Environment= forgets what is before it. */
static void add_identity(Atoms *a, const UnitSpec *s) {
        add_list(a, "Environment", "as", s->environment);
        add_list(a, "LogExtraFields", "aay", s->log_fields);
}

int properties_append(sd_bus_message *m, const UnitSpec *s) {
        Atoms service = {}, identity = {};
        int r = sd_bus_message_open_container(m, 'a', "(sv)");

        add_service(&service, s);
        add_identity(&identity, s);
        if (r >= 0)
                r = properties_write(m, &service);
        if (r >= 0)
                r = properties_write(m, &s->properties);
        if (r >= 0)
                r = properties_write(m, &identity);
        atoms_done(&service);
        atoms_done(&identity);
        return r < 0 ? r : sd_bus_message_close_container(m);
}
