/* Reading a run's log: chunks from the database as lines of text, JSON, or the journal's export format. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chunk.h"
#include "cleanup.h"
#include "id.h"
#include "journal-export.h"
#include "json-out.h"
#include "router.h"
#include "routes.h"
#include "str.h"
#include "timespan.h"

#define WAIT_MAX_SEC 50
#define READ_BYTES "1048576"

typedef int (*WriteEntry)(Buffer *out, const ExportEntry *entry, const char *task,
                          const char *attempt);

/* As journalctl -o json: text where it is UTF-8 without control characters but tab, else an array of bytes. */
static void json_field(JsonOut *o, const ExportField *f) {
        char name[65];
        bool text = str_is_utf8(f->data, f->size);

        (void) snprintf(name, sizeof(name), "%.*s", (int) f->name_size, f->name);
        for (size_t i = 0; text && i < f->size; i++)
                text = (unsigned char) f->data[i] >= 0x20 || f->data[i] == '\t' ||
                       f->data[i] == '\n';
        if (text) {
                json_out_text_n(o, name, f->data, f->size);
                return;
        }
        json_out_array(o, name);
        for (size_t i = 0; i < f->size; i++)
                json_out_u64(o, NULL, (unsigned char) f->data[i]);
        json_out_end_array(o);
}

static int write_json(Buffer *out, const ExportEntry *entry, const char *task,
                      const char *attempt) {
        _cleanup_(freep) char *line = NULL;
        JsonOut o = {};
        int r;

        json_out_object(&o, NULL);
        for (size_t i = 0; i < entry->count; i++)
                json_field(&o, &entry->fields[i]);
        json_out_text(&o, "SLUICE_TASK", task);
        json_out_text(&o, "SLUICE_ATTEMPT", attempt);
        json_out_end_object(&o);
        r = json_out_take(&o, &line);
        if (r >= 0)
                r = buffer_append_str(out, line);
        return r < 0 ? r : buffer_append(out, "\n", 1);
}

static int write_text(Buffer *out, const ExportEntry *entry, const char *task,
                      const char *attempt) {
        const ExportField *message = export_find(entry, "MESSAGE");
        int r = message ? buffer_append(out, message->data, message->size) : 0;

        (void) task;
        (void) attempt;
        return r < 0 ? r : buffer_append(out, "\n", 1);
}

static int write_export(Buffer *out, const ExportEntry *entry, const char *task,
                        const char *attempt) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < entry->count; i++) {
                char name[65];

                (void) snprintf(name, sizeof(name), "%.*s", (int) entry->fields[i].name_size,
                                entry->fields[i].name);
                r = export_write_field(out, name, entry->fields[i].data, entry->fields[i].size);
        }
        if (r >= 0)
                r = export_write_field(out, "SLUICE_TASK", task, strlen(task));
        if (r >= 0)
                r = export_write_field(out, "SLUICE_ATTEMPT", attempt, strlen(attempt));
        return r < 0 ? r : export_write_end(out);
}

static const struct {
        const char *type;
        WriteEntry write;
} formats[] = {
        { "application/x-ndjson", write_json }, /* the default */
        { "text/plain", write_text },
        { "application/vnd.fdo.journal", write_export },
};

static size_t format_of(const HttpRequest *request) {
        const char *accept = http_request_header(request, "Accept");

        for (size_t i = 0; accept && i < ELEMENTSOF(formats); i++)
                if (strstr(accept, formats[i].type))
                        return i;
        return 0;
}

static int write_chunk(Buffer *out, const PgRows *rows, unsigned row, WriteEntry write) {
        _cleanup_(freep) char *data = NULL, *content = NULL;
        size_t size, content_size, offset = 0;
        ExportEntry entry;
        int r = pg_bytes(rows, row, 4, &data, &size);

        if (r >= 0)
                r = chunk_decompress(data, size, &content, &content_size);
        while (r >= 0 && (r = export_read(content, content_size, &offset, &entry)) > 0)
                r = write(out, &entry, pg_text(rows, row, 0), pg_text(rows, row, 1));
        return r;
}

/* "next" stays where it was when nothing came, so a client can go on asking. */
static int add_link(Exchange *x, const char *next) {
        const char *task = http_request_query(x->request, "task");
        /* A place in each log that was begun: long, for a run of many tasks. */
        _cleanup_(freep) char *link =
                str_format("</api/v1/runs/%s/logs?after=%s%s%s>; rel=\"next\"", x->params[0], next,
                           task ? "&task=" : "", task ? task : "");

        return link ? http_request_add_header(x->request, "Link", link) : -ENOMEM;
}

static void on_logs(const PgReply *reply, void *userdata) {
        Exchange *x = userdata;
        size_t format = format_of(x->request);
        unsigned count, chunks = 0;
        const char *next = "";
        bool complete = false;
        char key[WAIT_KEY_MAX], *text = NULL;
        Buffer out = {};
        size_t size;
        int r = 0;

        x->call = NULL;
        if (reply->r < 0) {
                exchange_reply_pg(x, reply);
                return;
        }
        count = pg_rows_count(reply->rows);
        for (unsigned i = 0; r >= 0 && i < count; i++) {
                next = pg_text(reply->rows, i, 5);
                complete = str_eq(pg_text(reply->rows, i, 6), "t");
                if (pg_text(reply->rows, i, 4)) {
                        chunks++;
                        r = write_chunk(&out, reply->rows, i, formats[format].write);
                }
        }
        (void) snprintf(key, sizeof(key), "run %.36s", x->params[0]);
        if (r >= 0 && chunks == 0 && !complete && x->deadline_usec > 0 && exchange_wait(x, key)) {
                buffer_done(&out);
                return;
        }
        size = out.size;
        if (r >= 0 && !complete)
                r = add_link(x, next ? next : "");
        if (r >= 0)
                r = buffer_take(&out, &text);
        buffer_done(&out);
        if (r < 0) {
                exchange_reply_problem(x, 500, "bad-log",
                                       "A stored chunk of this log cannot be read.", NULL);
                return;
        }
        http_request_reply(x->request, 200, formats[format].type, text, size);
}

static void logs_ask(Exchange *x) {
        const char *after = http_request_query(x->request, "after");

        exchange_query(x, x->route->statement,
                       (PgParam[]){ exchange_auth(x), text_param(x->params[0]),
                                    text_param(http_request_query(x->request, "task")),
                                    text_param(after && *after ? after : NULL),
                                    text_param(READ_BYTES) },
                       on_logs);
}

void route_run_logs(Exchange *x) {
        struct timespec ts;
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
        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        if (wait > 0)
                x->deadline_usec = ((uint64_t) ts.tv_sec + wait) * USEC_PER_SEC;
        x->again = logs_ask;
        logs_ask(x);
}
