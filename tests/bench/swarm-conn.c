/* Non-blocking GnuTLS under a small HTTP/1.1 client. Answers have a Content-Length or no body, which is what controld sends. */
#include "swarm-conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "fd.h"
#include "parse.h"
#include "proto.h"
#include "swarm-http.h"
#include "timespan.h"

#define READ_SIZE 16384U
#define KEEP_BUFFER 65536U

static int split_url(Target *t, const char *url) {
        const char *rest = str_after(url, "https://"), *colon;
        size_t host;

        if (!rest)
                return -EINVAL;
        colon = strrchr(rest, ':');
        if (!colon || strlen(colon + 1) >= sizeof(t->port) || strspn(colon + 1, "0123456789") == 0)
                return -EINVAL;
        host = (size_t) (colon - rest);
        if (host == 0 || host >= sizeof(t->host))
                return -EINVAL;
        (void) memcpy(t->host, rest, host);
        t->host[host] = '\0';
        (void) memcpy(t->port, colon + 1, strspn(colon + 1, "0123456789"));
        return 0;
}

static int resolve(Target *t, Error *e) {
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
        int r = getaddrinfo(t->host, t->port, &hints, &found);

        if (r != 0)
                return error_set(e, -EHOSTUNREACH, "no-host", "Cannot look up %s: %s.", t->host,
                                 gai_strerror(r));
        (void) memcpy(&t->address, found->ai_addr, found->ai_addrlen);
        t->address_size = found->ai_addrlen;
        freeaddrinfo(found);
        return 0;
}

int target_init(Target *t, const char *url, const char *ca_file, Error *e) {
        int r;

        if (split_url(t, url) < 0)
                return error_set(e, -EINVAL, "bad-url", "--url=%s is not https://HOST:PORT.", url);
        r = resolve(t, e);
        if (r < 0)
                return r;
        if (gnutls_certificate_allocate_credentials(&t->trust) < 0 ||
            gnutls_priority_init(&t->priority, "NORMAL", NULL) < 0)
                return -ENOMEM;
        r = gnutls_certificate_set_x509_trust_file(t->trust, ca_file, GNUTLS_X509_FMT_PEM);
        if (r <= 0)
                return error_set(e, -EINVAL, "bad-ca", "--ca-file=%s: %s.", ca_file,
                                 r < 0 ? gnutls_strerror(r) : "no certificate in it");
        return 0;
}

void target_done(Target *t) {
        if (t->trust)
                gnutls_certificate_free_credentials(t->trust);
        if (t->priority)
                gnutls_priority_deinit(t->priority);
        t->trust = NULL;
        t->priority = NULL;
}

void conn_close(Conn *c) {
        loop_disarm(&c->timeout);
        if (c->tls)
                gnutls_deinit(c->tls);
        c->tls = NULL;
        c->fd = fd_close(c->fd);
        buffer_done(&c->in);
        buffer_done(&c->out);
        c->out_done = 0;
        c->lose_answer = false;
        c->state = CONN_CLOSED;
}

/* The connection is of no use any more. Only who has asked for something is told. */
static void lose(Conn *c, int r) {
        bool asked = c->state != CONN_IDLE;

        if (c->state == CONN_CONNECTING || c->state == CONN_HANDSHAKE)
                c->target->stats->connect_failures++;
        else if (r != -ECONNABORTED)
                c->target->stats->losses++;
        if (asked && r != -ECONNABORTED)
                c->target->stats->request_failures++;
        conn_close(c);
        if (asked)
                c->on_done(c, NULL, r);
}

static void on_timeout(Timer *t) {
        Conn *c = (Conn *) (void *) ((char *) t - offsetof(Conn, timeout));

        /* Or what conn_send() left to do. */
        lose(c, c->state == CONN_BUSY && c->lose_answer && c->out_done == c->out.size
                        ? -ECONNABORTED
                        : -ETIMEDOUT);
}

static int begin_tls(Conn *c) {
        int r = gnutls_init(&c->tls, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);

        if (r >= 0)
                r = gnutls_priority_set(c->tls, c->target->priority);
        if (r >= 0)
                r = gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, c->target->trust);
        if (r < 0)
                return -ENOMEM;
        gnutls_session_set_verify_cert(c->tls, c->target->host, 0);
        gnutls_transport_set_int(c->tls, c->fd);
        c->state = CONN_HANDSHAKE;
        return 0;
}

/* 1 when done, 0 when it goes on later. */
static int step_connect(Conn *c) {
        int error = 0;
        socklen_t size = sizeof(error);
        struct sockaddr_storage peer;
        socklen_t peer_size = sizeof(peer);

        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                return -errno;
        if (error != 0)
                return -error;
        if (getpeername(c->fd, (struct sockaddr *) &peer, &peer_size) < 0)
                return errno == ENOTCONN ? 0 : -errno;
        error = begin_tls(c);
        return error < 0 ? error : 1;
}

static int step_handshake(Conn *c) {
        int r;

        do
                r = gnutls_handshake(c->tls);
        while (r == GNUTLS_E_INTERRUPTED ||
               (r < 0 && r != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(r)));
        if (r == GNUTLS_E_AGAIN)
                return 0;
        if (r == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
                return -EKEYREJECTED;
        if (r < 0)
                return -EPROTO;
        c->target->stats->connects++;
        histogram_add(&c->target->stats->handshake, loop_now() - c->begun_usec);
        c->state = CONN_BUSY;
        return 1;
}

static int step_write(Conn *c) {
        while (c->out_done < c->out.size) {
                ssize_t n = gnutls_record_send(c->tls, c->out.data + c->out_done,
                                               c->out.size - c->out_done);

                if (n == GNUTLS_E_AGAIN)
                        return 0;
                if (n == GNUTLS_E_INTERRUPTED)
                        continue;
                if (n < 0)
                        return -EPIPE;
                c->out_done += (size_t) n;
                c->target->stats->bytes_out += (size_t) n;
        }
        return 1;
}

/* 1 when all that is there has been read, -ECONNRESET when the peer has closed. */
static int step_read(Conn *c) {
        for (;;) {
                ssize_t n;

                if (buffer_reserve(&c->in, READ_SIZE) < 0)
                        return -ENOMEM;
                n = gnutls_record_recv(c->tls, c->in.data + c->in.size, READ_SIZE);
                if (n == GNUTLS_E_AGAIN)
                        return 1;
                if (n == GNUTLS_E_INTERRUPTED || (n < 0 && !gnutls_error_is_fatal((int) n)))
                        continue;
                if (n <= 0)
                        return -ECONNRESET;
                c->in.size += (size_t) n;
                c->target->stats->bytes_in += (size_t) n;
                if (c->in.size > PROTO_ANSWER_MAX + HTTP_HEAD_MAX)
                        return -EMSGSIZE;
        }
}

/* Hands a whole answer over. The callback may send again, which reuses the buffers. */
static void take_answer(Conn *c, bool gone) {
        _cleanup_(buffer_done) Buffer whole = {};
        HttpHead head;
        Answer answer;
        int r = http_parse_head(c->in.data ? c->in.data : "", c->in.size, &head);

        if (r < 0 || (r == 0 && gone)) {
                lose(c, r < 0 ? r : -ECONNRESET);
                return;
        }
        if (r == 0 || c->in.size - head.size < head.body_size) {
                if (gone)
                        lose(c, -ECONNRESET);
                return;
        }
        whole = c->in;
        c->in = (Buffer){};
        answer = (Answer){ head.status, head.retry_after_sec, whole.data + head.size,
                           head.body_size };
        if (answer.status >= 400)
                c->target->stats->refusals++;
        loop_disarm(&c->timeout);
        c->out.size = 0;
        c->out_done = 0;
        if (c->out.allocated > KEEP_BUFFER)
                buffer_done(&c->out);
        if (head.close || gone)
                conn_close(c);
        else
                c->state = CONN_IDLE;
        c->on_done(c, &answer, 0);
}

static void step(Conn *c) {
        int r = 1;

        if (c->state == CONN_CONNECTING)
                r = step_connect(c);
        if (r > 0 && c->state == CONN_HANDSHAKE)
                r = step_handshake(c);
        if (r > 0 && c->state == CONN_BUSY) {
                r = step_write(c);
                if (r > 0 && c->lose_answer)
                        r = -ECONNABORTED;
        }
        if (r <= 0) {
                if (r < 0)
                        lose(c, r);
                return;
        }
        if (c->state != CONN_BUSY && c->state != CONN_IDLE)
                return;
        r = step_read(c);
        if (c->in.size > 0 && c->state == CONN_BUSY)
                take_answer(c, r < 0);
        else if (r < 0)
                lose(c, r);
}

static void on_ready(Watch *w) {
        Conn *c = (Conn *) (void *) ((char *) w - offsetof(Conn, watch));

        if (c->state != CONN_CLOSED)
                step(c);
}

void conn_init(Conn *c, const Target *target, conn_done_t on_done) {
        *c = (Conn){ .watch = { on_ready },
                     .timeout = { .on_due = on_timeout },
                     .target = target,
                     .on_done = on_done,
                     .fd = -EBADF };
}

static int open_socket(Conn *c) {
        const int yes = 1;

        c->begun_usec = loop_now();
        c->fd = socket(c->target->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (c->fd < 0) {
                c->fd = -EBADF;
                return -errno;
        }
        (void) setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        if (connect(c->fd, (const struct sockaddr *) &c->target->address, c->target->address_size) <
                    0 &&
            errno != EINPROGRESS)
                return -errno;
        c->state = CONN_CONNECTING;
        return loop_watch(c->target->loop, c->fd, &c->watch);
}

static int write_request(Conn *c, const Request *q) {
        int r = buffer_printf(&c->out, "%s %s HTTP/1.1\r\nHost: %s:%s\r\nUser-Agent: swarm\r\n",
                              q->method, q->path, c->target->host, c->target->port);

        if (r >= 0 && q->bearer)
                r = buffer_printf(&c->out, "Authorization: Bearer %s\r\n", q->bearer);
        if (r >= 0 && q->key)
                r = buffer_printf(&c->out, "Idempotency-Key: %s\r\n", q->key);
        if (r >= 0 && q->body)
                r = buffer_printf(&c->out, "Content-Type: %s\r\nContent-Length: %zu\r\n",
                                  q->content_type, q->size);
        if (r >= 0)
                r = buffer_append_str(&c->out, "\r\n");
        if (r >= 0 && q->body)
                r = buffer_append(&c->out, q->body, q->size);
        return r;
}

int conn_send(Conn *c, const Request *q) {
        int r;

        if (!conn_is_free(c))
                return -EBUSY;
        c->out.size = 0;
        c->out_done = 0;
        c->in.size = 0;
        r = write_request(c, q);
        if (r >= 0 && c->state == CONN_CLOSED)
                r = open_socket(c);
        if (r < 0) {
                conn_close(c);
                return r;
        }
        c->lose_answer = q->lose_answer;
        c->sent_usec = loop_now();
        loop_arm(c->target->loop, &c->timeout, q->timeout_sec * USEC_PER_SEC);
        if (c->state == CONN_IDLE) {
                c->state = CONN_BUSY;
                r = step_write(c);
                /* What went wrong is seen again from the loop: the timer is brought forward. */
                if (r < 0 || (r > 0 && c->lose_answer))
                        loop_arm(c->target->loop, &c->timeout, 0);
        }
        return 0;
}
