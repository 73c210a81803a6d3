/* agentd: the network-facing half of the agent. See agentd(8). */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include "agentd.h"
#include "log.h"
#include "options.h"

#define HEAP_SPARE (1024 * 1024) /* bytes; given back at rest */

/* What may be over by itself systemd is to try again; of anything else a person has to know. */
static int exit_status(int r) {
        static const int errors[] = { EAGAIN, EDQUOT, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC, EROFS };

        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (r == -errors[i])
                        return EXIT_FAILURE;
        return AGENTD_EXIT_CONFIG;
}

static int serve(const Settings *settings) {
        _cleanup_(agentd_freep) Agentd *a = NULL;
        sigset_t mask;
        Error e = {};
        int r = settings_check(settings, &e);

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGTERM);
        (void) sigaddset(&mask, SIGINT);
        (void) sigprocmask(SIG_BLOCK, &mask, NULL);
        if (r >= 0)
                r = agentd_new(settings, &a, &e);
        if (r < 0) {
                log_message(LOG_ERR, NULL, NULL, "Cannot start: %s", error_text(&e, r));
                return exit_status(r);
        }
        (void) sd_notify(false, "READY=1\nSTATUS=Looking for tasks of an earlier start");
        r = sd_event_loop(agentd_event(a));
        return r < 0 ? EXIT_FAILURE : r;
}

int main(int argc, char *argv[]) {
        Settings settings = {};
        int r;

        log_setup("agentd");
        (void) mallopt(M_TRIM_THRESHOLD,
                       HEAP_SPARE); /* else each request grows and shrinks the heap */
        r = options_read(&settings, argc, argv);
        if (r == 0)
                r = serve(&settings);
        else
                r = r > 0 ? EXIT_SUCCESS : exit_status(r);
        settings_done(&settings);
        return r;
}
