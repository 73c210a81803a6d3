/* A table of options. */
#include "arguments.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "settings.h"
#include "str.h"
#include "strv.h"

static const struct {
        const char *name;
        char letter;
        bool value;
} options[_OPTION_MAX] = {
        [OPTION_OUTPUT] = { "--output", 'o', true },
        [OPTION_WAIT] = { "--wait", 'w', false },
        [OPTION_FOLLOW] = { "--follow", 'f', false },
        [OPTION_TASK] = { "--task", 't', true },
        [OPTION_PIPE] = { "--pipe", 'p', true },
        [OPTION_STATE] = { "--state", 0, true },
        [OPTION_LIMIT] = { "--limit", 'n', true },
        [OPTION_PIPE_VERSION] = { "--pipe-version", 0, true },
        [OPTION_IDEMPOTENCY_KEY] = { "--idempotency-key", 0, true },
        [OPTION_TYPE] = { "--type", 0, true },
        [OPTION_AGENT] = { "--agent", 0, true },
        [OPTION_USES] = { "--uses", 0, true },
        [OPTION_EXPIRES] = { "--expires", 0, true },
        [OPTION_LABELS] = { "--labels", 0, true },
        [OPTION_AGENT_TYPE] = { "--agent-type", 0, true },
        [OPTION_DESCRIPTION] = { "--description", 0, true },
        [OPTION_REASON] = { "--reason", 0, true },
        [OPTION_DEADLINE] = { "--deadline", 0, true },
        [OPTION_FORCE] = { "--force", 0, false },
        [OPTION_ALL] = { "--all", 0, false },
        [OPTION_FROM] = { "--from", 0, true },
        [OPTION_SKIP] = { "--skip", 0, true },
        [OPTION_PARAM] = { "--param", 0, true },
        [OPTION_PARAM_FROM] = { "--param-from", 0, true },
        [OPTION_FOR] = { "--for", 0, true },
        [OPTION_ON] = { "--on", 0, true },
        [OPTION_ONLINE] = { "--online", 0, false },
        [OPTION_TRIAL] = { "--trial", 0, true },
        [OPTION_TO] = { "--to", 0, true },
        [OPTION_CONCURRENCY] = { "--concurrency", 0, true },
        [OPTION_AGAIN] = { "--again", 0, false },
        [OPTION_DRY_RUN] = { "--dry-run", 0, false },
};

const char *option_name(Option o) {
        return options[o].name;
}

/* Options that are flags of the program, not of a verb. */
static const struct {
        const char *name;
        size_t offset;
} flags[] = {
        { "--help", offsetof(Arguments, help) },
        { "--version", offsetof(Arguments, version) },
        { "--no-color", offsetof(Arguments, no_color) },
};

typedef struct Nearest {
        char word[64];
        const char *name;
        unsigned distance;
} Nearest;

static void consider(Nearest *n, const char *dashes, const char *name) {
        char whole[64];
        unsigned distance;

        (void) snprintf(whole, sizeof(whole), "%s%s", dashes, name);
        distance = str_distance(n->word, whole);
        if (distance < n->distance) {
                n->distance = distance;
                n->name = name;
        }
}

static int unknown(const char *arg, Error *e) {
        Nearest n = { .distance = 4 };
        int size = (int) strcspn(arg, "=");

        if (str_after(arg, "--token") && (!arg[7] || arg[7] == '='))
                return error_set(e, -EINVAL, "usage",
                                 "A token does not belong on the command line, where others see "
                                 "it. Use SLUICE_TOKEN or --token-file=.");
        (void) snprintf(n.word, sizeof(n.word), "%.*s", size, arg);
        for (size_t i = 0; i < _OPTION_MAX; i++)
                consider(&n, "", options[i].name);
        for (size_t i = 0; i < ELEMENTSOF(flags); i++)
                consider(&n, "", flags[i].name);
        consider(&n, "", "--print-config");
        for (size_t i = 0; settings_option(i); i++)
                consider(&n, "--", settings_option(i));
        if (n.name)
                return error_set(e, -EINVAL, "usage", "Unknown option %s; did you mean %s%s?",
                                 n.word, *n.name == '-' ? "" : "--", n.name);
        return error_set(e, -EINVAL, "usage", "Unknown option %.40s; see sluicectl --help.",
                         n.word);
}

static bool read_flag(Arguments *a, const char *arg) {
        for (size_t i = 0; i < ELEMENTSOF(flags); i++)
                if (str_eq(flags[i].name, arg)) {
                        *(bool *) ((char *) a + flags[i].offset) = true;
                        return true;
                }
        return false;
}

/* The option that arg is, and where its value begins (NULL: in the next word). */
static int find_option(const char *arg, const char **ret_value) {
        for (int i = 0; i < _OPTION_MAX; i++) {
                const char *rest = str_after(arg, options[i].name);

                if (rest && (*rest == '=' || !*rest)) {
                        *ret_value = *rest ? rest + 1 : NULL;
                        return i;
                }
                if (options[i].letter && arg[1] == options[i].letter) {
                        *ret_value = arg[2] ? arg + 2 : NULL;
                        return i;
                }
        }
        return -ENOENT;
}

/* 1 when it took the next word as well. */
static int read_option(Arguments *a, const char *arg, const char *next, Error *e) {
        const char *value = NULL;
        int i = find_option(arg, &value), taken = 0;

        if (i < 0)
                return unknown(arg, e);
        if (!options[i].value && value)
                return error_set(e, -EINVAL, "usage", "%s takes no value.", options[i].name);
        if (options[i].value && !value) {
                value = next;
                taken = 1;
        }
        if (options[i].value && !value)
                return error_set(e, -EINVAL, "usage", "%s wants a value.", options[i].name);
        a->values[i] = value ? value : "";
        if (i == OPTION_AGENT && strv_append(&a->agents, value) < 0)
                return -ENOMEM;
        if (i == OPTION_PARAM && strv_append(&a->params, value) < 0)
                return -ENOMEM;
        if (i == OPTION_PARAM_FROM && strv_append(&a->params_from, value) < 0)
                return -ENOMEM;
        return taken;
}

static int read_all(int argc, char *const argv[], Arguments *a, Error *e) {
        bool only_words = false;

        for (int i = 1; i < argc; i++) {
                const char *arg = argv[i];
                int r = 0;

                if (!*arg)
                        return error_set(e, -EINVAL, "usage",
                                         "Argument %d is empty: perhaps a variable is not set.", i);
                if (only_words || arg[0] != '-' || !arg[1])
                        r = strv_append(&a->words, arg);
                else if (str_eq(arg, "--"))
                        only_words = true;
                else if (str_eq(arg, "-h"))
                        a->help = true;
                else if (str_after(arg, "--version=")) /* the pipe's; alone it is the program's */
                        a->values[OPTION_PIPE_VERSION] = str_after(arg, "--version=");
                else if (!read_flag(a, arg))
                        r = read_option(a, arg, argv[i + 1], e);
                if (r < 0)
                        return r;
                i += r;
        }
        return 0;
}

int arguments_read(int argc, char *const argv[], Arguments *ret, Error *e) {
        Arguments a = {};
        int r = read_all(argc, argv, &a, e);

        if (r < 0) {
                arguments_done(&a);
                return r;
        }
        *ret = a;
        return 0;
}

void arguments_done(Arguments *a) {
        a->words = strv_free(a->words);
        a->agents = strv_free(a->agents);
        a->params = strv_free(a->params);
        a->params_from = strv_free(a->params_from);
}
