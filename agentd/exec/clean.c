/* Start (which does nothing but make the unit), clean, wait until PID 1 is through, let go. */
#include "clean.h"

#include <errno.h>
#include <string.h>

#include "backoff.h"
#include "manager.h"
#include "spec.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"

#define TRIES_MAX 600 /* at most a second each */

struct Clean {
        /* owned */
        char *unit;
        char **directories;
        char *object; /* D-Bus path of the unit */
        sd_bus_slot *call;
        sd_event_source *timer;
        Backoff backoff;
        /* borrowed */
        sd_bus *bus;
        clean_done_t done;
        void *userdata;
        bool cleaning; /* CleanUnit was accepted */
};

static int clean_later(Clean *c);

/* PID 1 keeps a unit that failed, ours or one that an agentd-exec before us has left, and would start no other by its name. */
static int clean_finish(Clean *c, int r, const char *words) {
        if (r < 0)
                (void) manager_tell(c->bus, "ResetFailedUnit", "s", c->unit);
        (void) manager_tell(c->bus, "UnrefUnit", "s", c->unit);
        c->done(c, r, words, c->userdata);
        return 0;
}

static int clean_on_state(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *state = "";
        Clean *c = userdata;

        (void) error;
        c->call = sd_bus_slot_unref(c->call);
        if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "v", "s", &state) < 0)
                return clean_finish(c, 0, NULL); /* the unit is gone: cleaned and collected */
        if (str_eq(state, "maintenance"))
                return clean_later(c);
        return clean_finish(c, str_eq(state, "failed") ? -EIO : 0,
                            "systemd could not remove all of the workspaces.");
}

static int clean_on_cleaned(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clean *c = userdata;

        (void) error;
        c->call = sd_bus_slot_unref(c->call);
        if (sd_bus_message_is_method_error(m, "org.freedesktop.systemd1.UnitBusy"))
                return clean_later(c);
        if (sd_bus_message_is_method_error(m, NULL)) {
                const sd_bus_error *e = sd_bus_message_get_error(m);

                return clean_finish(c, -EIO, e->message ? e->message : e->name);
        }
        c->cleaning = true;
        backoff_reset(&c->backoff);
        return clean_later(c);
}

static int clean_ask(Clean *c) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        if (c->cleaning)
                return sd_bus_call_method_async(c->bus, &c->call, MANAGER_SERVICE, c->object,
                                                "org.freedesktop.DBus.Properties", "Get",
                                                clean_on_state, c, "ss",
                                                "org.freedesktop.systemd1.Unit", "ActiveState");
        r = manager_message(c->bus, "CleanUnit", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "sas", c->unit, 1, "state");
        return r < 0 ? r : manager_send(c->bus, m, &c->call, clean_on_cleaned, c);
}

static int clean_on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Clean *c = userdata;
        int r = clean_ask(c);

        (void) source;
        (void) usec;
        return r < 0 ? clean_finish(c, r, strerror(-r)) : 0;
}

static int clean_later(Clean *c) {
        int r;

        if (c->backoff.tries >= TRIES_MAX)
                return clean_finish(c, -ETIMEDOUT, "systemd did not finish in time.");
        r = sd_event_source_set_time_relative(c->timer, backoff_next_usec(&c->backoff));
        if (r >= 0)
                r = sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
        return r < 0 ? clean_finish(c, r, strerror(-r)) : 0;
}

static int clean_on_started(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clean *c = userdata;

        (void) error;
        c->call = sd_bus_slot_unref(c->call);
        if (sd_bus_message_is_method_error(m, NULL)) {
                const sd_bus_error *e = sd_bus_message_get_error(m);

                return clean_finish(c, -EIO, e->message ? e->message : e->name);
        }
        return clean_later(c);
}

/* AddRef= keeps the unit loaded for as long as we are connected, though it is inactive. */
static int clean_append_unit(Clean *c, sd_bus_message *m) {
        int r = sd_bus_message_append(m, "ss", c->unit, "fail");

        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)", "Description", "s",
                                          "Workspaces of Sluice runs", "Type", "s", "oneshot",
                                          "ExecStart", "a(sasb)", 1, "/bin/true", 1, "/bin/true",
                                          false, "Conditions", "a(sbbs)", 1, "ConditionPathExists",
                                          false, false, "/nonexistent", "AddRef", "b", true);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'r', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "StateDirectory");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(m, c->directories);
        for (unsigned i = 0; r >= 0 && i < 3; i++) /* the variant, the structure, the array */
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_append(m, "a(sa(sv))", 0);
}

static int clean_name_directories(Clean *c, char *const *runs) {
        size_t n = 0;

        STRV_FOREACH(run, runs) {
                _cleanup_(freep) char *directory = NULL;
                int r = n++ < CLEAN_RUNS_MAX ? spec_state_directory(*run, &directory) : -E2BIG;

                if (r >= 0)
                        r = strv_append(&c->directories, directory);
                if (r < 0)
                        return r;
        }
        return n == 0 ? -EINVAL : 0;
}

int clean_start(sd_bus *bus, sd_event *event, char *const *runs, clean_done_t done, void *userdata,
                Clean **ret) {
        _cleanup_(clean_freep) Clean *c = calloc(1, sizeof(*c));
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        if (!c)
                return -ENOMEM;
        *c = (Clean){ .bus = bus,
                      .done = done,
                      .userdata = userdata,
                      .backoff = { 20 * USEC_PER_MSEC, USEC_PER_SEC } };
        r = clean_name_directories(c, runs);
        if (r < 0)
                return r;
        c->unit = str_format("sluice-clean.%s.service", runs[0]);
        if (!c->unit)
                return -ENOMEM;
        r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", c->unit, &c->object);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &c->timer, CLOCK_MONOTONIC, 0, PROMPT_USEC,
                                               clean_on_timer, c);
        if (r >= 0)
                r = sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = manager_message(bus, "StartTransientUnit", &m);
        if (r >= 0)
                r = clean_append_unit(c, m);
        if (r >= 0)
                r = manager_send(bus, m, &c->call, clean_on_started, c);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

Clean *clean_free(Clean *c) {
        if (!c)
                return NULL;
        (void) sd_bus_slot_unref(c->call);
        (void) sd_event_source_disable_unref(c->timer);
        free(c->unit);
        strv_free(c->directories);
        free(c->object);
        free(c);
        return NULL;
}
