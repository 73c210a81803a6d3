/* Values that are numbers: booleans, sizes, shares, spans, limits. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "directive-types.h"
#include "parse.h"
#include "str.h"
#include "timespan.h"

/* Digits, perhaps with two decimals, before a percent sign; in hundredths of a percent. */
static int percent_parse(const char *s, uint64_t *ret_hundredths) {
        char number[32];
        const char *dot;
        uint64_t whole, fraction = 0;
        size_t n = strlen(s);
        int r;

        if (n < 2 || n >= sizeof(number) || s[n - 1] != '%')
                return -EINVAL;
        (void) memcpy(number, s, n - 1);
        number[n - 1] = '\0';
        dot = strchr(number, '.');
        if (dot) {
                size_t digits = strlen(dot + 1);

                number[dot - number] = '\0';
                if (digits < 1 || digits > 2 || parse_u64(dot + 1, &fraction) < 0)
                        return -EINVAL;
                fraction *= digits == 1 ? 10 : 1;
        }
        r = parse_u64_range(number, 0, 1000000, &whole);
        if (r < 0)
                return r;
        *ret_hundredths = whole * 100 + fraction;
        return 0;
}

int quota_parse(const char *s, uint64_t *ret_usec_per_sec) {
        uint64_t hundredths;
        int r = percent_parse(s, &hundredths);

        if (r < 0)
                return r;
        if (hundredths == 0)
                return -ERANGE;
        *ret_usec_per_sec = hundredths * (USEC_PER_SEC / 10000);
        return 0;
}

/* Of UINT32_MAX, which stands for all, rounded as systemd does. */
static uint64_t share_of_max(uint64_t hundredths) {
        return (hundredths * UINT32_MAX + 5000) / 10000;
}

int limit_parse(const char *s, uint64_t *ret, bool *ret_relative) {
        uint64_t value;
        int r;

        if (str_eq(s, "infinity")) {
                *ret = UINT64_MAX;
                *ret_relative = false;
                return 0;
        }
        r = percent_parse(s, &value);
        if (r == 0) {
                if (value > 10000)
                        return -ERANGE;
                *ret = share_of_max(value);
                *ret_relative = true;
                return 0;
        }
        r = parse_size(s, &value);
        if (r < 0)
                return r;
        if (value == 0 || value == UINT64_MAX)
                return -ERANGE;
        *ret = value;
        *ret_relative = false;
        return 0;
}

int decode_bool(const Directive *d, const char *value, Atoms *to, Error *e) {
        bool yes;

        if (parse_bool(value, &yes) < 0)
                return error_set(e, -EINVAL, "bad-boolean", "yes or no is expected");
        directive_property(d, to);
        atoms_number(to, yes);
        return 0;
}

/* What is a share of the host's goes to a property of its own, so that PID 1 knows what of. */
static int add_limit(const Directive *d, uint64_t n, bool relative, Atoms *to) {
        char scale[64];

        (void) snprintf(scale, sizeof(scale), "%sScale", d->property);
        if (relative)
                atoms_property(to, scale, "u");
        else
                directive_property(d, to);
        atoms_number(to, n);
        return 0;
}

int decode_size(const Directive *d, const char *value, Atoms *to, Error *e) {
        bool relative;
        uint64_t n;
        int r = limit_parse(value, &n, &relative);

        if (r < 0)
                return error_set(e, -EINVAL, "bad-size",
                                 "a size such as 512M, a percentage of memory, or infinity is "
                                 "expected");
        return add_limit(d, n, relative, to);
}

int decode_size_or_nothing(const Directive *d, const char *value, Atoms *to, Error *e) {
        if (str_eq(value, "0"))
                return add_limit(d, 0, false, to);
        return decode_size(d, value, to, e);
}

int decode_share(const Directive *d, const char *value, Atoms *to, Error *e) {
        uint64_t hundredths;

        if (percent_parse(value, &hundredths) < 0 || hundredths > 10000)
                return error_set(e, -EINVAL, "bad-share", "a percentage up to 100%% is expected");
        directive_property(d, to);
        atoms_number(to, share_of_max(hundredths));
        return 0;
}

int decode_quota(const Directive *d, const char *value, Atoms *to, Error *e) {
        uint64_t n;

        if (quota_parse(value, &n) < 0)
                return error_set(e, -EINVAL, "bad-quota",
                                 "a percentage of one CPU such as 50%% is expected");
        directive_property(d, to);
        atoms_number(to, n);
        return 0;
}

int decode_weight(const Directive *d, const char *value, Atoms *to, Error *e) {
        uint64_t n;

        if (parse_u64_range(value, 1, 10000, &n) < 0)
                return error_set(e, -EINVAL, "bad-weight", "a number from 1 to 10000 is expected");
        directive_property(d, to);
        atoms_number(to, n);
        return 0;
}

int decode_tasks(const Directive *d, const char *value, Atoms *to, Error *e) {
        uint64_t n;

        if (percent_parse(value, &n) >= 0 && n > 0 && n <= 10000)
                return add_limit(d, share_of_max(n), true, to);
        if (str_eq(value, "infinity"))
                n = UINT64_MAX;
        else if (parse_u64_range(value, 1, INT32_MAX, &n) < 0)
                return error_set(e, -EINVAL, "bad-tasks",
                                 "a number of tasks, or infinity, is expected");
        return add_limit(d, n, false, to);
}

int decode_span(const Directive *d, const char *value, Atoms *to, Error *e) {
        uint64_t n;

        if (timespan_parse(value, &n) < 0 || n == 0)
                return error_set(e, -EINVAL, "bad-span",
                                 "a time span such as 90s or 2h 30min is expected");
        directive_property(d, to);
        atoms_number(to, n);
        return 0;
}

int decode_pause(const Directive *d, const char *value, Atoms *to, Error *e) {
        uint64_t n;

        if (timespan_parse(value, &n) < 0)
                return error_set(e, -EINVAL, "bad-span",
                                 "a time span such as 5s or 2min, or 0, is expected");
        directive_property(d, to);
        atoms_number(to, n);
        return 0;
}

int decode_nsec(const Directive *d, const char *value, Atoms *to, Error *e) {
        static const NamedNumber units[] = {
                { "", 1 }, { "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 }, {},
        };
        size_t digits = strspn(value, DIGITS);
        char number[16] = "";
        uint64_t n;

        if (digits < sizeof(number))
                (void) memcpy(number, value, digits);
        for (const NamedNumber *unit = units; unit->name; unit++)
                if (str_eq(value + digits, unit->name) &&
                    parse_u64_range(number, 0, UINT64_MAX / 1000000000, &n) >= 0) {
                        directive_property(d, to);
                        atoms_number(to, n * unit->number);
                        return 0;
                }
        return error_set(e, -EINVAL, "bad-span",
                         "nanoseconds, or a number with us, ms or s, is expected");
}

/* All bits of a negative one, as it is in its property. */
int decode_number(const Directive *d, const char *value, Atoms *to, Error *e) {
        const char *digits = *value == '-' || *value == '+' ? value + 1 : value;
        uint64_t magnitude;
        int64_t n;

        if (parse_u64_range(digits, 0, INT32_MAX, &magnitude) < 0)
                magnitude = (uint64_t) INT64_MAX;
        n = *value == '-' ? -(int64_t) magnitude : (int64_t) magnitude;
        if (n < d->min || n > d->max)
                return error_set(e, -EINVAL, "bad-count", "a number from %d to %d is expected",
                                 (int) d->min, (int) d->max);
        directive_property(d, to);
        atoms_number(to, (uint64_t) n);
        return 0;
}

int decode_mode(const Directive *d, const char *value, Atoms *to, Error *e) {
        size_t n = strlen(value);

        if (n == 0 || n > 5 || strspn(value, "01234567") != n || strtoul(value, NULL, 8) > 07777)
                return error_set(e, -EINVAL, "bad-mode", "an octal mode such as 0750 is expected");
        directive_property(d, to);
        atoms_number(to, strtoul(value, NULL, 8));
        return 0;
}

/* A time: of seconds, what is begun counts; without a unit they are seconds, or microseconds. */
static int span_of_limit(char unit, const char *s, uint64_t *ret) {
        uint64_t n;
        int r = unit == 'u' ? parse_u64(s, ret) : -EINVAL;

        if (r >= 0)
                return 0;
        r = timespan_parse(s, &n);
        if (r < 0)
                return r;
        *ret = unit == 'u' ? n : (n + USEC_PER_SEC - 1) / USEC_PER_SEC;
        return 0;
}

/* A nice level: the kernel counts 20 minus it. */
static int nice_of_limit(const char *s, uint64_t *ret) {
        uint64_t n;
        int r = parse_u64_range(s + 1, 0, *s == '-' ? 20 : 19, &n);

        if (r < 0)
                return r;
        *ret = *s == '-' ? 20 + n : 20 - n;
        return 0;
}

/* One of the two numbers of a limit, in the unit of setrlimit(2). */
static int limit_of(char unit, const char *s, uint64_t *ret) {
        int r = str_eq(s, "infinity") ? 1 : 0;
        uint64_t n = UINT64_MAX;

        if (r == 0 && unit == 'b')
                r = parse_size(s, &n);
        else if (r == 0 && (unit == 's' || unit == 'u'))
                r = span_of_limit(unit, s, &n);
        else if (r == 0 && unit == 'n' && (*s == '+' || *s == '-'))
                r = nice_of_limit(s, &n);
        else if (r == 0)
                r = parse_u64_range(s, 0, UINT64_MAX - 1, &n);
        if (r >= 0)
                *ret = n;
        return r;
}

int decode_limit(const Directive *d, const char *value, Atoms *to, Error *e) {
        const char *colon = strchr(value, ':');
        _cleanup_(freep) char *before = strndup(value, colon ? (size_t) (colon - value) : 0);
        uint64_t soft, hard;
        char name[64];

        if (!before)
                return -ENOMEM;
        if (limit_of(d->unit, colon ? colon + 1 : value, &hard) < 0 ||
            limit_of(d->unit, colon ? before : value, &soft) < 0 || soft > hard)
                return error_set(e, -EINVAL, "bad-limit",
                                 "a limit such as 512 or SOFT:HARD, or infinity, is expected");
        (void) snprintf(name, sizeof(name), "%sSoft", d->property);
        directive_property(d, to);
        atoms_number(to, hard);
        atoms_property(to, name, d->signature);
        atoms_number(to, soft);
        return 0;
}
