/* schedule backfill, and backfill list, show, cancel: the runs of past due times. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "parse.h"
#include "schedule-shapes.h"
#include "str.h"
#include "table.h"
#include "verbs.h"

#define ASK_MSEC 200
#define ASKS_MAX 150 /* half a minute; a worker that dies costs ten seconds */

static void print_backfill(const Backfill *b) {
        char from[FORMAT_MAX], to[FORMAT_MAX];

        (void) printf(" Backfill: %s of schedule %s of pipe %s, by %s\n", b->backfill, b->schedule,
                      b->pipe, b->created_by ? b->created_by : "-");
        (void) printf("    Range: %s to %s, %u at a time\n", format_time(b->from, from),
                      format_time(b->to, to), b->concurrency);
        (void) printf("    State: %s%s%s\n", b->state, b->reason ? ": " : "",
                      b->reason ? b->reason : "");
        (void) printf("Due times: %u: %u succeeded, %u failed, %u running, %u waiting, %u passed "
                      "over\n",
                      b->total, b->succeeded, b->failed, b->running, b->waiting, b->passed_over);
}

static int print_dues(const Backfill *b) {
        static const char *const header[] = { "DUE", "OUTCOME", "RUN", "REASON", NULL };
        _cleanup_(table_freep) Table *table = NULL;
        const BackfillDue *d = b->dues.items;
        char text[FORMAT_MAX];

        if (table_new(header, &table) < 0)
                return complain(-ENOMEM, "Out of memory.");
        for (size_t i = 0; i < b->dues.count; i++) {
                table_add(table, format_time(d[i].due_at, text));
                if (d[i].run_state)
                        table_add_colour(table, d[i].run_state, colour_of_state(d[i].run_state));
                else
                        table_add(table, d[i].passed_over ? "passed over"
                                         : d[i].run       ? "gone"
                                                          : "waiting");
                table_add(table, d[i].run);
                table_add(table, d[i].passed_over);
        }
        (void) putchar('\n');
        return table_print(table, "due times");
}

/* What a request answers about one. */
static int show(const Context *x, const Reply *reply, bool dues, bool *ret_refused) {
        Backfill b = {};
        int r = reply_decode(reply, backfill_fields, &b);

        *ret_refused = r >= 0 && str_eq(b.state, "refused");
        if (r >= 0 && x->json)
                r = print_json(reply);
        if (r >= 0 && !x->json)
                print_backfill(&b);
        if (r >= 0 && !x->json && dues)
                r = print_dues(&b);
        json_done(backfill_fields, &b);
        return r;
}

static char *backfill_path(const char *id, const char *suffix) {
        _cleanup_(freep) char *path = path_format("/api/v1/backfills/%s", id);

        return path ? str_format("%s%s", path, suffix) : NULL;
}

/* Asks again until a worker has worked out what is due; *reply is the last answer. */
static int wait_for_plan(Context *x, Reply *reply) {
        for (unsigned i = 0; i < ASKS_MAX; i++) {
                _cleanup_(freep) char *path = NULL;
                Backfill b = {};
                Reply next = {};
                bool planned;
                int r = reply_decode(reply, backfill_fields, &b);

                planned = r < 0 || !str_eq(b.state, "planning");
                path = planned ? NULL : backfill_path(b.backfill, "");
                json_done(backfill_fields, &b);
                if (planned)
                        return r;
                r = path ? client_request(x->client,
                                          &(Request){ .method = "GET",
                                                      .path = path,
                                                      .delay_msec = ASK_MSEC },
                                          &next)
                         : complain(-ENOMEM, "Out of memory.");
                if (r < 0) {
                        reply_done(&next);
                        return r;
                }
                reply_done(reply);
                *reply = next;
        }
        return 0; /* it says itself what state it is in */
}

static int request_body(const Context *x, char **ret) {
        const char *text = option_value(x, OPTION_CONCURRENCY);
        uint64_t concurrency = 0;
        JsonOut o = {};
        int r;

        if (!option_value(x, OPTION_FROM))
                return complain(-EINVAL, "From when on? --from=2024-03-01, for example.");
        if (text && parse_u64_range(text, 1, 100, &concurrency) < 0)
                return complain(-EINVAL, "--concurrency=%s is no number from 1 to 100.", text);
        json_out_object(&o, NULL);
        json_out_text(&o, "from", option_value(x, OPTION_FROM));
        if (option_value(x, OPTION_TO))
                json_out_text(&o, "to", option_value(x, OPTION_TO));
        if (text)
                json_out_u64(&o, "concurrency", concurrency);
        if (option_value(x, OPTION_AGAIN))
                json_out_bool(&o, "again", true);
        if (option_value(x, OPTION_DRY_RUN))
                json_out_bool(&o, "dry_run", true);
        r = parameters_to_json(&o, "parameters", x->arguments->params, false);
        json_out_end_object(&o);
        if (r < 0) {
                json_out_done(&o);
                return r;
        }
        r = json_out_take(&o, ret);
        return r < 0 ? complain(r, "Out of memory.") : 0;
}

int verb_schedule_backfill(Context *x) {
        _cleanup_(freep) char *name = NULL, *path = NULL, *json = NULL, *header = NULL;
        Reply reply = {};
        bool refused = false;
        int r = request_body(x, &json);

        if (r >= 0)
                r = idempotency_header(x, &header);
        if (r >= 0)
                r = schedule_find_name(x, &name);
        if (r < 0)
                return EXIT_FAILURE;
        path = path_format("/api/v1/projects/%s/pipes/%s/schedules/%s/backfills",
                           x->settings->project, x->words[0], name);
        r = path ? client_request(x->client,
                                  &(Request){ .method = "POST",
                                              .path = path,
                                              .content_type = "application/json",
                                              .body = json,
                                              .size = strlen(json),
                                              .header = header,
                                              .repeatable = true },
                                  &reply)
                 : complain(-ENOMEM, "Out of memory.");
        if (r >= 0)
                r = wait_for_plan(x, &reply);
        if (r >= 0)
                r = show(x, &reply, option_value(x, OPTION_DRY_RUN), &refused);
        reply_done(&reply);
        return r < 0 || refused ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void add_backfill(const void *item, void *userdata) {
        const Backfill *b = item;
        char text[FORMAT_MAX];

        table_add(userdata, b->backfill);
        table_add(userdata, format_time(b->from, text));
        table_add(userdata, format_time(b->to, text));
        table_add(userdata, b->state);
        table_addf(userdata, "%u of %u", b->total - b->waiting - b->running, b->total);
        table_addf(userdata, "%u", b->failed);
        table_add(userdata, format_age(b->created_at, text));
        table_add(userdata, b->created_by);
}

int verb_backfill_list(Context *x) {
        static const char *const header[] = { "BACKFILL", "FROM",    "TO", "STATE", "DONE",
                                              "FAILED",   "CREATED", "BY", NULL };
        _cleanup_(table_freep) Table *table = NULL;
        _cleanup_(freep) char *name = NULL, *path = NULL;
        int status;

        if (schedule_find_name(x, &name) < 0)
                return EXIT_FAILURE;
        path = path_format("/api/v1/projects/%s/pipes/%s/schedules/%s/backfills",
                           x->settings->project, x->words[0], name);
        if (!path || table_new(header, &table) < 0)
                return complain(EXIT_FAILURE, "Out of memory.");
        status = list_all(x, path, backfill_page_fields, sizeof(Backfill), 0, add_backfill, table);
        if (status == EXIT_SUCCESS && !x->json)
                (void) table_print(table, "backfills");
        return status;
}

static int ask(Context *x, const char *method, const char *suffix, bool dues) {
        _cleanup_(freep) char *path = backfill_path(x->words[0], suffix);
        bool refused;
        Reply reply = {};
        int r = path ? client_request(
                               x->client,
                               &(Request){ .method = method, .path = path, .repeatable = true },
                               &reply)
                     : complain(-ENOMEM, "Out of memory.");

        if (r >= 0)
                r = show(x, &reply, dues, &refused);
        reply_done(&reply);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int verb_backfill_show(Context *x) {
        return ask(x, "GET", "", true);
}

int verb_backfill_cancel(Context *x) {
        return ask(x, "POST", "/cancel", false);
}
