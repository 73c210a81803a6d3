/* What the supervisor starts its children with. */
#include <signal.h>

#include "child.h"
#include "cleanup.h"
#include "strv.h"
#include "supervisor.h"
#include "timespan.h"
#include "../lib/tap.h"

static void test_children_get_our_options(void) {
        static const struct {
                const char *argv[8], *argument, *wanted[8];
        } cases[] = {
                { { "controld" }, "0", { "/proc/self/exe", "mode", "0" } },
                { { "controld", "serve", "--workers=2" },
                  "1",
                  { "/proc/self/exe", "mode", "1", "--workers=2" } },
                { { "controld", "--config=/a", "serve" },
                  NULL,
                  { "/proc/self/exe", "mode", "--config=/a" } },
                { { "controld", "--config", "/a", "serve", "--listen=[::1]:1" },
                  NULL,
                  { "/proc/self/exe", "mode", "--config", "/a", "--listen=[::1]:1" } },
                { { "controld", "serve", "--config" },
                  NULL,
                  { "/proc/self/exe", "mode", "--config" } },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(strv_freep) char **v = supervisor_child_argv(
                        (char *const *) cases[i].argv, "mode", cases[i].argument);
                size_t n = strv_length((char *const *) cases[i].wanted);

                ok_int(strv_length(v), n);
                for (size_t k = 0; k < n && k < strv_length(v); k++)
                        ok_str(v[k], cases[i].wanted[k]);
        }
}

static void on_exit_of_child(Child *c, const siginfo_t *info) {
        *(siginfo_t *) c->userdata = *info;
}

/* A reload that comes before it is ready for one waits, and does not kill it. */
static void test_child_survives_an_early_reload(void) {
        char *const argv[] = { "/bin/sh", "-c", "kill -HUP $$; exit 3", NULL };
        siginfo_t info = {};
        Child c = { .what = "sh", .on_exit = on_exit_of_child, .userdata = &info };
        sd_event *event = NULL;
        sigset_t mask;

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGCHLD);
        (void) sigprocmask(SIG_BLOCK, &mask, NULL);
        ok_int(sd_event_new(&event), 0);
        ok_int(child_spawn(&c, event, argv, SIGTERM, NULL), 0);
        for (int i = 0; i < 200 && c.pid > 0; i++)
                (void) sd_event_run(event, 50 * USEC_PER_MSEC);
        ok_int(info.si_code, CLD_EXITED);
        ok_int(info.si_status, 3);
        child_done(&c);
        sd_event_unref(event);
}

int main(void) {
        RUN(test_children_get_our_options);
        RUN(test_child_survives_an_early_reload);
        return tap_done();
}
