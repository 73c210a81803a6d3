/* A UnitSpec as D-Bus properties of a transient service. */
#pragma once

#include <systemd/sd-bus.h>

#include "spec.h"

/* Appends each as a (sv); the array is the caller's. */
int properties_write(sd_bus_message *m, const Atoms *a);

/* Appends the a(sv) of StartTransientUnit. */
int properties_append(sd_bus_message *m, const UnitSpec *s);
