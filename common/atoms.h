/* D-Bus properties as plain data, so that what is said of a unit can be checked without a bus: a row of texts and numbers in the
 * order of their signatures. Each property is its name, its signature, and its values: one atom for each basic type, the number of
 * elements for an array, one atom with the bytes for ay; structs have none of their own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ATOMS_MAX 65536U

typedef struct Atom {
        char *text;      /* owned; NULL: it is the number */
        uint64_t number; /* of bytes, where text is */
} Atom;

/* Zero-initialise; atoms_done() empties. The first error is kept, and what is added after it is dropped. */
typedef struct Atoms {
        Atom *items; /* owned */
        size_t count, allocated;
        int error; /* 0, -ENOMEM or -E2BIG */
} Atoms;

void atoms_done(Atoms *a);
void atoms_number(Atoms *a, uint64_t n);
void atoms_text(Atoms *a, const char *text);
void atoms_bytes(Atoms *a, const void *data, size_t size);

/* Name and signature; its values follow. */
void atoms_property(Atoms *a, const char *name, const char *signature);

/* Begins an array of nothing; each atoms_element() with what this returned counts one more. */
size_t atoms_array(Atoms *a);
void atoms_element(Atoms *a, size_t array);

/* Forgets what was added since there were so many. */
void atoms_cut(Atoms *a, size_t count);

/* The first value of the last property of that name, or NULL. Belongs to a. */
const Atom *atoms_find(const Atoms *a, const char *name);

/* Where the property that begins at i ends. */
size_t atoms_next(const Atoms *a, size_t i);
