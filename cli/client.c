/* The loop runs until the answer is there. */
#include "client.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "backoff.h"
#include "http-client.h"
#include "proto.h"
#include "str.h"
#include "timespan.h"

#define TIMEOUT_SEC 60U
#define PASSING_USEC (30 * USEC_PER_SEC) /* how long 429 and 503 are put up with */

struct Client {
        /* owned */
        sd_event *event;
        HttpClient *http;
        char *token;
        HttpCall *call;
        sd_event_source *timer;
        /* borrowed */
        const char *url;
        Reply *reply; /* of the request under way */
        Backoff backoff;
        uint64_t waited_usec;
        unsigned failures;
        int result;
        bool done, patient, interrupted, again, delay_over;
        Error error;
        unsigned retry_after_sec;
};

int complain(int r, const char *fmt, ...) {
        va_list ap;

        (void) fflush(stdout);
        (void) fputs("sluicectl: ", stderr);
        va_start(ap, fmt);
        (void) vfprintf(stderr, fmt, ap);
        va_end(ap);
        (void) fputc('\n', stderr);
        return r;
}

static int on_interrupt(sd_event_source *source, const struct signalfd_siginfo *info,
                        void *userdata) {
        Client *c = userdata;

        (void) source;
        (void) info;
        c->interrupted = true;
        return 0;
}

static int on_delay(sd_event_source *source, uint64_t usec, void *userdata) {
        Client *c = userdata;

        (void) source;
        (void) usec;
        c->delay_over = true;
        return 0;
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
        r = settings_read_token(settings, &c->token, e);
        if (r >= 0)
                r = sd_event_new(&c->event);
        if (r >= 0)
                r = sd_event_add_time_relative(c->event, &c->timer, CLOCK_MONOTONIC, 0, PROMPT_USEC,
                                               on_delay, c);
        if (r >= 0)
                r = sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
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
        (void) sd_event_source_disable_unref(c->timer);
        (void) sd_event_unref(c->event);
        if (c->token)
                explicit_bzero(c->token, strlen(c->token));
        free(c->token);
        free(c);
        return NULL;
}

void client_be_patient(Client *c) {
        sigset_t mask;

        if (c->patient)
                return;
        c->patient = true;
        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGINT);
        (void) sigprocmask(SIG_BLOCK, &mask, NULL);
        (void) sd_event_add_signal(c->event, NULL, SIGINT, on_interrupt, c);
}

void reply_done(Reply *r) {
        free(r->body);
        free(r->etag);
        free(r->link_next);
        *r = (Reply){};
}

/* What a person can do about it. */
static int describe_failure(const Client *c, const HttpAnswer *answer, Error *e) {
        switch (answer->r) {
        case -ECONNREFUSED:
                return error_set(e, answer->r, "unreachable",
                                 "Nothing answers at %s. Is controld running there, and is the URL "
                                 "right (--url=, SLUICE_URL)?",
                                 c->url);
        case -EKEYREJECTED:
                return error_set(e, answer->r, "bad-certificate",
                                 "The certificate of %s cannot be verified: %s. Name the CA that "
                                 "signed it with --cafile= or SLUICE_CAFILE.",
                                 c->url, answer->error);
        case -ENOKEY:
                return error_set(e, answer->r, "bad-ca", "Cannot use the CA file: %s.",
                                 answer->error);
        default:
                return error_set(e, answer->r, "unreachable", "Cannot reach %s: %s.", c->url,
                                 answer->error);
        }
}

static int describe_problem(const HttpAnswer *answer, Error *e) {
        ProtoProblem problem = {};
        int r = json_decode(answer->body, answer->size, proto_problem_fields, JSON_IGNORE_UNKNOWN,
                            &problem, NULL);

        if (answer->status == 401)
                (void) error_set(e, -EACCES, "unauthorized",
                                 "The control plane refuses the token: %s Set another with "
                                 "SLUICE_TOKEN or --token-file=.",
                                 r >= 0 && problem.detail ? problem.detail : "");
        else if (r >= 0 && problem.detail)
                (void) error_set(e, -EREMOTEIO, problem.code ? problem.code : "refused", "%s%s%s",
                                 problem.detail, problem.hint ? " " : "",
                                 problem.hint ? problem.hint : "");
        else
                (void) error_set(e, -EREMOTEIO, "refused", "The control plane answers HTTP %u.",
                                 answer->status);
        json_done(proto_problem_fields, &problem);
        return -EREMOTEIO;
}

static int keep_answer(const HttpAnswer *answer, Reply *reply) {
        reply->status = answer->status;
        reply->size = answer->size;
        reply->body = malloc(answer->size + 1);
        if (!reply->body)
                return -ENOMEM;
        (void) memcpy(reply->body, answer->body, answer->size + 1);
        if (str_replace(&reply->etag, answer->etag) < 0 ||
            str_replace(&reply->link_next, answer->link_next) < 0)
                return -ENOMEM;
        return 0;
}

static void on_done(const HttpAnswer *answer, void *userdata) {
        Client *c = userdata;

        c->call = NULL;
        c->done = true;
        c->error = (Error){};
        c->again = answer->r < 0 && answer->r != -EKEYREJECTED && answer->r != -ENOKEY;
        c->again |= answer->status == 429 || answer->status >= 500;
        c->retry_after_sec = answer->retry_after_sec;
        if (answer->r < 0)
                c->result = describe_failure(c, answer, &c->error);
        else if (answer->status >= 300 && answer->status != 304)
                c->result = describe_problem(answer, &c->error);
        else
                c->result = keep_answer(answer, c->reply);
}

static int run_until(Client *c, const bool *flag) {
        while (!*flag && !c->interrupted) {
                int r = sd_event_run(c->event, UINT64_MAX);

                if (r < 0)
                        return complain(r, "The event loop fails: %s.", strerror(-r));
        }
        return c->interrupted ? -EINTR : 0;
}

static int ask_once(Client *c, const Request *q, Reply *reply) {
        int r;

        c->done = false;
        c->reply = reply;
        r = http_call_new(
                c->http,
                &(HttpOptionsIn){ .method = q->method,
                                  .path = q->path,
                                  .bearer = c->token,
                                  .content_type = q->content_type,
                                  .body = q->body,
                                  .size = q->size,
                                  .header = q->header,
                                  .timeout_sec = q->timeout_sec ? q->timeout_sec : TIMEOUT_SEC },
                on_done, c, &c->call);
        if (r < 0)
                return complain(r, "Cannot ask %s: %s.", c->url, strerror(-r));
        r = run_until(c, &c->done);
        if (r < 0)
                c->call = http_call_free(c->call);
        return r;
}

/* A server that is there but busy is asked again for a while; one that was there before, for ever. */
static bool may_ask_again(const Client *c) {
        if (!c->again)
                return false;
        return c->patient || (c->retry_after_sec > 0 && c->waited_usec < PASSING_USEC);
}

static int wait_for_retry(Client *c) {
        uint64_t usec = backoff_next_usec(&c->backoff), asked = c->retry_after_sec * USEC_PER_SEC;

        if (usec < asked)
                usec = asked;
        c->waited_usec += usec;
        if (c->patient && c->failures++ == 0)
                (void) complain(0, "%s Waiting for it.", c->error.detail);
        c->delay_over = false;
        (void) sd_event_source_set_time_relative(c->timer, usec);
        (void) sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
        return run_until(c, &c->delay_over);
}

int client_request(Client *c, const Request *request, Reply *ret) {
        Reply reply = {};

        c->backoff = (Backoff){ 200 * USEC_PER_MSEC, 5 * USEC_PER_SEC };
        c->waited_usec = 0;
        for (;;) {
                int r = ask_once(c, request, &reply);

                if (r >= 0 && c->result >= 0) {
                        if (c->failures > 0)
                                (void) complain(0, "%s answers again.", c->url);
                        c->failures = 0;
                        *ret = reply;
                        return 0;
                }
                reply_done(&reply);
                if (r >= 0 && !may_ask_again(c))
                        return complain(c->result, "%s", error_text(&c->error, c->result));
                if (r >= 0)
                        r = wait_for_retry(c);
                if (r < 0)
                        return r;
        }
}

int client_get(Client *c, const char *path, Reply *ret) {
        return client_request(c, &(Request){ .method = "GET", .path = path }, ret);
}
