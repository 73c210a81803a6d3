/* Pure but for the clock and the zone. */
#include "format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "timespan.h"

const char *format_bytes(uint64_t bytes, char text[FORMAT_MAX]) {
        static const char units[] = "BKMGTPE";
        unsigned unit = 0;
        double value = (double) bytes;

        while (value >= 1024 && unit < sizeof(units) - 2) {
                value /= 1024;
                unit++;
        }
        (void) snprintf(text, FORMAT_MAX, unit == 0 ? "%.0f%c" : "%.1f%c", value, units[unit]);
        return text;
}

const char *format_span(uint64_t usec, char text[FORMAT_MAX]) {
        char span[TIMESPAN_TEXT_MAX];

        if (usec < USEC_PER_MINUTE)
                (void) snprintf(text, FORMAT_MAX, "%u.%03us", (unsigned) (usec / USEC_PER_SEC),
                                (unsigned) (usec % USEC_PER_SEC / USEC_PER_MSEC));
        else
                (void) snprintf(text, FORMAT_MAX, "%s",
                                timespan_format(usec / USEC_PER_SEC * USEC_PER_SEC, span));
        return text;
}

uint64_t time_parse(const char *text) {
        struct tm tm = {};
        const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
        uint64_t usec = 0, scale = USEC_PER_SEC / 10;
        time_t sec;

        if (!rest)
                return 0;
        if (*rest == '.')
                for (rest++; *rest >= '0' && *rest <= '9'; rest++, scale /= 10)
                        usec += (uint64_t) (*rest - '0') * scale;
        sec = timegm(&tm);
        return sec < 0 ? 0 : (uint64_t) sec * USEC_PER_SEC + usec;
}

const char *format_time(const char *rfc3339, char text[FORMAT_MAX]) {
        uint64_t usec = time_parse(rfc3339);
        time_t sec = (time_t) (usec / USEC_PER_SEC);
        struct tm tm;

        if (usec == 0 || !localtime_r(&sec, &tm) ||
            strftime(text, FORMAT_MAX, "%a %Y-%m-%d %H:%M:%S %Z", &tm) == 0)
                (void) strcpy(text, "-");
        return text;
}

const char *format_age(const char *rfc3339, char text[FORMAT_MAX]) {
        static const struct {
                uint64_t usec;
                const char *unit;
        } units[] = { { USEC_PER_DAY, "d" },
                      { USEC_PER_HOUR, "h" },
                      { USEC_PER_MINUTE, "min" },
                      { USEC_PER_SEC, "s" } };
        uint64_t then = time_parse(rfc3339), now = (uint64_t) time(NULL) * USEC_PER_SEC;

        if (then == 0) {
                (void) strcpy(text, "-");
                return text;
        }
        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (now >= then && now - then >= units[i].usec) {
                        (void) snprintf(text, FORMAT_MAX, "%" PRIu64 "%s ago",
                                        (now - then) / units[i].usec, units[i].unit);
                        return text;
                }
        (void) strcpy(text, "just now");
        return text;
}

const char *format_between(const char *from, const char *to, char text[FORMAT_MAX]) {
        uint64_t begin = time_parse(from),
                 end = to ? time_parse(to) : (uint64_t) time(NULL) * USEC_PER_SEC;

        if (begin == 0 || (to && end < begin))
                return NULL;
        if (to)
                return format_span(end - begin, text);
        /* Clocks differ; and whole seconds are enough for what grows. */
        return timespan_format(end > begin ? (end - begin) / USEC_PER_SEC * USEC_PER_SEC : 0, text);
}
