/* A call of PostgreSQL ends exactly once, whatever becomes of the server, and the connection comes back. The server is a script
 * that speaks as much of the protocol as a pipeline needs, in a child process. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "cleanup.h"
#include "pg.h"
#include "str.h"
#include "timespan.h"
#include "../lib/tap.h"

#define TIMEOUT_MSEC 150
#define CALLS_MAX 8

typedef enum Manner {
        ANSWERS,        /* everything */
        SILENT_AT_ONCE, /* not even the greeting */
        SILENT_LATER,   /* nothing but what a new connection asks */
        LEAVES,         /* ends behind its first answer to a call */
        REFUSES,        /* calls, with the SQLSTATE `refusal` */
} Manner;

static const Statement statements[] = { { "one", "SELECT 1", 0 }, {} };
static char directory[] = "/tmp/sluice-test-pg-XXXXXX";
static int listen_fd = -EBADF;
static const char *refusal;

static void say(Buffer *b, char type, const char *body, size_t size) {
        uint32_t length = htonl((uint32_t) size + 4);

        if (buffer_append(b, &type, 1) < 0 || buffer_append(b, &length, sizeof(length)) < 0 ||
            buffer_append(b, body, size) < 0)
                _exit(2);
}

/* An error's fields: a letter and text each, and an empty one. */
static void refuse(Buffer *b) {
        char body[64];
        int n = snprintf(body, sizeof(body), "C%s%cMno%cDdetail%c", refusal, 0, 0, 0);

        say(b, 'E', body, (size_t) n + 1);
}

static void answer(Buffer *b, char type) {
        static const char greeting[] = "\0\0\0\0",
                          columns[] = "\0\1v\0\0\0\0\0\0\0\0\0\0\x19\377\377\377\377\377\377\0\0",
                          row[] = "\0\1\0\0\0\1x";

        if (type == 0)
                say(b, 'R', greeting, 4);
        else if (type == 'P')
                say(b, '1', "", 0);
        else if (type == 'B')
                say(b, '2', "", 0);
        else if (type == 'D')
                say(b, 'T', columns, sizeof(columns) - 1);
        else if (type == 'E')
                say(b, 'D', row, sizeof(row) - 1);
        if (type == 'E')
                say(b, 'C', "SELECT 1", 9);
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

static void serve(int fd, Manner manner) {
        Buffer b = {};
        unsigned syncs = 0;
        char type;

        for (bool first = true; hear(fd, first, &type); first = false) {
                syncs += type == 'S';
                if (manner != REFUSES || type != 'E' || syncs < 2)
                        answer(&b, type);
                else
                        refuse(&b);
                /* Two syncs make a connection ready: that of its setup and that of its only statement. */
                if (manner == SILENT_AT_ONCE || (manner == SILENT_LATER && syncs > 2))
                        b.size = 0;
                if ((type != 0 && type != 'S') || b.size == 0)
                        continue;
                if (send(fd, b.data, b.size, MSG_NOSIGNAL) != (ssize_t) b.size ||
                    (manner == LEAVES && syncs > 2))
                        _exit(0);
                b.size = 0;
        }
        buffer_done(&b);
}

static pid_t start_server(Manner manner) {
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

static void end_server(pid_t pid) {
        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);
}

typedef struct Client Client;

typedef struct Asked {
        Client *client; /* borrowed: holds us */
        PgCall *call;   /* owned */
        int ended, r;
        unsigned status;
} Asked;

struct Client {
        sd_event *event; /* owned, as the next */
        Pg *pg;
        Asked asked[CALLS_MAX];
        unsigned n_asked, losses;
        bool ready, ask_again;
};

static void on_ready(bool ready, void *userdata) {
        Client *c = userdata;

        c->ready = ready;
        c->losses += !ready;
}

static int ask(Client *c);

static void on_answer(const PgReply *reply, void *userdata) {
        Asked *a = userdata;

        a->call = NULL;
        a->ended++;
        a->r = reply->r;
        a->status = reply->status;
        if (a->client->ask_again && reply->r >= 0)
                (void) ask(a->client);
}

static int ask(Client *c) {
        Asked *a = &c->asked[c->n_asked];
        int r;

        *a = (Asked){ .client = c };
        r = pg_call(c->pg, &statements[0], NULL, on_answer, a, &a->call);
        c->n_asked += r >= 0;
        return r;
}

static bool all_ended(const Client *c) {
        for (unsigned i = 0; i < c->n_asked; i++)
                if (c->asked[i].ended == 0)
                        return false;
        return true;
}

static bool is_ready(const Client *c) {
        return c->ready;
}

static bool is_lost(const Client *c) {
        return c->losses > 0;
}

static bool happens(Client *c, bool (*what)(const Client *c)) {
        uint64_t now, end;

        (void) sd_event_now(c->event, CLOCK_MONOTONIC, &end);
        end += 10 * USEC_PER_SEC;
        do {
                if (what(c))
                        return true;
                (void) sd_event_run(c->event, 50 * USEC_PER_MSEC);
                (void) sd_event_now(c->event, CLOCK_MONOTONIC, &now);
        } while (now < end);
        return false;
}

static void connect_client(Client *c) {
        _cleanup_(freep) char *conninfo = str_format("host=%s user=u dbname=d", directory);

        *c = (Client){};
        ok_int(sd_event_new(&c->event), 0);
        ok_int(pg_new(c->event,
                      &(PgOptions){ .conninfo = conninfo,
                                    .statements = statements,
                                    .timeout_msec = TIMEOUT_MSEC,
                                    .lease_msec = 90000 },
                      on_ready, c, &c->pg),
               0);
}

static void free_client(Client *c) {
        c->pg = pg_free(c->pg);
        c->event = sd_event_unref(c->event);
}

static void test_calls_are_answered(void) {
        pid_t server = start_server(ANSWERS);
        Client c;

        connect_client(&c);
        ok_int(ask(&c), -ENOTCONN);
        ok_true(happens(&c, is_ready));
        for (unsigned i = 0; i < 3; i++)
                ok_int(ask(&c), 0);
        ok_true(happens(&c, all_ended));
        ok_int(c.asked[2].r, 0);
        ok_int(c.losses, 0);
        free_client(&c);
        end_server(server);
}

static void test_forgotten_call_is_not_answered(void) {
        pid_t server = start_server(ANSWERS);
        Client c;

        connect_client(&c);
        ok_true(happens(&c, is_ready));
        ok_int(ask(&c), 0);
        ok_int(ask(&c), 0);
        c.asked[0].call = pg_call_free(c.asked[0].call);
        c.asked[0].ended = -1;
        ok_true(happens(&c, all_ended));
        ok_int(c.asked[0].ended, -1);
        ok_int(c.asked[1].ended, 1);
        free_client(&c);
        end_server(server);
}

/* libpq finds out when it sends, and closes its socket: the loop will never hear of that one. */
static void test_server_that_died_is_noticed_by_a_call(void) {
        pid_t server = start_server(SILENT_LATER);
        Client c;

        connect_client(&c);
        ok_true(happens(&c, is_ready));
        ok_int(ask(&c), 0);
        end_server(server);
        (void) ask(&c);
        ok_int(ask(&c), -ENOTCONN);
        ok_true(happens(&c, all_ended));
        ok_int(c.asked[0].ended, 1);
        ok_int(c.asked[0].r, -ENOTCONN);
        ok_int(c.losses, 1);
        ok_true(!c.ready);

        server = start_server(ANSWERS);
        ok_true(happens(&c, is_ready));
        ok_int(ask(&c), 0);
        ok_true(happens(&c, all_ended));
        ok_int(c.asked[c.n_asked - 1].r, 0);
        free_client(&c);
        end_server(server);
}

/* Its answer is here, and who gets it asks again: nothing more will come, and reading must not go on for ever. */
static void test_server_that_left_is_noticed_while_reading(void) {
        pid_t server = start_server(LEAVES);
        Client c;

        connect_client(&c);
        ok_true(happens(&c, is_ready));
        c.ask_again = true;
        ok_int(ask(&c), 0);
        ok_int(ask(&c), 0);
        (void) waitpid(server, NULL, 0);
        ok_true(happens(&c, all_ended));
        ok_int(c.asked[0].r, 0);
        ok_int(c.asked[1].ended, 1);
        ok_int(c.asked[1].r, -ENOTCONN);
        ok_true(happens(&c, is_lost));
        free_client(&c);
}

static void test_errors_of_the_database(void) {
        static const struct {
                const char *state;
                int r;
                unsigned status, losses;
        } cases[] = {
                { "ZF404", -EREMOTEIO, 404, 0 }, { "ZF200", -EIO, 0, 0 },
                { "22P02", -EREMOTEIO, 400, 0 }, { "40P01", -ENOBUFS, 0, 0 },
                { "57014", -ENOTCONN, 0, 0 },    { "42501", -EIO, 0, 0 },
                { "0A000", -ENOTCONN, 0, 1 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                pid_t server;
                Client c;

                refusal = cases[i].state;
                printf("# %s\n", refusal);
                server = start_server(REFUSES);
                connect_client(&c);
                ok_true(happens(&c, is_ready));
                ok_int(ask(&c), 0);
                ok_true(happens(&c, all_ended));
                ok_int(c.asked[0].r, cases[i].r);
                ok_int(c.asked[0].status, cases[i].status);
                (void) sd_event_run(c.event, 10 * USEC_PER_MSEC);
                ok_int(c.losses, cases[i].losses);
                free_client(&c);
                end_server(server);
        }
}

static void test_silent_server_is_given_up(void) {
        pid_t server = start_server(SILENT_LATER);
        Client c;

        connect_client(&c);
        ok_true(happens(&c, is_ready));
        ok_int(ask(&c), 0);
        ok_true(happens(&c, all_ended));
        ok_int(c.asked[0].r, -ENOTCONN);
        ok_int(c.losses, 1);
        free_client(&c);
        end_server(server);
}

static void test_silent_greeting_is_given_up(void) {
        pid_t server = start_server(SILENT_AT_ONCE), other;
        Client c;

        connect_client(&c);
        (void) sd_event_run(c.event, 50 * USEC_PER_MSEC);
        other = start_server(ANSWERS);
        ok_true(happens(&c, is_ready));
        free_client(&c);
        end_server(server);
        end_server(other);
}

int main(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (!mkdtemp(directory))
                return 1;
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.5432", directory);
        listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ok_int(bind(listen_fd, (struct sockaddr *) &address, sizeof(address)), 0);
        ok_int(listen(listen_fd, 8), 0);
        (void) alarm(60); /* a loop that never ends is a failure too */
        RUN(test_calls_are_answered);
        RUN(test_forgotten_call_is_not_answered);
        RUN(test_server_that_died_is_noticed_by_a_call);
        RUN(test_server_that_left_is_noticed_while_reading);
        RUN(test_errors_of_the_database);
        RUN(test_silent_server_is_given_up);
        RUN(test_silent_greeting_is_given_up);
        (void) close(listen_fd);
        (void) unlink(address.sun_path);
        (void) rmdir(directory);
        return tap_done();
}
