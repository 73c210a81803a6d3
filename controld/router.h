/* The route table and how a request finds its row. A handler runs only after method, path, identity, size and content type
 * have been checked. */
#pragma once

#include "exchange.h"
#include "json-in.h"

typedef enum BodyKind {
        BODY_NONE,
        BODY_JSON,  /* application/json */
        BODY_PIPE,  /* text/plain or application/json */
        BODY_CHUNK, /* application/zstd */
} BodyKind;

/* Where a parameter of a route's statement comes from. */
typedef enum BindKind {
        BIND_END,
        BIND_AUTH,
        BIND_PATH, /* path parameter `index` */
        BIND_PATH_UUID,
        BIND_QUERY, /* query parameter `name`, NULL when absent */
        BIND_LIMIT, /* ?limit=, 1 to 1000, 100 when absent */
        BIND_HEADER,
        BIND_BODY,
        BIND_WEBHOOK_KEY, /* the id of the key that secrets of webhooks are derived from */
} BindKind;

typedef struct Bind {
        BindKind kind;
        unsigned index;
        const char *name;
} Bind;

#define BINDS_MAX 7

struct Route {
        const char *method;
        const char *path; /* "/api/v1/runs/{run}/logs" */
        bool auth;        /* a bearer token is required; the database says whether it is good */
        BodyKind body;
        size_t body_max;
        void (*handler)(Exchange *x); /* route_statement() for most */
        const Statement *statement;   /* answers with one json value, the body of the reply */
        Bind binds[BINDS_MAX];
        const JsonField *fields;   /* what a JSON body may hold */
        size_t size;               /* of the struct they fill */
        unsigned success;          /* status, 200 when 0 */
        const Statement *together; /* the same for many requests, see batch.h */
        bool lenient;              /* unknown members are ignored: the agent protocol */
};

extern const Route routes[]; /* ends with a NULL method */

/* The row for a method and path, its parameters filled in. NULL: 404, or 405 when *ret_allow names other methods. */
const Route *router_find(const char *method, const char *path,
                         char params[PATH_PARAMS_MAX][PATH_PARAM_MAX], char allow[64]);

/* Binds the route's parameters and replies with what the statement answers. */
void route_statement(Exchange *x);

/* Checks the JSON body against the route's fields, replying 400 when it does not fit. */
int route_check_body(Exchange *x);
