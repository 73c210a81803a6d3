/* The verbs of sluicectl: each gets what it needs and returns the exit status. */
#pragma once

#include "arguments.h"
#include "client.h"
#include "json-out.h"
#include "pipe-file.h"
#include "shapes.h"

typedef struct Context {
        const Arguments *arguments;
        const Settings *settings;
        Client *client;     /* NULL for a verb that asks nobody */
        bool json;          /* --output=json */
        bool more;          /* list_all() left items out */
        char *const *words; /* what follows the verb */
} Context;

int sluicectl_main(int argc, char *argv[]);

int verb_pipe_deploy(Context *x);
int verb_pipe_verify(Context *x);
int verb_pipe_render(Context *x);
int verb_pipe_try(Context *x);
int verb_pipe_list(Context *x);
int verb_pipe_show(Context *x);
int verb_pipe_versions(Context *x);
int verb_pipe_history(Context *x);
int verb_pipe_diff(Context *x);
int verb_pipe_rollback(Context *x);
int verb_plan(Context *x);
int verb_apply(Context *x);
int verb_schedule_list(Context *x);
int verb_schedule_show(Context *x);
int verb_schedule_preview(Context *x);
int verb_schedule_history(Context *x);
int verb_schedule_pause(Context *x);
int verb_schedule_resume(Context *x);
int verb_schedule_backfill(Context *x);
int verb_backfill_list(Context *x);
int verb_backfill_show(Context *x);
int verb_backfill_cancel(Context *x);
int verb_events(Context *x);
int verb_start(Context *x);
int verb_stop(Context *x);
int verb_restart(Context *x);
int verb_run(Context *x);
int verb_rerun(Context *x);
int verb_runs(Context *x);
int verb_run_show(Context *x);
int verb_cancel(Context *x);
int verb_logs(Context *x);
int verb_agents(Context *x);
int verb_agent_show(Context *x);
int verb_agent_create(Context *x);
int verb_agent_pause(Context *x);
int verb_agent_drain(Context *x);
int verb_agent_resume(Context *x);
int verb_agent_delete(Context *x);
int verb_key_create(Context *x);
int verb_key_list(Context *x);
int verb_key_revoke(Context *x);
int verb_webhook_create(Context *x);
int verb_webhook_list(Context *x);
int verb_webhook_delete(Context *x);
int verb_webhook_history(Context *x);
int verb_explain(Context *x);
int verb_status(Context *x);
int verb_projects(Context *x);
int verb_project_create(Context *x);
int verb_project_limit(Context *x);
int verb_project_param(Context *x);

/* --- what they share */

/* "/api/v1/…": %s are percent-encoded components. Owned by the caller; NULL when out of memory. */
char *path_format(const char *fmt, ...);
/* The option's value, or NULL. */
const char *option_value(const Context *x, Option o);
/* "&name=value" is added when the option was given. */
int path_add_option(char **path, const Context *x, Option o, const char *name);

/* The path of a page of a list, after the one that said where it goes on, or NULL. New string. */
#define PAGE_MAX ((size_t) 1000)
char *page_path(const char *path, size_t limit, const char *after);

/* Decodes the reply; complains when it is not what the API promises. */
int reply_decode(const Reply *reply, const JsonField *fields, void *target);
/* All pages of a list, at most max items (0: all). With --output=json they are printed as one document. on_item is called for
 * each item otherwise. Returns an exit status. */
typedef void (*on_item_t)(const void *item, void *userdata);
int list_all(Context *x, const char *path, const JsonField *page_fields, size_t item_size,
             size_t max, on_item_t on_item, void *userdata);
/* Prints the reply's body as a line; complains when it is no JSON document. */
int print_json(const Reply *reply);

/* Deploys them, and prints what came of that. */
int pipes_deploy(Context *x, const PipeFile *const *files, size_t n);
/* Changes the project that the verb's first word names. */
int project_patch(Context *x, const char *json, Reply *ret);

/* "Idempotency-Key: …": however often the request is sent with it, it counts once. New string. */
int idempotency_header(const Context *x, char **ret);
/* The schedule that the second word names, or the only one of the pipe that the first one names. New string. */
int schedule_find_name(Context *x, char **ret);

/* "NAME=VALUE" each, as a member of that name: an object of texts; without VALUE null, where that may be. Complains about what is none, or stands twice. */
int parameters_to_json(JsonOut *o, const char *key, char *const *words, bool null_too);

/* The labels as text. New string. */
char *labels_text(char *const *labels);

/* The path of a run's log, with --task=. New string. */
char *log_path(const Context *x, const char *run);
