/* An Error carries the words of a failure to a person or a peer. It rides along as last argument where words matter;
 * everywhere else a negative errno is enough. */
#pragma once

#include <stddef.h>

#define ERROR_SLUG_MAX 64
#define ERROR_DETAIL_MAX 512

typedef struct Error {
        int code;                  /* negative errno, 0 when unset */
        char slug[ERROR_SLUG_MAX]; /* stable token for programs: "pipe-not-found" */
        char detail
                [ERROR_DETAIL_MAX]; /* a sentence for people, without secrets; truncated when too long */
} Error;

/* Fills e (which may be NULL) and returns code, so that a caller can `return error_set(…)`. */
int error_set(Error *e, int code, const char *slug, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));

/* Puts words before the detail that is there: "controld.conf:3: " + "Unknown key". Nothing when there is none; then -EINVAL. */
int error_prefix(Error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The detail, or strerror() of r when nobody set one. Valid until e changes. */
const char *error_text(const Error *e, int r);
