/* A message is a type, a length and a body; the first of a connection has no type. Formats: PostgreSQL's manual, "Frontend/Backend
 * Protocol". */
#include "fake-pg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "str.h"

const char *fake_pg_refusal, *fake_pg_rows = "x";
static char directory[] = "/tmp/sluice-test-pg-XXXXXX";
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static int listen_fd = -EBADF;
static unsigned *calls; /* shared with the servers */

static void say(Buffer *b, char type, const char *body, size_t size) {
        uint32_t length = htonl((uint32_t) size + 4);

        if (buffer_append(b, &type, 1) < 0 || buffer_append(b, &length, sizeof(length)) < 0 ||
            buffer_append(b, body, size) < 0)
                _exit(2);
}

/* An error's fields: a letter and text each, and an empty one. */
static void refuse(Buffer *b) {
        char body[64];
        int n = snprintf(body, sizeof(body), "C%s%cMno%cDdetail%c", fake_pg_refusal, 0, 0, 0);

        say(b, 'E', body, (size_t) n + 1);
}

static void answer(Buffer *b, char type) {
        static const char greeting[] = "\0\0\0\0",
                          columns[] = "\0\1v\0\0\0\0\0\0\0\0\0\0\x19\377\377\377\377\377\377\0\0";
        char row[] = "\0\1\0\0\0\1x";

        static const char writable[] = "in_hot_standby\0off",
                          unlimited[] = "default_transaction_read_only\0off";

        if (type == 0) {
                say(b, 'R', greeting, 4);
                say(b, 'S', writable, sizeof(writable));
                say(b, 'S', unlimited, sizeof(unlimited));
        } else if (type == 'P')
                say(b, '1', "", 0);
        else if (type == 'B')
                say(b, '2', "", 0);
        else if (type == 'D')
                say(b, 'T', columns, sizeof(columns) - 1);
        else if (type == 'E') {
                for (const char *c = fake_pg_rows; *c; c++) {
                        row[sizeof(row) - 2] = *c;
                        say(b, 'D', row, sizeof(row) - 1);
                }
                say(b, 'C', "SELECT 1", 9);
        }
        if (type == 0 || type == 'S')
                say(b, 'Z', "I", 1);
}

/* Reads one message; the first of a connection has no type. False at the end. */
static bool hear(int fd, bool first, char *ret_type) {
        static char body[65536];
        uint32_t length;

        *ret_type = 0;
        if ((!first && recv(fd, ret_type, 1, MSG_WAITALL) != 1) ||
            recv(fd, &length, 4, MSG_WAITALL) != 4)
                return false;
        length = ntohl(length) - 4;
        return length <= sizeof(body) &&
               (length == 0 || recv(fd, body, length, MSG_WAITALL) == (ssize_t) length);
}

static void serve(int fd, FakeManner manner) {
        Buffer b = {};
        unsigned syncs = 0;
        char type;

        for (bool first = true; hear(fd, first, &type); first = false) {
                syncs += type == 'S';
                *calls += type == 'S' && syncs > 2;
                if (manner != FAKE_REFUSES || type != 'E' || syncs < 2)
                        answer(&b, type);
                else
                        refuse(&b);
                if (manner == FAKE_DAWDLES && type == 'S' && syncs > 2)
                        (void) usleep(FAKE_TIMEOUT_MSEC * 800);
                /* Two syncs make a connection ready: that of its setup and that of its only statement. */
                if (manner == FAKE_SILENT_AT_ONCE || (manner == FAKE_SILENT_LATER && syncs > 2))
                        b.size = 0;
                if ((type != 0 && type != 'S') || b.size == 0)
                        continue;
                if (send(fd, b.data, b.size, MSG_NOSIGNAL) != (ssize_t) b.size ||
                    (manner == FAKE_LEAVES && syncs > 2))
                        _exit(0);
                b.size = 0;
        }
        buffer_done(&b);
}

const char *fake_pg_listen(void) {
        if (!mkdtemp(directory))
                return NULL;
        calls = mmap(NULL, sizeof(*calls), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                     0);
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.5432", directory);
        listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (calls == MAP_FAILED || bind(listen_fd, (struct sockaddr *) &address, sizeof(address)) ||
            listen(listen_fd, 8))
                return NULL;
        return directory;
}

void fake_pg_close(void) {
        (void) close(listen_fd);
        (void) unlink(address.sun_path);
        (void) rmdir(directory);
}

unsigned fake_pg_calls(void) {
        return *calls;
}

pid_t fake_pg_start(FakeManner manner) {
        pid_t pid;

        (void) fflush(stdout);
        pid = fork();
        if (pid != 0)
                return pid;
        for (;;) {
                int fd = accept(listen_fd, NULL, NULL);

                if (fd < 0)
                        _exit(1);
                serve(fd, manner);
                (void) close(fd);
        }
}

void fake_pg_end(pid_t pid) {
        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);
}
