/* The kernel asks an idle peer, and ends a connection when what was sent is not confirmed in time. These are two clocks: an answer
 * stops the first and starts the second from nothing. Left at that, a host that vanished while its poll was held, and whose poll
 * was answered meanwhile, had its time twice. */
#include "keep-alive.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "log.h"
#include "timespan.h"

#define SILENT_MSEC 1000U /* less is no silence */
#define LEFT_MIN_MSEC 1000U
#define PROBES_MAX 127 /* Linux' */

void keep_alive_listen(int fd, uint64_t timeout_usec) {
        int msec = (int) (timeout_usec / USEC_PER_MSEC),
            half = (int) (timeout_usec / USEC_PER_SEC / 2);
        const struct {
                int level, name, value;
        } options[] = {
                { SOL_SOCKET, SO_KEEPALIVE, 1 },
                { IPPROTO_TCP, TCP_KEEPIDLE, half },
                { IPPROTO_TCP, TCP_KEEPINTVL, 1 },
                { IPPROTO_TCP, TCP_KEEPCNT, half < PROBES_MAX ? half : PROBES_MAX },
                { IPPROTO_TCP, TCP_USER_TIMEOUT, msec },
        };

        for (size_t i = 0; i < ELEMENTSOF(options); i++)
                if (setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                               sizeof(options[i].value)) < 0 &&
                    errno != EOPNOTSUPP && errno != ENOPROTOOPT)
                        log_error(-errno, "Cannot have the kernel look after connections");
}

static bool set_timeout(int fd, unsigned msec) {
        return setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &msec, sizeof(msec)) == 0;
}

bool keep_alive_answer(int fd, uint64_t timeout_usec) {
        unsigned timeout = (unsigned) (timeout_usec / USEC_PER_MSEC), silent, left;
        struct tcp_info info;
        socklen_t size = sizeof(info);

        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
                return false;
        silent = info.tcpi_last_ack_recv < info.tcpi_last_data_recv ? info.tcpi_last_ack_recv
                                                                    : info.tcpi_last_data_recv;
        if (silent < SILENT_MSEC)
                return false;
        left = timeout > silent ? timeout - silent : 0;
        return set_timeout(fd, left > LEFT_MIN_MSEC ? left : LEFT_MIN_MSEC);
}

void keep_alive_restore(int fd, uint64_t timeout_usec) {
        (void) set_timeout(fd, (unsigned) (timeout_usec / USEC_PER_MSEC));
}
