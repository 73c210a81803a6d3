/* JSON writer. Streams into a Buffer; an error (out of memory) sticks and is seen once, at json_out_take(). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "str.h"

typedef struct JsonOut {
        Buffer buffer;
        int error;
        bool comma; /* a value precedes at this level */
} JsonOut;

/* key is NULL inside arrays and at the top. text NULL writes null. Text that is not UTF-8 has its bad bytes replaced by U+FFFD. */
void json_out_object(JsonOut *o, const char *key);
void json_out_array(JsonOut *o, const char *key);
void json_out_end_object(JsonOut *o);
void json_out_end_array(JsonOut *o);
void json_out_text(JsonOut *o, const char *key, const char *text);
void json_out_text_n(JsonOut *o, const char *key, const char *text, size_t size);
void json_out_u64(JsonOut *o, const char *key, uint64_t value);
/* Leaves the member out when the value is above INT64_MAX: unknown, or infinity. */
void json_out_known(JsonOut *o, const char *key, uint64_t value);
void json_out_bool(JsonOut *o, const char *key, bool value);
void json_out_null(JsonOut *o, const char *key);
void json_out_raw(JsonOut *o, const char *key, const char *json); /* json is valid JSON already */

/* Labels as people write them, "region=eu-west" or "warehouse", as an object of texts. */
void json_out_labels(JsonOut *o, const char *key, char *const *labels);

/* The document, owned by the caller; o is empty afterwards, also on error. */
int json_out_take(JsonOut *o, char **ret);
void json_out_done(JsonOut *o);
