/* sluicectl.conf(5): where the control plane is, and what to present there. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

typedef struct Settings {
        /* owned */
        char *url;
        char *ca_file;
        char *token_file;
        char *project;
        bool token_file_first; /* it stands on the command line, so $SLUICE_TOKEN does not count */
} Settings;

/* Takes its own out of argv. 1 when --print-config has been answered. */
int settings_load(Settings *s, int *argc, char **argv, Error *e);
void settings_done(Settings *s);

/* The names of the settings as options, without dashes; NULL after the last. */
const char *settings_option(size_t i);

/* $SLUICE_TOKEN, else the token file's content. Owned by the caller. */
int settings_read_token(const Settings *s, char **ret, Error *e);
