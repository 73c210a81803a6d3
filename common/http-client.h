/* HTTPS requests on the event loop, by libcurl's multi interface. TLS is always verified; plain http only to loopback. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

typedef struct HttpClient HttpClient;
typedef struct HttpCall HttpCall;

typedef struct HttpAnswer {
        int r; /* 0 when an answer came, else -errno: -ECONNREFUSED, -ETIMEDOUT, -EKEYREJECTED (certificate), -EIO … */
        const char *error; /* what went wrong, for people; "" when r is 0 */
        unsigned status;   /* HTTP status, 0 without an answer */
        const char *body;  /* NUL-terminated, never NULL; borrowed until the callback returns */
        size_t size;
        unsigned retry_after_sec; /* of the header, 0 when absent */
        const char *etag;         /* header value or NULL */
        const char *link_next;    /* path of Link: <…>; rel="next", or NULL */
} HttpAnswer;

/* Called exactly once, from the loop, unless the call was freed before. The call is freed by then. */
typedef void (*HttpDone)(const HttpAnswer *answer, void *userdata);

typedef struct HttpOptionsIn {
        const char *method;       /* GET POST PUT DELETE */
        const char *path;         /* "/api/v1/…", with its query */
        const char *bearer;       /* token, or NULL */
        const char *content_type; /* of the body, or NULL */
        const void *body;         /* copied */
        size_t size;
        const char *header; /* one more, "Name: value", or NULL */
        unsigned timeout_sec;
        size_t answer_max; /* bytes; a longer answer fails with -EFBIG; 0: HTTP_ANSWER_MAX */
} HttpOptionsIn;

#define HTTP_ANSWER_MAX (64 * 1024 * 1024)

/* base_url: "https://host:port". ca_file: PEM, or NULL for the system's. */
int http_client_new(sd_event *event, const char *base_url, const char *ca_file,
                    const char *user_agent, HttpClient **ret);
/* Where later calls go; those under way are left alone. */
int http_client_set_base_url(HttpClient *c, const char *base_url);
HttpClient *http_client_free(HttpClient *c); /* every call must have been freed or be done */

int http_call_new(HttpClient *c, const HttpOptionsIn *options, HttpDone done, void *userdata,
                  HttpCall **ret);
HttpCall *http_call_free(HttpCall *call); /* cancels */
