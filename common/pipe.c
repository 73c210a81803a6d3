/* What a pipe is, apart from its text: checks, normal form, version. */
#include "pipe.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "directive.h"
#include "json-out.h"
#include "parse.h"
#include "pipe-internal.h"
#include "str.h"
#include "strv.h"

#define PRIORITY_MAX 1000
#define LIMIT_MAX 1000000
#define RETRY_ON_MAX 64
#define RETRY_MAX 1000

static const JsonField task_fields[] = {
        { "name", JSON_TEXT, true, offsetof(PipeTask, name), .max = 63 },
        { "after", JSON_STRV, false, offsetof(PipeTask, after), .max = PIPE_TASKS_MAX },
        { "after_failure", JSON_STRV, false, offsetof(PipeTask, after_failure),
          .max = PIPE_TASKS_MAX },
        { "after_any", JSON_STRV, false, offsetof(PipeTask, after_any), .max = PIPE_TASKS_MAX },
        { "retry", JSON_RAW, false, offsetof(PipeTask, retry) },
        { "retry_backoff_sec", JSON_TEXT, false, offsetof(PipeTask, retry_backoff), .max = 64 },
        { "retry_max_backoff_sec", JSON_TEXT, false, offsetof(PipeTask, retry_max_backoff),
          .max = 64 },
        { "retry_on", JSON_STRV, false, offsetof(PipeTask, retry_on), .max = RETRY_ON_MAX },
        { "directives", JSON_PAIRS, true, offsetof(PipeTask, directives),
          .max = PIPE_DIRECTIVES_MAX },
        {},
};

static const JsonField pipe_fields[] = {
        { "description", JSON_TEXT, false, offsetof(Pipe, description), .max = PIPE_VALUE_MAX },
        { "type", JSON_TEXT, false, offsetof(Pipe, type), .max = 16 },
        { "agent_selector", JSON_RAW, false, offsetof(Pipe, selector_json) },
        { "priority", JSON_RAW, false, offsetof(Pipe, priority) },
        { "concurrency_policy", JSON_TEXT, false, offsetof(Pipe, concurrency_policy), .max = 16 },
        { "concurrency_limit", JSON_RAW, false, offsetof(Pipe, concurrency_limit) },
        { "concurrency_key", JSON_TEXT, false, offsetof(Pipe, concurrency_key), .max = 63 },
        { "delivery", JSON_TEXT, false, offsetof(Pipe, delivery), .max = 16 },
        { "on_agent_loss", JSON_TEXT, false, offsetof(Pipe, on_agent_loss), .max = 16 },
        { "overlap", JSON_TEXT, false, offsetof(Pipe, overlap), .max = 16 },
        { "tasks", JSON_ARRAY, true, offsetof(Pipe, tasks), .max = PIPE_TASKS_MAX,
          .fields = task_fields, .size = sizeof(PipeTask) },
        {},
};

Pipe *pipe_free(Pipe *p) {
        if (!p)
                return NULL;
        json_done(pipe_fields, p);
        selector_done(&p->selector);
        free(p);
        return NULL;
}

int pipe_name_check(const char *name) {
        static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
        size_t n = strlen(name);

        return n >= 1 && n <= 63 && *name != '_' && *name != '-' && strspn(name, alphabet) == n
                       ? 0
                       : -EINVAL;
}

int pipe_add_task(Pipe *p, const char *name, PipeTask **ret) {
        PipeTask *grown = reallocarray(p->tasks.items, p->tasks.count + 1, sizeof(PipeTask));
        PipeTask *t;

        if (!grown)
                return -ENOMEM;
        p->tasks.items = grown;
        t = grown + p->tasks.count;
        *t = (PipeTask){ .name = strdup(name) };
        if (!t->name)
                return -ENOMEM;
        p->tasks.count++;
        *ret = t;
        return 0;
}

static PipeTask *task_at(const Pipe *p, size_t i) {
        return (PipeTask *) p->tasks.items + i;
}

static int task_check(const Pipe *p, const PipeTask *t, size_t *ret_directive, Error *e) {
        bool exec = false;
        int r;

        if (pipe_name_check(t->name) < 0)
                return error_set(e, -EINVAL, "bad-name",
                                 "\"%.64s\" is no task name: a-z, 0-9, _ and -, at most 63",
                                 t->name);
        if (task_at(p, pipe_task_index(p, t->name)) != t)
                return error_set(e, -EINVAL, "duplicate-task", "task \"%s\" stands twice", t->name);
        r = pipe_check_edges(p, t, e);
        if (r >= 0)
                r = pipe_check_retry(p, t, e);
        if (r < 0)
                return r;
        for (char **d = t->directives; d && *d; d += 2) {
                const Directive *row = directive_find(d[0]);

                *ret_directive = (size_t) (d - t->directives) / 2;
                if (!row)
                        return directive_refuse(d[0], e);
                for (char **before = t->directives; before < d && !row->repeats; before += 2)
                        if (str_eq(before[0], d[0]))
                                return error_set(e, -EINVAL, "duplicate-directive",
                                                 "%s= stands twice", d[0]);
                r = directive_check(row, d[1], e);
                if (r < 0)
                        return error_prefix(e, "%s=: ", d[0]);
                exec |= str_eq(d[0], "ExecStart");
        }
        *ret_directive = SIZE_MAX;
        return exec ? 0
                    : error_set(e, -EINVAL, "no-command", "task \"%s\" has no ExecStart=", t->name);
}

static int choice_check(const char *key, const char *value, const char *const words[], Error *e) {
        _cleanup_(freep) char *all = NULL;

        if (!value || strv_contains((char *const *) words, value))
                return 0;
        all = strv_join((char *const *) words, ", ");
        return error_set(e, -EINVAL, "bad-value", "%s=%.64s is not one of %s", key, value,
                         all ? all : "those that are known");
}

/* A whole number in its shortest form; the text is JSON's or a pipe file's. */
static int number_settle(char **slot, const char *key, int min, int max, Error *e) {
        const char *digits = *slot ? *slot + (**slot == '-') : NULL;
        _cleanup_(freep) char *settled = NULL;
        uint64_t n;
        int value;

        if (!digits)
                return 0;
        if (parse_u64_range(digits, 0, LIMIT_MAX, &n) < 0)
                n = UINT32_MAX / 2;
        value = digits == *slot ? (int) n : -(int) n;
        if (value < min || value > max)
                return error_set(e, -EINVAL, "bad-value", "%s=: a number from %d to %d is expected",
                                 key, min, max);
        settled = str_format("%d", value);
        return settled ? str_replace(slot, settled) : -ENOMEM;
}

int pipe_settle(Pipe *p, Error *e) {
        int r = number_settle(&p->priority, "Priority", -PRIORITY_MAX, PRIORITY_MAX, e);

        if (r >= 0)
                r = number_settle(&p->concurrency_limit, "ConcurrencyLimit", 1, LIMIT_MAX, e);
        for (size_t i = 0; r >= 0 && i < p->tasks.count; i++)
                r = number_settle(&task_at(p, i)->retry, "Retry", 1, RETRY_MAX, e);
        if (r >= 0 && p->concurrency_key && !label_name_ok(p->concurrency_key))
                r = error_set(e, -EINVAL, "bad-value",
                              "ConcurrencyKey=: letters, digits and _./- are expected, at most 63");
        return r;
}

/* Words that a later release will know are said to be no word of this one. */
static int choices_check(const Pipe *p, PipePlace *place, Error *e) {
        static const char *const types[] = { "batch", "streaming", NULL };
        static const char *const policies[] = { "allow", NULL };
        static const char *const later_policies[] = { "forbid", "queue", "replace", NULL };
        static const char *const deliveries[] = { "at-least-once", "at-most-once", NULL };
        static const char *const losses[] = { "wait", "retry", "fail", NULL };
        static const char *const overlaps[] = { "no", "brief", NULL };
        const struct {
                const char *key, *value;
                const char *const *words, *const *later;
        } rows[] = {
                { "Type", p->type, types, NULL },
                { "ConcurrencyPolicy", p->concurrency_policy, policies, later_policies },
                { "Delivery", p->delivery, deliveries, NULL },
                { "OnAgentLoss", p->on_agent_loss, losses, NULL },
                { "Overlap", p->overlap, overlaps, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                int r;

                place->key = rows[i].key;
                if (rows[i].value && rows[i].later &&
                    strv_contains((char *const *) rows[i].later, rows[i].value))
                        return error_set(e, -EINVAL, "unsupported",
                                         "%s=%s is not supported by this release, only %s",
                                         rows[i].key, rows[i].value, rows[i].words[0]);
                r = choice_check(rows[i].key, rows[i].value, rows[i].words, e);
                if (r < 0)
                        return r;
        }
        place->key = NULL;
        return 0;
}

int pipe_check(const Pipe *p, PipePlace *ret, Error *e) {
        int r;

        *ret = (PipePlace){ .task = p->tasks.count, .directive = SIZE_MAX };
        r = choices_check(p, ret, e);
        if (r >= 0 && p->tasks.count == 0)
                r = error_set(e, -EINVAL, "no-task", "a pipe needs at least one [Task NAME]");
        for (size_t i = 0; r >= 0 && i < p->tasks.count; i++) {
                ret->task = i;
                r = task_check(p, task_at(p, i), &ret->directive, e);
        }
        if (r >= 0)
                r = pipe_check_type(p, ret, e);
        return r < 0 ? r : pipe_check_graph(p, &ret->task, e);
}

int pipe_from_json(const char *json, size_t size, Pipe **ret, Error *e) {
        _cleanup_(pipe_freep) Pipe *p = calloc(1, sizeof(*p));
        PipePlace place;
        int r;

        if (!p)
                return -ENOMEM;
        r = json_decode(json, size, pipe_fields, JSON_REFUSE_UNKNOWN, p, e);
        if (r >= 0 && p->selector_json)
                r = selector_from_json(p->selector_json, &p->selector, e);
        if (r >= 0)
                r = pipe_settle(p, e);
        if (r >= 0)
                r = pipe_check(p, &place, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

static void names_out(JsonOut *o, const char *key, char *const *names) {
        json_out_array(o, key);
        STRV_FOREACH(name, names)
                json_out_text(o, NULL, *name);
        json_out_end_array(o);
}

static void task_out(JsonOut *o, const PipeTask *t) {
        json_out_object(o, NULL);
        json_out_text(o, "name", t->name);
        names_out(o, "after", t->after);
        if (t->after_failure)
                names_out(o, "after_failure", t->after_failure);
        if (t->after_any)
                names_out(o, "after_any", t->after_any);
        if (t->retry)
                json_out_raw(o, "retry", t->retry);
        if (t->retry_backoff)
                json_out_text(o, "retry_backoff_sec", t->retry_backoff);
        if (t->retry_max_backoff)
                json_out_text(o, "retry_max_backoff_sec", t->retry_max_backoff);
        if (t->retry_on)
                names_out(o, "retry_on", t->retry_on);
        json_out_array(o, "directives");
        for (char **d = t->directives; d && *d; d += 2) {
                json_out_array(o, NULL);
                json_out_text(o, NULL, d[0]);
                json_out_text(o, NULL, d[1]);
                json_out_end_array(o);
        }
        json_out_end_array(o);
        json_out_end_object(o);
}

/* What the first release did not know stands there only when it is used, so that versions stay what they are. */
static int pipe_out(const Pipe *p, bool hash, char **ret) {
        bool limited = p->concurrency_limit || p->concurrency_key;
        JsonOut o = {};

        json_out_object(&o, NULL);
        json_out_text(&o, "description", p->description);
        json_out_text(&o, "type", p->type ? p->type : "batch");
        if (hash)
                selector_to_hash(&p->selector, &o, "agent_selector");
        else
                selector_to_json(&p->selector, &o, "agent_selector");
        if (p->priority && !str_eq(p->priority, "0"))
                json_out_raw(&o, "priority", p->priority);
        json_out_text(&o, "concurrency_policy",
                      p->concurrency_policy ? p->concurrency_policy : "allow");
        if (limited)
                json_out_raw(&o, "concurrency_limit",
                             p->concurrency_limit ? p->concurrency_limit : "1");
        if (p->concurrency_key)
                json_out_text(&o, "concurrency_key", p->concurrency_key);
        json_out_text(&o, "delivery", p->delivery ? p->delivery : "at-least-once");
        if (p->on_agent_loss)
                json_out_text(&o, "on_agent_loss", p->on_agent_loss);
        if (p->overlap)
                json_out_text(&o, "overlap", p->overlap);
        json_out_array(&o, "tasks");
        for (size_t i = 0; i < p->tasks.count; i++)
                task_out(&o, task_at(p, i));
        json_out_end_array(&o);
        json_out_end_object(&o);
        return json_out_take(&o, ret);
}

int pipe_to_json(const Pipe *p, char **ret) {
        return pipe_out(p, false, ret);
}

int pipe_version(const Pipe *p, char version[PIPE_VERSION_SIZE]) {
        _cleanup_(freep) char *json = NULL;
        unsigned char hash[32];
        int r = pipe_out(p, true, &json);

        if (r < 0)
                return r;
        if (gnutls_hash_fast(GNUTLS_DIG_SHA256, json, strlen(json), hash) < 0)
                return -EIO;
        for (size_t i = 0; i < 8; i++)
                (void) snprintf(version + 2 * i, 3, "%02x", hash[i]);
        return 0;
}
