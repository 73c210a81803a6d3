/* Assignment, lease and fencing of one task, with two agents. tests/model/check runs it; docs/decisions/0006-fencing.md
 * says in words what it shows.
 *
 * What stands for what:
 *   control plane  state, attempt, epoch, owner: the rows of the task's attempts. A new attempt has a new name, each
 *                  assignment of one a new epoch. heard: the age of presence.last_seen_at of the owner.
 *   PID 1          unit: on each host one for each attempt, named after it. Survives agentd, not a reboot.
 *   agentd         up, past, offers, waiting: its memory, lost with the process. contact: the age of its last contact, where a
 *                  contact is an answer, and its time that of the request.
 *   D-Bus          asked: a start that agentd has asked for and PID 1 has not seen yet. Survives agentd.
 *   network        said_*: each report that was ever sent may arrive at any later moment, in any order, any number of times
 *                  or never. So may an answer, as long as the process lives that asked. A partition is that nothing arrives.
 *                  What an earlier session asks for is refused by the control plane and has no effect: it is left out.
 *
 * Time is counted in ticks, which all clocks share; what a clock gains or loses is part of the margin. Anything may happen
 * between two ticks. What has a bound in the world (PID 1 stops a unit within STOP, systemd brings agentd back within RESTART)
 * holds up the tick that would pass its bound. What has none (a message, agentd where RESTART is not defined, the sweep for
 * lost agents, a start that D-Bus holds) does not.
 *
 * POLICY is OnAgentLoss=: WAIT, RETRY or FAIL. AT_MOST_ONCE is Delivery=. FENCE: who watches SelfFenceSec= while agentd is dead:
 *   BY_START  nobody; agentd counts from its own start
 *   BY_STAMP  nobody; agentd keeps the time of its last contact across its starts
 *   BY_PID1   PID 1, which has a deadline that agentd moves with each contact
 * Each NO_... takes one rule out, and FROM_ANSWER lets agentd count from the answer: then a property must fail. */

#define WAIT 0
#define RETRY 1
#define FAIL 2
#define BY_START 0
#define BY_STAMP 1
#define BY_PID1 2

#ifndef POLICY
#define POLICY RETRY
#endif
#ifndef FENCE
#define FENCE BY_PID1
#endif
#ifdef AT_MOST_ONCE
#define ONCE true
#else
#define ONCE false
#endif

/* Lengths, in ticks. */
#define SELF_FENCE 2 /* SelfFenceSec= */
#define STOP 1       /* TimeoutStopSec=, and SIGKILL to the whole cgroup */
#define STALE 1      /* how much older than the last contact last_seen_at may be: it is written in batches */
#ifdef RESTART       /* agentd is back after so long, at the latest */
#define DEAD RESTART
#else
#define DEAD 0
#endif
#ifndef GRACE
#define GRACE (SELF_FENCE + STOP + STALE + 1)
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef REBOOTS
#define REBOOTS 0
#endif
#define REFUSALS 1

/* A second attempt may follow a loss; only then need the first be fenced. */
#ifdef NO_DELIVERY_CHECK
#define TAKEN_OVER (POLICY == RETRY)
#else
#define TAKEN_OVER (POLICY == RETRY && !ONCE)
#endif
#ifdef NO_SELF_FENCE
#define FENCED false
#else
#define FENCED TAKEN_OVER
#endif

/* States of the task's last attempt, at the control plane. */
#define QUEUED 0
#define ASSIGNED 1
#define RUNNING 2
#define OVER 3

/* States of a unit. */
#define NONE 0
#define LIVE 1
#define STOPPING 2
#define EXITED 3

#define EPOCHS 3
#define SLOT(host, n) ((host) * 2 + (n) - 1)                /* of attempt n on the host */
#define OFFERS_OF(n) (7 << (((n) - 1) * EPOCHS))            /* attempt n with any epoch */
#define TOKEN(n, e) (1 << (((n) - 1) * EPOCHS + (e) - 1))   /* attempt n with epoch e */

byte state = QUEUED, attempt = 1, epoch, owner, heard;
bool session_known[2] = true, boot_known[2] = true;

byte unit[4], unit_epoch[4], stopping_for[4], offer_age[4]; /* each of SLOT() */

bool up[2] = true, waiting[2], answered[2];
byte contact[2] = SELF_FENCE, request[2], offers[2], past[2], dead_for[2];
byte asked[2], asked_epoch[2], asked_age[2]; /* attempt, 0: none; and the age of the request that brought it */

byte said_running[2], said_ended[2], said_refused[2];

byte crashes, reboots, refusals, starts;
bool healed;

hidden byte s, n, e, i, k; /* of one step */

/* The token is out on the host, as the control plane sees it. */
#define OUT(host, n, e) ((state == ASSIGNED || state == RUNNING) && owner == (host) && attempt == (n) && epoch == (e))
#define EXECUTES(s) (unit[s] == LIVE || unit[s] == STOPPING)
#define BUSY(host) (EXECUTES(SLOT(host, 1)) || EXECUTES(SLOT(host, 2)) || asked[host])

/* The task's assignment is on the host. */
#define OWNS(host) ((state == ASSIGNED || state == RUNNING) && owner == (host))
/* Something is to be said between the host and the control plane. */
#define CONCERNED(host) (OWNS(host) || asked[host] || unit[SLOT(host, 1)] || unit[SLOT(host, 2)] || offers[host])

/* After each step: where nothing depends on a value it has its least interesting one, so that fewer states are told apart. A
 * report that cannot count only tells that the host lives, which makes the control plane wait for longer: it is dropped. */
inline settle_host(host) {
#ifndef NO_EPOCH_CHECK
        if
        :: OWNS(host) ->
                said_running[host] = said_running[host] & TOKEN(attempt, epoch);
                said_ended[host] = said_ended[host] & TOKEN(attempt, epoch);
                said_refused[host] = said_refused[host] & TOKEN(attempt, epoch)
        :: else -> said_running[host] = 0; said_ended[host] = 0; said_refused[host] = 0
        fi;
#endif
        if
        :: CONCERNED(host)
        :: else ->
                up[host] = true; dead_for[host] = 0; past[host] = 0;
                waiting[host] = false; answered[host] = false; request[host] = 0;
                session_known[host] = true; boot_known[host] = true
        fi;
        if
        :: !(offers[host] & OFFERS_OF(1)) -> offer_age[SLOT(host, 1)] = 0
        :: else
        fi;
        if
        :: !(offers[host] & OFFERS_OF(2)) -> offer_age[SLOT(host, 2)] = 0
        :: else
        fi;
        if
        :: !FENCED || (!BUSY(host) && offers[host] == 0) -> contact[host] = SELF_FENCE
        :: else
        fi;
        if
        :: !FENCED -> request[host] = 0; offer_age[SLOT(host, 1)] = 0; offer_age[SLOT(host, 2)] = 0; asked_age[host] = 0
        :: else
        fi
}

inline settle() {
        if
        :: OWNS(0) || OWNS(1)
        :: else -> heard = 0; owner = 0
        fi;
        settle_host(0);
        settle_host(1)
}

/* ---- control plane ---- */

/* A contact. What is written may be older, by STALE at most; the younger one is chosen only where it must. */
inline hear(h, fresh) {
        if
        :: owner == (h) && (fresh || heard > STALE) -> heard = 0
        :: else
        fi
}

inline give_up_or_retry() {
        if
        :: TAKEN_OVER && attempt == 1 -> attempt = 2; epoch = 0; state = QUEUED
        :: else -> state = OVER
        fi;
        owner = 0;
        heard = 0
}

/* The first request of a new boot or session: what the host had and does not list is gone. */
inline see_session(h) {
        if
        :: !boot_known[h] && owner == (h) && (state == ASSIGNED || state == RUNNING) && !unit[SLOT(h, attempt)] ->
                if
                :: state == ASSIGNED && !ONCE && epoch < EPOCHS -> epoch++
                :: else -> give_up_or_retry()
                fi
        :: boot_known[h] && !session_known[h] && owner == (h) && state == RUNNING && !unit[SLOT(h, attempt)] ->
                give_up_or_retry()
        :: else
        fi;
#ifndef NO_SESSION_CHECK
        /* From here on a refusal of an earlier session is void: this one may have begun what that one refused. */
        if
        :: !session_known[h] -> said_refused[h] = 0
        :: else
        fi;
#endif
        boot_known[h] = true;
        session_known[h] = true
}

/* Offers are in answers that came or may yet come. Each may be started, or refused and remembered as past. An offer is void when
 * the request that it answers was made too long ago, whatever younger ones have brought. */
#ifdef NO_START_CHECK
#define VOIDS false
#else
#define VOIDS FENCED
#endif
#define TOO_OLD(age) (VOIDS && (age) >= SELF_FENCE)

/* Agentd lists the units once PID 1 has seen all that an earlier agentd had asked for. */
#ifdef NO_BARRIER
#define LISTABLE(h) true
#else
#define LISTABLE(h) (asked[h] == 0)
#endif

#ifdef NO_OFFER_TWICE
bool offered;
#define MAY_OFFER !offered
#define OFFERED_NOW offered = true
#define ASSIGNED_NOW offered = false
#else
#define MAY_OFFER true
#define OFFERED_NOW skip
#define ASSIGNED_NOW skip
#endif

inline offer(h) {
        if
        :: MAY_OFFER && state == ASSIGNED && owner == (h) && !unit[SLOT(h, attempt)] && LISTABLE(h) && !TOO_OLD(request[h]) ->
                offers[h] = offers[h] | TOKEN(attempt, epoch);
                offer_age[SLOT(h, attempt)] = request[h];
                OFFERED_NOW
        :: else
        fi
}

inline answer(h, fresh) {
        hear(h, fresh);
        see_session(h);
        offer(h);
        answered[h] = true
}

inline assign(h) {
        epoch++;
        owner = (h);
        state = ASSIGNED;
        heard = 0;
        ASSIGNED_NOW
}

/* The report is of the assignment; any other is kept as evidence and has no effect. */
#ifdef NO_EPOCH_CHECK
#define COUNTS(h, n, e) ((state == ASSIGNED || state == RUNNING) && owner == (h) && attempt == (n))
#else
#define COUNTS(h, n, e) OUT(h, n, e)
#endif

inline take_running(h, n, e) {
        if
        :: COUNTS(h, n, e) && state == ASSIGNED -> state = RUNNING
        :: else
        fi;
        hear(h, true)
}

inline take_ended(h, n, e, failed) {
        if
        :: COUNTS(h, n, e) ->
                if
                :: failed -> give_up_or_retry() /* here Retry= and OnAgentLoss= lead to the same */
                :: else -> state = OVER; owner = 0; heard = 0
                fi
        :: else -> hear(h, true)
        fi
}

inline take_refused(h, n, e) {
        if
        :: COUNTS(h, n, e) && state == ASSIGNED -> state = QUEUED; owner = 0; heard = 0
        :: else -> hear(h, true)
        fi
}

/* ---- PID 1 ---- */

/* A start says until when it is good, and PID 1 is not asked for it later. */
#ifdef NO_START_DEADLINE
#define MAY_START(h) true
#else
#define MAY_START(h) (!TOO_OLD(asked_age[h]))
#endif

inline start(h) {
        s = SLOT(h, asked[h]);
        if
        :: unit[s] == NONE && MAY_START(h) ->
                unit[s] = LIVE;
                unit_epoch[s] = asked_epoch[h];
                if
                :: ONCE -> starts++
                :: else
                fi;
                if
                :: up[h] -> said_running[h] = said_running[h] | TOKEN(asked[h], asked_epoch[h])
                :: else
                fi;
                assert(!ONCE || starts <= 1);                                             /* never twice */
                assert(EXECUTES(0) + EXECUTES(1) + EXECUTES(2) + EXECUTES(3) <= 1)        /* never in two places */
        :: else
        fi;
        asked[h] = 0;
        asked_epoch[h] = 0;
        asked_age[h] = 0
}

inline exit_unit(h, n) {
        s = SLOT(h, n);
        unit[s] = EXITED;
        stopping_for[s] = 0;
        if
        :: up[h] -> said_ended[h] = said_ended[h] | TOKEN(n, unit_epoch[s])
        :: else
        fi
}

/* ---- agentd ---- */

#define OFFERED(h, n, e) (up[h] && (offers[h] & TOKEN(n, e)))
#define UP_TO(n, e) (((2 << ((e) - 1)) - 1) << (((n) - 1) * EPOCHS)) /* tokens of attempt n up to epoch e */
#define PAST(h, n, e) ((past[h] >> (((n) - 1) * EPOCHS + (e) - 1)) & (7 >> ((e) - 1))) /* with this epoch or a later one */
#define FREE(h, n, e) (!PAST(h, n, e) && !unit[SLOT(h, n)] && LISTABLE(h))

inline ask(h, n, e) {
        asked[h] = n;
        asked_epoch[h] = e;
        asked_age[h] = offer_age[SLOT(h, n)];
        offers[h] = offers[h] & ~UP_TO(n, e);
        if
        :: contact[h] > offer_age[SLOT(h, n)] -> contact[h] = offer_age[SLOT(h, n)]
        :: else
        fi
}

inline refuse(h, n, e) {
        past[h] = past[h] | TOKEN(n, e);
        offers[h] = offers[h] & ~UP_TO(n, e);
        said_refused[h] = said_refused[h] | TOKEN(n, e)
}

/* What an answer says of one unit: stop what was given up, let go of what is stored. */
inline compare(h, n) {
        s = SLOT(h, n);
        if
        :: unit[s] == LIVE && !OUT(h, n, unit_epoch[s]) -> unit[s] = STOPPING
        :: unit[s] == EXITED && !OUT(h, n, unit_epoch[s]) ->
                past[h] = past[h] | TOKEN(n, unit_epoch[s]);
                unit[s] = NONE;
                unit_epoch[s] = 0
        :: else
        fi
}

inline receive(h) {
#ifdef FROM_ANSWER
        contact[h] = 0;
#else
        contact[h] = request[h];
#endif
        compare(h, 1);
        compare(h, 2);
        waiting[h] = false;
        answered[h] = false;
        request[h] = 0
}

/* It is back: it knows the units from PID 1, and owes what they say. */
inline owe(h, n) {
        s = SLOT(h, n);
        if
        :: unit[s] == NONE
        :: unit[s] == EXITED -> said_ended[h] = said_ended[h] | TOKEN(n, unit_epoch[s])
        :: else -> said_running[h] = said_running[h] | TOKEN(n, unit_epoch[s])
        fi
}

inline restart(h) {
        up[h] = true;
        dead_for[h] = 0;
        session_known[h] = false;
        if
        :: FENCE == BY_START -> contact[h] = 0
        :: else
        fi;
        owe(h, 1);
        owe(h, 2)
}

inline crash(h) {
        up[h] = false;
        waiting[h] = false;
        answered[h] = false;
        request[h] = 0;
        offers[h] = 0;
        offer_age[SLOT(h, 1)] = 0; offer_age[SLOT(h, 2)] = 0;
        past[h] = 0
}

inline lose_units(h) {
        unit[SLOT(h, 1)] = NONE; unit[SLOT(h, 2)] = NONE;
        unit_epoch[SLOT(h, 1)] = 0; unit_epoch[SLOT(h, 2)] = 0;
        stopping_for[SLOT(h, 1)] = 0; stopping_for[SLOT(h, 2)] = 0;
        asked[h] = 0;
        asked_epoch[h] = 0;
        asked_age[h] = 0
}

/* A unit that is to be fenced, and somebody who does it. */
#define DUE(h, n) (FENCED && contact[h] >= SELF_FENCE && unit[SLOT(h, n)] == LIVE && (FENCE == BY_PID1 || up[h]))

/* ---- time ---- */

#define MAY_AGE(s) (unit[s] != STOPPING || stopping_for[s] < STOP)
#define MAY_TICK(h) (!DUE(h, 1) && !DUE(h, 2) && MAY_AGE(SLOT(h, 1)) && MAY_AGE(SLOT(h, 2)) \
                     && (up[h] || DEAD == 0 || dead_for[h] < DEAD))

inline age_unit(s) {
        if
        :: unit[s] == STOPPING -> stopping_for[s]++
        :: else
        fi
}

inline age_offer(h, n) {
        s = SLOT(h, n);
        if
        :: (offers[h] & OFFERS_OF(n)) && offer_age[s] < SELF_FENCE -> offer_age[s]++
        :: else
        fi;
        if
        :: TOO_OLD(offer_age[s]) -> offers[h] = offers[h] & ~OFFERS_OF(n); offer_age[s] = 0
        :: else
        fi
}

inline age(h) {
        if
        :: contact[h] < SELF_FENCE -> contact[h]++
        :: else
        fi;
        if
        :: waiting[h] && request[h] < SELF_FENCE -> request[h]++
        :: else
        fi;
        if
        :: !up[h] && DEAD > 0 -> dead_for[h]++
        :: else
        fi;
        if
        :: asked[h] && asked_age[h] < SELF_FENCE -> asked_age[h]++
        :: else
        fi;
        age_unit(SLOT(h, 1));
        age_unit(SLOT(h, 2));
        age_offer(h, 1);
        age_offer(h, 2)
}

/* ---- healing: from any state, without a further fault, the run ends and nothing is left on any host ---- */

#define CLEAN (state == OVER && !unit[0] && !unit[1] && !unit[2] && !unit[3] && !asked[0] && !asked[1])

inline report(h, n) {
        s = SLOT(h, n);
        if
        :: EXECUTES(s) -> e = unit_epoch[s]; take_running(h, n, e)
        :: unit[s] == EXITED -> e = unit_epoch[s]; take_ended(h, n, e, false)
        :: else
        fi
}

inline heal() {
        i = 0;
        do
        :: i >= 16 || CLEAN -> break
        :: else ->
                k = i % 2;
                /* PID 1 does what it was asked and what is due; agentd comes back; tasks come to their end. */
                if
                :: asked[k] -> start(k)
                :: else
                fi;
                if
                :: !up[k] -> restart(k)
                :: else
                fi;
                report(k, 1); report(k, 2);
                if
                :: EXECUTES(SLOT(k, 1)) -> exit_unit(k, 1)
                :: else
                fi;
                if
                :: EXECUTES(SLOT(k, 2)) -> exit_unit(k, 2)
                :: else
                fi;
                report(k, 1); report(k, 2);
                /* Refusals that were on their way arrive; the others are old. */
                n = attempt; e = epoch;
                if
                :: epoch > 0 && (said_refused[k] & TOKEN(n, e)) -> take_refused(k, n, e)
                :: else
                fi;
                /* A request and its answer. */
                if
                :: state == QUEUED && epoch < EPOCHS -> assign(k)
                :: else
                fi;
                answer(k, true);
                receive(k);
                contact[k] = 0;
                n = attempt; e = epoch;
                if
                :: epoch > 0 && OFFERED(k, n, e) && FREE(k, n, e) -> ask(k, n, e)
                :: else
                fi;
                i++
        od;
        assert(CLEAN) /* the run can end */
}

/* Nothing happens after the healing, and no two ways to it need be told apart. */
inline close() {
        healed = true;
        starts = 0; crashes = 0; reboots = 0; refusals = 0;
        owner = 0; attempt = 0; epoch = 0; heard = 0;
        i = 0;
        do
        :: i < 2 ->
                session_known[i] = true; boot_known[i] = true; up[i] = true; waiting[i] = false; answered[i] = false;
                contact[i] = 0; request[i] = 0; offers[i] = 0; past[i] = 0; dead_for[i] = 0;
                said_running[i] = 0; said_ended[i] = 0; said_refused[i] = 0;
                offer_age[SLOT(i, 1)] = 0; offer_age[SLOT(i, 2)] = 0;
                i++
        :: else -> break
        od;
        i = 0
}

/* What may happen with attempt n and epoch e: options of a choice. */
#define REPORTS(n, e) \
        :: d_step { (said_running[h] & TOKEN(n, e)) -> take_running(h, n, e) } \
        :: d_step { (said_ended[h] & TOKEN(n, e)) -> take_ended(h, n, e, false) } \
        :: d_step { (said_ended[h] & TOKEN(n, e)) -> take_ended(h, n, e, true) } \
        :: d_step { (said_refused[h] & TOKEN(n, e)) -> take_refused(h, n, e) }
#define OFFERS(n, e) \
        :: d_step { OFFERED(h, n, e) && FREE(h, n, e) && asked[h] == 0 -> ask(h, n, e) } \
        :: d_step { OFFERED(h, n, e) && FREE(h, n, e) && refusals < REFUSALS -> refusals++; refuse(h, n, e) }
#define UNITS(n) \
        :: d_step { EXECUTES(SLOT(h, n)) -> exit_unit(h, n) } \
        :: d_step { DUE(h, n) -> unit[SLOT(h, n)] = STOPPING }

#define h _pid

/* A host, and what of the network is before it. */
active [2] proctype host() provided (!healed) {
end:    do
        :: atomic {
                if
                REPORTS(1, 1) REPORTS(1, 2) REPORTS(1, 3) REPORTS(2, 1) REPORTS(2, 2) REPORTS(2, 3)
                OFFERS(1, 1) OFFERS(1, 2) OFFERS(1, 3) OFFERS(2, 1) OFFERS(2, 2) OFFERS(2, 3)
                UNITS(1) UNITS(2)
                /* Requests and answers. A request that had no answer is made anew. */
                :: d_step { up[h] && CONCERNED(h) && (!waiting[h] || request[h] > 0 || answered[h]) ->
                        waiting[h] = true; answered[h] = false; request[h] = 0 }
                :: d_step { waiting[h] -> answer(h, true) }
                :: d_step { waiting[h] -> answer(h, false) }
                :: d_step { waiting[h] && answered[h] -> receive(h) }
                :: d_step { asked[h] -> start(h) }
                /* Faults. */
                :: d_step { crashes < CRASHES && up[h] && (waiting[h] || offers[h] || past[h] || BUSY(h)) -> crashes++; crash(h) }
                :: d_step { !up[h] && LISTABLE(h) -> restart(h) }
                :: d_step { reboots < REBOOTS && (waiting[h] || offers[h] || past[h] || BUSY(h)) ->
                        reboots++; lose_units(h); crash(h); boot_known[h] = false }
                fi;
                d_step { settle() }
        }
        od
}

#undef h

active proctype control_plane() provided (!healed) {
end:    do
        :: atomic {
                if
                /* The queue: whoever has a slot. The first agent is called 0. */
                :: d_step { state == QUEUED && epoch < EPOCHS -> assign(0) }
                :: d_step { state == QUEUED && epoch < EPOCHS && (epoch > 0 || attempt > 1) -> assign(1) }
                /* The sweep for lost agents. */
                :: d_step { POLICY != WAIT && (state == ASSIGNED || state == RUNNING) && heard >= GRACE -> give_up_or_retry() }
                /* Time. */
                :: d_step {
                        MAY_TICK(0) && MAY_TICK(1) ->
                        age(0); age(1);
                        if
                        :: heard < GRACE && (state == ASSIGNED || state == RUNNING) -> heard++
                        :: else
                        fi
                }
                fi;
                d_step { settle() }
        }
#ifndef NO_HEALING
        /* The end of faults, at any moment. */
        :: d_step { true -> heal(); close() }
#endif
        od
}
