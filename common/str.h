/* Strings. All functions take and return NUL-terminated text; new strings are owned by the caller (free()). */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline bool str_eq(const char *a, const char *b) {
        return a && b ? strcmp(a, b) == 0 : a == b;
}

/* What follows prefix in s, or NULL when s does not begin with it. Points into s. */
const char *str_after(const char *s, const char *prefix);

/* New formatted string; NULL when out of memory. */
char *str_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Sets *slot to a copy of s (which may be NULL), freeing what was there. -ENOMEM leaves *slot alone. */
int str_replace(char **slot, const char *s);

/* Removes white space from both ends, in place; returns the new beginning, inside s. */
char *str_strip(char *s);

/* True when s is valid UTF-8 (no overlong forms, surrogates or NUL) of size bytes. */
bool str_is_utf8(const char *s, size_t size);

/* Edit distance (insert, delete, replace), case-insensitive; for "did you mean". Texts over 63 bytes are far apart. */
unsigned str_distance(const char *a, const char *b);

/* A growing byte buffer. Zero-initialise; buffer_done() empties. data is NUL-terminated whenever it is not NULL. */
typedef struct Buffer {
        char *data;
        size_t size;
        size_t allocated;
} Buffer;

void buffer_done(Buffer *b);
int buffer_reserve(Buffer *b,
                   size_t more); /* 0 or -ENOMEM; afterwards `more` bytes fit behind size */
int buffer_append(Buffer *b, const void *data, size_t size);
int buffer_append_str(Buffer *b, const char *s);
int buffer_printf(Buffer *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The text as a component of a query: percent-encoded but for letters, digits, - _ . and ~. */
int buffer_append_percent(Buffer *b, const char *s);
/* The text, owned by the caller (never NULL on success: "" when nothing was added); the buffer is empty afterwards. */
int buffer_take(Buffer *b, char **ret);
