/* Requests to the REST API. A Call repeats its request through passing trouble; several may be under way at once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "cleanup.h"
#include "error.h"
#include "settings.h"

typedef struct Client Client;
typedef struct Call Call;

/* What is put up with before a request counts as failed. */
typedef enum Patience {
        PATIENCE_SHORT, /* a control plane that is there but busy or starting, for some seconds */
        PATIENCE_START, /* also one that cannot be reached, for half a minute */
        PATIENCE_LONG,  /* the same, for ever: it was there before */
} Patience;

typedef struct Request {
        const char *method;
        const char *path; /* with its query */
        const char *content_type;
        const char *body;
        size_t size;
        const char *header;   /* one more, or NULL */
        unsigned timeout_sec; /* 0: 60 */
        Patience patience;
        unsigned delay_msec; /* before it is sent */
        bool repeatable; /* a POST that changes nothing the second time; the other methods are so by nature */
} Request;

typedef struct Reply {
        unsigned status;
        /* owned */
        char *body; /* NUL-terminated, never NULL after success */
        size_t size;
        char *etag, *link_next;
} Reply;

int client_new(const Settings *settings, Client **ret, Error *e);
Client *client_free(Client *c); /* after its calls */
DEFINE_SCOPE_EXIT(Client, client_free)

sd_event *client_event(Client *c);
/* From now on SIGINT ends client_run() with -EINTR. */
int client_catch_interrupt(Client *c);
/* Runs the loop until *flag. -EINTR, or an error that was told. */
int client_run(Client *c, const bool *flag);

/* Called once, from the loop; the receiver may free the call, and take what the reply owns. r is 0 with a 2xx or 304; else the reply may
 * have the problem's document. */
typedef void (*CallDone)(int r, Reply *reply, const Error *e, void *userdata);
int call_new(Client *c, const Request *request, CallDone done, void *userdata, Call **ret);
Call *call_free(Call *call); /* cancels */
DEFINE_SCOPE_EXIT(Call, call_free)

/* One call, waited for. What goes wrong is told on stderr, in a line, or several when the answer says several things, before these return. */
int client_request(Client *c, const Request *request, Reply *ret);
int client_get(Client *c, const char *path, Reply *ret);
/* But of this problem, by its code, nothing is said: -ENOENT. */
int client_get_unless(Client *c, const char *path, const char *problem, Reply *ret);
void reply_done(Reply *r);

/* One line on stderr, without control characters; returns r. */
int complain(int r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
