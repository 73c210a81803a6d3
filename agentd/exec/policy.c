/* Reads policy.conf and answers yes or no with a sentence. Must never allow more because something could not be read. */
#include "policy.h"

#include <errno.h>
#include <fnmatch.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "config.h"
#include "parse.h"
#include "str.h"
#include "strv.h"

typedef struct PolicyText {
        Policy policy;
        char *memory_max; /* owned */
} PolicyText;

static const ConfigField fields[] = {
        { "Policy", "AllowUsers", "allow-users", CONFIG_STRV, offsetof(PolicyText, policy.users),
          "" },
        { "Policy", "AllowExecutables", "allow-executables", CONFIG_STRV,
          offsetof(PolicyText, policy.executables), "*" },
        { "Policy", "AllowCredentials", "allow-credentials", CONFIG_STRV,
          offsetof(PolicyText, policy.credentials), "/etc/sluice/credentials/*" },
        { "Policy", "AllowDirectives", "allow-directives", CONFIG_STRV,
          offsetof(PolicyText, policy.directives), "" },
        { "Policy", "MemoryMax", "memory-max", CONFIG_TEXT, offsetof(PolicyText, memory_max),
          "infinity" },
        { "Policy", "AllowSandboxNone", "allow-sandbox-none", CONFIG_BOOL,
          offsetof(PolicyText, policy.sandbox_none), "no" },
        {},
};

/* What others can write is not the owner's word. */
static int check_owner(const char *path, Error *e) {
        struct stat st;

        if (stat(path, &st) < 0)
                return errno == ENOENT ? 0
                                       : error_set(e, -errno, "bad-policy",
                                                   "Cannot look at %s: %s.", path, strerror(errno));
        if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)))
                return error_set(e, -EPERM, "bad-policy",
                                 "%s is not root's alone to write, so nothing may run here. Try: "
                                 "chown root:root and chmod go-w.",
                                 path);
        return 0;
}

static int policy_read(const char *path, PolicyText *text, Error *e) {
        _cleanup_(config_freep) Config *config = NULL;
        int r = config_new(fields, &config);

        if (r >= 0)
                r = config_read_file(config, path, false, e);
        if (r >= 0)
                r = config_store(config, text, e);
        if (r < 0)
                return r;
        if (!text->memory_max || str_eq(text->memory_max, "infinity"))
                text->policy.memory_max = UINT64_MAX;
        else if (parse_size(text->memory_max, &text->policy.memory_max) < 0)
                return error_set(e, -EINVAL, "bad-policy", "%s: MemoryMax=%s is not a size.", path,
                                 text->memory_max);
        return 0;
}

int policy_load(const char *path, Policy *ret, Error *e) {
        _cleanup_(freep) char *drop_ins = str_format("%s.d", path);
        PolicyText text = {};
        int r;

        if (!drop_ins)
                return -ENOMEM;
        r = check_owner(path, e);
        if (r >= 0)
                r = check_owner(drop_ins, e);
        if (r >= 0)
                r = policy_read(path, &text, e);
        if (r >= 0) {
                *ret = text.policy;
                text.policy = (Policy){};
        }
        config_clear(fields, &text);
        return r;
}

void policy_done(Policy *p) {
        p->users = strv_free(p->users);
        p->executables = strv_free(p->executables);
        p->credentials = strv_free(p->credentials);
        p->directives = strv_free(p->directives);
}

static bool matches_any(char *const *patterns, const char *path) {
        STRV_FOREACH(pattern, patterns)
                if (str_eq(*pattern, "*") || fnmatch(*pattern, path, 0) == 0)
                        return true;
        return false;
}

int policy_check_user(const Policy *p, const char *user, Error *e) {
        if (strv_contains(p->users, user))
                return 0;
        return error_set(e, -EPERM, "user-refused",
                         "The host's policy does not allow User=%s (AllowUsers= in policy.conf).",
                         user);
}

bool policy_allows_every_executable(const Policy *p) {
        return strv_contains(p->executables, "*");
}

int policy_check_executable(const Policy *p, const char *path, Error *e) {
        if (matches_any(p->executables, path))
                return 0;
        return error_set(e, -EPERM, "executable-refused",
                         "The host's policy does not allow to execute %s (AllowExecutables= in "
                         "policy.conf).",
                         path);
}

int policy_check_credential(const Policy *p, const char *path, Error *e) {
        if (matches_any(p->credentials, path))
                return 0;
        return error_set(e, -EPERM, "credential-refused",
                         "The host's policy does not allow to load a credential from %s "
                         "(AllowCredentials= in policy.conf).",
                         path);
}

int policy_check_directive(const Policy *p, const char *name, const char *value, const char *why,
                           Error *e) {
        if (matches_any(p->directives, name))
                return 0;
        return error_set(e, -EPERM, "directive-refused",
                         "The host's policy does not allow %s=%.128s%s%s (AllowDirectives= in "
                         "policy.conf).",
                         name, value, why ? ": " : "", why ? why : "");
}

int policy_check_sandbox(const Policy *p, const char *profile, Error *e) {
        if (!str_eq(profile, "none") || p->sandbox_none)
                return 0;
        return error_set(e, -EPERM, "sandbox-refused",
                         "The host's policy does not allow SandboxProfile=none "
                         "(AllowSandboxNone= in policy.conf).");
}

int policy_check_memory(const Policy *p, uint64_t wanted, uint64_t *ret, Error *e) {
        if (wanted == 0)
                *ret = p->memory_max;
        else if (wanted <= p->memory_max)
                *ret = wanted;
        else if (wanted == UINT64_MAX)
                return error_set(
                        e, -EPERM, "memory-refused",
                        "The host's policy limits MemoryMax= to %llu bytes, the task wants "
                        "no limit.",
                        (unsigned long long) p->memory_max);
        else
                return error_set(
                        e, -EPERM, "memory-refused",
                        "The host's policy limits MemoryMax= to %llu bytes, the task wants "
                        "%llu.",
                        (unsigned long long) p->memory_max, (unsigned long long) wanted);
        return 0;
}
