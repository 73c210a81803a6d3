/* The listening socket: from systemd, or made here. */
#pragma once

#include "error.h"
#include "settings.h"

/* *ret is owned by the caller, non-blocking. Refuses plain HTTP on anything but loopback. */
int listen_socket(const Settings *settings, int *ret, Error *e);

#define LISTEN_TEXT_MAX 80
/* "127.0.0.1:8443", "[::]:8443": where it really listens. */
void listen_describe(int fd, char text[LISTEN_TEXT_MAX]);
