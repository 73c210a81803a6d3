/* What the control plane may ask agentd-exec for: lines of Name=value. Whatever becomes a unit stays within what was asked and
 * what the policy says. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "cleanup.h"
#include "spec.h"
#include "str.h"
#include "strv.h"

#define ATTEMPT "0123456789abcdef0123456789abcde7"

static char **read_pairs(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = strndup((const char *) data, size);
        char **pairs = NULL;

        for (char *save, *line = text ? strtok_r(text, "\n", &save) : NULL; line;
             line = strtok_r(NULL, "\n", &save)) {
                char *equals = strchr(line, '=');

                if (!equals)
                        continue;
                *equals = '\0';
                if (strv_append(&pairs, line) < 0 || strv_append(&pairs, equals + 1) < 0)
                        break;
        }
        return pairs;
}

/* None that the policy would have to allow, but for an empty list; every file and command is one that it allows. */
static void check_properties(const UnitSpec *spec) {
        static const char *const dangerous[] = {
                "RootDirectory",
                "Group",
                "SecureBits",
                "CPUSchedulingPriority",
                "LimitNICE",
                "LimitRTPRIO",
                "Delegate",
                "StandardOutputFile",
                "StandardErrorFile",
                "StandardInputFile",
                "NetworkNamespacePath",
                "IPCNamespacePath",
        };
        const Atoms *a = &spec->properties;

        for (size_t i = 0; i < a->count; i = atoms_next(a, i)) {
                const char *name = a->items[i].text;
                const Atom *first = &a->items[i + 2];

                HOLDS(atoms_next(a, i) <= a->count);
                HOLDS(!str_eq(name, "User") && !str_eq(name, "DynamicUser") &&
                      !str_eq(name, "Slice"));
                for (size_t k = 0; k < ELEMENTSOF(dangerous); k++)
                        HOLDS(!str_eq(name, dangerous[k]));
                if (str_eq(name, "BindPaths") || str_eq(name, "DeviceAllow") ||
                    str_eq(name, "EnvironmentFiles") || str_eq(name, "ReadWritePaths") ||
                    str_eq(name, "CapabilityBoundingSet") || str_eq(name, "AmbientCapabilities"))
                        HOLDS(first->number == 0);
                if (str_after(name, "Exec") && str_eq(a->items[i + 1].text, "a(sasb)") &&
                    first->number > 0)
                        HOLDS(str_after(first[1].text, "/usr/bin/") &&
                              !strstr(first[1].text, "/../"));
                if (str_after(name, "LoadCredential") && first->number > 0)
                        HOLDS(str_after(first[2].text, "/etc/sluice/") &&
                              !strstr(first[2].text, "/../"));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const Policy policy = { .executables = (char *[]){ (char *) "/usr/bin/*", NULL },
                                .credentials = (char *[]){ (char *) "/etc/sluice/*", NULL },
                                .users = (char *[]){ (char *) "etl", NULL },
                                .memory_max = 1 << 30 };
        _cleanup_(strv_freep) char **pairs = read_pairs(data, size);
        StartRequest request = { .attempt = ATTEMPT,
                                 .epoch = 1,
                                 .run = ATTEMPT,
                                 .project = "project",
                                 .pipe = "pipe",
                                 .task = "task",
                                 .deadline_usec = size & 1 ? 1U : 0U,
                                 .streaming = size & 2,
                                 .systemd = 255,
                                 .directives = pairs };
        UnitSpec spec = {};
        Error e = {};
        int r = spec_build(&request, &policy, &spec, &e);

        HOLDS(r >= 0 || e.detail[0]);
        if (r < 0) {
                HOLDS(!spec.unit);
                return 0;
        }
        HOLDS(str_eq(spec.unit, "sluice-" ATTEMPT ".service"));
        HOLDS(str_after(spec.executable, "/usr/bin/"));
        HOLDS(spec.dynamic_user || str_eq(spec.user, "etl"));
        HOLDS(spec.memory_max > 0 && spec.memory_max <= policy.memory_max);
        HOLDS(spec.sandbox != SANDBOX_NONE);
        check_properties(&spec);
        spec_done(&spec);
        return 0;
}
