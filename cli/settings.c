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

int settings_load(Settings *s, int *argc, char **argv, Error *e) {
        _cleanup_(freep) char *own = user_file();
        const ConfigFile files[] = {
                { SLUICE_CONFIG_DIR "/sluicectl.conf", false },
                { own, false },
                {},
        };
        int r = own ? config_load(fields, files, argc, argv, s, e) : -ENOMEM;

        if (r == 0 && (!s->url || !s->project))
                return error_set(e, -EINVAL, "bad-config", "URL= and Project= cannot be empty.");
        return r;
}

void settings_done(Settings *s) {
        config_clear(fields, s);
}

int settings_read_token(const Settings *s, char **ret, Error *e) {
        const char *token = getenv("SLUICE_TOKEN");
        int r;

        if (token && *token) {
                *ret = strdup(token);
                return *ret ? 0 : -ENOMEM;
        }
        if (!s->token_file)
                return error_set(e, -ENOKEY, "no-token",
                                 "No token: set SLUICE_TOKEN, or --token-file= or TokenFile= in "
                                 "sluicectl.conf(5). \"controld token create\" makes the first "
                                 "one.");
        r = file_read_secret(s->token_file, TOKEN_MAX, ret);
        if (r == -EPERM)
                return error_set(e, r, "bad-token",
                                 "Others may read the token in %s. Try: chmod 600 %s",
                                 s->token_file, s->token_file);
        if (r < 0)
                return error_set(e, r, "bad-token", "Cannot read the token in %s: %s.",
                                 s->token_file, strerror(-r));
        return 0;
}
