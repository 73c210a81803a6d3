/* A request and its repetitions. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backoff.h"
#include "client-internal.h"
#include "str.h"
#include "timespan.h"

#define TIMEOUT_SEC 60U
#define SHORT_USEC (10 * USEC_PER_SEC)
#define START_USEC (30 * USEC_PER_SEC)

struct Call {
        Client *client; /* borrowed: freed after its calls */
        const char *method, *content_type;
        Patience patience;
        bool repeatable;
        unsigned timeout_sec;
        size_t size;
        /* owned */
        char *path, *body, *header;
        HttpCall *http;
        sd_event_source *timer;
        Backoff backoff;
        uint64_t since_usec; /* of the first failure, 0 when there was none */
        CallDone done;
        void *userdata; /* borrowed: holds us */
};

void reply_done(Reply *r) {
        free(r->body);
        free(r->etag);
        free(r->link_next);
        *r = (Reply){};
}

static int reply_copy(const HttpAnswer *answer, Reply *ret) {
        ret->status = answer->status;
        ret->size = answer->size;
        ret->body = malloc(answer->size + 1);
        if (!ret->body)
                return -ENOMEM;
        (void) memcpy(ret->body, answer->body, answer->size + 1);
        if (str_replace(&ret->etag, answer->etag) < 0 ||
            str_replace(&ret->link_next, answer->link_next) < 0)
                return -ENOMEM;
        return 0;
}

/* For how long such trouble is put up with, from its beginning. */
static uint64_t limit_usec(const Call *call, Trouble trouble) {
        switch (trouble) {
        case TROUBLE_LASTS:
                return 0;
        case TROUBLE_AWAY:
                return call->patience == PATIENCE_SHORT   ? 0
                       : call->patience == PATIENCE_START ? START_USEC
                                                          : USEC_INFINITY;
        case TROUBLE_INTERNAL: /* it may be there for ever, as a log that cannot be read */
                return !call->repeatable                  ? 0
                       : call->patience == PATIENCE_SHORT ? SHORT_USEC / 5
                                                          : START_USEC;
        case TROUBLE_BUSY:
        case TROUBLE_BROKEN:
                return !call->repeatable                  ? 0
                       : call->patience == PATIENCE_SHORT ? SHORT_USEC
                       : call->patience == PATIENCE_START ? START_USEC
                                                          : USEC_INFINITY;
        }
        return 0;
}

static void finish(Call *call, int r, Reply *reply, const Error *e) {
        call->done(r, reply, e, call->userdata); /* may free the call */
}

static int ask(Call *call);

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Call *call = userdata;
        int r = ask(call);

        (void) source;
        (void) usec;
        if (r < 0) {
                Reply none = {};

                finish(call, r, &none, NULL);
        }
        return 0;
}

static int arm(Call *call, uint64_t usec) {
        int r = sd_event_source_set_time_relative(call->timer, usec);

        return r < 0 ? r : sd_event_source_set_enabled(call->timer, SD_EVENT_ONESHOT);
}

/* What was there before is only away; no need to ask whether the URL is right. */
static void tell_trouble(const Call *call, const HttpAnswer *answer, const Error *e) {
        Error away;

        if (call->patience == PATIENCE_LONG && answer->r < 0) {
                (void) error_set(&away, answer->r, "away", "%s is away: %s.",
                                 client_url(call->client), answer->error);
                e = &away;
        }
        client_in_trouble(call->client, e->detail);
}

/* 1 when the request will be repeated. */
static int repeat(Call *call, const HttpAnswer *answer, const Error *e) {
        uint64_t limit = limit_usec(call, failure_kind(answer)), usec;

        if (call->since_usec == 0)
                call->since_usec = clock_usec(CLOCK_MONOTONIC);
        usec = backoff_next_asked_usec(&call->backoff, answer->retry_after_sec);
        if (limit != USEC_INFINITY && clock_usec(CLOCK_MONOTONIC) - call->since_usec + usec > limit)
                return 0;
        if (call->patience != PATIENCE_SHORT)
                tell_trouble(call, answer, e);
        return arm(call, usec) >= 0;
}

static void on_answer(const HttpAnswer *answer, void *userdata) {
        Call *call = userdata;
        Reply reply = {};
        Error e = {};
        int r;

        call->http = NULL;
        if (answer->r < 0 || (answer->status != 304 && answer->status / 100 != 2)) {
                r = failure_describe(client_url(call->client), answer, &e);
                if (repeat(call, answer, &e))
                        return;
                if (answer->r >= 0 && answer->body)
                        (void) reply_copy(answer,
                                          &reply); /* there may be more than e has room for */
        } else {
                client_out_of_trouble(call->client);
                r = reply_copy(answer, &reply);
        }
        finish(call, r, &reply, &e);
        reply_done(&reply);
}

static int ask(Call *call) {
        return http_call_new(client_http(call->client),
                             &(HttpOptionsIn){ .method = call->method,
                                               .path = call->path,
                                               .bearer = client_token(call->client),
                                               .content_type = call->content_type,
                                               .body = call->body,
                                               .size = call->size,
                                               .header = call->header,
                                               .timeout_sec = call->timeout_sec },
                             on_answer, call, &call->http);
}

static int copy_request(Call *call, const Request *q) {
        call->method = q->method;
        call->content_type = q->content_type;
        call->patience = q->patience;
        call->repeatable = q->repeatable || !str_eq(q->method, "POST");
        call->timeout_sec = q->timeout_sec ? q->timeout_sec : TIMEOUT_SEC;
        call->backoff = (Backoff){ 200 * USEC_PER_MSEC, 5 * USEC_PER_SEC };
        call->size = q->size;
        if (q->body) {
                call->body = malloc(q->size + 1);
                if (!call->body)
                        return -ENOMEM;
                (void) memcpy(call->body, q->body, q->size);
        }
        if (str_replace(&call->path, q->path) < 0 || str_replace(&call->header, q->header) < 0)
                return -ENOMEM;
        return 0;
}

int call_new(Client *c, const Request *request, CallDone done, void *userdata, Call **ret) {
        _cleanup_(call_freep) Call *call = calloc(1, sizeof(*call));
        int r;

        if (!call)
                return -ENOMEM;
        call->client = c;
        call->done = done;
        call->userdata = userdata;
        r = copy_request(call, request);
        if (r >= 0)
                r = sd_event_add_time_relative(client_event(c), &call->timer, CLOCK_MONOTONIC, 0,
                                               PROMPT_USEC, on_timer, call);
        if (r >= 0)
                r = sd_event_source_set_enabled(call->timer, SD_EVENT_OFF);
        if (r >= 0 && request->delay_msec > 0)
                r = arm(call, request->delay_msec * USEC_PER_MSEC);
        else if (r >= 0)
                r = ask(call);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(call);
        return 0;
}

Call *call_free(Call *call) {
        if (!call)
                return NULL;
        (void) http_call_free(call->http);
        (void) sd_event_source_disable_unref(call->timer);
        free(call->path);
        free(call->body);
        free(call->header);
        free(call);
        return NULL;
}
