/* One statement of each worker, however many wait; only those that it names ask for themselves. */
#include "news.h"

#include <errno.h>
#include <stdlib.h>

#include "lazy-timer.h"
#include "log.h"

struct News {
        Pg *pg;       /* borrowed: the worker's, freed after this */
        PgCall *call; /* owned */
        LazyTimer timer;
        uint64_t interval_usec;
        void (*on_notify)(const char *payload, void *userdata);
        void *userdata; /* borrowed: owns us */
};

const Statement statement_news = { "news", "SELECT * FROM api.news()", 0 };

static void on_answer(const PgReply *reply, void *userdata) {
        News *n = userdata;

        n->call = NULL;
        if (reply->r < 0 && reply->r != -ENOTCONN)
                log_error(reply->r, "Cannot ask who has something to do");
        if (reply->r < 0)
                return;
        for (unsigned i = 0; i < pg_rows_count(reply->rows); i++)
                n->on_notify(pg_text(reply->rows, i, 0), n->userdata);
        n->on_notify("run", n->userdata);
}

static void on_due(void *userdata) {
        News *n = userdata;

        if (!n->call)
                (void) pg_call(n->pg, &statement_news, NULL, on_answer, n, &n->call);
        (void) lazy_timer_set(&n->timer, n->interval_usec);
}

int news_new(sd_event *event, Pg *pg, uint64_t interval_usec,
             void (*on_notify)(const char *payload, void *userdata), void *userdata, News **ret) {
        News *n = calloc(1, sizeof(*n));
        int r;

        if (!n)
                return -ENOMEM;
        n->pg = pg;
        n->interval_usec = interval_usec;
        n->on_notify = on_notify;
        n->userdata = userdata;
        r = lazy_timer_init(&n->timer, event, "news", on_due, n);
        if (r >= 0)
                r = lazy_timer_set(&n->timer, 0);
        if (r < 0) {
                (void) news_free(n);
                return r;
        }
        *ret = n;
        return 0;
}

News *news_free(News *n) {
        if (!n)
                return NULL;
        n->call = pg_call_free(n->call);
        lazy_timer_done(&n->timer);
        free(n);
        return NULL;
}
