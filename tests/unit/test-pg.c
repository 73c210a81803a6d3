/* A call of PostgreSQL ends exactly once, whatever becomes of the server, and the connection comes back. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "cleanup.h"
#include "pg.h"
#include "str.h"
#include "timespan.h"
#include "../lib/fake-pg.h"
#include "../lib/tap.h"

#define CALLS_MAX 8

static const Statement statements[] = { { "one", "SELECT 1", 0 }, {} };
static const char *directory;

typedef struct Client Client;

typedef struct Asked {
        Client *client; /* borrowed: holds us */
        PgCall *call;   /* owned */
        int ended, r;
        unsigned status;
        bool unknown;
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
        a->unknown = reply->unknown;
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

static void connect_client_to(Client *c, const char *hosts, bool pooled) {
        _cleanup_(freep) char *conninfo = str_format("host=%s user=u dbname=d", hosts);

        *c = (Client){};
        ok_int(sd_event_new(&c->event), 0);
        ok_int(pg_new(c->event,
                      &(PgOptions){ .conninfo = conninfo,
                                    .statements = statements,
                                    .timeout_msec = FAKE_TIMEOUT_MSEC,
                                    .pooled = pooled,
                                    .lease_msec = 90000 },
                      on_ready, c, &c->pg),
               0);
}

static void connect_client(Client *c) {
        connect_client_to(c, directory, false);
}

static void free_client(Client *c) {
        c->pg = pg_free(c->pg);
        c->event = sd_event_unref(c->event);
}

static void test_calls_are_answered(void) {
        pid_t server = fake_pg_start(FAKE_ANSWERS);
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
        fake_pg_end(server);
}

static void test_forgotten_call_is_not_answered(void) {
        pid_t server = fake_pg_start(FAKE_ANSWERS);
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
        fake_pg_end(server);
}

/* libpq finds out when it sends, and closes its socket: the loop will never hear of that one. */
static void test_server_that_died_is_noticed_by_a_call(void) {
        pid_t server = fake_pg_start(FAKE_SILENT_LATER);
        Client c;

        connect_client(&c);
        ok_true(happens(&c, is_ready));
        ok_int(ask(&c), 0);
        fake_pg_end(server);
        (void) ask(&c);
        ok_int(ask(&c), -ENOTCONN);
        ok_true(happens(&c, all_ended));
        ok_int(c.asked[0].ended, 1);
        ok_int(c.asked[0].r, -ENOTCONN);
        ok_int(c.losses, 1);
        ok_true(!c.ready);

        server = fake_pg_start(FAKE_ANSWERS);
        ok_true(happens(&c, is_ready));
        ok_int(ask(&c), 0);
        ok_true(happens(&c, all_ended));
        ok_int(c.asked[c.n_asked - 1].r, 0);
        free_client(&c);
        fake_pg_end(server);
}

/* Its answer is here, and who gets it asks again: nothing more will come, and reading must not go on for ever. */
static void test_server_that_left_is_noticed_while_reading(void) {
        pid_t server = fake_pg_start(FAKE_LEAVES);
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
                { "57014", -ETIMEDOUT, 0, 0 },   { "42501", -EIO, 0, 0 },
                { "0A000", -ENOTCONN, 0, 1 },    { "25006", -ENOTCONN, 0, 1 },
                { "53300", -ENOTCONN, 0, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                pid_t server;
                Client c;

                fake_pg_refusal = cases[i].state;
                printf("# %s\n", fake_pg_refusal);
                server = fake_pg_start(FAKE_REFUSES);
                connect_client(&c);
                ok_true(happens(&c, is_ready));
                ok_int(ask(&c), 0);
                ok_true(happens(&c, all_ended));
                ok_int(c.asked[0].r, cases[i].r);
                ok_int(c.asked[0].status, cases[i].status);
                (void) sd_event_run(c.event, 10 * USEC_PER_MSEC);
                ok_int(c.losses, cases[i].losses);
                free_client(&c);
                fake_pg_end(server);
        }
}

static void test_silent_server_is_given_up(void) {
        pid_t server = fake_pg_start(FAKE_SILENT_LATER);
        Client c;

        connect_client(&c);
        ok_true(happens(&c, is_ready));
        ok_int(ask(&c), 0);
        ok_true(happens(&c, all_ended));
        ok_int(c.asked[0].r, -ENOTCONN);
        ok_int(c.losses, 1);
        free_client(&c);
        fake_pg_end(server);
}

static void test_silent_greeting_is_given_up(void) {
        pid_t server = fake_pg_start(FAKE_SILENT_AT_ONCE), other;
        Client c;

        connect_client(&c);
        (void) sd_event_run(c.event, 50 * USEC_PER_MSEC);
        other = fake_pg_start(FAKE_ANSWERS);
        ok_true(happens(&c, is_ready));
        free_client(&c);
        fake_pg_end(server);
        fake_pg_end(other);
}

/* Each statement is in time, but not the last of a queue. */
static void test_call_behind_others_ends_in_time(void) {
        pid_t server = fake_pg_start(FAKE_DAWDLES);
        Client c;

        connect_client(&c);
        ok_true(happens(&c, is_ready));
        for (unsigned i = 0; i < 5; i++)
                ok_int(ask(&c), 0);
        ok_true(happens(&c, all_ended));
        ok_int(c.asked[0].r, 0);
        ok_int(c.asked[4].r, -ETIMEDOUT);
        ok_true(c.asked[4].unknown);
        ok_true(!c.asked[0].unknown);
        ok_int(c.losses, 0);
        free_client(&c);
        fake_pg_end(server);
}

/* One host is not there, one takes connections and says nothing: neither keeps us from the third. */
static void test_hosts_are_tried_in_turn(void) {
        _cleanup_(freep) char *silent = str_format("%s/silent", directory),
                              *hosts = str_format("%s/none,%s,%s", directory, silent, directory);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        pid_t server = fake_pg_start(FAKE_ANSWERS);
        Client c;

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.5432", silent);
        ok_int(mkdir(silent, 0700), 0);
        ok_int(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        ok_int(listen(fd, 8), 0);
        connect_client_to(&c, hosts, false);
        ok_true(happens(&c, is_ready));
        ok_int(ask(&c), 0);
        ok_true(happens(&c, all_ended));
        ok_int(c.asked[0].r, 0);
        free_client(&c);
        fake_pg_end(server);
        (void) close(fd);
        (void) unlink(address.sun_path);
        (void) rmdir(silent);
}

static void test_without_a_session_of_our_own(void) {
        pid_t server = fake_pg_start(FAKE_ANSWERS);
        Client c;

        connect_client_to(&c, directory, true);
        ok_true(happens(&c, is_ready));
        ok_int(ask(&c), 0);
        ok_int(ask(&c), 0);
        ok_true(happens(&c, all_ended));
        ok_int(c.asked[1].r, 0);
        ok_int(c.losses, 0);
        free_client(&c);
        fake_pg_end(server);
}

int main(void) {
        directory = fake_pg_listen();
        if (!directory)
                return 1;
        (void) alarm(60); /* a loop that never ends is a failure too */
        RUN(test_calls_are_answered);
        RUN(test_forgotten_call_is_not_answered);
        RUN(test_server_that_died_is_noticed_by_a_call);
        RUN(test_server_that_left_is_noticed_while_reading);
        RUN(test_errors_of_the_database);
        RUN(test_silent_server_is_given_up);
        RUN(test_silent_greeting_is_given_up);
        RUN(test_call_behind_others_ends_in_time);
        RUN(test_hosts_are_tried_in_turn);
        RUN(test_without_a_session_of_our_own);
        fake_pg_close();
        return tap_done();
}
