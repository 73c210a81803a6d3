/* systemd's time span syntax. libc only. */
#include "timespan.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "str.h"

/* Every word that systemd.time(7) knows. */
static const struct {
        const char *name;
        uint64_t usec;
} units[] = {
        { "us", 1 },
        { "usec", 1 },
        { "ms", USEC_PER_MSEC },
        { "msec", USEC_PER_MSEC },
        { "s", USEC_PER_SEC },
        { "sec", USEC_PER_SEC },
        { "second", USEC_PER_SEC },
        { "seconds", USEC_PER_SEC },
        { "m", USEC_PER_MINUTE },
        { "min", USEC_PER_MINUTE },
        { "minute", USEC_PER_MINUTE },
        { "minutes", USEC_PER_MINUTE },
        { "h", USEC_PER_HOUR },
        { "hr", USEC_PER_HOUR },
        { "hour", USEC_PER_HOUR },
        { "hours", USEC_PER_HOUR },
        { "d", USEC_PER_DAY },
        { "day", USEC_PER_DAY },
        { "days", USEC_PER_DAY },
        { "w", 7 * USEC_PER_DAY },
        { "week", 7 * USEC_PER_DAY },
        { "weeks", 7 * USEC_PER_DAY },
        { "M", 2629800 * USEC_PER_SEC },
        { "month", 2629800 * USEC_PER_SEC },
        { "months", 2629800 * USEC_PER_SEC },
        { "y", 31557600 * USEC_PER_SEC },
        { "year", 31557600 * USEC_PER_SEC },
        { "years", 31557600 * USEC_PER_SEC },
};

static const char *skip_space(const char *s) {
        while (isspace((unsigned char) *s))
                s++;
        return s;
}

/* The unit word at *s, moving behind it; seconds when there is none. 0 for an unknown word. */
static uint64_t unit_parse(const char **s) {
        const char *end = *s;
        size_t n;

        while (isalpha((unsigned char) *end))
                end++;
        n = (size_t) (end - *s);
        if (n == 0)
                return USEC_PER_SEC;
        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (strlen(units[i].name) == n && strncmp(*s, units[i].name, n) == 0) {
                        *s = end;
                        return units[i].usec;
                }
        return 0;
}

/* One "NUMBER[.FRACTION] [UNIT]" at *s, moving behind it. */
static int term_parse(const char **s, uint64_t *ret_usec) {
        uint64_t whole = 0, fraction = 0, scale = 1, unit, usec;
        const char *p = *s;

        if (!isdigit((unsigned char) *p))
                return -EINVAL;
        for (; isdigit((unsigned char) *p); p++)
                if (__builtin_mul_overflow(whole, 10U, &whole) ||
                    __builtin_add_overflow(whole, (uint64_t) (*p - '0'), &whole))
                        return -ERANGE;
        if (*p == '.') {
                if (!isdigit((unsigned char) *++p))
                        return -EINVAL;
                for (; isdigit((unsigned char) *p); p++)
                        if (scale < 1000000000) {
                                fraction = fraction * 10 + (uint64_t) (*p - '0');
                                scale *= 10;
                        }
        }
        p = skip_space(p);
        unit = unit_parse(&p);
        if (unit == 0)
                return -EINVAL;
        if (__builtin_mul_overflow(whole, unit, &usec) ||
            __builtin_add_overflow(usec, (uint64_t) ((unsigned __int128) fraction * unit / scale),
                                   &usec))
                return -ERANGE;
        *s = skip_space(p);
        *ret_usec = usec;
        return 0;
}

int timespan_parse(const char *s, uint64_t *ret_usec) {
        uint64_t sum = 0;

        s = skip_space(s);
        if (str_eq(s, "infinity")) {
                *ret_usec = USEC_INFINITY;
                return 0;
        }
        do {
                uint64_t usec;
                int r = term_parse(&s, &usec);

                if (r < 0)
                        return r;
                if (__builtin_add_overflow(sum, usec, &sum) || sum == USEC_INFINITY)
                        return -ERANGE;
        } while (*s);
        *ret_usec = sum;
        return 0;
}

const char *timespan_format(uint64_t usec, char text[TIMESPAN_TEXT_MAX]) {
        static const struct {
                const char *name;
                uint64_t usec;
        } steps[] = { { "d", USEC_PER_DAY }, { "h", USEC_PER_HOUR }, { "min", USEC_PER_MINUTE } };

        if (usec == USEC_INFINITY) {
                (void) snprintf(text, TIMESPAN_TEXT_MAX, "infinity");
                return text;
        }
        for (size_t i = 0; i < ELEMENTSOF(steps); i++)
                if (usec >= steps[i].usec) {
                        uint64_t next =
                                i + 1 < ELEMENTSOF(steps) ? steps[i + 1].usec : USEC_PER_SEC;
                        const char *name = i + 1 < ELEMENTSOF(steps) ? steps[i + 1].name : "s";
                        uint64_t rest = usec % steps[i].usec / next;
                        int n = snprintf(text, TIMESPAN_TEXT_MAX, "%llu%s",
                                         (unsigned long long) (usec / steps[i].usec),
                                         steps[i].name);

                        if (rest > 0)
                                (void) snprintf(text + n, TIMESPAN_TEXT_MAX - (size_t) n, " %llu%s",
                                                (unsigned long long) rest, name);
                        return text;
                }
        /* From where milliseconds would be rounded to a thousand, which %g writes as 1e+03. */
        if (usec >= USEC_PER_SEC - USEC_PER_MSEC / 2)
                (void) snprintf(text, TIMESPAN_TEXT_MAX, "%.3gs", (double) usec / USEC_PER_SEC);
        else if (usec >= USEC_PER_MSEC)
                (void) snprintf(text, TIMESPAN_TEXT_MAX, "%.3gms", (double) usec / USEC_PER_MSEC);
        else
                (void) snprintf(text, TIMESPAN_TEXT_MAX, usec ? "%uus" : "0", (unsigned) usec);
        return text;
}

uint64_t clock_usec(clockid_t clock) {
        struct timespec ts;

        (void) clock_gettime(clock, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}
