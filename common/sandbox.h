/* The sandbox profiles: directives that are set before the task's own. */
#pragma once

#include <stdbool.h>

#include "directive.h"

typedef enum Sandbox {
        SANDBOX_NONE,
        SANDBOX_STANDARD,
        SANDBOX_STRICT,
} Sandbox;

/* What the profiles set, each row from the mildest that has it. Ends with a NULL name. */
typedef struct SandboxRow {
        Sandbox from;
        const char *name, *value;
} SandboxRow;

extern const SandboxRow sandbox_rows[];

/* One of the words that the directive takes; standard for anything else. */
Sandbox sandbox_from_string(const char *s);

/* Adds the profile's properties. Negative errno. */
int sandbox_append(Sandbox profile, Atoms *to);

/* Whether the task would have less of a sandbox than its profile gives. The properties of the directive, which was decoded from value,
 * begin at from. */
bool sandbox_is_loosened(Sandbox profile, const Directive *d, const char *value, const Atoms *atoms,
                         size_t from);
