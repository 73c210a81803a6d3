/* Finds references and replaces them. Values with words are split first and quoted anew afterwards, so that what was one word stays one. */
#include "substitute.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "specifier.h"
#include "str.h"
#include "strv.h"

static bool is_lower(char c) {
        return c >= 'a' && c <= 'z';
}

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

static bool is_word(char c) {
        return is_lower(c) || is_digit(c) || c == '_' || (c >= 'A' && c <= 'Z');
}

bool output_key_ok(const char *key, size_t size) {
        if (size < 1 || size > OUTPUT_KEY_MAX || is_digit(*key))
                return false;
        for (size_t i = 0; i < size; i++)
                if (!is_word(key[i]))
                        return false;
        return true;
}

/* "${…}" at s, or "$name"; size 0 when it is neither. */
static Reference read_reference(const char *s) {
        Reference r = { .text = s, .braces = s[1] == '{', .complete = true };
        const char *p = r.name = s + 1 + r.braces;

        while (is_lower(*p) || is_digit(*p) || *p == '_' || (r.braces && *p == '-'))
                p++;
        r.name_size = (size_t) (p - r.name);
        if (!r.braces) {
                r.size = is_lower(*r.name) && !is_word(*p) ? (size_t) (p - s) : 0;
                return r;
        }
        if (*p == '.') {
                for (r.key = ++p; is_word(*p); p++)
                        r.key_size++;
        }
        r.complete = *p == '}' && r.name_size > 0 &&
                     (r.key ? output_key_ok(r.key, r.key_size)
                            : is_lower(*r.name) && !memchr(r.name, '-', r.name_size));
        if (r.complete) {
                r.size = (size_t) (p + 1 - s);
                return r;
        }
        /* A name that is put together from a value would be systemd's to expand. */
        p += strcspn(p, "$}");
        if (is_lower(*r.name) || (p[0] == '$' && p[1] == '{' && (is_lower(p[2]) || is_digit(p[2]))))
                r.size = (size_t) (p - s);
        return r;
}

/* As systemd does, a % before anything but a letter or another % is left alone: 50% is itself. */
static Reference read_specifier(const char *s) {
        bool is = is_lower(s[1]) || (s[1] >= 'A' && s[1] <= 'Z') || s[1] == '%';

        return (Reference){ .text = s, .size = is ? 2 : 0, .specifier = s[1] };
}

/* The next reference in s, which moves behind it; false when there is none. */
static bool next_reference(const char **s, Reference *ret) {
        const char *p = *s;

        while (*(p += strcspn(p, "$%"))) {
                Reference r = *p == '%' ? read_specifier(p) : read_reference(p);

                if (p[0] == '$' && p[1] == '$') {
                        p += 2;
                        continue;
                }
                if (r.size > 0) {
                        *s = p + r.size;
                        *ret = r;
                        return true;
                }
                p++;
        }
        return false;
}

static bool has_words(const Directive *d) {
        return d->type == DIRECTIVE_EXEC || d->type == DIRECTIVE_ENVIRONMENT;
}

int substitute_each(const Directive *d, const char *value, on_reference_t on_reference,
                    void *userdata) {
        _cleanup_(strv_freep) char **words = NULL;
        char *const whole[] = { (char *) value, NULL };
        int r = has_words(d) ? words_split(value, &words, NULL) : 0;

        if (r < 0)
                return r == -ENOMEM ? r : 0;
        STRV_FOREACH(w, has_words(d) ? words : (char **) whole) {
                const char *s = *w;
                Reference reference;

                while (r >= 0 && next_reference(&s, &reference))
                        r = on_reference(&reference, userdata);
        }
        return r;
}

typedef struct Substitution {
        const Directive *directive;
        const char *unit;
        substitute_t look_up;
        void *userdata;
        bool expands; /* PID 1 makes a $ of $$, and looks for variables */
        bool path;    /* of the program, in which PID 1 expands nothing */
        size_t left;  /* of SUBSTITUTED_MAX */
        Error *e;
} Substitution;

static int append_value(Substitution *sub, Buffer *b, const char *value) {
        size_t size = strlen(value);

        if (size > sub->left)
                return error_set(sub->e, -EINVAL, "too-long",
                                 "the values in it have more than %u bytes", SUBSTITUTED_MAX);
        sub->left -= size;
        if (sub->path && strchr(value, '$'))
                return error_set(sub->e, -EINVAL, "bad-value",
                                 "a value with a $ cannot be part of the program's path");
        for (int r = 0; *value; value++) {
                if (sub->directive->type == DIRECTIVE_TEXT &&
                    (*value == '\\' || (unsigned char) *value < 0x20 || *value == 0x7f))
                        r = buffer_printf(b, "\\x%02x", (unsigned char) *value);
                else if (sub->expands && *value == '$')
                        r = buffer_append_str(b, "$$");
                else
                        r = buffer_append(b, value, 1);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int append_reference(Substitution *sub, Buffer *b, const Reference *reference) {
        _cleanup_(freep) char *expanded = NULL;
        const char *value = NULL;
        int r;

        if (reference->specifier) {
                r = specifier_value(reference->specifier, sub->unit, &expanded, sub->e);
                return r < 0 ? r : append_value(sub, b, expanded);
        }
        if (!reference->braces)
                return buffer_append(b, reference->text, reference->size);
        if (!reference->complete)
                return error_set(sub->e, -EINVAL, "bad-reference", "\"%.*s\" is no reference",
                                 (int) reference->size, reference->text);
        r = sub->look_up(reference, &value, sub->e, sub->userdata);
        return r < 0 ? r : append_value(sub, b, value);
}

/* Between references. Where PID 1 does not, $$ before what would be a reference becomes $. */
static int append_literal(const Substitution *sub, Buffer *b, const char *s, const char *end) {
        int r = 0;

        while (r >= 0 && s < end) {
                if (s[0] == '$' && s + 1 < end && s[1] == '$') {
                        Reference hidden = read_reference(s + 1);
                        bool escapes = !sub->expands && hidden.size > 0 && hidden.braces;

                        r = buffer_append_str(b, escapes ? "$" : "$$");
                        s += 2;
                } else {
                        r = buffer_append(b, s++, 1);
                }
        }
        return r;
}

static int substitute_text(Substitution *sub, const char *text, Buffer *b) {
        const char *s = text;
        Reference reference;
        int r = 0;

        while (r >= 0 && next_reference(&s, &reference)) {
                r = append_literal(sub, b, text, reference.text);
                if (r >= 0)
                        r = append_reference(sub, b, &reference);
                text = s;
        }
        return r < 0 ? r : append_literal(sub, b, text, text + strlen(text));
}

/* As words_split() reads it back. */
static int append_quoted(Buffer *b, const char *word) {
        int r = *word ? 0 : buffer_append_str(b, "\"\"");

        for (; r >= 0 && *word; word++)
                if ((unsigned char) *word <= ' ' || *word == 0x7f || strchr("\"'\\", *word))
                        r = buffer_printf(b, "\\x%02x", (unsigned char) *word);
                else
                        r = buffer_append(b, word, 1);
        return r;
}

/* The prefixes of a command line stay before it. */
static int substitute_words(Substitution *sub, const char *value, Buffer *b) {
        _cleanup_(strv_freep) char **words = NULL;
        bool exec = sub->directive->type == DIRECTIVE_EXEC;
        size_t prefix = exec ? strspn(value, "-:") : 0;
        int r = words_split(value + prefix, &words, sub->e);

        sub->expands = exec && !memchr(value, ':', prefix);
        if (r >= 0)
                r = buffer_append(b, value, prefix);
        STRV_FOREACH(w, words) {
                Buffer word = {};

                sub->path = exec && w == words;
                if (r >= 0 && w != words)
                        r = buffer_append_str(b, " ");
                if (r >= 0)
                        r = substitute_text(sub, *w, &word);
                if (r >= 0)
                        r = append_quoted(b, word.data ? word.data : "");
                buffer_done(&word);
        }
        return r;
}

int substitute_value(const Directive *d, const char *value, const char *unit, substitute_t look_up,
                     void *userdata, char **ret, Error *e) {
        Substitution sub = { .directive = d,
                             .unit = unit,
                             .look_up = look_up,
                             .userdata = userdata,
                             .left = SUBSTITUTED_MAX,
                             .e = e };
        Buffer b = {};
        int r = has_words(d) ? substitute_words(&sub, value, &b) : substitute_text(&sub, value, &b);

        if (r >= 0)
                r = buffer_take(&b, ret);
        buffer_done(&b);
        return r;
}
