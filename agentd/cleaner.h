/* Removes the workspaces of runs that are over, those of a few seconds together, and remembers to say so. */
#pragma once

#include <stdbool.h>

#include "exec-client.h"
#include "id.h"

typedef struct Cleaner Cleaner;
typedef struct CleanedRun CleanedRun;

struct CleanedRun {
        CleanedRun *next;
        char run[ID_TEXT_SIZE];
        bool asked;   /* agentd-exec is removing it */
        bool alone;   /* with no other: the batch that it was in has failed */
        bool removed; /* to be reported */
};

/* instance: whose workspaces; must live longer. on_removed: workspaces are gone, there is something to report. */
int cleaner_new(sd_event *event, ExecClient *exec, const char *instance,
                void (*on_removed)(void *userdata), void *userdata, Cleaner **ret);
Cleaner *cleaner_free(Cleaner *c); /* after the ExecClient's calls are gone */
DEFINE_SCOPE_EXIT(Cleaner, cleaner_free)

/* Asked again for a run that is known already: nothing happens. */
int cleaner_remove(Cleaner *c, const char *run);
/* The run begins here again: false as long as what it left is being removed; else what is known of that is forgotten. */
bool cleaner_make_way(Cleaner *c, const char *run);
CleanedRun *cleaner_first(Cleaner *c);
/* The control plane knows: forgets the run. */
void cleaner_acknowledge(Cleaner *c, const char *run);
