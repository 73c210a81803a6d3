/* Decides what a unit shall be. Every text in a request is hostile: names are made from checked identifiers, directives
 * go through the table, and the policy is asked last, about what would really happen. */
#include "spec.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "id.h"
#include "parameter.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"
#include "unit-name.h"

#include "lease.h"

#define TEXT_MAX 256
#define VARIABLE_MAX 63U
/* No directive either: its value is "no". An agent that does not know it refuses the task. */
#define NO_WORKSPACE "Workspace"
/* The control plane counts on it, so the host's DefaultTimeoutStopSec= does not decide. */
#define FENCED_STOP_USEC (90 * USEC_PER_SEC)

static bool is_hex_id(const char *s) {
        return strlen(s) == ID_HEX_SIZE - 1 && strspn(s, "0123456789abcdef") == ID_HEX_SIZE - 1;
}

static int name_make(const char *id, char *(*make)(const UnitName *u), char **ret) {
        UnitName u;
        char *name;

        if (!unit_name_from_id(id, &u))
                return -EINVAL;
        name = make(&u);
        if (!name)
                return -ENOMEM;
        *ret = name;
        return 0;
}

int spec_unit_name(const char *attempt, char **ret) {
        return name_make(attempt, unit_name_service, ret);
}

int spec_slice_name(const char *attempt, char **ret) {
        return name_make(attempt, unit_name_slice, ret);
}

/* The end of a version 7 UUID is random, so it names the run well enough for a user that lives as long as the run. */
int spec_user_name(const char *run, char **ret) {
        char *name;

        if (!is_hex_id(run))
                return -EINVAL;
        name = str_format("sluice-r%s", run + 20);
        if (!name)
                return -ENOMEM;
        *ret = name;
        return 0;
}

static char *state_directory(const UnitName *u) {
        _cleanup_(freep) char *workspaces = instance_workspaces(u->instance);

        return workspaces ? str_format("%s/%s", workspaces, u->hex) : NULL;
}

int spec_state_directory(const char *run, char **ret) {
        return name_make(run, state_directory, ret);
}

int spec_output(const char *attempt, const char *run, char **ret_directory, char **ret_name) {
        _cleanup_(freep) char *below = NULL, *directory = NULL;
        char id[UNIT_ID_SIZE];
        UnitName u;
        int r;

        if (!unit_name_from_id(attempt, &u) || !is_hex_id(run))
                return -EINVAL;
        r = spec_state_directory(unit_id(u.instance, run, id), &below);
        if (r < 0)
                return r;
        directory = str_format("/var/lib/%s", below);
        *ret_name = directory ? unit_output_file(&u) : NULL;
        if (!*ret_name)
                return -ENOMEM;
        *ret_directory = TAKE_PTR(directory);
        return 0;
}

void spec_done(UnitSpec *s) {
        free(s->unit);
        free(s->slice);
        free(s->lease);
        free(s->description);
        free(s->identifier);
        free(s->executable);
        s->environment = strv_free(s->environment);
        s->log_fields = strv_free(s->log_fields);
        free(s->user);
        free(s->state_directory);
        free(s->working_directory);
        atoms_done(&s->properties);
        *s = (UnitSpec){};
}

/* Names of projects, pipes and tasks go into the environment, log fields and the description. */
static int check_name(const char *what, const char *text, Error *e) {
        size_t n = strlen(text);

        if (n == 0 || n > TEXT_MAX || !str_is_utf8(text, n))
                return error_set(e, -EINVAL, "bad-request", "The %s's name is not valid.", what);
        for (const char *p = text; *p; p++)
                if ((unsigned char) *p < 0x20 || *p == 0x7f)
                        return error_set(e, -EINVAL, "bad-request",
                                         "The %s's name has a control character.", what);
        return 0;
}

static int add_variable(UnitSpec *s, const char *name, const char *value, bool log_too) {
        char *text = str_format("%s=%s", name, value);
        int r;

        if (!text)
                return -ENOMEM;
        r = log_too ? strv_append(&s->log_fields, text) : 0;
        if (r < 0) {
                free(text);
                return r;
        }
        return strv_append_take(&s->environment, text);
}

static int set_identity(UnitSpec *s, const StartRequest *q, const UnitName *u) {
        char epoch[16], attempt[ID_TEXT_SIZE], run[ID_TEXT_SIZE];
        Id id = {};
        int r = id_parse(u->hex, &id);

        (void) id_to_text(id, attempt);
        if (r >= 0)
                r = id_parse(q->run, &id);
        (void) id_to_text(id, run);
        (void) snprintf(epoch, sizeof(epoch), "%u", q->epoch);
        if (r >= 0)
                r = strv_append(&s->log_fields, "SLUICE_KIND=task");
        if (r >= 0)
                r = add_variable(s, "SLUICE_ATTEMPT", attempt, true);
        if (r >= 0)
                r = add_variable(s, "SLUICE_EPOCH", epoch, false);
        if (r >= 0 && q->deadline_usec > 0)
                r = add_variable(s, "SLUICE_FENCED", "yes", false);
        if (r >= 0 && q->streaming)
                r = add_variable(s, "SLUICE_STREAMING", "yes", false);
        if (r >= 0)
                r = add_variable(s, "SLUICE_RUN", run, true);
        if (r >= 0)
                r = add_variable(s, "SLUICE_PROJECT", q->project, true);
        if (r >= 0)
                r = add_variable(s, "SLUICE_PIPE", q->pipe, true);
        if (r >= 0)
                r = add_variable(s, "SLUICE_TASK", q->task, true);
        return r;
}

static bool stands_before(char *const *pairs, const char *name, size_t n) {
        for (size_t k = 0; k < n && pairs[k]; k += 2)
                if (str_eq(pairs[k], name))
                        return true;
        return false;
}

/* A task that was placed by itself is not told of a workspace: whether anything but its output is in that directory is chance. */
static int set_workspace(UnitSpec *s, const StartRequest *q, char **workspace) {
        int r;

        if (q->directives && stands_before(q->directives, NO_WORKSPACE, SIZE_MAX))
                return 0;
        r = add_variable(s, "SLUICE_WORKSPACE", *workspace, false);
        if (r >= 0)
                s->working_directory = TAKE_PTR(*workspace);
        return r;
}

static int set_names(UnitSpec *s, const StartRequest *q, Error *e) {
        _cleanup_(freep) char *workspace = NULL, *name = NULL, *output = NULL;
        char run[UNIT_ID_SIZE];
        UnitName u;
        int r;

        if (!unit_name_from_id(q->attempt, &u) || !is_hex_id(q->run))
                return error_set(e, -EINVAL, "bad-request",
                                 "Attempt and run must be 32 hex digits.");
        r = check_name("project", q->project, e);
        if (r >= 0)
                r = check_name("pipe", q->pipe, e);
        if (r >= 0)
                r = check_name("task", q->task, e);
        if (r >= 0)
                r = spec_unit_name(q->attempt, &s->unit);
        if (r >= 0)
                r = spec_slice_name(q->attempt, &s->slice);
        if (r >= 0)
                r = spec_state_directory(unit_id(u.instance, q->run, run), &s->state_directory);
        if (r >= 0 && q->deadline_usec > 0)
                r = lease_target(u.instance, &s->lease);
        if (r >= 0)
                r = str_replace(&s->identifier, q->task);
        if (r >= 0)
                r = set_identity(s, q, &u);
        if (r < 0)
                return r;
        s->description = str_format("Sluice %s/%s: %s", q->project, q->pipe, q->task);
        r = spec_output(q->attempt, q->run, &workspace, &name);
        output = r >= 0 ? str_format("%s/%s", workspace, name) : NULL;
        if (!s->description || !output)
                return r < 0 ? r : -ENOMEM;
        r = set_workspace(s, q, &workspace);
        return r < 0 ? r : add_variable(s, "SLUICE_OUTPUT", output, false);
}

/* Bytes, also when the task asks for a share of the memory. */
static int set_limit(const char *value, uint64_t *ret) {
        bool relative = false;
        struct sysinfo info;
        uint64_t n = 0;
        int r = limit_parse(value, &n, &relative);

        if (r < 0)
                return r;
        if (relative) {
                if (sysinfo(&info) < 0)
                        return -errno;
                n = (uint64_t) ((unsigned __int128) n * info.totalram * info.mem_unit / UINT32_MAX);
                n &= ~(uint64_t) 4095;
        }
        *ret = n;
        return n == 0 ? -ERANGE : 0;
}

static Sandbox sandbox_of(char *const *pairs) {
        for (; pairs && pairs[0] && pairs[1]; pairs += 2)
                if (str_eq(pairs[0], "SandboxProfile"))
                        return sandbox_from_string(pairs[1]);
        return SANDBOX_STANDARD;
}

/* One directive on its way into the spec: its properties begin at from. */
typedef struct Step {
        UnitSpec *spec;
        const Policy *policy;
        const Directive *directive;
        const char *value;
        size_t from;
} Step;

static uint64_t number_of(const Step *step) {
        return step->spec->properties.items[step->from + 2].number;
}

/* What would really be executed. A file that is not there (yet) counts by its name; PID 1 will say that it is missing. Nothing is
 * looked at that need not be: it may be on a network file system whose server is away. */
static int resolve(const Policy *p, const char *path, char **ret, Error *e) {
        size_t n = strlen(path);

        if (strstr(path, "/../") || (n >= 3 && str_eq(path + n - 3, "/..")) || n >= PATH_MAX)
                return error_set(e, -EPERM, "executable-refused",
                                 "The executable's path must be without \"..\".");
        if (policy_allows_every_executable(p))
                return str_replace(ret, path);
        *ret = realpath(path, NULL);
        if (*ret)
                return 0;
        return errno == ENOMEM ? -ENOMEM : str_replace(ret, path);
}

/* The resolved file is executed under the name that was asked for. */
static int take_command(Step *step, Error *e) {
        Atom *path = step->spec->properties.items + step->from + 3;
        char *resolved = NULL;
        int r;

        if (number_of(step) == 0)
                return 0;
        r = resolve(step->policy, path->text, &resolved, e);
        if (r >= 0)
                r = policy_check_executable(step->policy, resolved, e);
        if (r >= 0 && str_eq(step->directive->name, "ExecStart"))
                r = str_replace(&step->spec->executable, resolved);
        if (r < 0) {
                free(resolved);
                return r;
        }
        free(path->text);
        *path = (Atom){ resolved, strlen(resolved) };
        return 0;
}

static int take_user(Step *step, Error *e) {
        int r = policy_check_user(step->policy, step->value, e);

        atoms_cut(&step->spec->properties, step->from);
        return r < 0 ? r : str_replace(&step->spec->user, step->value);
}

static int take_credential(Step *step, Error *e) {
        const char *colon = strchr(step->value, ':');

        return colon ? policy_check_credential(step->policy, colon + 1, e) : 0;
}

static int take_memory(Step *step, Error *e) {
        int r = set_limit(step->value, &step->spec->memory_max);

        atoms_cut(&step->spec->properties, step->from);
        return r == -ERANGE ? error_set(e, r, "bad-directive", "MemoryMax= has a bad value.") : r;
}

static int take_stop(Step *step, Error *e) {
        (void) e;
        step->spec->timeout_stop_usec = number_of(step);
        return 0;
}

static int take_abort(Step *step, Error *e) {
        (void) e;
        step->spec->timeout_abort_usec = number_of(step);
        return 0;
}

/* A unit that RemainAfterExit= keeps is not restarted after a success, so what shall be gets none: it ends only when somebody
 * stops it, or when PID 1 gives up, and then the failed unit is kept. */
static int take_restart(Step *step, Error *e) {
        (void) e;
        step->spec->leave_success =
                !str_eq(step->value, "always") && !str_eq(step->value, "on-success");
        return 0;
}

/* What agentd-exec has to know itself, or the policy has to see. */
static const struct {
        const char *name;
        int (*take)(Step *step, Error *e);
} takers[] = {
        { "ExecStart", take_command },
        { "ExecCondition", take_command },
        { "ExecStartPre", take_command },
        { "ExecStartPost", take_command },
        { "User", take_user },
        { "LoadCredential", take_credential },
        { "LoadCredentialEncrypted", take_credential },
        { "MemoryMax", take_memory },
        { "TimeoutStopSec", take_stop },
        { "TimeoutAbortSec", take_abort },
        { "Restart", take_restart },
};

/* Those that need the host's policy for their value, and those that would take something of the sandbox away. */
static int ask_policy(const Step *step, Error *e) {
        const Directive *d = step->directive;

        if (directive_is_guarded(d, step->value))
                return policy_check_directive(step->policy, d->name, step->value, NULL, e);
        if (sandbox_is_loosened(step->spec->sandbox, d, step->value, &step->spec->properties,
                                step->from))
                return policy_check_directive(step->policy, d->name, step->value,
                                              "the sandbox profile has more", e);
        return 0;
}

static int take_directive(Step *step, Error *e) {
        const Directive *d = step->directive;
        int r;

        step->from = step->spec->properties.count;
        r = directive_decode(d, step->value, &step->spec->properties, e);
        if (r < 0 && r != -ENOMEM)
                return error_prefix(e, "%s=: ", d->name);
        if (r >= 0 && d->property)
                r = ask_policy(step, e);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(takers); i++)
                if (str_eq(takers[i].name, d->name))
                        return takers[i].take(step, e);
        return r;
}

/* "name=value": no directive, but what a run was given. The value is anything that the environment can hold. */
static int take_parameter(UnitSpec *s, const char *pair, Error *e) {
        _cleanup_(freep) char *name = strdup(pair), *variable = NULL;
        size_t n = strcspn(pair, "=");

        if (!name)
                return -ENOMEM;
        if (!pair[n] || !parameter_name_ok(pair, n) || strlen(pair + n + 1) > PARAMETER_VALUE_MAX ||
            !str_is_utf8(pair, strlen(pair)))
                return error_set(e, -EINVAL, "bad-request", "A parameter is not valid.");
        for (size_t i = 0; i < n; i++)
                name[i] = (char) (name[i] >= 'a' ? name[i] - 'a' + 'A' : name[i]);
        name[n] = '\0';
        variable = str_format("SLUICE_PARAM_%s", name);
        return variable ? add_variable(s, variable, pair + n + 1, false) : -ENOMEM;
}

/* Whether it may stand there at all. */
static int check_directive(const StartRequest *q, size_t i, const Directive *d, Error *e) {
        if (!d)
                return error_set(e, -EINVAL, "unknown-directive",
                                 "This agent does not know the directive %.64s=.",
                                 q->directives[i]);
        if (d->streaming && !q->streaming)
                return error_set(e, -EINVAL, "bad-directive", "%s= is for streaming pipes only.",
                                 d->name);
        if (!d->repeats && stands_before(q->directives, q->directives[i], i))
                return error_set(e, -EINVAL, "bad-directive", "%s= stands twice.", d->name);
        if (q->systemd > 0 && d->since > q->systemd)
                return error_set(e, -EINVAL, "old-systemd",
                                 "%s= needs systemd %u, and this host has %u.", d->name, d->since,
                                 q->systemd);
        return 0;
}

/* What a schedule says of a run, or a task that is done on many hosts of its part. Values are times, names and numbers. */
static int take_variable(UnitSpec *s, const char *name, const char *value, Error *e) {
        static const char *const names[] = { "SLUICE_SCHEDULE",
                                             "SLUICE_SCHEDULED_AT",
                                             "SLUICE_SCHEDULED_AT_LOCAL",
                                             "SLUICE_INTERVAL_START",
                                             "SLUICE_INTERVAL_END",
                                             "SLUICE_INTERVAL_START_LOCAL",
                                             "SLUICE_INTERVAL_END_LOCAL",
                                             "SLUICE_CAUSED_BY",
                                             "SLUICE_CAUSED_BY_PIPE",
                                             "SLUICE_CAUSED_BY_STATE",
                                             "SLUICE_FANOUT_INDEX",
                                             "SLUICE_FANOUT_COUNT",
                                             NULL };
        static const char letters[] =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:.+-";
        size_t n = strlen(value);

        if (!strv_contains((char *const *) names, name))
                return error_set(e, -EINVAL, "bad-request",
                                 "This agent does not know the variable %.64s.", name);
        if (n == 0 || n > VARIABLE_MAX || strspn(value, letters) < n)
                return error_set(e, -EINVAL, "bad-request", "The value of %s is not valid.", name);
        return add_variable(s, name, value, false);
}

static int set_directives(UnitSpec *s, const StartRequest *q, const Policy *policy, Error *e) {
        s->sandbox = sandbox_of(q->directives);
        int r = s->sandbox == SANDBOX_NONE ? policy_check_sandbox(policy, "none", e) : 0;

        if (r >= 0)
                r = sandbox_append(s->sandbox, &s->properties);
        for (size_t i = 0; r >= 0 && q->directives && q->directives[i] && q->directives[i + 1];
             i += 2) {
                Step step = { .spec = s,
                              .policy = policy,
                              .directive = directive_find(q->directives[i]),
                              .value = q->directives[i + 1] };

                if (str_eq(q->directives[i], "Parameter")) {
                        r = take_parameter(s, q->directives[i + 1], e);
                        continue;
                }
                if (str_eq(q->directives[i], NO_WORKSPACE))
                        continue; /* set_workspace() has seen to it */
                if (str_after(q->directives[i], "SLUICE_")) {
                        r = take_variable(s, q->directives[i], q->directives[i + 1], e);
                        continue;
                }
                r = check_directive(q, i, step.directive, e);
                if (r >= 0)
                        r = take_directive(&step, e);
        }
        if (r >= 0 && !s->executable)
                return error_set(e, -EINVAL, "bad-directive", "ExecStart= is missing.");
        return r;
}

/* When the host is given up, the control plane counts on TimeoutStopSec=. */
static int set_fence(UnitSpec *s, const StartRequest *q, Error *e) {
        s->deadline_usec = q->deadline_usec;
        if (s->deadline_usec == 0)
                return 0;
        if (s->timeout_stop_usec == 0)
                s->timeout_stop_usec = FENCED_STOP_USEC;
        if (s->timeout_abort_usec > s->timeout_stop_usec)
                return error_set(e, -EINVAL, "bad-directive",
                                 "TimeoutAbortSec= is longer than TimeoutStopSec=, in which the "
                                 "task must be gone when its host is given up.");
        return 0;
}

static int build(UnitSpec *s, const StartRequest *request, const Policy *policy, Error *e) {
        int r = set_names(s, request, e);

        s->leave_success = true;
        s->once = !request->streaming;
        if (r >= 0)
                r = set_directives(s, request, policy, e);
        if (r >= 0)
                r = policy_check_memory(policy, s->memory_max, &s->memory_max, e);
        if (r >= 0)
                r = set_fence(s, request, e);
        if (r >= 0 && !s->user) {
                s->dynamic_user = true;
                r = spec_user_name(request->run, &s->user);
        }
        return r;
}

int spec_build(const StartRequest *request, const Policy *policy, UnitSpec *ret, Error *e) {
        UnitSpec s = {};
        int r = build(&s, request, policy, e);

        if (r < 0) {
                spec_done(&s);
                return r == -ENOMEM ? error_set(e, r, "out-of-memory", "Out of memory.") : r;
        }
        *ret = s;
        return 0;
}
