/* libcurl's multi interface on sd-event, through its socket and timer callbacks. The one place that knows libcurl. */
#include "http-client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#include "cleanup.h"
#include "parse.h"
#include "str.h"
#include "timespan.h"

#define CONNECT_TIMEOUT_SEC 15
#define MAX_CONNECTIONS 4

typedef struct Watch {
        struct Watch *next, **slot;
        sd_event_source *source; /* owned */
} Watch;

struct HttpClient {
        sd_event *event; /* owned, as what follows */
        CURLM *multi;
        CURL *spare; /* of a call that is over, with the options that all have */
        char *base_url, *ca_file, *user_agent;
        sd_event_source *timer;
        sd_event_source *turn; /* libcurl's time has come */
        uint64_t due_usec;     /* when it will come; UINT64_MAX: it has none */
        Watch *watches;
        HttpCall *calls;
};

struct HttpCall {
        HttpClient *client; /* borrowed: freed after its calls */
        HttpCall *next, **slot;
        CURL *easy; /* owned, as what follows */
        struct curl_slist *headers;
        void *sent;
        Buffer body;
        char error[CURL_ERROR_SIZE];
        char *etag, *link_next;
        unsigned retry_after_sec;
        size_t answer_max;
        bool too_large;
        HttpDone done;
        void *userdata; /* borrowed: holds us */
};

static void collect(HttpClient *c);

static int on_socket_event(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        HttpClient *c = userdata;
        int action = (revents & (EPOLLIN | EPOLLHUP | EPOLLERR) ? CURL_CSELECT_IN : 0) |
                     (revents & EPOLLOUT ? CURL_CSELECT_OUT : 0),
            running;

        (void) source;
        (void) curl_multi_socket_action(c->multi, fd, action, &running);
        collect(c);
        return 0;
}

static Watch *watch_free(Watch *w) {
        if (!w)
                return NULL;
        *w->slot = w->next;
        if (w->next)
                w->next->slot = w->slot;
        sd_event_source_disable_unref(w->source);
        free(w);
        return NULL;
}

static Watch *watch_new(HttpClient *c, int fd, uint32_t events) {
        Watch *w = calloc(1, sizeof(*w));

        if (!w)
                return NULL;
        if (sd_event_add_io(c->event, &w->source, fd, events, on_socket_event, c) < 0) {
                free(w);
                return NULL;
        }
        (void) sd_event_source_set_description(w->source, "http-client-io");
        w->next = c->watches;
        w->slot = &c->watches;
        if (w->next)
                w->next->slot = &w->next;
        c->watches = w;
        return w;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *userdata,
                     void *socket_userdata) {
        HttpClient *c = userdata;
        Watch *w = socket_userdata;
        uint32_t events =
                (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);

        (void) easy;
        if (what == CURL_POLL_REMOVE) {
                (void) watch_free(w);
                return 0;
        }
        if (!w) {
                w = watch_new(c, fd, events);
                if (!w)
                        return -1;
                (void) curl_multi_assign(c->multi, fd, w);
                return 0;
        }
        return sd_event_source_set_io_events(w->source, events) < 0 ? -1 : 0;
}

static int arm(HttpClient *c, uint64_t due_usec) {
        int r = sd_event_source_set_time(c->timer, due_usec);

        return r < 0 ? r : sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

/* libcurl moves its time several times in each call. The kernel's timer is only moved when it would be too late, and what is
 * due at once does without. */
static int on_curl_timer(CURLM *multi, long msec, void *userdata) {
        HttpClient *c = userdata;
        uint64_t now, armed;
        int enabled = SD_EVENT_OFF;

        (void) multi;
        c->due_usec = UINT64_MAX;
        if (msec < 0)
                return 0;
        if (msec == 0)
                return sd_event_source_set_enabled(c->turn, SD_EVENT_ONESHOT) < 0 ? -1 : 0;
        if (sd_event_now(c->event, CLOCK_MONOTONIC, &now) < 0)
                return -1;
        c->due_usec = now + (uint64_t) msec * USEC_PER_MSEC;
        (void) sd_event_source_get_enabled(c->timer, &enabled);
        if (enabled != SD_EVENT_OFF && sd_event_source_get_time(c->timer, &armed) >= 0 &&
            armed <= c->due_usec)
                return 0;
        return arm(c, c->due_usec) < 0 ? -1 : 0;
}

static int on_turn(sd_event_source *source, void *userdata) {
        HttpClient *c = userdata;
        int running;

        (void) source;
        (void) curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        collect(c);
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        HttpClient *c = userdata;
        uint64_t now;
        int r = sd_event_now(c->event, CLOCK_MONOTONIC, &now);

        (void) usec;
        if (r < 0 || c->due_usec == UINT64_MAX)
                return r;
        return now < c->due_usec ? arm(c, c->due_usec) : on_turn(source, c);
}

/* What libcurl's results mean to a caller. */
static int errno_from_curl(CURLcode code) {
        static const struct {
                CURLcode code;
                int r;
        } table[] = {
                { CURLE_OK, 0 },
                { CURLE_COULDNT_CONNECT, -ECONNREFUSED },
                { CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH },
                { CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT },
                { CURLE_PEER_FAILED_VERIFICATION, -EKEYREJECTED },
                { CURLE_SSL_CACERT_BADFILE, -ENOKEY },
                { CURLE_OUT_OF_MEMORY, -ENOMEM },
                { CURLE_UNSUPPORTED_PROTOCOL, -EPROTONOSUPPORT },
                { CURLE_URL_MALFORMAT, -EINVAL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (table[i].code == code)
                        return table[i].r;
        return -EIO;
}

static void finish(HttpCall *call, CURLcode code) {
        HttpAnswer answer = { .r = call->too_large ? -EFBIG : errno_from_curl(code) };
        HttpDone done = call->done;
        void *userdata = call->userdata;
        long status = 0;

        (void) curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
        answer.error = answer.r == 0 ? "" : *call->error ? call->error : curl_easy_strerror(code);
        answer.status = answer.r == 0 ? (unsigned) status : 0;
        answer.body = call->body.data ? call->body.data : "";
        answer.size = call->body.size;
        answer.retry_after_sec = call->retry_after_sec;
        answer.etag = call->etag;
        answer.link_next = call->link_next;
        done(&answer, userdata);
        (void) http_call_free(call);
}

/* A callback may free other calls, so one message at a time is taken. */
static void collect(HttpClient *c) {
        CURLMsg *message;
        int left;

        while ((message = curl_multi_info_read(c->multi, &left))) {
                HttpCall *call = NULL;

                if (message->msg != CURLMSG_DONE)
                        continue;
                (void) curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &call);
                finish(call, message->data.result);
        }
}

int http_client_set_base_url(HttpClient *c, const char *base_url) {
        size_t n = strlen(base_url);
        char *copy;

        while (n > 0 && base_url[n - 1] == '/')
                n--;
        copy = strndup(base_url, n);
        if (!copy)
                return -ENOMEM;
        free(c->base_url);
        c->base_url = copy;
        return 0;
}

int http_client_new(sd_event *event, const char *base_url, const char *ca_file,
                    const char *user_agent, HttpClient **ret) {
        HttpClient *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        c->event = sd_event_ref(event);
        c->due_usec = UINT64_MAX;
        c->ca_file = ca_file ? strdup(ca_file) : NULL;
        c->user_agent = strdup(user_agent);
        c->multi = curl_multi_init();
        if (http_client_set_base_url(c, base_url) < 0 || !c->user_agent || !c->multi ||
            (ca_file && !c->ca_file)) {
                (void) http_client_free(c);
                return -ENOMEM;
        }
        r = sd_event_add_time_relative(event, &c->timer, CLOCK_MONOTONIC, 0, PROMPT_USEC, on_timer,
                                       c);
        if (r >= 0)
                r = sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(event, &c->turn, on_turn, c);
        if (r >= 0)
                r = sd_event_source_set_enabled(c->turn, SD_EVENT_OFF);
        if (r < 0) {
                (void) http_client_free(c);
                return r;
        }
        (void) curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
        (void) curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
        (void) curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
        (void) curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
        (void) curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long) MAX_CONNECTIONS);
        *ret = c;
        return 0;
}

HttpClient *http_client_free(HttpClient *c) {
        if (!c)
                return NULL;
        while (c->calls)
                (void) http_call_free(c->calls);
        if (c->spare)
                curl_easy_cleanup(c->spare);
        if (c->multi)
                (void) curl_multi_cleanup(c->multi);
        while (c->watches)
                (void) watch_free(c->watches);
        sd_event_source_disable_unref(c->timer);
        sd_event_source_disable_unref(c->turn);
        free(c->base_url);
        free(c->ca_file);
        free(c->user_agent);
        sd_event_unref(c->event);
        free(c);
        return NULL;
}

static size_t on_body(char *data, size_t size, size_t count, void *userdata) {
        HttpCall *call = userdata;

        if (call->body.size + size * count > call->answer_max ||
            buffer_append(&call->body, data, size * count) < 0) {
                call->too_large = true;
                return 0;
        }
        return size * count;
}

/* What follows "Name:" in a header line, copied without white space; NULL when it is another header. */
static char *header_value(const char *line, size_t size, const char *name) {
        size_t n = strlen(name);
        char *copy;

        if (size <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
                return NULL;
        copy = strndup(line + n + 1, size - n - 1);
        if (copy) {
                char *stripped = str_strip(copy);

                (void) memmove(copy, stripped, strlen(stripped) + 1);
        }
        return copy;
}

static size_t on_header(char *data, size_t size, size_t count, void *userdata) {
        HttpCall *call = userdata;
        _cleanup_(freep) char *retry = header_value(data, size * count, "Retry-After");
        _cleanup_(freep) char *link = header_value(data, size * count, "Link");
        char *etag = header_value(data, size * count, "ETag");
        uint64_t n;

        if (etag) {
                free(call->etag);
                call->etag = etag;
        }
        if (retry && parse_u64_range(retry, 0, 86400, &n) >= 0)
                call->retry_after_sec = (unsigned) n;
        if (link && *link == '<' && strstr(link, "rel=\"next\"")) {
                link[strcspn(link, ">")] = '\0';
                (void) str_replace(&call->link_next, link + 1);
        }
        return size * count;
}

static int add_header(HttpCall *call, const char *name, const char *value) {
        _cleanup_(freep) char *line = value ? str_format("%s%s", name, value) : NULL;
        struct curl_slist *grown;

        if (!value)
                return 0;
        grown = line ? curl_slist_append(call->headers, line) : NULL;
        if (!grown)
                return -ENOMEM;
        call->headers = grown;
        return 0;
}

/* http is for loopback; everything else must be https. */
static const char *allowed_protocols(const char *url) {
        static const char *const loopback[] = { "http://127.",
                                                "http://localhost:", "http://localhost/",
                                                "http://[::1]" };

        for (size_t i = 0; i < ELEMENTSOF(loopback); i++)
                if (str_after(url, loopback[i]))
                        return "http";
        return "https";
}

/* What is the same in all calls. */
static CURL *easy_new(HttpClient *c) {
        CURL *easy = curl_easy_init();

        if (!easy)
                return NULL;
        (void) curl_easy_setopt(easy, CURLOPT_USERAGENT, c->user_agent);
        (void) curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
        (void) curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
        (void) curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long) CONNECT_TIMEOUT_SEC);
        (void) curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        /* Else the end of a call waits for a name server that does not answer. */
        (void) curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
        (void) curl_easy_setopt(easy, CURLOPT_PROXY, "");
        (void) curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
        (void) curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
        (void) curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 16384L);
        if (c->ca_file) {
                (void) curl_easy_setopt(easy, CURLOPT_CAINFO, c->ca_file);
                /* Left alone, libcurl loads the system's authorities beside ours: megabytes, and trust nobody asked for. */
                (void) curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
        }
        return easy;
}

static int set_options(HttpCall *call, const HttpOptionsIn *o) {
        _cleanup_(freep) char *url = str_format("%s%s", call->client->base_url, o->path);
        bool body = o->body || str_eq(o->method, "POST") || str_eq(o->method, "PUT");

        if (!url || add_header(call, "Authorization: Bearer ", o->bearer) < 0 ||
            add_header(call, "Content-Type: ", o->content_type) < 0 ||
            add_header(call, "", o->header) < 0 || add_header(call, "Expect:", "") < 0)
                return -ENOMEM;
        (void) curl_easy_setopt(call->easy, CURLOPT_HTTPGET, 1L);
        if (body) {
                call->sent = malloc(o->size + 1);
                if (!call->sent)
                        return -ENOMEM;
                if (o->size > 0)
                        (void) memcpy(call->sent, o->body, o->size);
                (void) curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                                        (curl_off_t) o->size);
                (void) curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, call->sent);
        }
        (void) curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, o->method);
        (void) curl_easy_setopt(call->easy, CURLOPT_URL, url);
        (void) curl_easy_setopt(call->easy, CURLOPT_PROTOCOLS_STR, allowed_protocols(url));
        (void) curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
        (void) curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
        (void) curl_easy_setopt(call->easy, CURLOPT_ERRORBUFFER, call->error);
        (void) curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
        (void) curl_easy_setopt(call->easy, CURLOPT_HEADERDATA, call);
        (void) curl_easy_setopt(call->easy, CURLOPT_TIMEOUT, (long) o->timeout_sec);
        return 0;
}

int http_call_new(HttpClient *c, const HttpOptionsIn *options, HttpDone done, void *userdata,
                  HttpCall **ret) {
        HttpCall *call = calloc(1, sizeof(*call));
        int r;

        if (!call)
                return -ENOMEM;
        call->client = c;
        call->answer_max = options->answer_max ? options->answer_max : HTTP_ANSWER_MAX;
        call->done = done;
        call->userdata = userdata;
        call->next = c->calls;
        call->slot = &c->calls;
        if (call->next)
                call->next->slot = &call->next;
        c->calls = call;
        call->easy = c->spare ? TAKE_PTR(c->spare) : easy_new(c);
        r = call->easy ? set_options(call, options) : -ENOMEM;
        if (r >= 0 && curl_multi_add_handle(c->multi, call->easy) != CURLM_OK)
                r = -ENOMEM;
        if (r < 0) {
                (void) http_call_free(call);
                return r;
        }
        *ret = call;
        return 0;
}

/* Everything that pointed into the call is set again before it is used. */
static void easy_put_back(HttpClient *c, CURL *easy) {
        (void) curl_multi_remove_handle(c->multi, easy);
        if (c->spare)
                curl_easy_cleanup(easy);
        else
                c->spare = easy;
}

HttpCall *http_call_free(HttpCall *call) {
        if (!call)
                return NULL;
        *call->slot = call->next;
        if (call->next)
                call->next->slot = call->slot;
        if (call->easy)
                easy_put_back(call->client, call->easy);
        curl_slist_free_all(call->headers);
        buffer_done(&call->body);
        free(call->sent);
        free(call->etag);
        free(call->link_next);
        free(call);
        return NULL;
}
