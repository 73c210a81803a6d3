/* agents, agent show, agent create, key create, key list, key revoke. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "format.h"
#include "parse.h"
#include "str.h"
#include "strv.h"
#include "table.h"
#include "timespan.h"
#include "verbs.h"

static void add_agent(const void *item, void *userdata) {
        const Agent *agent = item;
        const Instance *instances = agent->instances.items;
        _cleanup_(freep) char *labels = labels_text(agent->labels);
        unsigned slots = 0, used = 0;
        char age[FORMAT_MAX];

        for (size_t i = 0; i < agent->instances.count; i++) {
                slots += instances[i].slots;
                used += instances[i].slots_used;
        }
        table_add(userdata, agent->name);
        table_add_colour(userdata, agent->status, colour_of_state(agent->status));
        table_add(userdata, format_age(agent->since, age));
        table_add(userdata, agent->type);
        table_addf(userdata, "%u/%u", used, slots);
        table_add(userdata, agent->instances.count > 0 ? instances[0].hostname : NULL);
        table_add(userdata, labels);
        table_add(userdata, agent->agent);
}

int verb_agents(Context *x) {
        static const char *const header[] = { "NAME", "STATUS", "SINCE", "TYPE", "SLOTS",
                                              "HOST", "LABELS", "ID",    NULL };
        _cleanup_(table_freep) Table *table = NULL;
        int status;

        if (table_new(header, &table) < 0)
                return complain(EXIT_FAILURE, "Out of memory.");
        status = list_all(x, "/api/v1/agents", agent_page_fields, sizeof(Agent), 0, add_agent,
                          table);
        if (status == EXIT_SUCCESS && !x->json)
                (void) table_print(table, "agents");
        return status;
}

static const char *dash(const char *text) {
        return text && *text ? text : "-";
}

static void print_instance(const Instance *n) {
        Colour colour = colour_of_state(n->status);
        char text[FORMAT_MAX], age[FORMAT_MAX];

        (void) printf("\n Instance: %s\n", n->instance);
        (void) printf("   Status: %s%s%s: %s; last seen %s\n", colour_begin(colour), n->status,
                      colour_end(colour), dash(n->reason), format_age(n->last_seen_at, age));
        (void) printf("     Host: %s, %s, Linux %s, systemd %s\n", dash(n->hostname),
                      dash(n->architecture), dash(n->kernel), dash(n->systemd));
        (void) printf("     Size: %u CPU%s, %s of memory\n", n->cpus, n->cpus == 1 ? "" : "s",
                      format_bytes(n->memory_bytes, text));
        (void) printf("    Slots: %u of %u taken%s\n", n->slots_used, n->slots,
                      n->draining ? ", takes nothing new (draining)" : "");
        (void) printf("  Release: %s\n", dash(n->version));
}

static void print_agent(const Agent *agent) {
        const Instance *instances = agent->instances.items;
        _cleanup_(freep) char *labels = labels_text(agent->labels);
        Colour colour = colour_of_state(agent->status);
        char text[FORMAT_MAX], age[FORMAT_MAX];

        (void) printf("    Agent: %s (%s)\n", agent->name, agent->agent);
        (void) printf("   Status: %s%s%s since %s: %s\n", colour_begin(colour), agent->status,
                      colour_end(colour), format_time(agent->since, text), dash(agent->reason));
        (void) printf("     Type: %s\n", agent->type);
        (void) printf("   Labels: %s\n", dash(labels));
        (void) printf("  Created: %s; %s\n", format_time(agent->created_at, text),
                      format_age(agent->created_at, age));
        for (size_t i = 0; i < agent->instances.count; i++)
                print_instance(&instances[i]);
}

int verb_agent_show(Context *x) {
        _cleanup_(freep) char *path = path_format("/api/v1/agents/%s", x->words[0]);
        Reply reply = {};
        Agent agent = {};
        int r = path ? client_get(x->client, path, &reply) : -ENOMEM;

        if (r >= 0)
                r = reply_decode(&reply, agent_fields, &agent);
        if (r >= 0 && x->json)
                r = print_json(&reply);
        else if (r >= 0)
                print_agent(&agent);
        json_done(agent_fields, &agent);
        reply_done(&reply);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int post(Context *x, const char *path, JsonOut *o, Reply *reply) {
        _cleanup_(freep) char *json = NULL;

        json_out_end_object(o);
        if (json_out_take(o, &json) < 0)
                return complain(-ENOMEM, "Out of memory.");
        return client_request(x->client,
                              &(Request){ .method = "POST",
                                          .path = path,
                                          .content_type = "application/json",
                                          .body = json,
                                          .size = strlen(json) },
                              reply);
}

static void write_option_labels(JsonOut *o, const Context *x) {
        _cleanup_(strv_freep) char **labels = NULL;

        if (!option_value(x, OPTION_LABELS))
                return;
        if (strv_split(option_value(x, OPTION_LABELS), ",", &labels) < 0)
                o->error = -ENOMEM;
        json_out_labels(o, "labels", labels);
}

int verb_agent_create(Context *x) {
        Agent agent = {};
        Reply reply = {};
        JsonOut o = {};
        int r;

        json_out_object(&o, NULL);
        json_out_text(&o, "name", x->words[0]);
        if (option_value(x, OPTION_TYPE))
                json_out_text(&o, "type", option_value(x, OPTION_TYPE));
        write_option_labels(&o, x);
        r = post(x, "/api/v1/agents", &o, &reply);
        if (r >= 0)
                r = reply_decode(&reply, agent_fields, &agent);
        if (r >= 0 && x->json)
                r = print_json(&reply);
        else if (r >= 0)
                (void) printf("Agent %s has the id\n%s\n", agent.name, agent.agent);
        json_done(agent_fields, &agent);
        reply_done(&reply);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int write_key(JsonOut *o, const Context *x) {
        const char *uses = option_value(x, OPTION_USES), *expires = option_value(x, OPTION_EXPIRES);
        const char *type = option_value(x, OPTION_TYPE);
        uint64_t n;

        if (!type)
                return complain(-EINVAL, "Which key? --type=enrolment lets unknown hosts join, "
                                         "--type=api is for one that was made before.");
        json_out_object(o, NULL);
        json_out_text(o, "type", type);
        if (x->arguments->agents) {
                json_out_array(o, "agents");
                STRV_FOREACH(agent, x->arguments->agents)
                        json_out_text(o, NULL, *agent);
                json_out_end_array(o);
        }
        write_option_labels(o, x);
        if (option_value(x, OPTION_AGENT_TYPE))
                json_out_text(o, "agent_type", option_value(x, OPTION_AGENT_TYPE));
        if (option_value(x, OPTION_DESCRIPTION))
                json_out_text(o, "description", option_value(x, OPTION_DESCRIPTION));
        if (uses && parse_u64_range(uses, 1, 1000000, &n) < 0)
                return complain(-EINVAL, "--uses=%s is no number from 1 to 1000000.", uses);
        if (uses)
                json_out_u64(o, "max_uses", n);
        if (expires && (timespan_parse(expires, &n) < 0 || n < USEC_PER_SEC || n == USEC_INFINITY))
                return complain(-EINVAL, "--expires=%s is no time span of a second or more.",
                                expires);
        if (expires)
                json_out_u64(o, "expires_sec", n / USEC_PER_SEC);
        return 0;
}

int verb_key_create(Context *x) {
        Reply reply = {};
        Key key = {};
        JsonOut o = {};
        int r = write_key(&o, x);

        if (r < 0)
                json_out_done(&o);
        else
                r = post(x, "/api/v1/keys", &o, &reply);
        if (r >= 0)
                r = reply_decode(&reply, key_fields, &key);
        if (r >= 0 && !key.key)
                r = complain(-EBADMSG, "The control plane made key %s but does not show it.",
                             key.key_id);
        if (r >= 0 && x->json) {
                r = print_json(&reply);
        } else if (r >= 0) {
                (void) fprintf(stderr, "Key %s. It is shown this once:\n", key.key_id);
                (void) puts(key.key);
        }
        if (key.key)
                explicit_bzero(key.key, strlen(key.key));
        json_done(key_fields, &key);
        reply_done(&reply);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const char *key_state(const Key *key) {
        uint64_t expires = time_parse(key->expires_at);

        if (key->revoked_at)
                return "revoked";
        if (key->max_uses > 0 && key->uses >= key->max_uses)
                return "used up";
        return expires > 0 && expires / USEC_PER_SEC < (uint64_t) time(NULL) ? "expired" : "valid";
}

static void add_key(const void *item, void *userdata) {
        const Key *key = item;
        _cleanup_(freep) char *whose = key->agents && *key->agents ? strv_join(key->agents, ", ")
                                                                   : labels_text(key->labels);
        char text[FORMAT_MAX];

        table_add(userdata, key->key_id);
        table_add(userdata, key->type);
        table_add_colour(userdata, key_state(key), colour_of_state(key_state(key)));
        if (key->max_uses > 0)
                table_addf(userdata, "%u/%u", key->uses, key->max_uses);
        else
                table_addf(userdata, "%u", key->uses);
        table_add(userdata, key->expires_at ? format_time(key->expires_at, text) : NULL);
        table_add(userdata, key->created_by);
        table_add(userdata, whose);
        table_add(userdata, key->description);
}

int verb_key_list(Context *x) {
        static const char *const header[] = {
                "KEY",         "TYPE", "STATE", "USES", "EXPIRES", "BY", "AGENTS OR LABELS",
                "DESCRIPTION", NULL
        };
        _cleanup_(table_freep) Table *table = NULL;
        int status;

        if (table_new(header, &table) < 0)
                return complain(EXIT_FAILURE, "Out of memory.");
        status = list_all(x, "/api/v1/keys", key_page_fields, sizeof(Key), 0, add_key, table);
        if (status == EXIT_SUCCESS && !x->json)
                (void) table_print(table, "keys");
        return status;
}

int verb_key_revoke(Context *x) {
        _cleanup_(freep) char *path = path_format("/api/v1/keys/%s", x->words[0]);
        Reply reply = {};
        int r = path ? client_request(x->client, &(Request){ .method = "DELETE", .path = path },
                                      &reply)
                     : -ENOMEM;

        if (r >= 0 && x->json && reply.size > 0)
                r = print_json(&reply);
        else if (r >= 0 && !x->json)
                (void) printf("Key %s is revoked. Agents that joined with it stay.\n", x->words[0]);
        reply_done(&reply);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
