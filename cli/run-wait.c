/* A watch on the run and a reader of its log, side by side, and when enough has been waited. */
#include "run-wait.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log-reader.h"
#include "run-print.h"
#include "run-watch.h"
#include "state.h"
#include "str.h"
#include "timespan.h"

#define LOG_GRACE_USEC (20 * USEC_PER_SEC) /* for lines on their way when the run is over */

typedef struct Waiting {
        Context *x; /* borrowed: the caller's */
        /* owned */
        RunWatch *watch;
        LogReader *reader;
        sd_event_source *grace;
        RunEnd end; /* as far as it is known: the last state seen */
        char *told;
        Error error;
        int r;
        unsigned pages; /* of the log, when the grace was last looked at */
        bool over, log_over, done;
} Waiting;

void run_end_done(RunEnd *end) {
        json_done(run_fields, &end->run);
        free(end->json);
        *end = (RunEnd){};
}

static void waiting_done(Waiting *w) {
        (void) run_watch_free(w->watch);
        (void) log_reader_free(w->reader);
        (void) sd_event_source_disable_unref(w->grace);
        run_end_done(&w->end);
        free(w->told);
}

static void fail(Waiting *w, int r, const Error *e) {
        w->r = r;
        if (e)
                w->error = *e;
        w->done = true;
}

/* The log of a host that is gone may never be complete. */
static int on_grace(sd_event_source *source, uint64_t usec, void *userdata) {
        Waiting *w = userdata;
        unsigned pages = log_reader_pages(w->reader);

        (void) usec;
        if (pages != w->pages) {
                w->pages = pages;
                (void) sd_event_source_set_time_relative(source, LOG_GRACE_USEC);
                return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        }
        (void) complain(0,
                        "The run is over, but its log is not complete; what is missing may come "
                        "later: sluicectl logs %s",
                        w->end.run.run);
        w->done = true;
        return 0;
}

static void look_whether_done(Waiting *w) {
        int r;

        if (!w->over)
                return;
        w->done = !w->reader || w->log_over;
        if (w->done || w->grace)
                return;
        w->pages = log_reader_pages(w->reader);
        r = sd_event_add_time_relative(client_event(w->x->client), &w->grace, CLOCK_MONOTONIC,
                                       LOG_GRACE_USEC, 0, on_grace, w);
        if (r < 0)
                fail(w, r, NULL);
}

/* Why a run does not begin, once for each reason. */
static void tell_why(Waiting *w, const Run *run) {
        const Task *tasks = run->tasks.items;

        for (size_t i = 0;
             state_from_string(KIND_RUN, run->state) == STATE_RUN_QUEUED && i < run->tasks.count;
             i++) {
                const Attempt *a = task_last_attempt(&tasks[i]);
                _cleanup_(freep) char *words = a && a->why ? attempt_explain(a) : NULL;

                if (!words || str_eq(a->why, w->told))
                        continue;
                (void) complain(0, "Task %s %s.", tasks[i].task, words);
                (void) str_replace(&w->told, a->why);
                return;
        }
}

static void on_run(int r, Run *run, Reply *reply, const Error *e, void *userdata) {
        Waiting *w = userdata;

        if (r < 0) {
                fail(w, r, e);
                return;
        }
        tell_why(w, run);
        run_end_done(&w->end);
        w->end = (RunEnd){ .run = *run, .json = TAKE_PTR(reply->body) };
        *run = (Run){};
        w->over = run_is_over(&w->end.run);
        look_whether_done(w);
}

static void on_log(int r, const Error *e, void *userdata) {
        Waiting *w = userdata;

        w->log_over = true;
        if (r < 0)
                fail(w, r, e);
        else
                look_whether_done(w);
}

/* With --output=json standard output is for the document. */
static int follow_log(Waiting *w, const char *run, bool several) {
        _cleanup_(freep) char *path = log_path(w->x, run);
        LogView view = { .format = LOG_FORMAT_CAT,
                         .to = w->x->json ? stderr : stdout,
                         .terminal = isatty(w->x->json ? STDERR_FILENO : STDOUT_FILENO),
                         .prefix = several };

        return path ? log_reader_new(w->x->client, path, &view, true, PATIENCE_LONG, on_log, w,
                                     &w->reader)
                    : -ENOMEM;
}

static int wait_for_end(Waiting *w, Reply *reply, bool follow) {
        _cleanup_(freep) char *id = NULL;
        Run run = {};
        int r = reply_decode(reply, run_fields, &run);
        bool several = run.tasks.count > 1;

        if (r < 0)
                return r;
        id = strdup(run.run);
        on_run(0, &run, reply, NULL, w);
        r = id ? client_catch_interrupt(w->x->client) : -ENOMEM;
        if (r >= 0 && follow)
                r = follow_log(w, id, several);
        w->done = w->over && !w->reader;
        /* Why it waits is not in the answer to what made it; where nothing waits there is only news to ask for. */
        if (r >= 0 && !w->over)
                r = run_watch_new(w->x->client, id, run_waits(&w->end.run) ? NULL : w->end.run.etag,
                                  on_run, w, &w->watch);
        if (r < 0)
                return complain(r, "Cannot wait for the run: %s.", strerror(-r));
        r = client_run(w->x->client, &w->done);
        if (r == -EINTR)
                return complain(r,
                                "The run goes on. \"sluicectl logs -f %s\" follows it, "
                                "\"sluicectl cancel %s\" stops it.",
                                id, id);
        if (r >= 0 && w->r == -EPIPE)
                return w->r;
        if (r >= 0 && w->r < 0)
                return complain(w->r, "%s", error_text(&w->error, w->r));
        return r;
}

int run_wait(Context *x, Reply *reply, bool follow, RunEnd *ret) {
        Waiting w = { .x = x };
        int r = wait_for_end(&w, reply, follow);

        if (r >= 0) {
                *ret = w.end;
                w.end = (RunEnd){};
        }
        waiting_done(&w);
        return r;
}
