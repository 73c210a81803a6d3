/* What the control plane may ask agentd-exec for: lines of Name=value. Whatever becomes a unit stays within what was asked and
 * what the policy says. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const Policy policy = { .executables = (char *[]){ (char *) "/usr/bin/*", NULL },
                                .credentials = (char *[]){ (char *) "/etc/sluice/*", NULL },
                                .users = (char *[]){ (char *) "etl", NULL },
                                .memory_max = 1 << 30 };
        _cleanup_(strv_freep) char **pairs = read_pairs(data, size);
        StartRequest request = { ATTEMPT, 1, ATTEMPT, "project", "pipe", "task", size & 1 ? 1U : 0U,
                                 pairs };
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
        for (char *const *c = spec.credentials; c && c[0]; c += 2)
                HOLDS(str_after(c[1], "/etc/sluice/") && !strstr(c[1], "/../"));
        spec_done(&spec);
        return 0;
}
