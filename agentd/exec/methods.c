/* The methods of io.sluice.Exec1: each checks what it is asked, asks PID 1 or journald, and passes the answer on. Everything in a
 * call is hostile; who may call is decided by the D-Bus policy file. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "drop-in.h"
#include "exec-internal.h"
#include "id.h"
#include "log.h"
#include "manager.h"
#include "output-file.h"
#include "proto.h"
#include "properties.h"
#include "spec.h"
#include "str.h"
#include "strv.h"
#include "unit-name.h"

#define EXEC_REFUSED EXEC_NAME ".Error.Refused"
#define EXEC_EXISTS EXEC_NAME ".Error.Exists"
#define EXEC_UNABLE EXEC_NAME ".Error.Unable" /* now, and here */
/* The first systemd that still knows after a daemon-reload how often it has started a unit. */
#define START_LIMIT_KEPT 255U
#define LOG_FIELDS "/run/systemd/units/log-extra-fields:"

/* Trouble that passes is no refusal: the attempt may be tried again, or elsewhere. *ret_words: what people are told. */
static const char *error_name_of(const sd_bus_error *e, const char **ret_words) {
        static const struct {
                const char *theirs, *ours, *words;
        } names[] = {
                { "org.freedesktop.systemd1.UnitExists", EXEC_EXISTS, NULL },
                { "org.freedesktop.systemd1.NoSuchUnit", EXEC_UNABLE,
                  "What it wrote of the unit into /run is not there. Is /run full?" },
                { "System.Error.ENOSPC", EXEC_UNABLE, NULL },
                { "System.Error.EDQUOT", EXEC_UNABLE, NULL },
                { "System.Error.EMFILE", EXEC_UNABLE, NULL },
                { "System.Error.ENFILE", EXEC_UNABLE, NULL },
                { SD_BUS_ERROR_NO_REPLY, EXEC_FAILED, NULL },
                { SD_BUS_ERROR_TIMEOUT, EXEC_FAILED, NULL },
                { SD_BUS_ERROR_DISCONNECTED, EXEC_FAILED, NULL },
                { SD_BUS_ERROR_LIMITS_EXCEEDED, EXEC_FAILED, NULL },
                { SD_BUS_ERROR_SERVICE_UNKNOWN, EXEC_FAILED, NULL },
                { SD_BUS_ERROR_NO_MEMORY, EXEC_FAILED, NULL },
        };

        *ret_words = e->message ? e->message : e->name;
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (str_eq(e->name, names[i].theirs)) {
                        *ret_words = names[i].words ? names[i].words : *ret_words;
                        return names[i].ours;
                }
        return EXEC_REFUSED;
}

static int unit_of_start(sd_bus_message *start, char **ret) {
        const char *attempt;
        int r = sd_bus_message_rewind(start, true);

        if (r >= 0)
                r = sd_bus_message_read(start, "s", &attempt);
        return r < 0 ? r : spec_unit_name(attempt, ret);
}

/* Of a unit that PID 1 does not start; one that exists has them from an earlier call. */
static void forget_drop_ins(sd_bus_message *start) {
        _cleanup_(freep) char *unit = NULL;

        if (unit_of_start(start, &unit) >= 0)
                drop_in_remove(DROP_IN_ROOT, unit);
}

/* A batch task begins once, and this PID 1 forgets at a daemon-reload that it has. */
static void note_started(const Call *c) {
        _cleanup_(freep) char *unit = NULL;
        int r;

        if (c->exec->systemd >= START_LIMIT_KEPT ||
            !str_eq(sd_bus_message_get_member(c->request), "Start"))
                return;
        r = unit_of_start(c->request, &unit);
        if (r >= 0)
                r = drop_in_write_started(DROP_IN_ROOT, unit);
        if (r < 0)
                (void) log_error(
                        r, "Cannot write the drop-in of %s, which may be started again by hand",
                        unit ? unit : "a unit");
}

static int call_on_started(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        const char *job = "/";
        Call *c = userdata;

        (void) ret_error;
        if (e) {
                const char *words, *name = error_name_of(e, &words);

                if (str_eq(name, EXEC_REFUSED) || str_eq(name, EXEC_UNABLE))
                        forget_drop_ins(c->request);
                else if (str_eq(name, EXEC_EXISTS))
                        note_started(c);
                (void) sd_bus_reply_method_errorf(c->request, name, "systemd: %s", words);
        } else {
                note_started(c);
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

/* *ret_error: the name of the error, in case of one. A policy that cannot be read has not said no. */
static int unit_from_request(Exec *x, sd_bus_message *m, UnitSpec *ret, const char **ret_error,
                             Error *e) {
        StartRequest request = {};
        Policy policy = {};
        int r = sd_bus_message_read(m, "susss", &request.attempt, &request.epoch, &request.run,
                                    &request.project, &request.pipe);

        if (r >= 0)
                r = sd_bus_message_read(m, "st", &request.task, &request.deadline_usec);
        if (r >= 0)
                r = read_directives(m, &request.directives);
        request.systemd = x->systemd;
        request.streaming = str_eq(sd_bus_message_get_member(m), "StartStreaming");
        *ret_error = EXEC_REFUSED;
        if (r >= 0) {
                r = policy_load(x->policy_path, &policy, e);
                if (r < 0)
                        *ret_error = EXEC_UNABLE;
        }
        if (r >= 0)
                r = spec_build(&request, &policy, ret, e);
        if (r == -ENOMEM)
                *ret_error = EXEC_UNABLE;
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
        const char *name;
        Error e = {};
        int r = call_new(x, m, &c);

        (void) error;
        if (r < 0)
                return reply_failure(m, r);
        r = unit_from_request(x, m, &spec, &name, &e);
        if (r < 0) {
                log_message(LOG_NOTICE, NULL, NULL, "Refused: %s", error_text(&e, r));
                return sd_bus_reply_method_errorf(m, name, "%s", error_text(&e, r));
        }
        if (is_late(&spec)) {
                spec_done(&spec);
                return sd_bus_reply_method_errorf(m, EXEC_FAILED, "The offer is no longer good.");
        }
        r = drop_in_write(DROP_IN_ROOT, &spec);
        if (r < 0)
                (void) log_error(
                        r,
                        "Cannot write the drop-in of %s, whose commands a daemon-reload may change",
                        spec.unit);
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

/* What journald adds to the lines of a unit stands in a file of PID 1's, which removes one with another name when the unit ends (systemd 252 and 257
 * do): each attempt would leave a page of memory for good. */
static void remove_log_fields(const char *unit) {
        _cleanup_(freep) char *path = str_format(LOG_FIELDS "%s", unit);

        if (path && unlink(path) < 0 && errno != ENOENT)
                (void) log_error(-errno, "Cannot remove %s", path);
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
        if (r >= 0) {
                drop_in_remove(DROP_IN_ROOT, unit);
                remove_log_fields(unit);
        }
        x->used = true;
        return r < 0 ? reply_failure(m, r) : sd_bus_reply_method_return(m, "");
}

static void call_finish(Call *c, int r, const char *words) {
        if (r < 0)
                (void) sd_bus_reply_method_errorf(c->request, EXEC_FAILED, "systemd: %s",
                                                  words ? words : strerror(-r));
        else
                (void) sd_bus_reply_method_return(c->request, "");
        call_done(c);
}

static void call_on_cleaned(Clean *clean, int r, const char *words, void *userdata) {
        (void) clean;
        call_finish(userdata, r, words);
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
        (void) lease;
        call_finish(userdata, r, words);
}

static int renew_lease(Exec *x, sd_bus_message *m, const char *instance) {
        _cleanup_(call_freep) Call *c = NULL;
        uint64_t deadline_usec;
        int move;
        int r = sd_bus_message_read(m, "tb", &deadline_usec, &move);

        if (r >= 0)
                r = call_new(x, m, &c);
        if (r >= 0)
                r = lease_renew(x->bus, instance, deadline_usec, move, x->started_usec,
                                call_on_leased, c, &c->lease);
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

/* What an attempt left in its $SLUICE_OUTPUT; empty when it left nothing. */
static int method_output(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
        _cleanup_(freep) char *directory = NULL, *name = NULL;
        const char *attempt, *run;
        Exec *x = userdata;
        Buffer content = {};
        Error e = {};
        int r = sd_bus_message_read(m, "ss", &attempt, &run);

        (void) error;
        x->used = true;
        if (r >= 0)
                r = spec_output(attempt, run, &directory, &name);
        if (r >= 0)
                r = output_read(directory, name, &content, &e);
        if (r < 0 && r != -ENOMEM && r != -EMFILE && r != -ENFILE) {
                buffer_done(&content);
                return sd_bus_reply_method_errorf(m, EXEC_REFUSED, "%s", error_text(&e, r));
        }
        if (r >= 0)
                r = sd_bus_message_new_method_return(m, &answer);
        if (r >= 0)
                r = sd_bus_message_append_array(answer, 'y', content.data, content.size);
        buffer_done(&content);
        return r < 0 ? reply_failure(m, r) : sd_bus_send(x->bus, answer, NULL);
}

/* Workspaces of DynamicUser= are below a directory that only root may enter. */
static int append_workspaces(sd_bus_message *answer, const char *instance) {
        _cleanup_(freep) char *below = instance_workspaces(instance);
        _cleanup_(freep) char *directory = below ? str_format("/var/lib/private/%s", below) : NULL;
        DIR *d = directory ? opendir(directory) : NULL;
        int r = sd_bus_message_open_container(answer, 'a', "s");
        struct dirent *entry;
        unsigned n = 0;
        Id id;

        while (d && r >= 0 && n < PROTO_WORKSPACES_MAX && (entry = readdir(d)))
                if (id_parse(entry->d_name, &id) >= 0) {
                        r = sd_bus_message_append(answer, "s", entry->d_name);
                        n++;
                }
        if (d)
                (void) closedir(d);
        if (!directory)
                return -ENOMEM;
        return r < 0 ? r : sd_bus_message_close_container(answer);
}

static int method_workspaces(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
        const char *instance;
        Exec *x = userdata;
        int r = sd_bus_message_read(m, "s", &instance);

        (void) error;
        x->used = true;
        if (r >= 0 && *instance && !instance_is_valid(instance))
                r = -EINVAL;
        if (r >= 0)
                r = sd_bus_message_new_method_return(m, &answer);
        if (r >= 0)
                r = append_workspaces(answer, instance);
        return r < 0 ? reply_failure(m, r) : sd_bus_send(x->bus, answer, NULL);
}

/* Whatever was asked before this has been asked of PID 1 by now. */
static int method_barrier(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Exec *x = userdata;

        (void) error;
        x->used = true;
        return sd_bus_reply_method_return(m, "");
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
const sd_bus_vtable exec_vtable[] = {
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
        SD_BUS_METHOD_WITH_ARGS("Output", SD_BUS_ARGS("s", attempt, "s", run),
                                SD_BUS_RESULT("ay", content), method_output,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Workspaces", SD_BUS_ARGS("s", instance), SD_BUS_RESULT("as", runs),
                                method_workspaces, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Barrier", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_barrier,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Sync", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_sync,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};
