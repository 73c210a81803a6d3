/* One page after the other. A page is printed when it is there as a whole, so one that broke on the way is asked for again. */
#include "log-reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "long-poll.h"
#include "str.h"

struct LogReader {
        Client *client; /* borrowed: freed after us */
        /* owned */
        char *path;
        Call *call;
        LogView view;
        bool follow;
        Patience patience;
        unsigned pages;
        uint64_t sent_msec;
        LogDone done;
        void *userdata; /* borrowed: holds us */
};

static void on_page(int r, Reply *reply, const Error *e, void *userdata);

static int ask(LogReader *l, unsigned delay_msec) {
        _cleanup_(freep) char *path =
                str_format("%s%c%s", l->path, strchr(l->path, '?') ? '&' : '?',
                           l->follow ? POLL_WAIT : "wait=0");

        l->call = call_free(l->call);
        l->sent_msec = poll_now_msec() + delay_msec;
        if (!path)
                return -ENOMEM;
        return call_new(l->client,
                        &(Request){ .method = "GET",
                                    .path = path,
                                    .header = log_format_accept(l->view.format),
                                    .timeout_sec = POLL_TIMEOUT_SEC,
                                    .delay_msec = delay_msec,
                                    .patience = l->patience },
                        on_page, l, &l->call);
}

/* 1 when there is a page to ask for. */
static int take_page(LogReader *l, const Reply *reply, Error *e) {
        int r = log_print(&l->view, reply->body, reply->size);

        if (r == -EBADMSG)
                return error_set(e, r, "bad-log", "The log that came is damaged.");
        if (r < 0)
                return error_set(e, r, "write", "Cannot write the output: %s.", strerror(-r));
        l->pages += reply->size > 0;
        if (!reply->link_next || (!l->follow && reply->size == 0))
                return 0;
        if (*reply->link_next != '/' || reply->link_next[1] == '/')
                return error_set(e, -EBADMSG, "bad-link",
                                 "The link to the next page of the log leads elsewhere.");
        r = str_replace(&l->path, reply->link_next);
        return r < 0 ? r : 1;
}

static void on_page(int r, Reply *reply, const Error *e, void *userdata) {
        LogReader *l = userdata;
        Error bad = {};

        if (r >= 0) {
                r = take_page(l, reply, &bad);
                e = &bad;
        }
        if (r > 0) {
                if (l->follow)
                        l->patience = PATIENCE_LONG;
                r = ask(l, reply->size > 0 ? 0 : poll_delay_msec(l->sent_msec));
                if (r >= 0)
                        return;
        }
        l->done(r, e, l->userdata);
}

int log_reader_new(Client *c, const char *path, const LogView *view, bool follow, Patience patience,
                   LogDone done, void *userdata, LogReader **ret) {
        _cleanup_(log_reader_freep) LogReader *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        l->client = c;
        l->view = *view;
        l->follow = follow;
        l->patience = patience;
        l->done = done;
        l->userdata = userdata;
        l->path = strdup(path);
        r = l->path ? ask(l, 0) : -ENOMEM;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

LogReader *log_reader_free(LogReader *l) {
        if (!l)
                return NULL;
        (void) call_free(l->call);
        free(l->path);
        free(l);
        return NULL;
}

unsigned log_reader_pages(const LogReader *l) {
        return l->pages;
}
