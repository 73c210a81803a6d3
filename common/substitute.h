/* References in the values of directives: ${name} is a parameter of the pipe, ${task.KEY} an output of an earlier task, %H and its like
 * are systemd's specifiers (specifier.h). What is put in
 * their place stays what it is: it is never split, quoted or expanded, so it adds no argument, no assignment and no directive. Upper-case
 * ${VARIABLES} are left to systemd. $$ is a $ that begins nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "directive.h"
#include "error.h"

#define OUTPUT_KEY_MAX 64
/* Bytes of all values in one directive: what Linux takes as one argument (MAX_ARG_STRLEN). */
#define SUBSTITUTED_MAX 131072U

/* Points into the text that it was found in, which lives as long as the call. */
typedef struct Reference {
        const char *text; /* from the $ on */
        size_t size;      /* of all of it */
        const char *name; /* of the parameter or task */
        size_t name_size;
        const char *key; /* of the output; NULL: a parameter */
        size_t key_size;
        char specifier; /* its letter, and nothing of the following; NUL: it is none */
        bool braces;    /* false: $name, which is a reference only where somebody means one */
        bool complete;  /* false: ${ and a small letter, and then not what belongs there */
} Reference;

/* [A-Za-z_][A-Za-z0-9_]*, at most OUTPUT_KEY_MAX */
bool output_key_ok(const char *key, size_t size);

/* Calls on_reference for each reference in the value, in words as the directive has them; a value that cannot be split has none. Below
 * zero ends it. */
typedef int (*on_reference_t)(const Reference *r, void *userdata);
int substitute_each(const Directive *d, const char *value, on_reference_t on_reference,
                    void *userdata);

/* What stands for a reference: 0 and *ret, borrowed; or below zero with words. */
typedef int (*substitute_t)(const Reference *r, const char **ret, Error *e, void *userdata);

/* The value as it is when all references are replaced; it decodes to the same words with the values in them. The directive is one whose
 * row says `substitutes`. unit: of the task. -EINVAL with words, also as soon as there is more than SUBSTITUTED_MAX, or -ENOMEM. */
int substitute_value(const Directive *d, const char *value, const char *unit, substitute_t look_up,
                     void *userdata, char **ret, Error *e);
