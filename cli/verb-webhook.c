/* webhook create, list, history, delete. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "format.h"
#include "parse.h"
#include "str.h"
#include "table.h"
#include "verbs.h"

#define LIMIT_DEFAULT 20

typedef struct Message {
        char *message, *received_at, *run, *refused;
} Message;

typedef struct Webhook {
        char *webhook, *pipe, *name, *type, *secret, *created_by;
        bool key_is_here;
        Message last; /* message NULL: none came yet */
} Webhook;

static const JsonField message_fields[] = {
        T(Message, message), T(Message, received_at), T(Message, run), T(Message, refused), {},
};
static const JsonField webhook_fields[] = {
        MUST(Webhook, webhook),
        MUST(Webhook, pipe),
        MUST(Webhook, name),
        T(Webhook, type),
        T(Webhook, secret),
        T(Webhook, created_by),
        B(Webhook, key_is_here),
        OBJECT(Webhook, last, message_fields),
        {},
};
static PAGE(webhook_page_fields, webhook_fields, Webhook);
static PAGE(message_page_fields, message_fields, Message);

static int request_of(Context *x, char **ret) {
        const char *type = option_value(x, OPTION_TYPE);
        JsonOut o = {};
        int r;

        json_out_object(&o, NULL);
        json_out_text(&o, "name", x->words[1]);
        if (type)
                json_out_text(&o, "type", type);
        r = parameters_to_json(&o, "parameters", x->arguments->params, false);
        if (r >= 0)
                r = parameters_to_json(&o, "parameters_from", x->arguments->params_from, false);
        json_out_end_object(&o);
        if (r < 0)
                json_out_done(&o);
        else if (json_out_take(&o, ret) < 0)
                r = complain(-ENOMEM, "Out of memory.");
        return r;
}

int verb_webhook_create(Context *x) {
        _cleanup_(freep) char *json = NULL, *path = NULL;
        Webhook w = {};
        Reply reply = {};
        int r = request_of(x, &json);

        if (r < 0)
                return EXIT_FAILURE;
        path = path_format("/api/v1/projects/%s/pipes/%s/webhooks", x->settings->project,
                           x->words[0]);
        r = path ? client_request(x->client,
                                  &(Request){ .method = "POST",
                                              .path = path,
                                              .content_type = "application/json",
                                              .body = json,
                                              .size = strlen(json) },
                                  &reply)
                 : complain(-ENOMEM, "Out of memory.");
        if (r >= 0)
                r = reply_decode(&reply, webhook_fields, &w);
        if (r >= 0 && !w.secret)
                r = complain(-EBADMSG,
                             "The control plane made webhook %s but does not show its secret.",
                             w.webhook);
        if (r >= 0 && x->json)
                r = print_json(&reply);
        else if (r >= 0)
                (void) printf("Webhook %s of pipe %s takes messages at\n"
                              "%s/api/v1/webhooks/%s/deliveries\n"
                              "Its secret is shown this once:\n%s\n",
                              w.name, w.pipe, x->settings->url, w.webhook, w.secret);
        if (w.secret)
                explicit_bzero(w.secret, strlen(w.secret));
        json_done(webhook_fields, &w);
        reply_done(&reply);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void add_message(Table *t, const Message *m) {
        char text[FORMAT_MAX];

        table_add(t, m->received_at ? format_time(m->received_at, text) : NULL);
        table_add(t, m->run);
        table_add_colour(t, m->refused, COLOUR_RED);
}

static void add_webhook(const void *item, void *userdata) {
        const Webhook *w = item;

        table_add(userdata, w->pipe);
        table_add(userdata, w->name);
        table_add(userdata, w->webhook);
        table_add(userdata, w->type);
        table_add_colour(userdata, w->key_is_here ? "here" : "another",
                         w->key_is_here ? COLOUR_NONE : COLOUR_RED);
        table_add(userdata, w->created_by);
        add_message(userdata, &w->last);
}

int verb_webhook_list(Context *x) {
        static const char *const header[] = { "PIPE", "NAME", "WEBHOOK", "TYPE",    "KEY",
                                              "BY",   "LAST", "RUN",     "REFUSED", NULL };
        _cleanup_(table_freep) Table *table = NULL;
        char *path = path_format("/api/v1/projects/%s/webhooks", x->settings->project);
        int status;

        if (!path || table_new(header, &table) < 0 ||
            path_add_option(&path, x, OPTION_PIPE, "pipe") < 0) {
                free(path);
                return complain(EXIT_FAILURE, "Out of memory.");
        }
        status = list_all(x, path, webhook_page_fields, sizeof(Webhook), 0, add_webhook, table);
        free(path);
        if (status == EXIT_SUCCESS && !x->json)
                (void) table_print(table, "webhooks");
        return status;
}

static void add_row(const void *item, void *userdata) {
        const Message *m = item;

        table_add(userdata, m->message);
        add_message(userdata, m);
}

int verb_webhook_history(Context *x) {
        static const char *const header[] = { "MESSAGE", "RECEIVED", "RUN", "REFUSED", NULL };
        _cleanup_(freep) char *path = path_format("/api/v1/webhooks/%s/deliveries", x->words[0]);
        _cleanup_(table_freep) Table *table = NULL;
        const char *limit = option_value(x, OPTION_LIMIT);
        uint64_t n = LIMIT_DEFAULT;
        int status;

        if (limit && parse_u64_range(limit, 1, 100000, &n) < 0)
                return complain(EXIT_FAILURE, "--limit=%s is no number from 1 to 100000.", limit);
        if (!path || table_new(header, &table) < 0)
                return complain(EXIT_FAILURE, "Out of memory.");
        status = list_all(x, path, message_page_fields, sizeof(Message), n, add_row, table);
        if (status == EXIT_SUCCESS && !x->json)
                (void) table_print(table, "messages");
        return status;
}

int verb_webhook_delete(Context *x) {
        _cleanup_(freep) char *path = path_format("/api/v1/webhooks/%s", x->words[0]);
        Reply reply = {};
        int r = path ? client_request(x->client, &(Request){ .method = "DELETE", .path = path },
                                      &reply)
                     : complain(-ENOMEM, "Out of memory.");

        if (r >= 0 && !x->json)
                (void) printf("Webhook %s is deleted. Its messages are refused from now on.\n",
                              x->words[0]);
        reply_done(&reply);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
