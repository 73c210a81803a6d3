/* effects: what tasks of the storm do, and the node's own record of it, which nothing of Sluice takes part in.
 *
 * usage: effects serve FILE                            on the socket that systemd passes; FILE is there, filled with zeros
 *        effects task KIND MSEC STATUS LINES           in an attempt
 *        effects now                                   boot id, CLOCK_BOOTTIME and CLOCK_REALTIME
 *        effects module FILE                           loads a kernel module; a minimal Debian has no insmod
 *
 * A task asks for "start" before it does anything, and for "end" after; each is answered once it is on disk. The server takes
 * the process's id from the kernel, and writes "gone" when the process is, however that came about. FILE is overwritten in
 * place, so a full disk does not hurt it. A record is a line:
 *
 *   start|end|gone|boot BOOT_ID BOOTTIME_USEC REALTIME_USEC PID ATTEMPT RUN TASK EPOCH KIND STATUS LINES */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SOCKET_PATH "/run/effects.sock"
#define LISTEN_FD 3
#define CLIENTS_MAX 128
#define TEXT_MAX 512

static int64_t now_usec(clockid_t clock) {
        struct timespec t;

        (void) clock_gettime(clock, &t);
        return (int64_t) t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static _Noreturn void fail(const char *what) {
        perror(what);
        exit(99);
}

static void boot_id(char id[40]) {
        FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

        if (!f || fscanf(f, "%36s", id) != 1)
                fail("boot_id");
        (void) fclose(f);
}

/* -- the record */

typedef struct Record {
        int fd;
        off_t at;
        char boot[40];
} Record;

/* The end is where the zeros begin. */
static void record_open(Record *r, const char *path) {
        char block[65536];
        ssize_t n;

        boot_id(r->boot);
        r->fd = open(path, O_RDWR | O_CLOEXEC);
        if (r->fd < 0)
                fail(path);
        while ((n = pread(r->fd, block, sizeof(block), r->at)) > 0) {
                const char *zero = memchr(block, 0, (size_t) n);

                r->at += zero ? zero - block : n;
                if (zero)
                        return;
        }
        (void) fprintf(stderr, "%s is full\n", path);
        exit(1);
}

static void record_write(Record *r, const char *what, pid_t pid, const char *words) {
        char line[TEXT_MAX + 160];
        int n = snprintf(line, sizeof(line), "%s %s %" PRId64 " %" PRId64 " %d %s\n", what, r->boot,
                         now_usec(CLOCK_BOOTTIME), now_usec(CLOCK_REALTIME), (int) pid, words);

        if (pwrite(r->fd, line, (size_t) n, r->at) != n || fdatasync(r->fd) < 0)
                fail("record");
        r->at += n;
}

/* -- the server */

typedef struct Client {
        int fd, pidfd;
        pid_t pid;
        char words[TEXT_MAX]; /* of its start; empty before */
} Client;

static void client_add(Client *clients, struct pollfd *polls, int *count) {
        struct ucred peer = {};
        socklen_t size = sizeof(peer);
        int fd = accept4(LISTEN_FD, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        Client *c = &clients[*count];

        if (fd < 0)
                return;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                fail("SO_PEERCRED");
        *c = (Client){ .fd = fd, .pid = peer.pid };
        c->pidfd = (int) syscall(SYS_pidfd_open, peer.pid, 0);
        polls[2 * *count] = (struct pollfd){ .fd = fd, .events = POLLIN };
        polls[2 * *count + 1] = (struct pollfd){ .fd = c->pidfd, .events = POLLIN };
        (*count)++;
}

/* Says false when there is nothing more to come. */
static int client_read(Client *c, Record *record) {
        char text[TEXT_MAX] = "";
        ssize_t n = recv(c->fd, text, sizeof(text) - 1, 0);
        char *words;

        if (n <= 0)
                return n < 0 && errno == EAGAIN;
        words = strchr(text, ' ');
        if (!words)
                return 0;
        *words++ = '\0';
        if (strcmp(text, "start") == 0)
                (void) strcpy(c->words, words);
        record_write(record, text, c->pid, words);
        (void) send(c->fd, "ok", 2, MSG_NOSIGNAL);
        return 1;
}

static void client_serve(Client *c, struct pollfd polls[2], Record *record) {
        /* What it said last is read before its end is believed. */
        if (polls[0].fd >= 0 && (polls[0].revents || polls[1].revents || c->pidfd < 0) &&
            !client_read(c, record))
                polls[0].fd = -1;
        if (!polls[1].revents && c->pidfd >= 0)
                return;
        while (polls[0].fd >= 0 && recv(c->fd, &(char){ 0 }, 1, MSG_PEEK) > 0 &&
               client_read(c, record)) {
        }
        if (*c->words)
                record_write(record, "gone", c->pid, c->words);
        (void) close(c->fd);
        if (c->pidfd >= 0)
                (void) close(c->pidfd);
        c->pid = 0;
}

static int serve(const char *path) {
        static Client clients[CLIENTS_MAX];
        static struct pollfd polls[2 * CLIENTS_MAX + 1];
        Record record = {};
        int count = 0;

        record_open(&record, path);
        record_write(&record, "boot", 0, "- - - 0 - 0 0");
        for (;;) {
                polls[2 * count] = (struct pollfd){ .fd = LISTEN_FD,
                                                    .events = count < CLIENTS_MAX ? POLLIN : 0 };
                if (poll(polls, (nfds_t) (2 * count + 1), -1) < 0)
                        fail("poll");
                if (polls[2 * count].revents)
                        client_add(clients, polls, &count);
                for (int i = 0; i < count; i++) {
                        client_serve(&clients[i], polls + 2 * i, &record);
                        if (clients[i].pid == 0) {
                                count--;
                                clients[i] = clients[count];
                                (void) memcpy(polls + 2 * i, polls + 2 * count, 2 * sizeof(*polls));
                                i--;
                        }
                }
        }
}

/* -- the task */

static const char *variable(const char *name) {
        const char *value = getenv(name);

        return value ? value : "-";
}

static void say(int fd, const char *what, const char *kind, int status, int lines) {
        char text[TEXT_MAX], answer[8];
        int n = snprintf(text, sizeof(text), "%s %s %s %s %s %s %d %d", what,
                         variable("SLUICE_ATTEMPT"), variable("SLUICE_RUN"),
                         variable("SLUICE_TASK"), variable("SLUICE_EPOCH"), kind, status, lines);

        if (send(fd, text, (size_t) n, MSG_NOSIGNAL) != n ||
            recv(fd, answer, sizeof(answer), 0) <= 0)
                fail("the record");
}

static void use_memory(void) {
        for (;;) {
                char *more = malloc(1 << 20);

                if (more)
                        (void) memset(more, 1, 1 << 20);
                __asm__ volatile("" : : "r"(more) : "memory");
        }
}

static int task(const char *kind, int msec, int status, int lines) {
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SOCKET_PATH };
        struct timespec pause;
        int64_t usec = (int64_t) msec * 1000 / (lines + 1);
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                fail(SOCKET_PATH);
        pause = (struct timespec){ .tv_sec = usec / 1000000, .tv_nsec = usec % 1000000 * 1000 };
        say(fd, "start", kind, status, lines);
        for (int i = 0; i < lines; i++) {
                (void) printf("line %d of %d\n", i, lines);
                (void) fflush(stdout);
                (void) nanosleep(&pause, NULL);
        }
        (void) nanosleep(&pause, NULL);
        if (strcmp(kind, "memory") == 0)
                use_memory();
        say(fd, "end", kind, status, lines);
        return status;
}

static int module(const char *path) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
                fail(path);
        return 0;
}

int main(int argc, char *argv[]) {
        char boot[40];

        if (argc == 3 && strcmp(argv[1], "serve") == 0)
                return serve(argv[2]);
        if (argc == 6 && strcmp(argv[1], "task") == 0)
                return task(argv[2], atoi(argv[3]), atoi(argv[4]), atoi(argv[5]));
        if (argc == 2 && strcmp(argv[1], "now") == 0) {
                boot_id(boot);
                (void) printf("%s %" PRId64 " %" PRId64 "\n", boot, now_usec(CLOCK_BOOTTIME),
                              now_usec(CLOCK_REALTIME));
                return 0;
        }
        if (argc == 3 && strcmp(argv[1], "module") == 0)
                return module(argv[2]);
        (void) fprintf(
                stderr,
                "usage: effects serve FILE | task KIND MSEC STATUS LINES | now | module FILE\n");
        return 2;
}
