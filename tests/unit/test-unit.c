/* What PID 1 tells of units finds its unit, however many there are, on a bus that takes few matches from a connection. The bus is a dbus-daemon
 * of our own, and a connection that has systemd's name tells. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"
#include "str.h"
#include "timespan.h"
#include "unit-name.h"
#include "unit.h"
#include "../lib/tap.h"

#define UNITS 20 /* more than the bus takes matches */
#define SYSTEMD "org.freedesktop.systemd1"
#define CONFIGURATION                                                                              \
        "<busconfig><listen>unix:path=%s/bus</listen><auth>EXTERNAL</auth>"                        \
        "<policy context='default'><allow send_destination='*'/><allow receive_sender='*'/>"       \
        "<allow own='*'/><allow user='*'/></policy>"                                               \
        "<limit name='max_match_rules_per_connection'>8</limit></busconfig>"

static char directory[] = "/tmp/sluice-test-unit-XXXXXX";
static char *address, *socket_path, *configuration;
static pid_t daemon_pid;
static sd_event *event;
static sd_bus *systemd;
static UnitBus *bus;
static Unit *units[UNITS];
static char ids[UNITS][ID_HEX_SIZE];
static unsigned told[UNITS];
static int status_of[UNITS];
static char result_of[UNITS][32];

static void on_version(const char *version, void *userdata) {
        (void) version;
        (void) userdata;
}

static void on_found(const char *attempt, bool slice, void *userdata) {
        (void) attempt;
        (void) slice;
        (void) userdata;
}

static void on_listed(int r, const Error *e, void *userdata) {
        (void) r;
        (void) e;
        (void) userdata;
}

static const UnitBusEvents events = { on_version, on_found, on_listed };

static void on_state(Unit *u, const UnitState *state, void *userdata) {
        size_t i = (size_t) ((unsigned *) userdata - told);

        (void) u;
        told[i]++;
        status_of[i] = state->main_status;
        (void) strcpy(result_of[i], state->result);
}

static bool start_daemon(void) {
        _cleanup_(freep) char *text = NULL;

        if (!mkdtemp(directory))
                return false;
        text = str_format(CONFIGURATION, directory);
        socket_path = str_format("%s/bus", directory);
        address = str_format("unix:path=%s", socket_path);
        configuration = str_format("--config-file=%s/bus.conf", directory);
        if (!text || !address || !socket_path || !configuration)
                return false;
        if (file_write_atomic(str_after(configuration, "--config-file="), text, strlen(text),
                              0600) < 0)
                return false;
        daemon_pid = fork();
        if (daemon_pid == 0) {
                (void) execlp("dbus-daemon", "dbus-daemon", configuration, "--nofork", NULL);
                _exit(127);
        }
        for (unsigned i = 0; i < 500 && access(socket_path, F_OK) < 0; i++) {
                if (waitpid(daemon_pid, NULL, WNOHANG) != 0)
                        return false;
                (void) usleep(20 * USEC_PER_MSEC);
        }
        return setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1) == 0;
}

static void stop_daemon(void) {
        (void) kill(daemon_pid, SIGTERM);
        (void) waitpid(daemon_pid, NULL, 0);
        (void) unlink(str_after(configuration, "--config-file="));
        (void) unlink(socket_path);
        (void) rmdir(directory);
        free(address);
        free(socket_path);
        free(configuration);
}

/* All that we have asked the bus for is done: it answers in order. */
static void settle(void) {
        int r = sd_bus_call_method(unit_bus_connection(bus), "org.freedesktop.DBus",
                                   "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId", NULL,
                                   NULL, "");

        ok_true(r >= 0);
}

static void tell_result(size_t i, const char *result, int status) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(freep) char *name = NULL, *path = NULL;
        UnitName u;

        ok_true(unit_name_from_id(ids[i], &u));
        name = unit_name_service(&u);
        ok_true(name && sd_bus_path_encode("/org/freedesktop/systemd1/unit", name, &path) >= 0);
        ok_true(sd_bus_message_new_signal(systemd, &m, path, "org.freedesktop.DBus.Properties",
                                          "PropertiesChanged") >= 0);
        ok_true(sd_bus_message_append(m, "sa{sv}as", SYSTEMD ".Service", 2, "ExecMainStatus", "i",
                                      status, "Result", "s", result, 0) >= 0);
        ok_true(sd_bus_send(systemd, m, NULL) >= 0 && sd_bus_flush(systemd) >= 0);
}

static void tell(size_t i, int status) {
        tell_result(i, "success", status);
}

/* Until this many were told, or five seconds. */
static unsigned run_until(unsigned wanted) {
        unsigned sum = 0;

        for (unsigned turns = 0; turns < 50 && sum < wanted; turns++) {
                if (sd_event_run(event, 100 * USEC_PER_MSEC) < 0)
                        break;
                sum = 0;
                for (size_t i = 0; i < UNITS; i++)
                        sum += told[i];
        }
        return sum;
}

static void test_more_units_than_matches(void) {
        for (size_t i = 0; i < UNITS; i++) {
                (void) snprintf(ids[i], sizeof(ids[i]), "%032zx", i + 1);
                ok_int(unit_new(bus, ids[i], on_state, &told[i], &units[i]), 0);
        }
        settle();
        tell(7, 3);
        ok_int(run_until(1), 1);
        ok_int(told[7], 1);
        ok_int(status_of[7], 3);
        ok_int(sd_bus_is_open(unit_bus_connection(bus)), 1);
}

static void test_one_id_is_one_unit(void) {
        Unit *u = NULL;

        ok_int(unit_new(bus, ids[7], on_state, &told[7], &u), -EEXIST);
        ok_null(u);
        tell(7, 4);
        ok_int(run_until(2), 2);
        ok_int(status_of[7], 4);
}

static void test_one_that_is_gone_is_told_nothing(void) {
        units[7] = unit_free(units[7]);
        tell(7, 5);
        tell(8, 6);
        ok_int(run_until(3), 3);
        ok_int(told[7], 2);
        ok_int(told[8], 1);
        ok_int(unit_new(bus, ids[7], on_state, &told[7], &units[7]), 0);
        tell(7, 9);
        ok_int(run_until(4), 4);
        ok_int(status_of[7], 9);
}

static void test_a_failure_that_is_forgotten_stays_one(void) {
        tell_result(9, "exit-code", 3);
        ok_int(run_until(5), 5);
        tell_result(9, "success", 0); /* systemctl reset-failed */
        tell(10, 1);
        ok_int(run_until(6), 6);
        ok_int(told[10], 1);
        ok_int(status_of[9], 3);
        ok_str(result_of[9], "exit-code");
}

static void test_one_that_is_begun_again_is_a_success(void) {
        unit_supervise(units[9]);
        tell_result(9, "success", 0);
        ok_int(run_until(7), 7);
        ok_str(result_of[9], "success");
}

int main(void) {
        (void) alarm(60);
        if (!start_daemon()) {
                printf("Bail out! There is no dbus-daemon, or it does not start.\n");
                return 1;
        }
        ok_true(sd_event_new(&event) >= 0);
        ok_true(sd_bus_open_system(&systemd) >= 0);
        ok_true(sd_bus_request_name(systemd, SYSTEMD, 0) >= 0);
        ok_int(unit_bus_new(event, "", &events, NULL, &bus, NULL), 0);
        RUN(test_more_units_than_matches);
        RUN(test_one_id_is_one_unit);
        RUN(test_one_that_is_gone_is_told_nothing);
        RUN(test_a_failure_that_is_forgotten_stays_one);
        RUN(test_one_that_is_begun_again_is_a_success);
        unit_bus_let_go(bus);
        for (size_t i = 0; i < UNITS; i++)
                units[i] = unit_free(units[i]);
        bus = unit_bus_free(bus);
        systemd = sd_bus_flush_close_unref(systemd);
        event = sd_event_unref(event);
        stop_daemon();
        return tap_done();
}
