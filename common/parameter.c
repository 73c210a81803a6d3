/* A row for each type. */
#include "parameter.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pattern.h"
#include "str.h"
#include "strv.h"

#define DIGITS "0123456789"
#define NUMBER_DIGITS_MAX 15 /* on each side of the point */

static bool is_relative(const char *s) {
        return str_eq(s, "today") || str_eq(s, "yesterday") || str_eq(s, "tomorrow");
}

bool parameter_is_relative(const char *type, const char *value) {
        return value && is_relative(value) && (str_eq(type, "date") || str_eq(type, "datetime"));
}

static bool is_string(const char *s) {
        return str_is_utf8(s, strlen(s));
}

static bool is_integer(const char *s) {
        size_t n = strlen(s += *s == '-');

        return n >= 1 && n <= 18 && strspn(s, DIGITS) == n;
}

static bool is_number(const char *s) {
        size_t whole = strspn(s += *s == '-', DIGITS), part = 0;

        if (s[whole] == '.') {
                part = strspn(s + whole + 1, DIGITS);
                if (part < 1 || part > NUMBER_DIGITS_MAX || s[whole + 1 + part])
                        return false;
        }
        return whole >= 1 && whole <= NUMBER_DIGITS_MAX && (part > 0 || !s[whole]);
}

static bool is_boolean(const char *s) {
        return str_eq(s, "true") || str_eq(s, "false");
}

/* The number that n digits at s are; beyond every limit when they are none. */
static unsigned digits(const char *s, size_t n) {
        unsigned value = 0;

        for (size_t i = 0; i < n; i++) {
                if (s[i] < '0' || s[i] > '9')
                        return 100000;
                value = value * 10 + (unsigned) (s[i] - '0');
        }
        return value;
}

/* YYYY-MM-DD at the beginning of s, in the calendar of today. */
static bool begins_with_date(const char *s) {
        static const unsigned lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        unsigned year, month, day, leap;

        if (strlen(s) < 10 || s[4] != '-' || s[7] != '-')
                return false;
        year = digits(s, 4);
        month = digits(s + 5, 2);
        day = digits(s + 8, 2);
        leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        return year >= 1 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 &&
               day <= lengths[month - 1] + leap;
}

static bool is_date(const char *s) {
        return is_relative(s) || (strlen(s) == 10 && begins_with_date(s));
}

/* "HH:MM" at the beginning of s, the hour below the limit. */
static bool is_time(const char *s, unsigned hours) {
        return strlen(s) >= 5 && s[2] == ':' && digits(s, 2) < hours && digits(s + 3, 2) < 60;
}

/* RFC 3339: a date, T, a time with seconds, and Z or how far the clock is ahead of UTC. */
static bool is_datetime(const char *s) {
        size_t part;

        if (is_relative(s))
                return true;
        if (!begins_with_date(s) || s[10] != 'T' || !is_time(s + 11, 24) || s[16] != ':' ||
            strlen(s) < 20 || digits(s + 17, 2) >= 60)
                return false;
        s += 19;
        if (*s == '.') {
                part = strspn(s + 1, DIGITS);
                if (part < 1 || part > 6)
                        return false;
                s += 1 + part;
        }
        return str_eq(s, "Z") || ((*s == '+' || *s == '-') && strlen(s) == 6 && is_time(s + 1, 15));
}

/* Below zero, 0 or above zero; both are numbers. */
static int compare_numbers(const char *a, const char *b) {
        bool minus = *a == '-';
        size_t n, m;
        int r;

        if (minus != (*b == '-'))
                return strspn(a, "-0.") == strlen(a) && strspn(b, "-0.") == strlen(b) ? 0
                       : minus                                                        ? -1
                                                                                      : 1;
        a += minus;
        b += minus;
        a += strspn(a, "0");
        b += strspn(b, "0");
        n = strspn(a, DIGITS);
        m = strspn(b, DIGITS);
        r = n != m ? (n < m ? -1 : 1) : strncmp(a, b, n);
        for (a += n, b += m; r == 0 && (*a || *b);) {
                a += *a == '.';
                b += *b == '.';
                r = (*a ? *a : '0') - (*b ? *b : '0');
                a += *a != '\0';
                b += *b != '\0';
        }
        return minus ? -r : r;
}

/* Microseconds since the year 1. */
static int64_t moment(const char *s) {
        static const unsigned before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
        unsigned year = digits(s, 4), month = digits(s + 5, 2), y = year - (month < 3), usec = 0;
        int64_t days = 365LL * (year - 1) + y / 4 - y / 100 + y / 400 + before[month - 1] +
                       digits(s + 8, 2);
        int64_t sec = days * 86400 + digits(s + 11, 2) * 3600LL + digits(s + 14, 2) * 60 +
                      digits(s + 17, 2);
        unsigned unit = 100000;

        s += 19;
        for (s += *s == '.'; *s >= '0' && *s <= '9'; s++, unit /= 10)
                usec += unit * (unsigned) (*s - '0');
        if (*s != 'Z')
                sec -= (*s == '-' ? -1 : 1) *
                       (int64_t) (digits(s + 1, 2) * 3600 + digits(s + 4, 2) * 60);
        return sec * 1000000 + usec;
}

static int compare_datetimes(const char *a, const char *b) {
        int64_t x = moment(a), y = moment(b);

        return x < y ? -1 : x > y;
}

static const struct {
        const char *name;
        bool (*is)(const char *s);
        const char *expected;
        int (*compare)(const char *a, const char *b); /* NULL: it has no Minimum= and Maximum= */
        bool pattern, values, list;                   /* it may have them; it is several */
} types[] = {
        { "string", is_string, "UTF-8 text", NULL, true, false, false },
        { "integer", is_integer, "a whole number of at most 18 digits", compare_numbers, true,
          false, false },
        { "number", is_number, "a number such as -1.5, of at most 15 digits on each side",
          compare_numbers, true, false, false },
        { "boolean", is_boolean, "true or false", NULL, false, false, false },
        { "date", is_date, "a date such as 2024-02-29, or today, yesterday or tomorrow", strcmp,
          true, false, false },
        { "datetime", is_datetime,
          "a time such as 2024-02-29T12:00:00Z, or today, yesterday or tomorrow", compare_datetimes,
          true, false, false },
        { "enum", is_string, "one of Values=", NULL, false, true, false },
        { "list", is_string, "texts with commas between them", NULL, true, true, true },
};

static int find_type(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (str_eq(types[i].name, name ? name : "string"))
                        return (int) i;
        return -ENOENT;
}

bool parameter_name_ok(const char *name, size_t size) {
        if (size < 1 || size > PARAMETER_NAME_MAX || *name < 'a' || *name > 'z')
                return false;
        for (size_t i = 0; i < size; i++)
                if (!(name[i] >= 'a' && name[i] <= 'z') && !(name[i] >= '0' && name[i] <= '9') &&
                    name[i] != '_')
                        return false;
        return true;
}

const char *parameter_type(size_t i) {
        return i < ELEMENTSOF(types) ? types[i].name : NULL;
}

/* "string, integer, …" in an owned text; NULL when out of memory. */
static char *all_types(void) {
        const char *names[ELEMENTSOF(types) + 1] = {};

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                names[i] = types[i].name;
        return strv_join((char *const *) names, ", ");
}

static int check_words(const ParameterRule *rule, int type, const char **ret_key, Error *e) {
        const struct {
                const char *key;
                bool stands, may;
        } rows[] = {
                { "Pattern", rule->pattern != NULL, types[type].pattern },
                { "Minimum", rule->minimum != NULL, types[type].compare != NULL },
                { "Maximum", rule->maximum != NULL, types[type].compare != NULL },
                { "Values", strv_length(rule->values) > 0, types[type].values },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (rows[i].stands && !rows[i].may) {
                        *ret_key = rows[i].key;
                        return error_set(e, -EINVAL, "bad-parameter",
                                         "%s= does not go with Type=%s", rows[i].key,
                                         types[type].name);
                }
        *ret_key = "Type";
        if (str_eq(types[type].name, "enum") && strv_length(rule->values) == 0)
                return error_set(e, -EINVAL, "bad-parameter", "Type=enum wants Values=");
        return 0;
}

static int check_limit(int type, const char *key, const char *limit, const char **ret_key,
                       Error *e) {
        *ret_key = key;
        if (!limit || types[type].is(limit))
                return 0;
        return error_set(e, -EINVAL, "bad-parameter", "%s=: %s is expected", key,
                         types[type].expected);
}

/* Relative days have their order where a run is made. */
static bool is_above(int type, const char *a, const char *b) {
        return a && b && !is_relative(a) && !is_relative(b) && types[type].compare(a, b) > 0;
}

int parameter_rule_check(const ParameterRule *rule, const char **ret_key, Error *e) {
        _cleanup_(pattern_freep) Pattern *pattern = NULL;
        _cleanup_(freep) char *all = NULL;
        int type = find_type(rule->type), r;

        if (type < 0) {
                *ret_key = "Type";
                all = all_types();
                return error_set(e, -EINVAL, "bad-parameter", "Type=%.64s is not one of %s",
                                 rule->type, all ? all : "those that are known");
        }
        r = check_words(rule, type, ret_key, e);
        if (r >= 0)
                r = check_limit(type, "Minimum", rule->minimum, ret_key, e);
        if (r >= 0)
                r = check_limit(type, "Maximum", rule->maximum, ret_key, e);
        if (r >= 0 && is_above(type, rule->minimum, rule->maximum))
                r = error_set(e, -EINVAL, "bad-parameter", "Minimum=%s is above Maximum=%s",
                              rule->minimum, rule->maximum);
        if (r < 0 || !rule->pattern)
                return r;
        *ret_key = "Pattern";
        r = pattern_compile(rule->pattern, &pattern, e);
        return r == -ENOMEM ? r : r < 0 ? error_prefix(e, "Pattern=: ") : 0;
}

/* One value, or one of a list. */
static int check_one(const ParameterRule *rule, int type, const char *value, Error *e) {
        _cleanup_(pattern_freep) Pattern *pattern = NULL;
        int r;

        if (!types[type].is(value))
                return error_set(e, -EINVAL, "bad-parameter", "\"%.64s\": %s is expected", value,
                                 types[type].expected);
        if (strv_length(rule->values) > 0 && !strv_contains(rule->values, value)) {
                _cleanup_(freep) char *all = strv_join(rule->values, ", ");

                return error_set(e, -EINVAL, "bad-parameter", "\"%.64s\" is not one of %s", value,
                                 all ? all : "Values=");
        }
        if (is_above(type, rule->minimum, value))
                return error_set(e, -EINVAL, "bad-parameter", "\"%.64s\" is below Minimum=%s",
                                 value, rule->minimum);
        if (is_above(type, value, rule->maximum))
                return error_set(e, -EINVAL, "bad-parameter", "\"%.64s\" is above Maximum=%s",
                                 value, rule->maximum);
        /* What a relative day becomes, the database knows. */
        if (!rule->pattern || (types[type].compare && is_relative(value)))
                return 0;
        r = pattern_compile(rule->pattern, &pattern, e);
        if (r >= 0)
                r = pattern_match(pattern, value);
        return r != 0 ? r
                      : error_set(e, -EINVAL, "bad-parameter",
                                  "\"%.64s\" does not match Pattern=%.200s", value, rule->pattern);
}

int parameter_value_check(const ParameterRule *rule, const char *value, Error *e) {
        _cleanup_(freep) char *copy = NULL;
        int type = find_type(rule->type), r = 0;

        if (type < 0 || strlen(value) > PARAMETER_VALUE_MAX)
                return error_set(e, -EINVAL, "bad-parameter", "it is longer than %d bytes",
                                 PARAMETER_VALUE_MAX);
        if (!types[type].list) {
                r = check_one(rule, type, value, e);
                return r > 0 ? 0 : r;
        }
        copy = strdup(value);
        if (!copy)
                return -ENOMEM;
        for (char *rest = copy, *one; r >= 0 && *copy && (one = strsep(&rest, ","));)
                r = check_one(rule, type, one, e);
        return r > 0 ? 0 : r;
}
