/* node-shell: runs commands in a lab node for the test on the build machine.
 *
 * usage: node-shell IN OUT, two terminals or FIFOs (a UML node gives its serial line twice).
 * A request is one line: "KEY N command HEX" and "KEY N stdin HEX" collect what "KEY N run TIMEOUT_SEC" then runs; another KEY
 * starts afresh, so a client that died in the middle does no harm. Each is answered by a line "ret KEY N STATUS STDOUT_BYTES
 * STDERR_BYTES" and the bytes. STATUS is negative for a signal. One command at a time; nothing here needs the network, so that
 * a partition can be tested. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static int open_raw(const char *path, int flags) {
        struct termios t;
        int fd;

        fd = open(path, flags | O_NOCTTY | O_CLOEXEC);
        if (fd >= 0 && isatty(fd) && tcgetattr(fd, &t) == 0) {
                cfmakeraw(&t);
                (void) tcsetattr(fd, TCSANOW, &t);
        }
        return fd;
}

static int write_all(int fd, const char *p, size_t n) {
        while (n > 0) {
                ssize_t k = write(fd, p, n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0)
                        return -1;
                p += k;
                n -= (size_t) k;
        }
        return 0;
}

static int nibble(char c) {
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes in place and returns the length. */
static size_t unhex(char *s) {
        size_t n = 0;

        for (; nibble(s[2 * n]) >= 0 && nibble(s[2 * n + 1]) >= 0; n++)
                s[n] = (char) (nibble(s[2 * n]) << 4 | nibble(s[2 * n + 1]));
        s[n] = 0;
        return n;
}

static int send_file(int out, int fd, off_t size) {
        char buffer[65536];

        if (lseek(fd, 0, SEEK_SET) < 0)
                return -1;
        while (size > 0) {
                ssize_t k = read(fd, buffer, (size_t) size < sizeof(buffer) ? (size_t) size : sizeof(buffer));

                if (k <= 0 || write_all(out, buffer, (size_t) k) < 0)
                        return -1;
                size -= k;
        }
        return 0;
}

static _Noreturn void child(const char *command, const int fds[3]) {
        (void) setsid();
        for (int i = 0; i < 3; i++)
                (void) dup2(fds[i], i);
        execl("/bin/bash", "bash", "-c", command, (char *) NULL);
        (void) fprintf(stderr, "node-shell: cannot execute /bin/bash: %m\n");
        _exit(127);
}

static int wait_for(pid_t pid, int timeout_sec) {
        int pidfd = (int) syscall(SYS_pidfd_open, pid, 0), status = 0;
        struct pollfd p = { .fd = pidfd, .events = POLLIN };

        if (poll(&p, 1, timeout_sec * 1000) == 0)
                (void) kill(-pid, SIGKILL);
        (void) waitpid(pid, &status, 0);
        (void) close(pidfd);
        return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

typedef struct Job {
        char key[64];
        FILE *command, *input;
        char *command_text, *input_text;
        size_t command_size, input_size;
} Job;

static void job_reset(Job *j, const char *key) {
        if (j->command)
                (void) fclose(j->command);
        if (j->input)
                (void) fclose(j->input);
        free(j->command_text);
        free(j->input_text);
        memset(j, 0, sizeof(*j));
        (void) snprintf(j->key, sizeof(j->key), "%s", key);
        j->command = open_memstream(&j->command_text, &j->command_size);
        j->input = open_memstream(&j->input_text, &j->input_size);
}

static void job_run(Job *j, int out, const char *number, int timeout_sec) {
        int fds[3], status = 127;
        struct stat st[3] = {};
        char head[160];
        pid_t pid;

        (void) fflush(j->command);
        (void) fflush(j->input);
        for (int i = 0; i < 3; i++)
                fds[i] = memfd_create("node-shell", MFD_CLOEXEC);
        if (write_all(fds[0], j->input_text, j->input_size) == 0 && lseek(fds[0], 0, SEEK_SET) == 0) {
                pid = fork();
                if (pid == 0)
                        child(j->command_text, fds);
                if (pid > 0)
                        status = wait_for(pid, timeout_sec);
                else
                        (void) dprintf(fds[2], "node-shell: cannot fork: %m\n");
        }
        for (int i = 1; i < 3; i++)
                (void) fstat(fds[i], &st[i]);
        (void) snprintf(head, sizeof(head), "\nret %s %s %d %lld %lld\n", j->key, number, status, (long long) st[1].st_size,
                        (long long) st[2].st_size);
        if (write_all(out, head, strlen(head)) == 0 && send_file(out, fds[1], st[1].st_size) == 0)
                (void) send_file(out, fds[2], st[2].st_size);
        for (int i = 0; i < 3; i++)
                (void) close(fds[i]);
}

static void serve(Job *j, int out, char *line) {
        char *save = NULL, *key = strtok_r(line, " ", &save), *number = strtok_r(NULL, " ", &save);
        char *verb = strtok_r(NULL, " ", &save), *argument = strtok_r(NULL, " ", &save), head[160];

        if (!argument)
                return;
        if (strcmp(key, j->key) != 0)
                job_reset(j, key);
        if (strcmp(verb, "run") == 0) {
                job_run(j, out, number, atoi(argument));
                return;
        }
        (void) fwrite(argument, 1, unhex(argument), strcmp(verb, "stdin") == 0 ? j->input : j->command);
        (void) snprintf(head, sizeof(head), "\nret %s %s 0 0 0\n", key, number);
        (void) write_all(out, head, strlen(head));
}

int main(int argc, char *argv[]) {
        char *line = NULL;
        size_t size = 0;
        Job job = {};
        FILE *in;
        int out;

        if (argc != 3)
                return 2;
        in = fdopen(open_raw(argv[1], O_RDWR), "r");
        out = open_raw(argv[2], O_RDWR);
        if (!in || out < 0) {
                perror("node-shell: cannot open the channel");
                return 1;
        }
        while (getline(&line, &size, in) >= 0) {
                line[strcspn(line, "\n")] = 0;
                serve(&job, out, line);
        }
        return 0;
}
