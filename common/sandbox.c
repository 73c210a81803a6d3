/* What a sandbox profile means, in one table of directives; and what is more or less than it. A task may ask for more, never for
 * less: that is the host's owner's to allow. */
#include "sandbox.h"

#include <errno.h>

#include "cleanup.h"
#include "str.h"

const SandboxRow sandbox_rows[] = {
        { SANDBOX_STANDARD, "NoNewPrivileges", "yes" },
        { SANDBOX_STANDARD, "ProtectSystem", "strict" },
        { SANDBOX_STANDARD, "ProtectHome", "yes" },
        { SANDBOX_STANDARD, "PrivateTmp", "yes" },
        { SANDBOX_STANDARD, "PrivateDevices", "yes" },
        { SANDBOX_STANDARD, "ProtectClock", "yes" },
        { SANDBOX_STANDARD, "ProtectControlGroups", "yes" },
        { SANDBOX_STANDARD, "ProtectHostname", "yes" },
        { SANDBOX_STANDARD, "ProtectKernelLogs", "yes" },
        { SANDBOX_STANDARD, "ProtectKernelModules", "yes" },
        { SANDBOX_STANDARD, "ProtectKernelTunables", "yes" },
        { SANDBOX_STANDARD, "RestrictRealtime", "yes" },
        { SANDBOX_STANDARD, "RestrictSUIDSGID", "yes" },
        { SANDBOX_STANDARD, "LockPersonality", "yes" },
        { SANDBOX_STANDARD, "CapabilityBoundingSet", "" },
        { SANDBOX_STANDARD, "SystemCallArchitectures", "native" },
        { SANDBOX_STRICT, "RestrictNamespaces", "yes" },
        { SANDBOX_STRICT, "MemoryDenyWriteExecute", "yes" },
        { SANDBOX_STRICT, "PrivateUsers", "yes" },
        { SANDBOX_STRICT, "ProtectProc", "invisible" },
        { SANDBOX_STRICT, "ProcSubset", "pid" },
        { SANDBOX_STRICT, "RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6" },
        { SANDBOX_STRICT, "SystemCallFilter", "@system-service" },
        {},
};

Sandbox sandbox_from_string(const char *s) {
        return str_eq(s, "none") ? SANDBOX_NONE
                                 : (str_eq(s, "strict") ? SANDBOX_STRICT : SANDBOX_STANDARD);
}

int sandbox_append(Sandbox profile, Atoms *to) {
        int r = 0;

        for (const SandboxRow *row = sandbox_rows; r >= 0 && row->name; row++)
                if (profile >= row->from)
                        r = directive_decode(directive_find(row->name), row->value, to, NULL);
        return r;
}

/* Words stand in the order of their strength. */
static size_t strength(const Directive *d, const char *word) {
        size_t i = 0;

        while (d->words[i] && !str_eq(d->words[i], word))
                i++;
        return i;
}

bool sandbox_is_loosened(Sandbox profile, const Directive *d, const char *value, const Atoms *atoms,
                         size_t from) {
        const Atom *first = &atoms->items[from + 2];
        const char *given = NULL;

        for (const SandboxRow *row = sandbox_rows; row->name; row++)
                if (profile >= row->from && str_eq(row->name, d->name))
                        given = row->value;
        if (!given)
                return false;
        switch (d->type) {
        case DIRECTIVE_BOOL: /* the profiles switch all of them on */
                return first->number == 0;
        case DIRECTIVE_WORD:
                return strength(d, first->text) < strength(d, given);
        case DIRECTIVE_SET: /* the profiles leave none of these bits */
        case DIRECTIVE_NAMESPACES:
                return first->number != 0;
        case DIRECTIVE_FILTER: /* the profiles say what is allowed, so anything but taking away adds */
        case DIRECTIVE_SYSCALLS:
                return *value != '~';
        default:
                return !str_eq(value, given);
        }
}
