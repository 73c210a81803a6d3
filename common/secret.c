/* The shapes of well-known secrets. */
#include "secret.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pattern.h"
#include "str.h"

const SecretShape secret_shapes[] = {
        { "a private key", "-----BEGIN [A-Z0-9 ]*PRIVATE KEY", "PRIVATE KEY" },
        { "an AWS access key", "(^|[^A-Za-z0-9])(AKIA|ASIA)[A-Z0-9]{16}($|[^A-Za-z0-9])", "IA" },
        { "a GitHub token", "gh[oprsu]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22}", "gh" },
        { "a GitLab token", "glpat-[A-Za-z0-9_\\-]{20}", "glpat-" },
        { "a Slack token", "xox[abeoprs]-[A-Za-z0-9\\-]{10}", "xox" },
        { "a Google API key", "AIza[A-Za-z0-9_\\-]{35}", "AIza" },
        { "a Stripe key", "[rs]k_live_[A-Za-z0-9]{16}", "k_live_" },
        { "an API key", "(^|[^A-Za-z0-9])sk-[A-Za-z0-9_\\-]{32}", "sk-" },
        { "an npm token", "npm_[A-Za-z0-9]{36}", "npm_" },
        { "a PyPI token", "pypi-[A-Za-z0-9_\\-]{50}", "pypi-" },
        { "a JSON web token",
          "eyJ[A-Za-z0-9_\\-]{8,}\\.eyJ[A-Za-z0-9_\\-]{8,}\\.[A-Za-z0-9_\\-]{8,}", "eyJ" },
        { "a token or key of Sluice", "sluice_[a-z]k_[A-Za-z0-9_\\-]{43}", "sluice_" },
        { "an address with a password", "[A-Za-z][A-Za-z0-9+.\\-]*://[^/?#@: ]*:[^/?#@ $]+@",
          "://" },
        { "a password", "(^|[^A-Za-z])[Pp]ass(word|wd)=[^ $]", "ass" },
        {},
};

const char secret_names[] = "(passw(or)?d|passphrase|(^|_)(secret|token|credentials?|(api|access|"
                            "private|secret)_?key))$";

/* One of these stands in whatever matches: most names need no more than this look. */
static const char *const name_hints[] = { "pass", "secret", "token", "credential", "key", NULL };

static int matches(const char *pattern, const char *text) {
        _cleanup_(pattern_freep) Pattern *p = NULL;
        int r = pattern_compile(pattern, &p, NULL);

        return r < 0 ? r : pattern_match(p, text);
}

static int name_says(const char *lower) {
        for (const char *const *hint = name_hints; *hint; hint++)
                if (strstr(lower, *hint))
                        return matches(secret_names, lower);
        return 0;
}

int secret_looks_like(const char *value, const char **ret) {
        int r = 0;

        for (const SecretShape *s = secret_shapes; r == 0 && s->what; s++)
                if (strstr(value, s->hint)) {
                        r = matches(s->pattern, value);
                        *ret = s->what;
                }
        return r;
}

int secret_check(const char *what, const char *name, const char *value, Error *e) {
        _cleanup_(freep) char *lower = strdup(name);
        const char *like = NULL;
        int r;

        if (!lower)
                return -ENOMEM;
        for (char *p = lower; *p; p++)
                *p = (char) tolower((unsigned char) *p);
        r = name_says(lower);
        if (r > 0)
                like = "the name of a secret";
        else if (r == 0)
                r = secret_looks_like(value, &like);
        return r <= 0 ? r
                      : error_set(e, -EINVAL, "secret-refused",
                                  "%s %s looks like %s; secrets are given to a task with "
                                  "LoadCredential=, from a file of the host",
                                  what, name, like);
}
