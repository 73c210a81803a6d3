/* Names are taken apart and put together here and nowhere else. */
#include "unit-name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "str.h"

#define PREFIX "sluice-"
#define HEX "0123456789abcdef"

bool instance_is_valid(const char *name) {
        size_t n = strlen(name);

        return n >= 2 && n < INSTANCE_SIZE && name[0] >= 'a' && name[0] <= 'z' &&
               strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

/* [NAME-][X-]HEX and what comes behind. */
static bool parse(const char *s, bool digit, const char *behind, UnitName *ret) {
        const char *dash = strchr(s, '-');
        size_t n = dash ? (size_t) (dash - s) : 0;
        UnitName u = {};

        if (n > 1 && n < INSTANCE_SIZE) {
                (void) memcpy(u.instance, s, n);
                if (!instance_is_valid(u.instance))
                        return false;
                s = dash + 1;
        }
        if (digit && (!s[0] || s[1] != '-'))
                return false;
        if (strspn(s + (digit ? 2 : 0), HEX) != ID_HEX_SIZE - 1)
                return false;
        (void) memcpy(u.hex, s + (digit ? 2 : 0), ID_HEX_SIZE - 1);
        if ((digit && s[0] != u.hex[ID_HEX_SIZE - 2]) ||
            !str_eq(s + (digit ? 2 : 0) + ID_HEX_SIZE - 1, behind))
                return false;
        *ret = u;
        return true;
}

bool unit_name_from_id(const char *id, UnitName *ret) {
        return parse(id, false, "", ret);
}

bool unit_name_from_service(const char *service, UnitName *ret) {
        const char *rest = str_after(service, PREFIX);

        return rest && parse(rest, false, ".service", ret);
}

bool unit_name_from_slice(const char *slice, UnitName *ret) {
        const char *rest = str_after(slice, PREFIX);

        return rest && parse(rest, true, ".slice", ret);
}

static const char *dash_of(const UnitName *u) {
        return *u->instance ? "-" : "";
}

const char *unit_id(const char *instance, const char *hex, char id[UNIT_ID_SIZE]) {
        (void) snprintf(id, UNIT_ID_SIZE, "%s%s%s", instance ? instance : "",
                        instance && *instance ? "-" : "", hex);
        return id;
}

int unit_name_of_attempt(const char *instance, const char *attempt, char **ret) {
        char hex[ID_HEX_SIZE], name[UNIT_ID_SIZE];
        Id id;
        int r = id_parse(attempt, &id);

        if (r < 0)
                return r;
        *ret = str_format("sluice-%s.service", unit_id(instance, id_to_hex(id, hex), name));
        return *ret ? 0 : -ENOMEM;
}

char *unit_name_service(const UnitName *u) {
        return str_format(PREFIX "%s%s%s.service", u->instance, dash_of(u), u->hex);
}

char *unit_name_slice(const UnitName *u) {
        return str_format(PREFIX "%s%s%c-%s.slice", u->instance, dash_of(u),
                          u->hex[ID_HEX_SIZE - 2], u->hex);
}

char *unit_name_cgroup(const UnitName *u) {
        _cleanup_(freep) char *slice = unit_name_slice(u);
        _cleanup_(freep) char *above = *u->instance ? str_format("/" PREFIX "%s.slice", u->instance)
                                                    : str_format("%s", "");

        return slice && above ? str_format("%s/" PREFIX "%s%s%c.slice/%s", above, u->instance,
                                           dash_of(u), u->hex[ID_HEX_SIZE - 2], slice)
                              : NULL;
}

char *unit_output_file(const UnitName *u) {
        return str_format(".output-%s", u->hex);
}

char *instance_workspaces(const char *instance) {
        return instance && *instance ? str_format("sluice/runs.%s", instance)
                                     : str_format("%s", "sluice/runs");
}
