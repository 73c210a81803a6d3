/* pipe deploy, list, show, versions; projects, project create and limit. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format.h"
#include "parse.h"
#include "pipe-file.h"
#include "str.h"
#include "strv.h"
#include "stream-print.h"
#include "table.h"
#include "verbs.h"

/* What one request deploys; written as JSON it stays below what is taken. */
#define BATCH_MAX 100
#define BATCH_SIZE_MAX (128 * 1024)

static void print_deployed(const PipeFacts *pipe) {
        (void) printf("%s: version %s %s.\n", pipe->pipe, pipe->version,
                      pipe->created   ? "is new"
                      : pipe->changed ? "is current again"
                                      : "is unchanged");
        STRV_FOREACH(note, pipe->notes)
                (void) printf("%s: note: %s\n", pipe->pipe, *note);
}

static int pipe_deploy(Context *x, const PipeFile *file) {
        _cleanup_(freep) char *path =
                path_format("/api/v1/projects/%s/pipes/%s", x->settings->project, file->name);
        PipeFacts pipe = {};
        Reply reply = {};
        int r = path ? client_request(x->client,
                                      &(Request){ .method = "PUT",
                                                  .path = path,
                                                  .content_type = "text/plain",
                                                  .body = file->text,
                                                  .size = file->size },
                                      &reply)
                     : complain(-ENOMEM, "Out of memory.");

        if (r >= 0)
                r = reply_decode(&reply, pipe_fields, &pipe);
        if (r >= 0 && x->json)
                r = print_json(&reply);
        else if (r >= 0)
                print_deployed(&pipe);
        json_done(pipe_fields, &pipe);
        reply_done(&reply);
        return r;
}

static int print_batch(const Context *x, const Reply *reply) {
        const PipeFacts *pipes;
        Page page = {};
        int r;

        if (x->json)
                return print_json(reply);
        r = reply_decode(reply, pipe_page_fields, &page);
        pipes = page.items.items;
        for (size_t i = 0; r >= 0 && i < page.items.count; i++)
                print_deployed(&pipes[i]);
        json_done(pipe_page_fields, &page);
        return r;
}

/* Some at once. */
static int deploy_batch(Context *x, const PipeFile *const *files, size_t n) {
        _cleanup_(freep) char *path =
                path_format("/api/v1/projects/%s/pipes", x->settings->project);
        _cleanup_(freep) char *json = NULL;
        JsonOut o = {};
        Reply reply = {};
        int r;

        json_out_object(&o, NULL);
        json_out_array(&o, "pipes");
        for (size_t i = 0; i < n; i++) {
                json_out_object(&o, NULL);
                json_out_text(&o, "pipe", files[i]->name);
                json_out_text_n(&o, "text", files[i]->text, files[i]->size);
                json_out_end_object(&o);
        }
        json_out_end_array(&o);
        json_out_end_object(&o);
        r = json_out_take(&o, &json);
        if (r < 0 || !path)
                return complain(-ENOMEM, "Out of memory.");
        r = client_request(x->client,
                           &(Request){ .method = "POST",
                                       .path = path,
                                       .content_type = "application/json",
                                       .body = json,
                                       .size = strlen(json),
                                       .repeatable = true },
                           &reply);
        if (r >= 0)
                r = print_batch(x, &reply);
        reply_done(&reply);
        return r;
}

int pipes_deploy(Context *x, const PipeFile *const *files, size_t n) {
        int r = 0;

        for (size_t i = 0, count; r >= 0 && i < n; i += count) {
                size_t size = files[i]->size;

                for (count = 1; i + count < n && count < BATCH_MAX &&
                                size + files[i + count]->size <= BATCH_SIZE_MAX;
                     count++)
                        size += files[i + count]->size;
                r = count == 1 ? pipe_deploy(x, files[i]) : deploy_batch(x, files + i, count);
        }
        return r;
}

/* All are checked before the first is deployed. */
int verb_pipe_deploy(Context *x) {
        size_t n = strv_length(x->words);
        PipeFile *files = calloc(n, sizeof(*files));
        const PipeFile **all = calloc(n, sizeof(*all));
        int r = files && all ? 0 : complain(-ENOMEM, "Out of memory.");

        for (size_t i = 0; files && all && i < n; i++) {
                all[i] = &files[i];
                if (pipe_file_read(x->words[i], &files[i]) < 0)
                        r = -EINVAL;
        }
        if (r >= 0)
                r = pipes_deploy(x, all, n);
        for (size_t i = 0; files && i < n; i++)
                pipe_file_done(&files[i]);
        free(files);
        free(all);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void add_pipe(const void *item, void *userdata) {
        const PipeFacts *pipe = item;
        char age[FORMAT_MAX];

        table_add(userdata, pipe->pipe);
        table_add(userdata, pipe->type);
        table_add_colour(userdata, pipe->stream.state, stream_colour(&pipe->stream));
        table_add(userdata, pipe->version);
        table_add(userdata, format_age(pipe->created_at, age));
        table_add(userdata, pipe->created_by);
        table_add(userdata, pipe->description);
}

static int list_pipes(Context *x, char *path, const char *what) {
        static const char *const header[] = { "PIPE",     "TYPE", "STATE",       "VERSION",
                                              "DEPLOYED", "BY",   "DESCRIPTION", NULL };
        _cleanup_(table_freep) Table *table = NULL;
        _cleanup_(freep) char *owned = path;
        int status;

        if (!owned || table_new(header, &table) < 0)
                return complain(EXIT_FAILURE, "Out of memory.");
        status = list_all(x, owned, pipe_page_fields, sizeof(PipeFacts), 0, add_pipe, table);
        if (status == EXIT_SUCCESS && !x->json && table_print(table, what) < 0)
                return complain(EXIT_FAILURE, "Out of memory.");
        return status;
}

int verb_pipe_list(Context *x) {
        return list_pipes(x, path_format("/api/v1/projects/%s/pipes", x->settings->project),
                          "pipes");
}

int verb_pipe_versions(Context *x) {
        return list_pipes(x,
                          path_format("/api/v1/projects/%s/pipes/%s/versions", x->settings->project,
                                      x->words[0]),
                          "versions");
}

static void print_source(const char *source) {
        _cleanup_(freep) char *safe = NULL;

        if (source && isatty(STDOUT_FILENO))
                source = safe = text_escape_lines(source, strlen(source));
        (void) fputs(source ? source : "", stdout);
}

int verb_pipe_show(Context *x) {
        char *path = path_format("/api/v1/projects/%s/pipes/%s", x->settings->project, x->words[0]);
        PipeFacts pipe = {};
        Reply reply = {};
        char when[FORMAT_MAX];
        int r = path ? path_add_option(&path, x, OPTION_PIPE_VERSION, "version") : -ENOMEM;

        if (r >= 0)
                r = client_get(x->client, path, &reply);
        if (r >= 0)
                r = reply_decode(&reply, pipe_fields, &pipe);
        if (r >= 0 && x->json) {
                r = print_json(&reply);
        } else if (r >= 0) {
                (void) printf("%s# %s, version %s, deployed %s by %s%s\n",
                              colour_begin(COLOUR_GREY), pipe.pipe, pipe.version,
                              format_time(pipe.created_at, when), pipe.created_by,
                              colour_end(COLOUR_GREY));
                if (pipe.stream.state)
                        stream_print(&pipe.stream, "# ");
                print_source(pipe.source);
        }
        json_done(pipe_fields, &pipe);
        reply_done(&reply);
        free(path);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void add_project(const void *item, void *userdata) {
        const Project *project = item;
        char when[FORMAT_MAX];

        table_add(userdata, project->project);
        if (project->concurrency_limit > 0)
                table_addf(userdata, "%u", project->concurrency_limit);
        else
                table_add(userdata, NULL);
        table_add(userdata, format_time(project->created_at, when));
}

int verb_projects(Context *x) {
        static const char *const header[] = { "PROJECT", "LIMIT", "CREATED", NULL };
        _cleanup_(table_freep) Table *table = NULL;
        int status;

        if (table_new(header, &table) < 0)
                return complain(EXIT_FAILURE, "Out of memory.");
        status = list_all(x, "/api/v1/projects", project_page_fields, sizeof(Project), 0,
                          add_project, table);
        if (status == EXIT_SUCCESS && !x->json)
                (void) table_print(table, "projects");
        return status;
}

int verb_project_create(Context *x) {
        _cleanup_(freep) char *json = NULL;
        Project project = {};
        JsonOut o = {};
        Reply reply = {};
        int r;

        json_out_object(&o, NULL);
        json_out_text(&o, "project", x->words[0]);
        json_out_end_object(&o);
        if (json_out_take(&o, &json) < 0)
                return complain(EXIT_FAILURE, "Out of memory.");
        r = client_request(x->client,
                           &(Request){ .method = "POST",
                                       .path = "/api/v1/projects",
                                       .content_type = "application/json",
                                       .body = json,
                                       .size = strlen(json) },
                           &reply);
        if (r >= 0 && x->json)
                r = print_json(&reply);
        else if (r >= 0 && (r = reply_decode(&reply, project_fields, &project)) >= 0)
                (void) printf("Project %s is made.\n", project.project);
        json_done(project_fields, &project);
        reply_done(&reply);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int project_patch(Context *x, const char *json, Reply *ret) {
        _cleanup_(freep) char *path = path_format("/api/v1/projects/%s", x->words[0]);

        if (!path)
                return complain(-ENOMEM, "Out of memory.");
        return client_request(x->client,
                              &(Request){ .method = "PATCH",
                                          .path = path,
                                          .content_type = "application/json",
                                          .body = json,
                                          .size = strlen(json) },
                              ret);
}

int verb_project_limit(Context *x) {
        bool none = str_eq(x->words[1], "none");
        _cleanup_(freep) char *json =
                str_format("{\"concurrency_limit\":%s}", none ? "null" : x->words[1]);
        Reply reply = {};
        uint64_t limit;
        int r;

        if (!json)
                return complain(EXIT_FAILURE, "Out of memory.");
        if (!none && parse_u64_range(x->words[1], 1, 1000000, &limit) < 0)
                return complain(EXIT_FAILURE, "A limit is a number from 1 to 1000000, or none.");
        r = project_patch(x, json, &reply);
        if (r >= 0 && x->json)
                r = print_json(&reply);
        else if (r >= 0 && none)
                (void) printf("Project %s has no limit.\n", x->words[0]);
        else if (r >= 0)
                (void) printf("Project %s has at most %s runs at once.\n", x->words[0],
                              x->words[1]);
        reply_done(&reply);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
