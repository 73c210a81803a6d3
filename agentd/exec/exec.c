/* Answers io.sluice.Exec1: checks what is asked, asks PID 1, passes its answer on. Everything in a call is hostile; who
 * may call is decided by the D-Bus policy file. When nothing was asked for a while it gives up its name and ends; calls
 * that came before the name was gone are answered first, later ones make the bus start it again. */
#include "exec.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

#include "clean.h"
#include "journal-sync.h"
#include "lease.h"
#include "log.h"
#include "manager.h"
#include "properties.h"
#include "spec.h"
#include "str.h"
#include "strv.h"
#include "unit-name.h"

#define EXEC_NAME "io.sluice.Exec1"
#define EXEC_PATH "/io/sluice/Exec1"
#define EXEC_REFUSED "io.sluice.Exec1.Error.Refused"
#define EXEC_EXISTS "io.sluice.Exec1.Error.Exists"
#define EXEC_FAILED "io.sluice.Exec1.Error.Failed"
#define JOURNAL_SOCKET "/run/systemd/journal/io.systemd.journal"
#define CALLS_MAX 1024U

/* One method call that is waiting for PID 1 or journald. */
typedef struct Call {
        struct Call *next, **link; /* in exec->calls */
        Exec *exec;                /* borrowed: it frees its calls first */
        /* owned */
        sd_bus_message *request;
        sd_bus_slot *slot;
        Clean *clean;
        Lease *lease;
        uint64_t sync_round; /* 0: not a Sync */
} Call;

struct Exec {
        /* owned */
        sd_event *event;
        sd_bus *bus;
        sd_bus_slot *object;
        sd_bus_slot *name;
        sd_event_source *idle;
        JournalSync *sync;
        Call *calls;
        /* borrowed: the command line */
        const char *policy_path;
        uint64_t idle_usec;
        unsigned n_calls;
        bool used;    /* since the idle timer was set */
        bool leaving; /* the name is being given up */
};

static int exec_leave_when_done(Exec *x) {
        return x->leaving && !x->calls ? sd_event_exit(x->event, 0) : 0;
}

static Call *call_free(Call *c) {
        if (!c)
                return NULL;
        if (c->link) {
                *c->link = c->next;
                if (c->next)
                        c->next->link = c->link;
                c->exec->n_calls--;
                c->exec->used = true;
        }
        (void) sd_bus_slot_unref(c->slot);
        (void) sd_bus_message_unref(c->request);
        (void) clean_free(c->clean);
        (void) lease_free(c->lease);
        free(c);
        return NULL;
}
DEFINE_SCOPE_EXIT(Call, call_free)

static int call_new(Exec *x, sd_bus_message *request, Call **ret) {
        Call *c;

        if (x->n_calls >= CALLS_MAX)
                return -EBUSY;
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->exec = x;
        c->request = sd_bus_message_ref(request);
        c->next = x->calls;
        c->link = &x->calls;
        if (c->next)
                c->next->link = &c->next;
        x->calls = c;
        x->n_calls++;
        *ret = c;
        return 0;
}

static void call_done(Call *c) {
        Exec *x = c->exec;

        (void) call_free(c);
        (void) exec_leave_when_done(x);
}

static int reply_failure(sd_bus_message *m, int r) {
        return sd_bus_reply_method_errorf(m, EXEC_FAILED, "agentd-exec: %s.", strerror(-r));
}

/* Trouble that passes is no refusal: the attempt may be tried again, or elsewhere. */
static const char *error_name_of(const sd_bus_error *e) {
        static const char *const passing[] = {
                SD_BUS_ERROR_NO_REPLY,        SD_BUS_ERROR_TIMEOUT,
                SD_BUS_ERROR_DISCONNECTED,    SD_BUS_ERROR_LIMITS_EXCEEDED,
                SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NO_MEMORY,
        };

        if (str_eq(e->name, "org.freedesktop.systemd1.UnitExists"))
                return EXEC_EXISTS;
        for (size_t i = 0; i < ELEMENTSOF(passing); i++)
                if (str_eq(e->name, passing[i]))
                        return EXEC_FAILED;
        return EXEC_REFUSED;
}

static int call_on_started(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        const char *job = "/";
        Call *c = userdata;

        (void) ret_error;
        if (e) {
                (void) sd_bus_reply_method_errorf(c->request, error_name_of(e), "systemd: %s",
                                                  e->message ? e->message : e->name);
        } else {
                (void) sd_bus_message_read(m, "o", &job);
                (void) sd_bus_reply_method_return(c->request, "o", job);
        }
        call_done(c);
        return 0;
}

/* For Stop and Kill: a unit that is gone already is what was wanted. */
static int call_on_done(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Call *c = userdata;

        (void) ret_error;
        if (e && !str_eq(e->name, "org.freedesktop.systemd1.NoSuchUnit"))
                (void) sd_bus_reply_method_errorf(c->request, EXEC_FAILED, "systemd: %s",
                                                  e->message ? e->message : e->name);
        else
                (void) sd_bus_reply_method_return(c->request, "");
        call_done(c);
        return 0;
}

static int read_directives(sd_bus_message *m, char ***ret) {
        _cleanup_(strv_freep) char **pairs = NULL;
        const char *name, *value;
        int r = sd_bus_message_enter_container(m, 'a', "(ss)");

        while (r >= 0 && (r = sd_bus_message_read(m, "(ss)", &name, &value)) > 0) {
                r = strv_append(&pairs, name);
                if (r >= 0)
                        r = strv_append(&pairs, value);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0)
                *ret = TAKE_PTR(pairs);
        return r;
}

static int unit_from_request(Exec *x, sd_bus_message *m, UnitSpec *ret, Error *e) {
        StartRequest request = {};
        Policy policy = {};
        int r = sd_bus_message_read(m, "susss", &request.attempt, &request.epoch, &request.run,
                                    &request.project, &request.pipe);

        if (r >= 0)
                r = sd_bus_message_read(m, "st", &request.task, &request.deadline_usec);
        if (r >= 0)
                r = read_directives(m, &request.directives);
        request.streaming = str_eq(sd_bus_message_get_member(m), "StartStreaming");
        if (r >= 0)
                r = policy_load(x->policy_path, &policy, e);
        if (r >= 0)
                r = spec_build(&request, &policy, ret, e);
        policy_done(&policy);
        request.directives = strv_free(request.directives);
        return r;
}

static int ask_for_unit(Call *c, const UnitSpec *spec) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *bus = c->exec->bus;
        int r = manager_message(bus, "StartTransientUnit", &m);

        if (r >= 0)
                r = sd_bus_message_append(m, "ss", spec->unit, "fail");
        if (r >= 0)
                r = properties_append(m, spec);
        if (r >= 0)
                r = sd_bus_message_append(m, "a(sa(sv))", 0);
        return r < 0 ? r : manager_send(bus, m, &c->slot, call_on_started, c);
}

/* A call that waited for so long that its attempt may have been given to somebody else. */
static bool is_late(const UnitSpec *spec) {
        return spec->deadline_usec > 0 && lease_left(spec->deadline_usec) == 0;
}

static int method_start(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(call_freep) Call *c = NULL;
        Exec *x = userdata;
        UnitSpec spec = {};
        Error e = {};
        int r = call_new(x, m, &c);

        (void) error;
        if (r < 0)
                return reply_failure(m, r);
        r = unit_from_request(x, m, &spec, &e);
        if (r < 0) {
                log_message(LOG_NOTICE, NULL, NULL, "Refused: %s", error_text(&e, r));
                return sd_bus_reply_method_errorf(m, r == -ENOMEM ? EXEC_FAILED : EXEC_REFUSED,
                                                  "%s", error_text(&e, r));
        }
        if (is_late(&spec)) {
                spec_done(&spec);
                return sd_bus_reply_method_errorf(m, EXEC_FAILED, "The offer is no longer good.");
        }
        r = ask_for_unit(c, &spec);
        spec_done(&spec);
        if (r < 0)
                return reply_failure(m, r);
        TAKE_PTR(c); /* exec->calls has it */
        return 1;
}

/* Reads the attempt and gives its unit's name. */
static int read_unit(sd_bus_message *m, char **ret) {
        const char *attempt;
        int r = sd_bus_message_read(m, "s", &attempt);

        return r < 0 ? r : spec_unit_name(attempt, ret);
}

static int method_stop(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *ask = NULL;
        _cleanup_(freep) char *unit = NULL;
        _cleanup_(call_freep) Call *c = NULL;
        Exec *x = userdata;
        int r = read_unit(m, &unit);

        (void) error;
        if (r >= 0)
                r = call_new(x, m, &c);
        if (r >= 0)
                r = manager_message(x->bus, "StopUnit", &ask);
        if (r >= 0)
                r = sd_bus_message_append(ask, "ss", unit, "replace");
        if (r >= 0)
                r = manager_send(x->bus, ask, &c->slot, call_on_done, c);
        if (r < 0)
                return reply_failure(m, r);
        TAKE_PTR(c);
        return 1;
}

static int method_kill(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *ask = NULL;
        _cleanup_(freep) char *unit = NULL;
        _cleanup_(call_freep) Call *c = NULL;
        Exec *x = userdata;
        int32_t number = 0;
        int r = read_unit(m, &unit);

        (void) error;
        if (r >= 0)
                r = sd_bus_message_read(m, "i", &number);
        if (r >= 0 && (number < 1 || number > SIGRTMAX))
                r = -EINVAL;
        if (r >= 0)
                r = call_new(x, m, &c);
        if (r >= 0)
                r = manager_message(x->bus, "KillUnit", &ask);
        if (r >= 0)
                r = sd_bus_message_append(ask, "ssi", unit, "all", number);
        if (r >= 0)
                r = manager_send(x->bus, ask, &c->slot, call_on_done, c);
        if (r < 0)
                return reply_failure(m, r);
        TAKE_PTR(c);
        return 1;
}

/* Stopping the slice stops the service in it; a failed service only has to be forgotten. PID 1 does what it can do of
 * the two, and nobody waits for it. */
static int method_release(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(freep) char *unit = NULL, *slice = NULL;
        const char *attempt;
        Exec *x = userdata;
        int r = sd_bus_message_read(m, "s", &attempt);

        (void) error;
        if (r >= 0)
                r = spec_unit_name(attempt, &unit);
        if (r >= 0)
                r = spec_slice_name(attempt, &slice);
        if (r >= 0)
                r = manager_tell(x->bus, "StopUnit", "ss", slice, "replace");
        if (r >= 0)
                r = manager_tell(x->bus, "ResetFailedUnit", "s", unit);
        x->used = true;
        return r < 0 ? reply_failure(m, r) : sd_bus_reply_method_return(m, "");
}

static void call_on_cleaned(Clean *clean, int r, const char *words, void *userdata) {
        Call *c = userdata;

        (void) clean;
        if (r < 0)
                (void) sd_bus_reply_method_errorf(c->request, EXEC_FAILED, "systemd: %s",
                                                  words ? words : strerror(-r));
        else
                (void) sd_bus_reply_method_return(c->request, "");
        call_done(c);
}

static int method_clean(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(call_freep) Call *c = NULL;
        _cleanup_(strv_freep) char **runs = NULL;
        Exec *x = userdata;
        int r = sd_bus_message_read_strv(m, &runs);

        (void) error;
        if (r >= 0)
                r = call_new(x, m, &c);
        if (r >= 0)
                r = clean_start(x->bus, x->event, runs, call_on_cleaned, c, &c->clean);
        if (r < 0)
                return reply_failure(m, r);
        TAKE_PTR(c);
        return 1;
}

static void call_on_leased(Lease *lease, int r, const char *words, void *userdata) {
        Call *c = userdata;

        (void) lease;
        if (r < 0)
                (void) sd_bus_reply_method_errorf(c->request, EXEC_FAILED, "systemd: %s",
                                                  words ? words : strerror(-r));
        else
                (void) sd_bus_reply_method_return(c->request, "");
        call_done(c);
}

static int renew_lease(Exec *x, sd_bus_message *m, const char *instance) {
        _cleanup_(call_freep) Call *c = NULL;
        uint64_t deadline_usec;
        int move;
        int r = sd_bus_message_read(m, "tb", &deadline_usec, &move);

        if (r >= 0)
                r = call_new(x, m, &c);
        if (r >= 0)
                r = lease_renew(x->bus, instance, deadline_usec, move, call_on_leased, c,
                                &c->lease);
        if (r < 0)
                return reply_failure(m, r);
        TAKE_PTR(c);
        return 1;
}

static int method_lease(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        (void) error;
        return renew_lease(userdata, m, "");
}

/* Of an instance with a name. */
static int method_lease_of(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *instance;
        int r = sd_bus_message_read(m, "s", &instance);

        (void) error;
        if (r >= 0 && !instance_is_valid(instance))
                r = -EINVAL;
        return r < 0 ? reply_failure(m, r) : renew_lease(userdata, m, instance);
}

/* Whatever was asked before this has been asked of PID 1 by now. */
static int method_barrier(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Exec *x = userdata;

        (void) error;
        x->used = true;
        return sd_bus_reply_method_return(m, "");
}

static void exec_on_synced(uint64_t round, int r, void *userdata) {
        Exec *x = userdata;

        for (Call *c = x->calls, *next; c; c = next) {
                next = c->next;
                if (c->sync_round != round)
                        continue;
                if (r < 0)
                        (void) reply_failure(c->request, r);
                else
                        (void) sd_bus_reply_method_return(c->request, "");
                (void) call_free(c);
        }
        (void) exec_leave_when_done(x);
}

static int method_sync(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Exec *x = userdata;
        Call *c = NULL;
        int r = call_new(x, m, &c);

        (void) error;
        if (r >= 0)
                r = journal_sync_request(x->sync, &c->sync_round);
        if (r < 0) {
                (void) call_free(c);
                return reply_failure(m, r);
        }
        return 1;
}

/* Unprivileged: the D-Bus policy file has decided who may call. */
#define START(name)                                                                                \
        SD_BUS_METHOD_WITH_ARGS(name,                                                              \
                                SD_BUS_ARGS("s", attempt, "u", epoch, "s", run, "s", project, "s", \
                                            pipe, "s", task, "t", deadline_usec, "a(ss)",          \
                                            directives),                                           \
                                SD_BUS_RESULT("o", job), method_start, SD_BUS_VTABLE_UNPRIVILEGED)
static const sd_bus_vtable exec_vtable[] = {
        SD_BUS_VTABLE_START(0),
        START("Start"),
        START("StartStreaming"), /* of a streaming pipe */
        SD_BUS_METHOD_WITH_ARGS("Stop", SD_BUS_ARGS("s", attempt), SD_BUS_NO_RESULT, method_stop,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Kill", SD_BUS_ARGS("s", attempt, "i", signal), SD_BUS_NO_RESULT,
                                method_kill, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Release", SD_BUS_ARGS("s", attempt), SD_BUS_NO_RESULT,
                                method_release, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Clean", SD_BUS_ARGS("as", runs), SD_BUS_NO_RESULT, method_clean,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Lease", SD_BUS_ARGS("t", deadline_usec, "b", move),
                                SD_BUS_NO_RESULT, method_lease, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("LeaseOf",
                                SD_BUS_ARGS("s", instance, "t", deadline_usec, "b", move),
                                SD_BUS_NO_RESULT, method_lease_of, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Barrier", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_barrier,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Sync", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_sync,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static int exec_on_name_lost(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        (void) m;
        (void) error;
        return exec_leave_when_done(userdata); /* what came before the answer is in calls */
}

static int exec_leave(Exec *x) {
        int r;

        if (x->leaving)
                return 0;
        x->leaving = true;
        (void) sd_notify(false, "STOPPING=1");
        x->name = sd_bus_slot_unref(x->name);
        r = sd_bus_release_name_async(x->bus, &x->name, EXEC_NAME, exec_on_name_lost, x);
        return r < 0 ? sd_event_exit(x->event, 0) : 0;
}

/* A whole period without a call: a timer that is set anew at each call would cost each call. */
static int exec_on_idle(sd_event_source *source, uint64_t usec, void *userdata) {
        Exec *x = userdata;

        (void) usec;
        if (!x->calls && !x->used)
                return exec_leave(x);
        x->used = false;
        (void) sd_event_source_set_time_relative(source, x->idle_usec);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* SIGTERM: PID 1 sends it also when the name is given up. */
static int exec_on_signal(sd_event_source *source, const struct signalfd_siginfo *info,
                          void *userdata) {
        (void) source;
        (void) info;
        return exec_leave(userdata);
}

static int exec_on_name_acquired(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Exec *x = userdata;

        (void) error;
        if (!sd_bus_message_is_method_error(m, NULL))
                return 0;
        log_error(-EACCES, "The bus does not give us the name " EXEC_NAME);
        return sd_event_exit(x->event, -EACCES);
}

static int exec_setup(Exec *x) {
        int r = sd_event_new(&x->event);

        if (r >= 0)
                r = sd_event_add_signal(x->event, NULL, SIGTERM, exec_on_signal, x);
        if (r >= 0)
                r = sd_event_add_signal(x->event, NULL, SIGINT, exec_on_signal, x);
        if (r >= 0)
                r = sd_event_add_time_relative(x->event, &x->idle, CLOCK_MONOTONIC, x->idle_usec, 0,
                                               exec_on_idle, x);
        if (r >= 0)
                r = journal_sync_new(x->event, JOURNAL_SOCKET, exec_on_synced, x, &x->sync);
        if (r >= 0)
                r = sd_bus_open_system(&x->bus);
        if (r >= 0)
                r = sd_bus_attach_event(x->bus, x->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(x->bus, true);
        if (r >= 0)
                r = sd_bus_add_object_vtable(x->bus, &x->object, EXEC_PATH, EXEC_NAME, exec_vtable,
                                             x);
        if (r >= 0)
                r = sd_bus_request_name_async(x->bus, &x->name, EXEC_NAME, 0, exec_on_name_acquired,
                                              x);
        if (r >= 0)
                r = sd_event_set_watchdog(x->event, true);
        return r;
}

int exec_new(const char *policy_path, uint64_t idle_usec, Exec **ret) {
        _cleanup_(exec_freep) Exec *x = calloc(1, sizeof(*x));
        int r;

        if (!x)
                return -ENOMEM;
        x->policy_path = policy_path;
        x->idle_usec = idle_usec;
        r = exec_setup(x);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(x);
        return 0;
}

Exec *exec_free(Exec *x) {
        if (!x)
                return NULL;
        while (x->calls)
                (void) call_free(x->calls);
        (void) journal_sync_free(x->sync);
        (void) sd_bus_slot_unref(x->object);
        (void) sd_bus_slot_unref(x->name);
        (void) sd_event_source_disable_unref(x->idle);
        (void) sd_bus_flush_close_unref(x->bus);
        (void) sd_event_unref(x->event);
        free(x);
        return NULL;
}

sd_event *exec_event(Exec *x) {
        return x->event;
}
