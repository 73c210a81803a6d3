/* The fence of a host that is cut off: sluice-lease.target, which fenced units are part of, and a timer of PID 1's that ends it;
 * of the instance NAME sluice-lease@NAME.target.
 * It holds whatever becomes of agentd and of us. See docs/decisions/0006-fencing.md. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "cleanup.h"

/* What the fenced units of an instance are part of. New string. */
int lease_target(const char *instance, char **ret);

typedef struct Lease Lease;

/* Once, from the loop: 0 when the new deadline stands. May free the Lease. */
typedef void (*lease_done_t)(Lease *l, int r, const char *words, void *userdata);

/* The contact of this instance is good until then, on CLOCK_BOOTTIME; what is over already falls now; 0: for ever, there is no deadline any
 * more. move: false leaves a deadline alone that there is. started_usec: UserspaceTimestampMonotonic of PID 1. */
int lease_renew(sd_bus *bus, const char *instance, uint64_t deadline_usec, bool move,
                uint64_t started_usec, lease_done_t done, void *userdata, Lease **ret);
Lease *lease_free(Lease *l);
DEFINE_SCOPE_EXIT(Lease, lease_free)

/* Microseconds of CLOCK_BOOTTIME from now until the deadline; 0: it is over. */
uint64_t lease_left(uint64_t deadline_usec);
