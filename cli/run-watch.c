/* One request after the other, each asking for what is not known yet. */
#include "run-watch.h"

#include <errno.h>
#include <stdlib.h>

#include "long-poll.h"
#include "str.h"
#include "verbs.h"

struct RunWatch {
        Client *client; /* borrowed: freed after us */
        /* owned */
        char *path, *etag;
        Call *call;
        uint64_t sent_msec;
        RunChanged changed;
        void *userdata; /* borrowed: holds us */
};

static void on_reply(int r, Reply *reply, const Error *e, void *userdata);

static int ask(RunWatch *w, unsigned delay_msec) {
        _cleanup_(freep) char *header = w->etag ? str_format("If-None-Match: %s", w->etag) : NULL;

        w->call = call_free(w->call);
        w->sent_msec = poll_now_msec() + delay_msec;
        return call_new(w->client,
                        &(Request){ .method = "GET",
                                    .path = w->path,
                                    .header = header,
                                    .timeout_sec = POLL_TIMEOUT_SEC,
                                    .delay_msec = delay_msec,
                                    .patience = PATIENCE_LONG },
                        on_reply, w, &w->call);
}

static void on_reply(int r, Reply *reply, const Error *e, void *userdata) {
        RunWatch *w = userdata;
        Error bad = {};
        Run run = {};
        bool over = false, news = r >= 0 && reply->status != 304;

        if (news) {
                r = shape_decode(reply, run_fields, &run, &bad);
                e = &bad;
                over = r >= 0 && run_is_over(&run);
                news = r >= 0 && (!w->etag || !str_eq(w->etag, reply->etag));
        }
        if (r >= 0 && reply->etag)
                r = str_replace(&w->etag, reply->etag);
        if (r < 0 || over || news)
                w->changed(r, &run, reply, e, w->userdata);
        json_done(run_fields, &run);
        if (r < 0 || over)
                return;
        r = ask(w, news && reply->etag ? 0 : poll_delay_msec(w->sent_msec));
        if (r < 0)
                w->changed(r, &run, reply, NULL, w->userdata);
}

int run_watch_new(Client *c, const char *run, const char *etag, RunChanged changed, void *userdata,
                  RunWatch **ret) {
        _cleanup_(run_watch_freep) RunWatch *w = calloc(1, sizeof(*w));
        int r;

        if (!w)
                return -ENOMEM;
        w->client = c;
        w->changed = changed;
        w->userdata = userdata;
        w->path = path_format("/api/v1/runs/%s?" POLL_WAIT, run);
        w->etag = etag ? str_format("\"%s\"", etag) : NULL;
        r = w->path ? ask(w, 0) : -ENOMEM;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}

RunWatch *run_watch_free(RunWatch *w) {
        if (!w)
                return NULL;
        (void) call_free(w->call);
        free(w->path);
        free(w->etag);
        free(w);
        return NULL;
}
