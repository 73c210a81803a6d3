/* schedule list, show, history, pause, resume. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format.h"
#include "parse.h"
#include "schedule-shapes.h"
#include "str.h"
#include "strv.h"
#include "table.h"
#include "timespan.h"
#include "verbs.h"

#define LIMIT_DEFAULT 20U

static bool is_caused(const ScheduleSpec *s) {
        return s->after_pipe || s->after_pipe_failure || s->after_pipe_any;
}

/* "success of orders", "any end of tidy". */
static int add_causes(char ***list, const char *words, char *const *pipes) {
        int r = 0;

        STRV_FOREACH(pipe, pipes)
                r = r < 0 ? r : strv_append_take(list, str_format("%s %s", words, *pipe));
        return r;
}

/* "after success of orders, any end of tidy". New string. */
static char *causes_text(const ScheduleSpec *s) {
        _cleanup_(strv_freep) char **list = NULL;
        _cleanup_(freep) char *text = NULL;

        if (add_causes(&list, "success of", s->after_pipe) < 0 ||
            add_causes(&list, "failure of", s->after_pipe_failure) < 0 ||
            add_causes(&list, "any end of", s->after_pipe_any) < 0)
                return NULL;
        text = strv_join(list, ", ");
        return text ? str_format("after %s", text) : NULL;
}

/* "Mon..Fri *-*-* 02:00:00, 0 4 * * 1 (Europe/London)". New string. */
static char *expressions_text(const ScheduleSpec *s) {
        _cleanup_(freep) char *events = strv_join(s->on_calendar, ", ");
        _cleanup_(freep) char *lines = strv_join(s->cron, ", ");

        if (is_caused(s))
                return causes_text(s);
        if (s->on_unit_active_sec)
                return str_format("%s after a run has begun", s->on_unit_active_sec);
        if (s->on_unit_inactive_sec)
                return str_format("%s after a run has ended", s->on_unit_inactive_sec);
        if (!events || !lines)
                return NULL;
        return str_format("%s%s%s%s%s%s", events, *events && *lines ? ", " : "", lines,
                          s->time_zone ? " (" : "", s->time_zone ? s->time_zone : "",
                          s->time_zone ? ")" : "");
}

static void add_state(Table *t, const Schedule *s) {
        if (s->error)
                table_add_colour(t, "error", COLOUR_RED);
        else if (s->late.since)
                table_add_colour(t, "late", COLOUR_RED);
        else if (s->paused.since)
                table_add_colour(t, "paused", COLOUR_YELLOW);
        else if (s->waiting > 0)
                table_addf(t, "%u waiting", s->waiting);
        else if (s->notes && *s->notes)
                table_add_colour(t, s->notes[0], COLOUR_YELLOW);
        else
                table_add(t, s->next_at || s->waits_run || is_caused(&s->spec) ? "active" : NULL);
}

static void add_schedule(const void *item, void *userdata) {
        const Schedule *s = item;
        _cleanup_(freep) char *when = expressions_text(&s->spec);
        char text[FORMAT_MAX];

        table_add(userdata, s->pipe);
        table_add(userdata, s->name);
        table_add(userdata, when);
        table_add(userdata, s->next_at ? format_time(s->next_at, text) : NULL);
        table_add(userdata, s->last_run ? format_age(s->last_run_at, text) : NULL);
        table_add_colour(userdata, s->last_run_state, colour_of_state(s->last_run_state));
        add_state(userdata, s);
}

int verb_schedule_list(Context *x) {
        static const char *const header[] = { "PIPE", "SCHEDULE", "WHEN",  "NEXT",
                                              "LAST", "OUTCOME",  "STATE", NULL };
        _cleanup_(table_freep) Table *table = NULL;
        char *path = path_format("/api/v1/projects/%s/schedules", x->settings->project);
        int status;

        if (!path || table_new(header, &table) < 0 ||
            path_add_option(&path, x, OPTION_PIPE, "pipe") < 0) {
                free(path);
                return complain(EXIT_FAILURE, "Out of memory.");
        }
        status = list_all(x, path, schedule_page_fields, sizeof(Schedule), 0, add_schedule, table);
        free(path);
        if (status == EXIT_SUCCESS && !x->json)
                (void) table_print(table, "schedules");
        return status;
}

/* The names of a pipe's schedules. */
typedef struct Names {
        char **list; /* owned */
        int r;
} Names;

static int take_names(const Reply *reply, Names *n) {
        Page page = {};
        const Schedule *s;
        int r = reply_decode(reply, schedule_page_fields, &page);

        s = page.items.items;
        for (size_t i = 0; r >= 0 && i < page.items.count; i++)
                r = strv_append(&n->list, s[i].name);
        json_done(schedule_page_fields, &page);
        return r;
}

int schedule_find_name(Context *x, char **ret) {
        _cleanup_(freep) char *path = NULL, *all = NULL;
        Reply reply = {};
        Names names = {};
        int r;

        if (x->words[1])
                return str_replace(ret, x->words[1]);
        path = path_format("/api/v1/projects/%s/schedules?pipe=%s", x->settings->project,
                           x->words[0]);
        r = path ? client_get(x->client, path, &reply) : complain(-ENOMEM, "Out of memory.");
        if (r >= 0)
                r = take_names(&reply, &names);
        all = strv_join(names.list, ", ");
        if (r >= 0 && strv_length(names.list) == 1)
                r = str_replace(ret, names.list[0]);
        else if (r >= 0 && names.list)
                r = complain(-EINVAL, "Pipe \"%s\" has several schedules: %s. Which one?",
                             x->words[0], all ? all : "");
        else if (r >= 0)
                r = complain(-ENOENT, "Pipe \"%s\" has no schedule.", x->words[0]);
        strv_free(names.list);
        reply_done(&reply);
        return r;
}

/* One request about a schedule. suffix: "", "/dues", "/pause". */
static int ask(Context *x, const char *method, const char *suffix, const char *json,
               char **ret_name, Reply *reply) {
        _cleanup_(freep) char *base = NULL, *path = NULL;
        int r = schedule_find_name(x, ret_name);

        if (r < 0)
                return r;
        base = path_format("/api/v1/projects/%s/pipes/%s/schedules/%s", x->settings->project,
                           x->words[0], *ret_name);
        path = base ? str_format("%s%s", base, suffix) : NULL;
        if (!path)
                return complain(-ENOMEM, "Out of memory.");
        return client_request(x->client,
                              &(Request){ .method = method,
                                          .path = path,
                                          .content_type = json ? "application/json" : NULL,
                                          .body = json,
                                          .size = json ? strlen(json) : 0 },
                              reply);
}

static void print_pause(const SchedulePause *p) {
        char since[FORMAT_MAX], until[FORMAT_MAX];

        if (p->since)
                (void) printf("   Paused: since %s by %s%s%s%s%s\n", format_time(p->since, since),
                              p->by ? p->by : "-", p->until ? ", until " : "",
                              p->until ? format_time(p->until, until) : "", p->reason ? ": " : "",
                              p->reason ? p->reason : "");
}

static void print_rules(const Schedule *s) {
        const ScheduleSpec *p = &s->spec;

        (void) printf("    Rules: ConcurrencyPolicy=%s, MissedRuns=%s",
                      s->concurrency_policy ? s->concurrency_policy : "allow",
                      p->missed_runs ? p->missed_runs : "none");
        if (p->starting_deadline_sec)
                (void) printf(", StartingDeadlineSec=%s", p->starting_deadline_sec);
        if (p->randomized_delay_sec)
                (void) printf(", RandomizedDelaySec=%s%s", p->randomized_delay_sec,
                              p->fixed_random_delay ? ", FixedRandomDelay=yes" : "");
        if (p->expect_by_sec)
                (void) printf(", ExpectBySec=%s", p->expect_by_sec);
        (void) putchar('\n');
}

static void print_late(const ScheduleLate *l) {
        char since[FORMAT_MAX], due[FORMAT_MAX];

        if (l->since)
                (void) printf("     Late: %ssince %s%s; due %s: %s\n", colour_begin(COLOUR_RED),
                              format_time(l->since, since), colour_end(COLOUR_RED),
                              format_time(l->due_at, due), l->reason ? l->reason : "-");
}

static void print_schedule(const Schedule *s) {
        _cleanup_(freep) char *when = expressions_text(&s->spec);
        char text[FORMAT_MAX];

        (void) printf(" Schedule: %s of pipe %s, project %s\n", s->name, s->pipe,
                      s->project ? s->project : "-");
        (void) printf("     When: %s\n", when ? when : "-");
        print_rules(s);
        if (s->removed_at)
                (void) printf("  Removed: %s, by a version of the pipe\n",
                              format_time(s->removed_at, text));
        else if (s->waits_run)
                (void) printf("     Next: when run %s has ended\n", s->waits_run);
        else if (!is_caused(&s->spec))
                (void) printf("     Next: %s%s%s\n",
                              s->next_at ? format_time(s->next_at, text) : "none is known",
                              s->next_blackout ? ", to be skipped: Blackout=" : "",
                              s->next_blackout ? s->next_blackout : "");
        STRV_FOREACH(days, s->spec.blackout)
                (void) printf(" Blackout: %s\n", *days);
        STRV_FOREACH(note, s->notes)
                (void) printf("     Note: %s%s%s\n", colour_begin(COLOUR_YELLOW), *note,
                              colour_end(COLOUR_YELLOW));
        print_pause(&s->paused);
        print_late(&s->late);
        if (s->error)
                (void) printf("    Error: %s%s%s\n", colour_begin(COLOUR_RED), s->error,
                              colour_end(COLOUR_RED));
        if (s->waiting > 0)
                (void) printf("  Waiting: %u due times\n", s->waiting);
        if (s->last_run)
                (void) printf(" Last run: %s, %s, due %s\n", s->last_run,
                              s->last_run_state ? s->last_run_state : "gone",
                              format_time(s->last_run_at, text));
        if (s->last.skipped)
                (void) printf(
                        "  Skipped: %s: %s\n",
                        format_time(s->last.until_at ? s->last.until_at : s->last.due_at, text),
                        s->last.reason ? s->last.reason : s->last.skipped);
}

/* Shows what the request answers, or says so in words with one %s each for pipe and schedule. */
static int show(Context *x, const char *method, const char *suffix, const char *json,
                const char *words) {
        _cleanup_(freep) char *name = NULL;
        Schedule s = {};
        Reply reply = {};
        int r = ask(x, method, suffix, json, &name, &reply);

        if (r >= 0 && x->json)
                r = print_json(&reply);
        else if (r >= 0 && (r = reply_decode(&reply, schedule_fields, &s)) >= 0 && words)
                (void) printf("Schedule \"%s\" of pipe \"%s\" %s\n", s.name, s.pipe, words);
        else if (r >= 0)
                print_schedule(&s);
        json_done(schedule_fields, &s);
        reply_done(&reply);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int verb_schedule_show(Context *x) {
        return show(x, "GET", "", NULL, NULL);
}

int verb_schedule_pause(Context *x) {
        const char *span = option_value(x, OPTION_FOR);
        _cleanup_(freep) char *json = NULL;
        JsonOut o = {};
        uint64_t n = 0;

        if (span && (timespan_parse(span, &n) < 0 || n < USEC_PER_SEC || n == USEC_INFINITY))
                return complain(EXIT_FAILURE, "--for=%s is no time span.", span);
        json_out_object(&o, NULL);
        if (option_value(x, OPTION_REASON))
                json_out_text(&o, "reason", option_value(x, OPTION_REASON));
        if (span)
                json_out_u64(&o, "duration_sec", n / USEC_PER_SEC);
        json_out_end_object(&o);
        if (json_out_take(&o, &json) < 0)
                return complain(EXIT_FAILURE, "Out of memory.");
        return show(x, "PUT", "/pause", json,
                    "is paused. What is due meanwhile is skipped, and does not run afterwards.");
}

int verb_schedule_resume(Context *x) {
        return show(x, "DELETE", "/pause", NULL, "goes on with its next due time.");
}

static void add_due(const void *item, void *userdata) {
        const Due *d = item;
        char first[FORMAT_MAX], last[FORMAT_MAX];

        if (d->until_at)
                table_addf(userdata, "%s to %s, %u times", format_time(d->due_at, first),
                           format_time(d->until_at, last), d->count);
        else
                table_add(userdata, format_time(d->due_at, first));
        if (d->run_state)
                table_add_colour(userdata, d->run_state, colour_of_state(d->run_state));
        else
                table_add(userdata, d->skipped ? d->skipped : d->state);
        table_add(userdata, d->run);
        table_add(userdata, d->caused_by);
        table_add(userdata, d->reason);
}

int verb_schedule_history(Context *x) {
        static const char *const header[] = { "DUE", "OUTCOME", "RUN", "AFTER", "REASON", NULL };
        _cleanup_(table_freep) Table *table = NULL;
        _cleanup_(freep) char *name = NULL, *path = NULL;
        const char *text = option_value(x, OPTION_LIMIT);
        uint64_t limit = LIMIT_DEFAULT;
        int status;

        if (text && parse_u64_range(text, 1, 100000, &limit) < 0)
                return complain(EXIT_FAILURE, "--limit=%s is no number from 1 to 100000.", text);
        if (schedule_find_name(x, &name) < 0)
                return EXIT_FAILURE;
        path = path_format("/api/v1/projects/%s/pipes/%s/schedules/%s/dues", x->settings->project,
                           x->words[0], name);
        if (!path || table_new(header, &table) < 0)
                return complain(EXIT_FAILURE, "Out of memory.");
        status = list_all(x, path, due_page_fields, sizeof(Due), limit, add_due, table);
        if (status == EXIT_SUCCESS && !x->json)
                (void) table_print(table, "due times");
        if (x->more && isatty(STDERR_FILENO))
                (void) complain(0, "There are older ones; --limit= shows more.");
        return status;
}
