/* An attempt as the kernel sees it: the accounting of its slice, which outlives its service, and the limits of its service. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define USAGE_UNKNOWN UINT64_MAX /* the kernel does not account for it here */

typedef struct Usage {
        uint64_t cpu_usage_usec;
        uint64_t memory_current_bytes;
        uint64_t memory_peak_bytes;
        uint64_t oom_kills;
        uint64_t io_read_bytes;
        uint64_t io_write_bytes;
        uint64_t tasks_current;
} Usage;

/* id: as in common/unit-name.h. -ENOENT when the slice is gone; then nothing is written. */
int cgroup_read(const char *id, Usage *ret);

/* A process is in it. False also when it cannot be read. */
bool cgroup_is_populated(const char *id);

/* UINT64_MAX: there is no limit. */
typedef struct Limits {
        uint64_t memory_max_bytes;
        uint64_t cpu_quota_per_sec_usec;
        uint64_t tasks_max;
} Limits;

#define LIMITS_UNKNOWN ((Limits){ UINT64_MAX - 1, UINT64_MAX - 1, UINT64_MAX - 1 })
bool limits_are_known(const Limits *limits); /* all of them */

/* -ENOENT when the service has no cgroup, not yet or no more; then nothing is written. */
int cgroup_read_limits(const char *id, Limits *ret);
