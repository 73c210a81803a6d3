/* JSON reader: a table of fields decodes a document into a struct, or refuses it with words. Wraps json-c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

typedef enum JsonType {
        JSON_TEXT, /* char *, owned; UTF-8 without NUL; max: bytes */
        JSON_BOOL, /* bool */
        JSON_U32,  /* uint32_t; max: value (0: UINT32_MAX) */
        JSON_U64,  /* uint64_t; max: value (0: INT64_MAX) */
        JSON_STRV, /* char **, owned: array of texts; max: elements */
        JSON_MAP, /* char **, owned: object of texts (null as ""), as key, value, key, value; max: pairs */
        JSON_PAIRS, /* char **, owned: array of [text, text], flattened the same way; max: pairs */
        JSON_ARRAY, /* JsonArray of structs of `size` bytes, each decoded by `fields`; max: elements */
        JSON_OBJECT, /* struct embedded at offset, decoded by `fields` */
        JSON_RAW,    /* char *, owned: any value, as compact JSON text */
} JsonType;

typedef struct JsonField {
        const char *name; /* NULL ends a table */
        JsonType type;
        bool required;
        size_t offset;
        uint64_t max; /* 0 for text and arrays: 65536 */
        const struct JsonField *fields;
        size_t size;
} JsonField;

typedef struct JsonArray {
        void *items;
        size_t count;
} JsonArray;

typedef enum JsonFlags {
        JSON_REFUSE_UNKNOWN =
                0, /* people's requests: an unknown member is an error that names it */
        JSON_IGNORE_UNKNOWN = 1, /* the agent protocol: versions N and N-2 work together */
} JsonFlags;

/* Decodes one document whose top is an object. Members that are absent or null leave the struct's field alone, so set
 * defaults first. On error what was decoded stays in target for json_done(). -EINVAL, -ERANGE, -ENOMEM. */
int json_decode(const char *text, size_t size, const JsonField *fields, JsonFlags flags,
                void *target, Error *e);

/* Decodes one document whose top is an array of at most max [whole number, whole number]; the caller owns *ret. A number beyond 64
 * bits comes as the nearest that fits, so check the range. -EINVAL, -ERANGE, -ENOMEM. */
int json_decode_number_pairs(const char *text, size_t size, size_t max, int64_t (**ret)[2],
                             size_t *ret_count, Error *e);

/* Decodes one document whose top is an object of at most max texts, numbers and booleans, the latter two as JSON writes them: name, value,
 * name, value in *ret, owned. -EINVAL, -ERANGE, -ENOMEM. */
int json_decode_scalars(const char *text, size_t size, size_t max, char ***ret, Error *e);

/* Frees everything that the table says the struct owns, and empties those fields. */
void json_done(const JsonField *fields, void *target);
