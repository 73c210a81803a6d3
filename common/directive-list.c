/* Values that are lists of words: variables, names, filters, CPUs; and what a task reads or runs. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "directive-types.h"
#include "parse.h"
#include "str.h"
#include "strv.h"

#define CPU_MAX 8191
#define OWN_PREFIX "SLUICE_"

static bool is_variable(const char *name, size_t n) {
        return n > 0 && !isdigit((unsigned char) *name) && strspn(name, LETTERS DIGITS "_") >= n;
}

static void add_words(const Directive *d, char *const *words, Atoms *to) {
        size_t array;

        directive_property(d, to);
        array = atoms_array(to);
        STRV_FOREACH(w, words) {
                atoms_element(to, array);
                atoms_text(to, *w);
        }
}

static int own_name(Error *e) {
        return error_set(e, -EINVAL, "bad-environment",
                         "names beginning with " OWN_PREFIX " are Sluice's own");
}

int decode_environment(const Directive *d, const char *value, Atoms *to, Error *e) {
        _cleanup_(strv_freep) char **words = NULL;
        int r = words_split(value, &words, e);

        if (r < 0)
                return r;
        STRV_FOREACH(w, words) {
                size_t n = strcspn(*w, "=");

                if ((*w)[n] != '=' || !is_variable(*w, n))
                        return error_set(e, -EINVAL, "bad-environment",
                                         "\"%.64s\" is not NAME=value", *w);
                if (str_after(*w, OWN_PREFIX))
                        return own_name(e);
        }
        add_words(d, words, to);
        return 0;
}

int decode_variables(const Directive *d, const char *value, Atoms *to, Error *e) {
        _cleanup_(strv_freep) char **words = NULL;
        int r = words_split(value, &words, e);

        if (r < 0)
                return r;
        STRV_FOREACH(w, words) {
                if (!is_variable(*w, d->alphabet ? strcspn(*w, d->alphabet) : strlen(*w)))
                        return error_set(e, -EINVAL, "bad-environment",
                                         "\"%.64s\" is no name of a variable", *w);
                if (str_after(*w, OWN_PREFIX))
                        return own_name(e);
        }
        add_words(d, words, to);
        return 0;
}

int decode_users(const Directive *d, const char *value, Atoms *to, Error *e) {
        _cleanup_(strv_freep) char **words = NULL;
        int r = words_split(value, &words, e);

        if (r < 0)
                return r;
        STRV_FOREACH(w, words)
                if (!user_name_is_valid(*w))
                        return error_set(e, -EINVAL, "bad-user",
                                         "\"%.64s\" is no name of a user or group", *w);
        add_words(d, words, to);
        return 0;
}

int decode_words(const Directive *d, const char *value, Atoms *to, Error *e) {
        _cleanup_(strv_freep) char **words = NULL;
        int r = words_split(value, &words, e);

        if (r < 0)
                return r;
        STRV_FOREACH(w, words)
                if (!strv_contains((char *const *) d->words, *w))
                        return error_set(e, -EINVAL, "bad-word", "\"%.64s\" is not known", *w);
        add_words(d, words, to);
        return 0;
}

/* Nothing forgets what was said before; for PID 1 that is a list of what is denied that is empty, so that one cannot be said. */
static int add_filter(const Directive *d, const char *value,
                      bool (*ok)(const Directive *d, const char *word), Atoms *to, Error *e) {
        bool deny = *value == '~',
             none = d->type == DIRECTIVE_FILTER && d->words && str_eq(value, "none");
        _cleanup_(strv_freep) char **words = NULL;
        int r = words_split(value + deny, &words, e);

        if (r < 0)
                return r;
        if (deny && !words[0])
                return error_set(e, -EINVAL, "bad-filter", "what is to be denied is missing");
        STRV_FOREACH(w, words)
                if (!none && !ok(d, *w))
                        return error_set(e, -EINVAL, "bad-filter", "\"%.64s\" is not known", *w);
        directive_property(d, to);
        atoms_number(to, !deny && words[0]);
        atoms_number(to, none ? 0 : strv_length(words));
        for (char **w = words; *w && !none; w++)
                atoms_text(to, *w);
        return 0;
}

static bool filter_word_ok(const Directive *d, const char *word) {
        size_t n = strlen(word);

        for (const char *p = word; *p; p++)
                if (!isalnum((unsigned char) *p) && !strchr(d->alphabet, *p))
                        return false;
        return n > 0 && n < 64 && (!d->words || str_after(word, d->words[0]));
}

int decode_filter(const Directive *d, const char *value, Atoms *to, Error *e) {
        return add_filter(d, value, filter_word_ok, to, e);
}

/* A group that PID 1 does not know would not be filtered, so it is refused. */
static bool syscall_ok(const Directive *d, const char *word) {
        static const char *const actions[] = { "kill", "log", NULL };
        size_t n = strcspn(word, ":");
        char name[64] = "";

        if (n == 0 || n >= sizeof(name))
                return false;
        (void) memcpy(name, word, n);
        if (*name == '@' ? !strv_contains((char *const *) d->words, name)
                         : strspn(name, "abcdefghijklmnopqrstuvwxyz_" DIGITS) != n)
                return false;
        if (!word[n])
                return true;
        word += n + 1;
        for (int i = 1; i < 256; i++)
                if (str_eq(strerrorname_np(i), word))
                        return true;
        return strv_contains((char *const *) actions, word);
}

int decode_syscalls(const Directive *d, const char *value, Atoms *to, Error *e) {
        return add_filter(d, value, syscall_ok, to, e);
}

static int add_range(const char *word, uint8_t *bits) {
        _cleanup_(freep) char *first = strndup(word, strcspn(word, "-"));
        const char *dash = strchr(word, '-');
        uint64_t from, to;

        if (!first)
                return -ENOMEM;
        if (parse_u64_range(first, 0, CPU_MAX, &from) < 0 ||
            parse_u64_range(dash ? dash + 1 : first, from, CPU_MAX, &to) < 0)
                return -EINVAL;
        for (; from <= to; from++)
                bits[from / 8] |= (uint8_t) BIT(from % 8);
        return 0;
}

/* Bit N of byte M is CPU 8 M + N. Those said before are kept: PID 1 knows only the last word for some of these properties. */
int decode_cpus(const Directive *d, const char *value, Atoms *to, Error *e) {
        _cleanup_(strv_freep) char **words = NULL;
        uint8_t bits[CPU_MAX / 8 + 1] = {};
        const Atom *before = atoms_find(to, d->property);
        size_t size = 0;
        int r = strv_split(value, ", \t", &words);

        STRV_FOREACH(w, words)
                if (r >= 0)
                        r = add_range(*w, bits);
        if (r == -EINVAL)
                return error_set(e, r, "bad-cpus", "numbers and ranges such as 0-3,7 are expected");
        if (r < 0)
                return r;
        for (size_t i = 0;
             words && words[0] && before && before->text && i < before->number && i < sizeof(bits);
             i++)
                bits[i] |= (uint8_t) before->text[i];
        for (size_t i = 0; i < sizeof(bits); i++)
                if (bits[i])
                        size = i + 1;
        directive_property(d, to);
        atoms_bytes(to, bits, size);
        return 0;
}

static bool is_field(const char *text) {
        size_t n = strcspn(text, "=");

        return text[n] == '=' && n > 0 && n <= 64 && *text != '_' &&
               !isdigit((unsigned char) *text) &&
               strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_" DIGITS) == n;
}

int decode_fields(const Directive *d, const char *value, Atoms *to, Error *e) {
        _cleanup_(strv_freep) char **words = NULL;
        int r = words_split(value, &words, e);

        if (r < 0)
                return r;
        STRV_FOREACH(w, words) {
                if (!is_field(*w))
                        return error_set(e, -EINVAL, "bad-field",
                                         "\"%.64s\" is not NAME=value, the name of A-Z, 0-9 and _",
                                         *w);
                if (str_after(*w, OWN_PREFIX))
                        return own_name(e);
        }
        add_words(d, words, to);
        return 0;
}

int decode_text(const Directive *d, const char *value, Atoms *to, Error *e) {
        _cleanup_(freep) char *text = NULL, *line = NULL;
        int r = text_unescape(value, &text, e);

        if (r < 0)
                return r;
        line = str_format("%s\n", text);
        if (!line)
                return -ENOMEM;
        directive_property(d, to);
        atoms_text(to, *value ? line : "");
        return 0;
}

int decode_base64(const Directive *d, const char *value, Atoms *to, Error *e) {
        static const char digits[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        size_t n = strlen(value), size = 0, padding = 0;
        _cleanup_(freep) uint8_t *data = malloc(n + 1);
        uint32_t bits = 0;

        if (!data)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                const char *found = strchr(digits, value[i]);

                padding += value[i] == '=';
                if ((!found && value[i] != '=') || (found && padding > 0) || padding > 2 ||
                    n % 4 != 0)
                        return error_set(e, -EINVAL, "bad-base64", "base64 is expected");
                bits = bits << 6 | (found ? (uint32_t) (found - digits) : 0);
                if (i % 4 != 3)
                        continue;
                for (int shift = 16; shift >= 0; shift -= 8)
                        data[size++] = (uint8_t) (bits >> shift);
                bits = 0;
        }
        directive_property(d, to);
        atoms_bytes(to, data, size - padding);
        return 0;
}

/* With each "$" twice, of which PID 1 makes one. */
static char *unexpanded(const char *arg) {
        char *text = malloc(2 * strlen(arg) + 1), *to = text;

        if (!text)
                return NULL;
        do {
                if (*arg == '$')
                        *to++ = '$';
        } while ((*to++ = *arg++) != '\0');
        return text;
}

/* The path that is executed, and the name that it is called by: agentd-exec puts a resolved one in the first place.
 * Not as ExecStartEx and its like, whose flags have ":" as well: systemd 252 writes these names into the unit's file, and knows nothing
 * of them when it reads that again for `systemctl daemon-reload`. */
int decode_exec(const Directive *d, const char *value, Atoms *to, Error *e) {
        ExecCommand command = {};
        size_t array;
        int r = *value || !d->repeats ? exec_command_parse(value, &command, e) : 0;

        if (r < 0)
                return r;
        directive_property(d, to);
        array = atoms_array(to);
        if (command.argv) {
                atoms_element(to, array);
                atoms_text(to, command.argv[0]);
                array = atoms_array(to);
                STRV_FOREACH(arg, command.argv) {
                        _cleanup_(freep) char *plain =
                                command.flags & EXEC_NO_EXPAND ? unexpanded(*arg) : strdup(*arg);

                        if (!plain) {
                                r = -ENOMEM;
                                break;
                        }
                        atoms_element(to, array);
                        atoms_text(to, plain);
                }
                atoms_number(to, (command.flags & EXEC_IGNORE_FAILURE) != 0);
        }
        exec_command_done(&command);
        return r;
}
