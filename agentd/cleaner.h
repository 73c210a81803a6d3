/* Removes the workspaces of runs that are over, and remembers to say so. */
#pragma once

#include <stdbool.h>

#include "exec-client.h"
#include "id.h"

typedef struct Cleaner Cleaner;
typedef struct CleanedRun CleanedRun;

struct CleanedRun {
        CleanedRun *next;
        Cleaner *cleaner; /* borrowed: owns us */
        char run[ID_TEXT_SIZE];
        bool removed; /* to be reported */
        bool sent;
};

/* on_removed: a workspace is gone, there is something to report. */
int cleaner_new(ExecClient *exec, void (*on_removed)(void *userdata), void *userdata,
                Cleaner **ret);
Cleaner *cleaner_free(Cleaner *c); /* after the ExecClient's calls are gone */
DEFINE_SCOPE_EXIT(Cleaner, cleaner_free)

/* Asked again for a run that is known already: nothing happens. */
int cleaner_remove(Cleaner *c, const char *run);
CleanedRun *cleaner_first(Cleaner *c);
/* The control plane knows: forgets the run. */
void cleaner_acknowledge(Cleaner *c, const char *run);
