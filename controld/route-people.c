/* Handlers for people's requests that are more than one statement's parameters. */
#include <errno.h>
#include <gnutls/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "id.h"
#include "router.h"
#include "routes.h"
#include "str.h"
#include "timespan.h"
#include "worker.h"

#define WAIT_MAX_SEC 50

void route_health(Exchange *x) {
        exchange_reply_json(x, 200, "{\"status\":\"alive\"}");
}

static void on_ready(const PgReply *reply, void *userdata) {
        Exchange *x = userdata;

        x->call = NULL;
        if (reply->r < 0)
                exchange_reply_pg(x, reply);
        else
                exchange_reply_json(x, 200, "{\"status\":\"ready\"}");
}

void route_ready(Exchange *x) {
        exchange_query(x, x->route->statement, NULL, on_ready);
}

static void add_run_etag(Exchange *x, const char *json) {
        _cleanup_(freep) char *etag = NULL;
        const JsonField fields[] = { { "etag", JSON_TEXT, true, 0, .max = 20 }, {} };
        char header[32];

        if (json_decode(json, strlen(json), fields, JSON_IGNORE_UNKNOWN, &etag, NULL) < 0)
                return;
        (void) snprintf(header, sizeof(header), "\"%s\"", etag);
        (void) http_request_add_header(x->request, "ETag", header);
}

static void on_run_get(const PgReply *reply, void *userdata) {
        Exchange *x = userdata;
        const char *json;
        char key[WAIT_KEY_MAX];

        x->call = NULL;
        if (reply->r < 0) {
                exchange_reply_pg(x, reply);
                return;
        }
        json = pg_text(reply->rows, 0, 0);
        if (json) {
                add_run_etag(x, json);
                exchange_reply_json(x, 200, json);
                return;
        }
        (void) snprintf(key, sizeof(key), "run %.36s", x->params[0]);
        exchange_wait(x, key);
}

static void run_get_nothing(Exchange *x) {
        exchange_reply_empty(x, 304);
}

static void run_get_ask(Exchange *x) {
        exchange_query(
                x, x->route->statement,
                (PgParam[]){ exchange_auth(x), text_param(x->params[0]), text_param(x->text) },
                on_run_get);
}

void route_run_get(Exchange *x) {
        const char *unless = http_request_header(x->request, "If-None-Match");
        unsigned wait;
        char text[ID_TEXT_SIZE];
        Id id;

        if (id_parse(x->params[0], &id) < 0) {
                exchange_reply_problem(x, 404, "run-not-found", "A run's id is a UUID.",
                                       "See \"sluicectl runs\".");
                return;
        }
        if (exchange_query_number(x, "wait", 0, WAIT_MAX_SEC, &wait) < 0)
                return;
        (void) strcpy(x->params[0], id_to_text(id, text));
        if (unless && *unless == '"') {
                x->text = strndup(unless + 1, strcspn(unless + 1, "\""));
                x->deadline_usec = wait > 0 ? clock_usec(CLOCK_MONOTONIC) + wait * USEC_PER_SEC : 0;
        }
        x->again = run_get_ask;
        x->nothing = run_get_nothing;
        run_get_ask(x);
}

static void on_key_created(const PgReply *reply, void *userdata) {
        Exchange *x = userdata;
        _cleanup_(freep) char *whole = NULL;
        const char *json;

        x->call = NULL;
        json = reply->r < 0 ? NULL : pg_text(reply->rows, 0, 0);
        if (!json) {
                exchange_reply_pg(x, reply);
                return;
        }
        /* The database never saw the key itself: it goes in front of what the database says of it. */
        whole = str_format("{\"key\" : \"%s\", %s", x->secret, json + 1);
        (void) http_request_add_header(x->request, "Cache-Control", "no-store");
        exchange_reply_json(x, x->route->success, whole ? whole : "{}");
}

void route_key_create(Exchange *x) {
        _cleanup_(freep) char *type = NULL;
        const JsonField type_field[] = { { "type", JSON_TEXT, true, 0, .max = 16 }, {} };
        unsigned char hash[AUTH_HASH_SIZE];
        size_t size;
        const char *body = http_request_body(x->request, &size);

        if (route_check_body(x) < 0)
                return;
        (void) json_decode(body, size, type_field, JSON_IGNORE_UNKNOWN, &type, NULL);
        if (secret_generate(str_eq(type, "api") ? "sluice_ak_" : "sluice_ek_", x->secret) < 0 ||
            gnutls_hash_fast(GNUTLS_DIG_SHA256, x->secret, strlen(x->secret), hash) < 0) {
                exchange_reply_error(x, -ENOMEM, NULL);
                return;
        }
        exchange_query(
                x, x->route->statement,
                (PgParam[]){
                        exchange_auth(x),
                        text_param(body),
                        { .data = (const char *) hash, .size = sizeof(hash), .binary = true } },
                on_key_created);
}
