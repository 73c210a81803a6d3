/* The loop, the connection, and what all calls have in common. */
#include "client.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client-internal.h"
#include "json-in.h"
#include "str.h"
#include "strv.h"
#include "table.h"

struct Client {
        /* owned */
        sd_event *event;
        HttpClient *http;
        char *token;
        sd_event_source *interrupt;
        const char *url; /* borrowed: the settings outlive us */
        bool interrupted, in_trouble;
};

int complain(int r, const char *fmt, ...) {
        _cleanup_(freep) char *words = NULL, *safe = NULL;
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vasprintf(&words, fmt, ap);
        va_end(ap);
        if (n < 0)
                words = NULL;
        safe = words ? text_escape(words, strlen(words)) : NULL;
        (void) fflush(stdout);
        (void) fprintf(stderr, "sluicectl: %s\n", safe ? safe : "Out of memory.");
        return r;
}

int client_new(const Settings *settings, Client **ret, Error *e) {
        _cleanup_(client_freep) Client *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        c->url = settings->url;
        if (!str_after(c->url, "https://") && !str_after(c->url, "http://"))
                return error_set(e, -EINVAL, "bad-url", "The URL %s must begin with https://.",
                                 c->url);
        if (settings->ca_file && access(settings->ca_file, R_OK) < 0)
                return error_set(e, -errno, "bad-ca", "Cannot read the CA file %s: %s.",
                                 settings->ca_file, strerror(errno));
        /* A connection that breaks is an answer, not a reason to die of SIGPIPE. */
        (void) signal(SIGPIPE, SIG_IGN);
        r = settings_read_token(settings, &c->token, e);
        if (r >= 0)
                r = sd_event_new(&c->event);
        if (r >= 0)
                r = http_client_new(c->event, settings->url, settings->ca_file,
                                    "sluicectl/" PACKAGE_VERSION, &c->http);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

Client *client_free(Client *c) {
        if (!c)
                return NULL;
        (void) http_client_free(c->http);
        (void) sd_event_source_disable_unref(c->interrupt);
        (void) sd_event_unref(c->event);
        if (c->token)
                explicit_bzero(c->token, strlen(c->token));
        free(c->token);
        free(c);
        return NULL;
}

sd_event *client_event(Client *c) {
        return c->event;
}

HttpClient *client_http(const Client *c) {
        return c->http;
}

const char *client_url(const Client *c) {
        return c->url;
}

const char *client_token(const Client *c) {
        return c->token;
}

void client_in_trouble(Client *c, const char *detail) {
        if (!c->in_trouble)
                (void) complain(0, "%s Waiting for it.", detail);
        c->in_trouble = true;
}

void client_out_of_trouble(Client *c) {
        if (c->in_trouble)
                (void) complain(0, "%s answers again.", c->url);
        c->in_trouble = false;
}

static int on_interrupt(sd_event_source *source, const struct signalfd_siginfo *info,
                        void *userdata) {
        Client *c = userdata;

        (void) source;
        (void) info;
        c->interrupted = true;
        return 0;
}

int client_catch_interrupt(Client *c) {
        sigset_t mask;

        if (c->interrupt)
                return 0;
        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGINT);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;
        return sd_event_add_signal(c->event, &c->interrupt, SIGINT, on_interrupt, c);
}

int client_run(Client *c, const bool *flag) {
        while (!*flag && !c->interrupted) {
                int r = sd_event_run(c->event, UINT64_MAX);

                if (r < 0)
                        return complain(r, "The event loop fails: %s.", strerror(-r));
        }
        return *flag ? 0 : -EINTR;
}

typedef struct Waited {
        Reply reply; /* owned */
        Error error;
        int r;
        bool done;
} Waited;

static void on_waited(int r, Reply *reply, const Error *e, void *userdata) {
        Waited *w = userdata;

        w->r = r;
        w->reply = *reply;
        *reply = (Reply){};
        if (e)
                w->error = *e;
        w->done = true;
}

/* What went wrong; several things a line each. */
static int tell(const Waited *w) {
        _cleanup_(strv_freep) char **errors = NULL;
        const JsonField fields[] = { { "errors", JSON_STRV, false, 0, .max = 10000 }, {} };

        if (w->reply.body)
                (void) json_decode(w->reply.body, w->reply.size, fields, JSON_IGNORE_UNKNOWN,
                                   &errors, NULL);
        if (strv_length(errors) < 2)
                return complain(w->r, "%s", error_text(&w->error, w->r));
        STRV_FOREACH(e, errors)
                (void) complain(w->r, "%s", *e);
        return w->r;
}

/* The problem called quiet (may be NULL) is -ENOENT, and not told. */
static int wait_for(Client *c, const Request *request, const char *quiet, Reply *ret) {
        _cleanup_(call_freep) Call *call = NULL;
        Waited w = {};
        int r = call_new(c, request, on_waited, &w, &call);

        if (r < 0)
                return complain(r, "Cannot ask %s: %s.", c->url, strerror(-r));
        r = client_run(c, &w.done);
        if (r < 0)
                return r;
        if (w.r < 0) {
                r = quiet && str_eq(w.error.slug, quiet) ? -ENOENT : tell(&w);
                reply_done(&w.reply);
                return r;
        }
        *ret = w.reply;
        return 0;
}

int client_request(Client *c, const Request *request, Reply *ret) {
        return wait_for(c, request, NULL, ret);
}

int client_get(Client *c, const char *path, Reply *ret) {
        return client_request(c, &(Request){ .method = "GET", .path = path }, ret);
}

int client_get_unless(Client *c, const char *path, const char *problem, Reply *ret) {
        return wait_for(c, &(Request){ .method = "GET", .path = path }, problem, ret);
}
