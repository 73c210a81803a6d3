/* Values that are paths, or begin with one: mounts, directories, devices, credentials. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "cleanup.h"
#include "directive-types.h"
#include "parse.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"

#define PATH_BYTES_MAX 4095

/* Neither what is above, nor what does not end: systemd would refuse it later, or mean something else. */
static bool path_is_normal(const char *path) {
        for (const char *p = path; *p;) {
                size_t n = strcspn(p, "/");

                if (n == 2 && p[0] == '.' && p[1] == '.')
                        return false;
                p += n + (p[n] == '/');
        }
        return *path && strlen(path) <= PATH_BYTES_MAX;
}

static bool path_is_absolute(const char *path) {
        return *path == '/' && path_is_normal(path);
}

static int bad_path(Error *e) {
        return error_set(e, -EINVAL, "bad-path", "an absolute path without .. is expected");
}

int decode_path(const Directive *d, const char *value, Atoms *to, Error *e) {
        if (!path_is_absolute(value))
                return bad_path(e);
        directive_property(d, to);
        atoms_text(to, value);
        return 0;
}

int decode_home(const Directive *d, const char *value, Atoms *to, Error *e) {
        const char *path = *value == '-' ? value + 1 : value;

        if (!path_is_absolute(path) && !str_eq(path, "~"))
                return bad_path(e);
        directive_property(d, to);
        atoms_text(to, value);
        return 0;
}

int decode_file(const Directive *d, const char *value, Atoms *to, Error *e) {
        bool missing = *value == '-';
        size_t array;

        if (*value && !path_is_absolute(value + missing))
                return bad_path(e);
        directive_property(d, to);
        array = atoms_array(to);
        if (*value) {
                atoms_element(to, array);
                atoms_text(to, value + missing);
                atoms_number(to, missing);
        }
        return 0;
}

/* A list of texts, each of them fine without the marks before it. */
static int add_paths(const Directive *d, char *const *words, const char *marks,
                     bool (*ok)(const char *path), Atoms *to, Error *e) {
        size_t array;

        STRV_FOREACH(w, words)
                if (!ok(*w + strspn(*w, marks)))
                        return error_set(e, -EINVAL, "bad-path",
                                         "\"%.64s\" is no path that can stand here", *w);
        directive_property(d, to);
        array = atoms_array(to);
        STRV_FOREACH(w, words) {
                atoms_element(to, array);
                atoms_text(to, *w);
        }
        return 0;
}

/* In unit files colons stand between them, for systemd-run blanks. */
int decode_search_path(const Directive *d, const char *value, Atoms *to, Error *e) {
        _cleanup_(strv_freep) char **words = NULL;
        int r = strv_split(value, ": \t", &words);

        return r < 0 ? r : add_paths(d, words, "", path_is_absolute, to, e);
}

int decode_marked_paths(const Directive *d, const char *value, Atoms *to, Error *e) {
        _cleanup_(strv_freep) char **words = NULL;
        int r = words_split(value, &words, e);

        return r < 0 ? r : add_paths(d, words, "-+", path_is_absolute, to, e);
}

static bool path_is_below(const char *path) {
        return *path != '/' && !strchr(path, ':') && path_is_normal(path);
}

int decode_directories(const Directive *d, const char *value, Atoms *to, Error *e) {
        _cleanup_(strv_freep) char **words = NULL;
        int r = words_split(value, &words, e);

        return r < 0 ? r : add_paths(d, words, "", path_is_below, to, e);
}

/* SOURCE[:DESTINATION[:OPTION]], of which the parts are in word. */
static int add_bind(char *word, Atoms *to) {
        bool missing = *word == '-';
        char *source = word + missing, *destination = strchr(source, ':'), *option = NULL;
        uint64_t flags = MS_REC;

        if (destination) {
                *destination++ = '\0';
                option = strchr(destination, ':');
        }
        if (option) {
                *option++ = '\0';
                if (str_eq(option, "norbind"))
                        flags = 0;
                else if (*option && !str_eq(option, "rbind"))
                        return -EINVAL;
        }
        if (!path_is_absolute(source) || (destination && !path_is_absolute(destination)))
                return -EINVAL;
        atoms_text(to, source);
        atoms_text(to, destination ? destination : source);
        atoms_number(to, missing);
        atoms_number(to, flags);
        return 0;
}

/* PATH[:OPTIONS]: only options that take something away, or say how large and whose. */
static int add_tmpfs(char *word, Atoms *to) {
        static const char *const plain[] = { "ro", "rw", "nodev", "nosuid", "noexec", NULL };
        static const char *const given[] = { "mode=", "size=", "nr_inodes=", NULL };
        char *options = strchr(word, ':');
        _cleanup_(strv_freep) char **all = NULL;
        int r = 0;

        if (options) {
                *options++ = '\0';
                r = strv_split(options, ",", &all);
        }
        if (r < 0)
                return r;
        STRV_FOREACH(o, all) {
                bool ok = strv_contains((char *const *) plain, *o);

                for (const char *const *prefix = given; *prefix; prefix++) {
                        const char *n = str_after(*o, *prefix);

                        ok |= n && *n && strspn(n, DIGITS "kmgKMG%") == strlen(n);
                }
                if (!ok)
                        return -EINVAL;
        }
        if (!path_is_absolute(word))
                return -EINVAL;
        atoms_text(to, word);
        atoms_text(to, options ? options : "");
        return 0;
}

static int add_mounts(const Directive *d, const char *value, int (*add)(char *word, Atoms *to),
                      const char *form, Atoms *to, Error *e) {
        _cleanup_(strv_freep) char **words = NULL;
        size_t array, before = to->count;
        int r = words_split(value, &words, e);

        if (r < 0)
                return r;
        directive_property(d, to);
        array = atoms_array(to);
        STRV_FOREACH(w, words) {
                atoms_element(to, array);
                r = add(*w, to);
                if (r < 0) {
                        atoms_cut(to, before);
                        return r == -ENOMEM ? r
                                            : error_set(e, r, "bad-path", "%s is expected", form);
                }
        }
        return 0;
}

int decode_binds(const Directive *d, const char *value, Atoms *to, Error *e) {
        return add_mounts(d, value, add_bind, "SOURCE[:DESTINATION[:rbind|norbind]]", to, e);
}

int decode_tmpfs(const Directive *d, const char *value, Atoms *to, Error *e) {
        return add_mounts(
                d, value, add_tmpfs,
                "PATH[:OPTION,...] with ro, nodev, nosuid, noexec, mode=, size=, nr_inodes=", to,
                e);
}

/* "PATH REST": a new path, and where the rest stands. */
static int device_split(const char *value, char **ret_path, const char **ret_rest, Error *e) {
        size_t n = strcspn(value, " \t");
        _cleanup_(freep) char *path = strndup(value, n);

        if (!path)
                return -ENOMEM;
        if (!path_is_absolute(path) && !str_after(path, "char-") && !str_after(path, "block-"))
                return error_set(e, -EINVAL, "bad-device", "the path of a device is expected");
        *ret_rest = value + n + strspn(value + n, " \t");
        *ret_path = TAKE_PTR(path);
        return 0;
}

static void add_device(const Directive *d, const char *path, const char *text, uint64_t n,
                       Atoms *to) {
        size_t array;

        directive_property(d, to);
        array = atoms_array(to);
        if (!path)
                return;
        atoms_element(to, array);
        atoms_text(to, path);
        if (text)
                atoms_text(to, text);
        else
                atoms_number(to, n);
}

int decode_device(const Directive *d, const char *value, Atoms *to, Error *e) {
        _cleanup_(freep) char *path = NULL;
        const char *access = "";
        int r = *value ? device_split(value, &path, &access, e) : 0;

        if (r < 0)
                return r;
        if (strspn(access, "rwm") != strlen(access) || strlen(access) > 3)
                return error_set(e, -EINVAL, "bad-device", "the access is some of r, w and m");
        add_device(d, path, access, 0, to);
        return 0;
}

static int rate_parse(const char *s, uint64_t *ret) {
        static const char suffixes[] = "KMGTPE";
        size_t n = strspn(s, DIGITS);
        _cleanup_(freep) char *digits = strndup(s, n);
        const char *suffix = s[n] ? strchr(suffixes, s[n]) : NULL;
        uint64_t factor = 1, number;

        if (!digits)
                return -ENOMEM;
        if (str_eq(s, "infinity")) {
                *ret = UINT64_MAX;
                return 0;
        }
        if ((s[n] && (!suffix || s[n + 1])) || parse_u64(digits, &number) < 0)
                return -EINVAL;
        for (const char *p = suffixes; suffix && p <= suffix; p++)
                factor *= 1000;
        if (__builtin_mul_overflow(number, factor, ret) || number == 0)
                return -ERANGE;
        return 0;
}

static int weight_parse(const char *s, uint64_t *ret) {
        return parse_u64_range(s, 1, 10000, ret);
}

static int span_parse(const char *s, uint64_t *ret) {
        return timespan_parse(s, ret);
}

static int add_rate(const Directive *d, const char *value,
                    int (*parse)(const char *s, uint64_t *ret), const char *form, Atoms *to,
                    Error *e) {
        _cleanup_(freep) char *path = NULL;
        const char *rest = "";
        uint64_t n = 0;
        int r = *value ? device_split(value, &path, &rest, e) : 0;

        if (r < 0)
                return r;
        if (*value && parse(rest, &n) < 0)
                return error_set(e, -EINVAL, "bad-device", "%s is expected", form);
        add_device(d, path, NULL, n, to);
        return 0;
}

int decode_device_rate(const Directive *d, const char *value, Atoms *to, Error *e) {
        return add_rate(d, value, rate_parse, "a device and a number such as 10M, to base 1000", to,
                        e);
}

int decode_device_weight(const Directive *d, const char *value, Atoms *to, Error *e) {
        return add_rate(d, value, weight_parse, "a device and a weight from 1 to 10000", to, e);
}

int decode_device_span(const Directive *d, const char *value, Atoms *to, Error *e) {
        return add_rate(d, value, span_parse, "a device and a time span such as 25ms", to, e);
}

int decode_credential(const Directive *d, const char *value, Atoms *to, Error *e) {
        size_t n = strcspn(value, ":"), array;
        _cleanup_(freep) char *id = strndup(value, n);

        if (!id)
                return -ENOMEM;
        if (*value && (n == 0 || n > 255 || strchr(id, '/') || str_eq(id, ".") ||
                       str_eq(id, "..") || !value[n] || !path_is_absolute(value + n + 1)))
                return error_set(e, -EINVAL, "bad-credential", "ID:/absolute/path is expected");
        directive_property(d, to);
        array = atoms_array(to);
        if (*value) {
                atoms_element(to, array);
                atoms_text(to, id);
                atoms_text(to, value + n + 1);
        }
        return 0;
}
