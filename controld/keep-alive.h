/* How long a peer may be silent before the kernel ends its connection: no request of ours is needed for it (tcp(7)). Sockets that
 * are no TCP sockets have no such thing, and need none. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* For a listening socket: what it accepts inherits it. Peers are asked for after half of the time, and then each second. */
void keep_alive_listen(int fd, uint64_t timeout_usec);

/* An answer is about to be sent, which the kernel would give the whole time to be confirmed: a peer that has been silent for a
 * while has what is left of it, a second at least. True when the time was changed, until keep_alive_restore(). */
bool keep_alive_answer(int fd, uint64_t timeout_usec);
void keep_alive_restore(int fd, uint64_t timeout_usec);
