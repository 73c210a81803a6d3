/* run, pipe try, rerun and cancel: what starts and ends runs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "id.h"
#include "run-print.h"
#include "run-wait.h"
#include "str.h"
#include "table.h"
#include "verbs.h"

#define INTERRUPTED 130
#define IDEMPOTENCY_KEY_MAX 255

static int print_end(const Context *x, const RunEnd *end, bool followed) {
        const Run *run = &end->run;
        const char *outcome = run->outcome ? run->outcome : run->state;
        Colour colour = colour_of_state(outcome);
        int r;

        if (x->json) {
                (void) puts(end->json);
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

int idempotency_header(const Context *x, char **ret) {
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

static int create_run(Context *x, const char *path, const char *json, Reply *reply) {
        _cleanup_(freep) char *header = NULL;
        int r = path ? idempotency_header(x, &header) : complain(-ENOMEM, "Out of memory.");

        if (r < 0)
                return r;
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

/* Posts body, and waits for the run that comes of it if that is wanted. */
static int start_run(Context *x, const char *path, JsonOut *body) {
        bool follow = option_value(x, OPTION_FOLLOW);
        bool wait = follow || option_value(x, OPTION_WAIT);
        _cleanup_(freep) char *json = NULL;
        RunEnd end = {};
        Reply reply = {};
        int r = json_out_take(body, &json), status;

        r = r < 0 ? complain(r, "Out of memory.") : create_run(x, path, json, &reply);
        if (r >= 0)
                r = print_started(x, &reply, wait);
        if (r >= 0 && wait)
                r = run_wait(x, &reply, follow, &end);
        if (r >= 0 && wait)
                r = print_end(x, &end, follow);
        status = r >= 0 && wait ? run_exit_status(&end.run) : exit_status_of(r);
        run_end_done(&end);
        reply_done(&reply);
        return status;
}

int verb_run(Context *x) {
        _cleanup_(freep) char *path = path_format("/api/v1/projects/%s/runs", x->settings->project);
        JsonOut o = {};

        json_out_object(&o, NULL);
        json_out_text(&o, "pipe", x->words[0]);
        if (option_value(x, OPTION_PIPE_VERSION))
                json_out_text(&o, "version", option_value(x, OPTION_PIPE_VERSION));
        if (parameters_to_json(&o, "parameters", x->arguments->params, false) < 0) {
                json_out_done(&o);
                return EXIT_FAILURE;
        }
        json_out_end_object(&o);
        return start_run(x, path, &o);
}

/* A draft, on one agent. */
int verb_pipe_try(Context *x) {
        _cleanup_(freep) char *path =
                path_format("/api/v1/projects/%s/trials", x->settings->project);
        _cleanup_(pipe_file_done) PipeFile file = {};
        const char *on = option_value(x, OPTION_ON), *instance = on ? strchr(on, '/') : NULL;
        JsonOut o = {};

        if (!on || !*on || on == instance)
                return complain(EXIT_FAILURE, "On which agent? Say --on=AGENT, or --on=AGENT/HOST "
                                              "of one that has several instances.");
        if (pipe_file_read(x->words[0], &file) < 0)
                return EXIT_FAILURE;
        json_out_object(&o, NULL);
        json_out_text(&o, "pipe", file.name);
        json_out_text_n(&o, "text", file.text, file.size);
        json_out_text_n(&o, "agent", on, strcspn(on, "/"));
        if (instance)
                json_out_text(&o, "instance", instance + 1);
        if (parameters_to_json(&o, "parameters", x->arguments->params, false) < 0) {
                json_out_done(&o);
                return EXIT_FAILURE;
        }
        json_out_end_object(&o);
        return start_run(x, path, &o);
}

/* "a,b" */
static void add_names(JsonOut *o, const char *member, const char *names) {
        if (!names)
                return;
        json_out_array(o, member);
        while (*names) {
                size_t n = strcspn(names, ", ");

                if (n > 0)
                        json_out_text_n(o, NULL, names, n);
                names += n;
                names += strspn(names, ", ");
        }
        json_out_end_array(o);
}

int verb_rerun(Context *x) {
        _cleanup_(freep) char *path = path_format("/api/v1/runs/%s/rerun", x->words[0]);
        JsonOut o = {};

        json_out_object(&o, NULL);
        if (option_value(x, OPTION_PIPE_VERSION))
                json_out_text(&o, "version", option_value(x, OPTION_PIPE_VERSION));
        if (option_value(x, OPTION_ALL))
                json_out_bool(&o, "all", true);
        add_names(&o, "from", option_value(x, OPTION_FROM));
        add_names(&o, "skip", option_value(x, OPTION_SKIP));
        json_out_end_object(&o);
        return start_run(x, path, &o);
}

int verb_cancel(Context *x) {
        _cleanup_(freep) char *path = path_format("/api/v1/runs/%s/cancel", x->words[0]);
        bool wait = option_value(x, OPTION_WAIT);
        RunEnd end = {};
        Reply reply = {};
        Run run = {};
        int r = path ? client_request(
                               x->client,
                               &(Request){ .method = "POST", .path = path, .repeatable = true },
                               &reply)
                     : complain(-ENOMEM, "Out of memory.");

        if (r >= 0 && wait)
                r = run_wait(x, &reply, false, &end);
        if (r >= 0 && wait)
                r = print_end(x, &end, false);
        else if (r >= 0 && x->json)
                r = print_json(&reply);
        else if (r >= 0 && (r = reply_decode(&reply, run_fields, &run)) >= 0)
                (void) printf("Run %s %s\n", run.run,
                              run_is_over(&run) ? "is over." : "is being cancelled.");
        json_done(run_fields, &run);
        run_end_done(&end);
        reply_done(&reply);
        return exit_status_of(r);
}
