/* Scope-exit cleanup: every owner in a function is a _cleanup_() variable, so that no path leaks and none needs goto. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#define _cleanup_(f) __attribute__((__cleanup__(f)))

/* Gives type T the scope-exit hook f##p; f() ignores NULL, which is what TAKE_PTR() leaves behind. */
#define DEFINE_SCOPE_EXIT(T, f)                                                                    \
        static inline void f##p(T **slot) {                                                        \
                (void) f(*slot);                                                                   \
        }

/* Reads a pointer and empties the variable: the reader is now the owner. */
#define TAKE_PTR(lvalue)                                                                           \
        ({                                                                                         \
                __auto_type take_slot_ = &(lvalue);                                                \
                __auto_type take_val_ = *take_slot_;                                               \
                *take_slot_ = NULL;                                                                \
                take_val_;                                                                         \
        })

/* The same for a descriptor, which is -EBADF when empty. */
#define TAKE_FD(lvalue)                                                                            \
        ({                                                                                         \
                int *take_slot_ = &(lvalue);                                                       \
                int take_val_ = *take_slot_;                                                       \
                *take_slot_ = -EBADF;                                                              \
                take_val_;                                                                         \
        })

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n) (1U << (n))

static inline void freep(void *slot) {
        free(*(void **) slot);
}

static inline void fclosep(FILE **slot) {
        if (*slot)
                (void) fclose(*slot);
}
