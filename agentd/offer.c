/* References in an offer's directives become values. What comes out is checked by agentd-exec, with the host's policy. */
#include "offer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "parameter.h"
#include "str.h"
#include "strv.h"
#include "substitute.h"
#include "unit-name.h"

/* Its first pair, of an offer with references: who does not know it refuses the offer, and does not run a task without its values. */
#define ASKS "Substitute"

static int look_up(const Reference *reference, const char **ret, Error *e, void *userdata) {
        const ProtoAssignment *offer = userdata;
        size_t n = reference->size - strlen("${}");

        for (char *const *p = reference->key ? offer->outputs : offer->parameters; p && p[0];
             p += 2)
                if (strlen(p[0]) == n && memcmp(p[0], reference->name, n) == 0) {
                        if (!reference->key && strlen(p[1]) > PARAMETER_VALUE_MAX)
                                return error_set(e, -EINVAL, "too-long",
                                                 "the value of %.*s has more than %d bytes",
                                                 (int) reference->size, reference->text,
                                                 PARAMETER_VALUE_MAX);
                        *ret = p[1];
                        return 0;
                }
        return error_set(e, -EINVAL, "no-value", "there is no value for %.*s%s",
                         (int) reference->size, reference->text,
                         reference->key ? ": the task before has left none of that key" : "");
}

static int substitute_pair(ProtoAssignment *offer, const char *unit, char *const *pair,
                           char ***pairs, size_t *left, Error *e) {
        const Directive *d = directive_find(pair[0]);
        _cleanup_(freep) char *value = NULL;
        size_t size;
        int r = strv_append(pairs, pair[0]);

        if (r < 0 || !d || !d->substitutes)
                return r < 0 ? r : strv_append(pairs, pair[1]);
        r = substitute_value(d, pair[1], unit, look_up, offer, &value, e);
        if (r < 0)
                return r == -ENOMEM ? r : error_prefix(e, "%s=: ", pair[0]);
        size = strlen(value);
        if (size > *left)
                return error_set(e, -EINVAL, "too-long",
                                 "with %s= the directives and their values have more than %u bytes",
                                 d->name, OFFER_BYTES_MAX);
        *left -= size;
        return strv_append_take(pairs, TAKE_PTR(value));
}

static int add_parameter(char ***pairs, const char *name, const char *value) {
        _cleanup_(freep) char *text = str_format("%s=%s", name, value);
        int r = text ? strv_append(pairs, "Parameter") : -ENOMEM;

        return r < 0 ? r : strv_append(pairs, text);
}

int offer_substitute(ProtoAssignment *offer, const char *instance, Error *e) {
        _cleanup_(strv_freep) char **pairs = NULL;
        _cleanup_(freep) char *unit = NULL;
        size_t left = OFFER_BYTES_MAX;
        int r;

        if (!offer->directives || !str_eq(offer->directives[0], ASKS))
                return 0;
        r = unit_name_of_attempt(instance, offer->attempt, &unit);
        for (char *const *d = offer->directives + 2; r >= 0 && d[0]; d += 2)
                r = substitute_pair(offer, unit, d, &pairs, &left, e);
        for (char *const *p = offer->parameters; r >= 0 && p && p[0]; p += 2)
                r = add_parameter(&pairs, p[0], p[1]);
        if (r < 0)
                return r;
        (void) strv_free(offer->directives);
        offer->directives = TAKE_PTR(pairs);
        return 0;
}
