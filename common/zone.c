/* Time zones as sorted transitions. Offsets are bounded, so whatever concerns an instant stands within ZONE_OFFSET_SEC_MAX of it,
 * twice that between two offsets: searches begin that far away, and never look at the whole table. */
#include "zone.h"

#include <errno.h>
#include <string.h>

#include "json-in.h"
#include "timespan.h"

#define OFFSET_USEC_MAX (ZONE_OFFSET_SEC_MAX * (int64_t) USEC_PER_SEC)
/* 0001-01-01 to 9999-12-31: what PostgreSQL and people can write. */
#define EPOCH_SEC_MIN (-62135596800LL)
#define EPOCH_SEC_MAX 253402300799LL

static char utc_name[] = "UTC";
const Zone zone_utc = { .name = utc_name };

Zone *zone_free(Zone *z) {
        if (!z)
                return NULL;
        free(z->name);
        free(z->transitions);
        free(z);
        return NULL;
}

/* Takes over one pair of the table. */
static int transition_set(Zone *z, size_t i, const int64_t pair[2], Error *e) {
        if (pair[0] < EPOCH_SEC_MIN || pair[0] > EPOCH_SEC_MAX)
                return error_set(e, -ERANGE, "bad-zone",
                                 "Transition %zu of the time zone is at %lld, out of range.", i,
                                 (long long) pair[0]);
        if (pair[1] < -ZONE_OFFSET_SEC_MAX || pair[1] > ZONE_OFFSET_SEC_MAX)
                return error_set(e, -ERANGE, "bad-zone",
                                 "Transition %zu of the time zone has offset %lld, out of range.",
                                 i, (long long) pair[1]);
        z->transitions[i] = (ZoneTransition){
                .utc_usec = pair[0] * (int64_t) USEC_PER_SEC,
                .offset_sec = (int32_t) pair[1],
        };
        if (i > 0 && z->transitions[i].utc_usec <= z->transitions[i - 1].utc_usec)
                return error_set(e, -EINVAL, "bad-zone",
                                 "Transition %zu of the time zone is not after the one before.", i);
        return 0;
}

int zone_from_json(const char *name, const char *json, size_t size, Zone **ret, Error *e) {
        _cleanup_(zone_freep) Zone *z = calloc(1, sizeof(*z));
        _cleanup_(freep) int64_t(*pairs)[2] = NULL;
        int r;

        if (!z)
                return -ENOMEM;
        r = json_decode_number_pairs(json, size, ZONE_TRANSITIONS_MAX, &pairs, &z->count, e);
        if (r < 0)
                return r;
        if (z->count == 0)
                return error_set(e, -EINVAL, "bad-zone", "The time zone has no offset.");
        z->name = strdup(name);
        z->transitions = calloc(z->count, sizeof(*z->transitions));
        if (!z->name || !z->transitions)
                return -ENOMEM;
        for (size_t i = 0; i < z->count; i++) {
                r = transition_set(z, i, pairs[i], e);
                if (r < 0)
                        return r;
        }
        z->offset_before_sec = z->transitions[0].offset_sec;
        *ret = TAKE_PTR(z);
        return 0;
}

/* How many transitions there are at this instant or before. */
static size_t transitions_until(const Zone *z, int64_t utc_usec) {
        size_t low = 0, high = z->count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (z->transitions[middle].utc_usec <= utc_usec)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

/* The offset that counts after the first n transitions. */
static int64_t offset_usec(const Zone *z, size_t n) {
        int32_t sec = n > 0 ? z->transitions[n - 1].offset_sec : z->offset_before_sec;

        return sec * (int64_t) USEC_PER_SEC;
}

int64_t zone_local_reached(const Zone *z, int64_t utc_usec) {
        size_t n = transitions_until(z, utc_usec);
        int64_t reached = utc_usec + offset_usec(z, n);

        for (; n > 0 && z->transitions[n - 1].utc_usec >= utc_usec - 2 * OFFSET_USEC_MAX; n--) {
                int64_t before = z->transitions[n - 1].utc_usec - 1 + offset_usec(z, n - 1);

                if (before > reached)
                        reached = before;
        }
        return reached;
}

int64_t zone_first_instant(const Zone *z, int64_t local_usec) {
        for (size_t n = transitions_until(z, local_usec - OFFSET_USEC_MAX);; n++) {
                int64_t utc_usec = local_usec - offset_usec(z, n);

                if (n > 0 && utc_usec < z->transitions[n - 1].utc_usec)
                        utc_usec = z->transitions[n - 1].utc_usec;
                if (n == z->count || utc_usec < z->transitions[n].utc_usec)
                        return utc_usec;
        }
}

int32_t zone_offset_sec(const Zone *z, int64_t utc_usec) {
        return (int32_t) (offset_usec(z, transitions_until(z, utc_usec)) / (int64_t) USEC_PER_SEC);
}

bool zone_gap(const Zone *z, int64_t utc_usec, int64_t *ret_from, int64_t *ret_until) {
        size_t n = transitions_until(z, utc_usec);

        if (n == 0 || z->transitions[n - 1].utc_usec != utc_usec)
                return false;
        *ret_from = utc_usec + offset_usec(z, n - 1);
        *ret_until = utc_usec + offset_usec(z, n);
        return *ret_from < *ret_until;
}

bool zone_repeats(const Zone *z, int64_t utc_usec) {
        size_t n = transitions_until(z, utc_usec);
        int64_t local = utc_usec + offset_usec(z, n);

        for (; n < z->count && z->transitions[n].utc_usec <= utc_usec + 2 * OFFSET_USEC_MAX; n++)
                if (local >= z->transitions[n].utc_usec + offset_usec(z, n + 1))
                        return true;
        return false;
}
