/* Offers io.sluice.Exec1 (methods.c) on the bus. When nothing was asked for a while it gives up its name and ends; calls
 * that came before the name was gone are answered first, later ones make the bus start it again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "exec-internal.h"
#include "log.h"
#include "manager.h"

#define EXEC_PATH "/io/sluice/Exec1"
#define JOURNAL_SOCKET "/run/systemd/journal/io.systemd.journal"
#define CALLS_MAX 1024U

static int exec_leave_when_done(Exec *x) {
        return x->leaving && !x->calls ? sd_event_exit(x->event, 0) : 0;
}

Call *call_free(Call *c) {
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

int call_new(Exec *x, sd_bus_message *request, Call **ret) {
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

void call_done(Call *c) {
        Exec *x = c->exec;

        (void) call_free(c);
        (void) exec_leave_when_done(x);
}

int reply_failure(sd_bus_message *m, int r) {
        return sd_bus_reply_method_errorf(m, EXEC_FAILED, "agentd-exec: %s.", strerror(-r));
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

/* "252 (252.39-1~deb12u2)", or "v257.8-1". */
static unsigned version_of(const char *text) {
        unsigned n = 0;

        for (text += strcspn(text, "0123456789"); *text >= '0' && *text <= '9' && n < 100000;
             text++)
                n = n * 10 + (unsigned) (*text - '0');
        return n;
}

static int ask_manager(Exec *x, const char *property, sd_bus_message_handler_t on_answer) {
        x->question = sd_bus_slot_unref(x->question);
        return sd_bus_call_method_async(x->bus, &x->question, MANAGER_SERVICE, MANAGER_PATH,
                                        "org.freedesktop.DBus.Properties", "Get", on_answer, x,
                                        "ss", MANAGER_INTERFACE, property);
}

static int fail_to_ask(Exec *x, int r, const char *what) {
        log_error(r, "Cannot ask systemd for its %s", what);
        return sd_event_exit(x->event, r);
}

/* Whoever calls us waits for the name, so every request finds both answers known. */
static int exec_on_start_time(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Exec *x = userdata;
        int r = sd_bus_message_is_method_error(m, NULL) ? -sd_bus_message_get_errno(m) : 0;

        (void) error;
        if (x->leaving)
                return 0;
        if (r >= 0)
                r = sd_bus_message_read(m, "v", "t", &x->started_usec);
        if (r >= 0)
                r = sd_bus_request_name_async(x->bus, &x->name, EXEC_NAME, 0, exec_on_name_acquired,
                                              x);
        return r < 0 ? fail_to_ask(x, r, "start time") : 0;
}

static int exec_on_version(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *version = "";
        Exec *x = userdata;
        int r = sd_bus_message_is_method_error(m, NULL) ? -sd_bus_message_get_errno(m) : 0;

        (void) error;
        if (r >= 0)
                r = sd_bus_message_read(m, "v", "s", &version);
        x->systemd = version_of(version);
        if (r >= 0 && x->systemd == 0)
                r = -EBADMSG;
        if (r >= 0)
                r = ask_manager(x, "UserspaceTimestampMonotonic", exec_on_start_time);
        return r < 0 ? fail_to_ask(x, r, "version") : 0;
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
                r = ask_manager(x, "Version", exec_on_version);
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
        (void) sd_bus_slot_unref(x->question);
        (void) sd_event_source_disable_unref(x->idle);
        (void) sd_bus_flush_close_unref(x->bus);
        (void) sd_event_unref(x->event);
        free(x);
        return NULL;
}

sd_event *exec_event(Exec *x) {
        return x->event;
}
