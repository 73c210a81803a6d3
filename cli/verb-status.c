/* status: whether the control plane works, and how its fleet is. */
#include <stdio.h>
#include <stdlib.h>

#include "state.h"
#include "table.h"
#include "verbs.h"

typedef struct Fleet {
        unsigned counts[_STATE_INSTANCE_MAX]; /* an agent's status is the best of its instances' */
        unsigned slots, used;
} Fleet;

static void count_agent(const void *item, void *userdata) {
        const Agent *agent = item;
        const Instance *instances = agent->instances.items;
        Fleet *fleet = userdata;

        int status = state_from_string(KIND_INSTANCE, agent->status);

        if (status >= 0)
                fleet->counts[status]++;
        for (size_t i = 0; i < agent->instances.count; i++)
                if (state_from_string(KIND_INSTANCE, instances[i].status) ==
                    STATE_INSTANCE_RUNNING) {
                        fleet->slots += instances[i].slots;
                        fleet->used += instances[i].slots_used;
                }
}

static void print_fleet(const Fleet *fleet) {
        (void) printf("   Agents:");
        for (int i = 0; i < _STATE_INSTANCE_MAX; i++) {
                const char *word = state_to_string(KIND_INSTANCE, i);
                Colour colour = fleet->counts[i] > 0 ? colour_of_state(word) : COLOUR_NONE;

                (void) printf("%s %s%u %s%s", i ? "," : "", colour_begin(colour), fleet->counts[i],
                              word, colour_end(colour));
        }
        (void) printf("\n    Slots: %u of %u taken\n", fleet->used, fleet->slots);
}

int verb_status(Context *x) {
        Fleet fleet = {};
        Reply reply = {};
        int r = client_get(x->client, "/ready", &reply), status = EXIT_FAILURE;

        if (r >= 0 && x->json)
                status = print_json(&reply) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        else if (r >= 0)
                status = list_all(x, "/api/v1/agents", agent_page_fields, sizeof(Agent), 0,
                                  count_agent, &fleet);
        if (status == EXIT_SUCCESS && !x->json) {
                (void) printf("  Control: %s, %sready%s\n", x->settings->url,
                              colour_begin(COLOUR_GREEN), colour_end(COLOUR_GREEN));
                print_fleet(&fleet);
                (void) printf("  Project: %s\n", x->settings->project);
        }
        reply_done(&reply);
        return status;
}
