/* The HTTP server on the loop: replies now and later, limits, and an end that asks nothing of what is gone already. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "http-server.h"
#include "str.h"
#include "timespan.h"
#include "../lib/tap.h"

#define BODY_MAX 10
#define BODIES_MAX 15

typedef struct Site {
        sd_event *event; /* owned, as the next */
        HttpServer *server;
        HttpRequest *later; /* borrowed: asked for /later, not replied to yet */
        int listen_fd;
        unsigned begun, asked, done;
        int trouble;
        bool is_json;
        char gone[64]; /* the names of peers that are, each followed by a space */
} Site;

static char path[] = "/tmp/sluice-test-http-XXXXXX/socket";
static struct sockaddr_un address = { .sun_family = AF_UNIX };

static ssize_t on_headers(HttpRequest *request, void *userdata) {
        Site *site = userdata;

        site->begun++;
        if (!str_eq(http_request_path(request), "/refused"))
                return BODY_MAX;
        http_request_reply(request, 403, NULL, NULL, 0);
        return -EPERM;
}

static void on_request(HttpRequest *request, void *userdata) {
        Site *site = userdata;
        size_t size;
        const char *body = http_request_body(request, &size);

        site->asked++;
        site->is_json = http_request_content_is(request, "application/json");
        site->trouble = http_request_trouble(request);
        if (str_eq(http_request_path(request), "/later"))
                site->later = request;
        else
                http_request_reply(request, 200, "text/plain", strdup(body), size);
}

static void on_done(HttpRequest *request, void *userdata) {
        Site *site = userdata;

        (void) request;
        site->done++;
}

static void on_peer_gone(const char *name, void *userdata) {
        Site *site = userdata;
        size_t n = strlen(site->gone);

        (void) snprintf(site->gone + n, sizeof(site->gone) - n, "%s ", name);
}

static void open_site(Site *site) {
        static const HttpHandlers handlers = { on_headers, on_request, on_done, on_peer_gone };
        HttpOptions options = { .max_connections = 16, .bodies_max = BODIES_MAX };
        Error e = {};

        *site = (Site){};
        (void) unlink(path);
        site->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ok_int(bind(site->listen_fd, (struct sockaddr *) &address, sizeof(address)), 0);
        ok_int(listen(site->listen_fd, 8), 0);
        options.listen_fd = site->listen_fd;
        ok_int(sd_event_new(&site->event), 0);
        ok_int(http_server_new(site->event, &options, &handlers, site, &site->server, &e), 0);
}

static void close_site(Site *site) {
        site->server = http_server_free(site->server);
        ok_int(site->done, site->begun);
        site->event = sd_event_unref(site->event);
        (void) close(site->listen_fd);
}

static int client(void) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        ok_int(connect(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        return fd;
}

static void ask(int fd, const char *text) {
        ok_int(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Turns the loop until what came contains words, or nothing comes any more. */
static const char *hear(Site *site, int fd, const char *words) {
        static char text[4096];
        size_t size = 0;

        for (int i = 0; i < 200; i++) {
                ssize_t n;

                (void) sd_event_run(site->event, 10 * USEC_PER_MSEC);
                n = recv(fd, text + size, sizeof(text) - 1 - size, 0);
                if (n > 0)
                        size += (size_t) n;
                text[size] = '\0';
                if (n == 0 || (words && strstr(text, words)))
                        break;
                if (!words && i > 10)
                        break;
        }
        return text;
}

static void test_replies_now_and_later(void) {
        Site site;
        int fd;

        open_site(&site);
        fd = client();
        ask(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
        ok_contains(hear(&site, fd, "hello"), " 200 ");
        ask(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
        (void) hear(&site, fd, NULL);
        ok_true(site.later != NULL);
        ok_int(http_server_requests(site.server), 1);
        http_request_reply(site.later, 200, "text/plain", strdup("in the end"), 10);
        ok_contains(hear(&site, fd, "in the end"), " 200 ");
        (void) hear(&site, fd, NULL);
        ok_int(http_server_requests(site.server), 0);
        (void) close(fd);
        close_site(&site);
}

static void test_bodies_are_bounded(void) {
        Site site;
        int fd;

        open_site(&site);
        fd = client();
        ask(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789");
        ok_contains(hear(&site, fd, "0123456789"), " 200 ");
        ok_int(site.trouble, 0);
        ask(fd, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                "6\r\n012345\r\n6\r\n678901\r\n0\r\n\r\n");
        (void) hear(&site, fd, " 200 ");
        ok_int(site.trouble, -EFBIG);
        (void) close(fd);
        fd = client();
        ask(fd, "GET /refused HTTP/1.1\r\nHost: x\r\n\r\n");
        ok_contains(hear(&site, fd, "\r\n\r\n"), " 403 ");
        ok_int(site.asked, 2);
        (void) close(fd);
        close_site(&site);
}

/* A peer that trickles keeps no other's body out; and one that is whole gives way to none. */
static void test_all_bodies_together_are_bounded(void) {
        Site site;
        int slow, quick;

        open_site(&site);
        slow = client();
        quick = client();
        ask(slow, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n01234567");
        (void) hear(&site, slow, NULL);
        for (int i = 0; i < 2; i++) {
                ask(quick, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nabcdefgh");
                ok_contains(hear(&site, quick, "abcdefgh"), " 200 ");
                ok_int(site.trouble, 0);
        }
        ask(slow, "8");
        ok_contains(hear(&site, slow, "\r\n\r\n"), " 200 ");
        ok_int(site.trouble, -ENOBUFS);
        ask(slow, "POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n01234567");
        (void) hear(&site, slow, NULL);
        ok_true(site.later != NULL);
        ask(quick, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nabcdefgh");
        ok_contains(hear(&site, quick, "\r\n\r\n"), " 200 ");
        ok_int(site.trouble, -ENOBUFS);
        http_request_reply(site.later, 200, "text/plain", NULL, 0);
        ok_contains(hear(&site, slow, "\r\n\r\n"), " 200 ");
        (void) close(slow);
        (void) close(quick);
        close_site(&site);
}

static void test_content_types(void) {
        static const struct {
                const char *header;
                bool is_json;
        } cases[] = {
                { "Content-Type: application/json\r\n", true },
                { "content-type: Application/JSON; charset=utf-8\r\n", true },
                { "Content-Type: application/json-patch\r\n", false },
                { "Content-Type: text/plain\r\n", false },
                { "", false },
        };
        Site site;
        int fd;

        open_site(&site);
        fd = client();
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(freep) char *text =
                        str_format("POST / HTTP/1.1\r\nHost: x\r\n%sContent-Length: 2\r\n\r\n{}",
                                   cases[i].header);

                ask(fd, text);
                ok_contains(hear(&site, fd, "{}"), " 200 ");
                ok_int(site.is_json, cases[i].is_json);
        }
        (void) close(fd);
        close_site(&site);
}

static void test_quiet_server_ends_connections(void) {
        Site site;
        int fd;

        open_site(&site);
        fd = client();
        ask(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
        (void) hear(&site, fd, NULL);
        ok_true(site.later != NULL);
        http_server_quiesce(site.server);
        http_request_reply(site.later, 200, "text/plain", strdup("bye"), 3);
        ok_contains(hear(&site, fd, "bye"), "Connection: close");
        (void) hear(&site, fd, NULL);
        ok_int(recv(fd, &(char){ 0 }, 1, 0), 0);
        (void) close(fd);
        close_site(&site);
}

/* Of one whose peer goes away while it is held nothing stays, and a reply that comes in the same moment does no harm. */
static void test_peer_that_goes_away(void) {
        static const bool replies[] = { false, true };

        for (size_t i = 0; i < ELEMENTSOF(replies); i++) {
                Site site;
                int fd, other;

                open_site(&site);
                fd = client();
                other = client();
                ask(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
                (void) hear(&site, fd, NULL);
                ok_true(site.later != NULL);
                http_request_watch_peer(site.later);
                http_request_watch_peer(site.later);
                ok_int(http_server_requests(site.server), 1);
                (void) close(fd);
                if (replies[i])
                        http_request_reply(site.later, 200, "text/plain", strdup("bye"), 3);
                for (int k = 0; k < 100 && site.done == 0; k++)
                        (void) sd_event_run(site.event, 10 * USEC_PER_MSEC);
                ok_int(site.done, 1);
                ok_int(http_server_requests(site.server), 0);
                ask(other, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
                ok_contains(hear(&site, other, "\r\n\r\n"), " 200 ");
                (void) close(other);
                close_site(&site);
        }
}

/* One that is watched and answered is as any other, and its connection is good for the next. */
static void test_watched_and_answered(void) {
        Site site;
        int fd;

        open_site(&site);
        fd = client();
        for (int i = 0; i < 2; i++) {
                ask(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
                (void) hear(&site, fd, NULL);
                http_request_watch_peer(site.later);
                http_request_reply(site.later, 200, "text/plain", strdup("here"), 4);
                ok_contains(hear(&site, fd, "here"), " 200 ");
        }
        (void) close(fd);
        close_site(&site);
}

static void turn(Site *site, unsigned rounds) {
        for (unsigned i = 0; i < rounds; i++)
                (void) sd_event_run(site->event, 10 * USEC_PER_MSEC);
}

/* That of a held request, and that of an idle connection; not when another request came after the one that named it. */
static void test_named_peers_that_go_away(void) {
        static const struct {
                const char *name;
                bool held, asks_again;
                const char *gone;
        } cases[] = {
                { "one", true, false, "one " },
                { "two", false, false, "two " },
                { "three", false, true, "" },
                { "a-name-that-is-longer-than-any-that-is-used", false, false, "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Site site;
                int fd;

                open_site(&site);
                fd = client();
                ask(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
                (void) hear(&site, fd, NULL);
                ok_true(site.later != NULL);
                http_request_name_peer(site.later, cases[i].name);
                if (cases[i].held) {
                        http_request_watch_peer(site.later);
                } else {
                        http_request_reply(site.later, 200, "text/plain", strdup("here"), 4);
                        ok_contains(hear(&site, fd, "here"), " 200 ");
                }
                if (cases[i].asks_again) {
                        ask(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
                        ok_contains(hear(&site, fd, "\r\n\r\n"), " 200 ");
                }
                turn(&site, 5);
                ok_str(site.gone, "");
                (void) close(fd);
                turn(&site, 20);
                ok_str(site.gone, cases[i].gone);
                close_site(&site);
                ok_str(site.gone, cases[i].gone);
        }
}

/* What handlers need is freed before the server is, so a request that came last must not reach them. */
static void test_ending_server_asks_nobody(void) {
        Site site;
        int idle, partial;

        open_site(&site);
        idle = client();
        partial = client();
        ask(idle, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
        (void) hear(&site, idle, NULL);
        http_request_name_peer(site.later, "idle");
        http_request_reply(site.later, 200, "text/plain", strdup("here"), 4);
        ok_contains(hear(&site, idle, "here"), " 200 ");
        ask(partial, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel");
        (void) hear(&site, partial, NULL);
        ok_int(site.begun, 2);
        ok_int(site.asked, 1);
        http_server_quiesce(site.server);
        ask(idle, "GET /again HTTP/1.1\r\nHost: x\r\n\r\n");
        ask(partial, "lo");
        close_site(&site);
        ok_int(site.begun, 2);
        ok_int(site.asked, 1);
        ok_str(site.gone, "");
        (void) close(idle);
        (void) close(partial);
}

int main(void) {
        char *slash = strrchr(path, '/');

        *slash = '\0';
        if (!mkdtemp(path))
                return 1;
        *slash = '/';
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        RUN(test_replies_now_and_later);
        RUN(test_bodies_are_bounded);
        RUN(test_all_bodies_together_are_bounded);
        RUN(test_content_types);
        RUN(test_quiet_server_ends_connections);
        RUN(test_peer_that_goes_away);
        RUN(test_watched_and_answered);
        RUN(test_named_peers_that_go_away);
        RUN(test_ending_server_asks_nobody);
        (void) unlink(path);
        *slash = '\0';
        (void) rmdir(path);
        return tap_done();
}
