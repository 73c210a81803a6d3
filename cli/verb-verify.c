/* pipe verify: what a pipe file says, and with --online what the control plane says to it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "run-print.h"
#include "str.h"
#include "strv.h"
#include "table.h"
#include "verbs.h"

#define SHOWN ((size_t) 20) /* instances in a table; those that suit come first */

typedef struct Placement {
        char *agent, *hostname, *systemd, *code, *verdict;
} Placement;

typedef struct Summary {
        char *code, *example;
        uint32_t agents, instances;
        bool never;
} Summary;

typedef struct Apart {
        char *task;
        uint32_t agents;
} Apart;

typedef struct Verified {
        char *version, *current;
        bool known, possible;
        char **errors;
        JsonArray parameters; /* Value */
        JsonArray apart;      /* Apart: tasks that are placed by themselves */
        JsonArray summary;    /* Summary */
        JsonArray items;      /* Placement */
        char *next;
} Verified;

static const JsonField placement_fields[] = {
        MUST(Placement, agent), T(Placement, hostname), T(Placement, systemd),
        MUST(Placement, code),  T(Placement, verdict),  {},
};

static const JsonField summary_fields[] = {
        MUST(Summary, code),  T(Summary, example),

        N32(Summary, agents), N32(Summary, instances), B(Summary, never), {},
};

static const JsonField apart_fields[] = { MUST(Apart, task), N32(Apart, agents), {} };

static const JsonField verified_fields[] = {
        MUST(Verified, version),
        T(Verified, current),
        B(Verified, known),
        B(Verified, possible),
        { "errors", JSON_STRV, false, offsetof(Verified, errors), .max = 10000 },
        ARRAY(Verified, parameters, value_fields, Value),
        ARRAY(Verified, apart, apart_fields, Apart),
        ARRAY(Verified, summary, summary_fields, Summary),
        ARRAY(Verified, items, placement_fields, Placement),
        T(Verified, next),
        {},
};

/* What the codes of verdicts say about many. */
static const struct {
        const char *code, *words;
} codes[] = {
        { "ready", "can take it now" },
        { "avoided", "could not take it just now" },
        { "slots", "have no free slot" },
        { "memory", "have too little memory left" },
        { "streaming", "have a streaming run" },
        { "paused", "are paused" },
        { "draining", "are draining" },
        { "quarantined", "are quarantined" },
        { "not-connected", "are not connected" },
        { "never-connected", "have never connected" },
        { "too-small", "have less memory than MemoryMax=" },
        { "systemd", "have a systemd that is too old" },
        { "unsuited", "have other labels, or are of another type" },
};

static const char *words_of(const char *code) {
        for (size_t i = 0; i < ELEMENTSOF(codes); i++)
                if (str_eq(codes[i].code, code))
                        return codes[i].words;
        return code;
}

static void print_good(const char *path, const PipeFile *file, bool parameters) {
        char *text = NULL;

        (void) printf("%s: good, version %s\n", path, file->version);
        for (size_t i = 0; parameters && pipe_describe_parameter(file->pipe, i, &text) >= 0; i++) {
                (void) printf("  parameter %s\n", text);
                free(text);
        }
}

static int print_summary(const Verified *v) {
        static const char *const header[] = { "AGENTS", "INSTANCES", "VERDICT", "FOR EXAMPLE",
                                              NULL };
        _cleanup_(table_freep) Table *table = NULL;
        const Summary *items = v->summary.items;
        int r = table_new(header, &table);

        if (r < 0)
                return r;
        for (size_t i = 0; i < v->summary.count; i++) {
                table_addf(table, "%u", items[i].agents);
                table_addf(table, "%u", items[i].instances);
                table_add_colour(table, words_of(items[i].code),
                                 items[i].never                   ? COLOUR_GREY
                                 : str_eq(items[i].code, "ready") ? COLOUR_GREEN
                                                                  : COLOUR_YELLOW);
                table_add(table, items[i].example);
        }
        return table_print(table, NULL);
}

static int print_placements(const Verified *v) {
        static const char *const header[] = { "AGENT", "HOST", "SYSTEMD", "VERDICT", NULL };
        _cleanup_(table_freep) Table *table = NULL;
        const Placement *items = v->items.items;
        int r = table_new(header, &table);

        if (r < 0)
                return r;
        for (size_t i = 0; i < v->items.count; i++) {
                table_add(table, items[i].agent);
                table_add(table, items[i].hostname);
                table_add(table, items[i].systemd);
                table_add_colour(table, items[i].verdict,
                                 str_eq(items[i].code, "ready") ? COLOUR_GREEN : COLOUR_NONE);
        }
        r = table_print(table, NULL);
        if (r >= 0 && v->next)
                (void) puts("\nThere are more; --agent= shows one, --output=json all.");
        return r;
}

/* Whether it can be deployed and will ever run. */
static int judge(const char *path, const Verified *v, bool one) {
        STRV_FOREACH(e, v->errors)
                (void) complain(0, "%s: %s", path, *e);
        if (v->possible)
                return v->errors && *v->errors ? -EINVAL : 0;
        return complain(
                -EINVAL, "%s: %s", path,
                one ? "The agent can never take it."
                    : "No agent could ever take it. See AgentSelector=, and sluicectl agents.");
}

static int print_verified(const Verified *v, bool one) {
        int r = 0;

        if (!v->current)
                (void) puts("  Deployed: there is no such pipe yet");
        else if (str_eq(v->current, v->version))
                (void) puts("  Deployed: this version");
        else
                (void) printf("  Deployed: version %s%s\n", v->current,
                              v->known ? "; this one was, before" : "");
        run_print_values(&v->parameters);
        for (size_t i = 0; i < v->apart.count; i++) {
                const Apart *apart = (const Apart *) v->apart.items + i;

                (void) printf("  Task %s is placed by itself: %u agents suit it\n", apart->task,
                              apart->agents);
        }
        if (v->items.count > 0)
                (void) putchar('\n');
        if (v->items.count > 0 && !one) {
                r = print_summary(v);
                (void) putchar('\n');
        }
        if (v->items.count > 0 && r >= 0)
                r = print_placements(v);
        (void) fflush(stdout);
        return r < 0 ? complain(r, "Out of memory.") : 0;
}

/* One page of what the control plane says; *next is the one behind it. Only the first one judges. */
static int ask_page(const Context *x, const char *url, const char *json, const char *file,
                    char **next) {
        _cleanup_(freep) char *page = page_path(url, x->json ? PAGE_MAX : SHOWN, *next);
        Verified v = {};
        Reply reply = {};
        int r = page ? client_request(x->client,
                                      &(Request){ .method = "POST",
                                                  .path = page,
                                                  .content_type = "application/json",
                                                  .body = json,
                                                  .size = strlen(json),
                                                  .repeatable = true },
                                      &reply)
                     : complain(-ENOMEM, "Out of memory.");

        if (r >= 0)
                r = reply_decode(&reply, verified_fields, &v);
        if (r >= 0 && x->json)
                r = print_json(&reply);
        else if (r >= 0)
                r = print_verified(&v, option_value(x, OPTION_AGENT));
        if (r >= 0 && !*next)
                r = judge(file, &v, option_value(x, OPTION_AGENT));
        free(*next);
        *next = TAKE_PTR(v.next);
        json_done(verified_fields, &v);
        reply_done(&reply);
        return r;
}

static int ask(const Context *x, const char *path, const PipeFile *file) {
        _cleanup_(freep) char *url = path_format("/api/v1/projects/%s/verify",
                                                 x->settings->project),
                              *json = NULL, *next = NULL;
        JsonOut o = {};
        int r;

        json_out_object(&o, NULL);
        json_out_text(&o, "pipe", file->name);
        json_out_text_n(&o, "text", file->text, file->size);
        json_out_end_object(&o);
        r = json_out_take(&o, &json);
        if (r < 0 || !url || path_add_option(&url, x, OPTION_AGENT, "agent") < 0)
                return complain(-ENOMEM, "Out of memory.");
        do {
                int k = ask_page(x, url, json, path, &next);

                r = k < 0 ? k : r;
        } while (x->json && next);
        return r;
}

int verb_pipe_verify(Context *x) {
        int status = EXIT_SUCCESS;

        if (!x->client && option_value(x, OPTION_AGENT))
                return complain(EXIT_FAILURE, "--agent= goes with --online.");
        if (!x->client && x->json)
                return complain(EXIT_FAILURE, "--output=json goes with --online.");
        STRV_FOREACH(path, x->words) {
                _cleanup_(pipe_file_done) PipeFile file = {};
                int r = pipe_file_read(*path, &file);

                if (r >= 0 && !x->json)
                        print_good(*path, &file, !x->client);
                if (r >= 0 && x->client)
                        r = ask(x, *path, &file);
                if (r < 0)
                        status = EXIT_FAILURE;
        }
        return status;
}
