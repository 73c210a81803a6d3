/* Small files, whole. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads a file of at most max bytes; *ret is NUL-terminated and owned by the caller. -EFBIG above max, -EINVAL when it
 * holds a NUL byte. ret_size may be NULL. */
int file_read(const char *path, size_t max, char **ret, size_t *ret_size);

/* The same, for a secret: -EPERM when others than owner and group may read it; white space at both ends is removed. */
int file_read_secret(const char *path, size_t max, char **ret);

/* Replaces the file atomically (temporary file, fsync, rename) with the given mode. */
int file_write_atomic(const char *path, const char *data, size_t size, mode_t mode);
