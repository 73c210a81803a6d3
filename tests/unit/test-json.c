/* json-in and json-out: what goes in comes out, and nothing else gets in. */
#include <errno.h>
#include <stddef.h>

#include "../lib/tap.h"
#include "cleanup.h"
#include "json-in.h"
#include "json-out.h"
#include "strv.h"

typedef struct Item {
        char *name;
        uint32_t count;
} Item;

typedef struct Doc {
        char *title;
        bool flag;
        uint64_t big;
        char **words;
        char **labels;
        char **pairs;
        JsonArray items;
        char *raw;
} Doc;

static const JsonField item_fields[] = {
        { "name", JSON_TEXT, true, offsetof(Item, name), .max = 5 },
        { "count", JSON_U32, false, offsetof(Item, count), .max = 10 },
        {},
};

static const JsonField doc_fields[] = {
        { "title", JSON_TEXT, true, offsetof(Doc, title), .max = 8 },
        { "flag", JSON_BOOL, false, offsetof(Doc, flag) },
        { "big", JSON_U64, false, offsetof(Doc, big) },
        { "words", JSON_STRV, false, offsetof(Doc, words), .max = 2 },
        { "labels", JSON_MAP, false, offsetof(Doc, labels) },
        { "pairs", JSON_PAIRS, false, offsetof(Doc, pairs) },
        { "items", JSON_ARRAY, false, offsetof(Doc, items), .max = 3, .fields = item_fields,
          .size = sizeof(Item) },
        { "raw", JSON_RAW, false, offsetof(Doc, raw) },
        {},
};

static int decode(const char *text, JsonFlags flags, Doc *doc, Error *e) {
        return json_decode(text, strlen(text), doc_fields, flags, doc, e);
}

static void test_reads_every_type(void) {
        Doc doc = {};

        ok_int(decode("{\"title\":\"a\\u00e9\",\"flag\":true,\"big\":9007199254740993,\"words\":["
                      "\"x\",\"y\"],"
                      "\"labels\":{\"region\":\"eu\",\"w\":null},\"pairs\":[[\"A\",\"1\"]],"
                      "\"items\":[{\"name\":\"i\",\"count\":3}],\"raw\":{\"k\": [1]}}",
                      JSON_REFUSE_UNKNOWN, &doc, NULL),
               0);
        ok_str(doc.title, "a\xc3\xa9");
        ok_true(doc.flag);
        ok_int(doc.big, 9007199254740993);
        ok_int(strv_length(doc.words), 2);
        ok_str(doc.labels[3], "");
        ok_str(doc.pairs[1], "1");
        ok_int(doc.items.count, 1);
        ok_int(((Item *) doc.items.items)[0].count, 3);
        ok_str(doc.raw, "{\"k\":[1]}");
        json_done(doc_fields, &doc);
        ok_null(doc.title);
}

static void test_refuses(void) {
        static const struct {
                const char *text, *words;
        } bad[] = {
                { "{\"title\":1}", "\"title\" must be text" },
                { "{\"title\":\"123456789\"}", "above its limit of 8" },
                { "{\"title\":\"a\\u0000b\"}", "without NUL" },
                { "{\"flag\":true}", "\"title\" is missing" },
                { "{\"title\":\"x\",\"other\":1}", "Unknown member \"other\"" },
                { "{\"title\":\"x\",\"big\":-1}", "0 or more" },
                { "{\"title\":\"x\",\"big\":1.5}", "a whole number" },
                { "{\"title\":\"x\",\"words\":[\"a\",\"b\",\"c\"]}", "limit of 2" },
                { "{\"title\":\"x\",\"words\":[1]}", "must be text" },
                { "{\"title\":\"x\",\"items\":[{\"count\":1}]}", "\"name\" is missing" },
                { "{\"title\":\"x\",\"pairs\":[[\"a\"]]}", "[name, value]" },
                { "{\"title\":\"x\"", "Not valid JSON" },
                { "{\"title\":\"x\"} x", "Not valid JSON" },
                { "{'title':'x'}", "Not valid JSON" },
                { "{\"title\":\"\xff\"}", "Not valid JSON" },
                { "[]", "object was expected" },
                { "", "document was expected" },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                Doc doc = {};
                Error e = {};

                ok_true(decode(bad[i].text, JSON_REFUSE_UNKNOWN, &doc, &e) < 0);
                ok_contains(e.detail, bad[i].words);
                json_done(doc_fields, &doc);
        }
}

static void test_protocol_ignores_unknown(void) {
        Doc doc = {};

        ok_int(decode("{\"title\":\"x\",\"newer\":{}}", JSON_IGNORE_UNKNOWN, &doc, NULL), 0);
        json_done(doc_fields, &doc);
}

static void test_writes(void) {
        _cleanup_(freep) char *text = NULL;
        JsonOut o = {};

        json_out_object(&o, NULL);
        json_out_text(&o, "a", "q\"\\\n\x01");
        json_out_text(&o, "bad", "x\xff\xc3\xa9");
        json_out_text(&o, "none", NULL);
        json_out_array(&o, "list");
        json_out_u64(&o, NULL, UINT64_MAX);
        json_out_bool(&o, NULL, false);
        json_out_end_array(&o);
        json_out_raw(&o, "raw", "{}");
        json_out_end_object(&o);
        ok_int(json_out_take(&o, &text), 0);
        ok_str(text,
               "{\"a\":\"q\\\"\\\\\\n\\u0001\",\"bad\":\"x\xef\xbf\xbd\xc3\xa9\",\"none\":null,"
               "\"list\":[18446744073709551615,false],\"raw\":{}}");
}

int main(void) {
        RUN(test_reads_every_type);
        RUN(test_refuses);
        RUN(test_protocol_ignores_unknown);
        RUN(test_writes);
        return tap_done();
}
