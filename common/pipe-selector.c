/* AgentSelector=: text or JSON into terms, and their normal form. Means what sluice.selector_matches() of the database does. */
#include "pipe-selector.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "str.h"
#include "strv.h"

#define TERMS_MAX 64
#define VALUES_MAX 64
#define KEY_MAX 63
#define VALUE_MAX 255

static const char key_first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
static const char key_alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-";

const JsonField selector_term_fields[] = {
        { "key", JSON_TEXT, true, offsetof(SelectorTerm, key), .max = KEY_MAX },
        { "operator", JSON_TEXT, true, offsetof(SelectorTerm, operator), .max = 16 },
        { "values", JSON_STRV, false, offsetof(SelectorTerm, values), .max = VALUES_MAX },
        {},
};

const JsonField selector_fields[] = {
        { "terms", JSON_ARRAY, true, offsetof(Selector, terms), .max = TERMS_MAX,
          .fields = selector_term_fields, .size = sizeof(SelectorTerm) },
        {},
};

const char *const selector_operators[] = { "in", "notin", "exists", "absent", NULL };

void selector_done(Selector *s) {
        json_done(selector_fields, s);
}

static SelectorTerm *term_at(const Selector *s, size_t i) {
        return (SelectorTerm *) s->terms.items + i;
}

bool label_name_ok(const char *name) {
        size_t n = strlen(name);

        return n >= 1 && n <= KEY_MAX && strchr(key_first, *name) &&
               strspn(name, key_alphabet) == n;
}

static int term_add(Selector *s, const char *key, size_t n, const char *operator,
                    SelectorTerm ** ret, Error *e) {
        SelectorTerm *grown, *t;

        if (s->terms.count >= TERMS_MAX)
                return error_set(e, -E2BIG, "bad-selector", "at most %d terms are expected",
                                 TERMS_MAX);
        grown = reallocarray(s->terms.items, s->terms.count + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        s->terms.items = grown;
        t = grown + s->terms.count;
        *t = (SelectorTerm){ .key = strndup(key, n), .operator= strdup(operator) };
        s->terms.count++;
        *ret = t;
        return t->key && t->operator? 0 : - ENOMEM;
}

static bool is_one_of(const SelectorTerm *t) {
        return str_eq(t->operator, "in") || str_eq(t->operator, "notin");
}

static int term_check(const SelectorTerm *t, Error *e) {
        if (!label_name_ok(t->key))
                return error_set(e, -EINVAL, "bad-selector",
                                 "\"%.64s\" is no label: letters, digits and _./- are expected, at "
                                 "most %d",
                                 t->key, KEY_MAX);
        if (!strv_contains((char *const *) selector_operators, t->operator))
                return error_set(
                        e, -EINVAL, "bad-selector",
                        "\"%.16s\" is no operator: in, notin, exists or absent is expected",
                        t->operator);
        if (is_one_of(t) != (strv_length(t->values) > 0))
                return error_set(e, -EINVAL, "bad-selector", "%s of label %s takes %s", t->operator,
                                 t->key, is_one_of(t) ? "one value at least" : "no values");
        STRV_FOREACH(v, t->values)
                if (strlen(*v) > VALUE_MAX)
                        return error_set(e, -E2BIG, "bad-selector",
                                         "a value of label %s is longer than %d bytes", t->key,
                                         VALUE_MAX);
        return 0;
}

static int compare_texts(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* By label, then by operator: what stands for one label stands together. */
static int compare_terms(const void *a, const void *b) {
        const SelectorTerm *x = a, *y = b;
        int r = strcmp(x->key, y->key);

        if (r == 0)
                r = strcmp(x->operator, y->operator);
        for (size_t i = 0; r == 0 && x->values && y->values && (x->values[i] || y->values[i]); i++)
                r = !x->values[i] ? -1 : !y->values[i] ? 1 : strcmp(x->values[i], y->values[i]);
        return r;
}

static void values_normalise(char **values) {
        size_t n = strv_length(values), kept = 0;

        if (n < 2)
                return;
        qsort(values, n, sizeof(*values), compare_texts);
        for (size_t i = 1; i < n; i++)
                if (str_eq(values[i], values[kept]))
                        free(values[i]);
                else
                        values[++kept] = values[i];
        values[kept + 1] = NULL;
}

/* Sorted, each term once, each value once. */
static int selector_normalise(Selector *s, Error *e) {
        SelectorTerm *terms = s->terms.items;
        size_t kept = 0;

        for (size_t i = 0; i < s->terms.count; i++) {
                int r = term_check(terms + i, e);

                if (r < 0)
                        return r;
                values_normalise(terms[i].values);
        }
        if (s->terms.count < 2)
                return 0;
        qsort(terms, s->terms.count, sizeof(*terms), compare_terms);
        for (size_t i = 1; i < s->terms.count; i++)
                if (compare_terms(terms + i, terms + kept) == 0)
                        json_done(selector_term_fields, terms + i);
                else
                        terms[++kept] = terms[i];
        s->terms.count = kept + 1;
        return 0;
}

typedef struct Cursor {
        const char *p;
        Selector *selector;
        Error *e;
} Cursor;

static void skip_space(Cursor *c) {
        while (isspace((unsigned char) *c->p))
                c->p++;
}

static int expected(const Cursor *c, const char *what) {
        return *c->p ? error_set(c->e, -EINVAL, "bad-selector", "%s is expected, not \"%.16s\"",
                                 what, c->p)
                     : error_set(c->e, -EINVAL, "bad-selector", "%s is expected, and the line ends",
                                 what);
}

/* Up to one of stop, without the white space around it. */
static int value_parse(Cursor *c, const char *stop, SelectorTerm *t) {
        const char *value;
        size_t n;

        skip_space(c);
        n = strcspn(c->p, stop);
        while (n > 0 && isspace((unsigned char) c->p[n - 1]))
                n--;
        if (n == 0 || *c->p == '=')
                return expected(c, "a value");
        for (size_t i = 0; i < n; i++)
                if (strchr("()", c->p[i])) {
                        c->p += i;
                        return expected(c, "a value without parentheses");
                }
        value = c->p;
        c->p += n;
        skip_space(c);
        return strv_append_take(&t->values, strndup(value, n));
}

/* "(b, c)" */
static int list_parse(Cursor *c, SelectorTerm *t) {
        int r;

        skip_space(c);
        if (*c->p != '(')
                return expected(c, "( and values");
        do {
                c->p++;
                r = value_parse(c, ",)", t);
        } while (r >= 0 && *c->p == ',');
        if (r < 0)
                return r;
        if (*c->p != ')')
                return expected(c, ", or )");
        c->p++;
        return 0;
}

/* The word at c->p, when nothing but ( or white space follows it; moves behind it. */
static bool take_word(Cursor *c, const char *word) {
        const char *rest = str_after(c->p, word);

        if (!rest || (*rest && *rest != '(' && !isspace((unsigned char) *rest)))
                return false;
        c->p = rest;
        return true;
}

static bool take(Cursor *c, const char *mark) {
        const char *rest = str_after(c->p, mark);

        if (rest)
                c->p = rest;
        return rest;
}

static int term_parse(Cursor *c) {
        bool absent = take(c, "!");
        const char *key;
        SelectorTerm *t;
        size_t n;
        int r;

        skip_space(c);
        key = c->p;
        n = strspn(key, key_alphabet);
        if (n == 0 || n > KEY_MAX || !strchr(key_first, *key))
                return expected(c, "a label");
        c->p += n;
        skip_space(c);
        if (absent)
                r = term_add(c->selector, key, n, "absent", &t, c->e);
        else if (!*c->p || *c->p == ',')
                r = term_add(c->selector, key, n, "exists", &t, c->e);
        else if (take(c, "=")) {
                r = term_add(c->selector, key, n, "in", &t, c->e);
                r = r < 0 ? r : value_parse(c, ",", t);
        } else if (take(c, "!=")) {
                r = term_add(c->selector, key, n, "notin", &t, c->e);
                r = r < 0 ? r : value_parse(c, ",", t);
        } else if (take_word(c, "in")) {
                r = term_add(c->selector, key, n, "in", &t, c->e);
                r = r < 0 ? r : list_parse(c, t);
        } else if (take_word(c, "notin")) {
                r = term_add(c->selector, key, n, "notin", &t, c->e);
                r = r < 0 ? r : list_parse(c, t);
        } else {
                return expected(c, "=, !=, in (...), notin (...) or a comma");
        }
        skip_space(c);
        return r < 0 || !*c->p || *c->p == ',' ? r : expected(c, "a comma");
}

int selector_parse(const char *text, Selector *ret, size_t *ret_at, Error *e) {
        _cleanup_(selector_done) Selector s = {};
        Cursor c = { text, &s, e };
        int r = 0;

        *ret_at = 0;
        while (r >= 0 && *c.p) {
                skip_space(&c);
                if (*c.p == ',')
                        c.p++;
                else if (*c.p)
                        r = term_parse(&c);
        }
        if (r < 0) {
                *ret_at = (size_t) (c.p - text);
                return r;
        }
        r = selector_normalise(&s, e);
        if (r < 0)
                return r;
        *ret = s;
        s = (Selector){};
        return 0;
}

/* The form of the first release: {"region": "eu", "warehouse": null}. */
static int from_object(const char *json, Selector *s, Error *e) {
        static const JsonField fields[] = { { "labels", JSON_MAP, false, 0, .max = TERMS_MAX },
                                            {} };
        _cleanup_(strv_freep) char **pairs = NULL;
        _cleanup_(freep) char *whole = str_format("{\"labels\":%s}", json);
        int r = whole ? json_decode(whole, strlen(whole), fields, 0, &pairs, e) : -ENOMEM;

        for (char **p = pairs; r >= 0 && p && *p; p += 2) {
                SelectorTerm *t;

                r = term_add(s, p[0], strlen(p[0]), *p[1] ? "in" : "exists", &t, e);
                if (r >= 0 && *p[1])
                        r = strv_append(&t->values, p[1]);
        }
        return r;
}

int selector_from_json(const char *json, Selector *ret, Error *e) {
        _cleanup_(selector_done) Selector s = {};
        _cleanup_(freep) char *whole = NULL;
        int r;

        if (*json == '{') {
                r = from_object(json, &s, e);
        } else {
                whole = str_format("{\"terms\":%s}", json);
                r = whole ? json_decode(whole, strlen(whole), selector_fields, JSON_REFUSE_UNKNOWN,
                                        &s, e)
                          : -ENOMEM;
        }
        if (r >= 0)
                r = selector_normalise(&s, e);
        if (r < 0)
                return r;
        *ret = s;
        s = (Selector){};
        return 0;
}

void selector_to_json(const Selector *s, JsonOut *o, const char *key) {
        json_out_array(o, key);
        for (size_t i = 0; i < s->terms.count; i++) {
                const SelectorTerm *t = term_at(s, i);

                json_out_object(o, NULL);
                json_out_text(o, "key", t->key);
                json_out_text(o, "operator", t->operator);
                json_out_array(o, "values");
                STRV_FOREACH(v, t->values)
                        json_out_text(o, NULL, *v);
                json_out_end_array(o);
                json_out_end_object(o);
        }
        json_out_end_array(o);
}

static bool is_simple(const Selector *s) {
        for (size_t i = 0; i < s->terms.count; i++) {
                const SelectorTerm *t = term_at(s, i);

                if (i > 0 && str_eq(t->key, term_at(s, i - 1)->key))
                        return false;
                if (!str_eq(t->operator, "exists") &&
                    (!str_eq(t->operator, "in") || strv_length(t->values) != 1 || !*t->values[0]))
                        return false;
        }
        return true;
}

void selector_to_hash(const Selector *s, JsonOut *o, const char *key) {
        if (!is_simple(s)) {
                selector_to_json(s, o, key);
                return;
        }
        json_out_object(o, key);
        for (size_t i = 0; i < s->terms.count; i++)
                json_out_text(o, term_at(s, i)->key,
                              term_at(s, i)->values ? term_at(s, i)->values[0] : NULL);
        json_out_end_object(o);
}
