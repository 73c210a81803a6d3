/* Making, starting, watching and stopping the embedded cluster. */
#include "postgres.h"

#include <errno.h>
#include <ftw.h>
#include <glob.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backoff.h"
#include "child.h"
#include "cleanup.h"
#include "log.h"
#include "message-ids.h"
#include "parse.h"
#include "str.h"
#include "timespan.h"

#define LASTED_USEC (60 * USEC_PER_SEC) /* the end of one that ran for so long is the first again */

struct Postgres {
        sd_event *event; /* owned, as what follows */
        char *initdb, *server, *data, *fresh, *socket_directory;
        Child child;
        sd_event_source *retry;
        Backoff backoff;
        uint64_t started_usec; /* CLOCK_MONOTONIC */
        void (*on_stopped)(void *userdata);
        void *userdata; /* borrowed: owns us */
        bool making, stopping;
};

char *postgres_find_bin(const Settings *settings) {
        glob_t found = {};
        char *best = NULL;

        if (settings->postgresql_bin_directory)
                return strdup(settings->postgresql_bin_directory);
        if (glob("/usr/lib/postgresql/[0-9]*/bin/initdb", 0, NULL, &found) == 0 ||
            glob("/usr/bin/initdb", 0, NULL, &found) == 0) {
                /* The highest number: "9" sorts after "15" as text, but 14 is the floor. */
                best = strdup(found.gl_pathv[found.gl_pathc - 1]);
                if (best)
                        *strrchr(best, '/') = '\0';
        }
        globfree(&found);
        return best;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *place) {
        (void) st;
        (void) type;
        (void) place;
        return remove(path);
}

/* An initdb that was killed leaves its half behind. Its name says which supervisor's it is: of one that is there it is being made. */
static void remove_halves(const Postgres *p) {
        _cleanup_(freep) char *pattern = str_format("%s.new.*", p->data);
        glob_t found = {};

        if (pattern && glob(pattern, GLOB_NOSORT, NULL, &found) == 0)
                for (size_t i = 0; i < found.gl_pathc; i++) {
                        uint64_t pid;

                        if (parse_u64_range(strrchr(found.gl_pathv[i], '.') + 1, 1, INT32_MAX,
                                            &pid) >= 0 &&
                            ((pid_t) pid == getpid() ||
                             (kill((pid_t) pid, 0) < 0 && errno == ESRCH)))
                                (void) nftw(found.gl_pathv[i], remove_entry, 16,
                                            FTW_DEPTH | FTW_PHYS);
                }
        globfree(&found);
}

static int start(Postgres *p) {
        char *const make[] = { p->initdb,           "--pgdata",         p->fresh,
                               "--username=sluice", "--auth=peer",      "--encoding=UTF8",
                               "--locale=C.UTF-8",  "--data-checksums", NULL };
        _cleanup_(freep) char *sockets =
                str_format("unix_socket_directories=%s", p->socket_directory);
        char *const serve[] = { p->server,
                                "-D",
                                p->data,
                                "-c",
                                sockets,
                                "-c",
                                "listen_addresses=",
                                "-c",
                                "unix_socket_permissions=0700",
                                "-c",
                                "jit=off",
                                "-c",
                                "max_connections=200",
                                "-c",
                                "log_min_messages=warning",
                                "-c",
                                "log_parameter_max_length=0",
                                "-c",
                                "log_parameter_max_length_on_error=0",
                                "-c",
                                "shared_buffers=64MB",
                                NULL };

        if (!sockets)
                return -ENOMEM;
        p->making = access(p->data, F_OK) < 0;
        if (p->making) {
                log_notice("Making a PostgreSQL cluster in %s.", p->data);
                remove_halves(p);
        }
        /* SIGINT is PostgreSQL's fast shutdown: a supervisor that is killed leaves no server behind. */
        p->started_usec = clock_usec(CLOCK_MONOTONIC);
        return child_spawn(&p->child, p->event, p->making ? make : serve, SIGINT, NULL);
}

static void start_later(Postgres *p) {
        if (clock_usec(CLOCK_MONOTONIC) > p->started_usec + LASTED_USEC)
                backoff_reset(&p->backoff);
        if (sd_event_source_set_time_relative(p->retry, backoff_next_usec(&p->backoff)) < 0 ||
            sd_event_source_set_enabled(p->retry, SD_EVENT_ONESHOT) < 0)
                log_error(-EIO, "Cannot arm the timer that starts PostgreSQL");
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        Postgres *p = userdata;
        int r = start(p);

        (void) source;
        (void) usec;
        if (r < 0) {
                log_error(r, "Cannot start PostgreSQL");
                start_later(p);
        }
        return 0;
}

/* peer authentication knows our system user by its own name; the cluster's user is sluice. */
static int write_map(const char *data) {
        _cleanup_(freep) char *hba = str_format("%s/pg_hba.conf", data),
                              *ident = str_format("%s/pg_ident.conf", data);
        static const struct {
                const char *text;
        } lines[] = { { "local all all peer map=sluice\n" }, { "sluice /^.*$ sluice\n" } };
        const char *const files[] = { hba, ident };

        for (size_t i = 0; i < 2; i++) {
                FILE *f = files[i] ? fopen(files[i], "we") : NULL;

                if (!f)
                        return -errno;
                (void) fputs(lines[i].text, f);
                if (fclose(f) != 0)
                        return -errno;
        }
        return 0;
}

static void on_exit_of_postgres(Child *c, const siginfo_t *info) {
        Postgres *p = c->userdata;
        bool good = info->si_code == CLD_EXITED && info->si_status == 0;
        char how[64];
        int r;

        if (p->stopping) {
                p->on_stopped(p->userdata);
                return;
        }
        if (p->making && good) {
                r = write_map(p->fresh);
                if (r >= 0 && rename(p->fresh, p->data) < 0)
                        r = -errno;
                if (r >= 0)
                        r = start(p);
                if (r >= 0)
                        return;
                log_error(r, "Cannot start the new PostgreSQL cluster");
        } else {
                log_message(LOG_ERR, MSG_POSTGRESQL_DIED, NULL,
                            "The embedded PostgreSQL %s; starting it again.", child_how(info, how));
        }
        start_later(p);
}

static int prepare_directories(Postgres *p, const Settings *settings, Error *e) {
        _cleanup_(freep) char *parent = str_format("%s/postgresql", settings->state_directory);

        if (!parent)
                return -ENOMEM;
        if ((mkdir(parent, 0700) < 0 && errno != EEXIST) ||
            (mkdir(p->socket_directory, 0700) < 0 && errno != EEXIST))
                return error_set(e, -errno, "no-directory", "Cannot make %s or %s: %s.", parent,
                                 p->socket_directory, strerror(errno));
        return 0;
}

int postgres_new(sd_event *event, const Settings *settings, void (*on_stopped)(void *userdata),
                 void *userdata, Postgres **ret, Error *e) {
        _cleanup_(freep) char *bin = postgres_find_bin(settings);
        Postgres *p = calloc(1, sizeof(*p));
        int r;

        if (!p)
                return -ENOMEM;
        p->event = sd_event_ref(event);
        p->on_stopped = on_stopped;
        p->userdata = userdata;
        p->child = (Child){ .what = "postgres", .on_exit = on_exit_of_postgres, .userdata = p };
        p->backoff =
                (Backoff){ .first_usec = 500 * USEC_PER_MSEC, .limit_usec = 10 * USEC_PER_SEC };
        p->initdb = bin ? str_format("%s/initdb", bin) : NULL;
        p->server = bin ? str_format("%s/postgres", bin) : NULL;
        p->data = str_format("%s/postgresql/data", settings->state_directory);
        p->fresh =
                str_format("%s/postgresql/data.new.%d", settings->state_directory, (int) getpid());
        p->socket_directory = settings_socket_directory(settings);
        if (!bin)
                r = error_set(e, -ENOENT, "no-postgresql",
                              "Database=embedded needs PostgreSQL's server programs: install the "
                              "package postgresql, or set PostgreSQLBinDirectory=.");
        else if (!p->initdb || !p->server || !p->data || !p->fresh || !p->socket_directory)
                r = -ENOMEM;
        else if (strlen(p->socket_directory) > 85)
                r = error_set(e, -ENAMETOOLONG, "long-path",
                              "RuntimeDirectory= is too long for a Unix socket below it.");
        else
                r = prepare_directories(p, settings, e);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &p->retry, CLOCK_MONOTONIC, 0, 0, on_retry,
                                               p);
        if (r < 0) {
                (void) postgres_free(p);
                return r;
        }
        *ret = p;
        return 0;
}

void postgres_stop(Postgres *p) {
        p->stopping = true;
        (void) sd_event_source_set_enabled(p->retry, SD_EVENT_OFF);
        if (p->child.pid > 0)
                child_kill(&p->child, SIGINT);
        else
                p->on_stopped(p->userdata);
}

Postgres *postgres_free(Postgres *p) {
        if (!p)
                return NULL;
        child_done(&p->child);
        p->retry = sd_event_source_disable_unref(p->retry);
        free(p->initdb);
        free(p->server);
        free(p->data);
        free(p->fresh);
        free(p->socket_directory);
        p->event = sd_event_unref(p->event);
        free(p);
        return NULL;
}
