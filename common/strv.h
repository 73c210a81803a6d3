/* NULL-terminated vectors of strings, owned whole by whoever holds the vector. NULL is an empty vector. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"

char **strv_free(char **v);
DEFINE_SCOPE_EXIT(char *, strv_free)

size_t strv_length(char *const *v);
char **strv_copy(char *const *v);          /* NULL when out of memory */
int strv_append(char ***v, const char *s); /* adds a copy; 0 or -ENOMEM */
int strv_append_take(char ***v, char *s);  /* owns s also when it fails */
bool strv_contains(char *const *v, const char *s);

/* Splits s at any byte of separators, dropping empty pieces and surrounding white space. */
int strv_split(const char *s, const char *separators, char ***ret);

/* All of them with the separator between; NULL when out of memory. */
char *strv_join(char *const *v, const char *separator);

#define STRV_FOREACH(s, v) for (char *const *s = (v); s && *s; s++)
