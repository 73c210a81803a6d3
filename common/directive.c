/* The directive table and the value syntaxes it names. */
#include "directive.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "parse.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"

#define WORDS_MAX 512
#define COUNT_MAX 1000000

static const char *const type_words[] = { "exec", "notify", NULL };
static const char *const access_words[] = { "none", "main", "exec", "all", NULL };
static const char *const restart_words[] = { "no",          "on-success",  "on-failure",
                                             "on-abnormal", "on-watchdog", "on-abort",
                                             "always",      NULL };

const Directive directives[] = {
        { "ExecStart", DIRECTIVE_EXEC, "ExecStart", 249 },
        { "Environment", DIRECTIVE_ENVIRONMENT, "Environment", 249, .repeats = true },
        { "WorkingDirectory", DIRECTIVE_PATH, "WorkingDirectory", 249 },
        { "User", DIRECTIVE_USER, "User", 249 },
        { "MemoryMax", DIRECTIVE_SIZE, "MemoryMax", 249 },
        { "MemoryHigh", DIRECTIVE_SIZE, "MemoryHigh", 249 },
        { "CPUQuota", DIRECTIVE_QUOTA, "CPUQuotaPerSecUSec", 249 },
        { "CPUWeight", DIRECTIVE_WEIGHT, "CPUWeight", 249 },
        { "TasksMax", DIRECTIVE_TASKS, "TasksMax", 249 },
        { "IOWeight", DIRECTIVE_WEIGHT, "IOWeight", 249 },
        { "RuntimeMaxSec", DIRECTIVE_SPAN, "RuntimeMaxUSec", 249 },
        { "TimeoutStopSec", DIRECTIVE_SPAN, "TimeoutStopUSec", 249 },
        { "LoadCredential", DIRECTIVE_CREDENTIAL, "LoadCredential", 249, .repeats = true },
        { "SandboxProfile", DIRECTIVE_SANDBOX, NULL, 249 },
        { "Type", DIRECTIVE_WORD, "Type", 249, .streaming = true, .words = type_words },
        { "NotifyAccess", DIRECTIVE_WORD, "NotifyAccess", 249, .streaming = true,
          .words = access_words },
        { "Restart", DIRECTIVE_WORD, "Restart", 249, .streaming = true, .words = restart_words },
        { "RestartSec", DIRECTIVE_PAUSE, "RestartUSec", 249, .streaming = true },
        { "StartLimitIntervalSec", DIRECTIVE_PAUSE, "StartLimitIntervalUSec", 249,
          .streaming = true },
        { "StartLimitBurst", DIRECTIVE_COUNT, "StartLimitBurst", 249, .streaming = true },
        { "WatchdogSec", DIRECTIVE_SPAN, "WatchdogUSec", 249, .streaming = true },
        { "TimeoutStartSec", DIRECTIVE_SPAN, "TimeoutStartUSec", 249, .streaming = true },
        {},
};

const Directive *directive_find(const char *name) {
        for (const Directive *d = directives; d->name; d++)
                if (str_eq(d->name, name))
                        return d;
        return NULL;
}

const char *directive_nearest(const char *name) {
        const char *best = NULL;
        unsigned least = 4; /* further away is no likeness */

        for (const Directive *d = directives; d->name; d++) {
                unsigned distance = str_distance(d->name, name);

                if (distance < least) {
                        least = distance;
                        best = d->name;
                }
        }
        return best;
}

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

/* Digits, perhaps with two decimals, before a percent sign; in hundredths of a percent. */
static int percent_parse(const char *s, uint64_t *ret_hundredths) {
        char number[32];
        const char *dot;
        uint64_t whole, fraction = 0;
        size_t n = strlen(s);
        int r;

        if (n < 2 || n >= sizeof(number) || s[n - 1] != '%')
                return -EINVAL;
        (void) memcpy(number, s, n - 1);
        number[n - 1] = '\0';
        dot = strchr(number, '.');
        if (dot) {
                size_t digits = strlen(dot + 1);

                number[dot - number] = '\0';
                if (digits < 1 || digits > 2 || parse_u64(dot + 1, &fraction) < 0)
                        return -EINVAL;
                fraction *= digits == 1 ? 10 : 1;
        }
        r = parse_u64_range(number, 0, 1000000, &whole);
        if (r < 0)
                return r;
        *ret_hundredths = whole * 100 + fraction;
        return 0;
}

int quota_parse(const char *s, uint64_t *ret_usec_per_sec) {
        uint64_t hundredths;
        int r = percent_parse(s, &hundredths);

        if (r < 0)
                return r;
        if (hundredths == 0)
                return -ERANGE;
        *ret_usec_per_sec = hundredths * (USEC_PER_SEC / 10000);
        return 0;
}

int limit_parse(const char *s, uint64_t *ret, bool *ret_relative) {
        uint64_t value;
        int r;

        if (str_eq(s, "infinity")) {
                *ret = UINT64_MAX;
                *ret_relative = false;
                return 0;
        }
        r = percent_parse(s, &value);
        if (r == 0) {
                if (value > 10000)
                        return -ERANGE;
                *ret = value * UINT32_MAX / 10000;
                *ret_relative = true;
                return 0;
        }
        r = parse_size(s, &value);
        if (r < 0)
                return r;
        if (value == 0 || value == UINT64_MAX)
                return -ERANGE;
        *ret = value;
        *ret_relative = false;
        return 0;
}

static int check_exec(const char *value, Error *e) {
        ExecCommand command = {};
        int r = exec_command_parse(value, &command, e);

        exec_command_done(&command);
        return r;
}

static int check_environment(const char *value, Error *e) {
        _cleanup_(strv_freep) char **words = NULL;
        int r = words_split(value, &words, e);

        if (r < 0)
                return r;
        STRV_FOREACH(w, words) {
                size_t n = strcspn(*w, "=");

                if ((*w)[n] != '=' || n == 0 || isdigit((unsigned char) **w) ||
                    strspn(*w, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") !=
                            n)
                        return error_set(e, -EINVAL, "bad-environment",
                                         "\"%.64s\" is not NAME=value", *w);
                if (str_after(*w, "SLUICE_"))
                        return error_set(e, -EINVAL, "bad-environment",
                                         "names beginning with SLUICE_ are Sluice's own");
        }
        return 0;
}

static int check_path(const char *value, Error *e) {
        if ((*value != '/' && !str_eq(value, "~")) || strstr(value, "/../"))
                return error_set(e, -EINVAL, "bad-path", "an absolute path without .. is expected");
        return 0;
}

static int check_user(const char *value, Error *e) {
        size_t n = strlen(value);

        if (n == 0 || n > 31 || isdigit((unsigned char) *value) || *value == '-' ||
            strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != n)
                return error_set(e, -EINVAL, "bad-user", "a user name is expected");
        return 0;
}

static int check_size(const char *value, Error *e) {
        bool relative;
        uint64_t n;

        return limit_parse(value, &n, &relative) < 0
                       ? error_set(e, -EINVAL, "bad-size",
                                   "a size such as 512M, a percentage of memory, or infinity is "
                                   "expected")
                       : 0;
}

static int check_quota(const char *value, Error *e) {
        uint64_t n;

        return quota_parse(value, &n) < 0
                       ? error_set(e, -EINVAL, "bad-quota",
                                   "a percentage of one CPU such as 50%% is expected")
                       : 0;
}

static int check_weight(const char *value, Error *e) {
        uint64_t n;

        return parse_u64_range(value, 1, 10000, &n) < 0
                       ? error_set(e, -EINVAL, "bad-weight", "a number from 1 to 10000 is expected")
                       : 0;
}

static int check_tasks(const char *value, Error *e) {
        uint64_t n;

        return !str_eq(value, "infinity") && parse_u64_range(value, 1, INT32_MAX, &n) < 0
                       ? error_set(e, -EINVAL, "bad-tasks",
                                   "a number of tasks, or infinity, is expected")
                       : 0;
}

static int check_span(const char *value, Error *e) {
        uint64_t n;

        return timespan_parse(value, &n) < 0 || n == 0
                       ? error_set(e, -EINVAL, "bad-span",
                                   "a time span such as 90s or 2h 30min is expected")
                       : 0;
}

static int check_pause(const char *value, Error *e) {
        uint64_t n;

        return timespan_parse(value, &n) < 0
                       ? error_set(e, -EINVAL, "bad-span",
                                   "a time span such as 5s or 2min, or 0, is expected")
                       : 0;
}

static int check_count(const char *value, Error *e) {
        uint64_t n;

        return parse_u64_range(value, 1, COUNT_MAX, &n) < 0
                       ? error_set(e, -EINVAL, "bad-count", "a number from 1 to %d is expected",
                                   COUNT_MAX)
                       : 0;
}

static int check_word(const char *const *words, const char *value, Error *e) {
        _cleanup_(freep) char *all = NULL;

        if (strv_contains((char *const *) words, value))
                return 0;
        all = strv_join((char *const *) words, ", ");
        return error_set(e, -EINVAL, "bad-word", "one of %s is expected",
                         all ? all : "systemd's words");
}

static int check_credential(const char *value, Error *e) {
        const char *colon = strchr(value, ':');

        if (!colon || colon == value || colon[1] != '/' || strstr(colon, "/../") ||
            colon - value > 255 || memchr(value, '/', (size_t) (colon - value)))
                return error_set(e, -EINVAL, "bad-credential", "ID:/absolute/path is expected");
        return 0;
}

static int check_sandbox(const char *value, Error *e) {
        return str_eq(value, "strict") || str_eq(value, "standard") || str_eq(value, "none")
                       ? 0
                       : error_set(e, -EINVAL, "bad-sandbox",
                                   "strict, standard or none is expected");
}

int directive_check(const Directive *d, const char *value, Error *e) {
        static int (*const checks[])(const char *, Error *) = {
                [DIRECTIVE_EXEC] = check_exec,       [DIRECTIVE_ENVIRONMENT] = check_environment,
                [DIRECTIVE_PATH] = check_path,       [DIRECTIVE_USER] = check_user,
                [DIRECTIVE_SIZE] = check_size,       [DIRECTIVE_QUOTA] = check_quota,
                [DIRECTIVE_WEIGHT] = check_weight,   [DIRECTIVE_TASKS] = check_tasks,
                [DIRECTIVE_SPAN] = check_span,       [DIRECTIVE_CREDENTIAL] = check_credential,
                [DIRECTIVE_SANDBOX] = check_sandbox, [DIRECTIVE_PAUSE] = check_pause,
                [DIRECTIVE_COUNT] = check_count,
        };

        return d->words ? check_word(d->words, value, e) : checks[d->type](value, e);
}
