/* run and cancel: what starts and ends runs, and the waiting for them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "id.h"
#include "log-reader.h"
#include "run-print.h"
#include "run-watch.h"
#include "str.h"
#include "table.h"
#include "timespan.h"
#include "verbs.h"

#define INTERRUPTED 130
#define LOG_GRACE_USEC (20 * USEC_PER_SEC) /* for lines on their way when the run is over */
#define IDEMPOTENCY_KEY_MAX 255

typedef struct Waiting {
        Context *x; /* borrowed: the caller's */
        /* owned */
        RunWatch *watch;
        LogReader *reader;
        sd_event_source *grace;
        Run run; /* the last state seen */
        char *json, *told;
        Error error;
        int r;
        unsigned pages; /* of the log, when the grace was last looked at */
        bool over, log_over, done;
} Waiting;

static void waiting_done(Waiting *w) {
        (void) run_watch_free(w->watch);
        (void) log_reader_free(w->reader);
        (void) sd_event_source_disable_unref(w->grace);
        json_done(run_fields, &w->run);
        free(w->json);
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
                        w->run.run);
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

/* Why a task waits, once for each reason. */
static void tell_why(Waiting *w, const Run *run) {
        const Task *tasks = run->tasks.items;

        for (size_t i = 0; i < run->tasks.count; i++) {
                const Attempt *a = task_last_attempt(&tasks[i]);

                if (!a || !a->why || str_eq(a->why, w->told))
                        continue;
                (void) complain(0, "Task %s waits: %s.", tasks[i].task, a->why);
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
        json_done(run_fields, &w->run);
        w->run = *run;
        *run = (Run){};
        free(w->json);
        w->json = TAKE_PTR(reply->body);
        w->over = run_is_over(&w->run);
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

/* Until the run that the reply shows is over, and its log shown. 0, or what was told. */
static int wait_for_run(Waiting *w, Reply *reply, bool follow) {
        _cleanup_(freep) char *id = NULL, *etag = NULL;
        Run run = {};
        int r = reply_decode(reply, run_fields, &run);
        bool several = run.tasks.count > 1;

        if (r < 0)
                return r;
        id = strdup(run.run);
        etag = run.etag ? strdup(run.etag) : NULL;
        on_run(0, &run, reply, NULL, w);
        r = id ? client_catch_interrupt(w->x->client) : -ENOMEM;
        if (r >= 0 && follow)
                r = follow_log(w, id, several);
        w->done = w->over && !w->reader;
        if (r >= 0 && !w->over)
                r = run_watch_new(w->x->client, id, etag, on_run, w, &w->watch);
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

static int print_end(const Waiting *w, bool followed) {
        const Run *run = &w->run;
        const char *outcome = run->outcome ? run->outcome : run->state;
        Colour colour = colour_of_state(outcome);
        int r;

        if (w->x->json) {
                (void) puts(w->json);
                return 0;
        }
        if (followed)
                (void) printf("\nRun %s of %s: ", run->run, run->pipe);
        else
                (void) printf("Outcome: ");
        (void) printf("%s%s%s\n\n", colour_begin(colour), outcome, colour_end(colour));
        r = run_print_tasks(run);
        return r < 0 ? complain(r, "Out of memory.") : 0;
}

static int exit_status_of(int r) {
        return r == -EINTR ? INTERRUPTED : r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* However often the request is sent, there is one run of this key. */
static int idempotency_header(const Context *x, char **ret) {
        const char *given = option_value(x, OPTION_IDEMPOTENCY_KEY);
        char key[ID_TEXT_SIZE];
        Id id;
        int r = given ? 0 : id_random(&id);

        if (r < 0)
                return complain(r, "No randomness for a key: %s.", strerror(-r));
        for (const char *p = given; p && *p; p++)
                if (*p <= ' ' || *p > '~')
                        given = "";
        if (given && (!*given || strlen(given) > IDEMPOTENCY_KEY_MAX))
                return complain(-EINVAL,
                                "--idempotency-key= wants 1 to %d characters of ASCII "
                                "without spaces.",
                                IDEMPOTENCY_KEY_MAX);
        *ret = str_format("Idempotency-Key: %s", given ? given : id_to_text(id, key));
        return *ret ? 0 : complain(-ENOMEM, "Out of memory.");
}

static int create_run(Context *x, Reply *reply) {
        _cleanup_(freep) char *path = path_format("/api/v1/projects/%s/runs", x->settings->project);
        _cleanup_(freep) char *json = NULL, *header = NULL;
        JsonOut o = {};
        int r = idempotency_header(x, &header);

        if (r < 0)
                return r;
        json_out_object(&o, NULL);
        json_out_text(&o, "pipe", x->words[0]);
        if (option_value(x, OPTION_PIPE_VERSION))
                json_out_text(&o, "version", option_value(x, OPTION_PIPE_VERSION));
        json_out_end_object(&o);
        if (json_out_take(&o, &json) < 0 || !path)
                return complain(-ENOMEM, "Out of memory.");
        r = client_request(x->client,
                           &(Request){ .method = "POST",
                                       .path = path,
                                       .content_type = "application/json",
                                       .body = json,
                                       .size = strlen(json),
                                       .header = header,
                                       .patience = PATIENCE_START,
                                       .repeatable = true },
                           reply);
        if (r == -EIO || r == -ETIMEDOUT)
                (void) complain(0,
                                "Whether a run was started is not known. Repeat it with "
                                "--idempotency-key=%s, and there will be one.",
                                strchr(header, ' ') + 1);
        return r;
}

static int print_started(const Context *x, const Reply *reply, bool wait) {
        Run run = {};
        int r;

        if (x->json)
                return wait ? 0 : print_json(reply);
        r = reply_decode(reply, run_fields, &run);
        if (r < 0)
                return r;
        if (wait)
                (void) printf("Run %s of %s, version %s\n", run.run, run.pipe, run.version);
        else
                (void) puts(run.run);
        (void) fflush(stdout);
        json_done(run_fields, &run);
        return 0;
}

int verb_run(Context *x) {
        bool follow = option_value(x, OPTION_FOLLOW);
        bool wait = follow || option_value(x, OPTION_WAIT);
        Waiting w = { .x = x };
        Reply reply = {};
        int r = create_run(x, &reply), status;

        if (r >= 0)
                r = print_started(x, &reply, wait);
        if (r >= 0 && wait)
                r = wait_for_run(&w, &reply, follow);
        if (r >= 0 && wait)
                r = print_end(&w, follow);
        status = r >= 0 && wait ? run_exit_status(&w.run) : exit_status_of(r);
        waiting_done(&w);
        reply_done(&reply);
        return status;
}

int verb_cancel(Context *x) {
        _cleanup_(freep) char *path = path_format("/api/v1/runs/%s/cancel", x->words[0]);
        bool wait = option_value(x, OPTION_WAIT);
        Waiting w = { .x = x };
        Reply reply = {};
        Run run = {};
        int r = path ? client_request(
                               x->client,
                               &(Request){ .method = "POST", .path = path, .repeatable = true },
                               &reply)
                     : complain(-ENOMEM, "Out of memory.");

        if (r >= 0 && wait)
                r = wait_for_run(&w, &reply, false);
        if (r >= 0 && wait)
                r = print_end(&w, false);
        else if (r >= 0 && x->json)
                r = print_json(&reply);
        else if (r >= 0 && (r = reply_decode(&reply, run_fields, &run)) >= 0)
                (void) printf("Run %s %s\n", run.run,
                              run_is_over(&run) ? "is over." : "is being cancelled.");
        json_done(run_fields, &run);
        waiting_done(&w);
        reply_done(&reply);
        return exit_status_of(r);
}
