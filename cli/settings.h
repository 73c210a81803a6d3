/* sluicectl.conf(5): where the control plane is, and what to present there. */
#pragma once

#include "error.h"

typedef struct Settings {
        /* owned */
        char *url;
        char *ca_file;
        char *token_file;
        char *project;
} Settings;

/* Takes its own out of argv. 1 when --print-config has been answered. */
int settings_load(Settings *s, int *argc, char **argv, Error *e);
void settings_done(Settings *s);

/* $SLUICE_TOKEN, else the token file's content. Owned by the caller. */
int settings_read_token(const Settings *s, char **ret, Error *e);
