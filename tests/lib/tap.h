/* Test Anything Protocol for unit tests: every check evaluates its operands once and prints both when they differ.
 * A test is a static function test_…(void), listed in main() by RUN(). */
#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static unsigned tap_count, tap_failures;

static inline void tap_result(bool ok, const char *what, const char *file, int line) {
        printf("%s %u - %s\n", ok ? "ok" : "not ok", ++tap_count, what);
        if (!ok) {
                tap_failures++;
                printf("# at %s:%d\n", file, line);
        }
}

static inline void tap_int(intmax_t got, intmax_t wanted, const char *what, const char *file,
                           int line) {
        if (got != wanted)
                printf("# got %" PRIdMAX ", wanted %" PRIdMAX "\n", got, wanted);
        tap_result(got == wanted, what, file, line);
}

static inline void tap_str(const char *got, const char *wanted, const char *what, const char *file,
                           int line) {
        bool ok = got && wanted ? strcmp(got, wanted) == 0 : got == wanted;

        if (!ok)
                printf("# got    \"%s\"\n# wanted \"%s\"\n", got ? got : "(null)",
                       wanted ? wanted : "(null)");
        tap_result(ok, what, file, line);
}

/* True when needle stands in text. */
static inline void tap_contains(const char *text, const char *needle, const char *what,
                                const char *file, int line) {
        bool ok = text && strstr(text, needle);

        if (!ok)
                printf("# \"%s\"\n# does not contain \"%s\"\n", text ? text : "(null)", needle);
        tap_result(ok, what, file, line);
}

#define ok_int(got, wanted)                                                                        \
        tap_int((intmax_t) (got), (intmax_t) (wanted), #got " == " #wanted, __FILE__, __LINE__)
#define ok_str(got, wanted) tap_str(got, wanted, #got " is " #wanted, __FILE__, __LINE__)
#define ok_contains(text, needle)                                                                  \
        tap_contains(text, needle, #text " contains " #needle, __FILE__, __LINE__)
#define ok_true(expression) tap_result(expression, #expression, __FILE__, __LINE__)
#define ok_null(pointer) tap_result(!(pointer), #pointer " is NULL", __FILE__, __LINE__)

#define RUN(test)                                                                                  \
        do {                                                                                       \
                printf("# " #test "\n");                                                           \
                test();                                                                            \
        } while (0)

static inline int tap_done(void) {
        printf("1..%u\n", tap_count);
        return tap_failures ? 1 : 0;
}
