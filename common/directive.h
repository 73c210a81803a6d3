/* The systemd directives that a task may use: one row each. The pipe parser checks values with it, agentd-exec turns them into D-Bus
 * properties. Names, values and D-Bus forms are those of systemd.exec(5), systemd.service(5), systemd.resource-control(5),
 * systemd.kill(5) and org.freedesktop.systemd1(5). There are no specifiers: a % is itself, as in all transient units. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atoms.h"
#include "error.h"

/* What its value looks like, and so what decodes it. */
typedef enum DirectiveType {
        DIRECTIVE_EXEC,        /* a command line */
        DIRECTIVE_ENVIRONMENT, /* NAME=value assignments, quoted like a command line */
        DIRECTIVE_VARIABLES,   /* names of variables */
        DIRECTIVE_FILE,        /* absolute path; a - before it: it may be missing */
        DIRECTIVE_HOME,        /* absolute path or ~; a - before it: it may be missing */
        DIRECTIVE_PATH,        /* absolute path */
        DIRECTIVE_SEARCH_PATH, /* absolute paths, with colons or blanks between */
        DIRECTIVE_MARKED_PATHS, /* absolute paths; - before them: may be missing, +: below the root directory */
        DIRECTIVE_DIRECTORIES,     /* paths below a directory of systemd's */
        DIRECTIVE_BINDS,           /* SOURCE[:DESTINATION[:rbind|norbind]] */
        DIRECTIVE_TMPFS,           /* PATH[:OPTION,…] */
        DIRECTIVE_USER,            /* name of a user or group */
        DIRECTIVE_USERS,           /* names */
        DIRECTIVE_BOOL,            /* yes, no */
        DIRECTIVE_SIZE,            /* bytes, percentage of memory, or infinity */
        DIRECTIVE_SIZE_OR_NOTHING, /* also 0 */
        DIRECTIVE_SHARE,           /* percentage */
        DIRECTIVE_QUOTA,           /* percentage of one CPU */
        DIRECTIVE_WEIGHT,          /* 1 to 10000 */
        DIRECTIVE_TASKS,           /* count, percentage, or infinity */
        DIRECTIVE_SPAN,            /* time span, more than nothing */
        DIRECTIVE_PAUSE,           /* time span, or 0 */
        DIRECTIVE_NSEC,            /* nanoseconds, or a number with ns, us, ms or s */
        DIRECTIVE_NUMBER,          /* whole number in the row's range */
        DIRECTIVE_MODE,            /* octal access mode */
        DIRECTIVE_LIMIT,           /* [SOFT:]HARD in the row's unit, or infinity */
        DIRECTIVE_WORD, /* one of the row's words; yes and no as a boolean, where they are among them */
        DIRECTIVE_CODE,       /* one of the row's names, which stands for a number */
        DIRECTIVE_SIGNAL,     /* SIGTERM, TERM, 15, RTMIN+1 */
        DIRECTIVE_ERRNO,      /* EPERM, 1, or kill */
        DIRECTIVE_STATUSES,   /* exit statuses and signals */
        DIRECTIVE_MASK,       /* some of the row's names, which stand for bits */
        DIRECTIVE_SET,        /* the same; ~ before them: all but these */
        DIRECTIVE_NAMESPACES, /* the same; or a boolean: none, or all */
        DIRECTIVE_FILTER,     /* words of the row's alphabet; ~ before them: all but these */
        DIRECTIVE_SYSCALLS, /* system calls and @groups, with :errno; ~ before them: all but these */
        DIRECTIVE_WORDS,    /* some of the row's words */
        DIRECTIVE_CPUS,     /* 0-3,7 */
        DIRECTIVE_DEVICE,   /* PATH [r][w][m] */
        DIRECTIVE_DEVICE_RATE,   /* PATH and bytes or operations, K M G T to base 1000 */
        DIRECTIVE_DEVICE_WEIGHT, /* PATH 1…10000 */
        DIRECTIVE_DEVICE_SPAN,   /* PATH and time span */
        DIRECTIVE_ADDRESSES,  /* addresses with prefix length; any localhost link-local multicast */
        DIRECTIVE_SOCKET,     /* [ipv4:|ipv6:][tcp:|udp:]PORTS */
        DIRECTIVE_FIELDS,     /* NAME=value of the journal, quoted like a command line */
        DIRECTIVE_TEXT,       /* text with C escapes; a new line ends it */
        DIRECTIVE_BASE64,     /* bytes */
        DIRECTIVE_STREAM,     /* one of the row's words, or file:, append:, truncate: and a path */
        DIRECTIVE_CREDENTIAL, /* ID:/absolute/path */
        DIRECTIVE_SANDBOX,    /* strict, standard, none */
        _DIRECTIVE_TYPE_MAX
} DirectiveType;

/* When the host's policy.conf has to allow it (AllowDirectives=). What a sandbox profile sets needs it besides when a task would
 * have less of it, see sandbox.h. */
typedef enum DirectiveGuard {
        GUARD_NONE,
        GUARD_ALWAYS,
        GUARD_NEGATIVE, /* for a number below zero */
        GUARD_UNLESS,   /* for any value but the row's harmless ones */
} DirectiveGuard;

/* What a word stands for. Ends with a NULL name. */
typedef struct NamedNumber {
        const char *name;
        uint64_t number;
} NamedNumber;

#define SYSTEMD_VERSION_MIN 249U /* the oldest that an agent works with */

typedef struct Directive {
        const char *name; /* systemd's, but for SandboxProfile */
        DirectiveType type;
        const char *property;  /* of org.freedesktop.systemd1.Service; NULL: agentd-exec's own */
        const char *signature; /* its D-Bus type; NULL with it */
        unsigned since;        /* first systemd version, not below SYSTEMD_VERSION_MIN */
        DirectiveGuard guard;
        bool repeats; /* may stand several times, adding up; an empty one forgets those before it */
        bool streaming;   /* only in streaming pipes: how PID 1 supervises a service */
        bool substitutes; /* its value may have ${parameters} and ${task.OUTPUTS}, see substitute.h */
        const char *const *
                words; /* of DIRECTIVE_WORD, _WORDS, _STREAM; from the mildest to the strictest, where there is an order */
        const char *const *harmless; /* of GUARD_UNLESS */
        const NamedNumber *names;    /* of DIRECTIVE_CODE, _MASK, _SET, _NAMESPACES */
        const char *
                alphabet; /* of DIRECTIVE_FILTER: besides letters and digits; of _VARIABLES: = where values may follow */
        int64_t min, max; /* of DIRECTIVE_NUMBER */
        bool all;         /* of DIRECTIVE_SET: it is full before anything is said */
        char unit; /* of DIRECTIVE_LIMIT: b bytes, s seconds, u microseconds, n nice levels, 0 a number */
} Directive;

extern const Directive directives[]; /* ends with a NULL name */

/* Directives that would break a promise, and what to do instead. */
typedef struct Refusal {
        const char *name;
        const char *why; /* goes on after "NAME= is not allowed in [Task]: " */
} Refusal;

extern const Refusal refusals[]; /* ends with a NULL name */

/* Exact, case-sensitive name; NULL when unknown. */
const Directive *directive_find(const char *name);

/* The known name nearest to a wrong one, or NULL when none is near. */
const char *directive_nearest(const char *name);

/* Words about a name that is in no row: why it is refused, or what was meant. Returns -EINVAL. */
int directive_refuse(const char *name, Error *e);

/* Adds the properties that the value stands for to what the unit's earlier ones have given. -EINVAL, -ERANGE, -E2BIG or -ENOMEM; but for
 * the last with words that do not repeat the directive's name, and nothing added. A DIRECTIVE_SANDBOX adds nothing. */
int directive_decode(const Directive *d, const char *value, Atoms *to, Error *e);

/* Checks the value's syntax: the same, and nothing kept. */
int directive_check(const Directive *d, const char *value, Error *e);

/* Whether this value of the directive needs the host's policy, whatever the sandbox profile. The value is one that was decoded. */
bool directive_is_guarded(const Directive *d, const char *value);

/* Splits a command line as systemd.service(5) says: white space separates, '…' and "…" keep together, backslash escapes
 * as in C; ${VARIABLES} are left for systemd. -EINVAL on open quotes or bad escapes. */
int words_split(const char *line, char ***ret, Error *e);

/* C escapes replaced. -EINVAL for a bad one. */
int text_unescape(const char *text, char **ret, Error *e);

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
