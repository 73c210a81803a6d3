/* How tables of fields are written down: the member of the JSON is called as the struct's. */
#pragma once

#include <stddef.h>

#include "json-in.h"

#define TEXT_MAX (1024 * 1024)
#define T(struct, name)                                                                            \
        { #name, JSON_TEXT, false, offsetof(struct, name), .max = TEXT_MAX }
#define MUST(struct, name)                                                                         \
        { #name, JSON_TEXT, true, offsetof(struct, name), .max = TEXT_MAX }
#define N32(struct, name)                                                                          \
        { #name, JSON_U32, false, offsetof(struct, name) }
#define N64(struct, name)                                                                          \
        { #name, JSON_U64, false, offsetof(struct, name) }
#define B(struct, name)                                                                            \
        { #name, JSON_BOOL, false, offsetof(struct, name) }
#define OBJECT(struct, name, table)                                                                \
        { #name, JSON_OBJECT, false, offsetof(struct, name), .fields = table }
#define ARRAY(struct, name, table, item)                                                           \
        { #name, JSON_ARRAY, false, offsetof(struct, name), .fields = table, .size = sizeof(item) }

/* A page of a list. */
#define PAGE(table, fields_, item)                                                                 \
        const JsonField table[] = { { "items", JSON_ARRAY, true, offsetof(Page, items),            \
                                      .fields = fields_, .size = sizeof(item) },                   \
                                    T(Page, next),                                                 \
                                    {} }
