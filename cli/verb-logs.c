/* logs: what the tasks of a run have said. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "log-reader.h"
#include "str.h"
#include "verbs.h"

typedef struct Reading {
        Error error;
        int r;
        bool done;
} Reading;

static void on_log(int r, const Error *e, void *userdata) {
        Reading *reading = userdata;

        reading->r = r;
        if (e)
                reading->error = *e;
        reading->done = true;
}

char *log_path(const Context *x, const char *run) {
        char *path = path_format("/api/v1/runs/%s/logs", run);

        if (!path || path_add_option(&path, x, OPTION_TASK, "task") < 0) {
                free(path);
                return NULL;
        }
        return path;
}

int verb_logs(Context *x) {
        _cleanup_(log_reader_freep) LogReader *reader = NULL;
        _cleanup_(freep) char *path = log_path(x, x->words[0]);
        const char *format = option_value(x, OPTION_OUTPUT);
        bool follow = option_value(x, OPTION_FOLLOW);
        LogView view = { .format = (LogFormat) log_format_from_string(format ? format : "short"),
                         .to = stdout,
                         .terminal = isatty(STDOUT_FILENO) };
        Reading reading = {};
        int r;

        r = path ? log_reader_new(x->client, path, &view, follow,
                                  follow ? PATIENCE_START : PATIENCE_SHORT, on_log, &reading,
                                  &reader)
                 : -ENOMEM;
        if (r < 0)
                return complain(EXIT_FAILURE, "Out of memory.");
        r = client_run(x->client, &reading.done);
        if (r >= 0)
                r = reading.r;
        if (r == -EPIPE) /* whoever reads has seen enough */
                return EXIT_FAILURE;
        if (r < 0)
                return complain(EXIT_FAILURE, "%s", error_text(&reading.error, r));
        return EXIT_SUCCESS;
}
