/* bare-start: what the least that could start a task costs. One sd-bus connection, /bin/true N times, one after the other, in
 * units named and placed like Sluice's: StartTransientUnit, wait until it has ended, read Result, StopUnit.
 * usage: bare-start N [task], as root, on a systemd host. Prints "N units, S seconds, C usec of its own CPU time each". "task":
 * the units are what agentd makes of a pipe that says nothing but ExecStart=; their state directories stay. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>
#include <time.h>

#define DESTINATION "org.freedesktop.systemd1"
#define MANAGER "/org/freedesktop/systemd1"

/* What a task's unit has besides, as agentd/exec/properties.c and the profile "standard" of common/sandbox.c say it. */
static const struct {
        const char *name, *type, *text;
} task_properties[] = {
        { "CPUAccounting", "b", "yes" },        { "MemoryAccounting", "b", "yes" },
        { "TasksAccounting", "b", "yes" },      { "IOAccounting", "b", "yes" },
        { "DynamicUser", "b", "yes" },          { "NoNewPrivileges", "b", "yes" },
        { "ProtectSystem", "s", "strict" },     { "ProtectHome", "s", "yes" },
        { "PrivateTmp", "b", "yes" },           { "PrivateDevices", "b", "yes" },
        { "ProtectClock", "b", "yes" },         { "ProtectControlGroups", "b", "yes" },
        { "ProtectHostname", "b", "yes" },      { "ProtectKernelLogs", "b", "yes" },
        { "ProtectKernelModules", "b", "yes" }, { "ProtectKernelTunables", "b", "yes" },
        { "RestrictRealtime", "b", "yes" },     { "RestrictSUIDSGID", "b", "yes" },
        { "LockPersonality", "b", "yes" },      { "SystemCallArchitectures", "as", "native" },
};
static bool as_task;

typedef struct Attempt {
        char unit[64], slice[64], user[32];
        char *path;
        bool ended;
} Attempt;

static int check(int r, const char *what) {
        if (r < 0) {
                fprintf(stderr, "bare-start: %s: %s\n", what, strerror(-r));
                exit(1);
        }
        return r;
}

/* The unit's SubState leaves start/running when its process has ended. */
static int on_properties(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Attempt *a = userdata;
        const char *interface, *key, *state;

        (void) error;
        if (sd_bus_message_read(m, "s", &interface) < 0 ||
            strcmp(interface, DESTINATION ".Unit") != 0 ||
            sd_bus_message_enter_container(m, 'a', "{sv}") < 0)
                return 0;
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                if (sd_bus_message_read(m, "s", &key) < 0)
                        return 0;
                if (strcmp(key, "SubState") == 0) {
                        if (sd_bus_message_read(m, "v", "s", &state) < 0)
                                return 0;
                        a->ended = a->ended || strcmp(state, "exited") == 0 ||
                                   strcmp(state, "failed") == 0;
                } else if (sd_bus_message_skip(m, "v") < 0)
                        return 0;
                (void) sd_bus_message_exit_container(m);
        }
        return 0;
}

static void append_task(sd_bus_message *m, const Attempt *a) {
        for (size_t i = 0; i < sizeof(task_properties) / sizeof(*task_properties); i++) {
                const char *name = task_properties[i].name, *type = task_properties[i].type;

                if (*type == 'b')
                        check(sd_bus_message_append(m, "(sv)", name, type, true), name);
                else if (*type == 's')
                        check(sd_bus_message_append(m, "(sv)", name, type, task_properties[i].text),
                              name);
                else
                        check(sd_bus_message_append(m, "(sv)", name, type, 1,
                                                    task_properties[i].text),
                              name);
        }
        check(sd_bus_message_append(m, "(sv)(sv)(sv)(sv)", "CapabilityBoundingSet", "t",
                                    UINT64_C(0), "StateDirectory", "as", 1, a->unit, "User", "s",
                                    a->user, "SyslogIdentifier", "s", "task"),
              "append");
}

static void start(sd_bus *bus, const Attempt *a) {
        sd_bus_message *m = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;

        check(sd_bus_message_new_method_call(bus, &m, DESTINATION, MANAGER, DESTINATION ".Manager",
                                             "StartTransientUnit"),
              "new");
        check(sd_bus_message_append(m, "ss", a->unit, "fail"), "append");
        check(sd_bus_message_open_container(m, 'a', "(sv)"), "open");
        check(sd_bus_message_append(m, "(sv)(sv)(sv)(sv)", "Slice", "s", a->slice,
                                    "RemainAfterExit", "b", true, "CollectMode", "s", "inactive",
                                    "Type", "s", "exec"),
              "append");
        check(sd_bus_message_append(m, "(sv)", "ExecStart", "a(sasb)", 1, "/bin/true", 1,
                                    "/bin/true", false),
              "append");
        if (as_task)
                append_task(m, a);
        check(sd_bus_message_close_container(m), "close");
        check(sd_bus_message_append(m, "a(sa(sv))", 0), "append");
        check(sd_bus_call(bus, m, 0, &error, NULL), "StartTransientUnit");
        sd_bus_message_unref(m);
}

static void once(sd_bus *bus) {
        Attempt a = {};
        sd_bus_slot *slot = NULL;
        char id[SD_ID128_STRING_MAX], *result = NULL;
        sd_id128_t random;

        check(sd_id128_randomize(&random), "random");
        sd_id128_to_string(random, id);
        snprintf(a.unit, sizeof(a.unit), "sluice-%s.service", id);
        snprintf(a.user, sizeof(a.user), "sluice-%.20s", id);
        snprintf(a.slice, sizeof(a.slice), "sluice-%c-%s.slice", id[31], id);
        check(sd_bus_path_encode("/org/freedesktop/systemd1/unit", a.unit, &a.path), "path");
        check(sd_bus_match_signal(bus, &slot, DESTINATION, a.path,
                                  "org.freedesktop.DBus.Properties", "PropertiesChanged",
                                  on_properties, &a),
              "match");
        start(bus, &a);
        while (!a.ended)
                if (check(sd_bus_process(bus, NULL), "process") == 0)
                        check(sd_bus_wait(bus, UINT64_MAX), "wait");
        check(sd_bus_get_property_string(bus, DESTINATION, a.path, DESTINATION ".Service", "Result",
                                         NULL, &result),
              "Result");
        check(sd_bus_call_method(bus, DESTINATION, MANAGER, DESTINATION ".Manager", "StopUnit",
                                 NULL, NULL, "ss", a.unit, "replace"),
              "StopUnit");
        check(sd_bus_call_method(bus, DESTINATION, MANAGER, DESTINATION ".Manager", "StopUnit",
                                 NULL, NULL, "ss", a.slice, "replace"),
              "StopUnit");
        sd_bus_slot_unref(slot);
        free(result);
        free(a.path);
}

int main(int argc, char *argv[]) {
        int n = argc >= 2 ? atoi(argv[1]) : 0;
        struct timespec begin, end;
        struct rusage use;
        sd_bus *bus = NULL;

        if (n <= 0)
                return 2;
        as_task = argc == 3 && strcmp(argv[2], "task") == 0;
        check(sd_bus_open_system(&bus), "bus");
        check(sd_bus_call_method(bus, DESTINATION, MANAGER, DESTINATION ".Manager", "Subscribe",
                                 NULL, NULL, ""),
              "Subscribe");
        (void) clock_gettime(CLOCK_MONOTONIC, &begin);
        for (int i = 0; i < n; i++)
                once(bus);
        (void) clock_gettime(CLOCK_MONOTONIC, &end);
        (void) getrusage(RUSAGE_SELF, &use);
        printf("%d units, %.3f seconds, %.0f usec of its own CPU time each\n", n,
               (double) (end.tv_sec - begin.tv_sec) + (double) (end.tv_nsec - begin.tv_nsec) / 1e9,
               ((double) (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 +
                (double) (use.ru_utime.tv_usec + use.ru_stime.tv_usec)) /
                       n);
        sd_bus_unref(bus);
        return 0;
}
