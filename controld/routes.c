/* The route table: docs/openapi.yaml in C. A test holds the two together. */
#include <stddef.h>

#include "chunk.h"
#include "json-in.h"
#include "pipe.h"
#include "proto.h"
#include "router.h"
#include "routes.h"

#define KIB 1024

typedef struct NamedBody {
        char *text[6];
        char **list[2];
        uint32_t number[2];
} NamedBody;

static const JsonField project_fields[] = {
        { "project", JSON_TEXT, true, offsetof(NamedBody, text[0]), .max = 63 },
        {},
};
static const JsonField project_set_fields[] = {
        { "concurrency_limit", JSON_U32, false, offsetof(NamedBody, number[0]), .max = 1000000 },
        {},
};
static const JsonField run_fields[] = {
        { "pipe", JSON_TEXT, true, offsetof(NamedBody, text[0]), .max = 63 },
        { "version", JSON_TEXT, false, offsetof(NamedBody, text[1]), .max = 16 },
        {},
};
static const JsonField agent_fields[] = {
        { "name", JSON_TEXT, true, offsetof(NamedBody, text[0]), .max = 30 },
        { "type", JSON_TEXT, false, offsetof(NamedBody, text[1]), .max = 16 },
        { "labels", JSON_MAP, false, offsetof(NamedBody, list[0]), .max = 64 },
        {},
};
static const JsonField key_fields[] = {
        { "type", JSON_TEXT, true, offsetof(NamedBody, text[0]), .max = 16 },
        { "agents", JSON_STRV, false, offsetof(NamedBody, list[0]), .max = 1000 },
        { "labels", JSON_MAP, false, offsetof(NamedBody, list[1]), .max = 64 },
        { "agent_type", JSON_TEXT, false, offsetof(NamedBody, text[1]), .max = 16 },
        { "max_uses", JSON_U32, false, offsetof(NamedBody, number[0]), .max = 1000000 },
        { "expires_sec", JSON_U32, false, offsetof(NamedBody, number[1]),
          .max = 10U * 366 * 86400 },
        { "description", JSON_TEXT, false, offsetof(NamedBody, text[2]), .max = 200 },
        {},
};

#define S(name_, call_, n_) (&(const Statement){ name_, "SELECT " call_, n_ })

const Route routes[] = {
        { "GET", "/health", .handler = route_health },
        { "GET", "/ready", .handler = route_ready, .statement = S("ready", "api.ready()", 0) },

        { "GET", "/api/v1/projects", true, .handler = route_statement,
          .statement = S("project_list", "api.project_list($1)", 1), .binds = { { BIND_AUTH } } },
        { "POST",
          "/api/v1/projects",
          true,
          BODY_JSON,
          4 * KIB,
          route_statement,
          S("project_create", "api.project_create($1, $2::text::jsonb ->> 'project')", 2),
          { { BIND_AUTH }, { BIND_BODY } },
          project_fields,
          sizeof(NamedBody),
          201 },
        { "GET", "/api/v1/projects/{project}", true, .handler = route_statement,
          .statement = S("project_get", "api.project_get($1, $2)", 2),
          .binds = { { BIND_AUTH }, { BIND_PATH, 0 } } },

        { "PATCH",
          "/api/v1/projects/{project}",
          true,
          BODY_JSON,
          4 * KIB,
          route_statement,
          S("project_set", "api.project_set($1, $2, $3::text::jsonb)", 3),
          { { BIND_AUTH }, { BIND_PATH, 0 }, { BIND_BODY } },
          project_set_fields,
          sizeof(NamedBody) },

        { "GET", "/api/v1/projects/{project}/pipes", true, .handler = route_statement,
          .statement = S("pipe_list", "api.pipe_list($1, $2, $3::text::int, $4)", 4),
          .binds = { { BIND_AUTH },
                     { BIND_PATH, 0 },
                     { BIND_LIMIT },
                     { BIND_QUERY, .name = "after" } } },
        { "PUT", "/api/v1/projects/{project}/pipes/{pipe}", true, BODY_PIPE, PIPE_TEXT_MAX,
          route_pipe_put, S("pipe_put", "api.pipe_put($1, $2, $3, $4, $5::text::jsonb, $6)", 6) },
        { "GET", "/api/v1/projects/{project}/pipes/{pipe}", true, .handler = route_statement,
          .statement = S("pipe_get", "api.pipe_get($1, $2, $3, $4)", 4),
          .binds = { { BIND_AUTH },
                     { BIND_PATH, 0 },
                     { BIND_PATH, 1 },
                     { BIND_QUERY, .name = "version" } } },
        { "GET", "/api/v1/projects/{project}/pipes/{pipe}/versions", true,
          .handler = route_statement,
          .statement = S("pipe_versions", "api.pipe_versions($1, $2, $3)", 3),
          .binds = { { BIND_AUTH }, { BIND_PATH, 0 }, { BIND_PATH, 1 } } },

        { "GET", "/api/v1/projects/{project}/runs", true, .handler = route_statement,
          .statement =
                  S("run_list", "api.run_list($1, $2, $3, $4, $5::text::int, $6::text::uuid)", 6),
          .binds = { { BIND_AUTH },
                     { BIND_PATH, 0 },
                     { BIND_QUERY, .name = "pipe" },
                     { BIND_QUERY, .name = "state" },
                     { BIND_LIMIT },
                     { BIND_QUERY, .name = "after" } } },
        { "POST",
          "/api/v1/projects/{project}/runs",
          true,
          BODY_JSON,
          16 * KIB,
          route_statement,
          S("run_create",
            "api.run_create($1, $2, $3::text::jsonb ->> 'pipe', $3::text::jsonb ->> 'version', $4)",
            4),
          { { BIND_AUTH },
            { BIND_PATH, 0 },
            { BIND_BODY },
            { BIND_HEADER, .name = "Idempotency-Key" } },
          run_fields,
          sizeof(NamedBody),
          201,
          &(const Statement){ "run_create_batch",
                              "SELECT * FROM api.run_create_batch($1, $2::text::jsonb)", 2 } },
        { "GET", "/api/v1/runs/{run}", true, .handler = route_run_get,
          .statement = S("run_get", "api.run_get($1, $2::text::uuid, $3)", 3) },
        { "POST", "/api/v1/runs/{run}/cancel", true, .handler = route_statement,
          .statement = S("run_cancel", "api.run_cancel($1, $2::text::uuid)", 2),
          .binds = { { BIND_AUTH }, { BIND_PATH_UUID, 0 } } },
        { "GET", "/api/v1/runs/{run}/explain", true, .handler = route_statement,
          .statement = S("run_explain", "api.run_explain($1, $2::text::uuid)", 2),
          .binds = { { BIND_AUTH }, { BIND_PATH_UUID, 0 } } },
        { "GET", "/api/v1/runs/{run}/attempts", true, .handler = route_statement,
          .statement = S("attempt_list", "api.attempt_list($1, $2::text::uuid)", 2),
          .binds = { { BIND_AUTH }, { BIND_PATH_UUID, 0 } } },
        { "GET", "/api/v1/runs/{run}/logs", true, .handler = route_run_logs,
          .statement =
                  &(const Statement){
                          "run_logs",
                          "SELECT * FROM api.run_logs($1, $2::text::uuid, $3, $4, $5::text::int)",
                          5 } },
        { "GET", "/api/v1/attempts/{attempt}", true, .handler = route_statement,
          .statement = S("attempt_get", "api.attempt_get($1, $2::text::uuid)", 2),
          .binds = { { BIND_AUTH }, { BIND_PATH_UUID, 0 } } },
        { "GET", "/api/v1/attempts/{attempt}/metrics", true, .handler = route_statement,
          .statement = S("attempt_metrics", "api.attempt_metrics($1, $2::text::uuid)", 2),
          .binds = { { BIND_AUTH }, { BIND_PATH_UUID, 0 } } },

        { "GET", "/api/v1/agents", true, .handler = route_statement,
          .statement = S("agent_list", "api.agent_list($1)", 1), .binds = { { BIND_AUTH } } },
        { "POST",
          "/api/v1/agents",
          true,
          BODY_JSON,
          16 * KIB,
          route_statement,
          S("agent_create", "api.agent_create($1, $2::text::jsonb)", 2),
          { { BIND_AUTH }, { BIND_BODY } },
          agent_fields,
          sizeof(NamedBody),
          201 },
        { "GET", "/api/v1/agents/{agent}", true, .handler = route_statement,
          .statement = S("agent_get", "api.agent_get($1, $2)", 2),
          .binds = { { BIND_AUTH }, { BIND_PATH, 0 } } },

        { "GET", "/api/v1/agents/{agent}/explain", true, .handler = route_statement,
          .statement = S("agent_explain", "api.agent_explain($1, $2)", 2),
          .binds = { { BIND_AUTH }, { BIND_PATH, 0 } } },

        { "GET", "/api/v1/keys", true, .handler = route_statement,
          .statement = S("key_list", "api.key_list($1)", 1), .binds = { { BIND_AUTH } } },
        { "POST", "/api/v1/keys", true, BODY_JSON, 64 * KIB, route_key_create,
          S("key_create", "api.key_create($1, $2::text::jsonb, $3)", 3), .fields = key_fields,
          .size = sizeof(NamedBody), .success = 201 },
        { "DELETE", "/api/v1/keys/{key}", true, .handler = route_statement,
          .statement = S("key_revoke", "api.key_revoke($1, $2::text::uuid)", 2),
          .binds = { { BIND_AUTH }, { BIND_PATH_UUID, 0 } } },

        { "POST", "/agent/v1/enroll", true, BODY_JSON, 16 * KIB, route_agent_enroll,
          &(const Statement){ "agent_enroll",
                              "SELECT * FROM api.agent_enroll($1, $2::text::jsonb, $3)", 3 },
          .fields = proto_enroll_fields, .size = sizeof(ProtoEnroll), .lenient = true },
        { "POST", "/agent/v1/sync", true, BODY_JSON, 512 * KIB, route_agent_sync,
          &(const Statement){ "agent_sync", "SELECT * FROM api.agent_sync($1, $2::text::jsonb)",
                              2 },
          .fields = proto_sync_fields, .size = sizeof(ProtoSync), .lenient = true,
          .together = &(const Statement){ "agent_sync_batch",
                                          "SELECT * FROM api.agent_sync_batch($1, $2::text::jsonb)",
                                          2 } },
        { "POST",
          "/agent/v1/events",
          true,
          BODY_JSON,
          512 * KIB,
          route_statement,
          S("agent_events", "api.agent_events($1, $2::text::jsonb)", 2),
          { { BIND_AUTH }, { BIND_BODY } },
          proto_events_fields,
          sizeof(ProtoEvents),
          .lenient = true,
          .together =
                  &(const Statement){ "agent_events_batch",
                                      "SELECT * FROM api.agent_events_batch($1, $2::text::jsonb)",
                                      2 } },
        { "POST", "/agent/v1/logs", true, BODY_CHUNK, CHUNK_DATA_MAX, route_agent_logs,
          &(const Statement){
                  "agent_log_append",
                  "SELECT * FROM api.agent_log_append($1, $2::text::uuid, $3::text::int, "
                  "$4::text::int, $5::text::int, $6, $7,"
                  " $8::text::int8, $9::text::int8, $10::text::int8, $11::text::int, $12)",
                  12 } },
        { "POST",
          "/agent/v1/metrics",
          true,
          BODY_JSON,
          256 * KIB,
          route_statement,
          S("agent_metrics", "api.agent_metrics($1, $2::text::jsonb)", 2),
          { { BIND_AUTH }, { BIND_BODY } },
          proto_metrics_fields,
          sizeof(ProtoMetrics),
          .lenient = true },
        { "POST",
          "/agent/v1/goodbye",
          true,
          BODY_JSON,
          4 * KIB,
          route_statement,
          S("agent_goodbye", "api.agent_goodbye($1, $2::text::jsonb)", 2),
          { { BIND_AUTH }, { BIND_BODY } },
          proto_goodbye_fields,
          sizeof(ProtoGoodbye),
          .lenient = true },
        {},
};
