/* One request after the other to the REST API. What goes wrong is told on stderr, in one line, before a call returns. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"
#include "error.h"
#include "settings.h"

typedef struct Client Client;

typedef struct Request {
        const char *method;
        const char *path; /* with its query */
        const char *content_type;
        const char *body;
        size_t size;
        const char *header;   /* one more, or NULL */
        unsigned timeout_sec; /* 0: 60 */
} Request;

typedef struct Reply {
        unsigned status;
        /* owned */
        char *body; /* NUL-terminated, never NULL after success */
        size_t size;
        char *etag, *link_next;
} Reply;

int client_new(const Settings *settings, Client **ret, Error *e);
Client *client_free(Client *c);
DEFINE_SCOPE_EXIT(Client, client_free)

/* From now on a control plane that cannot be reached is waited for, however long that takes, as long as the request may be
 * repeated; and SIGINT ends a request with -EINTR. */
void client_be_patient(Client *c);

/* 0 with a 2xx or 304; else it is told what was wrong. */
int client_request(Client *c, const Request *request, Reply *ret);
int client_get(Client *c, const char *path, Reply *ret);
void reply_done(Reply *r);

/* One line on stderr; returns r. */
int complain(int r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
