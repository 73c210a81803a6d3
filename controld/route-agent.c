/* The agent protocol: what is more than a statement. */
#include <errno.h>
#include <gnutls/crypto.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "cleanup.h"
#include "id.h"
#include "json-in.h"
#include "json-out.h"
#include "log.h"
#include "message-ids.h"
#include "parse.h"
#include "proto.h"
#include "router.h"
#include "routes.h"
#include "str.h"
#include "timespan.h"
#include "worker.h"

static void on_enrolled(const PgReply *reply, void *userdata) {
        Exchange *x = userdata;
        _cleanup_(freep) char *json = NULL;
        JsonOut o = {};

        x->call = NULL;
        if (reply->r < 0) {
                exchange_reply_pg(x, reply);
                return;
        }
        log_message(LOG_NOTICE, MSG_AGENT_ENROLLED, NULL, "Agent \"%s\" has joined, instance %s.",
                    pg_text(reply->rows, 0, 2), pg_text(reply->rows, 0, 1));
        json_out_object(&o, NULL);
        json_out_text(&o, "agent", pg_text(reply->rows, 0, 0));
        json_out_text(&o, "instance", pg_text(reply->rows, 0, 1));
        json_out_text(&o, "name", pg_text(reply->rows, 0, 2));
        json_out_text(&o, "credential", x->secret);
        json_out_end_object(&o);
        if (json_out_take(&o, &json) < 0) {
                exchange_reply_error(x, -ENOMEM, NULL);
                return;
        }
        (void) http_request_add_header(x->request, "Cache-Control", "no-store");
        exchange_reply_json(x, 200, json);
        explicit_bzero(json, strlen(json));
}

void route_agent_enroll(Exchange *x) {
        unsigned char hash[AUTH_HASH_SIZE];
        size_t size;

        if (route_check_body(x) < 0)
                return;
        if (secret_generate("sluice_ic_", x->secret) < 0 ||
            gnutls_hash_fast(GNUTLS_DIG_SHA256, x->secret, strlen(x->secret), hash) < 0) {
                exchange_reply_error(x, -ENOMEM, NULL);
                return;
        }
        exchange_query(
                x, x->route->statement,
                (PgParam[]){
                        exchange_auth(x),
                        text_param(http_request_body(x->request, &size)),
                        { .data = (const char *) hash, .size = sizeof(hash), .binary = true } },
                on_enrolled);
}

static void on_synced(const PgReply *reply, void *userdata) {
        Exchange *x = userdata;
        const char *instance, *answer;
        char key[WAIT_KEY_MAX];

        x->call = NULL;
        if (reply->r < 0) {
                exchange_reply_pg(x, reply);
                return;
        }
        instance = exchange_text(x, reply, 0);
        answer = exchange_text(x, reply, 1);
        if (!instance) {
                exchange_reply_problem(x, 500, "internal",
                                       "The database answered without an instance.", NULL);
                return;
        }
        http_request_name_peer(x->request, instance);
        if (!x->waiter.on_wake)
                worker_saw_instance(x->worker, instance);
        if (answer) {
                exchange_reply_json(x, 200, answer);
                return;
        }
        (void) snprintf(key, sizeof(key), "instance %s", instance);
        exchange_wait(x, key);
}

static void sync_nothing(Exchange *x) {
        exchange_reply_json(x, 200, "{}");
}

static void sync_alone(Exchange *x) {
        size_t size;

        exchange_query(
                x, x->route->statement,
                (PgParam[]){ exchange_auth(x), text_param(http_request_body(x->request, &size)) },
                on_synced);
}

static void sync_ask(Exchange *x) {
        size_t size;

        exchange_query_together(x, http_request_body(x->request, &size), on_synced, sync_alone);
}

void route_agent_sync(Exchange *x) {
        ProtoSync body = {};
        Error e = {};
        size_t size;
        const char *json = http_request_body(x->request, &size);
        int r = json_decode(json, size, proto_sync_fields, JSON_IGNORE_UNKNOWN, &body, &e);
        uint32_t wait = body.wait_sec;

        json_done(proto_sync_fields, &body);
        if (r < 0) {
                exchange_reply_error(x, r, &e);
                return;
        }
        if (wait > 0)
                x->deadline_usec = clock_usec(CLOCK_MONOTONIC) + wait * USEC_PER_SEC;
        x->again = sync_ask;
        x->nothing = sync_nothing;
        sync_ask(x);
}

static void on_log_appended(const PgReply *reply, void *userdata) {
        Exchange *x = userdata;
        _cleanup_(freep) char *json = NULL;
        const char *accepted, *sequence, *monotonic;
        JsonOut o = {};

        x->call = NULL;
        if (reply->r < 0) {
                exchange_reply_pg(x, reply);
                return;
        }
        accepted = pg_text(reply->rows, 0, 0);
        sequence = pg_text(reply->rows, 0, 1);
        monotonic = pg_text(reply->rows, 0, 3);
        json_out_object(&o, NULL);
        json_out_text(&o, "code", str_eq(accepted, "t") ? "stored" : "log-out-of-sequence");
        json_out_raw(&o, "sequence", sequence ? sequence : "0");
        json_out_text(&o, "cursor", pg_text(reply->rows, 0, 2));
        json_out_raw(&o, "monotonic_usec", monotonic ? monotonic : "0");
        json_out_end_object(&o);
        if (json_out_take(&o, &json) < 0)
                exchange_reply_error(x, -ENOMEM, NULL);
        else
                exchange_reply_json(x, str_eq(accepted, "t") ? 200 : 409, json);
}

void route_agent_logs(Exchange *x) {
        static const struct {
                const char *name;
                uint64_t max; /* of a number; 0: a text */
        } queries[] = {
                { "attempt", 0 },
                { "epoch", INT32_MAX },
                { "sequence", INT32_MAX },
                { "entries", INT32_MAX },
                { "first_cursor", 0 },
                { "last_cursor", 0 },
                { "first_realtime_usec", INT64_MAX },
                { "last_realtime_usec", INT64_MAX },
                { "last_monotonic_usec", INT64_MAX },
        };
        PgParam params[12] = { exchange_auth(x) };
        char content_size[24];
        unsigned entries;
        size_t size, content;
        const char *data = http_request_body(x->request, &size);
        uint64_t n;
        Id id;

        for (size_t i = 0; i < ELEMENTSOF(queries); i++) {
                const char *value = http_request_query(x->request, queries[i].name);

                if (!value || strlen(value) > 512 || (i == 0 && id_parse(value, &id) < 0) ||
                    (queries[i].max && parse_u64_range(value, 0, queries[i].max, &n) < 0)) {
                        exchange_reply_problem(x, 400, "bad-query", queries[i].name,
                                               "This query parameter is missing or wrong.");
                        return;
                }
                params[i + 1] = text_param(value);
        }
        if (chunk_check(data, size, &entries, &content) < 0 || parse_u64(params[4].data, &n) < 0 ||
            n != entries) {
                exchange_reply_problem(x, 400, "bad-chunk",
                                       "The body is not a chunk as docs/PROTOCOL.md describes.",
                                       NULL);
                return;
        }
        (void) snprintf(content_size, sizeof(content_size), "%zu", content);
        params[10] = text_param(content_size);
        params[11] = (PgParam){ .data = data, .size = size, .binary = true };
        exchange_query(x, x->route->statement, params, on_log_appended);
}
