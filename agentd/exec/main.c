/* agentd-exec: started by the bus, ends when nobody needs it. See agentd-exec(8). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec.h"
#include "log.h"
#include "str.h"
#include "timespan.h"

#define IDLE_USEC (30 * USEC_PER_SEC)

static int usage(FILE *to) {
        (void) fprintf(to, "agentd-exec [OPTION]\n\n"
                           "Starts, stops and cleans up the units of agentd. Started by D-Bus.\n\n"
                           "  --help     show this\n"
                           "  --version  show the version\n");
        return to == stdout ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char *argv[]) {
        _cleanup_(exec_freep) Exec *x = NULL;
        sigset_t mask;
        int r;

        log_setup("agentd-exec");
        if (argc > 1 && str_eq(argv[1], "--version")) {
                (void) puts("agentd-exec " PACKAGE_VERSION);
                return EXIT_SUCCESS;
        }
        if (argc > 1)
                return usage(str_eq(argv[1], "--help") ? stdout : stderr);

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGTERM);
        (void) sigaddset(&mask, SIGINT);
        (void) sigprocmask(SIG_BLOCK, &mask, NULL);
        r = exec_new(SLUICE_CONFIG_DIR "/policy.conf", IDLE_USEC, &x);
        if (r >= 0)
                r = sd_event_loop(exec_event(x));
        if (r < 0)
                (void) log_error(r, "agentd-exec cannot go on");
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
