/* Chunks as lines of text, JSON, or the journal's export format. */
#include "log-render.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "cleanup.h"
#include "journal-export.h"
#include "json-out.h"

struct LogFormat {
        const char *type;
        int (*write)(Buffer *out, const ExportEntry *entry, const char *task, const char *attempt);
};

/* Whose log it is, is ours to say: an agent that sends these fields is not believed. */
static bool is_ours(const ExportField *f) {
        static const char *const names[] = { "SLUICE_TASK", "SLUICE_ATTEMPT" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strlen(names[i]) == f->name_size &&
                    memcmp(names[i], f->name, f->name_size) == 0)
                        return true;
        return false;
}

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
                if (!is_ours(&entry->fields[i]))
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

                if (is_ours(&entry->fields[i]))
                        continue;
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

static const LogFormat formats[] = {
        { "application/x-ndjson", write_json }, /* the default */
        { "text/plain", write_text },
        { "application/vnd.fdo.journal", write_export },
};

const LogFormat *log_format_of(const char *accept) {
        for (size_t i = 0; accept && i < ELEMENTSOF(formats); i++)
                if (strstr(accept, formats[i].type))
                        return &formats[i];
        return &formats[0];
}

static int write_chunk(LogPage *page, const PgRows *rows, unsigned row, const LogFormat *format) {
        _cleanup_(freep) char *data = NULL, *content = NULL;
        size_t size, content_size, offset = 0;
        ExportEntry entry;
        int r = pg_bytes(rows, row, 4, &data, &size);

        if (r >= 0)
                r = chunk_decompress(data, size, &content, &content_size);
        if (r >= 0)
                page->read += content_size;
        while (r >= 0 && (r = export_read(content, content_size, &offset, &entry)) > 0)
                r = format->write(&page->text, &entry, pg_text(rows, row, 0),
                                  pg_text(rows, row, 1));
        return r;
}

int log_render(const PgRows *rows, const LogFormat *format, LogPage *page) {
        unsigned count = pg_rows_count(rows);
        int r = 0;

        for (unsigned i = 0;
             r >= 0 && i < count && page->text.size < LOG_PAGE_BYTES && page->read < LOG_READ_BYTES;
             i++) {
                page->next = pg_text(rows, i, 5);
                page->complete = str_eq(pg_text(rows, i, 6), "t");
                if (!pg_text(rows, i, 4))
                        continue;
                page->chunks++;
                r = write_chunk(page, rows, i, format);
        }
        return r;
}

void log_page_done(LogPage *page) {
        buffer_done(&page->text);
}

const char *log_format_type(const LogFormat *format) {
        return format->type;
}
