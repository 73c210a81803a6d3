/* What --help says, and what else is asked on the command line. */
#include "options.h"

#include <errno.h>
#include <stdio.h>

#include "log.h"
#include "str.h"

static const char help[] =
        "usage: agentd [OPTIONS]\n"
        "\n"
        "The agent of the Sluice fleet, see agentd(8). It is started by systemd: agentd.service.\n"
        "\n"
        "Options:\n"
        "  --config=FILE    configuration file, instead of " SLUICE_CONFIG_DIR "/agentd.conf\n"
        "  --check-config   check the configuration, start nothing\n"
        "  --print-config   print each setting with its value and where it came from\n"
        "  --KEY=VALUE      any setting of agentd.conf(5), as --url=, --slots=, --labels=\n"
        "  --help           print this\n"
        "  --version        print the version\n";

static int answer(const Settings *s, const char *word) {
        Error e = {};

        if (str_eq(word, "--help")) {
                (void) fputs(help, stdout);
                return 1;
        }
        if (str_eq(word, "--version")) {
                (void) puts("agentd " PACKAGE_VERSION);
                return 1;
        }
        if (str_eq(word, "--check-config")) {
                if (settings_check(s, &e) < 0) {
                        log_message(LOG_ERR, NULL, NULL, "%s", e.detail);
                        return -EINVAL;
                }
                (void) puts("The configuration is good.");
                return 1;
        }
        log_message(LOG_ERR, NULL, NULL, "Unknown argument \"%s\"; see agentd --help.", word);
        return -EINVAL;
}

int options_read(Settings *s, int argc, char *argv[]) {
        const char *path = NULL;
        Error e = {};
        int kept = 1, r;

        for (int i = 1; i < argc; i++) {
                const char *value = str_after(argv[i], "--config=");

                if (value)
                        path = value;
                else
                        argv[kept++] = argv[i];
        }
        argv[kept] = NULL;
        if (kept > 1 && (str_eq(argv[1], "--help") || str_eq(argv[1], "--version")))
                return answer(s, argv[1]);
        r = settings_load(s, path, &kept, argv, &e);
        if (r < 0)
                log_message(LOG_ERR, NULL, NULL, "%s", error_text(&e, r));
        if (r != 0)
                return r;
        return kept > 1 ? answer(s, argv[1]) : 0;
}
