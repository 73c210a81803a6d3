/* The one place that knows libmicrohttpd. Its epoll descriptor lives in our loop, its timer is ours; it never runs a thread. */
#include "http-server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#include "body.h"
#include "certificate.h"
#include "cleanup.h"
#include "hangups.h"
#include "keep-alive.h"
#include "lazy-timer.h"
#include "log.h"
#include "str.h"
#include "timespan.h"

#define HEADERS_MAX 8
/* Of each connection, for its request line and headers and those of the answer; bodies are apart. libmicrohttpd's default of
 * 32 KiB was three quarters of what a waiting agent costs. */
#define CONNECTION_MEMORY ((size_t) 6 * 1024)
#define SILENT_INTERVAL_USEC (10 * USEC_PER_SEC)
#define IDLE_TIMEOUT_SEC                                                                           \
        75 /* above the longest poll, so that a kept-alive connection outlives it */

struct HttpServer {
        sd_event *event;               /* owned (reference) */
        struct MHD_Daemon *mhd;        /* owned */
        sd_event_source *io, *pending; /* owned */
        Hangups *hangups;              /* owned */
        LazyTimer timer;
        const HttpHandlers *handlers; /* borrowed: static */
        void *userdata;               /* borrowed: owns us */
        HttpOptions options;
        Certificate certificate;
        unsigned requests;
        Bodies bodies;
        uint64_t silent_said_usec; /* monotonic: when silent peers were last told of */
        unsigned silent;           /* since then */
        bool quiesced, ending;
};

/* One connection, by libmicrohttpd's socket context. */
typedef struct Peer {
        bool asked, hurried; /* hurried: by keep_alive_answer() */
        char name[40];       /* "": not named */
} Peer;

struct HttpRequest {
        HttpServer *server;                /* borrowed: outlives its requests */
        struct MHD_Connection *connection; /* borrowed: ours from first call to completion */
        const char *method; /* borrowed: libmicrohttpd's, valid as long as the request */
        char *path;         /* owned */
        Body body;
        void *context;
        struct {
                char *name, *value;
        } headers[HEADERS_MAX]; /* owned */
        size_t n_headers;
        char *reply; /* owned until it is queued */
        size_t reply_size;
        const char *reply_type; /* borrowed: literal */
        unsigned status;        /* 0 until replied */
        bool started, suspended, queued;
        bool watched; /* by hangups */
        bool gone;    /* the peer is */
};

static int rearm(HttpServer *s) {
        MHD_UNSIGNED_LONG_LONG msec;

        if (MHD_get_timeout(s->mhd, &msec) != MHD_YES) {
                lazy_timer_off(&s->timer);
                return 0;
        }
        if (msec == 0)
                return sd_event_source_set_enabled(s->pending, SD_EVENT_ONESHOT);

        /* libmicrohttpd answers in milliseconds from now; sd-event counts microseconds. */
        return lazy_timer_set(&s->timer, msec * USEC_PER_MSEC);
}

static void run(HttpServer *s) {
        if (MHD_run(s->mhd) != MHD_YES)
                log_message(LOG_ERR, NULL, NULL, "libmicrohttpd cannot run");
        if (rearm(s) < 0)
                log_message(LOG_ERR, NULL, NULL, "Cannot arm the HTTP timer");
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        (void) source;
        (void) fd;
        (void) revents;
        run(userdata);
        return 0;
}

static void on_timer(void *userdata) {
        run(userdata);
}

static int on_pending(sd_event_source *source, void *userdata) {
        (void) source;
        run(userdata);
        return 0;
}

static Peer *peer_of(struct MHD_Connection *connection) {
        const union MHD_ConnectionInfo *info =
                MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

        return info ? info->socket_context : NULL;
}

static int descriptor_of(struct MHD_Connection *connection) {
        const union MHD_ConnectionInfo *info =
                MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

        return info ? info->connect_fd : -EBADF;
}

static enum MHD_Result queue_reply(HttpRequest *q) {
        struct MHD_Response *response = MHD_create_response_from_buffer(
                q->reply_size, q->reply ? q->reply : (char *) "",
                q->reply ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
        Peer *peer = peer_of(q->connection);
        enum MHD_Result result;

        if (!response)
                return MHD_NO;
        q->reply = NULL;
        if (q->reply_type)
                (void) MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                               q->reply_type);
        for (size_t i = 0; i < q->n_headers; i++)
                (void) MHD_add_response_header(response, q->headers[i].name, q->headers[i].value);
        /* Who asks again does so elsewhere: an agent that is told to come back would be here again at once. */
        if (q->server->quiesced)
                (void) MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
        result = MHD_queue_response(q->connection, q->status, response);
        MHD_destroy_response(response);
        q->queued = true;
        if (peer && *peer->name)
                peer->hurried |= keep_alive_answer(descriptor_of(q->connection),
                                                   q->server->options.peer_timeout_usec);
        return result;
}

static HttpRequest *request_new(HttpServer *s, struct MHD_Connection *connection, const char *url,
                                const char *method) {
        HttpRequest *q = calloc(1, sizeof(*q));
        Peer *peer = peer_of(connection);

        if (!q)
                return NULL;
        q->path = strdup(url);
        if (!q->path) {
                free(q);
                return NULL;
        }
        if (peer && peer->hurried)
                keep_alive_restore(descriptor_of(connection), s->options.peer_timeout_usec);
        if (peer)
                *peer = (Peer){ .asked = true };
        q->server = s;
        q->connection = connection;
        q->method = method;
        s->requests++;
        return q;
}

static enum MHD_Result on_access(void *userdata, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_size, void **slot) {
        HttpServer *s = userdata;
        HttpRequest *q = *slot;

        (void) version;
        if (s->ending && (!q || !q->started))
                return MHD_NO;
        if (!q) {
                ssize_t max;

                q = *slot = request_new(s, connection, url, method);
                if (!q)
                        return MHD_NO;
                max = s->handlers->on_headers(q, s->userdata);
                body_begin(&q->body, &s->bodies, max < 0 ? 0 : (size_t) max);
                /* A refusal before the body is sent is queued at once, so that a large body is never read. */
                return q->status != 0 ? queue_reply(q) : MHD_YES;
        }
        if (*upload_size > 0) {
                body_append(&q->body, upload, *upload_size);
                *upload_size = 0;
                return MHD_YES;
        }
        if (q->queued)
                return MHD_YES;
        if (q->gone)
                return MHD_NO;
        if (!q->started && q->status == 0) {
                q->started = true;
                body_end(&q->body);
                s->handlers->on_request(q, s->userdata);
        }
        if (q->status != 0)
                return queue_reply(q);
        q->suspended = true;
        MHD_suspend_connection(connection);
        return MHD_YES;
}

static void unwatch(HttpRequest *q) {
        if (q->watched)
                hangups_forget(q->server->hangups, descriptor_of(q->connection));
        q->watched = false;
}

void http_request_watch_peer(HttpRequest *q) {
        if (!q->watched)
                q->watched =
                        hangups_watch(q->server->hangups, descriptor_of(q->connection), q) >= 0;
}

static void resume(HttpRequest *q) {
        if (!q->suspended)
                return;
        q->suspended = false;
        MHD_resume_connection(q->connection);
        (void) sd_event_source_set_enabled(q->server->pending, SD_EVENT_ONESHOT);
}

/* libmicrohttpd ends it when it asks us what to do with it. */
static void on_hangup(void *item, void *userdata) {
        HttpRequest *q = item;

        (void) userdata;
        unwatch(q);
        q->gone = true;
        resume(q);
}

static void on_completed(void *userdata, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode code) {
        HttpRequest *q = *slot;
        HttpServer *s = userdata;

        (void) connection;
        (void) code;
        if (!q)
                return;
        unwatch(q);
        s->handlers->on_done(q, s->userdata);
        for (size_t i = 0; i < q->n_headers; i++) {
                free(q->headers[i].name);
                free(q->headers[i].value);
        }
        free(q->reply);
        body_done(&q->body);
        free(q->path);
        free(q);
        *slot = NULL;
        s->requests--;
}

static HttpServer *
        certificate_server; /* libmicrohttpd's certificate callback has no userdata; one server a process */

static int on_certificate(gnutls_session_t session, const gnutls_datum_t *ca, int n_ca,
                          const gnutls_pk_algorithm_t *algorithms, int n_algorithms,
                          gnutls_pcert_st **ret, unsigned int *ret_length,
                          gnutls_privkey_t *ret_key) {
        (void) session;
        (void) ca;
        (void) n_ca;
        (void) algorithms;
        (void) n_algorithms;
        *ret = certificate_server->certificate.chain;
        *ret_length = certificate_server->certificate.length;
        *ret_key = certificate_server->certificate.key;
        return 0;
}

static void on_mhd_log(void *userdata, const char *fmt, va_list ap) {
        char line[512];

        (void) userdata;
        (void) vsnprintf(line, sizeof(line), fmt, ap);
        log_debug("libmicrohttpd: %s", str_strip(line));
}

/* A client that does not trust our certificate goes away after the handshake and says nothing that we could log better. */
static void note_silent_peer(HttpServer *s, struct MHD_Connection *connection) {
        const union MHD_ConnectionInfo *info =
                MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        char address[64] = "?";
        uint64_t now = 0;

        (void) sd_event_now(s->event, CLOCK_MONOTONIC, &now);
        s->silent++;
        if (s->silent_said_usec > 0 && now - s->silent_said_usec < SILENT_INTERVAL_USEC)
                return;
        if (info && info->client_addr)
                (void) getnameinfo(info->client_addr,
                                   info->client_addr->sa_family == AF_INET6
                                           ? sizeof(struct sockaddr_in6)
                                           : sizeof(struct sockaddr_in),
                                   address, sizeof(address), NULL, 0, NI_NUMERICHOST);
        log_info("A client at %s ended its TLS connection without a request; perhaps it does not "
                 "trust our certificate.%s",
                 address, s->silent > 1 ? " So did others before." : "");
        s->silent_said_usec = now;
        s->silent = 0;
}

static void on_connection(void *userdata, struct MHD_Connection *connection, void **slot,
                          enum MHD_ConnectionNotificationCode code) {
        HttpServer *s = userdata;
        Peer *peer = *slot;

        if (code == MHD_CONNECTION_NOTIFY_STARTED) {
                *slot = calloc(1, sizeof(*peer)); /* without it, nothing is noted */
                return;
        }
        if (peer && !peer->asked && s->options.tls)
                note_silent_peer(s, connection);
        if (peer && *peer->name && !s->ending)
                s->handlers->on_peer_gone(peer->name, s->userdata);
        free(peer);
        *slot = NULL;
}

static int start_daemon(HttpServer *s) {
        unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                         (s->options.tls ? MHD_USE_TLS : 0);
        struct MHD_OptionItem tls[] = {
                { MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *) on_certificate },
                { MHD_OPTION_HTTPS_PRIORITIES, 0,
                  /* Without RSA key exchange: it has no forward secrecy, and it needs the key in a second step of the
                   * handshake, when another may have been loaded. */
                  (void *) "NORMAL:-RSA:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" },
                { MHD_OPTION_END, 0, NULL },
        };

        s->mhd = MHD_start_daemon(
                flags, 0, NULL, NULL, on_access, s, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL,
                MHD_OPTION_LISTEN_SOCKET, s->options.listen_fd, MHD_OPTION_CONNECTION_LIMIT,
                s->options.max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
                (unsigned) IDLE_TIMEOUT_SEC, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
                MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
                on_connection, s, MHD_OPTION_ARRAY, s->options.tls ? tls : &tls[2], MHD_OPTION_END);
        return s->mhd ? 0 : -EIO;
}

static int watch_daemon(HttpServer *s) {
        const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD);
        int r;

        if (!info)
                return -EIO;
        r = sd_event_add_io(s->event, &s->io, info->epoll_fd, EPOLLIN, on_io, s);
        if (r >= 0)
                r = hangups_new(s->event, on_hangup, s, &s->hangups);
        if (r >= 0)
                r = lazy_timer_init(&s->timer, s->event, "http-timer", on_timer, s);
        if (r >= 0)
                r = sd_event_add_defer(s->event, &s->pending, on_pending, s);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(s->io, "http-io");
        (void) sd_event_source_set_exit_on_failure(s->io, true);
        return sd_event_source_set_enabled(s->pending, SD_EVENT_OFF);
}

int http_server_new(sd_event *event, const HttpOptions *options, const HttpHandlers *handlers,
                    void *userdata, HttpServer **ret, Error *e) {
        HttpServer *s = calloc(1, sizeof(*s));
        int r = 0;

        if (!s)
                return -ENOMEM;
        s->event = sd_event_ref(event);
        s->handlers = handlers;
        s->userdata = userdata;
        s->options = *options;
        bodies_init(&s->bodies, options->bodies_max);
        certificate_server = s;
        if (options->tls)
                r = http_server_reload_certificate(s, true, e);
        if (r >= 0)
                r = start_daemon(s);
        if (r >= 0)
                r = watch_daemon(s);
        if (r < 0) {
                (void) http_server_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

void http_server_quiesce(HttpServer *s) {
        (void) MHD_quiesce_daemon(s->mhd);
        s->quiesced = true;
}

HttpServer *http_server_free(HttpServer *s) {
        if (!s)
                return NULL;
        s->io = sd_event_source_disable_unref(s->io);
        lazy_timer_done(&s->timer);
        s->pending = sd_event_source_disable_unref(s->pending);
        s->ending = true;
        if (s->mhd) {
                (void) MHD_run(s->mhd); /* what was resumed must have run, or the stop aborts */
                MHD_stop_daemon(s->mhd);
        }
        s->hangups = hangups_free(s->hangups);
        certificate_done(&s->certificate);
        s->event = sd_event_unref(s->event);
        free(s);
        return NULL;
}

unsigned http_server_requests(const HttpServer *s) {
        return s->requests;
}

int http_server_reload_certificate(HttpServer *s, bool force, Error *e) {
        if (!s->options.tls)
                return 0;
        return certificate_load(&s->certificate, s->options.certificate_file,
                                s->options.private_key_file, force, e);
}

const char *http_request_method(const HttpRequest *q) {
        return q->method;
}

const char *http_request_path(const HttpRequest *q) {
        return q->path;
}

const char *http_request_header(const HttpRequest *q, const char *name) {
        return MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND, name);
}

bool http_request_content_is(const HttpRequest *q, const char *type) {
        const char *value = http_request_header(q, MHD_HTTP_HEADER_CONTENT_TYPE);
        size_t n = strlen(type);

        return value && strncasecmp(value, type, n) == 0 && strchr("; \t", value[n]);
}

const char *http_request_query(const HttpRequest *q, const char *name) {
        return MHD_lookup_connection_value(q->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_request_body(const HttpRequest *q, size_t *ret_size) {
        *ret_size = q->body.data.size;
        return q->body.data.data ? q->body.data.data : "";
}

void http_request_set_context(HttpRequest *q, void *context) {
        q->context = context;
}

void *http_request_context(const HttpRequest *q) {
        return q->context;
}

int http_request_add_header(HttpRequest *q, const char *name, const char *value) {
        if (q->n_headers >= HEADERS_MAX || strpbrk(value, "\r\n"))
                return -EINVAL;
        q->headers[q->n_headers].name = strdup(name);
        q->headers[q->n_headers].value = strdup(value);
        q->n_headers++;
        return q->headers[q->n_headers - 1].name && q->headers[q->n_headers - 1].value ? 0
                                                                                       : -ENOMEM;
}

void http_request_reply(HttpRequest *q, unsigned status, const char *content_type, char *body,
                        size_t size) {
        free(q->reply);
        q->status = status;
        q->reply = body;
        q->reply_size = body ? size : 0;
        q->reply_type = content_type;
        unwatch(q);
        resume(q);
}

void http_request_name_peer(HttpRequest *q, const char *name) {
        Peer *peer = peer_of(q->connection);

        if (peer && strlen(name) < sizeof(peer->name))
                (void) strcpy(peer->name, name);
}

int http_request_trouble(const HttpRequest *q) {
        return q->body.trouble;
}
