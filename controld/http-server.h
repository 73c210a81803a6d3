/* libmicrohttpd on the event loop. It reads requests whole, hands them to one callback, and sends what is replied, at once or later:
 * a request that is not replied to in the callback is suspended until it is. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "error.h"

typedef struct HttpServer HttpServer;
typedef struct HttpRequest HttpRequest;

typedef struct HttpHandlers {
        /* Headers are there, the body is not: the most that may come, or negative after replying. */
        ssize_t (*on_headers)(HttpRequest *request, void *userdata);
        /* The body is there. Replies now or later. */
        void (*on_request)(HttpRequest *request, void *userdata);
        /* The request is going away, replied to or not; free what http_request_set_context() holds. */
        void (*on_done)(HttpRequest *request, void *userdata);
        /* A connection has ended whose last request named its peer. */
        void (*on_peer_gone)(const char *name, void *userdata);
} HttpHandlers;

typedef struct HttpOptions {
        int listen_fd; /* borrowed, non-blocking */
        bool tls;
        const char *certificate_file; /* borrowed */
        const char *private_key_file;
        unsigned max_connections;
        size_t bodies_max;          /* bytes of all bodies that are held at one time */
        uint64_t peer_timeout_usec; /* what listen_socket() gave the descriptor */
} HttpOptions;

int http_server_new(sd_event *event, const HttpOptions *options, const HttpHandlers *handlers,
                    void *userdata, HttpServer **ret, Error *e);
/* Stops listening; requests under way may end, and their connections with them. */
void http_server_quiesce(HttpServer *s);
/* Every request that a handler has must have been replied to. Handlers get no other from here on. */
HttpServer *http_server_free(HttpServer *s);
unsigned http_server_requests(const HttpServer *s);
/* Reads the certificate files again when they changed; new connections get the new one. A bad file keeps the old. */
int http_server_reload_certificate(HttpServer *s, bool force, Error *e);

const char *http_request_method(const HttpRequest *request);
const char *http_request_path(const HttpRequest *request);
const char *http_request_header(const HttpRequest *request,
                                const char *name); /* NULL when absent */
const char *http_request_query(const HttpRequest *request, const char *name);
/* Whether the Content-Type is this one, whatever its case and parameters. */
bool http_request_content_is(const HttpRequest *request, const char *type);
const char *http_request_body(const HttpRequest *request,
                              size_t *ret_size); /* NUL-terminated, never NULL */

void http_request_set_context(HttpRequest *request, void *context);
void *http_request_context(const HttpRequest *request);

/* Adds a header to the reply to come. */
int http_request_add_header(HttpRequest *request, const char *name, const char *value);
/* The request will be held for long: when its peer goes away meanwhile, it ends, with on_done and without a reply. */
void http_request_watch_peer(HttpRequest *request);
/* Once per request. body is taken over (may be NULL with size 0). content_type NULL: none. */
void http_request_reply(HttpRequest *request, unsigned status, const char *content_type, char *body,
                        size_t size);
/* Names who is at the other end of the request's connection, until the next request on it. Too long a name is none. */
void http_request_name_peer(HttpRequest *request, const char *name);
/* 0, or why there is no body: -EFBIG when it was above the limit of on_headers(), -ENOBUFS when it gave way to another, -ENOMEM. */
int http_request_trouble(const HttpRequest *request);
