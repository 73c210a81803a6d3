/* The route table and docs/openapi.yaml have the same paths, methods and needs of a token; and the router finds its rows. */
#include <errno.h>
#include <stdlib.h>

#include "call-class.h"
#include "cleanup.h"
#include "fileio.h"
#include "proto.h"
#include "router.h"
#include "str.h"
#include "../lib/tap.h"

#define OPERATIONS_MAX 256

typedef struct Operation {
        char path[128];
        char method[8];
        bool public;
} Operation;

static Operation operations[OPERATIONS_MAX];
static size_t n_operations;

static size_t indent_of(const char *line) {
        return strspn(line, " ");
}

/* Of YAML it reads what a document of ours has: a path is a key at indent 2 below paths:, a method one at 4. */
static void read_document(char *text) {
        static const char *const methods[] = { "get", "put", "post", "patch", "delete" };
        bool in_paths = false;
        char path[128] = "";

        for (char *save, *line = strtok_r(text, "\n", &save); line;
             line = strtok_r(NULL, "\n", &save)) {
                size_t indent = indent_of(line), n = strlen(line);
                char *key = line + indent;

                if (indent == 0)
                        in_paths = str_eq(line, "paths:");
                if (!in_paths || n == 0)
                        continue;
                if (indent == 2 && line[n - 1] == ':') {
                        line[n - 1] = '\0';
                        (void) snprintf(path, sizeof(path), "%s", key);
                }
                for (size_t i = 0; indent == 4 && i < ELEMENTSOF(methods); i++)
                        if (str_after(key, methods[i]) && n_operations < OPERATIONS_MAX) {
                                Operation *o = &operations[n_operations++];

                                (void) snprintf(o->path, sizeof(o->path), "%s", path);
                                for (size_t k = 0; methods[i][k]; k++)
                                        o->method[k] = (char) (methods[i][k] - 'a' + 'A');
                        }
                if (indent == 6 && str_eq(key, "security: []") && n_operations > 0)
                        operations[n_operations - 1].public = true;
        }
}

static void test_document_is_read(void) {
        const char *top = getenv("top_srcdir");
        _cleanup_(freep) char *path = str_format("%s/docs/openapi.yaml", top ? top : ".");
        _cleanup_(freep) char *text = NULL;

        ok_int(file_read(path, 1024 * 1024, &text, NULL), 0);
        if (text)
                read_document(text);
        ok_true(n_operations > 20);
}

static void test_each_route_is_described(void) {
        for (const Route *r = routes; r->method; r++) {
                const Operation *found = NULL;

                for (size_t i = 0; i < n_operations; i++)
                        if (str_eq(operations[i].path, r->path) &&
                            str_eq(operations[i].method, r->method))
                                found = &operations[i];
                printf("# %s %s\n", r->method, r->path);
                ok_true(found != NULL);
                ok_true(found && found->public == !r->auth);
        }
}

static void test_each_description_is_a_route(void) {
        for (size_t i = 0; i < n_operations; i++) {
                bool found = false;

                for (const Route *r = routes; r->method; r++)
                        found |= str_eq(operations[i].path, r->path) &&
                                 str_eq(operations[i].method, r->method);
                printf("# %s %s\n", operations[i].method, operations[i].path);
                ok_true(found);
        }
}

static void test_router_fills_in_parameters(void) {
        char params[PATH_PARAMS_MAX][PATH_PARAM_MAX], allow[64] = "";
        const Route *r =
                router_find("GET", "/api/v1/projects/default/pipes/a-b_c/versions", params, allow);

        ok_str(r ? r->path : NULL, "/api/v1/projects/{project}/pipes/{pipe}/versions");
        ok_str(params[0], "default");
        ok_str(params[1], "a-b_c");
}

static void test_router_refuses(void) {
        static const char *const paths[] = { "/",
                                             "",
                                             "/api/v1/nothing",
                                             "/api/v1/runs",
                                             "/api/v1/runs/",
                                             "/api/v1/runs/x/logs/",
                                             "/api/v1/runs//logs",
                                             "/health/x" };
        char params[PATH_PARAMS_MAX][PATH_PARAM_MAX], allow[64] = "";
        char longer[PATH_PARAM_MAX + 64] = "/api/v1/runs/";

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                printf("# \"%s\"\n", paths[i]);
                ok_null(router_find("GET", paths[i], params, allow));
                ok_str(allow, "");
        }
        (void) memset(longer + strlen(longer), 'x', PATH_PARAM_MAX);
        ok_null(router_find("GET", longer, params, allow));
}

static void test_router_names_other_methods(void) {
        char params[PATH_PARAMS_MAX][PATH_PARAM_MAX], allow[64] = "";

        ok_null(router_find("DELETE", "/api/v1/agents", params, allow));
        ok_contains(allow, "GET");
        ok_contains(allow, "POST");
}

static void test_requests_are_bounded(void) {
        for (const Route *r = routes; r->method; r++)
                if (r->body != BODY_NONE) {
                        printf("# %s %s\n", r->method, r->path);
                        ok_true(r->body_max > 0 && r->body_max <= 1024 * 1024);
                }
}

static void test_each_function_has_a_class(void) {
        for (const Route *r = routes; r->method; r++) {
                if (!r->statement)
                        continue;
                printf("# %s\n", r->statement->name);
                ok_true(call_is_classified(r->statement->name));
                /* What only reads may be read again. */
                if (str_eq(r->method, "GET"))
                        ok_int(call_class(r->statement->name), CALL_SAFE);
        }
        ok_int(call_class("run_create"), CALL_KEYED);
        ok_int(call_class("key_create"), CALL_ONCE);
        ok_int(call_class("nothing"), CALL_ONCE);
}

int main(void) {
        RUN(test_each_function_has_a_class);
        RUN(test_document_is_read);
        RUN(test_each_route_is_described);
        RUN(test_each_description_is_a_route);
        RUN(test_router_fills_in_parameters);
        RUN(test_router_refuses);
        RUN(test_router_names_other_methods);
        RUN(test_requests_are_bounded);
        return tap_done();
}
