/* Properties as rows of atoms. */
#include "atoms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "str.h"

void atoms_cut(Atoms *a, size_t count) {
        while (a->count > count)
                free(a->items[--a->count].text);
}

void atoms_done(Atoms *a) {
        atoms_cut(a, 0);
        free(a->items);
        *a = (Atoms){};
}

/* Owns the atom's text. */
static void add(Atoms *a, Atom atom) {
        size_t allocated = a->allocated ? a->allocated * 2 : 32;
        Atom *grown;

        if (a->error == 0 && a->count == ATOMS_MAX)
                a->error = -E2BIG;
        if (a->error == 0 && a->count == a->allocated) {
                grown = reallocarray(a->items, allocated, sizeof(Atom));
                if (grown) {
                        a->items = grown;
                        a->allocated = allocated;
                } else {
                        a->error = -ENOMEM;
                }
        }
        if (a->error < 0)
                free(atom.text);
        else
                a->items[a->count++] = atom;
}

void atoms_number(Atoms *a, uint64_t n) {
        add(a, (Atom){ .number = n });
}

void atoms_bytes(Atoms *a, const void *data, size_t size) {
        char *copy = malloc(size + 1);

        if (!copy) {
                a->error = a->error < 0 ? a->error : -ENOMEM;
                return;
        }
        if (size > 0)
                (void) memcpy(copy, data, size);
        copy[size] = '\0';
        add(a, (Atom){ copy, size });
}

void atoms_text(Atoms *a, const char *text) {
        atoms_bytes(a, text, strlen(text));
}

void atoms_property(Atoms *a, const char *name, const char *signature) {
        atoms_text(a, name);
        atoms_text(a, signature);
}

size_t atoms_array(Atoms *a) {
        atoms_number(a, 0);
        return a->count - 1;
}

void atoms_element(Atoms *a, size_t array) {
        if (a->error == 0)
                a->items[array].number++;
}

/* Where the complete type that begins at *signature ends, in the signature (moved on) and in the atoms. */
static size_t type_skip(const Atoms *a, size_t i, const char **signature) {
        const char *s = *signature;

        if (*s == '(') {
                for (s++; *s && *s != ')';)
                        i = type_skip(a, i, &s);
                *signature = *s ? s + 1 : s;
                return i;
        }
        if (s[0] == 'a' && s[1] != 'y') {
                uint64_t n = i < a->count ? a->items[i].number : 0;
                const char *element = s + 1;

                i++;
                *signature = element;
                for (uint64_t k = 0; k < n && i < a->count; k++) {
                        *signature = element;
                        i = type_skip(a, i, signature);
                }
                if (n == 0)
                        (void) type_skip(&(Atoms){}, 0, signature);
                return i;
        }
        *signature = s + (s[0] == 'a' ? 2 : 1);
        return i + 1;
}

size_t atoms_next(const Atoms *a, size_t i) {
        const char *signature = i + 1 < a->count ? a->items[i + 1].text : "";

        for (i += 2; *signature;)
                i = type_skip(a, i, &signature);
        return i;
}

const Atom *atoms_find(const Atoms *a, const char *name) {
        const Atom *found = NULL;

        for (size_t i = 0; i + 2 < a->count; i = atoms_next(a, i))
                if (str_eq(a->items[i].text, name))
                        found = &a->items[i + 2];
        return found;
}
