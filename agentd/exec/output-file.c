/* A file is looked at before it is opened: a device, FIFO or link that a task put there is never touched. */
#include "output-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "fd.h"

static int refuse(Error *e, const char *words) {
        return error_set(e, -EPERM, "bad-output", "%s", words);
}

/* Of a hard link the other name may be anybody's. */
static int check_file(const struct stat *st, Error *e) {
        if (S_ISLNK(st->st_mode))
                return refuse(e, "it is a symbolic link");
        if (!S_ISREG(st->st_mode))
                return refuse(e, "it is no regular file");
        if (st->st_nlink > 1)
                return refuse(e, "it has other names (hard links)");
        if (st->st_size > OUTPUT_FILE_MAX)
                return refuse(e, "it is larger than 64 KiB");
        return 0;
}

static bool same_time(const struct timespec *a, const struct timespec *b) {
        return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* One byte more than there may be is asked for: a file that grows is seen. */
static int read_all(int fd, const struct stat *before, Buffer *b, Error *e) {
        struct stat after;
        ssize_t n = 1;

        if (buffer_reserve(b, OUTPUT_FILE_MAX + 1) < 0)
                return -ENOMEM;
        while (n > 0 && b->size <= OUTPUT_FILE_MAX) {
                n = read(fd, b->data + b->size, OUTPUT_FILE_MAX + 1 - b->size);
                if (n > 0)
                        b->size += (size_t) n;
        }
        b->data[b->size] = '\0';
        if (n < 0 || fstat(fd, &after) < 0)
                return -errno;
        if (b->size != (size_t) before->st_size || after.st_size != before->st_size ||
            !same_time(&after.st_mtim, &before->st_mtim) ||
            !same_time(&after.st_ctim, &before->st_ctim))
                return refuse(e, "it was written to while it was read");
        return 0;
}

int output_read(const char *directory, const char *name, Buffer *ret, Error *e) {
        _cleanup_(fd_closep) int dir = -EBADF, path = -EBADF, fd = -EBADF;
        char link[64];
        struct stat st;
        int r;

        dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        path = dir < 0 ? -1 : openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (path < 0)
                return errno == ENOENT ? 0 : -errno;
        if (fstat(path, &st) < 0)
                return -errno;
        r = check_file(&st, e);
        if (r < 0)
                return r;
        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", path);
        fd = open(link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        return fd < 0 ? -errno : read_all(fd, &st, ret, e);
}
