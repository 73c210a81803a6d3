/* Waits for the end of a run, by long polls, through whatever happens to the control plane meanwhile. */
#pragma once

#include "cleanup.h"
#include "client.h"
#include "shapes.h"

typedef struct RunWatch RunWatch;

/* Called for each state that differs from the one before, the last time when it is over; or with r < 0, once. The receiver may take
 * what run and reply own. It does not free the watch. */
typedef void (*RunChanged)(int r, Run *run, Reply *reply, const Error *e, void *userdata);

/* etag: of the state that the caller knows, or NULL. */
int run_watch_new(Client *c, const char *run, const char *etag, RunChanged changed, void *userdata,
                  RunWatch **ret);
RunWatch *run_watch_free(RunWatch *w);
DEFINE_SCOPE_EXIT(RunWatch, run_watch_free)
