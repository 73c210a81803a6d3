/* What looks like a secret: it belongs into a credential on the host, and is refused wherever it would be stored. */
#pragma once

#include "error.h"

typedef struct SecretShape {
        const char *what;    /* for people: "a private key" */
        const char *pattern; /* common/pattern.h */
        const char *hint;    /* stands in whatever matches */
} SecretShape;

/* The same as sluice.secret_shapes() in sql/api/secret.sql; tests/unit/test-parameter.c holds the two together. A row whose `what` is
 * NULL ends it. */
extern const SecretShape secret_shapes[];

/* Names of parameters and outputs that say that a secret is in them; in lower case. */
extern const char secret_names[];

/* 1 and what the value looks like, 0, or -ENOMEM. */
int secret_looks_like(const char *value, const char **ret);

/* -EINVAL with words that begin with what and say what to do instead, and never with the value; or -ENOMEM. */
int secret_check(const char *what, const char *name, const char *value, Error *e);
