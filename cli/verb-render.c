/* pipe render: the systemd-run command of each task. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipe-file.h"
#include "render.h"
#include "settings.h"
#include "str.h"
#include "strv.h"
#include "table.h"
#include "verbs.h"

/* As a shell takes it for one word. */
static void print_word(const char *word) {
        bool plain = *word;

        for (const char *p = word; *p; p++)
                plain = plain && ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                                  (*p >= '0' && *p <= '9') || strchr("_@%+=:,./-", *p));
        if (plain) {
                (void) fputs(word, stdout);
                return;
        }
        (void) putchar('\'');
        for (const char *p = word; *p; p++)
                (void) fputs(*p == '\'' ? "'\\''" : (char[]){ *p, 0 }, stdout);
        (void) putchar('\'');
}

/* An option a line, and the command on the last. */
static void print_command(const char *task, const Rendered *r) {
        bool rest = false;

        (void) printf("%s# %s%s\n", colour_begin(COLOUR_GREY), task, colour_end(COLOUR_GREY));
        if (r->ignores_failure)
                (void) puts("# Its failure counts as a success, which systemd-run cannot say.");
        STRV_FOREACH(word, r->command) {
                if (word > r->command)
                        (void) fputs(rest ? " " : " \\\n    ", stdout);
                rest = rest || str_eq(*word, "--");
                print_word(*word);
        }
        (void) putchar('\n');
}

static void add_command(JsonOut *o, const char *task, const Rendered *r) {
        json_out_object(o, NULL);
        json_out_text(o, "task", task);
        json_out_array(o, "command");
        STRV_FOREACH(word, r->command)
                json_out_text(o, NULL, *word);
        json_out_end_array(o);
        json_out_bool(o, "ignores_failure", r->ignores_failure);
        json_out_end_object(o);
}

static int render(const Context *x, const PipeFile *file, size_t i, JsonOut *o) {
        const char *task = pipe_task_name(file->pipe, i);
        Rendered rendered = {};
        Error e = {};
        int r = task_render(file->pipe, i, x->settings->project, file->name, x->arguments->params,
                            &rendered, &e);

        if (r < 0)
                return complain(r, "Task %s: %s", task, error_text(&e, r));
        if (x->json)
                add_command(o, task, &rendered);
        else
                print_command(task, &rendered);
        rendered_done(&rendered);
        return 0;
}

/* The number of the task, or how many there are. */
static size_t find_task(const Pipe *pipe, const char *name) {
        size_t i = 0;

        while (i < pipe_task_count(pipe) && !str_eq(pipe_task_name(pipe, i), name))
                i++;
        return i;
}

static int render_tasks(const Context *x, const PipeFile *file, JsonOut *o) {
        const char *only = option_value(x, OPTION_TASK);
        size_t n = pipe_task_count(file->pipe), first = only ? find_task(file->pipe, only) : 0;
        int r = 0;

        if (first == n)
                return complain(-ENOENT, "Pipe %s has no task %s.", file->name, only);
        for (size_t i = first; r >= 0 && i < (only ? first + 1 : n); i++) {
                if (!x->json && i > first)
                        (void) putchar('\n');
                r = render(x, file, i, o);
        }
        return r;
}

int verb_pipe_render(Context *x) {
        _cleanup_(pipe_file_done) PipeFile file = {};
        _cleanup_(freep) char *json = NULL;
        JsonOut o = {};
        int r = pipe_file_read(x->words[0], &file);

        json_out_object(&o, NULL);
        json_out_array(&o, "items");
        if (r >= 0)
                r = render_tasks(x, &file, &o);
        json_out_end_array(&o);
        json_out_end_object(&o);
        if (r >= 0 && json_out_take(&o, &json) < 0)
                r = complain(-ENOMEM, "Out of memory.");
        if (r >= 0 && x->json)
                (void) puts(json);
        json_out_done(&o);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
