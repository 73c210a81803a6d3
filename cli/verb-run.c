/* run, runs, run show, cancel. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "id.h"
#include "parse.h"
#include "str.h"
#include "table.h"
#include "verbs.h"

#define LIMIT_DEFAULT 20U
#define WAIT_SEC "50"
#define WAIT_TIMEOUT_SEC 75U
#define INTERRUPTED 130

static void add_memory(Table *t, const Attempt *a) {
        char peak[FORMAT_MAX], max[FORMAT_MAX];

        if (!a || a->memory_peak_bytes == 0)
                table_add(t, NULL);
        else if (a->memory_max_bytes == 0)
                table_addf(t, "%s", format_bytes(a->memory_peak_bytes, peak));
        else
                table_addf(t, "%s / %s", format_bytes(a->memory_peak_bytes, peak),
                           format_bytes(a->memory_max_bytes, max));
}

static void add_exit(Table *t, const Attempt *a) {
        if (a && str_eq(a->exit_code, "exited"))
                table_addf(t, "%u", a->exit_status);
        else if (a && a->exit_code)
                table_addf(t, "%s", strsignal((int) a->exit_status));
        else
                table_add(t, NULL);
}

static void add_task(Table *t, const Task *task, const Attempt *a) {
        const char *outcome =
                a && a->outcome ? a->outcome : (a && a->state ? a->state : task->state);
        char cpu[FORMAT_MAX], runtime[FORMAT_MAX];

        table_add(t, task->task);
        table_add_colour(t, outcome, colour_of_state(outcome));
        add_exit(t, a);
        table_add(t,
                  a && a->ended_at && a->started_at ? format_span(a->cpu_usage_usec, cpu) : NULL);
        add_memory(t, a);
        table_add(t, a && a->runtime_usec > 0 ? format_span(a->runtime_usec, runtime) : NULL);
        table_add(t, a ? a->agent : NULL);
}

int run_print_tasks(const Run *run) {
        static const char *const header[] = {
                "TASK", "OUTCOME", "EXIT", "CPU", "MEMORY PEAK / MAX", "DURATION", "AGENT", NULL
        };
        _cleanup_(table_freep) Table *table = NULL;
        const Task *tasks = run->tasks.items;

        if (table_new(header, &table) < 0)
                return complain(-ENOMEM, "Out of memory.");
        for (size_t i = 0; i < run->tasks.count; i++) {
                const Attempt *attempts = tasks[i].attempts.items;

                if (tasks[i].attempts.count == 0)
                        add_task(table, &tasks[i], NULL);
                for (size_t k = 0; k < tasks[i].attempts.count; k++)
                        add_task(table, &tasks[i], &attempts[k]);
        }
        if (table_print(table, NULL) < 0)
                return complain(-ENOMEM, "Out of memory.");
        for (size_t i = 0; i < run->tasks.count; i++) {
                const Attempt *a = task_last_attempt(&tasks[i]);
                const char *words = a ? (a->reason ? a->reason : a->why) : NULL;
                _cleanup_(freep) char *safe = words ? text_escape(words, strlen(words)) : NULL;

                if (safe)
                        (void) printf("%s: %s\n", tasks[i].task, safe);
        }
        return 0;
}

static int get_run(Context *x, const char *path, const char *etag, Reply *reply) {
        _cleanup_(freep) char *header = etag ? str_format("If-None-Match: %s", etag) : NULL;

        return client_request(x->client,
                              &(Request){ .method = "GET",
                                          .path = path,
                                          .header = header,
                                          .timeout_sec = WAIT_TIMEOUT_SEC },
                              reply);
}

/* Until the run is over; print: the last answer goes to stdout as JSON. */
static int wait_for_run(Context *x, const char *id, Run *ret) {
        _cleanup_(freep) char *path = path_format("/api/v1/runs/%s?wait=" WAIT_SEC, id);
        _cleanup_(freep) char *etag = NULL;
        int r;

        if (!path)
                return -ENOMEM;
        for (;;) {
                Reply reply = {};
                Run run = {};

                r = get_run(x, path, etag, &reply);
                if (r >= 0 && reply.status == 304) {
                        reply_done(&reply);
                        continue;
                }
                if (r >= 0)
                        r = reply_decode(&reply, run_fields, &run);
                if (r >= 0)
                        r = str_replace(&etag, reply.etag);
                if (r >= 0 && run_is_over(&run)) {
                        if (x->json)
                                (void) print_json(&reply);
                        *ret = run;
                        reply_done(&reply);
                        return 0;
                }
                json_done(run_fields, &run);
                reply_done(&reply);
                if (r < 0)
                        return r;
        }
}

int run_get(Context *x, const char *id, Run *ret) {
        _cleanup_(freep) char *path = path_format("/api/v1/runs/%s", id);
        Reply reply = {};
        Run run = {};
        int r = path ? client_get(x->client, path, &reply) : -ENOMEM;

        if (r >= 0)
                r = reply_decode(&reply, run_fields, &run);
        reply_done(&reply);
        if (r < 0) {
                json_done(run_fields, &run);
                return r;
        }
        *ret = run;
        return 0;
}

static int create_run(Context *x, Reply *reply) {
        _cleanup_(freep) char *path = path_format("/api/v1/projects/%s/runs", x->settings->project);
        _cleanup_(freep) char *json = NULL, *header = NULL;
        char key[ID_TEXT_SIZE];
        JsonOut o = {};
        Id id;
        int r = id_random(&id);

        json_out_object(&o, NULL);
        json_out_text(&o, "pipe", x->words[0]);
        if (option_value(x, OPTION_PIPE_VERSION))
                json_out_text(&o, "version", option_value(x, OPTION_PIPE_VERSION));
        json_out_end_object(&o);
        if (r >= 0)
                r = json_out_take(&o, &json);
        if (r < 0 || !path)
                return complain(-ENOMEM, "Out of memory.");
        /* However often the request is sent, there is one run. */
        header = str_format("Idempotency-Key: %s", id_to_text(id, key));
        return client_request(x->client,
                              &(Request){ .method = "POST",
                                          .path = path,
                                          .content_type = "application/json",
                                          .body = json,
                                          .size = strlen(json),
                                          .header = header },
                              reply);
}

static int say_interrupted(const Run *run) {
        return complain(INTERRUPTED,
                        "The run goes on. \"sluicectl logs -f %s\" follows it, \"sluicectl cancel "
                        "%s\" stops it.",
                        run->run, run->run);
}

static int wait_and_print(Context *x, const Run *started) {
        bool follow = option_value(x, OPTION_FOLLOW);
        Run run = {};
        int r = 0;

        client_be_patient(x->client);
        if (follow && !x->json)
                r = logs_show(x, started->run, true, "cat", started->tasks.count > 1);
        if (r >= 0)
                r = wait_for_run(x, started->run, &run);
        if (r == -EINTR)
                return say_interrupted(started);
        if (r < 0)
                return EXIT_FAILURE;
        if (!x->json) {
                (void) printf("%sRun %s: %s%s%s\n", follow ? "\n" : "", run.run,
                              colour_begin(colour_of_state(run.outcome)), run.outcome,
                              colour_end(colour_of_state(run.outcome)));
                r = run_print_tasks(&run);
        }
        r = r < 0 ? EXIT_FAILURE : (option_value(x, OPTION_WAIT) ? run_exit_status(&run) : 0);
        json_done(run_fields, &run);
        return r;
}

int verb_run(Context *x) {
        bool wait = option_value(x, OPTION_WAIT) || option_value(x, OPTION_FOLLOW);
        Reply reply = {};
        Run run = {};
        int r = create_run(x, &reply);

        if (r >= 0)
                r = reply_decode(&reply, run_fields, &run);
        if (r >= 0 && !wait && x->json)
                (void) print_json(&reply);
        else if (r >= 0 && !x->json)
                (void) printf("Run %s of %s, version %s.\n", run.run, run.pipe, run.version);
        (void) fflush(stdout);
        if (r >= 0 && wait)
                r = wait_and_print(x, &run);
        else
                r = r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        json_done(run_fields, &run);
        reply_done(&reply);
        return r;
}

static void add_run(const void *item, void *userdata) {
        const Run *run = item;
        uint64_t from = time_parse(run->started_at), to = time_parse(run->ended_at);
        const char *outcome = run->outcome ? run->outcome : run->state;
        char age[FORMAT_MAX], span[FORMAT_MAX];

        table_add(userdata, run->run);
        table_add(userdata, run->pipe);
        table_add_colour(userdata, outcome, colour_of_state(outcome));
        table_add(userdata, format_age(run->created_at, age));
        table_add(userdata, from && to >= from ? format_span(to - from, span) : NULL);
        table_add(userdata, run->created_by);
}

int verb_runs(Context *x) {
        static const char *const header[] = { "RUN",      "PIPE", "OUTCOME", "CREATED",
                                              "DURATION", "BY",   NULL };
        _cleanup_(table_freep) Table *table = NULL;
        const char *text = option_value(x, OPTION_LIMIT);
        uint64_t limit = LIMIT_DEFAULT;
        char *path;
        int status;

        if (text && parse_u64_range(text, 1, 100000, &limit) < 0)
                return complain(EXIT_FAILURE, "--limit=%s is no number from 1 to 100000.", text);
        path = path_format("/api/v1/projects/%s/runs", x->settings->project);
        if (!path || table_new(header, &table) < 0 ||
            path_add_option(&path, x, OPTION_PIPE, "pipe") < 0 ||
            path_add_option(&path, x, OPTION_STATE, "state") < 0) {
                free(path);
                return complain(EXIT_FAILURE, "Out of memory.");
        }
        if (limit <= 1000) {
                char *limited = str_format("%s%climit=%u", path, strchr(path, '?') ? '&' : '?',
                                           (unsigned) limit);

                free(path);
                path = limited;
        }
        status = path ? list_all(x, path, run_page_fields, sizeof(Run), limit, add_run, table)
                      : EXIT_FAILURE;
        free(path);
        if (status == EXIT_SUCCESS && !x->json)
                (void) table_print(table, "runs");
        return status;
}

static void print_run(const Run *run) {
        const char *outcome = run->outcome ? run->outcome : run->state;
        Colour colour = colour_of_state(outcome);
        char text[FORMAT_MAX], age[FORMAT_MAX];

        (void) printf("      Run: %s\n", run->run);
        (void) printf("     Pipe: %s, version %s, project %s\n", run->pipe, run->version,
                      run->project);
        (void) printf("  Outcome: %s%s%s%s%s\n", colour_begin(colour), outcome, colour_end(colour),
                      run->reason ? ", " : "", run->reason ? run->reason : "");
        (void) printf("  Created: %s; %s, by %s\n", format_time(run->created_at, text),
                      format_age(run->created_at, age), run->created_by);
        if (run->started_at)
                (void) printf("  Started: %s\n", format_time(run->started_at, text));
        if (run->ended_at)
                (void) printf("    Ended: %s\n", format_time(run->ended_at, text));
        if (run->ended_at)
                (void) printf("      Log: %s\n",
                              run->log_complete ? "complete" : "still being shipped");
        (void) putchar('\n');
}

int verb_run_show(Context *x) {
        _cleanup_(freep) char *path = path_format("/api/v1/runs/%s", x->words[0]);
        Reply reply = {};
        Run run = {};
        int r = path ? client_get(x->client, path, &reply) : -ENOMEM;

        if (r >= 0)
                r = reply_decode(&reply, run_fields, &run);
        if (r >= 0 && x->json) {
                (void) print_json(&reply);
        } else if (r >= 0) {
                print_run(&run);
                r = run_print_tasks(&run);
        }
        json_done(run_fields, &run);
        reply_done(&reply);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int verb_cancel(Context *x) {
        _cleanup_(freep) char *path = path_format("/api/v1/runs/%s/cancel", x->words[0]);
        Reply reply = {};
        Run run = {};
        int r = path ? client_request(x->client, &(Request){ .method = "POST", .path = path },
                                      &reply)
                     : -ENOMEM;

        if (r >= 0 && option_value(x, OPTION_WAIT)) {
                client_be_patient(x->client);
                r = wait_for_run(x, x->words[0], &run);
        } else if (r >= 0 && x->json) {
                (void) print_json(&reply);
        }
        if (r >= 0 && !x->json)
                (void) printf("Run %s %s.\n", x->words[0],
                              run.outcome ? "is over" : "is being cancelled");
        json_done(run_fields, &run);
        reply_done(&reply);
        return r == -EINTR ? INTERRUPTED : (r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
