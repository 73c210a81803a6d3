/* Types of parameters and what their values look like. A value is always text. The database checks the same where a run is made
 * (sql/api/parameter.sql), where the words today, yesterday and tomorrow get their meaning. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

#define PARAMETERS_MAX 64     /* of a pipe */
#define PARAMETER_NAME_MAX 63 /* bytes */
#define PARAMETER_VALUE_MAX 4096

/* What is said about one; NULL: not said. */
typedef struct ParameterRule {
        const char *type; /* NULL: string */
        const char *pattern, *minimum, *maximum;
        char *const *values;
} ParameterRule;

#define PARAMETER_NAME_PATTERN "^[a-z][a-z0-9_]{0,62}$"
bool parameter_name_ok(const char *name, size_t size);

/* today, yesterday, tomorrow: what day that is depends on when it is asked. */
bool parameter_is_relative(const char *type, const char *value);

/* The i-th type, from 0; NULL behind the last. */
const char *parameter_type(size_t i);

/* The rule itself: a type that there is, limits and words that go with it, an expression that can be read. *ret_key is the directive
 * that is wrong. -EINVAL with words, or -ENOMEM. */
int parameter_rule_check(const ParameterRule *rule, const char **ret_key, Error *e);

/* A value against a rule that was found right. -EINVAL with words that do not name the parameter, or -ENOMEM. */
int parameter_value_check(const ParameterRule *rule, const char *value, Error *e);
