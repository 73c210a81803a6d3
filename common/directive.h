/* The systemd directives that a task may use: one row each. The pipe parser checks values with it, agentd-exec turns
 * them into D-Bus properties. Meanings: systemd.exec(5), systemd.service(5), systemd.resource-control(5). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

typedef enum DirectiveType {
        DIRECTIVE_EXEC,        /* a command line */
        DIRECTIVE_ENVIRONMENT, /* NAME=value assignments, quoted like a command line */
        DIRECTIVE_PATH,        /* absolute path, or ~ */
        DIRECTIVE_USER,        /* user name */
        DIRECTIVE_SIZE,        /* bytes, percentage of memory, or infinity */
        DIRECTIVE_QUOTA,       /* percentage of one CPU */
        DIRECTIVE_WEIGHT,      /* 1 to 10000 */
        DIRECTIVE_TASKS,       /* count, or infinity */
        DIRECTIVE_SPAN,        /* time span, more than nothing */
        DIRECTIVE_PAUSE,       /* time span, or 0 */
        DIRECTIVE_COUNT,       /* 1 to a million */
        DIRECTIVE_WORD,        /* one of the row's words */
        DIRECTIVE_CREDENTIAL,  /* ID:/absolute/path */
        DIRECTIVE_SANDBOX,     /* strict, standard, none */
} DirectiveType;

typedef struct Directive {
        const char *name; /* systemd's, but for SandboxProfile */
        DirectiveType type;
        const char
                *property; /* of org.freedesktop.systemd1.Service; NULL when it is more than one */
        unsigned since;    /* first systemd version */
        bool repeats;      /* may stand several times, adding up */
        bool streaming;    /* only in streaming pipes: how PID 1 supervises a service */
        const char *const *words; /* of DIRECTIVE_WORD */
} Directive;

extern const Directive directives[]; /* ends with a NULL name */

/* Exact, case-sensitive name; NULL when unknown. */
const Directive *directive_find(const char *name);

/* The known name nearest to a wrong one, or NULL when none is near. */
const char *directive_nearest(const char *name);

/* Checks the value's syntax. -EINVAL or -ERANGE, with words that do not repeat the directive's name. */
int directive_check(const Directive *d, const char *value, Error *e);

/* Splits a command line as systemd.service(5) says: white space separates, '…' and "…" keep together, backslash escapes
 * as in C; ${VARIABLES} are left for systemd. -EINVAL on open quotes or bad escapes. */
int words_split(const char *line, char ***ret, Error *e);

#define EXEC_IGNORE_FAILURE 1U /* prefix - */
#define EXEC_NO_EXPAND 2U      /* prefix : */

typedef struct ExecCommand {
        char **argv; /* owned; argv[0] is the absolute path */
        unsigned flags;
} ExecCommand;

int exec_command_parse(const char *line, ExecCommand *ret, Error *e);
void exec_command_done(ExecCommand *c);

/* "50%" in thousandths of a CPU second per second: microseconds per second, as CPUQuotaPerSecUSec. */
int quota_parse(const char *s, uint64_t *ret_usec_per_sec);

/* Bytes, or percent: then *ret is a share of UINT32_MAX for the …Scale property, and *ret_relative is true. */
int limit_parse(const char *s, uint64_t *ret, bool *ret_relative);
