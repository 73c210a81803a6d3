/* A table of subcommands. Those that an administrator runs as root change to the owner of the state directory first. */
#include "commands.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "id.h"
#include "log.h"
#include "migrate.h"
#include "parse.h"
#include "settings.h"
#include "str.h"
#include "strv.h"
#include "supervisor.h"
#include "tls-init.h"
#include "worker.h"

static const char help[] =
        "usage: controld [OPTIONS] [COMMAND]\n"
        "\n"
        "The control plane of the Sluice agent fleet, see controld(8).\n"
        "\n"
        "Commands:\n"
        "  serve                                 serve the API and the agents (default)\n"
        "  migrate                               bring the database schema up to date\n"
        "  check-config                          check the configuration, start nothing\n"
        "  tls init [--host=NAME]... [--force]   make a local CA and a server certificate\n"
        "  token create --name=NAME [--role=ROLE]\n"
        "                                        make a token for people and automation, print it\n"
        "\n"
        "Options:\n"
        "  --config=FILE    configuration file, instead of " SLUICE_CONFIG_DIR "/controld.conf\n"
        "  --print-config   print each setting with its value and where it came from\n"
        "  --KEY=VALUE      any setting of controld.conf(5), as --listen=, --state-directory=\n"
        "  --help           print this\n"
        "  --version        print the version\n";

typedef struct Context {
        Settings settings;
        char *const *original; /* borrowed: argv as it was */
        char **words;          /* borrowed: what follows the subcommand */
} Context;

/* The value of "--name=value" or "--name value" among words, or NULL. */
static const char *option(char *const *words, const char *name) {
        STRV_FOREACH(w, words) {
                const char *rest = str_after(*w, name);

                if (rest && *rest == '=')
                        return rest + 1;
                if (rest && !*rest)
                        return w[1];
        }
        return NULL;
}

/* Root becomes the owner of the state directory, so that what is written belongs to the daemon. */
static int become_owner(const Settings *s, Error *e) {
        struct stat st;

        if (geteuid() != 0)
                return 0;
        if (stat(s->state_directory, &st) < 0)
                return error_set(e, -errno, "no-state",
                                 "Cannot look at StateDirectory=%s: %s. Is the package installed "
                                 "and controld started once?",
                                 s->state_directory, strerror(errno));
        if (st.st_uid == 0)
                return 0;
        if (setgroups(0, NULL) < 0 || setgid(st.st_gid) < 0 || setuid(st.st_uid) < 0)
                return error_set(e, -errno, "no-user", "Cannot change to the owner of %s: %s.",
                                 s->state_directory, strerror(errno));
        return 0;
}

static int command_serve(Context *c, Error *e) {
        (void) e;
        return supervisor_run(&c->settings, c->original);
}

static int command_worker(Context *c, Error *e) {
        uint64_t index;

        if (!c->words[0] || parse_u64_range(c->words[0], 0, 1000, &index) < 0)
                return error_set(e, -EINVAL, "usage", "worker is for the supervisor's use.");
        (void) unsetenv("NOTIFY_SOCKET");
        (void) unsetenv("WATCHDOG_USEC");
        return worker_run(&c->settings, 3, 4, (unsigned) index);
}

static int command_migrate(Context *c, Error *e) {
        int r = become_owner(&c->settings, e);

        return r < 0 ? r : migrate_run(&c->settings, e);
}

static int command_check_config(Context *c, Error *e) {
        (void) c;
        (void) e;
        (void) puts("The configuration is valid.");
        return 0;
}

static int command_tls(Context *c, Error *e) {
        _cleanup_(freep) char *directory = str_format("%s/tls", c->settings.state_directory);
        _cleanup_(strv_freep) char **hosts = NULL;
        int r = 0;

        if (!c->words[0] || !str_eq(c->words[0], "init"))
                return error_set(e, -EINVAL, "usage",
                                 "The command is: controld tls init [--host=NAME]... [--force]");
        for (char **w = c->words + 1; r >= 0 && *w; w++) {
                const char *host = str_after(*w, "--host");

                if (host && *host == '=')
                        r = strv_append(&hosts, host + 1);
                else if (host && !*host && w[1])
                        r = strv_append(&hosts, *++w);
                else if (!str_eq(*w, "--force"))
                        return error_set(e, -EINVAL, "usage", "Unknown option %s of tls init.", *w);
        }
        if (r >= 0)
                r = directory ? become_owner(&c->settings, e) : -ENOMEM;
        if (r >= 0)
                r = tls_init(directory, hosts, strv_contains(c->words, "--force"), e);
        if (r >= 0)
                (void) printf("Made %s/server.pem. Agents and clients need %s/ca.pem.\n", directory,
                              directory);
        return r;
}

static int command_token(Context *c, Error *e) {
        const char *name = option(c->words, "--name"), *role = option(c->words, "--role");
        char token[SECRET_TEXT_MAX];
        int r;

        if (!c->words[0] || !str_eq(c->words[0], "create") || !name)
                return error_set(e, -EINVAL, "usage",
                                 "The command is: controld token create --name=NAME [--role=ROLE]");
        r = become_owner(&c->settings, e);
        if (r >= 0)
                r = secret_generate("sluice_tk_", token);
        if (r >= 0)
                r = migrate_create_token(&c->settings, name, role ? role : "owner", token, e);
        if (r >= 0)
                (void) puts(token);
        return r;
}

static const struct {
        const char *name;
        int (*run)(Context *c, Error *e);
        bool takes_words;
} commands[] = {
        { "serve", command_serve, false },     { "worker", command_worker, true },
        { "migrate", command_migrate, false }, { "check-config", command_check_config, false },
        { "tls", command_tls, true },          { "token", command_token, true },
};

static int run_command(Context *c, int argc, char **argv, Error *e) {
        const char *name = argc > 1 ? argv[1] : "serve";

        if (str_after(name, "-"))
                return error_set(e, -EINVAL, "usage", "Unknown option %s; see controld --help.",
                                 name);
        c->words = argc > 1 ? argv + 2 : argv + 1;
        for (size_t i = 0; i < ELEMENTSOF(commands); i++)
                if (str_eq(commands[i].name, name)) {
                        if (!commands[i].takes_words && *c->words)
                                return error_set(e, -EINVAL, "usage", "%s takes no argument %s.",
                                                 name, *c->words);
                        return commands[i].run(c, e);
                }
        return error_set(e, -EINVAL, "usage", "Unknown command %s; see controld --help.", name);
}

/* --help, --version and --config come before any setting is read. 1 when the program is done. */
static int early_options(int *argc, char **argv, const char **config) {
        int kept = 1;

        for (int i = 1; i < *argc; i++) {
                const char *file = str_after(argv[i], "--config");

                if (str_eq(argv[i], "--help") || str_eq(argv[i], "-h")) {
                        (void) fputs(help, stdout);
                        return 1;
                }
                if (str_eq(argv[i], "--version")) {
                        (void) puts("controld " PACKAGE_VERSION);
                        return 1;
                }
                if (file && *file == '=')
                        *config = file + 1;
                else if (file && !*file && i + 1 < *argc)
                        *config = argv[++i];
                else
                        argv[kept++] = argv[i];
        }
        *argc = kept;
        argv[kept] = NULL;
        return 0;
}

int controld_main(int argc, char *argv[]) {
        _cleanup_(strv_freep) char **original = strv_copy(argv);
        Context c = { .original = original };
        const char *config = NULL;
        Error e = {};
        int r;

        log_setup("controld");
        if (!original)
                return EXIT_FAILURE;
        if (early_options(&argc, argv, &config) > 0)
                return EXIT_SUCCESS;
        r = settings_load(&c.settings, config, &argc, argv, &e);
        if (r == 0)
                r = run_command(&c, argc, argv, &e);
        settings_done(&c.settings);
        if (r < 0 && e.detail[0])
                log_message(LOG_ERR, NULL, NULL, "%s", e.detail);
        if (r == -EPERM && (str_eq(e.slug, "newer-schema") || str_eq(e.slug, "edited-migration") ||
                            str_eq(e.slug, "encoding")))
                return MIGRATE_EXIT_REFUSED;
        return r < 0 ? EXIT_FAILURE : r;
}
