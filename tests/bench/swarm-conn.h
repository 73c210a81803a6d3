/* One connection to controld: TLS with the server's certificate verified, one request at a time, HTTP/1.1 kept alive. It connects
 * when it is asked for the first time, and again after it was lost. */
#pragma once

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "error.h"
#include "str.h"
#include "swarm-loop.h"
#include "swarm-stats.h"

/* Where controld is; shared by all connections. */
typedef struct Target {
        Loop *loop;   /* borrowed: outlives us */
        Stats *stats; /* borrowed */
        char host[256], port[8];
        struct sockaddr_storage address;
        socklen_t address_size;
        gnutls_certificate_credentials_t trust; /* owned, as what follows */
        gnutls_priority_t priority;
} Target;

/* url is https://HOST:PORT. Looks the host up, which may wait: before the loop runs. */
int target_init(Target *t, const char *url, const char *ca_file, Error *e);
void target_done(Target *t);

typedef struct Answer {
        unsigned status;
        unsigned retry_after_sec;
        const char *body; /* borrowed: until the callback returns */
        size_t size;
} Answer;

typedef struct Request {
        const char *method, *path, *bearer, *content_type;
        const char *key;  /* Idempotency-Key, or NULL */
        const char *body; /* NULL: none */
        size_t size;
        unsigned timeout_sec;
        bool lose_answer; /* fault: the connection is closed when the request is out */
} Request;

typedef enum ConnState {
        CONN_CLOSED,
        CONN_CONNECTING,
        CONN_HANDSHAKE,
        CONN_IDLE,
        CONN_BUSY,
} ConnState;

typedef struct Conn Conn;

/* on_done: the answer, or NULL with a negative errno: -ECONNABORTED for the fault, else what went wrong. It may send again. */
typedef void (*conn_done_t)(Conn *c, const Answer *a, int r);

struct Conn {
        Watch watch;
        Timer timeout;
        const Target *target; /* borrowed */
        conn_done_t on_done;
        gnutls_session_t tls; /* owned, as what follows */
        int fd;
        Buffer out, in;
        ConnState state;
        size_t out_done;
        uint64_t begun_usec; /* connecting */
        uint64_t sent_usec;  /* the request was asked for */
        bool lose_answer;
};

void conn_init(Conn *c, const Target *target, conn_done_t on_done);
void conn_close(Conn *c); /* forgets what was asked; no callback */
/* Connects if need be and sends. Trouble is told by on_done, from the loop, except for -errno here. */
int conn_send(Conn *c, const Request *q);
static inline bool conn_is_free(const Conn *c) {
        return c->state == CONN_CLOSED || c->state == CONN_IDLE;
}
