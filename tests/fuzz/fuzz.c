/* What replay and libFuzzer share. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void fuzz_abort(const char *condition, const char *file, int line) {
        (void) fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
        abort();
}
