/* Decides which answers are final and which are asked for again; tells the journal when the control plane is lost and when
 * it is back, once each. */
#include "link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backoff.h"
#include "contact.h"
#include "http-client.h"
#include "log.h"
#include "message-ids.h"
#include "proto.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"

#define DELAY_FIRST_USEC (500 * USEC_PER_MSEC)
#define DELAY_LIMIT_USEC (60 * USEC_PER_SEC)
#define REFUSED_FIRST_USEC (5 * USEC_PER_SEC)
#define REFUSED_LIMIT_USEC (300 * USEC_PER_SEC)

struct Link {
        /* owned */
        HttpClient *http;
        char **urls;
        char *bearer;
        /* borrowed: the loop outlives everything, and so do the settings */
        sd_event *event;
        const char *ca_file; /* "": the system's */
        Channel *channels;   /* each frees itself first */
        size_t place;        /* of urls: where requests go */
        unsigned failures;   /* in a row, of all channels */
        bool refused;        /* the last failure was a 401 */
        unsigned shared;     /* channels with a share */
        uint64_t waits;      /* the last of those that wait for one */
};

struct Channel {
        Link *link; /* borrowed: freed after us */
        Channel *next, **slot;
        /* owned */
        HttpCall *call;
        sd_event_source *timer; /* a delay */
        sd_event_source *turn;  /* at once */
        const char *name;       /* constant */
        /* borrowed: our owner */
        channel_turn_t on_turn;
        channel_answer_t on_answer;
        void *userdata;
        Backoff backoff;
        uint64_t sent_usec; /* CLOCK_BOOTTIME */
        size_t sent_to;     /* of the link's urls */
        bool delayed;       /* the timer stands for a retry, which no kick shortens */
        bool told;          /* that retry is the server's wish */
        bool shares, has_share;
        uint64_t waits; /* for a share, the lower before the higher; 0: it does not */
};

int link_new(sd_event *event, char *const *urls, const char *ca_file, Link **ret) {
        _cleanup_(link_freep) Link *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        l->event = event;
        l->urls = strv_copy(urls);
        l->ca_file = ca_file ? ca_file : "";
        r = l->urls ? http_client_new(event, *urls, ca_file, "agentd/" PACKAGE_VERSION, &l->http)
                    : -ENOMEM;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

Link *link_free(Link *l) {
        if (!l)
                return NULL;
        (void) http_client_free(l->http);
        if (l->bearer)
                explicit_bzero(l->bearer, strlen(l->bearer));
        free(l->bearer);
        (void) strv_free(l->urls);
        free(l);
        return NULL;
}

int link_set_bearer(Link *l, const char *bearer) {
        return str_replace(&l->bearer, bearer);
}

bool link_is_up(const Link *l) {
        return l->failures == 0;
}

static const char *link_url(const Link *l) {
        return l->urls[l->place];
}

/* What other channels were told there meanwhile is no reason to pass the next one by. */
static void link_try_next(Link *l, size_t failed) {
        size_t next = (failed + 1) % strv_length(l->urls);

        if (failed == l->place && http_client_set_base_url(l->http, l->urls[next]) >= 0)
                l->place = next;
}

static void link_failed(Link *l, const char *what, bool refused, const char *words) {
        if (refused && !l->refused)
                log_message(LOG_ERR, MSG_CREDENTIAL_REFUSED, NULL,
                            "%s refuses this agent at %s: %s Running tasks go on; asking again "
                            "slowly.",
                            link_url(l), what, words);
        else if (!refused && l->failures == 0)
                log_message(LOG_WARNING, MSG_CONTROL_LOST, NULL,
                            "Cannot reach the control plane at %s (%s): %s Running tasks go on; "
                            "trying again.",
                            link_url(l), what, words);
        l->refused = refused;
        l->failures++;
}

/* To whoever waits for the longest. */
static void share_pass_on(Link *l) {
        Channel *next = NULL;

        for (Channel *c = l->channels; c; c = c->next)
                if (c->waits > 0 && (!next || c->waits < next->waits))
                        next = c;
        if (!next) {
                l->shared--;
                return;
        }
        next->waits = 0;
        next->has_share = true;
        channel_kick(next);
}

static void share_give_back(Channel *c) {
        if (!c->has_share)
                return;
        c->has_share = false;
        share_pass_on(c->link);
}

/* False: it has to wait. */
static bool share_take(Channel *c) {
        Link *l = c->link;

        if (!c->shares || c->has_share)
                return true;
        if (l->shared < LINK_SHARED_MAX) {
                l->shared++;
                c->has_share = true;
        } else if (c->waits == 0) {
                c->waits = ++l->waits;
        }
        return c->has_share;
}

static void channel_give_turn(Channel *c) {
        bool shares = c->shares;

        c->on_turn(c, c->userdata);
        if (shares && !c->call)
                share_give_back(c); /* it has nothing to say any more */
}

static int channel_on_turn(sd_event_source *source, void *userdata) {
        Channel *c = userdata;

        (void) source;
        if (!c->call && !c->delayed)
                channel_give_turn(c);
        return 0;
}

void channel_share(Channel *c) {
        c->shares = true;
}

int channel_new(Link *l, const char *name, channel_turn_t on_turn, channel_answer_t on_answer,
                void *userdata, Channel **ret) {
        _cleanup_(channel_freep) Channel *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        *c = (Channel){ .link = l,
                        .next = l->channels,
                        .slot = &l->channels,
                        .name = name,
                        .on_turn = on_turn,
                        .on_answer = on_answer,
                        .userdata = userdata };
        if (c->next)
                c->next->slot = &c->next;
        l->channels = c;
        r = sd_event_add_defer(l->event, &c->turn, channel_on_turn, c);
        if (r >= 0)
                r = sd_event_source_set_enabled(c->turn, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

Channel *channel_free(Channel *c) {
        if (!c)
                return NULL;
        *c->slot = c->next;
        if (c->next)
                c->next->slot = c->slot;
        share_give_back(c);
        (void) http_call_free(c->call);
        (void) sd_event_source_disable_unref(c->timer);
        (void) sd_event_source_disable_unref(c->turn);
        free(c);
        return NULL;
}

static int channel_on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Channel *c = userdata;

        (void) source;
        (void) usec;
        c->timer = sd_event_source_disable_unref(c->timer);
        c->delayed = false;
        channel_give_turn(c);
        return 0;
}

static void channel_arm(Channel *c, uint64_t usec) {
        int r;

        c->timer = sd_event_source_disable_unref(c->timer);
        r = sd_event_add_time_relative(c->link->event, &c->timer, CLOCK_MONOTONIC, usec,
                                       PROMPT_USEC, channel_on_timer, c);
        if (r >= 0)
                r = sd_event_source_set_description(c->timer, c->name);
        if (r < 0)
                (void) log_error(r, "Cannot plan the next %s", c->name);
}

bool channel_is_asking(const Channel *c) {
        return c->call;
}

void channel_kick_later(Channel *c, uint64_t usec) {
        if (!c->call && !c->timer)
                channel_arm(c, usec);
}

void channel_kick(Channel *c) {
        if (c->call || c->delayed)
                return;
        c->timer = sd_event_source_disable_unref(c->timer);
        (void) sd_event_source_set_enabled(c->turn, SD_EVENT_ONESHOT);
}

void channel_kick_within(Channel *c, uint64_t usec) {
        uint64_t now, due;
        int enabled;

        if (usec == 0) {
                channel_kick(c);
                return;
        }
        if (c->call || c->delayed || sd_event_source_get_enabled(c->turn, &enabled) < 0 ||
            enabled != SD_EVENT_OFF)
                return;
        if (c->timer && sd_event_now(c->link->event, CLOCK_MONOTONIC, &now) >= 0 &&
            sd_event_source_get_time(c->timer, &due) >= 0 && due <= now + usec)
                return;
        channel_arm(c, usec);
}

static void channel_retry(Channel *c, unsigned retry_after_sec, bool refused) {
        c->backoff.first_usec = refused ? REFUSED_FIRST_USEC : DELAY_FIRST_USEC;
        c->backoff.limit_usec = refused ? REFUSED_LIMIT_USEC : DELAY_LIMIT_USEC;
        channel_arm(c, backoff_next_asked_usec(&c->backoff, retry_after_sec));
        c->delayed = true;
        c->told = refused || retry_after_sec > 0;
}

/* What kept it from the server is over for another channel. */
static void channel_begin_anew(Channel *c) {
        backoff_reset(&c->backoff);
        channel_retry(c, 0, false);
}

static void link_worked(Link *l) {
        if (l->failures == 0)
                return;
        log_message(LOG_NOTICE, MSG_CONTROL_BACK, NULL,
                    "The control plane at %s answers again, after %u failures.", link_url(l),
                    l->failures);
        l->failures = 0;
        l->refused = false;
        for (Channel *c = l->channels; c; c = c->next)
                if (c->delayed && !c->told)
                        channel_begin_anew(c);
}

/* Whether it is one of controld's, and not of something on the way. */
static bool read_problem(const HttpAnswer *answer, Error *e) {
        ProtoProblem problem = {};
        bool own = json_decode(answer->body, answer->size, proto_problem_fields,
                               JSON_IGNORE_UNKNOWN, &problem, NULL) >= 0 &&
                   problem.code;

        if (own)
                (void) error_set(e, -EREMOTEIO, problem.code, "%s%s%s",
                                 problem.detail ? problem.detail : "HTTP error.",
                                 problem.hint ? " " : "", problem.hint ? problem.hint : "");
        else
                (void) error_set(e, -EREMOTEIO, "unreachable",
                                 "HTTP status %u, and not in controld's words. Does URL= lead to "
                                 "controld?",
                                 answer->status);
        json_done(proto_problem_fields, &problem);
        return own;
}

static void describe_failure(const Link *l, const HttpAnswer *answer, Error *e) {
        if (answer->r == -EKEYREJECTED)
                (void) error_set(e, answer->r, "unreachable",
                                 "%s. Is CAFile=%s the CA that signed its certificate, and does "
                                 "URL= have a name that the certificate holds?",
                                 answer->error, l->ca_file);
        else if (answer->r == -ENOKEY)
                (void) error_set(e, answer->r, "unreachable",
                                 "%s. Is there a certificate in CAFile=%s, and may agentd read it?",
                                 answer->error, l->ca_file);
        else
                (void) error_set(e, answer->r, "unreachable", "%s.", answer->error);
}

static void channel_on_done(const HttpAnswer *answer, void *userdata) {
        Channel *c = userdata;
        ChannelAnswer given = { answer->status, answer->body, answer->size, NULL, c->sent_usec };
        bool passing = answer->r < 0 || answer->status == 429 || answer->status >= 500;
        Error e = {};

        c->call = NULL;
        share_give_back(c);
        if (answer->r < 0)
                describe_failure(c->link, answer, &e);
        else if (answer->status >= 300)
                passing |= !read_problem(answer, &e);
        if (passing && answer->status != 401) {
                link_failed(c->link, c->name, false, e.detail);
                link_try_next(c->link, c->sent_to);
                channel_retry(c, answer->retry_after_sec, false);
                return;
        }
        if (answer->status == 401) {
                link_failed(c->link, c->name, true, e.detail);
                channel_retry(c, answer->retry_after_sec, true);
                return;
        }
        link_worked(c->link);
        backoff_reset(&c->backoff);
        if (answer->status >= 300)
                given.problem = &e;
        c->on_answer(c, &given, c->userdata);
}

int channel_send(Channel *c, const ChannelRequest *request) {
        int r;

        if (!share_take(c))
                return 0;
        c->sent_usec = contact_now();
        c->sent_to = c->link->place;
        r = http_call_new(c->link->http,
                          &(HttpOptionsIn){ .method = "POST",
                                            .path = request->path,
                                            .bearer = c->link->bearer,
                                            .content_type = request->content_type,
                                            .body = request->body,
                                            .size = request->size,
                                            .timeout_sec = request->timeout_sec,
                                            .answer_max = PROTO_ANSWER_MAX },
                          channel_on_done, c, &c->call);

        if (r < 0) {
                link_failed(c->link, c->name, false, strerror(-r));
                channel_retry(c, 0, false);
        }
        return r;
}
