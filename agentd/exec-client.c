/* A queue of calls, the first IN_FLIGHT_MAX of them sent. A call that failed for a passing reason keeps its place, and is passed by
 * those of others while it waits. */
#include "exec-client.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "backoff.h"
#include "log.h"
#include "str.h"
#include "timespan.h"

#define EXEC_NAME "io.sluice.Exec1"
#define EXEC_PATH "/io/sluice/Exec1"
#define IN_FLIGHT_MAX 32U
#define TIMEOUT_USEC (90 * USEC_PER_SEC)

typedef enum CallState {
        CALL_WAITING,
        CALL_SENT,
        CALL_DELAYED,
} CallState;

struct ExecCall {
        ExecCall *next, *previous;
        ExecClient *client; /* borrowed: it frees its calls first */
        /* owned */
        sd_bus_slot *slot;
        sd_event_source *timer;
        char *text;
        ExecRequest request;
        Backoff backoff;
        CallState state;
};

struct ExecClient {
        /* owned */
        ExecCall *first, *last;
        sd_event_source *pump;
        /* borrowed: the composition root frees us first */
        sd_event *event;
        sd_bus *bus;
        unsigned in_flight;
        unsigned failures; /* in a row */
};

static void queue_remove(ExecCall *c) {
        ExecClient *x = c->client;

        *(c->previous ? &c->previous->next : &x->first) = c->next;
        *(c->next ? &c->next->previous : &x->last) = c->previous;
        c->next = c->previous = NULL;
}

/* What was said of its attempt before has no answer yet. */
static bool is_behind(const ExecCall *c) {
        for (const ExecCall *p = c->text ? c->previous : NULL; p; p = p->previous)
                if (str_eq(p->text, c->text))
                        return true;
        return false;
}

static void queue_append(ExecCall *c) {
        ExecClient *x = c->client;

        c->previous = x->last;
        *(x->last ? &x->last->next : &x->first) = c;
        x->last = c;
}

ExecCall *exec_call_free(ExecCall *c) {
        if (!c)
                return NULL;
        if (c->state == CALL_SENT)
                c->client->in_flight--;
        (void) sd_event_source_set_enabled(c->client->pump, SD_EVENT_ONESHOT);
        queue_remove(c);
        (void) sd_bus_slot_unref(c->slot);
        (void) sd_event_source_disable_unref(c->timer);
        free(c->text);
        free(c);
        return NULL;
}
DEFINE_SCOPE_EXIT(ExecCall, exec_call_free)

static void call_finish(ExecCall *c, ExecVerdict verdict, const char *words) {
        exec_done_t done = c->request.done;
        void *userdata = c->request.userdata;

        if (done)
                done(verdict, words, userdata);
        (void) exec_call_free(c);
}

static int call_on_delay(sd_event_source *source, uint64_t usec, void *userdata) {
        ExecCall *c = userdata;

        (void) source;
        (void) usec;
        c->state = CALL_WAITING;
        return sd_event_source_set_enabled(c->client->pump, SD_EVENT_ONESHOT);
}

/* Says so once, when it begins. */
static void note_failure(ExecClient *x, const char *method, const char *words) {
        if (x->failures++ == 0)
                log_message(LOG_WARNING, NULL, NULL, "agentd-exec did not do %s: %s Trying again.",
                            method, words);
}

static void call_failed(ExecCall *c, const char *words) {
        ExecClient *x = c->client;
        int r;

        note_failure(x, c->request.method, words);
        if (c->state == CALL_SENT)
                x->in_flight--;
        c->state = CALL_DELAYED;
        c->slot = sd_bus_slot_unref(c->slot);
        if (c->request.tries_max > 0 && c->backoff.tries + 1 >= c->request.tries_max) {
                call_finish(c, EXEC_FAILED, words);
                return;
        }
        c->timer = sd_event_source_disable_unref(c->timer);
        r = sd_event_add_time_relative(x->event, &c->timer, CLOCK_MONOTONIC,
                                       backoff_next_usec(&c->backoff), 0, call_on_delay, c);
        if (r < 0)
                call_finish(c, EXEC_FAILED, strerror(-r));
}

static int call_on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        static const struct {
                const char *name;
                ExecVerdict verdict;
        } verdicts[] = {
                { EXEC_NAME ".Error.Exists", EXEC_EXISTS },
                { EXEC_NAME ".Error.Refused", EXEC_REFUSED },
                { EXEC_NAME ".Error.Unable", EXEC_FAILED },
        };
        const sd_bus_error *e = sd_bus_message_get_error(m);
        ExecCall *c = userdata;
        ExecClient *x = c->client;

        (void) ret_error;
        (void) sd_event_source_set_enabled(x->pump, SD_EVENT_ONESHOT);
        for (size_t i = 0; e && i < ELEMENTSOF(verdicts); i++)
                if (str_eq(e->name, verdicts[i].name)) {
                        call_finish(c, verdicts[i].verdict, e->message ? e->message : e->name);
                        return 0;
                }
        if (e) {
                call_failed(c, e->message ? e->message : e->name);
                return 0;
        }
        if (c->request.take && c->request.take(m, c->request.userdata) < 0) {
                call_failed(c, "Its answer makes no sense.");
                return 0;
        }
        if (x->failures > 0)
                log_notice("agentd-exec answers again, after %u failures.", x->failures);
        x->failures = 0;
        call_finish(c, EXEC_DONE, "");
        return 0;
}

static int call_send(ExecCall *c) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *bus = c->client->bus;
        int r = sd_bus_message_new_method_call(bus, &m, EXEC_NAME, EXEC_PATH, EXEC_NAME,
                                               c->request.method);

        if (r >= 0 && c->request.append)
                r = c->request.append(m, c->request.userdata);
        else if (r >= 0 && c->text)
                r = sd_bus_message_append(m, "s", c->text);
        if (r >= 0)
                r = sd_bus_call_async(bus, &c->slot, m, call_on_reply, c, TIMEOUT_USEC);
        if (r < 0)
                return r;
        c->state = CALL_SENT;
        c->client->in_flight++;
        return 0;
}

static int client_on_pump(sd_event_source *source, void *userdata) {
        ExecClient *x = userdata;

        (void) source;
        for (ExecCall *c = x->first, *next; c && x->in_flight < IN_FLIGHT_MAX; c = next) {
                int r;

                next = c->next;
                if (c->state != CALL_WAITING || is_behind(c))
                        continue;
                r = call_send(c);
                if (r < 0)
                        call_failed(c, strerror(-r));
        }
        return 0;
}

int exec_call_new(ExecClient *x, const ExecRequest *request, ExecCall **ret) {
        _cleanup_(exec_call_freep) ExecCall *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        c->client = x;
        c->request = *request;
        c->request.text = NULL;
        c->backoff = (Backoff){ 100 * USEC_PER_MSEC, 30 * USEC_PER_SEC };
        queue_append(c);
        r = str_replace(&c->text, request->text);
        if (r >= 0)
                r = sd_event_source_set_enabled(x->pump, SD_EVENT_ONESHOT);
        if (r < 0)
                return r;
        if (ret)
                *ret = c;
        TAKE_PTR(c); /* the queue has it */
        return 0;
}

int exec_client_new(sd_event *event, sd_bus *bus, ExecClient **ret) {
        _cleanup_(exec_client_freep) ExecClient *x = calloc(1, sizeof(*x));
        int r;

        if (!x)
                return -ENOMEM;
        x->event = event;
        x->bus = bus;
        r = sd_event_add_defer(event, &x->pump, client_on_pump, x);
        if (r >= 0)
                r = sd_event_source_set_enabled(x->pump, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(x);
        return 0;
}

ExecClient *exec_client_free(ExecClient *x) {
        if (!x)
                return NULL;
        while (x->first)
                (void) exec_call_free(x->first);
        (void) sd_event_source_disable_unref(x->pump);
        free(x);
        return NULL;
}
