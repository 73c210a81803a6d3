/* Words for failures. Nothing here allocates: an error must be sayable when memory is gone. */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(Error *e, int code, const char *slug, const char *fmt, ...) {
        va_list ap;

        if (!e)
                return code;

        e->code = code;
        (void) snprintf(e->slug, sizeof(e->slug), "%s", slug);
        va_start(ap, fmt);
        (void) vsnprintf(e->detail, sizeof(e->detail), fmt, ap);
        va_end(ap);
        return code;
}

int error_prefix(Error *e, const char *fmt, ...) {
        char head[ERROR_DETAIL_MAX];
        char whole[2 * ERROR_DETAIL_MAX];
        va_list ap;

        if (!e)
                return -EINVAL;

        va_start(ap, fmt);
        (void) vsnprintf(head, sizeof(head), fmt, ap);
        va_end(ap);
        (void) snprintf(whole, sizeof(whole), "%s%s", head, e->detail);
        (void) memcpy(e->detail, whole, sizeof(e->detail));
        e->detail[sizeof(e->detail) - 1] = '\0';
        return e->code;
}

const char *error_text(const Error *e, int r) {
        if (e && e->detail[0])
                return e->detail;
        return strerror(r < 0 ? -r : r);
}
