/* JSON writer, compact form. Writing needs no library: RFC 8259 section 7 is the whole of it. */
#include "json-out.h"

#include <errno.h>
#include <stdio.h>

#include "cleanup.h"

static void put(JsonOut *o, const char *data, size_t size) {
        if (o->error >= 0)
                o->error = buffer_append(&o->buffer, data, size);
}

static void put_str(JsonOut *o, const char *s) {
        put(o, s, strlen(s));
}

/* Length of the UTF-8 sequence at s, 0 when there is none. */
static size_t sequence_length(const char *s, size_t size) {
        for (size_t n = 1; n <= 4 && n <= size; n++)
                if (str_is_utf8(s, n))
                        return n;
        return 0;
}

/* In two bytes where there is such a form: a table of tabs shall not take six times its room. */
static void put_escape(JsonOut *o, char c) {
        static const char forms[][2] = { { '"', '"' },  { '\\', '\\' }, { '\b', 'b' },
                                         { '\f', 'f' }, { '\n', 'n' },  { '\r', 'r' },
                                         { '\t', 't' } };
        char escape[8];

        (void) snprintf(escape, sizeof(escape), "\\u%04x", (unsigned char) c);
        for (size_t i = 0; i < ELEMENTSOF(forms); i++)
                if (forms[i][0] == c)
                        (void) snprintf(escape, sizeof(escape), "\\%c", forms[i][1]);
        put_str(o, escape);
}

static void put_quoted(JsonOut *o, const char *text, size_t size) {
        put_str(o, "\"");
        for (size_t i = 0; i < size;) {
                unsigned char c = (unsigned char) text[i];
                size_t plain = i, n;

                while (plain < size && (unsigned char) text[plain] >= 0x20 &&
                       (unsigned char) text[plain] < 0x80 && text[plain] != '"' &&
                       text[plain] != '\\')
                        plain++;
                if (plain > i) {
                        put(o, text + i, plain - i);
                        i = plain;
                        continue;
                }
                if (c < 0x20 || c == '"' || c == '\\') {
                        put_escape(o, text[i]);
                        i++;
                } else {
                        n = sequence_length(text + i, size - i);
                        if (n > 0)
                                put(o, text + i, n);
                        else
                                put_str(o, "\xef\xbf\xbd");
                        i += n > 0 ? n : 1;
                }
        }
        put_str(o, "\"");
}

/* Comma and key before a value. */
static void begin_value(JsonOut *o, const char *key) {
        if (o->comma)
                put_str(o, ",");
        o->comma = true;
        if (key) {
                put_quoted(o, key, strlen(key));
                put_str(o, ":");
        }
}

static void open_level(JsonOut *o, const char *key, const char *bracket) {
        begin_value(o, key);
        put_str(o, bracket);
        o->comma = false;
}

static void close_level(JsonOut *o, const char *bracket) {
        put_str(o, bracket);
        o->comma = true;
}

void json_out_object(JsonOut *o, const char *key) {
        open_level(o, key, "{");
}

void json_out_array(JsonOut *o, const char *key) {
        open_level(o, key, "[");
}

void json_out_end_object(JsonOut *o) {
        close_level(o, "}");
}

void json_out_end_array(JsonOut *o) {
        close_level(o, "]");
}

void json_out_text_n(JsonOut *o, const char *key, const char *text, size_t size) {
        begin_value(o, key);
        put_quoted(o, text, size);
}

void json_out_text(JsonOut *o, const char *key, const char *text) {
        if (text)
                json_out_text_n(o, key, text, strlen(text));
        else
                json_out_null(o, key);
}

void json_out_u64(JsonOut *o, const char *key, uint64_t value) {
        char digits[24];

        (void) snprintf(digits, sizeof(digits), "%llu", (unsigned long long) value);
        json_out_raw(o, key, digits);
}

void json_out_known(JsonOut *o, const char *key, uint64_t value) {
        if (value <= INT64_MAX)
                json_out_u64(o, key, value);
}

void json_out_bool(JsonOut *o, const char *key, bool value) {
        json_out_raw(o, key, value ? "true" : "false");
}

void json_out_null(JsonOut *o, const char *key) {
        json_out_raw(o, key, "null");
}

void json_out_raw(JsonOut *o, const char *key, const char *json) {
        begin_value(o, key);
        put_str(o, json);
}

void json_out_labels(JsonOut *o, const char *key, char *const *labels) {
        json_out_object(o, key);
        for (char *const *label = labels; label && *label; label++) {
                _cleanup_(freep) char *name = strdup(*label);
                char *value = name ? strchr(name, '=') : NULL;

                if (value)
                        *value++ = '\0';
                if (name)
                        json_out_text(o, str_strip(name), value ? str_strip(value) : "");
                else
                        o->error = -ENOMEM;
        }
        json_out_end_object(o);
}

int json_out_take(JsonOut *o, char **ret) {
        int r = o->error < 0 ? o->error : buffer_take(&o->buffer, ret);

        json_out_done(o);
        return r;
}

void json_out_done(JsonOut *o) {
        buffer_done(&o->buffer);
        *o = (JsonOut){};
}
