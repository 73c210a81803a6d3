/* Reads status, Content-Length, Connection and Retry-After. Other framing than by Content-Length is refused. */
#include "swarm-http.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "parse.h"
#include "proto.h"

/* The value of the header line, or NULL when it is another. */
static const char *value_of(const char *line, const char *name) {
        size_t n = strlen(name);

        if (strncasecmp(line, name, n) != 0 || line[n] != ':')
                return NULL;
        line += n + 1;
        return line + strspn(line, " \t");
}

static int take_number(const char *text, uint64_t max, uint64_t *ret) {
        char digits[24];
        size_t n = strspn(text, "0123456789");

        if (n == 0 || n >= sizeof(digits))
                return -EBADMSG;
        (void) memcpy(digits, text, n);
        digits[n] = '\0';
        return parse_u64_range(digits, 0, max, ret) < 0 ? -EBADMSG : 0;
}

static int take_header(const char *line, HttpHead *head) {
        const char *value;
        uint64_t n;

        value = value_of(line, "Content-Length");
        if (value) {
                if (take_number(value, PROTO_ANSWER_MAX, &n) < 0)
                        return -EBADMSG;
                head->body_size = n;
        }
        value = value_of(line, "Retry-After");
        if (value && take_number(value, 3600, &n) >= 0)
                head->retry_after_sec = (unsigned) n;
        value = value_of(line, "Connection");
        if (value && strncasecmp(value, "close", 5) == 0)
                head->close = true;
        return value_of(line, "Transfer-Encoding") ? -EBADMSG : 0;
}

int http_parse_head(const char *data, size_t size, HttpHead *ret) {
        const char *end = memmem(data, size, "\r\n\r\n", 4);
        HttpHead head = {};
        uint64_t status;
        int r;

        if (!end)
                return size > HTTP_HEAD_MAX ? -EMSGSIZE : 0;
        head.size = (size_t) (end - data) + 4;
        if (head.size < 13 || memcmp(data, "HTTP/1.1 ", 9) != 0 ||
            take_number(data + 9, 599, &status) < 0)
                return -EBADMSG;
        head.status = (unsigned) status;
        for (const char *line = memmem(data, head.size, "\r\n", 2); line < end;
             line = memmem(line + 2, head.size - (size_t) (line + 2 - data), "\r\n", 2)) {
                r = take_header(line + 2, &head);
                if (r < 0)
                        return r;
        }
        *ret = head;
        return 1;
}
