/* Descriptors: close-on-exec from birth, -EBADF when empty. */
#pragma once

#include <errno.h>

#include "cleanup.h"

int fd_close(int fd);      /* ignores negative descriptors; returns -EBADF */
void fd_closep(int *slot); /* for _cleanup_(fd_closep) */
int fd_set_nonblock(int fd);
