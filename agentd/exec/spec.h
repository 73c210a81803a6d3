/* What an attempt's unit shall be: a request from agentd, checked against the directive table and the host's policy. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "directive.h"
#include "error.h"
#include "policy.h"
#include "sandbox.h"

/* As it came over D-Bus: nothing in it has been checked. */
typedef struct StartRequest {
        const char *attempt; /* an id as in common/unit-name.h */
        uint32_t epoch;
        const char *run; /* 32 hex digits */
        const char *project;
        const char *pipe;
        const char *task;
        uint64_t
                deadline_usec; /* CLOCK_BOOTTIME; another agent may have it some time after; 0: nobody else ever */
        bool streaming;    /* of a streaming pipe: PID 1 supervises it */
        unsigned systemd;  /* the host's version; 0: not known, nothing is too young */
        char **directives; /* owned: name, value, name, value; "Parameter" stands among them for a value of the run, and so do the variables of a schedule */
} StartRequest;

/* All pointers are owned. */
typedef struct UnitSpec {
        char *unit;
        char *slice;
        char *lease; /* NULL: not fenced */
        char *description;
        char *identifier;
        char *executable;   /* of ExecStart=, resolved: no symbolic link, no .. */
        char **environment; /* Sluice's own, and so are the log's fields */
        char **log_fields;
        char *user;
        bool dynamic_user;
        char *state_directory;
        char *working_directory; /* unless the task says another */
        Sandbox sandbox;
        Atoms properties; /* of the sandbox profile, then of the directives, in their order: the last word counts */
        uint64_t memory_max;                            /* UINT64_MAX: no limit */
        uint64_t timeout_stop_usec, timeout_abort_usec; /* 0: not set */
        bool once;          /* PID 1 starts it no second time, whoever asks */
        bool leave_success; /* a process that ends well leaves its unit "exited", for its outcome */
        uint64_t deadline_usec; /* of the start; 0: not fenced */
} UnitSpec;

/* -EINVAL for what makes no sense, -EPERM for what the policy forbids, with a sentence. Looks at the file system to
 * resolve the executable, and at nothing else. */
int spec_build(const StartRequest *request, const Policy *policy, UnitSpec *ret, Error *e);
void spec_done(UnitSpec *s);

/* Names, from ids as in common/unit-name.h, the user's from 32 hex digits: -EINVAL for anything else. New strings. */
int spec_unit_name(const char *attempt, char **ret);
int spec_slice_name(const char *attempt, char **ret);
int spec_user_name(const char *run, char **ret);
int spec_state_directory(const char *run, char **ret);
/* Where an attempt of a run of 32 hex digits leaves its output: the workspace, and the name of the file there. */
int spec_output(const char *attempt, const char *run, char **ret_directory, char **ret_name);
