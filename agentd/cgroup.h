/* Accounting of an attempt, read from the cgroup of its slice, which outlives its service. */
#pragma once

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

/* attempt: 32 hex digits. -ENOENT when the slice is gone; then nothing is written. */
int cgroup_read(const char *attempt, Usage *ret);
