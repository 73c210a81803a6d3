/* Reading a run's log: asks for what follows a place, waits for more, names the next place. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "id.h"
#include "log-render.h"
#include "router.h"
#include "routes.h"
#include "str.h"
#include "timespan.h"

#define WAIT_MAX_SEC 50
#define READ_BYTES "1048576"

/* "next" stays where it was when nothing came, so a client can go on asking. */
static int add_link(Exchange *x, const char *next) {
        const char *task = http_request_query(x->request, "task");
        /* A place in each log that was begun: long, for a run of many tasks. */
        _cleanup_(freep) char *link =
                str_format("</api/v1/runs/%s/logs?after=%s%s%s>; rel=\"next\"", x->params[0], next,
                           task ? "&task=" : "", task ? task : "");

        return link ? http_request_add_header(x->request, "Link", link) : -ENOMEM;
}

static void on_logs(const PgReply *reply, void *userdata) {
        Exchange *x = userdata;
        const LogFormat *format = log_format_of(http_request_header(x->request, "Accept"));
        _cleanup_(log_page_done) LogPage page = {};
        char key[WAIT_KEY_MAX], *text = NULL;
        size_t size;
        int r;

        x->call = NULL;
        if (reply->r < 0) {
                exchange_reply_pg(x, reply);
                return;
        }
        r = log_render(reply->rows, format, &page);
        (void) snprintf(key, sizeof(key), "run %.36s", x->params[0]);
        if (r >= 0 && page.chunks == 0 && !page.complete && x->deadline_usec > 0) {
                exchange_wait(x, key);
                return;
        }
        size = page.text.size;
        if (r >= 0 && !page.complete)
                r = add_link(x, page.next ? page.next : "");
        if (r >= 0)
                r = buffer_take(&page.text, &text);
        if (r < 0) {
                exchange_reply_problem(x, 500, "bad-log",
                                       "A stored chunk of this log cannot be read.", NULL);
                return;
        }
        http_request_reply(x->request, 200, log_format_type(format), text, size);
}

static void logs_ask(Exchange *x) {
        const char *after = http_request_query(x->request, "after");

        exchange_query(x, x->route->statement,
                       (PgParam[]){ exchange_auth(x), text_param(x->params[0]),
                                    text_param(http_request_query(x->request, "task")),
                                    text_param(after && *after ? after : NULL),
                                    text_param(READ_BYTES) },
                       on_logs);
}

/* Where to go on is in what the statement answers. */
static void logs_nothing(Exchange *x) {
        x->deadline_usec = 0;
        logs_ask(x);
}

void route_run_logs(Exchange *x) {
        unsigned wait;
        char text[ID_TEXT_SIZE];
        Id id;

        if (id_parse(x->params[0], &id) < 0) {
                exchange_reply_problem(x, 404, "run-not-found", "A run's id is a UUID.",
                                       "See \"sluicectl runs\".");
                return;
        }
        if (exchange_query_number(x, "wait", 0, WAIT_MAX_SEC, &wait) < 0)
                return;
        (void) strcpy(x->params[0], id_to_text(id, text));
        if (wait > 0)
                x->deadline_usec = clock_usec(CLOCK_MONOTONIC) + wait * USEC_PER_SEC;
        x->again = logs_ask;
        x->nothing = logs_nothing;
        logs_ask(x);
}
