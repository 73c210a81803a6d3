/* What a pipe is, apart from its text: its words, JSON form and version. */
#include "pipe.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "directive.h"
#include "json-out.h"
#include "parameter.h"
#include "parse.h"
#include "pipe-internal.h"
#include "str.h"
#include "strv.h"

#define RETRY_ON_MAX 64

const JsonField pipe_task_fields[] = {
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
        { "agent_selector", JSON_RAW, false, offsetof(PipeTask, selector_text) },
        { "run_on_all", JSON_RAW, false, offsetof(PipeTask, all_text) },
        { "run_on_all_batch", JSON_TEXT, false, offsetof(PipeTask, all_batch), .max = 8 },
        { "run_on_all_success", JSON_TEXT, false, offsetof(PipeTask, all_success), .max = 8 },
        { "directives", JSON_PAIRS, true, offsetof(PipeTask, directives),
          .max = PIPE_DIRECTIVES_MAX },
        {},
};

const JsonField pipe_own_fields[] = {
        { "description", JSON_TEXT, false, offsetof(Pipe, description), .max = PIPE_VALUE_MAX },
        { "type", JSON_TEXT, false, offsetof(Pipe, type), .max = 16 },
        { "agent_selector", JSON_RAW, false, offsetof(Pipe, selector_text) },
        { "priority", JSON_RAW, false, offsetof(Pipe, priority) },
        { "concurrency_policy", JSON_TEXT, false, offsetof(Pipe, concurrency_policy), .max = 16 },
        { "concurrency_limit", JSON_RAW, false, offsetof(Pipe, concurrency_limit) },
        { "concurrency_key", JSON_TEXT, false, offsetof(Pipe, concurrency_key), .max = 63 },
        { "delivery", JSON_TEXT, false, offsetof(Pipe, delivery), .max = 16 },
        { "on_agent_loss", JSON_TEXT, false, offsetof(Pipe, on_agent_loss), .max = 16 },
        { "overlap", JSON_TEXT, false, offsetof(Pipe, overlap), .max = 16 },
        { "schedules", JSON_ARRAY, false, offsetof(Pipe, schedules), .max = PIPE_SCHEDULES_MAX,
          .fields = pipe_schedule_fields, .size = sizeof(PipeSchedule) },
        { "tasks", JSON_ARRAY, true, offsetof(Pipe, tasks), .max = PIPE_TASKS_MAX,
          .fields = pipe_task_fields, .size = sizeof(PipeTask) },
        { "parameters", JSON_ARRAY, false, offsetof(Pipe, parameters), .max = PARAMETERS_MAX,
          .fields = pipe_parameter_fields, .size = sizeof(PipeParameter) },
        {},
};

Pipe *pipe_free(Pipe *p) {
        if (!p)
                return NULL;
        for (size_t i = 0; i < p->schedules.count; i++)
                free(pipe_schedule(p, i)->persistent); /* the one word that JSON has not */
        for (size_t i = 0; i < p->tasks.count; i++)
                for (size_t k = 0; k < PIPE_TASK_WORDS; k++)
                        if (pipe_task_words[k].selector)
                                selector_done((Selector *) ((char *) pipe_task(p, i) +
                                                            pipe_task_words[k].selector));
        json_done(pipe_own_fields, p);
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

/* One more, zeroed but for its name, which is the first member. */
static int add_item(JsonArray *array, size_t size, const char *name, void *ret) {
        char *grown = reallocarray(array->items, array->count + 1, size), *item;

        if (!grown)
                return -ENOMEM;
        array->items = grown;
        item = (char *) memset(grown + array->count * size, 0, size);
        *(char **) (void *) item = strdup(name);
        if (!*(char **) (void *) item)
                return -ENOMEM;
        array->count++;
        *(void **) ret = item;
        return 0;
}

int pipe_add_task(Pipe *p, const char *name, PipeTask **ret) {
        return add_item(&p->tasks, sizeof(PipeTask), name, (void *) ret);
}

int pipe_add_parameter(Pipe *p, const char *name, PipeParameter **ret) {
        return add_item(&p->parameters, sizeof(PipeParameter), name, (void *) ret);
}

int pipe_add_schedule(Pipe *p, const char *name, PipeSchedule **ret) {
        return add_item(&p->schedules, sizeof(PipeSchedule), name, (void *) ret);
}

const PipeWord pipe_own_words[PIPE_OWN_WORDS] = {
        { "Description", offsetof(Pipe, description), false },
        { "Type", offsetof(Pipe, type), false },
        { "ConcurrencyPolicy", offsetof(Pipe, concurrency_policy), false },
        { "Delivery", offsetof(Pipe, delivery), false },
        { "OnAgentLoss", offsetof(Pipe, on_agent_loss), false },
        { "Overlap", offsetof(Pipe, overlap), false },
        { "Priority", offsetof(Pipe, priority), false },
        { "ConcurrencyLimit", offsetof(Pipe, concurrency_limit), false },
        { "ConcurrencyKey", offsetof(Pipe, concurrency_key), false },
        { "AgentSelector", offsetof(Pipe, selector_text), .selector = offsetof(Pipe, selector) },
};

const PipeWord pipe_task_words[PIPE_TASK_WORDS] = {
        { "After", offsetof(PipeTask, after), true },
        { "AfterFailure", offsetof(PipeTask, after_failure), true },
        { "AfterAny", offsetof(PipeTask, after_any), true },
        { "Retry", offsetof(PipeTask, retry), false },
        { "RetryBackoffSec", offsetof(PipeTask, retry_backoff), false },
        { "RetryMaxBackoffSec", offsetof(PipeTask, retry_max_backoff), false },
        { "RetryOn", offsetof(PipeTask, retry_on), true },
        { "AgentSelector", offsetof(PipeTask, selector_text),
          .selector = offsetof(PipeTask, selector) },
        { "RunOnAll", offsetof(PipeTask, all_text), .selector = offsetof(PipeTask, all) },
        { "RunOnAllBatch", offsetof(PipeTask, all_batch), false },
        { "RunOnAllSuccess", offsetof(PipeTask, all_success), false },
};

size_t pipe_word_find(const PipeWord words[], size_t n, const char *key) {
        size_t i = 0;

        while (i < n && !str_eq(words[i].key, key))
                i++;
        return i;
}

typedef struct Reader {
        const Pipe *pipe; /* borrowed */
        Complaints complaints;
} Reader;

static void reader_done(Reader *r) {
        complaints_done(&r->complaints);
}

/* A document has no lines: the task or the schedule is named. */
static int on_objection(const PipePlace *wrong, const Error *e, void *userdata) {
        Reader *reader = userdata;
        Error named = *e;

        if (wrong->task != SIZE_MAX && (wrong->key || wrong->directive != SIZE_MAX))
                (void) error_prefix(&named,
                                    "task \"%.64s\": ", pipe_task(reader->pipe, wrong->task)->name);
        if (wrong->parameter != SIZE_MAX && wrong->key)
                (void) error_prefix(&named, "parameter \"%.64s\": ",
                                    pipe_parameter(reader->pipe, wrong->parameter)->name);
        if (wrong->schedule != SIZE_MAX && wrong->key)
                (void) error_prefix(&named, "schedule \"%.64s\": ",
                                    pipe_schedule(reader->pipe, wrong->schedule)->name);
        return complaints_add(&reader->complaints, 0, 0, &named);
}

/* Of the pipe, or of a task. */
static int read_selectors(const PipeWord words[], size_t n, void *target, Error *e) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < n; i++) {
                const char *json = *(char **) ((char *) target + words[i].offset);

                if (words[i].selector && json)
                        r = selector_from_json(
                                json, (Selector *) ((char *) target + words[i].selector), e);
        }
        return r;
}

int pipe_from_json(const char *json, size_t size, Pipe **ret, Error *e, char ***ret_all) {
        _cleanup_(pipe_freep) Pipe *p = calloc(1, sizeof(*p));
        _cleanup_(reader_done) Reader reader = { .pipe = p };
        PipeCheck check = { .pipe = p, .on_objection = on_objection, .userdata = &reader };
        int r;

        if (!p)
                return -ENOMEM;
        r = json_decode(json, size, pipe_own_fields, JSON_REFUSE_UNKNOWN, p, e);
        if (r >= 0)
                r = read_selectors(pipe_own_words, PIPE_OWN_WORDS, p, e);
        for (size_t i = 0; r >= 0 && i < p->tasks.count; i++)
                r = read_selectors(pipe_task_words, PIPE_TASK_WORDS, pipe_task(p, i), e);
        if (r < 0)
                return r;
        r = pipe_check(&check);
        if (r >= 0 || r == -EINVAL)
                r = complaints_take(&reader.complaints, "", e, ret_all);
        if (r >= 0)
                *ret = TAKE_PTR(p);
        return r;
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
        if (t->selector.terms.count > 0)
                selector_to_json(&t->selector, o, "agent_selector");
        if (t->all.terms.count > 0)
                selector_to_json(&t->all, o, "run_on_all");
        if (t->all_batch)
                json_out_text(o, "run_on_all_batch", t->all_batch);
        if (t->all_success)
                json_out_text(o, "run_on_all_success", t->all_success);
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
        pipe_parameters_to_json(p, &o);
        pipe_schedules_out(p, &o);
        json_out_array(&o, "tasks");
        for (size_t i = 0; i < p->tasks.count; i++)
                task_out(&o, pipe_task(p, i));
        json_out_end_array(&o);
        json_out_end_object(&o);
        return json_out_take(&o, ret);
}

size_t pipe_task_count(const Pipe *p) {
        return p->tasks.count;
}

const char *pipe_task_name(const Pipe *p, size_t i) {
        return pipe_task(p, i)->name;
}

bool pipe_task_is_apart(const Pipe *p, size_t i) {
        return pipe_task(p, i)->selector.terms.count > 0 || pipe_task(p, i)->all.terms.count > 0;
}

bool pipe_task_fans(const Pipe *p, size_t i) {
        return pipe_task(p, i)->all.terms.count > 0;
}

char *const *pipe_task_directives(const Pipe *p, size_t i) {
        return pipe_task(p, i)->directives;
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
