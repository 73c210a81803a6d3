/* Two timers take turns, because a unit that is loaded cannot be given another time: the new one stands before the old one goes.
 * Which of the two is there PID 1 knows, so nothing has to be remembered. */
#include "lease.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "manager.h"
#include "str.h"
#include "timespan.h"

#define TIMERS 2U
#define RELEASE_USEC                                                                               \
        (50 * USEC_PER_MSEC) /* until PID 1 is asked whether it has let go of a timer */
#define WAITS_MAX 40U

struct Lease {
        /* owned */
        sd_bus_slot *call;
        sd_event_source *again;
        char *target;
        char *timers[TIMERS];
        /* borrowed */
        sd_bus *bus;
        lease_done_t done;
        void *userdata;
        uint64_t deadline_usec, started_usec;
        unsigned timer; /* the one that is being started */
        unsigned waits;
        bool move;
};

uint64_t lease_left(uint64_t deadline_usec) {
        uint64_t now = clock_usec(CLOCK_BOOTTIME);

        return deadline_usec > now ? deadline_usec - now : 0;
}

static void finish(Lease *l, int r, const char *words) {
        l->done(l, r, words, l->userdata);
}

static int lease_on_started(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* PID 1's timers count on CLOCK_MONOTONIC. From its own start: what OnBootSec= counts from is another thing in a container. */
static int start_timer(Lease *l) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        uint64_t left = lease_left(l->deadline_usec);
        int r = left > 0 ? manager_message(l->bus, "StartTransientUnit", &m) : -ETIME;

        if (r >= 0)
                r = sd_bus_message_append(
                        m, "ssa(sv)a(sa(sv))", l->timers[l->timer], "fail", 4, "Description", "s",
                        "Deadline of the Sluice agent's contact", "TimersMonotonic", "a(st)", 1,
                        "OnStartupSec", clock_usec(CLOCK_MONOTONIC) + left - l->started_usec,
                        "AccuracyUSec", "t", 100 * USEC_PER_MSEC, "RemainAfterElapse", "b", false,
                        0);
        return r < 0 ? r : manager_send(l->bus, m, &l->call, lease_on_started, l);
}

static int lease_on_target(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Lease *l = userdata;

        (void) error;
        finish(l, e ? -EIO : 0, e ? e->message : NULL);
        return 0;
}

/* The other one still has the deadline before this one. */
static int go_on(Lease *l) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = 0;

        if (l->move)
                r = manager_tell(l->bus, "StopUnit", "ss", l->timers[1 - l->timer], "replace");

        if (r >= 0)
                r = manager_message(l->bus, "StartUnit", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", l->target, "replace");
        return r < 0 ? r : manager_send(l->bus, m, &l->call, lease_on_target, l);
}

static int lease_on_released(sd_event_source *source, uint64_t usec, void *userdata) {
        Lease *l = userdata;
        int r;

        (void) source;
        (void) usec;
        l->again = sd_event_source_disable_unref(l->again);
        r = start_timer(l);
        if (r < 0)
                finish(l, r, strerror(-r));
        return 0;
}

/* Both are there after a renewal that was cut short: the first goes, and the other stands until the new one does. */
static int wait_for_first(Lease *l) {
        int r = 0;

        l->timer = 0;
        if (l->waits++ == 0)
                r = manager_tell(l->bus, "StopUnit", "ss", l->timers[0], "replace");
        return r < 0 ? r
                     : sd_event_add_time_relative(sd_bus_get_event(l->bus), &l->again,
                                                  CLOCK_MONOTONIC, RELEASE_USEC, PROMPT_USEC,
                                                  lease_on_released, l);
}

static int try_other(Lease *l) {
        if (l->timer > 0 || l->waits > 0)
                return wait_for_first(l);
        l->timer = 1;
        return start_timer(l);
}

static int lease_on_started(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Lease *l = userdata;
        bool is_there;
        int r;

        (void) error;
        l->call = sd_bus_slot_unref(l->call);
        is_there = e && str_eq(e->name, "org.freedesktop.systemd1.UnitExists");
        if (!e || (is_there && !l->move)) {
                r = go_on(l);
        } else if (is_there && l->waits < WAITS_MAX) {
                r = try_other(l);
        } else {
                finish(l, -EIO, e->message ? e->message : e->name);
                return 0;
        }
        if (r < 0)
                finish(l, r, strerror(-r));
        return 0;
}

/* What comes after the stops is the target, whose answer is ours. */
static int lift(Lease *l) {
        int r = manager_tell(l->bus, "StopUnit", "ss", l->timers[0], "replace");

        return r < 0 ? r : go_on(l);
}

/* PID 1's timer stands still while the host sleeps, and the deadline does not. */
static int fall(Lease *l) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = manager_message(l->bus, "StopUnit", &m);

        if (r >= 0)
                r = sd_bus_message_append(m, "ss", l->target, "replace");
        return r < 0 ? r : manager_send(l->bus, m, &l->call, lease_on_target, l);
}

int lease_target(const char *instance, char **ret) {
        char *name = *instance ? str_format("sluice-lease@%s.target", instance)
                               : str_format("%s", "sluice-lease.target");

        if (!name)
                return -ENOMEM;
        *ret = name;
        return 0;
}

static int name_units(Lease *l, const char *instance) {
        for (unsigned i = 0; i < TIMERS; i++) {
                l->timers[i] = *instance ? str_format("sluice-fence-%c@%s.timer", 'a' + i, instance)
                                         : str_format("sluice-fence@%c.timer", 'a' + i);
                if (!l->timers[i])
                        return -ENOMEM;
        }
        return lease_target(instance, &l->target);
}

int lease_renew(sd_bus *bus, const char *instance, uint64_t deadline_usec, bool move,
                uint64_t started_usec, lease_done_t done, void *userdata, Lease **ret) {
        _cleanup_(lease_freep) Lease *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        l->bus = bus;
        l->deadline_usec = deadline_usec;
        l->started_usec = started_usec;
        l->done = done;
        l->userdata = userdata;
        l->move = move;
        r = name_units(l, instance);
        if (r >= 0)
                r = deadline_usec == 0               ? lift(l)
                    : lease_left(deadline_usec) == 0 ? fall(l)
                                                     : start_timer(l);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

Lease *lease_free(Lease *l) {
        if (!l)
                return NULL;
        (void) sd_bus_slot_unref(l->call);
        (void) sd_event_source_disable_unref(l->again);
        for (unsigned i = 0; i < TIMERS; i++)
                free(l->timers[i]);
        free(l->target);
        free(l);
        return NULL;
}
