/* What common/calendar.h and common/cron.h say, for tests in Python. Requests are lines of fields with tabs:
 *
 *   zone NAME JSON                   the zone of what follows; no answer
 *   calendar AFTER COUNT EXPRESSION  normal form, tab, zone or nothing, tab, COUNT due times in microseconds, fewer at the end
 *   cron AFTER COUNT EXPRESSION      the same, without normal form and zone
 *
 * A refusal is answered by !BYTE, tab and words. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calendar.h"
#include "cron.h"
#include "parse.h"

typedef int (*NextFunction)(const void *spec, const Zone *z, uint64_t after, uint64_t *ret);

static int next_of_calendar(const void *spec, const Zone *z, uint64_t after, uint64_t *ret) {
        return calendar_next(spec, z, after, ret);
}

static int next_of_cron(const void *spec, const Zone *z, uint64_t after, uint64_t *ret) {
        return cron_next(spec, z, after, ret);
}

static void print_due(NextFunction next, const void *spec, const Zone *z, uint64_t after,
                      uint64_t count) {
        const char *space = "";

        for (; count > 0 && next(spec, z, after, &after) >= 0; count--, space = " ")
                printf("%s%llu", space, (unsigned long long) after);
        putchar('\n');
}

static void answer_calendar(const char *text, const Zone *z, uint64_t after, uint64_t count) {
        _cleanup_(calendar_freep) CalendarSpec *c = NULL;
        _cleanup_(freep) char *normal = NULL;
        size_t at = 0;
        Error e = {};

        if (calendar_parse(text, &c, &at, &e) < 0) {
                printf("!%zu\t%s\n", at, e.detail);
                return;
        }
        if (calendar_format(c, &normal) < 0)
                abort();
        printf("%s\t%s\t", normal, calendar_zone(c) ? calendar_zone(c) : "");
        print_due(next_of_calendar, c, z, after, count);
}

static void answer_cron(const char *text, const Zone *z, uint64_t after, uint64_t count) {
        size_t at = 0;
        Error e = {};
        Cron c;

        if (cron_parse(text, &c, &at, &e) < 0) {
                printf("!%zu\t%s\n", at, e.detail);
                return;
        }
        printf("\t\t");
        print_due(next_of_cron, &c, z, after, count);
}

/* One request; zone is replaced by a new one. */
static int answer(char *line, Zone **zone) {
        char *verb = strsep(&line, "\t"), *first = strsep(&line, "\t");
        const Zone *z = *zone ? *zone : &zone_utc;
        uint64_t after, count;
        Error e = {};

        if (strcmp(verb, "zone") == 0) {
                *zone = zone_free(*zone);
                if (line && zone_from_json(first, line, strlen(line), zone, &e) >= 0)
                        return 0;
                fprintf(stderr, "%s: %s\n", first, e.detail);
                return -EINVAL;
        }
        if (!first || !line || parse_u64(first, &after) < 0 ||
            parse_u64(strsep(&line, "\t"), &count) < 0 || !line)
                return -EINVAL;
        if (strcmp(verb, "calendar") == 0)
                answer_calendar(line, z, after, count);
        else
                answer_cron(line, z, after, count);
        return 0;
}

int main(void) {
        _cleanup_(zone_freep) Zone *zone = NULL;
        _cleanup_(freep) char *line = NULL;
        size_t allocated = 0;

        for (ssize_t n; (n = getline(&line, &allocated, stdin)) > 0;) {
                line[n - 1] = '\0';
                if (answer(line, &zone) < 0)
                        return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
