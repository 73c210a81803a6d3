/* The normal form of a calendar event, letter by letter as systemd writes it. It is accepted again, and is its own normal form: what is
 * stored and compared is this, so it must never change for an expression that has been taken once. */
#include "calendar-internal.h"

#include <errno.h>

#include "str.h"

static const char weekday_names[7][4] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };

/* Days in a row are a range from three on. */
static void weekdays_write(FILE *f, uint8_t weekdays) {
        const char *comma = "";

        for (int day = 0; day < 7; day++) {
                int last = day;

                if (!(weekdays >> day & 1))
                        continue;
                while (weekdays >> (last + 1) & 1)
                        last++;
                (void) fprintf(f, "%s%s", comma, weekday_names[day]);
                if (last > day)
                        (void) fprintf(f, "%s%s", last > day + 1 ? ".." : ",", weekday_names[last]);
                comma = ",";
                day = last;
        }
        if (weekdays)
                (void) fputc(' ', f);
}

static void value_write(FILE *f, int width, int32_t value, int32_t unit) {
        (void) fprintf(f, "%0*d", width, value / unit);
        if (value % unit > 0)
                (void) fprintf(f, ".%06d", value % unit);
}

/* A step of one is what a range has anyway. */
static void term_write(FILE *f, int width, const DueTerm *t, int32_t unit) {
        value_write(f, width, t->start, unit);
        if (t->stop > 0) {
                (void) fputs("..", f);
                value_write(f, width, t->stop, unit);
        }
        if (t->repeat > 0 && !(t->stop > 0 && t->repeat == unit)) {
                (void) fputc('/', f);
                value_write(f, 1, t->repeat, unit);
        }
}

/* Any second: one of the terms says so, whatever else there is. */
static bool is_any(const CalendarChain *chain, int32_t unit) {
        for (size_t i = 0; unit > 1 && i < chain->count; i++) {
                const DueTerm *t = &chain->terms[i];

                if (t->start == 0 && t->stop < 0 && t->repeat == unit)
                        return true;
        }
        return chain->count == 0;
}

int calendar_format(const CalendarSpec *c, char **ret) {
        static const struct {
                int width;
                int32_t unit;
                char after;
        } columns[_CALENDAR_FIELD_MAX] = {
                [CALENDAR_YEAR] = { 4, 1, '-' },   [CALENDAR_MONTH] = { 2, 1, '-' },
                [CALENDAR_DAY] = { 2, 1, ' ' },    [CALENDAR_HOUR] = { 2, 1, ':' },
                [CALENDAR_MINUTE] = { 2, 1, ':' }, [CALENDAR_SECOND] = { 2, USEC_PER_SEC, 0 },
        };
        _cleanup_(freep) char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return -ENOMEM;
        weekdays_write(f, c->weekdays);
        for (CalendarField i = 0; i < _CALENDAR_FIELD_MAX; i++) {
                const CalendarChain *chain = &c->fields[i];

                if (is_any(chain, columns[i].unit))
                        (void) fputc('*', f);
                else
                        for (size_t n = 0; n < chain->count; n++) {
                                (void) fputs(n > 0 ? "," : "", f);
                                term_write(f, columns[i].width, &chain->terms[n], columns[i].unit);
                        }
                if (columns[i].after)
                        (void) fputc(i == CALENDAR_MONTH && c->from_end ? '~' : columns[i].after,
                                     f);
        }
        if (c->zone)
                (void) fprintf(f, " %s", c->zone);
        if (fclose(f) != 0)
                return -ENOMEM;
        *ret = TAKE_PTR(text);
        return 0;
}
