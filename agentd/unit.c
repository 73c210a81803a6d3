/* A unit as PID 1 tells of it, and what it is asked. A table says which properties are read and how. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "log.h"
#include "parse.h"
#include "str.h"
#include "timespan.h"
#include "unit-internal.h"
#include "unit-name.h"

#define AGAIN_USEC (200 * USEC_PER_MSEC)
#define IDLE_USEC (1 * USEC_PER_SEC)
#define UNIT SYSTEMD ".Unit"

typedef enum PropertyType {
        PROPERTY_TEXT,
        PROPERTY_I32,
        PROPERTY_U32,
        PROPERTY_U64,
        PROPERTY_ID,
        PROPERTY_ENVIRONMENT,
        PROPERTY_JOB,
        PROPERTY_STATUSES,
        PROPERTY_COMMAND,
} PropertyType;

static const struct {
        const char *name;
        PropertyType type;
        size_t offset, size;
} properties[] = {
#define TEXT(member) PROPERTY_TEXT, offsetof(UnitState, member), sizeof(((UnitState *) 0)->member)
        { "LoadState", TEXT(load) },
        { "ActiveState", TEXT(active) },
        { "SubState", TEXT(sub) },
        { "Result", TEXT(result) },
        { "InvocationID", PROPERTY_ID, offsetof(UnitState, invocation_id), ID_HEX_SIZE },
        { "ExecMainCode", PROPERTY_I32, offsetof(UnitState, main_code), 0 },
        { "ExecMainStatus", PROPERTY_I32, offsetof(UnitState, main_status), 0 },
        { "ExecMainStartTimestamp", PROPERTY_U64, offsetof(UnitState, main_start_usec), 0 },
        { "ExecMainExitTimestamp", PROPERTY_U64, offsetof(UnitState, main_exit_usec), 0 },
        { "ExecMainStartTimestampMonotonic", PROPERTY_U64,
          offsetof(UnitState, main_start_monotonic_usec), 0 },
        { "ExecMainExitTimestampMonotonic", PROPERTY_U64,
          offsetof(UnitState, main_exit_monotonic_usec), 0 },
        { "ActiveExitTimestampMonotonic", PROPERTY_U64,
          offsetof(UnitState, active_exit_monotonic_usec), 0 },
        { "InactiveEnterTimestampMonotonic", PROPERTY_U64,
          offsetof(UnitState, inactive_enter_monotonic_usec), 0 },
        { "KillSignal", PROPERTY_I32, offsetof(UnitState, kill_signal), 0 },
        { "TimeoutStopUSec", PROPERTY_U64, offsetof(UnitState, timeout_stop_usec), 0 },
        { "MemoryMax", PROPERTY_U64, offsetof(UnitState, limits.memory_max_bytes), 0 },
        { "CPUQuotaPerSecUSec", PROPERTY_U64, offsetof(UnitState, limits.cpu_quota_per_sec_usec),
          0 },
        { "TasksMax", PROPERTY_U64, offsetof(UnitState, limits.tasks_max), 0 },
        { "Environment", PROPERTY_ENVIRONMENT, 0, 0 },
        { "Job", PROPERTY_JOB, offsetof(UnitState, job), 0 },
        { "NRestarts", PROPERTY_U32, offsetof(UnitState, restarts), 0 },
        { "StatusText", TEXT(status_text) },
        { "SuccessExitStatus", PROPERTY_STATUSES, 0, 0 },
        { "ExecStart", PROPERTY_COMMAND, 0, 0 },
#undef TEXT
};

/* What is asked for by name. */
static const struct {
        UnitAsk when;
        const char *interface, *name;
} asks[] = {
        { UNIT_ASK_START, UNIT, "InvocationID" },
        { UNIT_ASK_END, UNIT, "SubState" },
        { UNIT_ASK_RESULT, SERVICE, "Result" },
        { UNIT_ASK_LIMITS, SERVICE, "MemoryMax" },
        { UNIT_ASK_LIMITS, SERVICE, "CPUQuotaPerSecUSec" },
        { UNIT_ASK_LIMITS, SERVICE, "TasksMax" },
};

/* An answer to Properties.Get has no name in it, so each call knows its own. */
typedef struct Ask {
        Unit *unit;
        sd_bus_slot *slot; /* owned */
        const char *name;
} Ask;

struct Unit {
        char *path;   /* owned; first: the bus finds us by it */
        UnitBus *bus; /* borrowed: freed after us */
        /* owned */
        sd_bus_slot *read;
        Ask asks[ELEMENTSOF(asks)];
        sd_event_source *again; /* what could not be asked now */
        sd_event_source *idle;  /* it was changed, and has not begun */
        unsigned again_what;
        bool again_read;
        /* borrowed: our owner */
        unit_state_t on_state;
        void *userdata;
        UnitState state;
        bool limits_wanted;
        bool supervised;
};

static int read_environment(sd_bus_message *m, UnitState *s) {
        const char *text, *value;
        bool epoch = false, run = false;
        uint32_t number;
        Id id;
        int r = sd_bus_message_enter_container(m, 'a', "s");

        while (r >= 0 && (r = sd_bus_message_read(m, "s", &text)) > 0) {
                /* Ours come first; what a pipe sets under the same name comes behind. */
                if (!epoch && (value = str_after(text, "SLUICE_EPOCH=")) &&
                    parse_u32(value, &number) >= 0) {
                        epoch = true;
                        s->epoch = number;
                } else if (!run && str_eq(text, "SLUICE_FENCED=yes")) {
                        s->fenced = true; /* it stands before the run */
                } else if (!run && str_eq(text, "SLUICE_STREAMING=yes")) {
                        s->streaming = true; /* so does this */
                } else if (!run && (value = str_after(text, "SLUICE_RUN=")) &&
                           id_parse(value, &id) >= 0) {
                        run = true;
                        (void) id_to_text(id, s->run);
                }
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_id(sd_bus_message *m, char *hex) {
        const void *bytes;
        size_t size;
        Id id = {};
        int r = sd_bus_message_read_array(m, 'y', &bytes, &size);

        if (r >= 0 && size == sizeof(id.bytes)) {
                (void) memcpy(id.bytes, bytes, size);
                (void) id_to_hex(id, hex);
        }
        return r;
}

static int read_success(sd_bus_message *m, UnitState *s) {
        const int32_t *signals = NULL;
        size_t size = 0;
        int r = sd_bus_message_enter_container(m, 'r', "aiai");

        if (r >= 0)
                r = sd_bus_message_skip(m, "ai"); /* exit statuses */
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'i', (const void **) &signals, &size);
        for (size_t i = 0; r >= 0 && i < size / sizeof(*signals); i++)
                if (signals[i] > 0 && signals[i] < 64)
                        s->success_signals |= UINT64_C(1) << signals[i];
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* The first, and only one. */
static int read_command(sd_bus_message *m, UnitState *s) {
        int ignores = false;
        int r = sd_bus_message_enter_container(m, 'a', "(sasbttttuii)");

        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'r', "sasbttttuii");
        if (r > 0)
                r = sd_bus_message_skip(m, "sas");
        if (r > 0)
                r = sd_bus_message_read_basic(m, 'b', &ignores);
        if (r > 0)
                r = sd_bus_message_skip(m, "ttttuii");
        if (r > 0)
                r = sd_bus_message_exit_container(m);
        s->ignores_failure = ignores;
        s->described = true;
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* No character is cut in two. */
static void copy_text(char *target, size_t size, const char *text) {
        size_t n = strlen(text);

        if (n >= size)
                for (n = size - 1; n > 0 && ((unsigned char) text[n] & 0xc0U) == 0x80U;)
                        n--;
        (void) memcpy(target, text, n);
        target[n] = '\0';
}

/* The value of the property, in the variant that comes next. */
static int read_property(sd_bus_message *m, const char *name, UnitState *s) {
        static const char *const types[] = { "s",    "i",      "u",
                                             "t",    "ay",     "as",
                                             "(uo)", "(aiai)", "a(sasbttttuii)" };
        const char *text;
        size_t i = 0;
        int r;

        while (i < ELEMENTSOF(properties) && !str_eq(properties[i].name, name))
                i++;
        if (i == ELEMENTSOF(properties))
                return sd_bus_message_skip(m, "v");
        r = sd_bus_message_enter_container(m, 'v', types[properties[i].type]);
        if (r < 0)
                return r;
        char *target = (char *) s + properties[i].offset;

        switch (properties[i].type) {
        case PROPERTY_TEXT:
                r = sd_bus_message_read(m, "s", &text);
                if (r >= 0)
                        copy_text(target, properties[i].size, text);
                break;
        case PROPERTY_I32:
                r = sd_bus_message_read(m, "i", target);
                break;
        case PROPERTY_U32:
                r = sd_bus_message_read(m, "u", target);
                break;
        case PROPERTY_JOB:
                r = sd_bus_message_read(m, "(uo)", target, NULL);
                break;
        case PROPERTY_U64:
                r = sd_bus_message_read(m, "t", target);
                break;
        case PROPERTY_ID:
                r = read_id(m, target);
                break;
        case PROPERTY_ENVIRONMENT:
                r = read_environment(m, s);
                break;
        case PROPERTY_STATUSES:
                r = read_success(m, s);
                break;
        case PROPERTY_COMMAND:
                r = read_command(m, s);
                break;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_properties(sd_bus_message *m, UnitState *s) {
        const char *name;
        int r = sd_bus_message_enter_container(m, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &name);
                if (r >= 0)
                        r = read_property(m, name, s);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

bool unit_was_skipped(const UnitState *s) {
        return str_eq(s->result, "exec-condition");
}

bool unit_was_interrupted(const UnitState *s) {
        static const int clean[] = { SIGHUP, SIGINT, SIGPIPE, SIGTERM };

        if (!str_eq(s->sub, "exited") || !str_eq(s->result, "success") ||
            s->main_code != CLD_KILLED || s->ignores_failure)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(clean); i++)
                if (s->main_status == clean[i])
                        return !(s->success_signals & UINT64_C(1) << clean[i]);
        return false;
}

bool unit_is_over(const UnitState *s) {
        static const char *const final[] = { "exited", "failed", "dead" };

        for (size_t i = 0; i < ELEMENTSOF(final); i++)
                if (str_eq(s->sub, final[i]))
                        return true;
        return false;
}

/* A bus has only so many questions under way, and PID 1 is sometimes slow, or away while it executes itself anew: all that says nothing
 * about the unit. */
static bool is_passing(sd_bus_message *m) {
        static const char *const final[] = { SD_BUS_ERROR_UNKNOWN_OBJECT,
                                             SD_BUS_ERROR_UNKNOWN_PROPERTY,
                                             "org.freedesktop.systemd1.NoSuchUnit" };

        for (size_t i = 0; i < ELEMENTSOF(final); i++)
                if (sd_bus_message_is_method_error(m, final[i]))
                        return false;
        return sd_bus_message_is_method_error(m, NULL);
}

static int unit_on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        Unit *u = userdata;
        unsigned what = u->again_what;
        bool read = u->again_read;

        (void) source;
        (void) usec;
        u->again = sd_event_source_disable_unref(u->again);
        u->again_what = 0;
        u->again_read = false;
        if (read)
                (void) unit_read(u);
        (void) unit_ask(u, what);
        return 0;
}

static void ask_again(Unit *u, unsigned what, bool read) {
        int r = 0;

        u->again_what |= what;
        u->again_read |= read;
        if (!u->again)
                r = sd_event_add_time_relative(sd_bus_get_event(unit_bus_connection(u->bus)),
                                               &u->again, CLOCK_MONOTONIC, AGAIN_USEC,
                                               AGAIN_USEC / 4, unit_on_again, u);
        if (r < 0)
                (void) log_error(r, "Cannot ask again about %s", u->path);
}

static int unit_on_idle(sd_event_source *source, uint64_t usec, void *userdata) {
        Unit *u = userdata;

        (void) source;
        (void) usec;
        u->idle = sd_event_source_disable_unref(u->idle);
        return u->state.main_start_usec > 0 ? 0 : unit_read(u);
}

/* Its job may have ended without a start, for want of a mount for one, and nothing comes behind this change. */
static void note_idle(Unit *u) {
        int r = 0;

        if (!u->idle)
                r = sd_event_add_time_relative(sd_bus_get_event(unit_bus_connection(u->bus)),
                                               &u->idle, CLOCK_MONOTONIC, IDLE_USEC, IDLE_USEC / 4,
                                               unit_on_idle, u);
        if (r < 0)
                (void) log_error(r, "Cannot plan to ask about %s", u->path);
}

/* PID 1 keeps the first failure of a unit, unless it starts it again: one that is a success afterwards is being forgotten
 * (systemctl reset-failed), and what it was is what counts. */
static bool is_forgotten(const Unit *u, const UnitState *now) {
        return !u->supervised && *u->state.result && !str_eq(u->state.result, "success") &&
               str_eq(now->result, "success");
}

/* The main process has ended, or PID 1 has given up: whether that is all, its SubState= tells. */
void unit_changed(Unit *u, sd_bus_message *m) {
        UnitState now = u->state;

        if (read_properties(m, &now) < 0 || is_forgotten(u, &now))
                return;
        u->state = now;
        bool stirs = u->state.main_exit_usec > 0 ||
                     (*u->state.result && !str_eq(u->state.result, "success"));

        if (u->supervised && (stirs || !str_eq(u->state.active, "active")))
                (void) unit_read(u);
        else if (stirs)
                (void) unit_ask(u, UNIT_ASK_END | (u->limits_wanted ? UNIT_ASK_LIMITS : 0U));
        else if (u->state.main_start_usec == 0)
                note_idle(u);
        u->on_state(u, &u->state, u->userdata);
}

static int unit_on_read(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Unit *u = userdata;
        UnitState before = u->state, now = before;
        bool gone = sd_bus_message_is_method_error(m, NULL);
        int r = gone ? 0 : read_properties(m, &now);

        (void) error;
        u->read = sd_bus_slot_unref(u->read);
        if (r < 0)
                (void) log_error(r, "Cannot read what systemd says of %s", u->path);
        if (r < 0 || is_passing(m)) {
                ask_again(u, 0, true);
                return 0;
        }
        u->state = now;
        if (gone)
                (void) snprintf(u->state.load, sizeof(u->state.load), "not-found");
        u->supervised |= u->state.streaming;
        /* PID 1 forgets a unit that was stopped or skipped; what it said before is what is known of it. */
        if (((u->supervised && before.main_start_usec > 0) || unit_was_skipped(&before)) &&
            str_eq(u->state.load, "not-found")) {
                u->state = before;
                u->state.job = 0;
                (void) strcpy(u->state.sub, "dead");
        }
        u->on_state(u, &u->state, u->userdata);
        return 0;
}

/* PID 1 keeps the first failure, and the changes tell of it, so that a result is only asked for where the change may still be on
 * its way: no unit fails with a success, and every other end is one. */
static bool lacks_result(const UnitState *s) {
        return unit_is_over(s) &&
               (!*s->result || (str_eq(s->sub, "failed") && str_eq(s->result, "success")));
}

/* How the main process ended comes with the change that tells of it: an end without is asked for as a whole. */
static int unit_on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Ask *ask = userdata;
        Unit *u = ask->unit;
        UnitState s = u->state;

        (void) error;
        ask->slot = sd_bus_slot_unref(ask->slot);
        if (is_passing(m))
                ask_again(u, asks[ask - u->asks].when, false);
        else if (!sd_bus_message_is_method_error(m, NULL))
                (void) read_property(m, ask->name, &s);
        /* A unit that somebody made PID 1 forget is loaded by the question, as if all had been well with it. */
        if (str_eq(s.result, "success") && *u->state.result)
                (void) strcpy(s.result, u->state.result);
        u->state = s;
        if (unit_is_asking(u))
                return 0;
        if (unit_is_over(&u->state) && u->state.main_start_usec > 0 && u->state.main_exit_usec == 0)
                return unit_read(u);
        if (unit_was_interrupted(&u->state) && !u->state.described)
                return unit_read(u);
        if (lacks_result(&u->state) && !str_eq(ask->name, "Result"))
                return unit_ask(u, UNIT_ASK_RESULT);
        u->on_state(u, &u->state, u->userdata);
        return 0;
}

bool unit_is_asking(const Unit *u) {
        for (size_t i = 0; i < ELEMENTSOF(asks); i++)
                if (u->asks[i].slot)
                        return true;
        return u->read || u->again;
}

int unit_read(Unit *u) {
        u->read = sd_bus_slot_unref(u->read);
        return sd_bus_call_method_async(unit_bus_connection(u->bus), &u->read, SYSTEMD, u->path,
                                        PROPERTIES, "GetAll", unit_on_read, u, "s", "");
}

int unit_ask(Unit *u, unsigned what) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(asks); i++) {
                Ask *ask = &u->asks[i];

                if (!(asks[i].when & what))
                        continue;
                ask->slot = sd_bus_slot_unref(ask->slot); /* the new answer is the newer one */
                *ask = (Ask){ .unit = u, .name = asks[i].name };
                r = sd_bus_call_method_async(unit_bus_connection(u->bus), &ask->slot, SYSTEMD,
                                             u->path, PROPERTIES, "Get", unit_on_answer, ask, "ss",
                                             asks[i].interface, asks[i].name);
        }
        return r;
}

void unit_supervise(Unit *u) {
        u->supervised = true;
}

void unit_limits_known(Unit *u) {
        u->limits_wanted = false;
}

int unit_new(UnitBus *b, const char *id, unit_state_t on_state, void *userdata, Unit **ret) {
        _cleanup_(unit_freep) Unit *u = calloc(1, sizeof(*u));
        _cleanup_(freep) char *name = NULL;
        UnitName parsed;
        int r;

        if (!unit_name_from_id(id, &parsed))
                return -EINVAL;
        name = unit_name_service(&parsed);
        if (!u || !name)
                return -ENOMEM;
        *u = (Unit){ .bus = b, .on_state = on_state, .userdata = userdata, .limits_wanted = true };
        u->state.limits = LIMITS_UNKNOWN;
        r = sd_bus_path_encode(SYSTEMD_PATH "/unit", name, &u->path);
        if (r >= 0)
                r = unit_bus_add(b, u);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(u);
        return 0;
}

Unit *unit_free(Unit *u) {
        if (!u)
                return NULL;
        if (u->path)
                unit_bus_remove(u->bus, u);
        (void) sd_bus_slot_unref(u->read);
        (void) sd_event_source_disable_unref(u->again);
        (void) sd_event_source_disable_unref(u->idle);
        for (size_t i = 0; i < ELEMENTSOF(asks); i++)
                (void) sd_bus_slot_unref(u->asks[i].slot);
        free(u->path);
        free(u);
        return NULL;
}
