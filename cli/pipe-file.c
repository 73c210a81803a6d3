/* Reads pipe files, and complains about them line by line. */
#include "pipe-file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fileio.h"
#include "strv.h"
#include "verbs.h"

/* "/x/orders.pipe" is the pipe "orders". New string. */
static char *pipe_name_of(const char *path) {
        const char *base = strrchr(path, '/');
        char *name = strdup(base ? base + 1 : path);
        char *suffix = name ? strstr(name, ".pipe") : NULL;

        if (suffix && !suffix[strlen(".pipe")])
                *suffix = '\0';
        return name;
}

void pipe_file_done(PipeFile *f) {
        free(f->name);
        free(f->text);
        (void) pipe_free(f->pipe);
        *f = (PipeFile){};
}

static int parse(const char *path, PipeFile *f) {
        _cleanup_(strv_freep) char **complaints = NULL;
        Error e = {};
        int r = pipe_parse(path, f->text, f->size, &f->pipe, &e, &complaints);

        if (r >= 0)
                r = pipe_version(f->pipe, f->version);
        STRV_FOREACH(c, complaints)
                (void) complain(r, "%s", *c);
        return r >= 0 || complaints ? r : complain(r, "%s", error_text(&e, r));
}

int pipe_file_read(const char *path, PipeFile *ret) {
        _cleanup_(pipe_file_done) PipeFile f = { .name = pipe_name_of(path) };
        int r = f.name ? file_read(path, PIPE_TEXT_MAX, &f.text, &f.size) : -ENOMEM;

        if (r == -EFBIG)
                return complain(r, "%s is larger than %d KiB.", path, PIPE_TEXT_MAX / 1024);
        if (r < 0)
                return complain(r, "Cannot read %s: %s.", path, strerror(-r));
        if (pipe_name_check(f.name) < 0)
                return complain(-EINVAL,
                                "%s: \"%s\" is no name for a pipe. Names have a-z, 0-9, _ and -, "
                                "begin with a letter or digit, and the file is NAME.pipe.",
                                path, f.name);
        r = parse(path, &f);
        if (r < 0)
                return r;
        *ret = f;
        f = (PipeFile){};
        return 0;
}
