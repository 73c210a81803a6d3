/* The embedded PostgreSQL's life, with scripts in the place of its programs: made once, begun again, stopped. */
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"
#include "postgres.h"
#include "str.h"
#include "timespan.h"
#include "../lib/tap.h"

/* Each is called with the path of the cluster as its second argument, and notes its calls beside it. */
static const char initdb_killed_once[] =
        "#!/bin/sh\n"
        "d=${2%/*}\n"
        "[ -e \"$2\" ] && { touch \"$d/was-there\"; exit 1; }\n"
        "mkdir \"$2\" && touch \"$2/PG_VERSION\" || exit 1\n"
        "[ -e \"$d/killed\" ] || { touch \"$d/killed\"; kill -9 $$; }\n";
static const char server_that_dies_once[] = "#!/bin/sh\n"
                                            "d=${2%/*}\n"
                                            "[ -e \"$d/died\" ] || { touch \"$d/died\"; exit 1; }\n"
                                            "trap 'touch \"$d/asked\"; exit 0' INT\n"
                                            "touch \"$d/serves\"\n"
                                            "while :; do sleep 0.05; done\n";

static char directory[] = "/tmp/sluice-test-postgres-XXXXXX";

static char *inside(const char *name) {
        return str_format("%s/%s", directory, name);
}

static bool exists(const char *name) {
        _cleanup_(freep) char *path = inside(name);

        return path && access(path, F_OK) == 0;
}

static void write_program(const char *name, const char *text) {
        _cleanup_(freep) char *path = inside(name);

        ok_int(file_write_atomic(path, text, strlen(text), 0755), 0);
}

static bool appears(sd_event *event, const char *name) {
        for (int i = 0; i < 200 && !exists(name); i++)
                (void) sd_event_run(event, 50 * USEC_PER_MSEC);
        return exists(name);
}

static void on_stopped(void *userdata) {
        *(bool *) userdata = true;
}

static char *half(pid_t pid) {
        return str_format("%s/postgresql/data.new.%d", directory, (int) pid);
}

/* What a supervisor leaves behind that is killed while initdb works. */
static void leave_half(pid_t pid) {
        _cleanup_(freep) char *parent = inside("postgresql"), *path = half(pid),
                              *file = str_format("%s/PG_VERSION", path);

        (void) mkdir(parent, 0700);
        ok_int(mkdir(path, 0700), 0);
        ok_int(file_write_atomic(file, "15", 2, 0600), 0);
}

static bool half_exists(pid_t pid) {
        _cleanup_(freep) char *path = half(pid);

        return path && access(path, F_OK) == 0;
}

/* The number of a process that has been. */
static pid_t dead_pid(void) {
        static pid_t pid;

        if (pid > 0)
                return pid;
        pid = fork();
        if (pid == 0)
                _exit(0);
        (void) waitpid(pid, NULL, 0);
        return pid;
}

static void test_life(void) {
        Settings s = { .state_directory = directory,
                       .runtime_directory = directory,
                       .postgresql_bin_directory = directory };
        _cleanup_(freep) char *runtime = inside("run");
        sd_event *event = NULL;
        Postgres *p = NULL;
        bool stopped = false;
        Error e = {};

        s.runtime_directory = runtime;
        ok_int(mkdir(runtime, 0700), 0);
        leave_half(dead_pid());
        leave_half(getppid());
        write_program("initdb", initdb_killed_once);
        write_program("postgres", server_that_dies_once);
        ok_int(sd_event_new(&event), 0);
        ok_int(postgres_new(event, &s, on_stopped, &stopped, &p, &e), 0);
        ok_true(appears(event, "postgresql/serves"));
        ok_true(exists("postgresql/killed"));
        ok_true(!exists("postgresql/was-there"));
        ok_true(!half_exists(dead_pid()));
        ok_true(half_exists(getppid()));
        ok_true(exists("postgresql/died"));
        ok_true(exists("postgresql/data/pg_hba.conf"));
        ok_true(exists("postgresql/data/pg_ident.conf"));
        postgres_stop(p);
        for (int i = 0; i < 200 && !stopped; i++)
                (void) sd_event_run(event, 50 * USEC_PER_MSEC);
        ok_true(stopped);
        ok_true(exists("postgresql/asked"));
        p = postgres_free(p);
        event = sd_event_unref(event);
}

static void test_missing_directory_is_named(void) {
        Settings s = { .state_directory = directory,
                       .runtime_directory = (char *) "/nonexistent",
                       .postgresql_bin_directory = directory };
        sd_event *event = NULL;
        Postgres *p = NULL;
        Error e = {};

        ok_int(sd_event_new(&event), 0);
        ok_int(postgres_new(event, &s, on_stopped, NULL, &p, &e), -ENOENT);
        ok_contains(e.detail, "/nonexistent/postgresql");
        ok_null(p);
        event = sd_event_unref(event);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *place) {
        (void) st;
        (void) type;
        (void) place;
        return remove(path);
}

int main(void) {
        sigset_t mask;

        (void) signal(SIGINT, SIG_IGN); /* as a shell has it for what it starts in the background */

        if (!mkdtemp(directory))
                return 1;
        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGCHLD);
        (void) sigprocmask(SIG_BLOCK, &mask, NULL);
        RUN(test_life);
        RUN(test_missing_directory_is_named);
        ok_int(nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
        return tap_done();
}
