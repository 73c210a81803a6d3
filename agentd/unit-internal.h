/* What unit.c (a unit) and unit-bus.c (which there are, and what PID 1 tells of all of them) share. */
#pragma once

#include "unit.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SERVICE SYSTEMD ".Service"
#define PROPERTIES "org.freedesktop.DBus.Properties"

/* By its path, its first member. -EEXIST, -ENOMEM. */
int unit_bus_add(UnitBus *b, Unit *u);
void unit_bus_remove(UnitBus *b, Unit *u); /* also one that was never added */
/* m: a PropertiesChanged of it, read as far as the name of the interface. May free it. */
void unit_changed(Unit *u, sd_bus_message *m);
