/* Supervising: a worker that dies or falls silent is replaced, and that is said. Serves no request itself. */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "backoff.h"
#include "child.h"
#include "cleanup.h"
#include "fd.h"
#include "listen.h"
#include "log.h"
#include "message-ids.h"
#include "postgres.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"
#include "webhook-key.h"

#define SILENCE_USEC (60 * USEC_PER_SEC)
#define STOP_USEC (15 * USEC_PER_SEC)
#define READY_TRIES_MAX 2 /* of a back-off that begins with 200 ms */
#define LISTEN_FD 3
#define STATUS_FD 4

typedef struct Supervisor Supervisor;

typedef struct WorkerSlot {
        Supervisor *supervisor; /* borrowed: owns us */
        unsigned index;
        Child child;
        int status_fd;                     /* owned */
        sd_event_source *status, *restart; /* owned */
        Backoff backoff;
        uint64_t heard_usec;
        bool ready;
} WorkerSlot;

struct Supervisor {
        const Settings *settings; /* borrowed: main's */
        char *const *argv;        /* borrowed: main's */
        sd_event *event;          /* owned, as what follows */
        int listen_fd;
        char address[LISTEN_TEXT_MAX];
        Postgres *postgres;
        Child migrate;
        sd_event_source *migrate_retry, *check, *sigterm, *sigint, *sighup, *give_up;
        Backoff migrate_backoff;
        WorkerSlot *workers;
        unsigned n_workers;
        bool announced, stopping;
        int exit_code;
};

char **supervisor_child_argv(char *const *argv, const char *mode, const char *argument) {
        _cleanup_(strv_freep) char **v = NULL;
        int r = strv_append(&v, "/proc/self/exe");

        if (r >= 0)
                r = strv_append(&v, mode);
        if (r >= 0 && argument)
                r = strv_append(&v, argument);
        for (char *const *a = argv + 1; r >= 0 && *a; a++) {
                if (!str_after(*a, "--"))
                        continue;
                r = strv_append(&v, *a);
                /* The one option whose value may be a word of its own. */
                if (r >= 0 && str_eq(*a, "--config") && a[1])
                        r = strv_append(&v, *++a);
        }
        return r < 0 ? NULL : TAKE_PTR(v);
}

static void say_status(Supervisor *s) {
        unsigned ready = 0;

        for (unsigned i = 0; i < s->n_workers; i++)
                ready += s->workers[i].ready;
        if (s->stopping)
                return;
        (void) sd_notifyf(false, "STATUS=%u of %u workers serve %s%s", ready, s->n_workers,
                          s->address,
                          settings_embedded(s->settings) ? ", embedded PostgreSQL" : "");
        if (!s->announced && ready == s->n_workers) {
                s->announced = true;
                (void) sd_notify(false, "READY=1");
                log_notice("Serving %s with %u workers.", s->address, s->n_workers);
        }
}

static int on_status(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        WorkerSlot *w = userdata;
        char words[64];
        ssize_t n = read(fd, words, sizeof(words));

        (void) revents;
        if (n <= 0) {
                if (n == 0 || (errno != EAGAIN && errno != EINTR))
                        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
                return 0;
        }
        (void) sd_event_now(w->supervisor->event, CLOCK_MONOTONIC, &w->heard_usec);
        if (memchr(words, 'H', (size_t) n))
                backoff_reset(&w->backoff);
        if (memchr(words, 'R', (size_t) n) && !w->ready) {
                w->ready = true;
                say_status(w->supervisor);
        }
        return 0;
}

static void worker_forget(WorkerSlot *w) {
        w->status = sd_event_source_disable_unref(w->status);
        w->status_fd = fd_close(w->status_fd);
        w->ready = false;
}

static int worker_start(WorkerSlot *w) {
        Supervisor *s = w->supervisor;
        char index[16];
        _cleanup_(strv_freep) char **argv = NULL;
        int pipe_fds[2], r;

        (void) snprintf(index, sizeof(index), "%u", w->index);
        argv = supervisor_child_argv(s->argv, "worker", index);
        if (!argv)
                return -ENOMEM;
        if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        w->status_fd = pipe_fds[0];
        (void) sd_event_now(s->event, CLOCK_MONOTONIC, &w->heard_usec);
        r = child_spawn(&w->child, s->event, argv, SIGTERM,
                        &(const ChildFds){ { s->listen_fd, pipe_fds[1], -1 },
                                           { LISTEN_FD, STATUS_FD, -1 } });
        (void) fd_close(pipe_fds[1]);
        if (r >= 0)
                r = sd_event_add_io(s->event, &w->status, w->status_fd, EPOLLIN, on_status, w);
        return r;
}

static void worker_start_later(WorkerSlot *w) {
        worker_forget(w);
        if (sd_event_source_set_time_relative(w->restart, backoff_next_usec(&w->backoff)) < 0 ||
            sd_event_source_set_enabled(w->restart, SD_EVENT_ONESHOT) < 0)
                log_error(-EIO, "Cannot arm the timer that replaces a worker");
}

static int on_worker_restart(sd_event_source *source, uint64_t usec, void *userdata) {
        WorkerSlot *w = userdata;
        int r = worker_start(w);

        (void) source;
        (void) usec;
        if (r >= 0)
                return 0;
        log_error(r, "Cannot start a worker; trying again");
        if (w->child.pid > 0)
                child_kill(&w->child, SIGKILL); /* its end starts another */
        else
                worker_start_later(w);
        return 0;
}

static void stop_postgres_when_alone(Supervisor *s);

static void on_worker_exit(Child *c, const siginfo_t *info) {
        WorkerSlot *w = c->userdata;
        Supervisor *s = w->supervisor;
        char how[64];

        /* One that served is missed: whatever killed it, the next is there within a second. One that cannot even start has time. */
        if (w->ready && w->backoff.tries > READY_TRIES_MAX)
                w->backoff.tries = READY_TRIES_MAX;
        worker_forget(w);
        if (s->stopping) {
                stop_postgres_when_alone(s);
                return;
        }
        log_message(LOG_WARNING, MSG_WORKER_DIED, NULL, "Worker %u %s; starting another.", w->index,
                    child_how(info, how));
        worker_start_later(w);
        say_status(s);
}

/* Every worker speaks every few seconds; one that does not is stuck. */
static int on_check(sd_event_source *source, uint64_t usec, void *userdata) {
        Supervisor *s = userdata;

        for (unsigned i = 0; i < s->n_workers; i++) {
                WorkerSlot *w = &s->workers[i];

                if (w->child.pid > 0 && usec > w->heard_usec + SILENCE_USEC) {
                        log_message(LOG_ERR, MSG_WORKER_DIED, NULL,
                                    "Worker %u has been silent for too long.", w->index);
                        child_kill(&w->child, SIGKILL);
                        w->heard_usec = usec;
                }
        }
        (void) sd_event_source_set_time_relative(
                source, 5 * USEC_PER_SEC); /* we may have stood still, too */
        return 0;
}

static int start_migration(Supervisor *s) {
        _cleanup_(strv_freep) char **argv = supervisor_child_argv(s->argv, "migrate", NULL);

        return argv ? child_spawn(&s->migrate, s->event, argv, SIGTERM, NULL) : -ENOMEM;
}

static void migrate_later(Supervisor *s) {
        if (sd_event_source_set_time_relative(s->migrate_retry,
                                              backoff_next_usec(&s->migrate_backoff)) < 0 ||
            sd_event_source_set_enabled(s->migrate_retry, SD_EVENT_ONESHOT) < 0)
                log_error(-EIO, "Cannot arm the timer of the migration");
}

static int on_migrate_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        int r = start_migration(userdata);

        (void) source;
        (void) usec;
        if (r < 0) {
                log_error(r, "Cannot start the migration; trying again");
                migrate_later(userdata);
        }
        return 0;
}

static void stop(Supervisor *s, int exit_code);

/* 0: done. 2: the schema is refused, which no repeat will change. Else: not now. */
static void on_migrate_exit(Child *c, const siginfo_t *info) {
        Supervisor *s = c->userdata;

        if (s->stopping)
                return;
        if (info->si_code == CLD_EXITED && info->si_status == 0)
                return;
        if (info->si_code == CLD_EXITED && info->si_status == 2) {
                stop(s, EXIT_FAILURE);
                return;
        }
        migrate_later(s);
}

static void on_postgres_stopped(void *userdata) {
        Supervisor *s = userdata;

        (void) sd_event_exit(s->event, s->exit_code);
}

/* Workers first, so that what they do is committed; then their database. */
static void stop_postgres_when_alone(Supervisor *s) {
        for (unsigned i = 0; i < s->n_workers; i++)
                if (s->workers[i].child.pid > 0)
                        return;
        if (s->postgres)
                postgres_stop(s->postgres);
        else
                (void) sd_event_exit(s->event, s->exit_code);
}

static int on_give_up(sd_event_source *source, uint64_t usec, void *userdata) {
        Supervisor *s = userdata;

        (void) source;
        (void) usec;
        for (unsigned i = 0; i < s->n_workers; i++)
                child_kill(&s->workers[i].child, SIGKILL);
        return 0;
}

static void stop(Supervisor *s, int exit_code) {
        if (s->stopping)
                return;
        s->stopping = true;
        s->exit_code = exit_code;
        (void) sd_notify(false, "STOPPING=1\nSTATUS=Stopping");
        child_kill(&s->migrate, SIGTERM);
        for (unsigned i = 0; i < s->n_workers; i++) {
                (void) sd_event_source_set_enabled(s->workers[i].restart, SD_EVENT_OFF);
                child_kill(&s->workers[i].child, SIGTERM);
        }
        if (sd_event_add_time_relative(s->event, &s->give_up, CLOCK_MONOTONIC, STOP_USEC, 0,
                                       on_give_up, s) < 0)
                log_error(-EIO, "Cannot bound the stop");
        stop_postgres_when_alone(s);
}

static int on_stop_signal(sd_event_source *source, const struct signalfd_siginfo *info,
                          void *userdata) {
        (void) source;
        (void) info;
        stop(userdata, EXIT_SUCCESS);
        return 0;
}

static int on_sighup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Supervisor *s = userdata;

        (void) source;
        (void) info;
        for (unsigned i = 0; i < s->n_workers; i++)
                child_kill(&s->workers[i].child, SIGHUP);
        return 0;
}

static int add_workers(Supervisor *s) {
        int r = 0;

        s->n_workers = settings_workers(s->settings);
        s->workers = calloc(s->n_workers, sizeof(*s->workers));
        if (!s->workers)
                return -ENOMEM;
        for (unsigned i = 0; i < s->n_workers; i++) {
                WorkerSlot *w = &s->workers[i];

                *w = (WorkerSlot){
                        .supervisor = s,
                        .index = i,
                        .status_fd = -EBADF,
                        .child = { .what = "worker", .on_exit = on_worker_exit, .userdata = w },
                        .backoff = { .first_usec = 200 * USEC_PER_MSEC,
                                     .limit_usec = 10 * USEC_PER_SEC }
                };
                r = sd_event_add_time_relative(s->event, &w->restart, CLOCK_MONOTONIC, 0, 0,
                                               on_worker_restart, w);
                if (r < 0)
                        return r;
        }
        return r;
}

static int set_up(Supervisor *s, Error *e) {
        Error trouble = {};
        int r = sd_event_default(&s->event);

        if (r >= 0)
                r = listen_socket(s->settings, &s->listen_fd, e);
        if (r >= 0 && webhook_key_make(s->settings->webhook_key_file, &trouble) < 0)
                log_message(LOG_WARNING, NULL, NULL, "There will be no webhooks: %s",
                            trouble.detail);
        if (r >= 0)
                listen_describe(s->listen_fd, s->address);
        if (r >= 0)
                r = sd_event_add_signal(s->event, &s->sigterm, SIGTERM, on_stop_signal, s);
        if (r >= 0)
                r = sd_event_add_signal(s->event, &s->sigint, SIGINT, on_stop_signal, s);
        if (r >= 0)
                r = sd_event_add_signal(s->event, &s->sighup, SIGHUP, on_sighup, s);
        if (r >= 0 && settings_embedded(s->settings))
                r = postgres_new(s->event, s->settings, on_postgres_stopped, s, &s->postgres, e);
        if (r >= 0)
                r = sd_event_add_time_relative(s->event, &s->migrate_retry, CLOCK_MONOTONIC, 0, 0,
                                               on_migrate_retry, s);
        if (r >= 0)
                r = sd_event_add_time_relative(s->event, &s->check, CLOCK_MONOTONIC, 0, 0, on_check,
                                               s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->check, SD_EVENT_ON);
        if (r >= 0)
                r = add_workers(s);
        if (r >= 0)
                r = sd_event_set_watchdog(s->event, true);
        return r;
}

static void tear_down(Supervisor *s) {
        for (unsigned i = 0; i < s->n_workers; i++) {
                worker_forget(&s->workers[i]);
                child_done(&s->workers[i].child);
                s->workers[i].restart = sd_event_source_disable_unref(s->workers[i].restart);
        }
        free(s->workers);
        child_done(&s->migrate);
        s->postgres = postgres_free(s->postgres);
        s->migrate_retry = sd_event_source_disable_unref(s->migrate_retry);
        s->check = sd_event_source_disable_unref(s->check);
        s->sigterm = sd_event_source_disable_unref(s->sigterm);
        s->sigint = sd_event_source_disable_unref(s->sigint);
        s->sighup = sd_event_source_disable_unref(s->sighup);
        s->give_up = sd_event_source_disable_unref(s->give_up);
        s->listen_fd = fd_close(s->listen_fd);
        s->event = sd_event_unref(s->event);
}

int supervisor_run(const Settings *settings, char *const argv[]) {
        Supervisor s = {
                .settings = settings,
                .argv = argv,
                .listen_fd = -EBADF,
                .migrate_backoff = { .first_usec = USEC_PER_SEC, .limit_usec = 30 * USEC_PER_SEC },
        };
        sigset_t mask;
        Error e = {};
        int r;

        s.migrate = (Child){ .what = "migrate", .on_exit = on_migrate_exit, .userdata = &s };
        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGCHLD);
        (void) sigaddset(&mask, SIGTERM);
        (void) sigaddset(&mask, SIGINT);
        (void) sigaddset(&mask, SIGHUP);
        (void) sigprocmask(SIG_BLOCK, &mask, NULL);
        if (geteuid() == 0)
                r = error_set(&e, -EPERM, "root",
                              "controld does not serve as root: start it with systemctl, or as "
                              "user sluice-controld.");
        else
                r = set_up(&s, &e);
        if (r < 0)
                log_message(LOG_ERR, NULL, NULL, "Cannot start: %s", error_text(&e, r));
        else
                r = sd_event_loop(s.event);
        tear_down(&s);
        return r;
}
