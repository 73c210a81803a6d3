/* A table of files and the words in them. Formats: the kernel's Documentation/admin-guide/cgroup-v2.rst. */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "fd.h"
#include "id.h"
#include "str.h"
#include "unit-name.h"

#define CGROUP_ROOT "/sys/fs/cgroup/sluice.slice"
#define FILE_MAX 16384

static const struct {
        const char *file;
        const char *word; /* NULL: the file is the number */
        char separator;   /* between word and number */
        size_t offset;
} rows[] = {
        { "cpu.stat", "usage_usec", ' ', offsetof(Usage, cpu_usage_usec) },
        { "memory.current", NULL, 0, offsetof(Usage, memory_current_bytes) },
        { "memory.peak", NULL, 0, offsetof(Usage, memory_peak_bytes) },
        { "memory.events", "oom_kill", ' ', offsetof(Usage, oom_kills) },
        { "io.stat", "rbytes", '=', offsetof(Usage, io_read_bytes) },
        { "io.stat", "wbytes", '=', offsetof(Usage, io_write_bytes) },
        { "pids.current", NULL, 0, offsetof(Usage, tasks_current) },
};

static ssize_t read_at(int directory, const char *file, char *text, size_t size) {
        _cleanup_(fd_closep) int fd = openat(directory, file, O_RDONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                return -errno;
        n = read(fd, text, size - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        return n;
}

/* The sum over all places where the word stands: io.stat has a line for each device. */
static uint64_t sum_of(const char *text, const char *word, char separator) {
        size_t n = strlen(word);
        uint64_t sum = 0;

        for (const char *p = text; (p = strstr(p, word)); p += n)
                if ((p == text || p[-1] == ' ' || p[-1] == '\n') && p[n] == separator)
                        sum += strtoull(p + n + 1, NULL, 10);
        return sum;
}

/* service: the directory of the service in it. */
static int open_slice(const char *id, bool service) {
        _cleanup_(freep) char *path = NULL, *slice = NULL, *below = NULL;
        UnitName u;
        int fd;

        if (!unit_name_from_id(id, &u))
                return -EINVAL;
        slice = unit_name_cgroup(&u);
        below = unit_name_service(&u);
        path = slice && below ? str_format(CGROUP_ROOT "%s%s%s", slice, service ? "/" : "",
                                           service ? below : "")
                              : NULL;
        if (!path)
                return -ENOMEM;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

int cgroup_read(const char *id, Usage *ret) {
        _cleanup_(fd_closep) int directory = open_slice(id, false);
        const char *last = "";
        char text[FILE_MAX];
        ssize_t n = -ENOENT;
        Usage usage;

        (void) memset(&usage, 0xff, sizeof(usage)); /* USAGE_UNKNOWN */
        if (directory < 0)
                return directory;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                if (!str_eq(last, rows[i].file))
                        n = read_at(directory, rows[i].file, text, sizeof(text));
                last = rows[i].file;
                if (n >= 0)
                        *(uint64_t *) ((char *) &usage + rows[i].offset) =
                                rows[i].word ? sum_of(text, rows[i].word, rows[i].separator)
                                             : strtoull(text, NULL, 10);
        }
        *ret = usage;
        return 0;
}

bool cgroup_is_populated(const char *id) {
        _cleanup_(fd_closep) int directory = open_slice(id, false);
        char text[128];

        return directory >= 0 && read_at(directory, "cgroup.events", text, sizeof(text)) >= 0 &&
               sum_of(text, "populated", ' ') > 0;
}

bool limits_are_known(const Limits *limits) {
        const Limits unknown = LIMITS_UNKNOWN;

        return limits->memory_max_bytes != unknown.memory_max_bytes &&
               limits->cpu_quota_per_sec_usec != unknown.cpu_quota_per_sec_usec &&
               limits->tasks_max != unknown.tasks_max;
}

/* The number in a file of limits, "max" or a file that is not there: none, the kernel limits nothing. */
static uint64_t limit_at(int directory, const char *file, char *text, size_t size) {
        ssize_t n = read_at(directory, file, text, size);

        return n <= 0 || text[0] < '0' || text[0] > '9' ? UINT64_MAX : strtoull(text, NULL, 10);
}

int cgroup_read_limits(const char *id, Limits *ret) {
        _cleanup_(fd_closep) int directory = open_slice(id, true);
        char text[64];
        uint64_t quota, period;
        const char *space;

        if (directory < 0)
                return directory;
        ret->memory_max_bytes = limit_at(directory, "memory.max", text, sizeof(text));
        ret->tasks_max = limit_at(directory, "pids.max", text, sizeof(text));
        quota = limit_at(directory, "cpu.max", text, sizeof(text)); /* "QUOTA PERIOD" */
        space = quota == UINT64_MAX ? NULL : strchr(text, ' ');
        period = space ? strtoull(space, NULL, 10) : 0;
        ret->cpu_quota_per_sec_usec =
                period == 0 ? UINT64_MAX : (uint64_t) ((__uint128_t) quota * 1000000U / period);
        return 0;
}
