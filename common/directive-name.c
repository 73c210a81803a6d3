/* Values that are names: words, codes, sets of bits, signals, errors, exit statuses. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "directive-types.h"
#include "parse.h"
#include "str.h"
#include "strv.h"

#define ERRNO_MAX 4095
#define ERRNO_KILL (INT32_MAX - 1) /* SECCOMP_ERROR_NUMBER_KILL of systemd's seccomp-util.h */

bool user_name_is_valid(const char *name) {
        size_t n = strlen(name);

        return n > 0 && n <= 31 && strspn(name, LETTERS DIGITS "_-") == n && *name != '-' &&
               !strchr(DIGITS, *name);
}

static int not_among(const char *const *words, Error *e) {
        _cleanup_(freep) char *all = strv_join((char *const *) words, ", ");

        return error_set(e, -EINVAL, "bad-word", "one of %s is expected",
                         all ? all : "systemd's words");
}

/* The row's word for it; NULL when it has none. */
static const char *word_of(const Directive *d, const char *value) {
        bool yes;

        for (const char *const *w = d->words; *w; w++)
                if (str_eq(*w, value))
                        return *w;
        if (parse_bool(value, &yes) < 0)
                return NULL;
        return strv_contains((char *const *) d->words, yes ? "yes" : "no") ? (yes ? "yes" : "no")
                                                                           : NULL;
}

int decode_word(const Directive *d, const char *value, Atoms *to, Error *e) {
        const char *word = word_of(d, value);

        if (!word)
                return not_among(d->words, e);
        directive_property(d, to);
        atoms_text(to, word);
        return 0;
}

static const NamedNumber *name_find(const NamedNumber *names, const char *name) {
        for (; names->name; names++)
                if (strcasecmp(names->name, name) == 0)
                        return names;
        return NULL;
}

static int not_named(const NamedNumber *names, const char *word, Error *e) {
        _cleanup_(strv_freep) char **all = NULL;
        _cleanup_(freep) char *text = NULL;

        for (; names->name; names++)
                if (strv_append(&all, names->name) < 0)
                        return -ENOMEM;
        text = strv_join(all, ", ");
        return error_set(e, -EINVAL, "bad-word", "\"%.64s\" is not one of %s", word,
                         text ? text : "");
}

/* systemd takes the number as well. */
int decode_code(const Directive *d, const char *value, Atoms *to, Error *e) {
        const NamedNumber *found = name_find(d->names, value);
        uint64_t n;

        for (const NamedNumber *name = d->names; !found && name->name; name++)
                if (parse_u64(value, &n) >= 0 && n == name->number)
                        found = name;
        if (!found)
                return not_named(d->names, value, e);
        directive_property(d, to);
        atoms_number(to, found->number);
        return 0;
}

static int signal_parse(const char *s, uint64_t *ret) {
        const char *name = str_after(s, "SIG") ? s + 3 : s, *more;
        uint64_t n;

        if (parse_u64_range(s, 1, (uint64_t) SIGRTMAX, ret) >= 0)
                return 0;
        more = str_after(name, "RTMIN");
        if (more &&
            (!*more || (*more == '+' &&
                        parse_u64_range(more + 1, 0, (uint64_t) (SIGRTMAX - SIGRTMIN), &n) >= 0))) {
                *ret = (uint64_t) SIGRTMIN + (*more ? n : 0);
                return 0;
        }
        more = str_after(name, "RTMAX");
        if (more &&
            (!*more || (*more == '-' &&
                        parse_u64_range(more + 1, 0, (uint64_t) (SIGRTMAX - SIGRTMIN), &n) >= 0))) {
                *ret = (uint64_t) SIGRTMAX - (*more ? n : 0);
                return 0;
        }
        for (int i = 1; i < SIGSYS + 1; i++)
                if (str_eq(sigabbrev_np(i), name) || (i == SIGIO && str_eq(name, "IO"))) {
                        *ret = (uint64_t) i;
                        return 0;
                }
        return -EINVAL;
}

int decode_signal(const Directive *d, const char *value, Atoms *to, Error *e) {
        uint64_t n;

        if (signal_parse(value, &n) < 0)
                return error_set(e, -EINVAL, "bad-signal",
                                 "a signal such as SIGTERM or RTMIN+1 is expected");
        directive_property(d, to);
        atoms_number(to, n);
        return 0;
}

int decode_errno(const Directive *d, const char *value, Atoms *to, Error *e) {
        uint64_t n = 0;

        if (str_eq(value, "kill"))
                n = ERRNO_KILL;
        else if (parse_u64_range(value, 1, ERRNO_MAX, &n) < 0)
                for (int i = 1; i < ERRNO_MAX && n == 0; i++)
                        if (str_eq(strerrorname_np(i), value))
                                n = (uint64_t) i;
        if (n == 0)
                return error_set(e, -EINVAL, "bad-errno",
                                 "an error such as EPERM, or kill, is expected");
        directive_property(d, to);
        atoms_number(to, n);
        return 0;
}

/* Exit statuses first, then signals: systemd tells them apart. */
int decode_statuses(const Directive *d, const char *value, Atoms *to, Error *e) {
        _cleanup_(strv_freep) char **words = NULL;
        size_t before = to->count, array;
        int r = strv_split(value, " \t", &words);

        if (r < 0)
                return r;
        directive_property(d, to);
        for (int signals = 0; signals < 2; signals++) {
                array = atoms_array(to);
                STRV_FOREACH(w, words) {
                        const NamedNumber *name = name_find(d->names, *w);
                        uint64_t n = name ? name->number : 0;
                        bool status = name || parse_u64_range(*w, 0, 255, &n) >= 0;

                        if (!status && signal_parse(*w, &n) < 0) {
                                atoms_cut(to, before);
                                return error_set(e, -EINVAL, "bad-status",
                                                 "\"%.64s\" is neither an exit status nor a signal",
                                                 *w);
                        }
                        if (status == (signals == 1))
                                continue;
                        atoms_element(to, array);
                        atoms_number(to, n);
                }
        }
        return 0;
}

static int bits_of(const NamedNumber *names, const char *value, uint64_t *ret, Error *e) {
        _cleanup_(strv_freep) char **words = NULL;
        uint64_t bits = 0;
        int r = strv_split(value, " \t", &words);

        if (r < 0)
                return r;
        STRV_FOREACH(w, words) {
                const NamedNumber *name = name_find(names, *w);

                if (!name)
                        return not_named(names, *w, e);
                bits |= name->number;
        }
        *ret = bits;
        return 0;
}

int decode_mask(const Directive *d, const char *value, Atoms *to, Error *e) {
        uint64_t bits;
        int r = bits_of(d->names, value, &bits, e);

        if (r >= 0 && bits == 0)
                r = not_named(d->names, value, e);
        if (r < 0)
                return r;
        directive_property(d, to);
        atoms_number(to, bits);
        return 0;
}

/* As config_parse_capability_set() of systemd: the first list is the set, later ones are added or taken away, none is the empty
 * one. PID 1 is told the result. */
static void set_add(const Directive *d, uint64_t all, bool full, uint64_t bits, bool invert,
                    Atoms *to) {
        const Atom *before = atoms_find(to, d->property);
        uint64_t n = invert ? all & ~bits : bits;

        if (before && bits != 0 && before->number != (full ? all : 0))
                n = invert ? before->number & ~bits : before->number | bits;
        directive_property(d, to);
        atoms_number(to, n);
}

int decode_set(const Directive *d, const char *value, Atoms *to, Error *e) {
        bool invert = *value == '~';
        uint64_t bits;
        int r = bits_of(d->names, value + invert, &bits, e);

        if (r >= 0)
                set_add(d, UINT64_MAX, d->all, bits, invert, to);
        return r;
}

/* What is set is allowed; no restriction is all of them. */
int decode_namespaces(const Directive *d, const char *value, Atoms *to, Error *e) {
        bool restricted = false, invert = *value == '~';
        uint64_t all = 0, bits = 0;
        int r;

        for (const NamedNumber *name = d->names; name->name; name++)
                all |= name->number;
        if (!*value || parse_bool(value, &restricted) >= 0) {
                directive_property(d, to);
                atoms_number(to, restricted ? 0 : all);
                return 0;
        }
        r = bits_of(d->names, value + invert, &bits, e);
        if (r >= 0 && bits == 0)
                r = error_set(e, -EINVAL, "bad-word", "namespaces, yes or no are expected");
        if (r >= 0)
                set_add(d, all, true, bits, invert, to);
        return r;
}

int decode_user(const Directive *d, const char *value, Atoms *to, Error *e) {
        if (!user_name_is_valid(value))
                return error_set(e, -EINVAL, "bad-user", "a user name is expected");
        directive_property(d, to);
        atoms_text(to, value);
        return 0;
}

/* A word, or one of three ways to name a file, each a property of its own. */
int decode_stream(const Directive *d, const char *value, Atoms *to, Error *e) {
        static const struct {
                const char *prefix, *suffix;
        } files[] = { { "file:", "File" },
                      { "append:", "FileToAppend" },
                      { "truncate:", "FileToTruncate" } };
        const char *word = word_of(d, value), *path;
        char property[64];

        if (word) {
                directive_property(d, to);
                atoms_text(to, word);
                return 0;
        }
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                path = str_after(value, files[i].prefix);
                if (!path || *path != '/' || strstr(path, "/../"))
                        continue;
                (void) snprintf(property, sizeof(property), "%s%s", d->property, files[i].suffix);
                atoms_property(to, property, d->signature);
                atoms_text(to, path);
                return 0;
        }
        return not_among(d->words, e);
}
