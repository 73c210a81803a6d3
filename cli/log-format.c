/* As journalctl's formats. To a terminal go no control characters; elsewhere every byte as it was written. */
#include "log-format.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "journal-export.h"
#include "parse.h"
#include "str.h"
#include "table.h"
#include "timespan.h"

static const struct {
        const char *name, *accept;
} formats[] = {
        [LOG_FORMAT_SHORT] = { "short", "Accept: application/vnd.fdo.journal" },
        [LOG_FORMAT_CAT] = { "cat", "Accept: application/vnd.fdo.journal" },
        [LOG_FORMAT_JSON] = { "json", "Accept: application/x-ndjson" },
        [LOG_FORMAT_EXPORT] = { "export", "Accept: application/vnd.fdo.journal" },
};

int log_format_from_string(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(formats); i++)
                if (str_eq(formats[i].name, name))
                        return (int) i;
        return -EINVAL;
}

const char *log_format_accept(LogFormat format) {
        return formats[format].accept;
}

static void print_bytes(const LogView *v, const char *data, size_t size) {
        _cleanup_(freep) char *safe = v->terminal ? text_escape(data, size) : NULL;

        if (safe)
                (void) fputs(safe, v->to);
        else
                (void) fwrite(data, 1, size, v->to);
}

/* The name of the entry's task and what else stands before the message. */
static void put_head(Buffer *head, const ExportEntry *entry, const char *field, const char *before,
                     const char *after) {
        const ExportField *f = export_find(entry, field);

        if (f && f->size > 0) {
                (void) buffer_append_str(head, before);
                (void) buffer_append(head, f->data, f->size);
                (void) buffer_append_str(head, after);
        }
}

static void put_time(Buffer *head, const ExportEntry *entry) {
        const ExportField *f = export_find(entry, "__REALTIME_TIMESTAMP");
        char digits[24] = {}, text[64];
        uint64_t usec;
        time_t sec;
        struct tm tm;

        if (!f || f->size >= sizeof(digits))
                return;
        (void) memcpy(digits, f->data, f->size);
        if (parse_u64(digits, &usec) < 0)
                return;
        sec = (time_t) (usec / USEC_PER_SEC);
        if (localtime_r(&sec, &tm) && strftime(text, sizeof(text), "%b %d %H:%M:%S ", &tm) > 0)
                (void) buffer_append_str(head, text);
}

/* The message's colour, by its priority. */
static Colour colour_of_entry(const ExportEntry *entry) {
        const ExportField *priority = export_find(entry, "PRIORITY");

        if (export_find(entry, "SLUICE_GAP"))
                return COLOUR_YELLOW;
        if (!priority || priority->size != 1)
                return COLOUR_NONE;
        return priority->data[0] <= '3'   ? COLOUR_RED
               : priority->data[0] == '4' ? COLOUR_YELLOW
               : priority->data[0] == '7' ? COLOUR_GREY
                                          : COLOUR_NONE;
}

/* The message behind its head; further lines of it are indented by the head's width, or have the head again. */
static void print_message(const LogView *v, const ExportEntry *entry, const char *head,
                          bool repeat_head) {
        const ExportField *f = export_find(entry, "MESSAGE");
        const char *data = f ? f->data : "", *end = data + (f ? f->size : 0);
        Colour colour = v->terminal ? colour_of_entry(entry) : COLOUR_NONE;

        for (bool first = true;; first = false) {
                const char *newline = *head ? memchr(data, '\n', (size_t) (end - data)) : NULL;
                size_t size = (size_t) ((newline ? newline : end) - data);

                if (first || repeat_head)
                        print_bytes(v, head, strlen(head));
                else
                        (void) fprintf(v->to, "%*s", (int) text_width(head), "");
                (void) fputs(colour_begin(colour), v->to);
                if (v->terminal && !*head && memchr(data, '\n', size)) {
                        _cleanup_(freep) char *safe = text_escape_lines(data, size);

                        (void) fputs(safe ? safe : "", v->to);
                } else {
                        print_bytes(v, data, size);
                }
                (void) fputs(colour_end(colour), v->to);
                (void) fputc('\n', v->to);
                if (!newline)
                        break;
                data = newline + 1;
        }
}

static int print_entry(const LogView *v, const ExportEntry *entry) {
        Buffer head = {};
        int r = buffer_append_str(&head, "");

        if (r < 0)
                return r;
        if (v->format == LOG_FORMAT_SHORT) {
                put_time(&head, entry);
                put_head(&head, entry, "SLUICE_TASK", "", " ");
                put_head(&head, entry, "SYSLOG_IDENTIFIER", "", "");
                put_head(&head, entry, "_PID", "[", "]");
                (void) buffer_append_str(&head, ": ");
        } else if (v->prefix) {
                put_head(&head, entry, "SLUICE_TASK", "", ": ");
        }
        print_message(v, entry, head.data, v->format == LOG_FORMAT_CAT);
        buffer_done(&head);
        return 0;
}

int log_print(const LogView *v, const char *data, size_t size) {
        size_t offset = 0;
        int r = 0;

        if (v->format == LOG_FORMAT_JSON || v->format == LOG_FORMAT_EXPORT) {
                (void) fwrite(data, 1, size, v->to);
        } else {
                ExportEntry entry;

                while ((r = export_read(data, size, &offset, &entry)) > 0)
                        r = print_entry(v, &entry);
        }
        if (r >= 0 && (fflush(v->to) == EOF || ferror(v->to)))
                r = errno ? -errno : -EIO;
        return r;
}
