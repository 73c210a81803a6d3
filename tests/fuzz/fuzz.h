/* A fuzzer is one function; replay.c runs it over its corpus in make check, libFuzzer over what it finds (--enable-fuzzers). */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for any input: aborts with the place, in every build. */
#define HOLDS(condition)                                                                           \
        do {                                                                                       \
                if (!(condition))                                                                  \
                        fuzz_abort(#condition, __FILE__, __LINE__);                                \
        } while (0)

_Noreturn void fuzz_abort(const char *condition, const char *file, int line);
