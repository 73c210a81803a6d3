/* Descriptor helpers. */
#include "fd.h"

#include <fcntl.h>
#include <unistd.h>

int fd_close(int fd) {
        if (fd >= 0)
                (void) close(fd);
        return -EBADF;
}

void fd_closep(int *slot) {
        *slot = fd_close(*slot);
}

int fd_set_nonblock(int fd) {
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;
        return 0;
}
