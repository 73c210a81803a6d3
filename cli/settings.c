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

static int read_layers(Config *c, int *argc, char **argv, Error *e) {
        _cleanup_(freep) char *own = user_file();
        int kept = 1, r;

        if (!own)
                return -ENOMEM;
        r = config_read_file(c, SLUICE_CONFIG_DIR "/sluicectl.conf", false, e);
        if (r >= 0)
                r = config_read_file(c, own, false, e);
        if (r >= 0)
                r = config_read_environment(c, e);
        for (int i = 1; r >= 0 && i < *argc; i++) {
                r = config_read_argument(c, argv[i], e);
                if (r == 0)
                        argv[kept++] = argv[i];
        }
        if (r < 0)
                return r;
        *argc = kept;
        argv[kept] = NULL;
        return 0;
}

int settings_load(Settings *s, int *argc, char **argv, Error *e) {
        _cleanup_(config_freep) Config *c = NULL;
        int r = config_new(fields, &c);

        if (r >= 0)
                r = read_layers(c, argc, argv, e);
        if (r >= 0)
                r = config_store(c, s, e);
        if (r >= 0 && (!s->url || !s->project))
                r = error_set(e, -EINVAL, "bad-config", "URL= and Project= cannot be empty.");
        return r;
}

int settings_print(int argc, char **argv, Error *e) {
        _cleanup_(config_freep) Config *c = NULL;
        int r = config_new(fields, &c);

        if (r >= 0)
                r = read_layers(c, &argc, argv, e);
        if (r >= 0)
                config_print(c, stdout);
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
