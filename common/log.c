/* Logging. The only mutable globals of common/ are here: identifier, level, and where and how messages go. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "cleanup.h"
#include "parse.h"

#define LOG_LINE_MAX 2048
#define LOG_FIELDS_MAX 16

static const char *log_identifier = "sluice";
static int log_max_level = LOG_INFO;
static bool log_to_journal, log_plain;

/* $JOURNAL_STREAM names the device and inode of the journal's socket: stderr goes to the journal when they match. */
static bool stderr_is_journal(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
               fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_setup(const char *identifier) {
        log_identifier = identifier;
        log_to_journal = stderr_is_journal();
}

void log_setup_command(const char *identifier) {
        log_identifier = identifier;
        log_plain = true;
}

void log_set_max_level(int level) {
        log_max_level = level;
}

int log_level_from_string(const char *s) {
        static const char *const names[] = { "emerg",   "alert",  "crit", "err",
                                             "warning", "notice", "info", "debug" };
        uint64_t n;

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcasecmp(s, names[i]) == 0)
                        return (int) i;
        return parse_u64_range(s, LOG_EMERG, LOG_DEBUG, &n) < 0 ? -EINVAL : (int) n;
}

static bool send_to_journal(int level, const char *message_id, const char *const fields[],
                            const char *line) {
        char priority[16], message[LOG_LINE_MAX + 16], id[64], identifier[64];
        struct iovec iov[LOG_FIELDS_MAX + 4];
        int n = 0;

        (void) snprintf(priority, sizeof(priority), "PRIORITY=%i", level);
        (void) snprintf(message, sizeof(message), "MESSAGE=%s", line);
        (void) snprintf(identifier, sizeof(identifier), "SYSLOG_IDENTIFIER=%s", log_identifier);
        (void) snprintf(id, sizeof(id), "MESSAGE_ID=%s", message_id ? message_id : "");
        iov[n++] = (struct iovec){ priority, strlen(priority) };
        iov[n++] = (struct iovec){ message, strlen(message) };
        iov[n++] = (struct iovec){ identifier, strlen(identifier) };
        if (message_id)
                iov[n++] = (struct iovec){ id, strlen(id) };
        for (int i = 0; fields && fields[i] && i < LOG_FIELDS_MAX; i++)
                iov[n++] = (struct iovec){ (char *) fields[i], strlen(fields[i]) };
        return sd_journal_sendv(iov, n) >= 0;
}

static void write_text(int level, const char *line) {
        if (log_plain || isatty(STDERR_FILENO))
                (void) fprintf(stderr, "%s: %s\n", log_identifier, line);
        else
                (void) fprintf(stderr, "<%i>%s: %s\n", level, log_identifier, line);
}

static void write_line(int level, const char *message_id, const char *const fields[],
                       const char *line) {
        if (!log_to_journal || !send_to_journal(level, message_id, fields, line))
                write_text(level, line);
}

void log_record(int level, const char *message_id, const char *const fields[], const char *fmt,
                ...) {
        char line[LOG_LINE_MAX];
        va_list ap;

        va_start(ap, fmt);
        (void) vsnprintf(line, sizeof(line), fmt, ap);
        va_end(ap);
        if ((!send_to_journal(level, message_id, fields, line) || !log_to_journal) &&
            level <= log_max_level)
                write_text(level, line);
}

void log_message(int level, const char *message_id, const char *const fields[], const char *fmt,
                 ...) {
        char line[LOG_LINE_MAX];
        va_list ap;

        if (level > log_max_level)
                return;
        va_start(ap, fmt);
        (void) vsnprintf(line, sizeof(line), fmt, ap);
        va_end(ap);
        write_line(level, message_id, fields, line);
}

static void log_reason(int level, int r, const char *fmt, va_list ap) {
        char line[LOG_LINE_MAX];
        int n;

        if (level > log_max_level)
                return;
        n = vsnprintf(line, sizeof(line), fmt, ap);
        if (r < 0 && n >= 0 && (size_t) n < sizeof(line))
                (void) snprintf(line + n, sizeof(line) - (size_t) n, ": %s", strerror(-r));
        write_line(level, NULL, NULL, line);
}

int log_error(int r, const char *fmt, ...) {
        va_list ap;

        va_start(ap, fmt);
        log_reason(LOG_ERR, r, fmt, ap);
        va_end(ap);
        return r;
}

int log_warning(int r, const char *fmt, ...) {
        va_list ap;

        va_start(ap, fmt);
        log_reason(LOG_WARNING, r, fmt, ap);
        va_end(ap);
        return r;
}
