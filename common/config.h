/* Configuration: one table of settings per program; command line, then environment (SLUICE_*), then file with drop-ins
 * (the .conf files of FILE.d in order of name), then default. Every value remembers where it came from. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cleanup.h"
#include "error.h"

typedef enum ConfigType {
        CONFIG_TEXT, /* char *, owned by the target; "" is stored as NULL */
        CONFIG_BOOL, /* bool */
        CONFIG_U32,  /* uint32_t, within min and max */
        CONFIG_SIZE, /* uint64_t bytes, parse_size() */
        CONFIG_SPAN, /* uint64_t usec, timespan_parse() */
        CONFIG_STRV, /* char **, owned: split at commas and white space */
        CONFIG_LIST, /* char **, owned: split at commas only ("region=eu, warehouse") */
} ConfigType;

typedef struct ConfigField {
        const char *section; /* "Controld"; NULL ends a table */
        const char *key;     /* "StateDirectory" in the file */
        const char *option; /* "state-directory": --state-directory=, and $SLUICE_STATE_DIRECTORY */
        ConfigType type;
        size_t offset;
        const char *fallback; /* default, as text; "" for none */
        uint64_t min, max;    /* CONFIG_U32 */
} ConfigField;

typedef struct Config Config;

int config_new(const ConfigField *fields, Config **ret);
Config *config_free(Config *c);
DEFINE_SCOPE_EXIT(Config, config_free)

/* Each of these overrides what came before, so call them in this order: file, environment, command line.
 * Unknown keys and sections warn by file and line; a bad value is an error that names them. */
int config_read_file(Config *c, const char *path, bool must_exist, Error *e);
int config_read_environment(Config *c, Error *e);
/* arg is "--state-directory=/x". 1 when it was one of ours, 0 when it is not, negative on a bad value. */
int config_read_argument(Config *c, const char *arg, Error *e);

typedef struct ConfigFile {
        const char *path; /* NULL ends the list */
        bool must_exist;
} ConfigFile;

/* All of it in the usual order, for main(): files, environment, and what argv has of it, which is taken out. 1 when
 * --print-config was among the words and has been answered; else the target is filled. */
int config_load(const ConfigField *fields, const ConfigFile files[], int *argc, char **argv,
                void *target, Error *e);

/* Decodes all values into the program's struct; config_clear() frees what it owns. */
int config_store(const Config *c, void *target, Error *e);
void config_clear(const ConfigField *fields, void *target);

/* One line a setting: Key=value  # where it came from. */
void config_print(const Config *c, FILE *to);
