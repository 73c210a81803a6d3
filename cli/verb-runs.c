/* runs, run show. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "format.h"
#include "parse.h"
#include "run-print.h"
#include "state.h"
#include "str.h"
#include "table.h"
#include "verbs.h"

#define LIMIT_DEFAULT 20U

static void add_run(const void *item, void *userdata) {
        const Run *run = item;
        const char *outcome = run->outcome ? run->outcome : run->state;
        char age[FORMAT_MAX], span[FORMAT_MAX];

        table_add(userdata, run->run);
        table_addf(userdata, "%s%s", run->pipe, run->trial ? " (trial)" : "");
        table_add_colour(userdata, outcome, colour_of_state(outcome));
        table_add(userdata, format_age(run->created_at, age));
        table_add(userdata, format_between(run->started_at, run->ended_at, span));
}

static int complain_state(const char *text) {
        Buffer known = {};
        int r;

        for (int i = 0; i < _STATE_RUN_MAX; i++)
                (void) buffer_printf(&known, "%s%s", i ? ", " : "", state_to_string(KIND_RUN, i));
        r = complain(EXIT_FAILURE, "--state=%.40s is not one of %s.", text,
                     known.data ? known.data : "the states");
        buffer_done(&known);
        return r;
}

int verb_runs(Context *x) {
        static const char *const header[] = {
                "RUN", "PIPE", "OUTCOME", "CREATED", "DURATION", NULL
        };
        _cleanup_(table_freep) Table *table = NULL;
        const char *text = option_value(x, OPTION_LIMIT), *state = option_value(x, OPTION_STATE),
                   *trial = option_value(x, OPTION_TRIAL);
        bool trials = false;
        uint64_t limit = LIMIT_DEFAULT;
        char *path;
        int status;

        if (text && parse_u64_range(text, 1, 100000, &limit) < 0)
                return complain(EXIT_FAILURE, "--limit=%s is no number from 1 to 100000.", text);
        if (trial && parse_bool(trial, &trials) < 0)
                return complain(EXIT_FAILURE, "--trial=%.40s is neither yes nor no.", trial);
        if (state && state_from_string(KIND_RUN, state) < 0)
                return complain_state(state);
        path = trial ? path_format("/api/v1/projects/%s/runs?trial=%s", x->settings->project,
                                   trials ? "true" : "false")
                     : path_format("/api/v1/projects/%s/runs", x->settings->project);
        if (!path || table_new(header, &table) < 0 ||
            path_add_option(&path, x, OPTION_PIPE, "pipe") < 0 ||
            path_add_option(&path, x, OPTION_STATE, "state") < 0) {
                free(path);
                return complain(EXIT_FAILURE, "Out of memory.");
        }
        status = list_all(x, path, run_page_fields, sizeof(Run), limit, add_run, table);
        free(path);
        if (status == EXIT_SUCCESS && !x->json)
                (void) table_print(table, "runs");
        if (x->more && isatty(STDERR_FILENO))
                (void) complain(0, "There are older ones; --limit= shows more.");
        return status;
}

int verb_run_show(Context *x) {
        _cleanup_(freep) char *path = path_format("/api/v1/runs/%s", x->words[0]);
        Reply reply = {};
        Run run = {};
        int r = path ? client_get(x->client, path, &reply) : complain(-1, "Out of memory.");

        if (r >= 0 && x->json)
                r = print_json(&reply);
        else if (r >= 0 && (r = reply_decode(&reply, run_fields, &run)) >= 0)
                r = run_print(&run);
        json_done(run_fields, &run);
        reply_done(&reply);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
