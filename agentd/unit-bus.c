/* Which units there are, and one match for all services of the host: a bus takes 512 from a connection, which is less than the slots of
 * an agent. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "str.h"
#include "timespan.h"
#include "unit-internal.h"
#include "unit-name.h"

#define EXEC "io.sluice.Exec1"
#define MANAGER SYSTEMD ".Manager"
#define TIMEOUT_USEC (60 * USEC_PER_SEC)

struct UnitBus {
        /* owned */
        sd_bus *bus;
        sd_bus_slot *match, *broken, *subscribe, *version, *list;
        void *units; /* a tree of tsearch(), by path */
        /* borrowed: our owner */
        const char *instance;
        const UnitBusEvents *events;
        void *userdata;
};

static int compare_paths(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* NULL: it is none of ours. */
static Unit *find(const UnitBus *b, const char *path) {
        void *found = path ? tfind(&path, &b->units, compare_paths) : NULL;

        return found ? *(Unit **) found : NULL;
}

int unit_bus_add(UnitBus *b, Unit *u) {
        Unit **found = tsearch(u, &b->units, compare_paths);

        return !found ? -ENOMEM : (*found != u ? -EEXIST : 0);
}

void unit_bus_remove(UnitBus *b, Unit *u) {
        if (find(b, *(char *const *) u) == u)
                (void) tdelete(u, &b->units, compare_paths);
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Unit *u = find(userdata, sd_bus_message_get_path(m));
        const char *interface;

        (void) error;
        if (u && sd_bus_message_read(m, "s", &interface) >= 0)
                unit_changed(u, m);
        return 0;
}

/* What is another instance's, or no attempt's, is passed over. */
static void bus_found(UnitBus *b, const char *name) {
        UnitName u;
        bool slice = unit_name_from_slice(name, &u);

        if ((slice || unit_name_from_service(name, &u)) && str_eq(u.instance, b->instance))
                b->events->on_found(u.hex, slice, b->userdata);
}

static int bus_on_listed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *failure = sd_bus_message_get_error(m);
        const char *name;
        UnitBus *b = userdata;
        Error e = {};
        int r;

        (void) error;
        b->list = sd_bus_slot_unref(b->list);
        if (failure) {
                r = error_set(&e, -EIO, "no-systemd", "Cannot ask systemd for its units: %s",
                              failure->message ? failure->message : failure->name);
                b->events->on_listed(r, &e, b->userdata);
                return 0;
        }
        r = sd_bus_message_enter_container(m, 'a', "(ssssssouso)");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'r', "ssssssouso")) > 0) {
                r = sd_bus_message_read(m, "s", &name);
                if (r >= 0)
                        bus_found(b, name);
                if (r >= 0)
                        r = sd_bus_message_skip(m, "sssssouso");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        b->events->on_listed(r < 0 ? r : 0, &e, b->userdata);
        return 0;
}

static int bus_on_version(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *version;
        UnitBus *b = userdata;

        (void) error;
        b->version = sd_bus_slot_unref(b->version);
        if (!sd_bus_message_is_method_error(m, NULL) &&
            sd_bus_message_read(m, "v", "s", &version) >= 0)
                b->events->on_version(version, b->userdata);
        return 0;
}

static int bus_on_subscribed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        UnitBus *b = userdata;

        (void) m;
        (void) error;
        b->subscribe = sd_bus_slot_unref(b->subscribe);
        return 0;
}

static int bus_on_broken(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        (void) m;
        (void) userdata;
        (void) error;
        log_message(LOG_ERR, NULL, NULL, "The system bus has ended the connection.");
        return 0;
}

/* PID 1 tells each change once for each interface. That of the service has all that matters but SubState=, so the other one,
 * half of all messages, never wakes us. */
static int bus_match(UnitBus *b) {
        int r = sd_bus_add_match_async(b->bus, &b->match,
                                       "type='signal',sender='" SYSTEMD "',interface='" PROPERTIES
                                       "',member='PropertiesChanged',arg0='" SERVICE
                                       "',path_namespace='" SYSTEMD_PATH "/unit'",
                                       on_changed, NULL, b);

        return r < 0 ? r
                     : sd_bus_match_signal_async(b->bus, &b->broken, "org.freedesktop.DBus.Local",
                                                 NULL, "org.freedesktop.DBus.Local", "Disconnected",
                                                 bus_on_broken, NULL, b);
}

static int bus_list(UnitBus *b) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(b->bus, &m, SYSTEMD, SYSTEMD_PATH, MANAGER,
                                               "ListUnitsByPatterns");

        if (r >= 0)
                r = sd_bus_message_append(m, "asas", 0, 2, "sluice-*.service", "sluice-*.slice");
        return r < 0 ? r : sd_bus_call_async(b->bus, &b->list, m, bus_on_listed, b, TIMEOUT_USEC);
}

/* An agentd before us may have asked agentd-exec for a unit just before it died. agentd-exec answers in order, and what it asked
 * PID 1 for until then is before our question. That it is not there is an answer as well: then it asks for nothing. */
static int bus_on_barrier(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        UnitBus *b = userdata;

        (void) m;
        (void) error;
        b->list = sd_bus_slot_unref(b->list);
        return bus_list(b);
}

static int bus_ask(UnitBus *b) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = sd_bus_call_method_async(b->bus, &b->subscribe, SYSTEMD, SYSTEMD_PATH, MANAGER,
                                         "Subscribe", bus_on_subscribed, b, "");

        if (r >= 0)
                r = sd_bus_call_method_async(b->bus, &b->version, SYSTEMD, SYSTEMD_PATH, PROPERTIES,
                                             "Get", bus_on_version, b, "ss", MANAGER, "Version");
        if (r >= 0)
                r = sd_bus_message_new_method_call(b->bus, &m, EXEC, "/io/sluice/Exec1", EXEC,
                                                   "Barrier");
        return r < 0 ? r : sd_bus_call_async(b->bus, &b->list, m, bus_on_barrier, b, TIMEOUT_USEC);
}

int unit_bus_new(sd_event *event, const char *instance, const UnitBusEvents *events, void *userdata,
                 UnitBus **ret, Error *e) {
        _cleanup_(unit_bus_freep) UnitBus *b = calloc(1, sizeof(*b));
        int r;

        if (!b)
                return -ENOMEM;
        b->instance = instance;
        b->events = events;
        b->userdata = userdata;
        r = sd_bus_open_system(&b->bus);
        if (r < 0)
                return error_set(e, -EAGAIN, "bus", "No connection to the system bus: %s.",
                                 strerror(-r));
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(b->bus, true);
        if (r >= 0)
                r = sd_bus_attach_event(b->bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = bus_match(b);
        if (r >= 0)
                r = bus_ask(b);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(b);
        return 0;
}

UnitBus *unit_bus_free(UnitBus *b) {
        if (!b)
                return NULL;
        (void) sd_bus_slot_unref(b->match);
        (void) sd_bus_slot_unref(b->broken);
        (void) sd_bus_slot_unref(b->subscribe);
        (void) sd_bus_slot_unref(b->version);
        (void) sd_bus_slot_unref(b->list);
        (void) sd_bus_flush_close_unref(b->bus);
        free(b);
        return NULL;
}

void unit_bus_let_go(UnitBus *b) {
        (void) sd_bus_set_exit_on_disconnect(b->bus, false);
}

sd_bus *unit_bus_connection(UnitBus *b) {
        return b->bus;
}
