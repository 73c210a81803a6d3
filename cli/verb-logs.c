/* logs: follows the server's links from page to page. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "journal-export.h"
#include "parse.h"
#include "str.h"
#include "table.h"
#include "timespan.h"
#include "verbs.h"

#define WAIT_SEC "50"
#define TIMEOUT_SEC 75U
#define INTERRUPTED 130

typedef struct View {
        bool prefix; /* the task's name */
        bool escape; /* stdout is a terminal */
} View;

static void print_bytes(const View *v, const char *data, size_t size) {
        _cleanup_(freep) char *safe = v->escape ? text_escape(data, size) : NULL;

        if (safe)
                (void) fputs(safe, stdout);
        else
                (void) fwrite(data, 1, size, stdout);
}

static void print_field(const View *v, const ExportEntry *entry, const char *name) {
        const ExportField *f = export_find(entry, name);

        if (f)
                print_bytes(v, f->data, f->size);
}

static void print_message(const View *v, const ExportEntry *entry) {
        print_field(v, entry, "MESSAGE");
        (void) putchar('\n');
}

static void print_cat(const View *v, const ExportEntry *entry) {
        if (v->prefix) {
                (void) fputs(colour_begin(COLOUR_GREY), stdout);
                print_field(v, entry, "SLUICE_TASK");
                (void) printf(": %s", colour_end(COLOUR_GREY));
        }
        print_message(v, entry);
}

static void print_time(const ExportEntry *entry) {
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
                (void) fputs(text, stdout);
}

/* As journalctl -o short, with the task in the host's place; its name is also the identifier, unless a program set another. */
static void print_short(const View *v, const ExportEntry *entry) {
        const ExportField *priority = export_find(entry, "PRIORITY");
        const ExportField *identifier = export_find(entry, "SYSLOG_IDENTIFIER");
        const ExportField *task = export_find(entry, "SLUICE_TASK");
        Colour colour = priority && priority->size == 1 && priority->data[0] <= '3' ? COLOUR_RED
                        : priority && priority->size == 1 && priority->data[0] == '4'
                                ? COLOUR_YELLOW
                                : COLOUR_NONE;

        print_time(entry);
        print_field(v, entry, "SLUICE_TASK");
        if (identifier && !(task && task->size == identifier->size &&
                            memcmp(task->data, identifier->data, task->size) == 0)) {
                (void) putchar(' ');
                print_bytes(v, identifier->data, identifier->size);
        }
        (void) putchar('[');
        print_field(v, entry, "_PID");
        (void) printf("]: %s", colour_begin(colour));
        print_field(v, entry, "MESSAGE");
        (void) puts(colour_end(colour));
}

static const struct {
        const char *name;
        const char *accept;
        void (*print)(const View *v, const ExportEntry *entry); /* NULL: the bytes as they come */
} formats[] = {
        { "short", "Accept: application/vnd.fdo.journal", print_short },
        { "cat", "Accept: application/vnd.fdo.journal", print_cat },
        { "json", "Accept: application/x-ndjson", NULL },
        { "export", "Accept: application/vnd.fdo.journal", NULL },
};

static int print_page(size_t format, const View *v, const Reply *reply) {
        ExportEntry entry;
        size_t offset = 0;
        int r = 0;

        if (!formats[format].print)
                (void) fwrite(reply->body, 1, reply->size, stdout);
        else
                while ((r = export_read(reply->body, reply->size, &offset, &entry)) > 0)
                        formats[format].print(v, &entry);
        if (r < 0)
                return complain(r, "The log that came is damaged.");
        if (fflush(stdout) == EOF)
                return complain(-errno, "Cannot write the output: %s.", strerror(errno));
        return 0;
}

/* The pages from path on. Without follow up to the last one that is there. */
static int show_pages(Context *x, char *path, bool follow, size_t format, const View *v) {
        int r = 0;

        while (r >= 0 && path) {
                _cleanup_(freep) char *asked =
                        str_format("%s%c%s", path, strchr(path, '?') ? '&' : '?',
                                   follow ? "wait=" WAIT_SEC : "wait=0");
                Reply reply = {};

                r = asked ? client_request(x->client,
                                           &(Request){ .method = "GET",
                                                       .path = asked,
                                                       .header = formats[format].accept,
                                                       .timeout_sec = TIMEOUT_SEC },
                                           &reply)
                          : -ENOMEM;
                if (r >= 0)
                        r = print_page(format, v, &reply);
                free(path);
                path = r >= 0 && (follow || reply.size > 0) ? TAKE_PTR(reply.link_next) : NULL;
                reply_done(&reply);
        }
        return r;
}

int logs_show(Context *x, const char *run, bool follow, const char *format, bool prefix) {
        View v = { prefix, isatty(STDOUT_FILENO) };
        char *path = path_format("/api/v1/runs/%s/logs", run);
        size_t i = 0;

        while (i + 1 < ELEMENTSOF(formats) && !str_eq(formats[i].name, format))
                i++;
        if (!path || path_add_option(&path, x, OPTION_TASK, "task") < 0) {
                free(path);
                return complain(-ENOMEM, "Out of memory.");
        }
        return show_pages(x, path, follow, i, &v);
}

int verb_logs(Context *x) {
        const char *format = option_value(x, OPTION_OUTPUT);
        bool follow = option_value(x, OPTION_FOLLOW);
        int r;

        if (follow)
                client_be_patient(x->client);
        r = logs_show(x, x->words[0], follow, format ? format : "short", false);
        return r == -EINTR ? INTERRUPTED : (r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
