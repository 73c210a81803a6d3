/* Calls to PID 1's manager object, all asynchronous. */
#pragma once

#include <systemd/sd-bus.h>

#define MANAGER_SERVICE "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER_INTERFACE "org.freedesktop.systemd1.Manager"
#define MANAGER_TIMEOUT_USEC 90000000ULL

int manager_message(sd_bus *bus, const char *method, sd_bus_message **ret);

/* Sends m; with a callback, slot owns the pending reply. */
int manager_send(sd_bus *bus, sd_bus_message *m, sd_bus_slot **slot,
                 sd_bus_message_handler_t on_reply, void *userdata);

/* Sends a call whose answer nobody needs. */
int manager_tell(sd_bus *bus, const char *method, const char *types, ...);
