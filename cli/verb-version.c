/* pipe history, rollback, diff: what versions of a pipe there were, and how a file differs. */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "format.h"
#include "pipe-file.h"
#include "str.h"
#include "strv.h"
#include "table.h"
#include "verbs.h"

#define DIFF_TROUBLE 2 /* as of diff(1) */

extern char **environ;

static char *deployments_path(const Context *x) {
        return path_format("/api/v1/projects/%s/pipes/%s/deployments", x->settings->project,
                           x->words[0]);
}

static void add_deployment(const void *item, void *userdata) {
        const Deployment *d = item;
        char when[FORMAT_MAX];

        table_add(userdata, format_time(d->deployed_at, when));
        table_add(userdata, d->version);
        table_add(userdata, d->deployed_by);
        table_add(userdata, d->description);
}

int verb_pipe_history(Context *x) {
        static const char *const header[] = { "CURRENT SINCE", "VERSION", "BY", "DESCRIPTION",
                                              NULL };
        _cleanup_(table_freep) Table *table = NULL;
        _cleanup_(freep) char *path = deployments_path(x);
        int status;

        if (!path || table_new(header, &table) < 0)
                return complain(EXIT_FAILURE, "Out of memory.");
        status = list_all(x, path, deployment_page_fields, sizeof(Deployment), 0, add_deployment,
                          table);
        if (status == EXIT_SUCCESS && !x->json && table_print(table, "deployments") < 0)
                return complain(EXIT_FAILURE, "Out of memory.");
        return status;
}

/* The version that was current before this one. */
static int version_before(Context *x, const char *path, char **ret) {
        _cleanup_(freep) char *two = str_format("%s?limit=2", path);
        const Deployment *deployments;
        Reply reply = {};
        Page page = {};
        int r = two ? client_get(x->client, two, &reply) : complain(-ENOMEM, "Out of memory.");

        if (r >= 0)
                r = reply_decode(&reply, deployment_page_fields, &page);
        deployments = page.items.items;
        if (r >= 0 && page.items.count < 2)
                r = complain(-ENOENT, "Pipe %s has had no other version.", x->words[0]);
        else if (r >= 0)
                r = str_replace(ret, deployments[1].version);
        json_done(deployment_page_fields, &page);
        reply_done(&reply);
        return r;
}

int verb_pipe_rollback(Context *x) {
        _cleanup_(freep) char *path = deployments_path(x), *version = NULL, *json = NULL;
        const char *wanted = option_value(x, OPTION_PIPE_VERSION);
        PipeFacts pipe = {};
        JsonOut o = {};
        Reply reply = {};
        int r;

        if (!path)
                return complain(EXIT_FAILURE, "Out of memory.");
        r = wanted ? str_replace(&version, wanted) : version_before(x, path, &version);
        if (r < 0)
                return EXIT_FAILURE;
        json_out_object(&o, NULL);
        json_out_text(&o, "version", version);
        json_out_end_object(&o);
        if (json_out_take(&o, &json) < 0)
                return complain(EXIT_FAILURE, "Out of memory.");
        r = client_request(x->client,
                           &(Request){ .method = "POST",
                                       .path = path,
                                       .content_type = "application/json",
                                       .body = json,
                                       .size = strlen(json),
                                       .repeatable = true },
                           &reply);
        if (r >= 0)
                r = reply_decode(&reply, pipe_fields, &pipe);
        if (r >= 0 && x->json)
                r = print_json(&reply);
        else if (r >= 0)
                (void) printf("%s: version %s %s.\n", pipe.pipe, pipe.version,
                              pipe.changed ? "is current again" : "is current already");
        json_done(pipe_fields, &pipe);
        reply_done(&reply);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The text of a normal form. */
static int text_of(const char *json, char **ret, Error *e) {
        _cleanup_(pipe_freep) Pipe *pipe = NULL;
        int r = pipe_from_json(json, strlen(json), &pipe, e, NULL);

        return r < 0 ? r : pipe_to_text(pipe, ret, e);
}

/* The text of what is deployed; "" when there is no such pipe yet. */
static int deployed_text(Context *x, const char *name, char **ret) {
        _cleanup_(freep) char *path =
                path_format("/api/v1/projects/%s/pipes/%s", x->settings->project, name);
        PipeFacts facts = {};
        Reply reply = {};
        Error e = {};
        int r = path ? client_get_unless(x->client, path, "pipe-not-found", &reply)
                     : complain(-ENOMEM, "Out of memory.");

        if (r == -ENOENT) {
                r = str_replace(ret, "");
        } else if (r >= 0 && (r = reply_decode(&reply, pipe_fields, &facts)) >= 0) {
                r = facts.spec ? text_of(facts.spec, ret, &e) : -EPROTO;
                if (r < 0)
                        r = complain(r, "What is deployed as %s is not understood: %s", name,
                                     error_text(&e, r));
        }
        json_done(pipe_fields, &facts);
        reply_done(&reply);
        return r;
}

/* A descriptor that is read from the beginning; its /dev/fd path in place of a file. */
static int text_descriptor(const char *text) {
        int fd = memfd_create("pipe", 0);
        size_t n = strlen(text);

        if (fd >= 0 && (write(fd, text, n) != (ssize_t) n || lseek(fd, 0, SEEK_SET) < 0))
                fd = fd_close(fd);
        return fd;
}

/* diff(1)'s exit status. */
static int show_difference(const char *name, const char *path, const char *deployed,
                           const char *wanted) {
        _cleanup_(fd_closep) int a = text_descriptor(deployed), b = text_descriptor(wanted);
        _cleanup_(freep) char *from = str_format("--label=%s (deployed)", name),
                              *to = str_format("--label=%s", path),
                              *x = str_format("/dev/fd/%d", a), *y = str_format("/dev/fd/%d", b);
        char *argv[] = { (char *) "diff", (char *) "-u", from, to, x, y, NULL };
        int status = 0, r;
        pid_t pid;

        if (a < 0 || b < 0 || !from || !to || !x || !y)
                return complain(DIFF_TROUBLE, "Out of memory.");
        (void) fflush(stdout);
        r = posix_spawnp(&pid, "diff", NULL, NULL, argv, environ);
        if (r != 0)
                return complain(DIFF_TROUBLE, "Cannot run diff: %s.", strerror(r));
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return WIFEXITED(status) ? WEXITSTATUS(status) : DIFF_TROUBLE;
}

static int diff(Context *x, const char *path) {
        _cleanup_(pipe_file_done) PipeFile file = {};
        _cleanup_(freep) char *deployed = NULL, *wanted = NULL, *json = NULL;
        Error e = {};
        int r;

        if (pipe_file_read(path, &file) < 0 || deployed_text(x, file.name, &deployed) < 0)
                return DIFF_TROUBLE;
        /* By its normal form, with the defaults filled in as the other has them. */
        r = pipe_to_json(file.pipe, &json);
        if (r >= 0)
                r = text_of(json, &wanted, &e);
        if (r < 0)
                return complain(DIFF_TROUBLE, "%s: %s", path, error_text(&e, r));
        return show_difference(file.name, path, deployed, wanted);
}

int verb_pipe_diff(Context *x) {
        int status = EXIT_SUCCESS;

        STRV_FOREACH(path, x->words) {
                int s = diff(x, *path);

                if (s > status)
                        status = s;
        }
        return status;
}
