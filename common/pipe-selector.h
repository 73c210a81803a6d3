/* Which agents may run a pipe, by their labels: terms of which each must hold. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"
#include "error.h"
#include "json-in.h"
#include "json-out.h"

typedef struct SelectorTerm {
        char *key;      /* owned: the label */
        char *operator; /* owned: in, notin, exists, absent */
        char **values;  /* owned: of in and notin */
} SelectorTerm;

typedef struct Selector {
        JsonArray terms; /* owned, of SelectorTerm; sorted, none twice */
} Selector;

void selector_done(Selector *s);

/* "a=b, a!=b, a in (b, c), a notin (b, c), a, !a". -EINVAL says what is expected; *ret_at is where, in bytes from the
 * beginning of the text. */
int selector_parse(const char *text, Selector *ret, size_t *ret_at, Error *e);

/* An array of {"key", "operator", "values"}; or, as the first release wrote it, an object of label and value, null for: must
 * be there. */
int selector_from_json(const char *json, Selector *ret, Error *e);

/* The normal form: the array. */
void selector_to_json(const Selector *s, JsonOut *o, const char *key);

/* What goes into a version's hash: the first release's form wherever that can say it, so that versions stay what they are. */
void selector_to_hash(const Selector *s, JsonOut *o, const char *key);

/* The array as the one member of an object; and the operators that its terms have. */
extern const JsonField selector_fields[], selector_term_fields[];
extern const char *const selector_operators[];

/* 1 to 63 letters, digits and _./-, beginning with a letter or digit. */
#define LABEL_NAME_PATTERN "^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$"
bool label_name_ok(const char *name);
