/* Webhooks: their secrets are made here when one is, and again for each message. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "id.h"
#include "json-in.h"
#include "router.h"
#include "routes.h"
#include "str.h"
#include "worker.h"

const char *route_webhook_key(Exchange *x, const char **ret_key) {
        const WebhookKey *key = worker_webhook_key(x->worker);

        if (!key->text) {
                exchange_reply_problem(x, 503, "no-webhook-key",
                                       "This controld cannot read its WebhookKeyFile=; its journal "
                                       "says why.",
                                       NULL);
                return NULL;
        }
        if (ret_key)
                *ret_key = key->text;
        return key->id;
}

static void on_created(const PgReply *reply, void *userdata) {
        Exchange *x = userdata;
        _cleanup_(freep) char *id = NULL, *whole = NULL;
        const JsonField id_field[] = { { "webhook", JSON_TEXT, true, 0, .max = 36 }, {} };
        char secret[WEBHOOK_SECRET_SIZE];
        const char *json, *key;

        x->call = NULL;
        json = reply->r < 0 ? NULL : exchange_text(x, reply, 0);
        if (!json) {
                exchange_reply_pg(x, reply);
                return;
        }
        if (!route_webhook_key(x, &key))
                return;
        if (json_decode(json, strlen(json), id_field, JSON_IGNORE_UNKNOWN, &id, NULL) < 0 ||
            webhook_secret(key, id, secret) < 0) {
                exchange_reply_error(x, -ENOMEM, NULL);
                return;
        }
        whole = str_format("{\"secret\" : \"%s\", %s", secret, json + 1);
        (void) http_request_add_header(x->request, "Cache-Control", "no-store");
        exchange_reply_json(x, x->route->success, whole ? whole : "{}");
        explicit_bzero(secret, sizeof(secret));
}

void route_webhook_create(Exchange *x) {
        const char *id = route_webhook_key(x, NULL);
        size_t size;

        if (!id || route_check_body(x) < 0)
                return;
        exchange_query(
                x, x->route->statement,
                (PgParam[]){ exchange_auth(x), text_param(x->params[0]), text_param(x->params[1]),
                             text_param(http_request_body(x->request, &size)), text_param(id) },
                on_created);
}

static void on_taken(const PgReply *reply, void *userdata) {
        Exchange *x = userdata;
        const char *refused;

        x->call = NULL;
        refused = reply->r < 0 ? NULL : exchange_text(x, reply, 1);
        if (reply->r < 0)
                exchange_reply_pg(x, reply);
        else if (refused)
                exchange_reply_problem(x, 422, "message-refused", refused,
                                       "The same message may be sent again when that is mended.");
        else
                exchange_reply_json(x, x->route->success, exchange_text(x, reply, 0));
}

/* Whoever has no right signature costs no question to the database, and learns nothing. */
void route_webhook_take(Exchange *x) {
        const char *key, *event = http_request_header(x->request, "X-GitHub-Event");
        WebhookMessage m = {
                .id = http_request_header(x->request, "webhook-id"),
                .timestamp = http_request_header(x->request, "webhook-timestamp"),
                .signature = http_request_header(x->request, "webhook-signature"),
                .github_delivery = http_request_header(x->request, "X-GitHub-Delivery"),
                .github_signature = http_request_header(x->request, "X-Hub-Signature-256"),
        };
        char secret[WEBHOOK_SECRET_SIZE], text[ID_TEXT_SIZE];
        WebhookVerdict verdict;
        Error e = {};
        Id id;
        int r;

        if (!route_webhook_key(x, &key))
                return;
        if (id_parse(x->params[0], &id) < 0) {
                exchange_reply_problem(x, 404, "bad-id", "A webhook's id is a UUID.", NULL);
                return;
        }
        m.body = http_request_body(x->request, &m.size);
        r = webhook_secret(key, id_to_text(id, text), secret);
        if (r >= 0)
                r = webhook_verify(secret, &m, &verdict, &e);
        explicit_bzero(secret, sizeof(secret));
        if (r == -EACCES)
                exchange_reply_problem(x, 403, e.slug, e.detail, NULL);
        else if (r < 0)
                exchange_reply_error(x, r, &e);
        else if (str_eq(event, "ping") && str_eq(verdict.scheme, "github")) /* is somebody here? */
                exchange_reply_json(x, 200, "{\"run\": null}");
        else if (route_check_body(x) >= 0)
                exchange_query(x, x->route->statement,
                               (PgParam[]){ text_param(text), text_param(verdict.scheme),
                                            text_param(verdict.message),
                                            text_param(verdict.timestamp), text_param(m.body) },
                               on_taken);
}
