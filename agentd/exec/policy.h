/* The host owner's policy: what agentd-exec refuses whatever the control plane asks. See policy.conf(5). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cleanup.h"
#include "error.h"

typedef struct Policy {
        /* owned */
        char **users;        /* that User= may name */
        char **executables;  /* fnmatch(3) patterns of resolved paths */
        char **credentials;  /* fnmatch(3) patterns of source paths */
        char **directives;   /* fnmatch(3) patterns of dangerous directives */
        uint64_t memory_max; /* UINT64_MAX: no cap */
        bool sandbox_none;
} Policy;

/* Reads the file anew. It must be root's and writable to root alone, and so must its drop-ins' directory; a file that is
 * not there is the default policy. Words in e for the one who reads the attempt's outcome. */
int policy_load(const char *path, Policy *ret, Error *e);
void policy_done(Policy *p);

/* Then what a path leads to does not matter. */
bool policy_allows_every_executable(const Policy *p);
/* Each 0, or -EPERM with a sentence. */
int policy_check_user(const Policy *p, const char *user, Error *e);
int policy_check_executable(const Policy *p, const char *path, Error *e);
int policy_check_credential(const Policy *p, const char *path, Error *e);
/* One that is dangerous with this value; why says how, or is NULL. */
int policy_check_directive(const Policy *p, const char *name, const char *value, const char *why,
                           Error *e);
int policy_check_sandbox(const Policy *p, const char *profile, Error *e);
/* The limit to apply: what was asked (0: nothing), or the cap when nothing was. */
int policy_check_memory(const Policy *p, uint64_t wanted, uint64_t *ret, Error *e);
