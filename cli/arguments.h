/* The command line: words, and options that may stand anywhere among them. */
#pragma once

#include <stdbool.h>

#include "error.h"

typedef enum Option {
        OPTION_OUTPUT,
        OPTION_WAIT,
        OPTION_FOLLOW,
        OPTION_TASK,
        OPTION_PIPE,
        OPTION_STATE,
        OPTION_LIMIT,
        OPTION_PIPE_VERSION,
        OPTION_IDEMPOTENCY_KEY,
        OPTION_TYPE,
        OPTION_AGENT,
        OPTION_USES,
        OPTION_EXPIRES,
        OPTION_LABELS,
        OPTION_AGENT_TYPE,
        OPTION_DESCRIPTION,
        OPTION_REASON,
        OPTION_DEADLINE,
        OPTION_FORCE,
        OPTION_ALL,
        OPTION_FROM,
        OPTION_SKIP,
        OPTION_PARAM,
        OPTION_PARAM_FROM,
        OPTION_FOR,
        OPTION_ON,
        OPTION_ONLINE,
        OPTION_TRIAL,
        OPTION_TO,
        OPTION_CONCURRENCY,
        OPTION_AGAIN,
        OPTION_DRY_RUN,
        _OPTION_MAX,
} Option;

typedef struct Arguments {
        char **words;  /* owned */
        char **agents; /* owned: every --agent= */
        char **params; /* owned: every --param= */
        char **params_from;
        const char *values
                [_OPTION_MAX]; /* borrowed from argv; "" for one without value, NULL when absent */
        bool help, version, no_color;
} Arguments;

/* argv without what the configuration took. -EINVAL with words. */
int arguments_read(int argc, char *const argv[], Arguments *ret, Error *e);
void arguments_done(Arguments *a);

/* "--wait" for messages. */
const char *option_name(Option o);
