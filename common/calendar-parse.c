/* Reads a calendar event, from left to right: [weekdays] [date] [time] [zone], or a shorthand. What a number means is only known
 * when the sign behind it has been seen, so chains are read first and put into their fields then; calendar.c checks their range. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "calendar-internal.h"
#include "str.h"

typedef struct Reader {
        const char *text; /* borrowed; ends before the zone */
        const char *p;
        size_t *ret_at;
        Error *e;
} Reader;

static const struct {
        const char *name, *meaning;
} shorthands[] = {
        { "minutely", "*-*-* *:*:00" },
        { "hourly", "*-*-* *:00:00" },
        { "daily", "*-*-* 00:00:00" },
        { "monthly", "*-*-01 00:00:00" },
        { "weekly", "Mon *-*-* 00:00:00" },
        { "yearly", "*-01-01 00:00:00" },
        { "annually", "*-01-01 00:00:00" },
        { "anually", "*-01-01 00:00:00" },
        { "quarterly", "*-01,04,07,10-01 00:00:00" },
        { "semiannually", "*-01,07-01 00:00:00" },
        { "semi-annually", "*-01,07-01 00:00:00" },
        { "biannually", "*-01,07-01 00:00:00" },
        { "bi-annually", "*-01,07-01 00:00:00" },
};

static const char *const weekdays[7] = { "Monday", "Tuesday",  "Wednesday", "Thursday",
                                         "Friday", "Saturday", "Sunday" };

static int refuse(const Reader *r, const char *at, const char *words) {
        *r->ret_at = (size_t) (at - r->text);
        return error_set(r->e, -EINVAL, "bad-calendar", "%s", words);
}

/* Says what should stand here, and what does. */
static int expected(const Reader *r, const char *what) {
        *r->ret_at = (size_t) (r->p - r->text);
        if (!*r->p)
                return error_set(r->e, -EINVAL, "bad-calendar", "%s is expected, and the text ends",
                                 what);
        return error_set(r->e, -EINVAL, "bad-calendar", "%s is expected, not \"%.32s\"", what,
                         r->p);
}

/* The weekday whose name or its first three letters stand at p, and its length; -1 when there is none. */
static int weekday_at(const char *p, size_t *ret_length) {
        for (int day = 0; day < 7; day++) {
                size_t whole = strlen(weekdays[day]);

                if (strncasecmp(p, weekdays[day], 3) != 0)
                        continue;
                *ret_length = strncasecmp(p, weekdays[day], whole) == 0 ? whole : 3;
                return day;
        }
        return -1;
}

/* One weekday, or a range of them; systemd takes a plain - in ranges, too. */
static int weekday_range(Reader *r, CalendarSpec *c) {
        size_t length = 0;
        int first = weekday_at(r->p, &length), last = first;
        const char *begin = r->p;

        if (first < 0)
                return expected(r, "a weekday");
        r->p += length;
        if (*r->p == '-' || (r->p[0] == '.' && r->p[1] == '.')) {
                r->p += *r->p == '-' ? 1 : 2;
                last = weekday_at(r->p, &length);
                if (last < 0)
                        return expected(r, "a weekday");
                if (last < first)
                        return refuse(
                                r, begin,
                                "the range of weekdays goes backwards; a week begins with Monday");
                r->p += length;
        }
        for (int day = first; day <= last; day++)
                c->weekdays |= (uint8_t) BIT(day);
        return 0;
}

/* Weekdays with commas, of which the last may be left over, and the spaces behind; nothing where no weekday stands. */
static int weekdays_read(Reader *r, CalendarSpec *c) {
        size_t length;

        if (weekday_at(r->p, &length) < 0)
                return 0;
        do {
                int n = weekday_range(r, c);

                if (n < 0)
                        return n;
                if (*r->p && *r->p != ' ' && *r->p != ',')
                        return expected(r, "a comma or a space");
                r->p += *r->p == ',';
        } while (*r->p && *r->p != ' ');
        r->p += strspn(r->p, " ");
        return 0;
}

/* Six digits behind the point, rounded by the seventh. */
static int fraction_read(Reader *r, int64_t *value) {
        int64_t scale = USEC_PER_SEC / 10;

        r->p++;
        if (!isdigit((unsigned char) *r->p))
                return expected(r, "a digit");
        for (; isdigit((unsigned char) *r->p) && scale > 0; r->p++, scale /= 10)
                *value += (*r->p - '0') * scale;
        *value += *r->p >= '5' && *r->p <= '9';
        r->p += strspn(r->p, "0123456789");
        return 0;
}

/* A number, of seconds in microseconds. A single point is a decimal one, two are a range. */
static int number_read(Reader *r, bool seconds, int32_t *ret) {
        const char *begin = r->p;
        int64_t value = 0;

        if (!isdigit((unsigned char) *r->p))
                return expected(r, "a number");
        for (; isdigit((unsigned char) *r->p); r->p++)
                if (value <= INT32_MAX)
                        value = value * 10 + (*r->p - '0');
        if (seconds && value <= INT32_MAX) {
                value *= (int64_t) USEC_PER_SEC;
                if (r->p[0] == '.' && r->p[1] != '.') {
                        int n = fraction_read(r, &value);

                        if (n < 0)
                                return n;
                }
        }
        if (value > INT32_MAX)
                return refuse(r, begin, "the number is too large");
        *ret = (int32_t) value;
        return 0;
}

/* NUMBER[..NUMBER][/NUMBER] */
static int term_read(Reader *r, bool seconds, DueTerm *ret) {
        const int32_t unit = seconds ? USEC_PER_SEC : 1;
        const char *begin = r->p;
        DueTerm t = { .stop = -1, .at = (uint32_t) (r->p - r->text) };
        int n;

        n = number_read(r, seconds, &t.start);
        if (n < 0)
                return n;
        if (r->p[0] == '.' && r->p[1] == '.') {
                r->p += 2;
                n = number_read(r, seconds, &t.stop);
                if (n < 0)
                        return n;
                t.repeat = unit;
        }
        if (*r->p == '/') {
                r->p++;
                n = number_read(r, seconds, &t.repeat);
                if (n < 0)
                        return n;
                if (t.repeat == 0)
                        return refuse(r, begin, "the step behind / is 0");
        } else if (seconds && t.stop >= 0 && t.start + (int64_t) unit > t.stop) {
                return refuse(r, begin,
                              "a range of less than a second needs a step, as in 0..0.5/0.1");
        }
        *ret = t;
        return 0;
}

static int chain_add(CalendarChain *chain, DueTerm t) {
        DueTerm *terms = reallocarray(chain->terms, chain->count + 1, sizeof(*terms));

        if (!terms)
                return -ENOMEM;
        chain->terms = terms;
        terms[chain->count++] = t;
        return 0;
}

/* Terms with commas; "*" is none, of seconds each whole one. */
static int chain_read(Reader *r, bool seconds, CalendarChain *chain) {
        if (*r->p == '*') {
                r->p++;
                if (*r->p == '/')
                        return refuse(
                                r, r->p,
                                "a step cannot follow *; write 0/2, or 1/2 for days and months");
                return seconds ? chain_add(chain, (DueTerm){ .stop = -1, .repeat = USEC_PER_SEC })
                               : 0;
        }
        for (;; r->p++) {
                DueTerm t;
                int n;

                if (chain->count == CALENDAR_TERMS_MAX)
                        return refuse(r, r->p, "the list has too many elements");
                n = term_read(r, seconds, &t);
                if (n >= 0)
                        n = chain_add(chain, t);
                if (n < 0 || *r->p != ',')
                        return n;
        }
}

static int constant(CalendarSpec *c, CalendarField f, int value, const Reader *r) {
        return chain_add(
                &c->fields[f],
                (DueTerm){ .start = value, .stop = -1, .at = (uint32_t) (r->p - r->text) });
}

/* :MINUTE[:SECOND], behind the hour; or nothing at all, which is midnight. */
static int time_read(Reader *r, CalendarSpec *c, bool midnight) {
        int n = 0;

        if (midnight) {
                n = constant(c, CALENDAR_HOUR, 0, r);
                if (n >= 0)
                        n = constant(c, CALENDAR_MINUTE, 0, r);
                return n < 0 ? n : constant(c, CALENDAR_SECOND, 0, r);
        }
        if (*r->p != ':')
                return expected(r, "a colon and minutes");
        r->p++;
        n = chain_read(r, false, &c->fields[CALENDAR_MINUTE]);
        if (n < 0)
                return n;
        if (!*r->p)
                return constant(c, CALENDAR_SECOND, 0, r);
        if (*r->p != ':')
                return expected(r, "a colon and seconds");
        r->p++;
        n = chain_read(r, true, &c->fields[CALENDAR_SECOND]);
        if (n < 0)
                return n;
        return *r->p ? expected(r, "the end or a time zone") : 0;
}

static void chain_move(CalendarSpec *c, CalendarField to, CalendarField from) {
        c->fields[to] = c->fields[from];
        c->fields[from] = (CalendarChain){};
}

/* The next part of a date, behind - or ~. */
static int date_part_read(Reader *r, CalendarSpec *c, CalendarField f) {
        if (*r->p != '-' && *r->p != '~')
                return expected(r, f == CALENDAR_MONTH ? "-, ~ or :" : "- or ~");
        c->from_end = *r->p == '~';
        r->p++;
        return chain_read(r, false, &c->fields[f]);
}

/* The rest of [YEAR-]MONTH-DAY, whose first part has been read as the year, and the spaces behind it. */
static int date_read(Reader *r, CalendarSpec *c) {
        int n = date_part_read(r, c, CALENDAR_MONTH);

        if (n < 0)
                return n;
        if (!*r->p || *r->p == ' ') {
                chain_move(c, CALENDAR_DAY, CALENDAR_MONTH);
                chain_move(c, CALENDAR_MONTH, CALENDAR_YEAR);
        } else {
                if (c->from_end)
                        return expected(r, "a space or the end");
                n = date_part_read(r, c, CALENDAR_DAY);
                if (n < 0)
                        return n;
        }
        if (*r->p && *r->p != ' ')
                return expected(r, "a space or the end");
        r->p += strspn(r->p, " ");
        return 0;
}

/* @SECONDS since the epoch: one moment, in UTC. */
static int stamp_read(Reader *r, CalendarSpec *c) {
        const char *begin = r->p++;
        char *end = NULL;
        struct tm tm;
        time_t t;
        int n;

        if (!isdigit((unsigned char) *r->p))
                return expected(r, "a number");
        errno = 0;
        t = strtoll(r->p, &end, 10);
        if (errno != 0 || !gmtime_r(&t, &tm))
                return refuse(r, begin, "the number is too large");
        n = str_replace(&c->zone, "UTC");
        for (CalendarField f = 0; n >= 0 && f < _CALENDAR_FIELD_MAX; f++) {
                const int values[] = { tm.tm_year + 1900, tm.tm_mon + 1,
                                       tm.tm_mday,        tm.tm_hour,
                                       tm.tm_min,         tm.tm_sec * (int) USEC_PER_SEC };

                n = constant(c, f, values[f], r);
        }
        r->p = end;
        if (n < 0)
                return n;
        return *r->p ? expected(r, "the end or a time zone") : 0;
}

static int event_read(Reader *r, CalendarSpec *c) {
        int n = weekdays_read(r, c);

        if (n < 0)
                return n;
        if (*r->p == '@')
                return stamp_read(r, c);
        if (!*r->p)
                return time_read(r, c, true);
        if (!isdigit((unsigned char) *r->p) && *r->p != '*')
                return expected(r, r->p == r->text
                                           ? "a weekday, a date, a time or a word like daily"
                                           : "a date or a time");
        n = chain_read(r, false, &c->fields[CALENDAR_YEAR]);
        if (n < 0)
                return n;
        if (*r->p == ':') {
                chain_move(c, CALENDAR_HOUR, CALENDAR_YEAR);
                return time_read(r, c, false);
        }
        n = date_read(r, c);
        if (n < 0 || !*r->p)
                return n < 0 ? n : time_read(r, c, true);
        n = chain_read(r, false, &c->fields[CALENDAR_HOUR]);
        return n < 0 ? n : time_read(r, c, false);
}

/* Letters, digits, _ + - and /, beginning with a letter, and no weekday. */
static bool looks_like_zone(const char *word) {
        size_t length = 0;

        if (!isalpha((unsigned char) *word) || word[strlen(word) - 1] == '/' || strstr(word, "//"))
                return false;
        if (weekday_at(word, &length) >= 0 && !word[length])
                return false;
        for (; *word; word++)
                if (!isalnum((unsigned char) *word) && !strchr("_+-/", *word))
                        return false;
        return true;
}

/* Takes the zone off the end of the text. */
static int zone_split(char *text, CalendarSpec *c) {
        char *space = strrchr(text, ' ');

        if (!space || !looks_like_zone(space + 1))
                return 0;
        *space = '\0';
        return str_replace(&c->zone, strcasecmp(space + 1, "UTC") == 0 ? "UTC" : space + 1);
}

int calendar_parse(const char *text, CalendarSpec **ret, size_t *ret_at, Error *e) {
        _cleanup_(calendar_freep) CalendarSpec *c = calloc(1, sizeof(*c));
        _cleanup_(freep) char *copy = strdup(text);
        Reader r = { .text = copy, .p = copy, .ret_at = ret_at, .e = e };
        int n;

        if (!c || !copy)
                return -ENOMEM;
        n = zone_split(copy, c);
        if (n < 0)
                return n;
        for (size_t i = 0; i < ELEMENTSOF(shorthands); i++)
                if (strcasecmp(copy, shorthands[i].name) == 0)
                        r.text = r.p = shorthands[i].meaning;
        if (!*r.p)
                return expected(&r, "a weekday, a date, a time or a word like daily");
        n = event_read(&r, c);
        if (n >= 0)
                n = calendar_normalize(c, ret_at, e);
        if (n < 0)
                return n;
        *ret = TAKE_PTR(c);
        return 0;
}
