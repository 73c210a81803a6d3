/* The listening socket: from systemd, or made here. */
#pragma once

#include "error.h"
#include "settings.h"

/* *ret is owned by the caller, non-blocking. Refuses plain HTTP on anything but loopback. */
int listen_socket(const Settings *settings, int *ret, Error *e);
