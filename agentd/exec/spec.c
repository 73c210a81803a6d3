/* Decides what a unit shall be. Every text in a request is hostile: names are made from checked identifiers, directives
 * go through the table, and the policy is asked last, about what would really happen. */
#include "spec.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "id.h"
#include "parse.h"
#include "str.h"
#include "strv.h"
#include "timespan.h"
#include "unit-name.h"

#include "lease.h"

#define TEXT_MAX 256
#define ENVIRONMENT_MAX 512
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

void spec_done(UnitSpec *s) {
        free(s->unit);
        free(s->slice);
        free(s->lease);
        free(s->description);
        free(s->identifier);
        free(s->executable);
        exec_command_done(&s->command);
        s->environment = strv_free(s->environment);
        s->log_fields = strv_free(s->log_fields);
        free(s->user);
        free(s->state_directory);
        free(s->working_directory);
        s->credentials = strv_free(s->credentials);
        for (size_t i = 0; i < s->n_settings; i++)
                free(s->settings[i].word);
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

static int set_names(UnitSpec *s, const StartRequest *q, Error *e) {
        _cleanup_(freep) char *workspace = NULL;
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
        workspace = str_format("/var/lib/%s", s->state_directory);
        if (!s->description || !workspace)
                return -ENOMEM;
        r = add_variable(s, "SLUICE_WORKSPACE", workspace, false);
        if (r >= 0)
                s->working_directory = TAKE_PTR(workspace);
        return r;
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

static int set_environment(UnitSpec *s, const char *value, Error *e) {
        _cleanup_(strv_freep) char **words = NULL;
        int r = words_split(value, &words, e);

        if (r >= 0 && strv_length(s->environment) + strv_length(words) > ENVIRONMENT_MAX)
                return error_set(e, -E2BIG, "bad-directive", "more than %d variables",
                                 ENVIRONMENT_MAX);
        for (char **w = words; r >= 0 && w && *w; w++)
                r = strv_append(&s->environment, *w);
        return r;
}

static int set_credential(UnitSpec *s, const char *value) {
        const char *colon = strchr(value, ':');
        char *id = colon ? strndup(value, (size_t) (colon - value)) : NULL;
        int r;

        if (!id)
                return colon ? -ENOMEM : -EINVAL;
        r = strv_append_take(&s->credentials, id);
        return r < 0 ? r : strv_append(&s->credentials, colon + 1);
}

static Sandbox sandbox_from_string(const char *s) {
        return str_eq(s, "none") ? SANDBOX_NONE
                                 : (str_eq(s, "strict") ? SANDBOX_STRICT : SANDBOX_STANDARD);
}

static uint64_t *number_of(UnitSpec *s, const Directive *d) {
        const struct {
                const char *property;
                uint64_t *slot;
        } rows[] = {
                { "MemoryMax", &s->memory_max },
                { "MemoryHigh", &s->memory_high },
                { "CPUQuotaPerSecUSec", &s->cpu_quota_usec },
                { "CPUWeight", &s->cpu_weight },
                { "TasksMax", &s->tasks_max },
                { "IOWeight", &s->io_weight },
                { "RuntimeMaxUSec", &s->runtime_max_usec },
                { "TimeoutStopUSec", &s->timeout_stop_usec },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (str_eq(rows[i].property, d->property))
                        return rows[i].slot;
        return NULL;
}

static int set_number(UnitSpec *s, const Directive *d, const char *value) {
        uint64_t *slot = number_of(s, d);

        if (!slot)
                return -EOPNOTSUPP;
        switch (d->type) {
        case DIRECTIVE_SIZE:
                return set_limit(value, slot);
        case DIRECTIVE_QUOTA:
                return quota_parse(value, slot);
        case DIRECTIVE_SPAN:
                return timespan_parse(value, slot);
        case DIRECTIVE_TASKS:
                if (str_eq(value, "infinity")) {
                        *slot = UINT64_MAX;
                        return 0;
                }
                return parse_u64(value, slot);
        default:
                return parse_u64(value, slot);
        }
}

/* A unit that RemainAfterExit= keeps is not restarted after a success, so what shall be gets none: it ends only when somebody
 * stops it, or when PID 1 gives up, and then the failed unit is kept. */
static int set_service(UnitSpec *s, const Directive *d, const char *value) {
        Setting *setting = &s->settings[s->n_settings];

        if (s->n_settings == SETTINGS_MAX)
                return -E2BIG;
        *setting = (Setting){ .directive = d };
        s->n_settings++;
        if (str_eq(d->name, "Restart"))
                s->leave_success = !str_eq(value, "always") && !str_eq(value, "on-success");
        if (d->type == DIRECTIVE_WORD)
                return str_replace(&setting->word, value);
        return d->type == DIRECTIVE_COUNT ? parse_u64(value, &setting->number)
                                          : timespan_parse(value, &setting->number);
}

static int set_directive(UnitSpec *s, const Directive *d, const char *value, Error *e) {
        switch (d->type) {
        case DIRECTIVE_EXEC:
                return exec_command_parse(value, &s->command, e);
        case DIRECTIVE_ENVIRONMENT:
                return set_environment(s, value, e);
        case DIRECTIVE_PATH:
                return str_replace(&s->working_directory, value);
        case DIRECTIVE_USER:
                return str_replace(&s->user, value);
        case DIRECTIVE_CREDENTIAL:
                return set_credential(s, value);
        case DIRECTIVE_SANDBOX:
                s->sandbox = sandbox_from_string(value);
                return 0;
        default:
                return set_number(s, d, value);
        }
}

static bool stands_before(char *const *pairs, size_t i) {
        for (size_t k = 0; k < i; k += 2)
                if (str_eq(pairs[k], pairs[i]))
                        return true;
        return false;
}

static int set_directives(UnitSpec *s, char *const *pairs, bool streaming, Error *e) {
        for (size_t i = 0; pairs && pairs[i] && pairs[i + 1]; i += 2) {
                const Directive *d = directive_find(pairs[i]);
                int r;

                if (!d)
                        return error_set(e, -EINVAL, "unknown-directive",
                                         "This agent does not know the directive %.64s=.",
                                         pairs[i]);
                if (d->streaming && !streaming)
                        return error_set(e, -EINVAL, "bad-directive",
                                         "%s= is for streaming pipes only.", d->name);
                if (!d->repeats && stands_before(pairs, i))
                        return error_set(e, -EINVAL, "bad-directive", "%s= stands twice.", d->name);
                r = directive_check(d, pairs[i + 1], e);
                if (r >= 0)
                        r = d->streaming ? set_service(s, d, pairs[i + 1])
                                         : set_directive(s, d, pairs[i + 1], e);
                if (r == -ENOMEM)
                        return r;
                if (r < 0 && (!e || !e->detail[0]))
                        return error_set(e, r, "bad-directive", "%s= has a bad value.", d->name);
                if (r < 0)
                        return error_prefix(e, "%s=: ", d->name);
        }
        if (!s->command.argv)
                return error_set(e, -EINVAL, "bad-directive", "ExecStart= is missing.");
        return 0;
}

/* What would really be executed. A file that is not there (yet) counts by its name; PID 1 will say that it is missing. */
static int set_executable(UnitSpec *s, Error *e) {
        const char *path = s->command.argv[0];
        size_t n = strlen(path);

        if (strstr(path, "/../") || (n >= 3 && str_eq(path + n - 3, "/..")) || n >= PATH_MAX)
                return error_set(e, -EPERM, "executable-refused",
                                 "The executable's path must be without \"..\".");
        s->executable = realpath(path, NULL);
        if (s->executable)
                return 0;
        if (errno == ENOMEM)
                return -ENOMEM;
        return str_replace(&s->executable, path);
}

static int ask_policy(UnitSpec *s, const Policy *p, Error *e) {
        int r = policy_check_executable(p, s->executable, e);

        if (r >= 0 && s->user)
                r = policy_check_user(p, s->user, e);
        for (size_t i = 0; r >= 0 && s->credentials && s->credentials[i]; i += 2)
                r = policy_check_credential(p, s->credentials[i + 1], e);
        if (r >= 0 && s->sandbox == SANDBOX_NONE)
                r = policy_check_sandbox(p, "none", e);
        if (r >= 0)
                r = policy_check_memory(p, s->memory_max, &s->memory_max, e);
        return r;
}

static int build(UnitSpec *s, const StartRequest *request, const Policy *policy, Error *e) {
        int r = set_names(s, request, e);

        s->sandbox = SANDBOX_STANDARD;
        s->leave_success = true;
        if (r >= 0)
                r = set_directives(s, request->directives, request->streaming, e);
        if (r >= 0)
                r = set_executable(s, e);
        if (r >= 0)
                r = ask_policy(s, policy, e);
        s->deadline_usec = request->deadline_usec;
        if (s->deadline_usec > 0 && s->timeout_stop_usec == 0)
                s->timeout_stop_usec = FENCED_STOP_USEC;
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
