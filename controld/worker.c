/* The worker's composition root, and its few periodic chores. */
#include "worker.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "absent.h"
#include "batch.h"
#include "cleanup.h"
#include "dispatch.h"
#include "exchange.h"
#include "fd.h"
#include "http-server.h"
#include "log.h"
#include "message-ids.h"
#include "news.h"
#include "parse.h"
#include "router.h"
#include "schedules.h"
#include "str.h"
#include "strv.h"
#include "teller.h"
#include "ticker.h"
#include "timespan.h"

#define CHORES_USEC (10 * USEC_PER_SEC)
#define DRAIN_USEC (10 * USEC_PER_SEC)
#define PRESENCE_MAX 4096
#define BODIES_MAX (256UL * 1024 * 1024) /* whoever sends them is known only when they are here */
#define MAINTAIN_EVERY 360               /* chores: once an hour */

struct Worker {
        const Settings *settings; /* borrowed: main's */
        sd_event *event;          /* owned, as all that follows */
        Pg *pg;
        Dispatch *dispatch;
        Ticker *ticker;
        Teller *teller;
        Batches *batches;
        Absent *absent;
        PgListener *listener; /* or */
        News *news;
        Waits *waits;
        HttpServer *http;
        sd_event_source *chores, *drain, *sigterm, *sighup, *supervisor;
        PgCall *flush_call, *maintain_call;
        char **seen; /* instances heard of since the last flush */
        size_t n_seen;
        WebhookKey webhook_key;
        int status_fd;      /* borrowed */
        uint64_t lost_usec; /* CLOCK_MONOTONIC, 0 with a database */
        unsigned index, chores_done;
        bool announced, stopping;
};

static const Statement statement_presence = { "presence_flush",
                                              "SELECT api.presence_flush($1::text::uuid[])", 1 };
static const Statement statement_maintain = { "maintain", "SELECT api.maintain()", 0 };

Pg *worker_pg(Worker *w) {
        return w->pg;
}

Waits *worker_waits(Worker *w) {
        return w->waits;
}

Batches *worker_batches(Worker *w) {
        return w->batches;
}

const WebhookKey *worker_webhook_key(const Worker *w) {
        return &w->webhook_key;
}

bool worker_is_stopping(const Worker *w) {
        return w->stopping;
}

uint64_t worker_database_lost_usec(const Worker *w) {
        return w->lost_usec;
}

static void tell_supervisor(Worker *w, const char *word) {
        if (w->status_fd >= 0 && write(w->status_fd, word, strlen(word)) < 0 && errno == EPIPE)
                log_debug("The supervisor is gone");
}

static void flush_presence(Worker *w);

/* Of what was notified while nobody could ask for it, there is no other word. */
static void look_at_all(Worker *w) {
        dispatch_look(w->dispatch);
        ticker_look(w->ticker);
        teller_look(w->teller);
}

/* The database hears at once that somebody is there again, and whom they hear. */
static void on_pg_ready(bool ready, void *userdata) {
        Worker *w = userdata;

        if (!ready) {
                (void) sd_event_now(w->event, CLOCK_MONOTONIC, &w->lost_usec);
        } else {
                w->lost_usec = 0;
                flush_presence(w);
                exchange_database_is_back(w->waits);
                look_at_all(w);
        }
        if (!ready || w->announced)
                return;
        w->announced = true;
        tell_supervisor(w, "R");
}

static void on_notify(const char *payload, void *userdata) {
        Worker *w = userdata;

        if (!payload) {
                look_at_all(w);
                waits_notify_slowly(w->waits);
        } else if (str_eq(payload, "dispatch")) {
                dispatch_look(w->dispatch);
        } else if (str_eq(payload, "tick")) {
                ticker_look(w->ticker);
        } else if (str_eq(payload, "event")) {
                teller_look(w->teller);
        } else if (str_eq(payload, "run")) {
                waits_notify_kind(w->waits, payload);
        } else {
                waits_notify(w->waits, payload);
        }
}

void worker_saw_instance(Worker *w, const char *instance) {
        absent_back(w->absent, instance);
        if (w->n_seen < PRESENCE_MAX && strv_append(&w->seen, instance) >= 0)
                w->n_seen++;
}

static void on_chore(const PgReply *reply, void *userdata) {
        PgCall **slot = userdata;

        *slot = NULL;
        if (reply->r < 0 && reply->r != -ENOTCONN)
                log_error(reply->r, "A periodic statement failed");
}

/* "{uuid,uuid}" */
static void flush_presence(Worker *w) {
        Buffer array = {};
        PgParam param;
        int r;

        /* An empty batch still looks after the queue, says that we are here, and finds out whether the database is. */
        if (w->flush_call)
                return;
        r = buffer_append_str(&array, "{");
        STRV_FOREACH(i, w->seen)
                r = r < 0 ? r : buffer_printf(&array, "%s%s", i == w->seen ? "" : ",", *i);
        r = r < 0 ? r : buffer_append_str(&array, "}");
        param = text_param(array.data);
        if (r >= 0 && pg_call(w->pg, &statement_presence, &param, on_chore, &w->flush_call,
                              &w->flush_call) >= 0) {
                w->seen = strv_free(w->seen);
                w->n_seen = 0;
        }
        buffer_done(&array);
}

static int on_chores(sd_event_source *source, uint64_t usec, void *userdata) {
        Worker *w = userdata;
        Error e = {};

        flush_presence(w);
        if (w->index == 0 && !w->maintain_call && w->chores_done++ % MAINTAIN_EVERY == 0)
                (void) pg_call(w->pg, &statement_maintain, NULL, on_chore, &w->maintain_call,
                               &w->maintain_call);
        if (http_server_reload_certificate(w->http, false, &e) < 0)
                log_message(LOG_WARNING, MSG_CERTIFICATE_BAD, NULL,
                            "The former certificate stays in use: %s", e.detail);
        tell_supervisor(w, "H");
        (void) sd_event_source_set_time(source, usec + CHORES_USEC);
        return 0;
}

/* SIGTERM: no new connections, every long poll is answered, and the rest gets some seconds. */
static int on_drain(sd_event_source *source, uint64_t usec, void *userdata) {
        Worker *w = userdata;
        static unsigned looks;

        (void) usec;
        if (http_server_requests(w->http) == 0 || ++looks > DRAIN_USEC / (50 * USEC_PER_MSEC))
                return sd_event_exit(w->event, 0);
        (void) sd_event_source_set_time_relative(source, 50 * USEC_PER_MSEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void stop(Worker *w) {
        if (w->stopping)
                return;
        w->stopping = true;
        http_server_quiesce(w->http);
        waits_notify(w->waits, NULL);
        if (sd_event_add_time_relative(w->event, &w->drain, CLOCK_MONOTONIC, 0, 0, on_drain, w) < 0)
                (void) sd_event_exit(w->event, 0);
}

static int on_sigterm(sd_event_source *source, const struct signalfd_siginfo *info,
                      void *userdata) {
        (void) source;
        (void) info;
        stop(userdata);
        return 0;
}

/* Everything else works without one. */
static void load_webhook_key(Worker *w) {
        Error e = {};
        int r = webhook_key_load(w->settings->webhook_key_file, &w->webhook_key, &e);

        if (r < 0)
                log_message(LOG_WARNING, NULL, NULL, "%s: %s",
                            w->webhook_key.text ? "The former key of webhooks stays in use"
                                                : "There are no webhooks",
                            error_text(&e, r));
}

static int on_sighup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Worker *w = userdata;
        Error e = {};

        (void) source;
        (void) info;
        if (http_server_reload_certificate(w->http, true, &e) < 0)
                log_message(LOG_WARNING, MSG_CERTIFICATE_BAD, NULL,
                            "The former certificate stays in use: %s", e.detail);
        load_webhook_key(w);
        return 0;
}

/* The other end of the status pipe closed: a worker without supervisor has no reason to be. */
static int on_supervisor_gone(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        (void) fd;
        if (revents & (EPOLLERR | EPOLLHUP)) {
                (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
                stop(userdata);
        }
        return 0;
}

static int hash_bearer(const HttpRequest *request, unsigned char hash[AUTH_HASH_SIZE]) {
        const char *value = http_request_header(request, "Authorization");
        const char *token = value && strncasecmp(value, "Bearer ", 7) == 0 ? value + 7 : NULL;

        if (!token || !*token || strlen(token) > 256)
                return -ENOKEY;
        return gnutls_hash_fast(GNUTLS_DIG_SHA256, token, strlen(token), hash) < 0 ? -EIO : 0;
}

static bool body_kind_fits(const HttpRequest *request, BodyKind kind) {
        switch (kind) {
        case BODY_NONE:
                return true;
        case BODY_JSON:
                return http_request_content_is(request, "application/json");
        case BODY_PIPE:
                return http_request_content_is(request, "text/plain") ||
                       http_request_content_is(request, "application/json");
        case BODY_CHUNK:
                return http_request_content_is(request, "application/zstd");
        }
        return false;
}

static ssize_t refuse_headers(Exchange *x) {
        char allow[64];
        const char *length = http_request_header(x->request, "Content-Length");
        uint64_t size = 0;

        x->route = router_find(http_request_method(x->request), http_request_path(x->request),
                               x->params, allow);
        if (!x->route && *allow) {
                (void) http_request_add_header(x->request, "Allow", allow);
                exchange_reply_problem(x, 405, "method-not-allowed",
                                       "This path does not take this method.", NULL);
        } else if (!x->route) {
                exchange_reply_problem(x, 404, "no-such-path", "There is nothing at this path.",
                                       "docs/openapi.yaml lists what is there.");
        } else if (x->route->auth && hash_bearer(x->request, x->auth) < 0) {
                exchange_reply_problem(x, 401, "no-token",
                                       "This needs an Authorization header with a Bearer token.",
                                       NULL);
        } else if (length && parse_u64(length, &size) >= 0 && size > x->route->body_max) {
                exchange_reply_problem(x, 413, "too-large",
                                       "The body is larger than this path takes.", NULL);
        } else if (!body_kind_fits(x->request, x->route->body)) {
                exchange_reply_problem(x, 415, "wrong-content-type",
                                       "The Content-Type is not what this path takes.", NULL);
        } else {
                return (ssize_t) x->route->body_max;
        }
        return -EINVAL;
}

static ssize_t on_headers(HttpRequest *request, void *userdata) {
        Exchange *x = calloc(1, sizeof(*x));

        if (!x) {
                http_request_reply(request, 503, NULL, NULL, 0);
                return -ENOMEM;
        }
        x->worker = userdata;
        x->request = request;
        http_request_set_context(request, x);
        return refuse_headers(x);
}

static void on_request(HttpRequest *request, void *userdata) {
        Exchange *x = http_request_context(request);
        int r = http_request_trouble(request);

        (void) userdata;
        if (r == -EFBIG)
                exchange_reply_problem(x, 413, "too-large",
                                       "The body is larger than this path takes.", NULL);
        else if (r < 0)
                exchange_reply_error(x, r, NULL);
        else
                x->route->handler(x);
}

static void on_done(HttpRequest *request, void *userdata) {
        Exchange *x = http_request_context(request);

        (void) userdata;
        if (!x)
                return;
        waiter_unlink(&x->waiter);
        batch_item_unlink(&x->item);
        x->call = pg_call_free(x->call);
        explicit_bzero(x->secret, sizeof(x->secret));
        free(x->text);
        free(x);
}

/* An agent's poll is what names a connection. */
static void on_peer_gone(const char *instance, void *userdata) {
        Worker *w = userdata;

        if (!w->stopping)
                absent_broke(w->absent, instance);
}

/* The statements of the routes and our own, each once, as pg.c wants them. */
static Statement *collect_statements(void) {
        static const Statement *const own[] = {
                &statement_presence,       &statement_maintain, &statement_dispatch,
                &statement_presence_broke, &statement_tick,     &statement_news,
                &statement_schedules_due,  &statement_zones,    &statement_schedules_fire,
                &statement_events_tell
        };
        size_t n = ELEMENTSOF(own), k = 0;
        Statement *all;

        for (const Route *r = routes; r->method; r++)
                n += (r->statement != NULL) + (r->together != NULL);
        all = calloc(n + 1, sizeof(*all));
        if (!all)
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(own); i++)
                all[k++] = *own[i];
        for (const Route *r = routes; r->method; r++) {
                bool known = !r->statement;

                for (size_t i = 0; i < k && !known; i++)
                        known = str_eq(all[i].name, r->statement->name);
                if (!known)
                        all[k++] = *r->statement;
                if (r->together)
                        all[k++] = *r->together;
        }
        return all;
}

static int set_up(Worker *w, const char *conninfo, const Statement *statements, int listen_fd,
                  Error *e) {
        static const HttpHandlers handlers = { on_headers, on_request, on_done, on_peer_gone };
        HttpOptions options = {
                .listen_fd = listen_fd,
                .tls = !w->settings->insecure_http,
                .certificate_file = w->settings->certificate_file,
                .private_key_file = w->settings->private_key_file,
                .max_connections = w->settings->max_connections,
                .bodies_max = BODIES_MAX,
                .peer_timeout_usec = w->settings->peer_timeout_usec,
        };
        const PgOptions pg_options = {
                .conninfo = conninfo,
                .statements = statements,
                .timeout_msec = (unsigned) (w->settings->statement_timeout_usec / USEC_PER_MSEC),
                .pooled = w->settings->database_pooler,
                .lease_msec = (unsigned) (w->settings->lease_usec / USEC_PER_MSEC),
                .absence_grace_msec = (unsigned) (w->settings->absence_grace_usec / USEC_PER_MSEC),
        };
        int r = sd_event_default(&w->event);

        load_webhook_key(w);
        if (r >= 0)
                r = waits_new(w->event, &w->waits);
        if (r >= 0)
                r = pg_new(w->event, &pg_options, on_pg_ready, w, &w->pg);
        if (r >= 0)
                r = dispatch_new(w->event, w->pg, &w->dispatch);
        if (r >= 0)
                r = ticker_new(w->event, w->pg, &w->ticker);
        if (r >= 0)
                r = teller_new(w->event, w->pg, &w->teller);
        if (r >= 0)
                r = batches_new(w->event, w->pg, &w->batches);
        if (r >= 0)
                r = absent_new(w->event, w->pg, ABSENT_GATHER_USEC, &w->absent);
        if (r >= 0 && w->settings->notifications)
                r = pg_listener_new(w->event, conninfo, on_notify, w, &w->listener);
        else if (r >= 0)
                r = news_new(w->event, w->pg, w->settings->poll_interval_usec, on_notify, w,
                             &w->news);
        if (r >= 0)
                r = http_server_new(w->event, &options, &handlers, w, &w->http, e);
        if (r >= 0)
                r = sd_event_add_time_relative(w->event, &w->chores, CLOCK_MONOTONIC, CHORES_USEC,
                                               USEC_PER_SEC, on_chores, w);
        if (r >= 0)
                r = sd_event_source_set_enabled(w->chores, SD_EVENT_ON);
        if (r >= 0)
                r = sd_event_add_signal(w->event, &w->sigterm, SIGTERM, on_sigterm, w);
        if (r >= 0)
                r = sd_event_add_signal(w->event, &w->sighup, SIGHUP, on_sighup, w);
        if (r >= 0 && w->status_fd >= 0)
                r = sd_event_add_io(w->event, &w->supervisor, w->status_fd, 0, on_supervisor_gone,
                                    w);
        return r;
}

static void tear_down(Worker *w) {
        w->supervisor = sd_event_source_disable_unref(w->supervisor);
        w->sigterm = sd_event_source_disable_unref(w->sigterm);
        w->sighup = sd_event_source_disable_unref(w->sighup);
        w->chores = sd_event_source_disable_unref(w->chores);
        w->drain = sd_event_source_disable_unref(w->drain);
        w->stopping = true;
        w->dispatch = dispatch_free(w->dispatch);
        w->ticker = ticker_free(w->ticker);
        w->teller = teller_free(w->teller);
        w->absent = absent_free(w->absent);
        w->news = news_free(w->news);
        w->pg = pg_free(w->pg);
        w->http = http_server_free(w->http);
        w->batches = batches_free(w->batches);
        w->listener = pg_listener_free(w->listener);
        w->waits = waits_free(w->waits);
        w->seen = strv_free(w->seen);
        webhook_key_done(&w->webhook_key);
        w->event = sd_event_unref(w->event);
}

int worker_run(const Settings *settings, int listen_fd, int status_fd, unsigned index) {
        Worker w = { .settings = settings, .status_fd = status_fd, .index = index };
        _cleanup_(freep) char *conninfo = settings_conninfo(settings);
        _cleanup_(freep) Statement *statements = collect_statements();
        sigset_t mask;
        Error e = {};
        int r;

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGTERM);
        (void) sigaddset(&mask, SIGHUP);
        (void) sigprocmask(SIG_BLOCK, &mask, NULL);
        (void) signal(
                SIGPIPE,
                SIG_IGN); /* the supervisor may be gone, and what is under way still ends in peace */
        if (!conninfo || !statements)
                return log_error(-ENOMEM, "Cannot start a worker");
        r = set_up(&w, conninfo, statements, listen_fd, &e);
        if (r < 0)
                log_message(LOG_ERR, NULL, NULL, "Cannot start a worker: %s", error_text(&e, r));
        else
                r = sd_event_loop(w.event);
        tear_down(&w);
        return r;
}
