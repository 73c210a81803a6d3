/* Reading and replacing small files. Only for start-up and rare writes: the page cache answers, but a disk may be slow. */
#include "fileio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "fd.h"
#include "str.h"

static int fd_read_all(int fd, size_t max, char **ret, size_t *ret_size) {
        Buffer b = {};

        for (;;) {
                ssize_t n;
                int r = buffer_reserve(&b, 4096);

                n = r < 0 ? r : read(fd, b.data + b.size, 4096);
                if (n < 0 && r >= 0 && errno == EINTR)
                        continue;
                if (n < 0 || b.size + (size_t) n > max) {
                        r = r < 0 ? r : n < 0 ? -errno : -EFBIG;
                        buffer_done(&b);
                        return r;
                }
                if (n == 0)
                        break;
                b.size += (size_t) n;
        }
        *ret_size = b.size;
        return buffer_take(&b, ret);
}

static int file_read_fd(int fd, size_t max, char **ret, size_t *ret_size) {
        _cleanup_(freep) char *data = NULL;
        size_t size = 0;
        int r = fd_read_all(fd, max, &data, &size);

        if (r < 0)
                return r;
        if (memchr(data, '\0', size))
                return -EINVAL;
        if (ret_size)
                *ret_size = size;
        *ret = TAKE_PTR(data);
        return 0;
}

int file_read(const char *path, size_t max, char **ret, size_t *ret_size) {
        _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

        return fd < 0 ? -errno : file_read_fd(fd, max, ret, ret_size);
}

int file_read_secret(const char *path, size_t max, char **ret) {
        _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        _cleanup_(freep) char *data = NULL;
        struct stat st;
        char *stripped;
        int r;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (st.st_mode & S_IRWXO)
                return -EPERM;
        r = file_read_fd(fd, max, &data, NULL);
        if (r < 0)
                return r;
        stripped = strdup(str_strip(data));
        explicit_bzero(data, strlen(data));
        if (!stripped)
                return -ENOMEM;
        *ret = stripped;
        return 0;
}

static int write_and_sync(int fd, const char *data, size_t size) {
        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                data += n;
                size -= (size_t) n;
        }
        return fsync(fd) < 0 ? -errno : 0;
}

/* A new name is on disk when its directory is. */
static int sync_directory_of(const char *path) {
        const char *slash = strrchr(path, '/');
        _cleanup_(freep) char *directory =
                slash ? strndup(path, (size_t) (slash - path) + 1) : strdup(".");
        _cleanup_(fd_closep) int fd = -EBADF;

        if (!directory)
                return -ENOMEM;
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int file_write_atomic(const char *path, const char *data, size_t size, mode_t mode) {
        _cleanup_(freep) char *temporary = str_format("%s.XXXXXX", path);
        _cleanup_(fd_closep) int fd = -EBADF;
        int r;

        if (!temporary)
                return -ENOMEM;
        fd = mkostemp(temporary, O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = fchmod(fd, mode) < 0 ? -errno : write_and_sync(fd, data, size);
        if (r >= 0 && rename(temporary, path) < 0)
                r = -errno;
        if (r < 0)
                (void) unlink(temporary);
        return r < 0 ? r : sync_directory_of(path);
}
