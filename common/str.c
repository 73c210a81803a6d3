/* Strings and the byte buffer. libc only. */
#include "str.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"

#define DISTANCE_MAX 63

const char *str_after(const char *s, const char *prefix) {
        size_t n = strlen(prefix);

        return s && strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

char *str_format(const char *fmt, ...) {
        char *s = NULL;
        va_list ap;
        int r;

        va_start(ap, fmt);
        r = vasprintf(&s, fmt, ap);
        va_end(ap);
        return r < 0 ? NULL : s;
}

int str_replace(char **slot, const char *s) {
        char *copy = NULL;

        if (s) {
                copy = strdup(s);
                if (!copy)
                        return -ENOMEM;
        }
        free(*slot);
        *slot = copy;
        return 0;
}

char *str_strip(char *s) {
        size_t n;

        while (isspace((unsigned char) *s))
                s++;
        n = strlen(s);
        while (n > 0 && isspace((unsigned char) s[n - 1]))
                n--;
        s[n] = '\0';
        return s;
}

/* Bytes of the sequence that begins with lead, and the smallest code point it may hold. 0 for a byte that cannot lead. */
static size_t utf8_sequence(unsigned char lead, uint32_t *ret_min, uint32_t *ret_bits) {
        static const struct {
                unsigned char mask, lead;
                uint32_t min;
        } forms[] = { { 0x80, 0x00, 0x01 },
                      { 0xe0, 0xc0, 0x80 },
                      { 0xf0, 0xe0, 0x800 },
                      { 0xf8, 0xf0, 0x10000 } };

        for (size_t i = 0; i < ELEMENTSOF(forms); i++)
                if ((lead & forms[i].mask) == forms[i].lead) {
                        *ret_min = forms[i].min;
                        *ret_bits = lead & (unsigned char) ~forms[i].mask;
                        return i + 1;
                }
        return 0;
}

bool str_is_utf8(const char *s, size_t size) {
        size_t i = 0;

        while (i < size) {
                uint32_t min, code;
                size_t n = utf8_sequence((unsigned char) s[i], &min, &code);

                if (n == 0 || n > size - i)
                        return false;
                for (size_t k = 1; k < n; k++) {
                        if (((unsigned char) s[i + k] & 0xc0) != 0x80)
                                return false;
                        code = code << 6 | ((unsigned char) s[i + k] & 0x3f);
                }
                if (code < min || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
                        return false;
                i += n;
        }
        return true;
}

unsigned str_distance(const char *a, const char *b) {
        unsigned row[DISTANCE_MAX + 1];
        size_t na = strlen(a), nb = strlen(b);

        if (na > DISTANCE_MAX || nb > DISTANCE_MAX)
                return DISTANCE_MAX;

        for (size_t j = 0; j <= nb; j++)
                row[j] = (unsigned) j;
        for (size_t i = 1; i <= na; i++) {
                unsigned diagonal = row[0];

                row[0] = (unsigned) i;
                for (size_t j = 1; j <= nb; j++) {
                        bool same = tolower((unsigned char) a[i - 1]) ==
                                    tolower((unsigned char) b[j - 1]);
                        unsigned best = diagonal + !same;

                        if (row[j] + 1 < best)
                                best = row[j] + 1;
                        if (row[j - 1] + 1 < best)
                                best = row[j - 1] + 1;
                        diagonal = row[j];
                        row[j] = best;
                }
        }
        return row[nb];
}

void buffer_done(Buffer *b) {
        free(b->data);
        *b = (Buffer){};
}

int buffer_reserve(Buffer *b, size_t more) {
        size_t want, size;
        char *data;

        if (more > SIZE_MAX / 2 - b->size - 1)
                return -ENOMEM;
        want = b->size + more + 1;
        if (want <= b->allocated)
                return 0;

        size = b->allocated < 64 ? 64 : b->allocated;
        while (size < want)
                size *= 2;
        data = realloc(b->data, size);
        if (!data)
                return -ENOMEM;
        b->data = data;
        b->allocated = size;
        return 0;
}

int buffer_append(Buffer *b, const void *data, size_t size) {
        int r = buffer_reserve(b, size);

        if (r < 0)
                return r;
        if (size > 0)
                (void) memcpy(b->data + b->size, data, size);
        b->size += size;
        b->data[b->size] = '\0';
        return 0;
}

int buffer_append_str(Buffer *b, const char *s) {
        return buffer_append(b, s, strlen(s));
}

int buffer_printf(Buffer *b, const char *fmt, ...) {
        va_list ap, again;
        int n, r;

        va_start(ap, fmt);
        va_copy(again, ap);
        n = vsnprintf(NULL, 0, fmt, ap);
        va_end(ap);
        r = n < 0 ? -EINVAL : buffer_reserve(b, (size_t) n);
        if (r >= 0) {
                (void) vsnprintf(b->data + b->size, (size_t) n + 1, fmt, again);
                b->size += (size_t) n;
        }
        va_end(again);
        return r;
}

int buffer_append_percent(Buffer *b, const char *s) {
        static const char plain[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
        int r = 0;

        for (; r >= 0 && *s; s++)
                r = strchr(plain, *s) ? buffer_append(b, s, 1)
                                      : buffer_printf(b, "%%%02X", (unsigned char) *s);
        return r;
}

int buffer_take(Buffer *b, char **ret) {
        int r = buffer_reserve(b, 0);

        if (r < 0)
                return r;
        b->data[b->size] = '\0';
        *ret = TAKE_PTR(b->data);
        *b = (Buffer){};
        return 0;
}
