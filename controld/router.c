/* Finding a route, and the handler that most routes share. */
#include "router.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "id.h"
#include "json-out.h"
#include "parse.h"
#include "routes.h"
#include "str.h"

/* Compares one path with one pattern, segment by segment. */
static bool path_matches(const char *pattern, const char *path,
                         char params[PATH_PARAMS_MAX][PATH_PARAM_MAX]) {
        unsigned n = 0;

        while (*pattern && *path) {
                size_t length = strcspn(path, "/");

                if (*pattern != '{') {
                        if (*pattern++ != *path++)
                                return false;
                        continue;
                }
                if (length == 0 || length >= PATH_PARAM_MAX || n >= PATH_PARAMS_MAX)
                        return false;
                (void) memcpy(params[n], path, length);
                params[n++][length] = '\0';
                path += length;
                pattern = strchr(pattern, '}') + 1;
        }
        return *pattern == *path;
}

const Route *router_find(const char *method, const char *path,
                         char params[PATH_PARAMS_MAX][PATH_PARAM_MAX], char allow[64]) {
        size_t n = 0;

        *allow = '\0';
        for (const Route *r = routes; r->method; r++) {
                if (!path_matches(r->path, path, params))
                        continue;
                if (str_eq(r->method, method))
                        return r;
                if (n < 64)
                        n += (size_t) snprintf(allow + n, 64 - n, "%s%s", n ? ", " : "", r->method);
        }
        return NULL;
}

int route_check_body(Exchange *x) {
        const Route *route = x->route;
        void *scratch;
        Error e = {};
        size_t size;
        const char *body = http_request_body(x->request, &size);
        int r;

        if (!route->fields)
                return 0;
        scratch = calloc(1, route->size);
        if (!scratch) {
                exchange_reply_error(x, -ENOMEM, NULL);
                return -ENOMEM;
        }
        r = json_decode(body, size, route->fields,
                        route->lenient ? JSON_IGNORE_UNKNOWN : JSON_REFUSE_UNKNOWN, scratch, &e);
        json_done(route->fields, scratch);
        free(scratch);
        if (r < 0)
                exchange_reply_error(x, r, &e);
        return r;
}

static void on_statement(const PgReply *reply, void *userdata) {
        Exchange *x = userdata;
        const char *json;

        x->call = NULL;
        if (reply->r < 0) {
                exchange_reply_pg(x, reply);
                return;
        }
        json = exchange_text(x, reply, 0);
        if (json && *json)
                exchange_reply_json(x, x->route->success ? x->route->success : 200, json);
        else
                exchange_reply_empty(x, 204);
}

/* One parameter. -EINVAL after replying. */
static int bind(Exchange *x, const Bind *b, char limit[16], PgParam *ret) {
        const char *text = NULL;
        unsigned n;
        size_t size;
        Id id;

        switch (b->kind) {
        case BIND_AUTH:
                *ret = exchange_auth(x);
                return 0;
        case BIND_PATH_UUID:
                if (id_parse(x->params[b->index], &id) < 0) {
                        exchange_reply_problem(x, 404, "bad-id",
                                               "The path holds no UUID where one is expected.",
                                               NULL);
                        return -EINVAL;
                }
                text = x->params[b->index];
                break;
        case BIND_PATH:
                text = x->params[b->index];
                break;
        case BIND_QUERY:
                text = http_request_query(x->request, b->name);
                break;
        case BIND_LIMIT:
                if (exchange_query_number(x, "limit", 100, 1000, &n) < 0)
                        return -EINVAL;
                (void) snprintf(limit, 16, "%u", n ? n : 1);
                text = limit;
                break;
        case BIND_HEADER:
                text = http_request_header(x->request, b->name);
                break;
        case BIND_BODY:
                text = http_request_body(x->request, &size);
                break;
        case BIND_WEBHOOK_KEY:
                text = route_webhook_key(x, NULL);
                if (!text)
                        return -EINVAL;
                break;
        case BIND_END:
                break;
        }
        *ret = text_param(text);
        return 0;
}

static void statement_alone(Exchange *x) {
        PgParam params[BINDS_MAX] = {};
        char limit[16];

        for (unsigned i = 0; x->route->binds[i].kind != BIND_END; i++)
                if (bind(x, &x->route->binds[i], limit, &params[i]) < 0)
                        return;
        exchange_query(x, x->route->statement, params, on_statement);
}

/* {"project": …, "key": Idempotency-Key, "body": …}, or the body alone where there is no such parameter. */
static int part_of(Exchange *x, const char **ret) {
        const char *name = strchr(x->route->path, '{');
        size_t size;
        JsonOut o = {};
        int r;

        if (!name) {
                *ret = http_request_body(x->request, &size);
                return 0;
        }
        json_out_object(&o, NULL);
        json_out_text(&o, "project", x->params[0]);
        json_out_text(&o, "key", http_request_header(x->request, "Idempotency-Key"));
        json_out_raw(&o, "body", http_request_body(x->request, &size));
        json_out_end_object(&o);
        r = json_out_take(&o, &x->text);
        *ret = x->text;
        return r;
}

void route_statement(Exchange *x) {
        const char *json;

        if (route_check_body(x) < 0)
                return;
        if (!x->route->together)
                statement_alone(x);
        else if (part_of(x, &json) < 0)
                exchange_reply_error(x, -ENOMEM, NULL);
        else
                exchange_query_together(x, json, on_statement, statement_alone);
}
