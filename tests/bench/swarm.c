/* swarm: plays thousands of agents against a controld with the real protocol, and measures. A load generator for tests, bounded in
 * count and time. It never touches the host that it runs on: no unit is started. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cleanup.h"
#include "fd.h"
#include "json-out.h"
#include "log.h"
#include "swarm-agent.h"
#include "swarm-conn.h"
#include "swarm-loop.h"
#include "swarm-options.h"
#include "swarm-runs.h"
#include "swarm-stats.h"
#include "swarm-submit.h"
#include "timespan.h"

#define PREPARE_USEC                                                                               \
        (120 * USEC_PER_SEC) /* to enrol and connect, and as much again for each 1,000 agents */
#define LEAVE_USEC (10 * USEC_PER_SEC)
#define LOOK_USEC (20 * USEC_PER_MSEC)
#define SPARE_FDS 64U

typedef enum Phase {
        PHASE_CONNECT,
        PHASE_SETTLE,
        PHASE_RUN,
        PHASE_LEAVE,
        PHASE_REVOKE,
} Phase;

typedef struct Swarm {
        Options options;
        Stats stats;
        Target target;
        Loop *loop; /* owned, as what follows */
        Runs *runs;
        Fleet *fleet;
        Submit *submit;
        int signal_fd;
        Watch signals;
        Timer clock, look;
        Phase phase;
        uint64_t begun_usec, connected_usec, started_usec, submitted_usec, ended_usec;
        uint64_t tenth_usec, most_usec;    /* when 10 and 90 % of the runs had ended */
        uint64_t begun_cpu_usec, cpu_usec; /* its own, while runs went through */
        bool complete;
        int r;
} Swarm;

static uint64_t own_cpu_usec(void) {
        struct rusage u;

        (void) getrusage(RUSAGE_SELF, &u);
        return ((uint64_t) u.ru_utime.tv_sec + (uint64_t) u.ru_stime.tv_sec) * USEC_PER_SEC +
               (uint64_t) u.ru_utime.tv_usec + (uint64_t) u.ru_stime.tv_usec;
}

static double seconds(uint64_t usec) {
        return (double) usec / (double) USEC_PER_SEC;
}

/* A phase begins: a sentence to people, a line to programs. */
static void say(Swarm *s, const char *phase, uint64_t usec, unsigned n) {
        if (options_json(&s->options))
                (void) printf("{\"phase\":\"%s\",\"usec\":%" PRIu64 ",\"agents\":%u}\n", phase,
                              usec, n);
        else
                (void) fprintf(stderr, "%s: %u agents, %.3f s\n", phase, n, seconds(usec));
        (void) fflush(stdout);
}

static void leave(Swarm *s) {
        if (s->phase >= PHASE_LEAVE)
                return;
        if (s->ended_usec == 0)
                s->ended_usec = loop_now();
        say(s, "leaving", s->started_usec ? s->ended_usec - s->started_usec : 0,
            fleet_present(s->fleet));
        s->phase = PHASE_LEAVE;
        s->cpu_usec = own_cpu_usec() - s->begun_cpu_usec;
        submit_stop(s->submit);
        loop_arm(s->loop, &s->clock, LEAVE_USEC);
        if (s->options.goodbye) {
                fleet_goodbye(s->fleet);
        } else {
                s->phase = PHASE_REVOKE;
                submit_revoke(s->submit);
        }
}

static void start(Swarm *s) {
        s->phase = PHASE_RUN;
        s->started_usec = loop_now();
        s->begun_cpu_usec = own_cpu_usec();
        say(s, "running", s->started_usec - s->begun_usec, fleet_present(s->fleet));
        loop_arm(s->loop, &s->clock, s->options.seconds * USEC_PER_SEC);
        submit_start(s->submit);
}

static void on_clock(Timer *t) {
        Swarm *s = (Swarm *) (void *) ((char *) t - offsetof(Swarm, clock));

        if (s->phase == PHASE_CONNECT) {
                log_message(LOG_ERR, NULL, NULL, "Only %u of %u agents are connected; giving up.",
                            fleet_present(s->fleet), s->options.agents);
                s->r = -ETIMEDOUT;
                leave(s);
        } else if (s->phase == PHASE_SETTLE) {
                start(s);
        } else if (s->phase == PHASE_RUN) {
                leave(s);
        } else {
                loop_stop(s->loop);
        }
}

/* When all has ended and been said, the figures are complete. */
static void on_look(Timer *t) {
        Swarm *s = (Swarm *) (void *) ((char *) t - offsetof(Swarm, look));

        if (s->phase != PHASE_RUN)
                return;
        if (s->stats.ended >= s->stats.submitted && fleet_is_quiet(s->fleet)) {
                s->complete = true;
                leave(s);
        } else {
                loop_arm(s->loop, &s->look, LOOK_USEC);
        }
}

static void on_fleet_change(void *userdata) {
        Swarm *s = userdata;

        if (s->phase == PHASE_LEAVE && fleet_is_gone(s->fleet)) {
                s->phase = PHASE_REVOKE;
                submit_revoke(s->submit);
        } else if (s->phase == PHASE_CONNECT) {
                s->connected_usec = loop_now();
                s->phase = PHASE_SETTLE;
                if (fleet_save(s->fleet) < 0)
                        log_message(LOG_WARNING, NULL, NULL, "Cannot write --identities=%s: %m",
                                    s->options.identities);
                say(s, "connected", s->connected_usec - s->begun_usec, fleet_present(s->fleet));
                loop_arm(s->loop, &s->clock, s->options.settle_sec * USEC_PER_SEC);
        } else if (s->phase < PHASE_LEAVE && fleet_lost_usec(s->fleet) > 0) {
                say(s, "back", loop_now() - fleet_lost_usec(s->fleet), fleet_most_lost(s->fleet));
        }
}

static void on_running(const char *run, void *userdata) {
        Swarm *s = userdata;

        submit_cancel(s->submit, run);
}

static void on_ended(void *userdata) {
        Swarm *s = userdata;

        s->ended_usec = loop_now();
        if (s->stats.ended == s->options.runs / 10)
                s->tenth_usec = s->ended_usec;
        if (s->stats.ended == (uint64_t) s->options.runs * 9 / 10)
                s->most_usec = s->ended_usec;
        submit_ended(s->submit);
}

static void on_prepared(const char *key, const Error *e, void *userdata) {
        Swarm *s = userdata;

        if (!e && fleet_start(s->fleet, key) >= 0)
                return;
        log_message(LOG_ERR, NULL, NULL, "%s", e ? e->detail : "Out of memory.");
        s->r = -EREMOTEIO;
        loop_stop(s->loop);
}

static void on_submitted(void *userdata) {
        Swarm *s = userdata;

        s->submitted_usec = loop_now();
        loop_arm(s->loop, &s->look, LOOK_USEC);
}

static void on_revoked(void *userdata) {
        Swarm *s = userdata;

        loop_stop(s->loop);
}

/* Ends early, and in order; the second time at once. */
static void on_signal(Watch *w) {
        Swarm *s = (Swarm *) (void *) ((char *) w - offsetof(Swarm, signals));
        struct signalfd_siginfo info;

        while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info)) {
                if (s->phase >= PHASE_LEAVE)
                        loop_stop(s->loop);
                leave(s);
        }
}

static int watch_signals(Swarm *s) {
        sigset_t mask;

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGTERM);
        (void) sigaddset(&mask, SIGINT);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;
        s->signal_fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
        if (s->signal_fd < 0)
                return -errno;
        s->signals.on_ready = on_signal;
        return loop_watch(s->loop, s->signal_fd, &s->signals);
}

/* An agent has one connection while it waits, and another while it has something to say. */
static int raise_limit(const Options *o, Error *e) {
        struct rlimit limit;
        rlim_t least = o->agents + o->submitters + SPARE_FDS, most = least + o->agents;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return -errno;
        if (limit.rlim_max < most) { /* for root this may go further */
                struct rlimit more = { most, most };

                (void) setrlimit(RLIMIT_NOFILE, &more);
                (void) getrlimit(RLIMIT_NOFILE, &limit);
        }
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                return -errno;
        if (limit.rlim_cur < least)
                return error_set(e, -EMFILE, "descriptors",
                                 "%u agents need %ju descriptors, and only %ju are allowed "
                                 "(RLIMIT_NOFILE).",
                                 o->agents, (uintmax_t) least, (uintmax_t) limit.rlim_cur);
        if (limit.rlim_cur < most && o->runs > 0)
                log_message(LOG_WARNING, NULL, NULL,
                            "%ju descriptors are allowed: not all %u agents can report at once.",
                            (uintmax_t) limit.rlim_cur, o->agents);
        return 0;
}

static double rate(uint64_t n, uint64_t usec) {
        return usec > 0 ? (double) n / seconds(usec) : 0;
}

static double steady_rate(const Swarm *s) {
        return s->most_usec > s->tenth_usec && s->tenth_usec > 0
                       ? rate((uint64_t) s->options.runs * 9 / 10 - s->options.runs / 10,
                              s->most_usec - s->tenth_usec)
                       : 0;
}

static void report_json(const Swarm *s) {
        _cleanup_(freep) char *json = NULL;
        uint64_t took = s->ended_usec - s->started_usec;
        JsonOut o = {};

        json_out_object(&o, NULL);
        json_out_text(&o, "phase", "end");
        json_out_bool(&o, "complete", s->complete || s->options.runs == 0);
        json_out_u64(&o, "agents", s->options.agents);
        json_out_u64(&o, "connect_usec", s->connected_usec - s->begun_usec);
        json_out_u64(&o, "run_usec", s->started_usec ? took : 0);
        json_out_u64(&o, "submit_usec",
                     s->submitted_usec ? s->submitted_usec - s->started_usec : 0);
        json_out_u64(&o, "ended_per_sec",
                     s->started_usec ? (uint64_t) rate(s->stats.ended, took) : 0);
        json_out_u64(&o, "steady_per_sec", (uint64_t) steady_rate(s));
        json_out_u64(&o, "own_cpu_usec", s->cpu_usec);
        stats_write_counts(&o, &s->stats);
        json_out_end_object(&o);
        if (json_out_take(&o, &json) >= 0)
                (void) puts(json);
}

static void report_text(const Swarm *s) {
        uint64_t took = s->ended_usec - s->started_usec;

        stats_print(stdout, &s->stats);
        if (s->connected_usec > 0)
                (void) printf("%12.1f  agents connected a second, in %.3f s\n",
                              rate(s->options.agents, s->connected_usec - s->begun_usec),
                              seconds(s->connected_usec - s->begun_usec));
        if (s->started_usec == 0 || s->stats.ended == 0)
                return;
        (void) printf("%12.1f  runs submitted a second\n",
                      rate(s->stats.submitted,
                           s->submitted_usec ? s->submitted_usec - s->started_usec : took));
        (void) printf("%12.1f  attempts dispatched a second\n", rate(s->stats.dispatched, took));
        (void) printf("%12.1f  attempts ended a second, in %.3f s; %.1f between the first and the "
                      "last tenth\n",
                      rate(s->stats.ended, took), seconds(took), steady_rate(s));
        (void) printf("%12.3f  s of CPU time of the swarm itself\n", seconds(s->cpu_usec));
        if (!s->complete)
                (void) puts("The time was over before all had ended.");
}

static int set_up(Swarm *s, Error *e) {
        FleetSpec fleet = { &s->options,     &s->target, NULL,     &s->stats,
                            on_fleet_change, on_running, on_ended, s };
        SubmitSpec submit = { &s->options, &s->target,   NULL,       &s->stats,
                              on_prepared, on_submitted, on_revoked, s };
        int r = raise_limit(&s->options, e);

        if (r >= 0)
                r = loop_new(&s->loop);
        if (r >= 0)
                r = watch_signals(s);
        s->target.loop = s->loop;
        s->target.stats = &s->stats;
        s->clock.on_due = on_clock;
        s->look.on_due = on_look;
        if (r >= 0)
                r = target_init(&s->target, s->options.url, s->options.ca_file, e);
        if (r >= 0)
                r = runs_new(s->options.runs, s->options.cancel, &s->stats, &s->runs);
        fleet.runs = submit.runs = s->runs;
        if (r >= 0)
                r = fleet_new(&fleet, &s->fleet, e);
        if (r >= 0)
                r = submit_new(&submit, &s->submit);
        return r;
}

static void tear_down(Swarm *s) {
        s->submit = submit_free(s->submit);
        s->fleet = fleet_free(s->fleet);
        s->runs = runs_free(s->runs);
        target_done(&s->target);
        s->loop = loop_free(s->loop);
        s->signal_fd = fd_close(s->signal_fd);
        options_done(&s->options);
}

static int run(Swarm *s) {
        int r;

        s->begun_usec = loop_now();
        loop_arm(s->loop, &s->clock, PREPARE_USEC * (1 + s->options.agents / 1000));
        submit_prepare(s->submit, fleet_strangers(s->fleet));
        r = loop_run(s->loop);
        if (r < 0 || s->r == -EREMOTEIO)
                return r < 0 ? r : s->r;
        if (options_json(&s->options))
                report_json(s);
        else
                report_text(s);
        return s->r < 0 ? s->r : (s->complete || s->options.runs == 0 ? 0 : -ETIME);
}

int main(int argc, char *argv[]) {
        Swarm s = { .signal_fd = -EBADF };
        Error e = {};
        int r;

        log_setup_command("swarm");
        r = options_load(&s.options, argc, argv, &e);
        if (r == 0) {
                r = set_up(&s, &e);
                if (r >= 0)
                        r = run(&s);
        }
        if (e.detail[0])
                log_message(LOG_ERR, NULL, NULL, "%s", e.detail);
        else if (r < 0 && r != -ETIME && r != -EREMOTEIO && r != -ETIMEDOUT)
                (void) log_error(r, "The swarm ended");
        tear_down(&s);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
