/* The three ways in which agentd-exec speaks to PID 1. */
#include "manager.h"

#include <stdarg.h>
#include <stdbool.h>

#include "cleanup.h"

int manager_message(sd_bus *bus, const char *method, sd_bus_message **ret) {
        return sd_bus_message_new_method_call(bus, ret, MANAGER_SERVICE, MANAGER_PATH,
                                              MANAGER_INTERFACE, method);
}

int manager_send(sd_bus *bus, sd_bus_message *m, sd_bus_slot **slot,
                 sd_bus_message_handler_t on_reply, void *userdata) {
        return sd_bus_call_async(bus, slot, m, on_reply, userdata, MANAGER_TIMEOUT_USEC);
}

int manager_tell(sd_bus *bus, const char *method, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        va_list ap;
        int r = manager_message(bus, method, &m);

        if (r < 0)
                return r;
        va_start(ap, types);
        r = sd_bus_message_appendv(m, types, ap);
        va_end(ap);
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(m, false);
        return r < 0 ? r : sd_bus_send(bus, m, NULL);
}
