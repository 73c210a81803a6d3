/* Words, quotes and escapes of values, and command lines, as systemd.syntax(7) and systemd.service(5) say. */
#include "directive.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "str.h"
#include "strv.h"

#define WORDS_MAX 512

/* The byte that a C escape stands for, moving *s behind it. Negative for an unknown one. */
static int unescape(const char **s) {
        static const char names[] = "abfnrtvs\\\"'", values[] = "\a\b\f\n\r\t\v \\\"'";
        const char *found = **s ? strchr(names, **s) : NULL;

        if (found) {
                (*s)++;
                return values[found - names];
        }
        if (**s == 'x' && isxdigit((unsigned char) (*s)[1]) && isxdigit((unsigned char) (*s)[2])) {
                char digits[3] = { (*s)[1], (*s)[2], '\0' };
                int value = (int) strtol(digits, NULL, 16);

                *s += 3;
                return value > 0 ? value : -EINVAL;
        }
        return -EINVAL;
}

/* Reads one word at *s, which is not white space, moving behind it. */
static int word_read(const char **s, Buffer *word, Error *e) {
        const char *p = *s;
        char quote = '\0';

        for (; *p && (quote || !isspace((unsigned char) *p));) {
                char c = *p++;
                int r;

                if (c == '\\') {
                        int value = unescape(&p);

                        if (value < 0)
                                return error_set(e, -EINVAL, "bad-escape", "unknown escape \\%c",
                                                 *p ? *p : ' ');
                        c = (char) value;
                } else if (quote && c == quote) {
                        quote = '\0';
                        continue;
                } else if (!quote && (c == '"' || c == '\'')) {
                        quote = c;
                        continue;
                }
                r = buffer_append(word, &c, 1);
                if (r < 0)
                        return r;
        }
        if (quote)
                return error_set(e, -EINVAL, "open-quote", "a %c quote is not closed", quote);
        *s = p;
        return 0;
}

int words_split(const char *line, char ***ret, Error *e) {
        _cleanup_(strv_freep) char **words = calloc(1, sizeof(char *));
        size_t n = 0;

        if (!words)
                return -ENOMEM;
        for (const char *s = line;;) {
                Buffer word = {};
                char *text = NULL;
                int r;

                while (isspace((unsigned char) *s))
                        s++;
                if (!*s)
                        break;
                if (++n > WORDS_MAX)
                        return error_set(e, -E2BIG, "too-many-words", "more than %d words",
                                         WORDS_MAX);
                r = word_read(&s, &word, e);
                if (r >= 0)
                        r = buffer_take(&word, &text);
                if (r >= 0)
                        r = strv_append_take(&words, text);
                buffer_done(&word);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(words);
        return 0;
}

void exec_command_done(ExecCommand *c) {
        c->argv = strv_free(c->argv);
}

int exec_command_parse(const char *line, ExecCommand *ret, Error *e) {
        _cleanup_(strv_freep) char **argv = NULL;
        unsigned flags = 0;
        int r;

        for (; *line == '-' || *line == ':'; line++)
                flags |= *line == '-' ? EXEC_IGNORE_FAILURE : EXEC_NO_EXPAND;
        if (*line && strchr("+!@|", *line))
                return error_set(e, -EINVAL, "bad-prefix",
                                 "prefix %c is not allowed, only - and :", *line);
        r = words_split(line, &argv, e);
        if (r < 0)
                return r;
        if (!argv[0])
                return error_set(e, -EINVAL, "no-command", "a command is missing");
        if (argv[0][0] != '/')
                return error_set(e, -EINVAL, "relative-path", "\"%.64s\" is not an absolute path",
                                 argv[0]);
        ret->argv = TAKE_PTR(argv);
        ret->flags = flags;
        return 0;
}

int text_unescape(const char *text, char **ret, Error *e) {
        Buffer out = {};
        int r = 0;

        while (r >= 0 && *text) {
                char c = *text++;

                if (c == '\\') {
                        int value = unescape(&text);

                        if (value < 0) {
                                buffer_done(&out);
                                return error_set(e, -EINVAL, "bad-escape", "unknown escape \\%c",
                                                 *text ? *text : ' ');
                        }
                        c = (char) value;
                }
                r = buffer_append(&out, &c, 1);
        }
        if (r >= 0)
                r = buffer_take(&out, ret);
        buffer_done(&out);
        return r;
}
