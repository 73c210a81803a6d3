/* What people want of a streaming pipe. */
#include "verbs.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "settings.h"
#include "stream-print.h"

static int change(Context *x, const char *format, bool repeatable) {
        _cleanup_(freep) char *path = path_format(format, x->settings->project, x->words[0]);
        Reply reply = {};
        Stream stream = {};
        int r = path ? client_request(x->client,
                                      &(Request){ .method = "POST",
                                                  .path = path,
                                                  .repeatable = repeatable },
                                      &reply)
                     : complain(-ENOMEM, "Out of memory.");

        if (r >= 0 && x->json)
                r = print_json(&reply);
        else if (r >= 0 && (r = reply_decode(&reply, stream_fields, &stream)) >= 0)
                stream_print(&stream, "");
        json_done(stream_fields, &stream);
        reply_done(&reply);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int verb_start(Context *x) {
        return change(x, "/api/v1/projects/%s/pipes/%s/start", true);
}

int verb_stop(Context *x) {
        return change(x, "/api/v1/projects/%s/pipes/%s/stop", true);
}

int verb_restart(Context *x) {
        return change(x, "/api/v1/projects/%s/pipes/%s/restart", false);
}
