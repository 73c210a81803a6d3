/* Regular expressions of Pattern= and of what looks like a secret: the part of POSIX's and Perl's that PostgreSQL reads the same way
 * (sql/api/parameter.sql), so that a file verified offline means the same where a run is made. Characters, . [a-z] [^a-z] \d \w \s and
 * \D \W \S, (…) (?:…) |, * + ? {n} {n,} {n,m}, ^ and $ for the ends of the whole value. A value matches where any part of it does.
 * The time is bounded by the length of the value times the size of the expression, whatever both are. */
#pragma once

#include "cleanup.h"
#include "error.h"

#define PATTERN_TEXT_MAX 512

typedef struct Pattern Pattern;

/* -EINVAL or -E2BIG with words, or -ENOMEM. */
int pattern_compile(const char *text, Pattern **ret, Error *e);

/* value is UTF-8. 1 when it matches, 0, or -ENOMEM. */
int pattern_match(const Pattern *p, const char *value);

Pattern *pattern_free(Pattern *p);
DEFINE_SCOPE_EXIT(Pattern, pattern_free)
