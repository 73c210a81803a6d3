/* The way to the control plane where there are several places, played by sockets on the loopback. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link.h"
#include "str.h"
#include "timespan.h"
#include "../lib/tap.h"

#define LONG_USEC (10 * USEC_PER_SEC)

/* Answers each request with its status, and closes the connection. */
typedef struct Place {
        int fd;
        sd_event_source *io; /* owned */
        char url[64];
        unsigned status, asked; /* status 0: says nothing */
        const char *body;       /* constant */
} Place;

static sd_event *event;
static unsigned answers, answered;
static int pending[2] = { -1, -1 }; /* a look-up of a name waits for its second end to be closed */

/* For libcurl's threads: a name server that does not answer. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret) {
        __typeof__(getaddrinfo) *real = (__typeof__(getaddrinfo) *) dlsym(RTLD_NEXT, "getaddrinfo");
        char c;

        if (pending[0] < 0)
                return real(node, service, hints, ret);
        (void) read(pending[0], &c, 1);
        return EAI_AGAIN;
}

static int on_request(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Place *p = userdata;
        char text[4096];
        int n;

        (void) revents;
        if (recv(fd, text, sizeof(text), 0) > 0) {
                p->asked++;
                if (p->status == 0) {
                        ok_int(sd_event_source_set_io_fd_own(source, true) < 0, 0);
                        ok_int(sd_event_source_set_floating(source, true) < 0, 0);
                        (void) sd_event_source_unref(source); /* the loop's from here on */
                        return sd_event_source_set_enabled(source, SD_EVENT_OFF);
                }
                n = snprintf(text, sizeof(text),
                             "HTTP/1.1 %u X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                             p->status, strlen(p->body), p->body);
                ok_int(send(fd, text, (size_t) n, MSG_NOSIGNAL), n);
        }
        (void) sd_event_source_disable_unref(source);
        (void) close(fd);
        return 0;
}

static int on_connection(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        sd_event_source *io;

        (void) source;
        (void) revents;
        ok_true(connection >= 0);
        ok_int(sd_event_add_io(event, &io, connection, EPOLLIN, on_request, userdata) < 0, 0);
        return 0;
}

static void place_open(Place *p, unsigned status) {
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);

        *p = (Place){ .status = status, .body = "{}" };
        p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ok_int(bind(p->fd, (struct sockaddr *) &address, sizeof(address)), 0);
        ok_int(getsockname(p->fd, (struct sockaddr *) &address, &size), 0);
        (void) snprintf(p->url, sizeof(p->url), "http://127.0.0.1:%u/", ntohs(address.sin_port));
}

/* Until then connections are refused. */
static void place_listen(Place *p) {
        ok_int(listen(p->fd, 8), 0);
        ok_int(sd_event_add_io(event, &p->io, p->fd, EPOLLIN, on_connection, p) < 0, 0);
}

static void place_close(Place *p) {
        p->io = sd_event_source_disable_unref(p->io);
        (void) close(p->fd);
}

static void on_turn(Channel *c, void *userdata) {
        (void) userdata;
        ok_int(channel_send(c, &(ChannelRequest){ "/x", "application/json", "{}", 2, 5 }), 0);
}

static void on_answer(Channel *c, const ChannelAnswer *answer, void *userdata) {
        (void) c;
        (void) userdata;
        answered = answer->status;
        answers++;
}

static bool happens(unsigned wanted, uint64_t usec) {
        uint64_t now, until = 0;

        (void) sd_event_now(event, CLOCK_MONOTONIC, &until);
        until += usec;
        do {
                (void) sd_event_run(event, 20 * USEC_PER_MSEC);
                (void) sd_event_now(event, CLOCK_MONOTONIC, &now);
        } while (answers < wanted && now < until);
        return answers >= wanted;
}

static Link *link_to(Place *first, Place *second) {
        Link *l = NULL;

        ok_int(sd_event_new(&event), 0);
        answers = 0;
        ok_int(link_new(event, (char *[]){ first->url, second->url, NULL }, NULL, &l), 0);
        return l;
}

static Channel *channel_of(Link *l) {
        Channel *c = NULL;

        ok_int(channel_new(l, "test", on_turn, on_answer, NULL, &c), 0);
        channel_kick(c);
        return c;
}

static void test_the_next_is_asked_and_stayed_with(void) {
        Place first, second;
        Channel *c;
        Link *l;

        place_open(&first, 200);
        place_open(&second, 200);
        l = link_to(&first, &second);
        place_listen(&second);
        c = channel_of(l);
        ok_true(happens(1, LONG_USEC));
        ok_true(link_is_up(l));
        ok_int(second.asked, 1);

        place_listen(&first);
        channel_kick(c);
        ok_true(happens(2, LONG_USEC));
        ok_int(second.asked, 2); /* although the first is there now */

        place_close(&second);
        channel_kick(c);
        ok_true(happens(3, LONG_USEC));
        ok_int(first.asked, 1);

        (void) channel_free(c);
        (void) link_free(l);
        place_close(&first);
        event = sd_event_unref(event);
}

/* Two that fail at one place together go on to the next, not past it. */
static void test_failures_of_one_place_count_once(void) {
        Place first, second;
        Channel *channels[2];
        Link *l;

        place_open(&first, 503);
        place_open(&second, 200);
        l = link_to(&first, &second);
        place_listen(&first);
        place_listen(&second);
        channels[0] = channel_of(l);
        channels[1] = channel_of(l);
        ok_true(happens(2, LONG_USEC));
        ok_int(first.asked, 2);
        ok_int(second.asked, 2);
        (void) channel_free(channels[0]);
        (void) channel_free(channels[1]);
        (void) link_free(l);
        place_close(&first);
        place_close(&second);
        event = sd_event_unref(event);
}

/* One that refuses the credential knows it; another would say the same. */
static void test_a_refusal_is_an_answer(void) {
        Place first, second;
        Channel *c;
        Link *l;

        place_open(&first, 401);
        place_open(&second, 200);
        l = link_to(&first, &second);
        place_listen(&first);
        place_listen(&second);
        c = channel_of(l);
        ok_true(!happens(1, USEC_PER_SEC));
        ok_int(first.asked, 1);
        ok_int(second.asked, 0);
        (void) channel_free(c);
        (void) link_free(l);
        place_close(&first);
        place_close(&second);
        event = sd_event_unref(event);
}

/* A proxy's, or that of a page which somebody has put in controld's place: it ends nothing. */
static void test_what_is_not_of_controld_is_no_answer(void) {
        static const struct {
                unsigned status;
                const char *body;
                bool answers;
        } cases[] = {
                { 404, "{}", false },
                { 413, "<html>too large</html>", false },
                { 302, "", false },
                { 404, "{\"code\":\"attempt-not-found\"}", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Place first, second;
                Channel *c;
                Link *l;

                place_open(&first, cases[i].status);
                place_open(&second, 200);
                first.body = cases[i].body;
                l = link_to(&first, &second);
                place_listen(&first);
                place_listen(&second);
                c = channel_of(l);
                ok_true(happens(1, LONG_USEC));
                ok_int(answered, cases[i].answers ? cases[i].status : 200);
                ok_int(second.asked, !cases[i].answers);
                (void) channel_free(c);
                (void) link_free(l);
                place_close(&first);
                place_close(&second);
                event = sd_event_unref(event);
        }
}

static void test_a_name_that_is_not_found_yet_holds_up_nothing(void) {
        Place place = { .url = "https://controld.example.org/" };
        Channel *c;
        Link *l;

        ok_int(pipe2(pending, O_CLOEXEC), 0);
        l = link_to(&place, &place);
        c = channel_of(l);
        ok_true(!happens(1, USEC_PER_SEC / 2));
        (void) channel_free(c);
        (void) link_free(l); /* and alarm() has not ended us */
        (void) close(pending[1]);
        event = sd_event_unref(event);
}

#define MANY (3 * LINK_SHARED_MAX)

static void free_asking(Channel *channels[MANY]) {
        bool asking[MANY] = {};

        for (size_t i = 0; i < MANY; i++)
                asking[i] = channels[i] && channel_is_asking(channels[i]);
        for (size_t i = 0; i < MANY; i++)
                if (asking[i])
                        channels[i] = channel_free(channels[i]);
}

/* Of many of a kind some ask at a time; who waits has its turn when one of them is answered, fails, or goes. */
static void test_many_of_a_kind_take_turns(void) {
        Channel *channels[MANY];
        Place place;
        Link *l;

        place_open(&place, 200);
        l = link_to(&place, &place);
        place_listen(&place);
        for (size_t i = 0; i < MANY; i++) {
                channels[i] = channel_of(l);
                channel_share(channels[i]);
        }
        ok_true(happens(MANY, LONG_USEC));
        ok_int(place.asked, MANY);

        place.status = 0;
        for (size_t i = 0; i < MANY; i++)
                channel_kick(channels[i]);
        ok_true(!happens(MANY + 1, USEC_PER_SEC / 2));
        ok_int(place.asked, MANY + LINK_SHARED_MAX);
        free_asking(channels);
        ok_true(!happens(MANY + 1, USEC_PER_SEC / 2));
        ok_int(place.asked, MANY + 2 * LINK_SHARED_MAX);

        place_close(
                &place); /* those under way say nothing; the rest is refused, one after the other */
        free_asking(channels);
        (void) happens(MANY + 1, USEC_PER_SEC / 2);
        ok_true(!link_is_up(l));
        for (size_t i = 0; i < MANY; i++)
                (void) channel_free(channels[i]);
        (void) link_free(l);
        event = sd_event_unref(event);
}

int main(void) {
        (void) alarm(60); /* a loop that never ends is a failure too */
        RUN(test_the_next_is_asked_and_stayed_with);
        RUN(test_failures_of_one_place_count_once);
        RUN(test_a_refusal_is_an_answer);
        RUN(test_what_is_not_of_controld_is_no_answer);
        RUN(test_many_of_a_kind_take_turns);
        RUN(test_a_name_that_is_not_found_yet_holds_up_nothing);
        return tap_done();
}
