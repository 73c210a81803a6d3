/* Layers: the host's file, the person's file, the environment, the command line. */
#include "settings.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "config.h"
#include "fileio.h"
#include "str.h"

#define TOKEN_MAX 4096

static const ConfigField fields[] = {
        { "Client", "URL", "url", CONFIG_TEXT, offsetof(Settings, url), "https://localhost:8443" },
        { "Client", "CAFile", "cafile", CONFIG_TEXT, offsetof(Settings, ca_file), "" },
        { "Client", "TokenFile", "token-file", CONFIG_TEXT, offsetof(Settings, token_file), "" },
        { "Client", "Project", "project", CONFIG_TEXT, offsetof(Settings, project), "default" },
        {},
};

static char *user_file(void) {
        const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

        if (config && *config == '/')
                return str_format("%s/sluice/sluicectl.conf", config);
        return str_format("%s/.config/sluice/sluicectl.conf", home && *home == '/' ? home : "");
}

static bool given_as_argument(int argc, char *const argv[], const char *option) {
        for (int i = 1; i < argc && !str_eq(argv[i], "--"); i++) {
                const char *rest = str_after(argv[i], option);

                if (rest && (*rest == '=' || !*rest))
                        return true;
        }
        return false;
}

/* A path in a file is not expanded by a shell. */
static int expand_home(char **slot) {
        const char *rest = str_after(*slot, "~/"), *home = getenv("HOME");
        char *whole;

        if (!rest || !home)
                return 0;
        whole = str_format("%s/%s", home, rest);
        if (!whole)
                return -ENOMEM;
        free(*slot);
        *slot = whole;
        return 0;
}

int settings_load(Settings *s, int *argc, char **argv, Error *e) {
        _cleanup_(freep) char *own = user_file();
        bool first = given_as_argument(*argc, argv, "--token-file");
        const ConfigFile files[] = {
                { SLUICE_CONFIG_DIR "/sluicectl.conf", false },
                { own, false },
                {},
        };
        int r = own ? config_load(fields, files, argc, argv, s, e) : -ENOMEM;

        s->token_file_first = first;
        if (r == 0 && (expand_home(&s->ca_file) < 0 || expand_home(&s->token_file) < 0))
                return -ENOMEM;
        if (r == 0 && (!s->url || !s->project))
                return error_set(e, -EINVAL, "bad-config", "URL= and Project= cannot be empty.");
        return r;
}

void settings_done(Settings *s) {
        config_clear(fields, s);
}

static int check_token(const char *token, const char *from, Error *e) {
        for (const char *p = token; *p; p++)
                if (*p <= ' ' || *p > '~')
                        return error_set(e, -EINVAL, "bad-token",
                                         "%s holds no token: a token is one word of ASCII.", from);
        return *token ? 0 : error_set(e, -EINVAL, "bad-token", "%s is empty.", from);
}

static int read_token_file(const char *path, char **ret, Error *e) {
        _cleanup_(freep) char *token = NULL;
        int r = file_read_secret(path, TOKEN_MAX, &token);

        if (r == -EPERM)
                return error_set(e, r, "bad-token",
                                 "Others may read the token in %s. Try: chmod 600 %s", path, path);
        if (r < 0)
                return error_set(e, r, "bad-token", "Cannot read the token in %s: %s.", path,
                                 strerror(-r));
        r = check_token(token, path, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(token);
        return 0;
}

int settings_read_token(const Settings *s, char **ret, Error *e) {
        const char *token = getenv("SLUICE_TOKEN");
        int r;

        if (token && *token && !s->token_file_first) {
                r = check_token(token, "SLUICE_TOKEN", e);
                if (r < 0)
                        return r;
                *ret = strdup(token);
                return *ret ? 0 : -ENOMEM;
        }
        if (!s->token_file)
                return error_set(e, -ENOKEY, "no-token",
                                 "No token: set SLUICE_TOKEN, or --token-file= or TokenFile= in "
                                 "sluicectl.conf(5). \"controld token create\" makes the first "
                                 "one.");
        return read_token_file(s->token_file, ret, e);
}

const char *settings_option(size_t i) {
        return i + 1 < ELEMENTSOF(fields) ? fields[i].option : NULL;
}
