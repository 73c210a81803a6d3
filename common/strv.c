/* Vectors of strings. libc only. */
#include "strv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "str.h"

char **strv_free(char **v) {
        STRV_FOREACH(s, v)
                free(*s);
        free(v);
        return NULL;
}

size_t strv_length(char *const *v) {
        size_t n = 0;

        STRV_FOREACH(s, v)
                n++;
        return n;
}

char **strv_copy(char *const *v) {
        _cleanup_(strv_freep) char **copy = calloc(strv_length(v) + 1, sizeof(char *));
        size_t n = 0;

        if (!copy)
                return NULL;
        STRV_FOREACH(s, v) {
                copy[n] = strdup(*s);
                if (!copy[n++])
                        return NULL;
        }
        return TAKE_PTR(copy);
}

int strv_append_take(char ***v, char *s) {
        size_t n = strv_length(*v);
        char **grown = s ? reallocarray(*v, n + 2, sizeof(char *)) : NULL;

        if (!grown) {
                free(s);
                return -ENOMEM;
        }
        grown[n] = s;
        grown[n + 1] = NULL;
        *v = grown;
        return 0;
}

int strv_append(char ***v, const char *s) {
        return strv_append_take(v, strdup(s));
}

bool strv_contains(char *const *v, const char *s) {
        STRV_FOREACH(i, v)
                if (str_eq(*i, s))
                        return true;
        return false;
}

int strv_split(const char *s, const char *separators, char ***ret) {
        _cleanup_(strv_freep) char **v = calloc(1, sizeof(char *));
        _cleanup_(freep) char *copy = strdup(s);
        char *rest = NULL;

        if (!v || !copy)
                return -ENOMEM;
        for (char *word = strtok_r(copy, separators, &rest); word;
             word = strtok_r(NULL, separators, &rest)) {
                const char *stripped = str_strip(word);
                int r = *stripped ? strv_append(&v, stripped) : 0;

                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(v);
        return 0;
}

char *strv_join(char *const *v, const char *separator) {
        Buffer b = {};
        char *text = NULL;
        int r = 0;

        STRV_FOREACH(s, v) {
                if (r >= 0 && s != v)
                        r = buffer_append_str(&b, separator);
                if (r >= 0)
                        r = buffer_append_str(&b, *s);
        }
        if (r >= 0)
                r = buffer_take(&b, &text);
        buffer_done(&b);
        return r < 0 ? NULL : text;
}
