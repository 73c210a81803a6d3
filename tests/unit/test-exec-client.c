/* The order of calls of agentd-exec, which is played by the other end of a connection. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exec-client.h"
#include "id.h"
#include "str.h"
#include "timespan.h"
#include "../lib/tap.h"

static sd_event *event;
static sd_bus *server, *client;
static char heard[256];  /* calls, in the order in which they came */
static unsigned refused; /* so many are answered with trouble that passes */
static unsigned done;

static int append(sd_bus_message *m, void *userdata) {
        return sd_bus_message_append(m, "s", (const char *) userdata);
}

static int on_call(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *text = "";
        size_t used = strlen(heard);

        (void) userdata;
        (void) error;
        ok_true(sd_bus_message_read(m, "s", &text) > 0);
        (void) snprintf(heard + used, sizeof(heard) - used, "%s%s %s", used ? ", " : "",
                        sd_bus_message_get_member(m), text);
        if (refused > 0 && refused--)
                return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_NO_REPLY, "not now");
        return sd_bus_reply_method_return(m, "");
}

static void on_done(ExecVerdict verdict, const char *words, void *userdata) {
        (void) words;
        (void) userdata;
        ok_int(verdict, EXEC_DONE);
        done++;
}

static sd_bus *end_of(int fd, bool is_server) {
        sd_bus *bus = NULL;

        ok_int(sd_bus_new(&bus), 0);
        ok_int(sd_bus_set_fd(bus, fd, fd), 0);
        if (is_server)
                ok_int(sd_bus_set_server(bus, true,
                                         SD_ID128_MAKE(01, 23, 45, 67, 89, ab, cd, ef, 01, 23, 45,
                                                       67, 89, ab, cd, ef)),
                       0);
        ok_int(sd_bus_set_anonymous(bus, true), 0);
        ok_true(sd_bus_start(bus) >= 0);
        ok_true(sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL) >= 0);
        return bus;
}

static ExecClient *connect_ends(void) {
        ExecClient *x = NULL;
        int fds[2];

        *heard = '\0';
        done = 0;
        ok_int(sd_event_new(&event), 0);
        ok_int(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
        server = end_of(fds[0], true);
        client = end_of(fds[1], false);
        ok_true(sd_bus_add_filter(server, NULL, on_call, NULL) >= 0);
        ok_int(exec_client_new(event, client, &x), 0);
        return x;
}

static void part(ExecClient *x) {
        (void) exec_client_free(x);
        client = sd_bus_flush_close_unref(client);
        server = sd_bus_flush_close_unref(server);
        event = sd_event_unref(event);
}

static ExecCall *say(ExecClient *x, const char *method, const char *text) {
        ExecCall *call = NULL;

        ok_int(exec_call_new(x, &(ExecRequest){ .method = method, .text = text, .done = on_done },
                             &call),
               0);
        return call;
}

static void wait_for(unsigned wanted) {
        while (done < wanted)
                ok_true(sd_event_run(event, 10 * USEC_PER_SEC) >= 0);
}

/* What a Release of an attempt is repeated for is over when the attempt is started again. */
static void test_calls_of_one_attempt_keep_their_order(void) {
        char one[] = "one";
        ExecClient *x = connect_ends();
        ExecCall *call;

        refused = 1;
        (void) say(x, "Release", "one");
        ok_int(exec_call_new(x,
                             &(ExecRequest){ .method = "Start",
                                             .append = append,
                                             .text = "one",
                                             .done = on_done,
                                             .userdata = one },
                             &call),
               0);
        (void) say(x, "Release", "two");
        wait_for(3);
        ok_str(heard, "Release one, Release two, Release one, Start one");
        part(x);
}

static void test_nothing_waits_for_what_is_given_up(void) {
        ExecClient *x = connect_ends();
        ExecCall *first;

        refused = 1;
        first = say(x, "Stop", "one");
        while (refused > 0)
                ok_true(sd_event_run(event, 10 * USEC_PER_SEC) >= 0);
        for (int i = 0; i < 3; i++) /* until the answer is here */
                ok_true(sd_event_run(event, 10 * USEC_PER_MSEC) >= 0);
        (void) say(x, "Release", "one");
        ok_true(sd_event_run(event, 0) >= 0);
        (void) exec_call_free(first);
        wait_for(1);
        ok_str(heard, "Stop one, Release one");
        part(x);
}

int main(void) {
        (void) alarm(60); /* a loop that never ends is a failure too */
        RUN(test_calls_of_one_attempt_keep_their_order);
        RUN(test_nothing_waits_for_what_is_given_up);
        return tap_done();
}
