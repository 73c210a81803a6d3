/* Reads the five fields of cron into a pattern of due times. What other programs call cron (seconds, Quartz, Jenkins) is refused with
 * a word about what to write instead: taken for something else it would run at times that nobody meant. */
#include "cron.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"

#define FIELDS 5

typedef struct Reader {
        const char *text, *p; /* borrowed */
        size_t *ret_at;
        Error *e;
} Reader;

typedef struct Field {
        const char *name;
        uint32_t min, max;
        const char *names; /* three letters each, the first is min's; or NULL */
} Field;

enum {
        MINUTE,
        HOUR,
        DAY,
        MONTH,
        WEEKDAY
};

static const Field fields[FIELDS] = {
        [MINUTE] = { "minute", 0, 59, NULL },
        [HOUR] = { "hour", 0, 23, NULL },
        [DAY] = { "day of the month", 1, 31, NULL },
        [MONTH] = { "month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec" },
        [WEEKDAY] = { "weekday", 0, 7, "sunmontuewedthufrisat" }, /* 0 and 7: Sunday */
};

static const struct {
        const char *name, *meaning; /* no meaning: refused */
} shorthands[] = {
        { "@hourly", "0 * * * *" },   { "@daily", "0 0 * * *" },   { "@midnight", "0 0 * * *" },
        { "@weekly", "0 0 * * 0" },   { "@monthly", "0 0 1 * *" }, { "@yearly", "0 0 1 1 *" },
        { "@annually", "0 0 1 1 *" }, { "@reboot", NULL },
};

/* What other programs know and cron does not. */
static const struct {
        char sign;
        const char *words;
} foreign[] = {
        { '?', "? is Quartz's; in cron it is *" },
        { 'L', "L is Quartz's; for the last day of the month use OnCalendar=*-*~01" },
        { 'W', "W is Quartz's; for the weekday nearest to a day there is no expression, but "
               "OnCalendar=Mon..Fri *-*-01..03 is near" },
        { '#', "# is Quartz's; for the second Monday of the month use OnCalendar=Mon *-*-08..14" },
        { 'H', "H is Jenkins's; to spread runs use RandomizedDelaySec=" },
        { '~', "~ is a random value in some crons; to spread runs use RandomizedDelaySec=" },
};

static int refuse(const Reader *r, const char *at, const char *words) {
        *r->ret_at = (size_t) (at - r->text);
        return error_set(r->e, -EINVAL, "bad-cron", "%s", words);
}

static bool ends(char sign) {
        return sign == '\0' || sign == ' ' || sign == '\t';
}

/* Something stands here that is no value. */
static int unexpected(const Reader *r, const Field *f) {
        int length = (int) strcspn(r->p, " \t");

        for (size_t i = 0; i < ELEMENTSOF(foreign); i++)
                if (*r->p == foreign[i].sign)
                        return refuse(r, r->p, foreign[i].words);
        *r->ret_at = (size_t) (r->p - r->text);
        if (length == 0)
                return error_set(r->e, -EINVAL, "bad-cron",
                                 "a value is expected for the %s, and the field ends", f->name);
        return error_set(r->e, -EINVAL, "bad-cron", "a value is expected for the %s, not \"%.*s\"",
                         f->name, length < 32 ? length : 32, r->p);
}

static int out_of_range(const Reader *r, const char *at, const Field *f) {
        *r->ret_at = (size_t) (at - r->text);
        return error_set(r->e, -EINVAL, "bad-cron", "the %s is not in the range %u to %u", f->name,
                         f->min, f->max);
}

static uint32_t digits_read(Reader *r) {
        uint32_t value = 0;

        for (; isdigit((unsigned char) *r->p); r->p++)
                if (value < 100000)
                        value = value * 10 + (uint32_t) (*r->p - '0');
        return value;
}

/* A number or a name. Sunday at the end of a range is the day after Saturday. */
static int value_read(Reader *r, const Field *f, bool last, uint32_t *ret) {
        const char *begin = r->p;
        uint32_t value;

        if (isdigit((unsigned char) *r->p)) {
                value = digits_read(r);
                if (value < f->min || value > f->max)
                        return out_of_range(r, begin, f);
                *ret = value;
                return 0;
        }
        for (const char *name = f->names; name && *name; name += 3)
                if (strncasecmp(r->p, name, 3) == 0 && !isalnum((unsigned char) r->p[3])) {
                        value = f->min + (uint32_t) (name - f->names) / 3;
                        r->p += 3;
                        *ret = last && f == &fields[WEEKDAY] && value == 0 ? 7 : value;
                        return 0;
                }
        return unexpected(r, f);
}

/* /STEP behind a range, or 1. */
static int step_read(Reader *r, const Field *f, uint32_t *ret) {
        const char *begin = r->p;
        uint32_t step;

        *ret = 1;
        if (*r->p != '/')
                return 0;
        r->p++;
        if (!isdigit((unsigned char) *r->p))
                return unexpected(r, f);
        step = digits_read(r);
        if (step == 0)
                return refuse(r, begin, "the step behind / is 0");
        if (step > f->max)
                return refuse(r, begin,
                              "the step is longer than the field: it would match only once, since "
                              "counting begins anew in each hour, day, month or year");
        *ret = step;
        return 0;
}

/* *, VALUE or VALUE-VALUE, then perhaps a step. */
static int element_read(Reader *r, const Field *f, uint64_t *bits) {
        const char *begin = r->p;
        uint32_t first = f->min, last = f->max, step;
        int n = 0;

        if (*r->p == '*') {
                r->p++;
        } else {
                n = value_read(r, f, false, &first);
                if (n < 0)
                        return n;
                last = first;
                if (*r->p == '-') {
                        r->p++;
                        n = value_read(r, f, true, &last);
                } else if (*r->p == '/') {
                        return refuse(r, r->p,
                                      "a step needs a range before it, as in 10-59/5 or */5");
                }
        }
        if (n < 0)
                return n;
        if (last < first)
                return refuse(r, begin, "the range goes backwards; write two, as in 22-23,0-5");
        n = step_read(r, f, &step);
        if (n < 0)
                return n;
        for (uint32_t value = first; value <= last; value += step)
                *bits |= 1ULL << value;
        return 0;
}

static int field_read(Reader *r, const Field *f, uint64_t *ret_bits) {
        for (;; r->p++) {
                int n = element_read(r, f, ret_bits);

                if (n < 0)
                        return n;
                if (ends(*r->p))
                        return 0;
                if (*r->p != ',')
                        return unexpected(r, f);
        }
}

static int count_check(const Reader *r) {
        size_t count = 0;

        for (const char *p = r->p + strspn(r->p, " \t"); *p; p += strspn(p, " \t")) {
                if (++count == FIELDS + 1)
                        return refuse(
                                r, p,
                                "cron has five fields: minute, hour, day of the month, month, "
                                "weekday; fields for seconds or years (Quartz) are not taken, "
                                "use OnCalendar= for them, and the command does not stand here");
                p += strcspn(p, " \t");
        }
        if (count < FIELDS)
                return refuse(
                        r, r->p + strlen(r->p),
                        "cron has five fields: minute, hour, day of the month, month, weekday");
        return 0;
}

/* @daily and its like: reads on in what they mean. */
static int shorthand_expand(Reader *r) {
        const char *begin = r->p + strspn(r->p, " \t");
        size_t length = strcspn(begin, " \t");

        if (*begin != '@')
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(shorthands); i++) {
                if (strlen(shorthands[i].name) != length ||
                    strncasecmp(shorthands[i].name, begin, length) != 0 ||
                    begin[length + strspn(begin + length, " \t")])
                        continue;
                if (!shorthands[i].meaning)
                        return refuse(
                                r, begin,
                                "@reboot is no time: a fleet does not start again; a streaming "
                                "pipe runs as long as its host does");
                r->text = r->p = shorthands[i].meaning;
                return 0;
        }
        return refuse(
                r, begin,
                "unknown word; there are @hourly, @daily, @midnight, @weekly, @monthly, @yearly "
                "and @annually");
}

static DuePattern pattern_of(const uint64_t bits[FIELDS], bool either) {
        static const DueTerm second_zero = { .stop = -1 };
        DuePattern p = {
                .minutes = bits[MINUTE],
                .hours = (uint32_t) bits[HOUR],
                .months = (uint16_t) bits[MONTH],
                /* Sunday is first or last in cron, and last in a pattern. */
                .weekdays =
                        (uint8_t) ((bits[WEEKDAY] >> 1 | bits[WEEKDAY] << 6) & DUE_WEEKDAYS_ALL),
                .either = either,
                .seconds = &second_zero,
                .seconds_count = 1,
        };

        for (size_t i = 0; i < ELEMENTSOF(p.years); i++)
                p.years[i] = UINT64_MAX;
        for (size_t i = 0; i < ELEMENTSOF(p.days); i++)
                p.days[i] = (uint32_t) bits[DAY];
        return p;
}

int cron_parse(const char *text, Cron *ret, size_t *ret_at, Error *e) {
        Reader r = { .text = text, .p = text, .ret_at = ret_at, .e = e };
        uint64_t bits[FIELDS] = {};
        bool star[FIELDS];
        int n = shorthand_expand(&r);

        if (n >= 0)
                n = count_check(&r);
        if (n < 0)
                return n;
        for (size_t i = 0; i < FIELDS; i++) {
                r.p += strspn(r.p, " \t");
                star[i] = *r.p == '*';
                n = field_read(&r, &fields[i], &bits[i]);
                if (n < 0)
                        return n;
        }
        ret->pattern = pattern_of(bits, !star[DAY] && !star[WEEKDAY]);
        return 0;
}

int cron_next(const Cron *c, const Zone *z, uint64_t after_usec, uint64_t *ret_usec) {
        return due_next(&c->pattern, z, after_usec, ret_usec);
}
