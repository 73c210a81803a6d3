/* fork and exec, watched by the event loop. */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata) {
        Child *c = userdata;

        (void) source;
        c->pid = 0;
        c->source = sd_event_source_disable_unref(c->source);
        c->on_exit(c, info);
        return 0;
}

/* In the child, after fork: only async-signal-safe calls. */
_Noreturn static void child_exec(char *const argv[], pid_t parent, int death_signal,
                                 const ChildFds *fds) {
        static const int defaults[] = { SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM };
        sigset_t mask;

        /* Who started us, a shell in its background for instance, may have had some ignored, and that is inherited. */
        for (size_t i = 0; i < ELEMENTSOF(defaults); i++)
                (void) signal(defaults[i], SIG_DFL);
        (void) prctl(PR_SET_PDEATHSIG, death_signal);
        if (getppid() != parent)
                _exit(127);
        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGHUP); /* a reload finds it ready for that, or waits */
        (void) sigprocmask(SIG_SETMASK, &mask, NULL);
        for (int i = 0; fds && fds->ours[i] >= 0; i++) {
                if (fds->ours[i] == fds->theirs[i])
                        (void) fcntl(fds->ours[i], F_SETFD, 0);
                else if (dup2(fds->ours[i], fds->theirs[i]) < 0)
                        _exit(127);
        }
        (void) execv(argv[0], argv);
        _exit(127);
}

int child_spawn(Child *c, sd_event *event, char *const argv[], int death_signal,
                const ChildFds *fds) {
        pid_t parent = getpid();
        int r;

        c->pid = fork();
        if (c->pid < 0) {
                c->pid = 0;
                return -errno;
        }
        if (c->pid == 0)
                child_exec(argv, parent, death_signal, fds);
        r = sd_event_add_child(event, &c->source, c->pid, WEXITED, on_child, c);
        if (r >= 0) {
                (void) sd_event_source_set_description(c->source, c->what);
                return 0;
        }
        /* Nobody would hear of its end. */
        (void) kill(c->pid, SIGKILL);
        c->pid = 0;
        return r;
}

void child_kill(const Child *c, int signal) {
        if (c->pid > 0 && kill(c->pid, signal) < 0)
                log_warning(-errno, "Cannot signal %s", c->what);
}

void child_done(Child *c) {
        c->source = sd_event_source_disable_unref(c->source);
}

const char *child_how(const siginfo_t *info, char text[64]) {
        (void) snprintf(text, 64,
                        info->si_code == CLD_EXITED ? "exited with status %d"
                                                    : "was killed by signal %d",
                        info->si_status);
        return text;
}
