/* agent pause, drain, resume, delete. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "str.h"
#include "timespan.h"
#include "verbs.h"

/* Sends the request and says so in the end; words has one %s, the agent. */
static int ask(Context *x, const char *method, const char *path, const char *json,
               const char *words) {
        Reply reply = {};
        int r = path ? client_request(x->client,
                                      &(Request){ .method = method,
                                                  .path = path,
                                                  .content_type = json ? "application/json" : NULL,
                                                  .body = json,
                                                  .size = json ? strlen(json) : 0 },
                                      &reply)
                     : -ENOMEM;

        if (r >= 0 && x->json && reply.size > 0)
                r = print_json(&reply);
        else if (r >= 0 && !x->json)
                (void) printf("Agent \"%s\" %s\n", x->words[0], words);
        reply_done(&reply);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int set_flag(Context *x, const char *flag, const char *words) {
        _cleanup_(freep) char *path = path_format("/api/v1/agents/%s/flags/%s", x->words[0], flag);
        const char *deadline = option_value(x, OPTION_DEADLINE);
        _cleanup_(freep) char *json = NULL;
        JsonOut o = {};
        uint64_t n;

        if (deadline && (timespan_parse(deadline, &n) < 0 || n == USEC_INFINITY))
                return complain(EXIT_FAILURE, "--deadline=%s is no time span.", deadline);
        json_out_object(&o, NULL);
        if (option_value(x, OPTION_REASON))
                json_out_text(&o, "reason", option_value(x, OPTION_REASON));
        if (deadline)
                json_out_u64(&o, "deadline_sec", n / USEC_PER_SEC);
        json_out_end_object(&o);
        if (json_out_take(&o, &json) < 0)
                return complain(EXIT_FAILURE, "Out of memory.");
        return ask(x, "PUT", path, json, words);
}

int verb_agent_pause(Context *x) {
        return set_flag(x, "paused", "is given nothing new. What it has goes on.");
}

int verb_agent_drain(Context *x) {
        return set_flag(
                x, "draining",
                option_value(x, OPTION_DEADLINE)
                        ? "is given nothing new. What still runs at the deadline is stopped."
                        : "is given nothing new. See its tasks end: sluicectl explain AGENT");
}

int verb_agent_resume(Context *x) {
        static const char *const flags[] = { "paused", "quarantined" };
        _cleanup_(freep) char *draining =
                path_format("/api/v1/agents/%s/flags/draining", x->words[0]);

        for (size_t i = 0; i < ELEMENTSOF(flags); i++) {
                _cleanup_(freep) char *path =
                        path_format("/api/v1/agents/%s/flags/%s", x->words[0], flags[i]);
                Request request = { .method = "DELETE", .path = path };
                Reply reply = {};
                int r = path ? client_request(x->client, &request, &reply) : -ENOMEM;

                reply_done(&reply);
                if (r < 0)
                        return EXIT_FAILURE;
        }
        return ask(x, "DELETE", draining, NULL, "is given tasks again.");
}

int verb_agent_delete(Context *x) {
        _cleanup_(freep) char *path =
                path_format(option_value(x, OPTION_FORCE) ? "/api/v1/agents/%s?force=true"
                                                          : "/api/v1/agents/%s",
                            x->words[0]);

        return ask(x, "DELETE", path, NULL,
                   "is deleted, and its credential with it. Remove sluice-agentd from its host.");
}
