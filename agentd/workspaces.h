/* The workspaces that are on this host, by the runs that are the names of their directories. */
#pragma once

#include <stdbool.h>

#include "exec-client.h"
#include "json-out.h"

typedef struct Workspaces Workspaces;

/* state: where systemd keeps state directories. instance: borrowed, "" for the one without a name. */
int workspaces_new(ExecClient *exec, const char *state, const char *instance, Workspaces **ret);
Workspaces *workspaces_free(Workspaces *w);
DEFINE_SCOPE_EXIT(Workspaces, workspaces_free)

/* Whether it is known what only root sees. If not it is asked for, once, and done is called from the loop when it is known, or cannot be. */
bool workspaces_are_known(Workspaces *w, void (*done)(void *userdata), void *userdata);

/* An array of the runs' ids, PROTO_WORKSPACES_MAX at most. A directory that is not there has none. */
void workspaces_write(const Workspaces *w, JsonOut *o, const char *key);
