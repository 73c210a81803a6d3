/* The directives as a whole: which there are, and from a value's text to the properties that it stands for. */
#include "directive.h"

#include <errno.h>
#include <string.h>

#include "directive-types.h"
#include "str.h"

const Directive *directive_find(const char *name) {
        for (const Directive *d = directives; d->name; d++)
                if (str_eq(d->name, name))
                        return d;
        return NULL;
}

const char *directive_nearest(const char *name) {
        const char *best = NULL;
        unsigned least = 4; /* further away is no likeness */
        size_t n = strlen(name);

        for (const Directive *d = directives; d->name; d++) {
                size_t m = strlen(d->name);
                unsigned distance;

                if ((m > n ? m - n : n - m) >= least)
                        continue; /* no need to look closer */
                distance = str_distance(d->name, name);

                if (distance < least) {
                        least = distance;
                        best = d->name;
                }
        }
        return best;
}

int directive_refuse(const char *name, Error *e) {
        const char *near = directive_nearest(name);

        for (const Refusal *refusal = refusals; refusal->name; refusal++)
                if (str_eq(refusal->name, name))
                        return error_set(e, -EINVAL, "refused-directive",
                                         "%s= is not allowed in [Task]: %s", name, refusal->why);
        return error_set(e, -EINVAL, "unknown-directive", "%.64s= is not allowed in [Task]%s%s%s",
                         name, near ? "; did you mean " : "", near ? near : "", near ? "=?" : "");
}

void directive_property(const Directive *d, Atoms *to) {
        atoms_property(to, d->property, d->signature);
}

static int decode_sandbox(const Directive *d, const char *value, Atoms *to, Error *e) {
        (void) d;
        (void) to;
        return str_eq(value, "strict") || str_eq(value, "standard") || str_eq(value, "none")
                       ? 0
                       : error_set(e, -EINVAL, "bad-sandbox",
                                   "strict, standard or none is expected");
}

static DirectiveDecoder *const decoders[_DIRECTIVE_TYPE_MAX] = {
        [DIRECTIVE_EXEC] = decode_exec,
        [DIRECTIVE_ENVIRONMENT] = decode_environment,
        [DIRECTIVE_VARIABLES] = decode_variables,
        [DIRECTIVE_FILE] = decode_file,
        [DIRECTIVE_HOME] = decode_home,
        [DIRECTIVE_PATH] = decode_path,
        [DIRECTIVE_SEARCH_PATH] = decode_search_path,
        [DIRECTIVE_MARKED_PATHS] = decode_marked_paths,
        [DIRECTIVE_DIRECTORIES] = decode_directories,
        [DIRECTIVE_BINDS] = decode_binds,
        [DIRECTIVE_TMPFS] = decode_tmpfs,
        [DIRECTIVE_USER] = decode_user,
        [DIRECTIVE_USERS] = decode_users,
        [DIRECTIVE_BOOL] = decode_bool,
        [DIRECTIVE_SIZE] = decode_size,
        [DIRECTIVE_SIZE_OR_NOTHING] = decode_size_or_nothing,
        [DIRECTIVE_SHARE] = decode_share,
        [DIRECTIVE_QUOTA] = decode_quota,
        [DIRECTIVE_WEIGHT] = decode_weight,
        [DIRECTIVE_TASKS] = decode_tasks,
        [DIRECTIVE_SPAN] = decode_span,
        [DIRECTIVE_PAUSE] = decode_pause,
        [DIRECTIVE_NSEC] = decode_nsec,
        [DIRECTIVE_NUMBER] = decode_number,
        [DIRECTIVE_MODE] = decode_mode,
        [DIRECTIVE_LIMIT] = decode_limit,
        [DIRECTIVE_WORD] = decode_word,
        [DIRECTIVE_CODE] = decode_code,
        [DIRECTIVE_SIGNAL] = decode_signal,
        [DIRECTIVE_ERRNO] = decode_errno,
        [DIRECTIVE_STATUSES] = decode_statuses,
        [DIRECTIVE_MASK] = decode_mask,
        [DIRECTIVE_SET] = decode_set,
        [DIRECTIVE_NAMESPACES] = decode_namespaces,
        [DIRECTIVE_FILTER] = decode_filter,
        [DIRECTIVE_SYSCALLS] = decode_syscalls,
        [DIRECTIVE_WORDS] = decode_words,
        [DIRECTIVE_CPUS] = decode_cpus,
        [DIRECTIVE_DEVICE] = decode_device,
        [DIRECTIVE_DEVICE_RATE] = decode_device_rate,
        [DIRECTIVE_DEVICE_WEIGHT] = decode_device_weight,
        [DIRECTIVE_DEVICE_SPAN] = decode_device_span,
        [DIRECTIVE_ADDRESSES] = decode_addresses,
        [DIRECTIVE_SOCKET] = decode_socket,
        [DIRECTIVE_FIELDS] = decode_fields,
        [DIRECTIVE_TEXT] = decode_text,
        [DIRECTIVE_BASE64] = decode_base64,
        [DIRECTIVE_STREAM] = decode_stream,
        [DIRECTIVE_CREDENTIAL] = decode_credential,
        [DIRECTIVE_SANDBOX] = decode_sandbox,
};

/* PID 1 writes what it is told into a file of lines, and quotes only some of it. */
static bool is_one_line(const Directive *d, const char *value) {
        bool quoted = d->type == DIRECTIVE_EXEC || d->type == DIRECTIVE_ENVIRONMENT;

        for (const char *p = value; *p; p++)
                if (((unsigned char) *p < 0x20 && *p != '\t' && !(quoted && *p == '\n')) ||
                    *p == 0x7f)
                        return false;
        return str_is_utf8(value, strlen(value));
}

int directive_decode(const Directive *d, const char *value, Atoms *to, Error *e) {
        size_t before = to->count;
        int r;

        if (!is_one_line(d, value))
                return error_set(e, -EINVAL, "bad-text", "a line of text is expected");
        r = decoders[d->type](d, value, to, e);
        if (r >= 0 && to->error < 0)
                r = to->error == -E2BIG ? error_set(e, to->error, "too-long", "it is too long")
                                        : to->error;
        if (r < 0)
                atoms_cut(to, before);
        return r;
}

int directive_check(const Directive *d, const char *value, Error *e) {
        Atoms atoms = {};
        int r = directive_decode(d, value, &atoms, e);

        atoms_done(&atoms);
        return r;
}

bool directive_is_guarded(const Directive *d, const char *value) {
        if (!*value && d->repeats)
                return false;
        switch (d->guard) {
        case GUARD_NONE:
                return false;
        case GUARD_ALWAYS:
                return true;
        case GUARD_NEGATIVE:
                return *value == '-';
        case GUARD_UNLESS:
                for (const char *const *word = d->harmless; *word; word++)
                        if (str_eq(*word, value))
                                return false;
                return true;
        }
        return true;
}
