/* One listening socket for all workers: what waits in its queue survives the death of any of them. */
#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "cleanup.h"
#include "fd.h"
#include "keep-alive.h"
#include "log.h"
#include "parse.h"
#include "str.h"
#include "timespan.h"

typedef union Address {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
} Address;

/* "0.0.0.0:8443", "[::1]:8443". Numeric only: a name would have to be looked up. */
static int address_parse(const char *text, Address *ret, socklen_t *ret_size) {
        char host[INET6_ADDRSTRLEN + 2] = "";
        const char *colon = strrchr(text, ':');
        uint64_t port;
        size_t n;

        if (!colon || parse_u64_range(colon + 1, 1, 65535, &port) < 0)
                return -EINVAL;
        n = (size_t) (colon - text);
        if (n >= sizeof(host))
                return -EINVAL;
        (void) memcpy(host, text, n);
        *ret = (Address){};
        if (*host == '[' && n > 2 && host[n - 1] == ']') {
                host[n - 1] = '\0';
                ret->v6.sin6_family = AF_INET6;
                ret->v6.sin6_port = htons((uint16_t) port);
                *ret_size = sizeof(ret->v6);
                return inet_pton(AF_INET6, host + 1, &ret->v6.sin6_addr) == 1 ? 0 : -EINVAL;
        }
        ret->v4.sin_family = AF_INET;
        ret->v4.sin_port = htons((uint16_t) port);
        *ret_size = sizeof(ret->v4);
        return inet_pton(AF_INET, host, &ret->v4.sin_addr) == 1 ? 0 : -EINVAL;
}

static bool is_loopback(const Address *a) {
        if (a->any.sa_family == AF_INET)
                return ntohl(a->v4.sin_addr.s_addr) >> 24 == 127;
        return a->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
}

static int make_socket(const char *text, int *ret, Error *e) {
        static const int one = 1;
        _cleanup_(fd_closep) int fd = -EBADF;
        Address address;
        socklen_t size;

        if (address_parse(text, &address, &size) < 0)
                return error_set(e, -EINVAL, "bad-listen",
                                 "Listen=%s is not ADDRESS:PORT or [ADDRESS]:PORT.", text);
        fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
            bind(fd, &address.any, size) < 0 || listen(fd, 4096) < 0)
                return error_set(e, -errno, "cannot-listen", "Cannot listen on %s: %s.", text,
                                 strerror(errno));
        *ret = TAKE_FD(fd);
        return 0;
}

int listen_socket(const Settings *settings, int *ret, Error *e) {
        _cleanup_(fd_closep) int fd = -EBADF;
        Address address = {};
        socklen_t size = sizeof(address);
        int n = sd_listen_fds(true), r;

        if (n > 1)
                return error_set(e, -EINVAL, "too-many-sockets",
                                 "systemd passed %d sockets; controld takes one.", n);
        if (n == 1) {
                fd = SD_LISTEN_FDS_START;
                r = fd_set_nonblock(fd);
        } else {
                r = make_socket(settings->listen, &fd, e);
        }
        if (r < 0)
                return r;
        if (settings->insecure_http &&
            (getsockname(fd, &address.any, &size) < 0 || !is_loopback(&address)))
                return error_set(
                        e, -EPERM, "insecure",
                        "InsecureHTTP=yes is for loopback addresses only, and Listen=%s is none.",
                        settings->listen);
        keep_alive_listen(fd, settings->peer_timeout_usec);
        *ret = TAKE_FD(fd);
        return 0;
}

void listen_describe(int fd, char text[LISTEN_TEXT_MAX]) {
        char host[INET6_ADDRSTRLEN] = "?";
        Address address = {};
        socklen_t size = sizeof(address);
        bool six;

        (void) getsockname(fd, &address.any, &size);
        six = address.any.sa_family == AF_INET6;
        (void) inet_ntop(address.any.sa_family,
                         six ? (void *) &address.v6.sin6_addr : (void *) &address.v4.sin_addr, host,
                         sizeof(host));
        (void) snprintf(text, LISTEN_TEXT_MAX, six ? "[%s]:%u" : "%s:%u", host,
                        ntohs(six ? address.v6.sin6_port : address.v4.sin_port));
}
