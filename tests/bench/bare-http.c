/* The least HTTPS server that libmicrohttpd can be: one thread, one epoll descriptor, the same short answer to everything. What
 * controld costs is compared with it. A body that asks to wait, as the swarm's polls do, is never answered, so that a waiting
 * connection can be weighed: with a pool of 4 KiB, the floor. usage: bare-http PORT CERTIFICATE KEY. Ends with its standard input. */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"
#include "parse.h"

static char talks, waits; /* what a request is known for */

static enum MHD_Result on_access(void *userdata, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_size, void **slot) {
        static char answer[] = "{}";
        struct MHD_Response *response;
        enum MHD_Result r;

        (void) userdata;
        (void) url;
        (void) method;
        (void) version;
        if (!*slot || *upload_size > 0) { /* the first call, and those with a body */
                *slot = *upload_size > 0 && memmem(upload, *upload_size, "\"wait_sec\":50", 13)
                                ? &waits
                                : &talks;
                *upload_size = 0;
                return MHD_YES;
        }
        if (*slot == &waits) {
                MHD_suspend_connection(connection);
                return MHD_YES;
        }
        response = MHD_create_response_from_buffer(2, answer, MHD_RESPMEM_PERSISTENT);
        r = response ? MHD_queue_response(connection, 200, response) : MHD_NO;
        MHD_destroy_response(response);
        return r;
}

static int serve(uint16_t port, const char *certificate, const char *key) {
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons(port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct MHD_Daemon *mhd = MHD_start_daemon(
                MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TLS, port, NULL, NULL, on_access,
                NULL, MHD_OPTION_SOCK_ADDR, (struct sockaddr *) &address, MHD_OPTION_HTTPS_MEM_CERT,
                certificate, MHD_OPTION_HTTPS_MEM_KEY, key, MHD_OPTION_CONNECTION_LIMIT, 65000U,
                MHD_OPTION_HTTPS_PRIORITIES, "NORMAL:-RSA:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2",
                MHD_OPTION_LISTEN_BACKLOG_SIZE, 4096U, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                (size_t) 4096, MHD_OPTION_END);
        const union MHD_DaemonInfo *info;
        struct pollfd fds[2];

        if (!mhd)
                return -EIO;
        info = MHD_get_daemon_info(mhd, MHD_DAEMON_INFO_EPOLL_FD);
        fds[0] = (struct pollfd){ .fd = info->epoll_fd, .events = POLLIN };
        fds[1] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
        while (!fds[1].revents && MHD_run(mhd) == MHD_YES) {
                MHD_UNSIGNED_LONG_LONG msec = 0;

                if (MHD_get_timeout(mhd, &msec) != MHD_YES || msec > 1000)
                        msec = 1000;
                (void) poll(fds, 2, (int) msec);
        }
        return 0; /* suspended connections would not let the daemon stop: the kernel cleans up */
}

int main(int argc, char *argv[]) {
        _cleanup_(freep) char *certificate = NULL, *key = NULL;
        struct rlimit limit;
        uint64_t port;

        if (argc < 4 || parse_u64_range(argv[1], 1, 65535, &port) < 0 ||
            file_read(argv[2], 65536, &certificate, NULL) < 0 ||
            file_read(argv[3], 65536, &key, NULL) < 0)
                return EXIT_FAILURE;
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                limit.rlim_cur = limit.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &limit);
        }
        return serve((uint16_t) port, certificate, key) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
