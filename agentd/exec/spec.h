/* What an attempt's unit shall be: a request from agentd, checked against the directive table and the host's policy. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "directive.h"
#include "error.h"
#include "policy.h"

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
        char **directives; /* owned: name, value, name, value */
} StartRequest;

typedef enum Sandbox {
        SANDBOX_NONE,
        SANDBOX_STANDARD,
        SANDBOX_STRICT,
} Sandbox;

/* What a streaming pipe says of its service, as PID 1 wants it: a word of the directive's, or a number. */
typedef struct Setting {
        const Directive *directive;
        char *word; /* owned; NULL: it is the number */
        uint64_t number;
} Setting;

#define SETTINGS_MAX 8 /* rows of the table that are for streaming pipes; a test counts them */

/* Numbers are as PID 1 wants them; 0 means that the property is not set. All pointers are owned. */
typedef struct UnitSpec {
        char *unit;
        char *slice;
        char *lease; /* NULL: not fenced */
        char *description;
        char *identifier;
        char *executable; /* resolved: no symbolic link, no .. */
        ExecCommand command;
        char **environment;
        char **log_fields;
        char *user;
        bool dynamic_user;
        char *state_directory;
        char *working_directory;
        char **credentials; /* id, path, id, path */
        Sandbox sandbox;
        uint64_t memory_max, memory_high, cpu_quota_usec, cpu_weight, tasks_max, io_weight;
        uint64_t runtime_max_usec, timeout_stop_usec;
        Setting settings[SETTINGS_MAX];
        size_t n_settings;
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
