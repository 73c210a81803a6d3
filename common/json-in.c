/* JSON reader on json-c's strict tokener. No json_object leaves this file. */
#include "json-in.h"

#include <errno.h>
#include <json.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "strv.h"

#define JSON_DEPTH_MAX 16
#define JSON_COUNT_MAX 65536

typedef struct json_object json_object_t;
typedef struct json_tokener json_tokener_t;

static inline void json_putp(json_object_t **slot) {
        if (*slot)
                (void) json_object_put(*slot);
}

static inline void json_tokener_freep(json_tokener_t **slot) {
        if (*slot)
                json_tokener_free(*slot);
}

static int wrong_type(const JsonField *f, const char *wanted, Error *e) {
        return error_set(e, -EINVAL, "bad-member", "Member \"%s\" must be %s.", f->name, wanted);
}

static int too_large(const JsonField *f, uint64_t max, Error *e) {
        return error_set(e, -ERANGE, "bad-member", "Member \"%s\" is above its limit of %llu.",
                         f->name, (unsigned long long) max);
}

/* A copy of a JSON string that is fit to be C text. */
static int text_copy(json_object_t *o, const JsonField *f, uint64_t max, char **ret, Error *e) {
        const char *text;
        char *copy;
        size_t size;

        if (json_object_get_type(o) != json_type_string)
                return wrong_type(f, "text", e);
        text = json_object_get_string(o);
        size = (size_t) json_object_get_string_len(o);
        if (size > max)
                return too_large(f, max, e);
        if (strlen(text) != size)
                return wrong_type(f, "text without NUL", e);
        copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

static int decode_text(json_object_t *o, const JsonField *f, void *target, Error *e) {
        char **slot = target, *copy = NULL;
        int r = text_copy(o, f, f->max ? f->max : JSON_COUNT_MAX, &copy, e);

        if (r < 0)
                return r;
        free(*slot);
        *slot = copy;
        return 0;
}

static int decode_bool(json_object_t *o, const JsonField *f, void *target, Error *e) {
        if (json_object_get_type(o) != json_type_boolean)
                return wrong_type(f, "true or false", e);
        *(bool *) target = json_object_get_boolean(o);
        return 0;
}

static int number(json_object_t *o, const JsonField *f, uint64_t max, uint64_t *ret, Error *e) {
        int64_t value;

        if (json_object_get_type(o) != json_type_int)
                return wrong_type(f, "a whole number", e);
        value = json_object_get_int64(o);
        if (value < 0)
                return wrong_type(f, "0 or more", e);
        if ((uint64_t) value > max)
                return too_large(f, max, e);
        *ret = (uint64_t) value;
        return 0;
}

static int decode_u32(json_object_t *o, const JsonField *f, void *target, Error *e) {
        uint64_t value;
        int r = number(o, f, f->max ? f->max : UINT32_MAX, &value, e);

        if (r < 0)
                return r;
        *(uint32_t *) target = (uint32_t) value;
        return 0;
}

static int decode_u64(json_object_t *o, const JsonField *f, void *target, Error *e) {
        return number(o, f, f->max ? f->max : INT64_MAX, target, e);
}

/* Checks that o is an array within the field's limit; its length. */
static int array_length(json_object_t *o, const JsonField *f, size_t *ret, Error *e) {
        uint64_t max = f->max ? f->max : JSON_COUNT_MAX;

        if (json_object_get_type(o) != json_type_array)
                return wrong_type(f, "an array", e);
        if (json_object_array_length(o) > max)
                return too_large(f, max, e);
        *ret = json_object_array_length(o);
        return 0;
}

static int strv_add(char ***v, json_object_t *o, const JsonField *f, Error *e) {
        char *text = NULL;
        int r = text_copy(o, f, JSON_COUNT_MAX, &text, e);

        return r < 0 ? r : strv_append_take(v, text);
}

static void strv_store(char ***slot, char **v) {
        (void) strv_free(*slot);
        *slot = v;
}

static int decode_strv(json_object_t *o, const JsonField *f, void *target, Error *e) {
        _cleanup_(strv_freep) char **v = NULL;
        size_t n;
        int r = array_length(o, f, &n, e);

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = strv_add(&v, json_object_array_get_idx(o, i), f, e);
        if (r < 0)
                return r;
        strv_store(target, TAKE_PTR(v));
        return 0;
}

static int decode_pairs(json_object_t *o, const JsonField *f, void *target, Error *e) {
        _cleanup_(strv_freep) char **v = NULL;
        size_t n;
        int r = array_length(o, f, &n, e);

        for (size_t i = 0; r >= 0 && i < n; i++) {
                json_object_t *pair = json_object_array_get_idx(o, i);

                if (json_object_get_type(pair) != json_type_array ||
                    json_object_array_length(pair) != 2)
                        return wrong_type(f, "an array of [name, value]", e);
                r = strv_add(&v, json_object_array_get_idx(pair, 0), f, e);
                if (r >= 0)
                        r = strv_add(&v, json_object_array_get_idx(pair, 1), f, e);
        }
        if (r < 0)
                return r;
        strv_store(target, TAKE_PTR(v));
        return 0;
}

static int decode_map(json_object_t *o, const JsonField *f, void *target, Error *e) {
        _cleanup_(strv_freep) char **v = NULL;
        uint64_t max = f->max ? f->max : JSON_COUNT_MAX;

        if (json_object_get_type(o) != json_type_object)
                return wrong_type(f, "an object", e);
        if ((uint64_t) json_object_object_length(o) > max)
                return too_large(f, max, e);
        json_object_object_foreach(o, key, value) {
                int r = strv_append(&v, key);

                if (r >= 0)
                        r = value ? strv_add(&v, value, f, e) : strv_append(&v, "");
                if (r < 0)
                        return r;
        }
        strv_store(target, TAKE_PTR(v));
        return 0;
}

static int decode_raw(json_object_t *o, const JsonField *f, void *target, Error *e) {
        const char *json = json_object_to_json_string_ext(
                o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        char **slot = target, *copy;

        if (f->max && json && strlen(json) > f->max)
                return too_large(f, f->max, e);
        copy = json ? strdup(json) : NULL;
        if (!copy)
                return -ENOMEM;
        free(*slot);
        *slot = copy;
        return 0;
}

static int decode_object(json_object_t *o, const JsonField *fields, JsonFlags flags, void *target,
                         Error *e);

static int decode_array(json_object_t *o, const JsonField *f, JsonFlags flags, void *target,
                        Error *e) {
        JsonArray *array = target;
        size_t n;
        int r = array_length(o, f, &n, e);

        if (r < 0)
                return r;
        array->items = calloc(n ? n : 1, f->size);
        if (!array->items)
                return -ENOMEM;
        array->count = n;
        for (size_t i = 0; i < n; i++) {
                r = decode_object(json_object_array_get_idx(o, i), f->fields, flags,
                                  (char *) array->items + i * f->size, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int decode_value(json_object_t *o, const JsonField *f, JsonFlags flags, void *target,
                        Error *e) {
        static int (*const decoders[])(json_object_t *, const JsonField *, void *, Error *) = {
                [JSON_TEXT] = decode_text,   [JSON_BOOL] = decode_bool, [JSON_U32] = decode_u32,
                [JSON_U64] = decode_u64,     [JSON_STRV] = decode_strv, [JSON_MAP] = decode_map,
                [JSON_PAIRS] = decode_pairs, [JSON_RAW] = decode_raw,
        };
        void *slot = (char *) target + f->offset;

        if (f->type == JSON_ARRAY) {
                if (((JsonArray *) slot)->items)
                        return error_set(e, -EINVAL, "bad-member", "Member \"%s\" stands twice.",
                                         f->name);
                return decode_array(o, f, flags, slot, e);
        }
        if (f->type == JSON_OBJECT)
                return decode_object(o, f->fields, flags, slot, e);
        return decoders[f->type](o, f, slot, e);
}

static int check_unknown(json_object_t *o, const JsonField *fields, Error *e) {
        json_object_object_foreach(o, key, value) {
                const JsonField *f = fields;

                (void) value;
                while (f->name && strcmp(f->name, key) != 0)
                        f++;
                if (!f->name)
                        return error_set(e, -EINVAL, "unknown-member", "Unknown member \"%.64s\".",
                                         key);
        }
        return 0;
}

static int decode_object(json_object_t *o, const JsonField *fields, JsonFlags flags, void *target,
                         Error *e) {
        int r = 0;

        if (json_object_get_type(o) != json_type_object)
                return error_set(e, -EINVAL, "bad-json", "A JSON object was expected.");
        if (flags != JSON_IGNORE_UNKNOWN)
                r = check_unknown(o, fields, e);
        for (const JsonField *f = fields; r >= 0 && f->name; f++) {
                json_object_t *value = NULL;

                if (json_object_object_get_ex(o, f->name, &value) && value)
                        r = decode_value(value, f, flags, target, e);
                else if (f->required)
                        return error_set(e, -EINVAL, "missing-member", "Member \"%s\" is missing.",
                                         f->name);
        }
        return r;
}

/* One document as json-c has it, whatever its top is. */
static int document_parse(const char *text, size_t size, json_object_t **ret, Error *e) {
        _cleanup_(json_tokener_freep) json_tokener_t *tokener = json_tokener_new_ex(JSON_DEPTH_MAX);

        if (!tokener)
                return error_set(e, -ENOMEM, "out-of-memory", "Out of memory.");
        if (size == 0 || size > INT32_MAX)
                return error_set(e, -EINVAL, "bad-json",
                                 "A JSON document was expected, %zu bytes came.", size);
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        *ret = json_tokener_parse_ex(tokener, text, (int) size);
        if (!*ret)
                return error_set(e, -EINVAL, "bad-json", "Not valid JSON at byte %zu: %s.",
                                 json_tokener_get_parse_end(tokener),
                                 json_tokener_error_desc(json_tokener_get_error(tokener)));
        return 0;
}

int json_decode(const char *text, size_t size, const JsonField *fields, JsonFlags flags,
                void *target, Error *e) {
        _cleanup_(json_putp) json_object_t *top = NULL;
        int r;

        r = document_parse(text, size, &top, e);
        if (r < 0)
                return r;
        r = decode_object(top, fields, flags, target, e);
        return r == -ENOMEM ? error_set(e, r, "out-of-memory", "Out of memory.") : r;
}

/* One [number, number]; what does not fit is the nearest that does. */
static int number_pair(json_object_t *o, int64_t ret[2]) {
        if (json_object_get_type(o) != json_type_array || json_object_array_length(o) != 2)
                return -EINVAL;
        for (size_t i = 0; i < 2; i++) {
                json_object_t *number = json_object_array_get_idx(o, i);

                if (json_object_get_type(number) != json_type_int)
                        return -EINVAL;
                ret[i] = json_object_get_int64(number);
        }
        return 0;
}

int json_decode_number_pairs(const char *text, size_t size, size_t max, int64_t (**ret)[2],
                             size_t *ret_count, Error *e) {
        _cleanup_(json_putp) json_object_t *top = NULL;
        _cleanup_(freep) int64_t(*pairs)[2] = NULL;
        size_t n;
        int r;

        r = document_parse(text, size, &top, e);
        if (r < 0)
                return r;
        if (json_object_get_type(top) != json_type_array)
                return error_set(e, -EINVAL, "bad-json", "A JSON array was expected.");
        n = json_object_array_length(top);
        if (n > max)
                return error_set(e, -ERANGE, "bad-json", "More than %zu pairs of numbers came.",
                                 max);
        pairs = calloc(n ? n : 1, sizeof(*pairs));
        if (!pairs)
                return error_set(e, -ENOMEM, "out-of-memory", "Out of memory.");
        for (size_t i = 0; i < n; i++) {
                r = number_pair(json_object_array_get_idx(top, i), pairs[i]);
                if (r < 0)
                        return error_set(e, r, "bad-json",
                                         "Element %zu must be an array of two whole numbers.", i);
        }
        *ret = TAKE_PTR(pairs);
        *ret_count = n;
        return 0;
}

static int scalar_add(char ***v, const char *key, json_object_t *o, Error *e) {
        const JsonField named = { .name = key };
        enum json_type type = json_object_get_type(o);
        const char *json;
        int r = strv_append(v, key);

        if (r < 0)
                return r;
        if (type == json_type_string)
                return strv_add(v, o, &named, e);
        if (type != json_type_int && type != json_type_double && type != json_type_boolean)
                return wrong_type(&named, "text, a number, true or false", e);
        json = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
        return json ? strv_append(v, json) : -ENOMEM;
}

int json_decode_scalars(const char *text, size_t size, size_t max, char ***ret, Error *e) {
        _cleanup_(json_putp) json_object_t *top = NULL;
        _cleanup_(strv_freep) char **v = NULL;
        int r = document_parse(text, size, &top, e);

        if (r < 0)
                return r;
        if (json_object_get_type(top) != json_type_object)
                return error_set(e, -EINVAL, "bad-json", "A JSON object was expected.");
        if ((size_t) json_object_object_length(top) > max)
                return error_set(e, -ERANGE, "bad-json", "More than %zu members came.", max);
        json_object_object_foreach(top, key, value) {
                r = scalar_add(&v, key, value, e);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(v);
        return 0;
}

void json_done(const JsonField *fields, void *target) {
        for (const JsonField *f = fields; f->name; f++) {
                void *slot = (char *) target + f->offset;

                if (f->type == JSON_TEXT || f->type == JSON_RAW) {
                        free(*(char **) slot);
                        *(char **) slot = NULL;
                } else if (f->type == JSON_STRV || f->type == JSON_MAP || f->type == JSON_PAIRS) {
                        strv_store(slot, NULL);
                } else if (f->type == JSON_OBJECT) {
                        json_done(f->fields, slot);
                } else if (f->type == JSON_ARRAY) {
                        JsonArray *array = slot;

                        for (size_t i = 0; i < array->count; i++)
                                json_done(f->fields, (char *) array->items + i * f->size);
                        free(array->items);
                        *array = (JsonArray){};
                }
        }
}
