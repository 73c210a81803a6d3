/* Connecting to PostgreSQL without waiting. Must never call a blocking libpq function; a host name in the connection string
 * is resolved inline by libpq, which is why controld.conf(5) asks for a socket directory or hostaddr. */
#include "pg-connect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "cleanup.h"
#include "log.h"
#include "str.h"
#include "timespan.h"

#define CONNECT_USEC (5 * USEC_PER_SEC) /* with one host */
#define COMPLAIN_USEC (10 * USEC_PER_SEC)

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata);
static int on_retry(sd_event_source *source, uint64_t usec, void *userdata);

static int watch(PgConnect *c, uint32_t events) {
        int r;

        c->io = sd_event_source_disable_unref(c->io);
        r = sd_event_add_io(c->event, &c->io, PQsocket(c->conn), events, on_io, c);
        if (r >= 0)
                (void) sd_event_source_set_description(c->io, c->what);
        return r;
}

static void drop(PgConnect *c) {
        c->io = sd_event_source_disable_unref(c->io);
        if (c->conn)
                PQfinish(c->conn);
        c->conn = NULL;
        pg_connect_expect(c, false);
}

/* Once, and again when the reason is another: the first one may be over long before the last. */
static void complain(PgConnect *c, uint64_t delay) {
        _cleanup_(freep) char *copy = strdup(c->why ? c->why : PQerrorMessage(c->conn));
        const char *words = copy ? str_strip(copy) : "";
        char text[TIMESPAN_TEXT_MAX];
        uint64_t now = 0;

        (void) sd_event_now(c->event, CLOCK_MONOTONIC, &now);
        if (c->complaint &&
            (str_eq(c->complaint, words) || now < c->complained_usec + COMPLAIN_USEC))
                return;
        c->complained_usec = now;
        (void) str_replace(&c->complaint, words);
        log_message(LOG_WARNING, NULL, NULL,
                    "No connection to PostgreSQL for %s: %s; trying again, first in %s.", c->what,
                    words, timespan_format(delay, text));
}

void pg_connect_blame(PgConnect *c, const char *why) {
        (void) str_replace(&c->why, why);
}

void pg_connect_lose(PgConnect *c) {
        bool was_connected = c->connected;
        uint64_t delay = 0;

        /* The next host at once; after all of them, a while later. */
        c->turn = (c->turn + 1) % c->n_hosts;
        if (++c->failed % c->n_hosts == 0) {
                delay = backoff_next_usec(&c->backoff);
                complain(c, delay);
                (void) str_replace(&c->why, NULL);
        }
        drop(c);
        c->connected = false;
        if (sd_event_source_set_time_relative(c->retry, delay) < 0 ||
            sd_event_source_set_enabled(c->retry, SD_EVENT_ONESHOT) < 0)
                log_error(-EIO, "Cannot arm the timer of a reconnect");
        if (was_connected)
                c->on_lost(c->userdata);
}

static void step(PgConnect *c) {
        PostgresPollingStatusType status = PQconnectPoll(c->conn);

        if (status == PGRES_POLLING_OK) {
                c->connected = true;
                pg_connect_expect(c, false);
                if (PQsetnonblocking(c->conn, 1) != 0 || watch(c, EPOLLIN) < 0 ||
                    c->on_connected(c->userdata) < 0)
                        pg_connect_lose(c);
                return;
        }
        if (status == PGRES_POLLING_FAILED ||
            watch(c, status == PGRES_POLLING_READING ? EPOLLIN : EPOLLOUT) < 0)
                pg_connect_lose(c);
}

/* Entry i of a list, or its only one; NULL for an empty one. */
static char *entry_of(const char *list, unsigned i) {
        const char *comma;

        if (!list)
                return NULL;
        for (comma = strchr(list, ','); comma && i > 0; comma = strchr(list, ','), i--)
                list = comma + 1;
        return comma ? strndup(list, (size_t) (comma - list)) : strdup(list);
}

/* What the server says unasked: a last word, or what is nobody's business. libpq would write it to stderr. */
static void on_notice(void *userdata, const PGresult *notice) {
        const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED),
                   *words = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);

        if (str_eq(severity, "FATAL"))
                pg_connect_blame(userdata, words);
        else
                log_debug("PostgreSQL: %s", words ? words : "");
}

/* The last word about a parameter counts: ours in front of the connection string are defaults, those behind it choose the host
 * and what it speaks. */
static PGconn *start_conn(PgConnect *c) {
        _cleanup_(freep) char *host = entry_of(c->host, c->turn),
                              *hostaddr = entry_of(c->hostaddr, c->turn),
                              *port = entry_of(c->port, c->turn);
        const char *keywords[16] = { "target_session_attrs",
                                     "fallback_application_name",
                                     "keepalives_idle",
                                     "keepalives_interval",
                                     "keepalives_count",
                                     "tcp_user_timeout",
                                     "dbname",
                                     "client_encoding" },
                   *values[16] = { "read-write", "sluice-controld", "5",         "1",
                                   "5",          "10000",           c->conninfo, "UTF8" };
        const struct {
                const char *keyword, *value;
        } chosen[] = { { "host", host }, { "hostaddr", hostaddr }, { "port", port } };
        size_t n = 8;

        for (size_t i = 0; i < ELEMENTSOF(chosen) && c->n_hosts > 1; i++)
                if (chosen[i].value) {
                        keywords[n] = chosen[i].keyword;
                        values[n++] = chosen[i].value;
                }
        return PQconnectStartParams(keywords, values, 1);
}

static void begin(PgConnect *c) {
        uint64_t patience = c->silence_usec < CONNECT_USEC ? c->silence_usec : CONNECT_USEC;

        c->conn = start_conn(c);
        if (c->conn)
                (void) PQsetNoticeReceiver(c->conn, on_notice, c);
        (void) lazy_timer_set(&c->silence, patience);
        if (!c->conn || PQstatus(c->conn) == CONNECTION_BAD || watch(c, EPOLLOUT) < 0)
                pg_connect_lose(c);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        (void) source;
        (void) usec;
        begin(userdata);
        return 0;
}

static void on_silence(void *userdata) {
        PgConnect *c = userdata;

        if (PQstatus(c->conn) != CONNECTION_BAD)
                pg_connect_blame(c, "it does not answer");
        pg_connect_lose(c);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        PgConnect *c = userdata;

        (void) source;
        (void) fd;
        if (!c->connected) {
                step(c);
                return 0;
        }
        if ((revents & ~(uint32_t) EPOLLOUT) &&
            (!PQconsumeInput(c->conn) || c->on_readable(c->userdata) < 0)) {
                pg_connect_lose(c);
                return 0;
        }
        if (c->connected && pg_connect_flush(c) < 0)
                pg_connect_lose(c);
        return 0;
}

void pg_connect_expect(PgConnect *c, bool expected) {
        if (expected)
                (void) lazy_timer_set(&c->silence, c->silence_usec);
        else
                lazy_timer_off(&c->silence);
}

/* libpq closes its socket when it cannot send. An epoll forgets such a descriptor without a word, and its number may be
 * another's soon, so it is no longer watched from here on. */
void pg_connect_lose_later(PgConnect *c) {
        c->io = sd_event_source_disable_unref(c->io);
        (void) lazy_timer_set(&c->silence, 0);
}

void pg_connect_settled(PgConnect *c) {
        backoff_reset(&c->backoff);
        c->failed = 0;
        if (c->complaint)
                log_notice("Connected to PostgreSQL for %s again.", c->what);
        (void) str_replace(&c->complaint, NULL);
        (void) str_replace(&c->why, NULL);
}

int pg_connect_flush(PgConnect *c) {
        int left = PQflush(c->conn);

        if (left < 0)
                return -ENOTCONN;
        return sd_event_source_set_io_events(c->io, left > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static unsigned entries_of(const char *list) {
        unsigned n = 1;

        for (; list && (list = strchr(list, ',')); list++)
                n++;
        return n;
}

/* What is no connection string libpq refuses later, with words. */
static int find_hosts(PgConnect *c) {
        PQconninfoOption *options = PQconninfoParse(c->conninfo, NULL);
        int r = 0;

        for (PQconninfoOption *o = options; o && o->keyword && r >= 0; o++)
                if (str_eq(o->keyword, "host"))
                        r = str_replace(&c->host, o->val);
                else if (str_eq(o->keyword, "hostaddr"))
                        r = str_replace(&c->hostaddr, o->val);
                else if (str_eq(o->keyword, "port"))
                        r = str_replace(&c->port, o->val);
        PQconninfoFree(options);
        c->n_hosts = entries_of(c->hostaddr ? c->hostaddr : c->host);
        return r;
}

int pg_connect_start(PgConnect *c, sd_event *event, const char *conninfo) {
        int r;

        c->event = sd_event_ref(event);
        c->conninfo = strdup(conninfo);
        c->backoff = (Backoff){ .first_usec = 100 * USEC_PER_MSEC, .limit_usec = 2 * USEC_PER_SEC };
        if (!c->conninfo)
                return -ENOMEM;
        r = find_hosts(c);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(event, &c->retry, CLOCK_MONOTONIC, 0, PROMPT_USEC, on_retry,
                                       c);
        if (r >= 0)
                r = lazy_timer_init(&c->silence, event, "pg-silence", on_silence, c);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(c->retry, "pg-connect");
        return 0;
}

void pg_connect_done(PgConnect *c) {
        c->retry = sd_event_source_disable_unref(c->retry);
        drop(c);
        lazy_timer_done(&c->silence);
        free(c->why);
        free(c->complaint);
        free(c->conninfo);
        free(c->host);
        free(c->hostaddr);
        free(c->port);
        c->event = sd_event_unref(c->event);
}
