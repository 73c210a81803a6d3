/* Waits for the end of a run, and shows its log meanwhile. */
#pragma once

#include "verbs.h"

typedef struct RunEnd {
        Run run;    /* owned, as what follows */
        char *json; /* the server's document */
} RunEnd;

/* Until the run that the reply shows is over, and with follow its log shown, or nothing more comes of it. What goes wrong is told, an
 * interruption (-EINTR) as well; -EPIPE when whoever reads the output has seen enough. The reply's body may be taken. */
int run_wait(Context *x, Reply *reply, bool follow, RunEnd *ret);
void run_end_done(RunEnd *end);
