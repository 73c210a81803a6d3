/* What agentd/exec/spec.c and properties.c make of a task, in the words of systemd-run(1). That both come to the same is seen in the lab. */
#include "render.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "directive.h"
#include "sandbox.h"
#include "str.h"
#include "strv.h"
#include "substitute.h"
#include "unit-name.h"

/* Adds a formatted argument; an error sticks. */
__attribute__((format(printf, 3, 4))) static void add(char ***command, int *r, const char *fmt,
                                                      ...) {
        char *text = NULL;
        va_list args;

        if (*r < 0)
                return;
        va_start(args, fmt);
        if (vasprintf(&text, fmt, args) < 0)
                text = NULL;
        va_end(args);
        *r = text ? strv_append_take(command, text) : -ENOMEM;
}

typedef struct Task {
        const Pipe *pipe;
        const char *project, *pipe_name, *name;
        char **directives;   /* owned: what references are replaced by is in them */
        char *const *values; /* borrowed */
        char run[ID_TEXT_SIZE], attempt[ID_TEXT_SIZE], run_hex[ID_HEX_SIZE];
        UnitName unit;
        char workspace[128]; /* below /var/lib */
        char *output;        /* owned: $SLUICE_OUTPUT in it */
        bool apart;          /* then it is not told of its workspace */
        bool fans;           /* then this is its only child */
} Task;

static const char *directive_value(const Task *t, const char *name) {
        const char *value = NULL;

        for (char *const *d = t->directives; d && d[0]; d += 2)
                if (str_eq(d[0], name))
                        value = d[1];
        return value;
}

static int add_unit(const Task *t, char ***c) {
        _cleanup_(freep) char *service = unit_name_service(&t->unit),
                              *slice = unit_name_slice(&t->unit);
        const char *restart = directive_value(t, "Restart");
        int r = service && slice ? 0 : -ENOMEM;

        add(c, &r, "systemd-run");
        add(c, &r, "--unit=%s", service);
        add(c, &r, "--slice=%s", slice);
        add(c, &r, "--description=Sluice %s/%s: %s", t->project, t->pipe_name, t->name);
        if (!str_eq(restart, "always") && !str_eq(restart, "on-success"))
                add(c, &r, "--remain-after-exit");
        return r;
}

static void add_service(const Task *t, char ***c, int *r) {
        static const char *const words[] = {
                "Type=exec",           "CPUAccounting=yes",          "MemoryAccounting=yes",
                "TasksAccounting=yes", "IOAccounting=yes",           "LogRateLimitIntervalSec=1s",
                "MemoryMax=infinity",  "LogRateLimitBurst=100000000"
        };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                add(c, r, "--property=%s", words[i]);
        if (!pipe_is_streaming(t->pipe)) {
                add(c, r, "--property=StartLimitIntervalSec=infinity");
                add(c, r, "--property=StartLimitBurst=1");
        }
        add(c, r, "--property=SyslogIdentifier=%s", t->name);
        if (!directive_value(t, "User")) {
                add(c, r, "--property=DynamicUser=yes");
                add(c, r, "--property=User=sluice-r%s", t->run_hex + 20);
        }
        add(c, r, "--property=StateDirectory=%s", t->workspace);
        add(c, r, "--property=StateDirectoryMode=0700");
        if (!t->apart)
                add(c, r, "--property=WorkingDirectory=/var/lib/%s", t->workspace);
}

static void add_directives(const Task *t, char ***c, int *r) {
        const char *profile = directive_value(t, "SandboxProfile");
        Sandbox sandbox = sandbox_from_string(profile ? profile : "standard");

        for (const SandboxRow *row = sandbox_rows; row->name; row++)
                if (sandbox >= row->from)
                        add(c, r, "--property=%s=%s", row->name, row->value);
        for (char *const *d = t->directives; d && d[0]; d += 2)
                if (!str_eq(d[0], "ExecStart") && !str_eq(d[0], "SandboxProfile"))
                        add(c, r, "--property=%s=%s", d[0], d[1]);
}

/* What was given for a name, or the other. */
static const char *value_of(const Task *t, const char *name, size_t size, const char *otherwise) {
        STRV_FOREACH(v, t->values)
                if (strncmp(*v, name, size) == 0 && (*v)[size] == '=')
                        return *v + size + 1;
        return otherwise;
}

static int look_up(const Reference *reference, const char **ret, Error *e, void *userdata) {
        const char *end = reference->key ? reference->key + reference->key_size
                                         : reference->name + reference->name_size;
        const char *name, *value, *preset = NULL;
        size_t size = (size_t) (end - reference->name);
        const Task *t = userdata;

        for (size_t i = 0; !reference->key && pipe_parameter_preset(t->pipe, i, &name, &value); i++)
                if (strlen(name) == size && memcmp(name, reference->name, size) == 0)
                        preset = value;
        *ret = value_of(t, reference->name, size, preset);
        return *ret ? 0
                    : error_set(e, -EINVAL, "no-value", "%.*s has no value: say --param %.*s=VALUE",
                                (int) reference->size, reference->text, (int) size,
                                reference->name);
}

/* All have a value, whether the task refers to them or not: they are in its environment. */
static int check_values(const Task *t, Error *e) {
        const char *name, *value;

        for (size_t i = 0; pipe_parameter_preset(t->pipe, i, &name, &value); i++)
                if (!value_of(t, name, strlen(name), value))
                        return error_set(e, -EINVAL, "no-value",
                                         "parameter %s has no value: say --param %s=VALUE", name,
                                         name);
        return 0;
}

static int substitute(Task *t, char *const *pairs, Error *e) {
        _cleanup_(freep) char *unit = unit_name_service(&t->unit);
        int r = unit ? 0 : -ENOMEM;

        for (char *const *d = pairs; r >= 0 && d && d[0]; d += 2) {
                const Directive *directive = directive_find(d[0]);
                char *value = NULL;

                r = strv_append(&t->directives, d[0]);
                if (r >= 0 && directive && directive->substitutes)
                        r = substitute_value(directive, d[1], unit, look_up, t, &value, e);
                else if (r >= 0)
                        r = str_replace(&value, d[1]);
                if (r >= 0)
                        r = strv_append_take(&t->directives, value);
        }
        return r;
}

/* As a word of Environment=. */
static void add_parameter(char ***c, int *r, const char *name, const char *value) {
        Buffer b = {};

        if (*r >= 0)
                *r = buffer_append_str(&b, "--property=Environment=\"SLUICE_PARAM_");
        for (const char *p = name; *r >= 0 && *p; p++)
                *r = buffer_printf(&b, "%c", *p >= 'a' ? *p - 'a' + 'A' : *p);
        if (*r >= 0)
                *r = buffer_append_str(&b, "=");
        for (const char *p = value; *r >= 0 && *p; p++)
                *r = *p == '\n'
                             ? buffer_append_str(&b, "\\n")
                             : buffer_printf(&b, "%s%c", *p == '"' || *p == '\\' ? "\\" : "", *p);
        if (*r >= 0)
                *r = buffer_append_str(&b, "\"");
        if (*r >= 0)
                *r = strv_append(c, b.data);
        buffer_done(&b);
}

static void add_identity(const Task *t, char ***c, int *r) {
        const struct {
                const char *name, *value;
                bool log_too;
        } variables[] = {
                { "ATTEMPT", t->attempt, true },
                { "EPOCH", "1", false },
                { "STREAMING", pipe_is_streaming(t->pipe) ? "yes" : NULL, false },
                { "RUN", t->run, true },
                { "PROJECT", t->project, true },
                { "PIPE", t->pipe_name, true },
                { "TASK", t->name, true },
                { "FANOUT_INDEX", t->fans ? "1" : NULL, false },
                { "FANOUT_COUNT", t->fans ? "1" : NULL, false },
        };
        const char *name, *value;

        add(c, r, "--property=LogExtraFields=SLUICE_KIND=task");
        for (size_t i = 0; i < ELEMENTSOF(variables); i++) {
                if (!variables[i].value)
                        continue;
                add(c, r, "--property=Environment=SLUICE_%s=%s", variables[i].name,
                    variables[i].value);
                if (variables[i].log_too)
                        add(c, r, "--property=LogExtraFields=SLUICE_%s=%s", variables[i].name,
                            variables[i].value);
        }
        if (!t->apart)
                add(c, r, "--property=Environment=SLUICE_WORKSPACE=/var/lib/%s", t->workspace);
        add(c, r, "--property=Environment=SLUICE_OUTPUT=/var/lib/%s/%s", t->workspace, t->output);
        for (size_t i = 0; pipe_parameter_preset(t->pipe, i, &name, &value); i++)
                add_parameter(c, r, name, value_of(t, name, strlen(name), value));
}

/* Where PID 1 shall not look for variables, each $ is said as itself. */
static int add_literal(char ***c, const char *word) {
        Buffer b = {};
        char *text = NULL;
        int r = 0;

        for (; r >= 0 && *word; word++)
                r = buffer_printf(&b, "%s%c", *word == '$' ? "$" : "", *word);
        if (r >= 0)
                r = buffer_take(&b, &text);
        buffer_done(&b);
        return r < 0 ? r : strv_append_take(c, text);
}

static int add_command(const Task *t, Rendered *ret, Error *e) {
        ExecCommand command = {};
        const char *line = directive_value(t, "ExecStart");
        int r = line ? exec_command_parse(line, &command, e) : -EINVAL;

        if (r >= 0)
                r = strv_append(&ret->command, "--");
        for (char **word = command.argv; r >= 0 && word && *word; word++)
                r = command.flags & EXEC_NO_EXPAND ? add_literal(&ret->command, *word)
                                                   : strv_append(&ret->command, *word);
        ret->ignores_failure = command.flags & EXEC_IGNORE_FAILURE;
        exec_command_done(&command);
        return r;
}

static int name_ids(Task *t, size_t number) {
        Id id = {};

        (void) id_to_text(id, t->run);
        (void) snprintf(t->workspace, sizeof(t->workspace), "sluice/runs/%s",
                        id_to_hex(id, t->run_hex));
        for (size_t i = 0; i < sizeof(id.bytes) && number > 0; i++, number /= 256)
                id.bytes[sizeof(id.bytes) - 1 - i] = (unsigned char) (number % 256);
        (void) id_to_text(id, t->attempt);
        (void) id_to_hex(id, t->unit.hex);
        t->output = unit_output_file(&t->unit);
        return t->output ? 0 : -ENOMEM;
}

int task_render(const Pipe *pipe, size_t task, const char *project, const char *name,
                char *const *values, Rendered *ret, Error *e) {
        Task t = { .pipe = pipe,
                   .project = project,
                   .pipe_name = name,
                   .name = pipe_task_name(pipe, task),
                   .apart = pipe_task_is_apart(pipe, task),
                   .fans = pipe_task_fans(pipe, task),
                   .values = values };
        Rendered rendered = {};
        int r = name_ids(&t, task + 1);

        if (r >= 0)
                r = check_values(&t, e);
        if (r >= 0)
                r = substitute(&t, pipe_task_directives(pipe, task), e);
        if (r >= 0)
                r = add_unit(&t, &rendered.command);
        if (r >= 0) {
                add_service(&t, &rendered.command, &r);
                add_directives(&t, &rendered.command, &r);
                add_identity(&t, &rendered.command, &r);
        }
        if (r >= 0)
                r = add_command(&t, &rendered, e);
        t.directives = strv_free(t.directives);
        free(t.output);
        if (r < 0) {
                rendered_done(&rendered);
                return r;
        }
        *ret = rendered;
        return 0;
}

void rendered_done(Rendered *r) {
        r->command = strv_free(r->command);
}
