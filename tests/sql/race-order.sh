# Two sessions in a certain order: the second comes while the first has not committed.
. "$(dirname "$0")/lib.sh"

sql "SELECT t.agent('one', 2)" "SELECT t.pipe('p', '{a}'), t.pipe('once', '{a}', '{\"delivery\": \"at-most-once\"}')" >/dev/null
new() { # run and attempt of a pipe
        run=$(sql "SELECT t.run('${1-p}')")
        a=$(sql "SELECT (t.attempt('$run')).id")
}
run_is() { sql "SELECT state, outcome, cancel_requested_at IS NOT NULL FROM sluice.run WHERE id = '$run'"; }

# One instance asks twice: it gets its slots once.
sql "SELECT t.sync('one')" "SELECT t.silent('one', '91 seconds')" "SELECT t.run('p') FROM generate_series(1, 5)" \
    "SELECT t.silent('one', '0')" >/dev/null
behind "SELECT t.sync('one');" "SELECT t.sync('one')"
is "$(sql "SELECT count(*) FROM sluice.assignment")" 2 "one instance that asks twice at once fills its slots once"

# The last slot: for the run that came first.
sql "SELECT t.events('one', VARIADIC array_agg(t.success(attempt))) FROM sluice.assignment" >/dev/null
sql "SELECT t.events('one', VARIADIC array_agg(t.success(attempt))) FROM sluice.assignment" >/dev/null
is "$(sql "SELECT count(*) FROM sluice.assignment")/$(sql "SELECT count(*) FROM sluice.queue")" 1/0 "one slot is left"
beside "SELECT t.run('p')" "SELECT t.run('p')"
is "$(sql "SELECT count(*), min((SELECT sluice.verdict_of(attempt) FROM sluice.queue)) FROM sluice.assignment")" \
   "2|all 2 slots of the 1 connected instances of type batch are taken" "the last slot goes to the run that came first"
sql "SELECT t.events('one', VARIADIC array_agg(t.success(attempt))) FROM sluice.assignment" >/dev/null
sql "SELECT t.events('one', VARIADIC array_agg(t.success(attempt))) FROM sluice.assignment" >/dev/null

# An end and a cancel.
new
behind "SELECT t.events('one', t.success('$a'));" "SELECT api.run_cancel(t.h('owner'), '$run')"
is "$(run_is)" "succeeded|success|f" "a cancel after the end changes nothing"
new
behind "SELECT api.run_cancel(t.h('owner'), '$run');" "SELECT t.events('one', t.success('$a'))"
is "$(run_is) $(sql "SELECT outcome, result FROM sluice.attempt WHERE id = '$a'")" "cancelled|cancelled|t cancelled|success" \
   "an end after the cancel is a cancelled one"

# An instance that asks while the run that it could have is being cancelled, and the other way round.
sql "SELECT t.sync('one', '[]', '{\"draining\": true}')" >/dev/null
new
behind "SELECT t.sync('one');" "SELECT api.run_cancel(t.h('owner'), '$run')"
is "$(sql "SELECT state FROM sluice.attempt WHERE id = '$a'")" stopping "what was assigned a moment ago is asked to stop"
sql "SELECT t.events('one', t.event('$a', 1, 'refused'))" >/dev/null
is "$(run_is)" "cancelled|cancelled|t" "and ends cancelled"

# The same report of another boot, twice. (That the session before is gone is known: 72-clones.sql has what happens when it is not.)
gone() { sql "UPDATE sluice.instance SET broke_at = clock_timestamp() - interval '1 minute' WHERE id = t.id('one')" >/dev/null; }
new
gone
boot() { echo "t.sync('one', '[]', jsonb_build_object('session', t.id('$1'), 'boot', md5('$1')))"; }
behind "SELECT $(boot next);" "SELECT $(boot next)"
is "$(sql "SELECT epoch, state, (SELECT recover FROM sluice.assignment WHERE attempt = '$a') FROM sluice.attempt WHERE id = '$a'")" \
   "1|assigned|t" "a reboot is seen by both, and what it took is asked for"
sql "UPDATE sluice.instance SET session = t.id('session of one') WHERE id = t.id('one')" "SELECT t.events('one', t.event('$a', 1, 'refused', '{\"requeue\": true}'))" "UPDATE sluice.instance SET session = t.id('next') WHERE id = t.id('one')" "UPDATE sluice.queue SET avoid = NULL, avoid_until = NULL" "SELECT $(boot next)" >/dev/null

# An end, and the first poll of the next boot: what was reported counts.
sql "SELECT t.events('one', t.event('$a', 2, 'running'))" >/dev/null
gone
behind "SELECT t.events('one', t.success('$a', 2));" "SELECT $(boot third)"
is "$(run_is)" "succeeded|success|f" "an end that was reported is not lost with the reboot"
sql "UPDATE sluice.instance SET session = t.id('session of one'), old_sessions = '{}' WHERE id = t.id('one')" >/dev/null

# Two ends of one run: what comes after both begins once, with the later one.
sql "SELECT t.pipe('two', '{a,b,c<a b}')" >/dev/null
new two
b=$(sql "SELECT (t.attempt('$run', 'b')).id")
behind "SELECT t.events('one', t.success('$a'));" "SELECT t.events('one', t.success('$b'))"
is "$(sql "SELECT t.tasks('$run')")" "a:succeeded b:succeeded c:queued" "what waits for both begins after both"

# What waits is placed, or whoever can take it is told to ask.
inside() { # first second: runs second, in another session, before the first commits; answers which instances the first tells
        SECOND=$2 PGOPTIONS="$PGOPTIONS -c lock_timeout=10s" sql "LISTEN sluice" "BEGIN" "$1" '\! psql -X -q -A -t -c "$SECOND" >"$WORK/inside"' "COMMIT" "SELECT 1" | heard
}
heard() { grep -o 'payload "instance [^"]*"' | cut -d' ' -f3 | tr -d '"' | sort -u; }
id_of() { sql "SELECT t.id('$1')"; }
all() { sql "SELECT count(*) || '/' || (SELECT count(*) FROM sluice.queue) FROM sluice.assignment"; }
sql "TRUNCATE sluice.assignment, sluice.queue" "UPDATE sluice.instance SET draining = true" \
    "SELECT t.agent('solo', 1)" "SELECT t.sync('solo')" >/dev/null

# A slot that is being given back while a run is made, neither sees the other, whoever commits first: the look afterwards does.
new
beside "SELECT t.events('solo', t.success('$a'))" "SELECT t.run('p')"
is "$(heard <"$WORK/race.told")/$(all)" "$(id_of solo)/1/0" "a run that is made while an end is reported is given to the instance, which is told"
a=$(sql "SELECT attempt FROM sluice.assignment")
beside "SELECT t.run('p')" "SELECT t.events('solo', t.success('$a'))"
is "$(heard <"$WORK/race.told")/$(all)" "$(id_of solo)/1/0" "so is one that is being made when an end is reported"
a=$(sql "SELECT attempt FROM sluice.assignment")
sql "SELECT t.events('solo', t.success('$a'))" >/dev/null

# So it is with an instance that opens.
sql "SELECT t.sync('solo', '[]', '{\"draining\": true}')" >/dev/null
beside "SELECT t.sync('solo')" "SELECT t.run('p')"
is "$(heard <"$WORK/race.told")/$(all)" "$(id_of solo)/1/0" "and one that is made while an instance stops draining"
a=$(sql "SELECT attempt FROM sluice.assignment")
sql "SELECT t.events('solo', t.success('$a'))" "SELECT t.sync('solo', '[]', '{\"draining\": true}')" >/dev/null
beside "SELECT t.run('p')" "SELECT t.sync('solo')"
is "$(heard <"$WORK/race.told")/$(all)" "$(id_of solo)/1/0" "or is being made when it does"
a=$(sql "SELECT attempt FROM sluice.assignment")
sql "SELECT t.events('solo', t.success('$a'))" >/dev/null

# Late news from where the run was before hold it while an instance asks for it.
new
sql "SELECT t.events('solo', t.event('$a', 1, 'refused', '{\"requeue\": true}'))" "SELECT t.agent('next', 2)" "SELECT t.sync('next', '[]', '{\"draining\": true}')" \
    "UPDATE sluice.instance SET draining = false WHERE id = t.id('next')" >/dev/null
beside "SELECT t.events('solo', t.event('$a', 0, 'running'))" "SELECT t.sync('next')"
is "$(heard <"$WORK/race.told")/$(all)" "$(id_of next)/1/0" "a run that somebody held is given to the instance that passed over it, which is told"
sql "SELECT t.events('next', t.success('$a', 2))" "UPDATE sluice.instance SET draining = true" >/dev/null

# An instance that passes over a run leaves all of it to the one that has it.
sql "SELECT t.pipe('pair', '{a,b}')" "SELECT t.run('pair')" "UPDATE sluice.instance SET draining = false WHERE id = t.id('next')" >/dev/null
inside "SELECT FROM sluice.run WHERE id IN (SELECT run FROM sluice.queue) FOR NO KEY UPDATE" \
       "BEGIN; SELECT t.sync('next'); SELECT count(*) FROM sluice.queue WHERE xmax <> 0; COMMIT" >/dev/null
is "$(tail -n 1 "$WORK/inside")/$(all)" 0/0/2 "an instance that passes over a run keeps nothing of it from others"
sql "TRUNCATE sluice.queue" >/dev/null

# One that said goodbye and still reports takes hold of nothing.
sql "SELECT api.agent_goodbye(t.h('next'), jsonb_build_object('session', t.id('session of next')))" "SELECT t.run('p')" >/dev/null
inside "SELECT t.events('next', t.success('$a', 2))" \
       "SELECT count(*) FROM (SELECT FROM sluice.run WHERE id IN (SELECT run FROM sluice.queue) FOR UPDATE SKIP LOCKED) r" >/dev/null
is "$(cat "$WORK/inside")" 1 "an instance that is gone holds no run that it cannot have"
sql "TRUNCATE sluice.queue" >/dev/null

# Two calls of a new session, the earlier one delayed: its list is old, what the later one lists runs on.
sql "UPDATE sluice.instance SET draining = true" "SELECT t.sync('one')" >/dev/null
new
sql "SELECT t.events('one', t.event('$a', 1, 'running'))" >/dev/null
gone
behind "SELECT t.sync('one', t.known('$a', 1, 'running'), jsonb_build_object('session', t.id('new')));" \
       "SELECT t.sync('one', '[]', jsonb_build_object('session', t.id('new')))"
is "$(sql "SELECT state FROM sluice.attempt WHERE id = '$a'")" running "the first list of a session counts, and no later one"

# An end that is reported as the agent starts again.
gone
behind "SELECT t.events('one', t.success('$a'));" "SELECT t.sync('one', '[]', jsonb_build_object('session', t.id('newer')))"
is "$(run_is)" "succeeded|success|f" "an end that was reported is not lost with the session"

# Sweeps have locks of runs, and wait neither for what an agent says meanwhile, which comes to those runs, nor for a run.
sql "UPDATE sluice.presence SET last_seen_at = last_seen_at - interval '30 seconds' WHERE instance = t.id('one')" >/dev/null
beside "SELECT sluice.presence_touch(ARRAY[t.id('one')])" "SELECT api.presence_flush(ARRAY[t.id('one')])"
sql "UPDATE sluice.presence SET last_seen_at = last_seen_at - interval '30 seconds' WHERE instance = t.id('one')" "SELECT api.presence_flush(ARRAY[t.id('one')])" >/dev/null
is "$(sql "SELECT last_seen_at > clock_timestamp() - interval '20 seconds' FROM sluice.presence WHERE instance = t.id('one')")" t "who holds a poll is here"
sql "UPDATE sluice.instance SET draining = false WHERE id = t.id('one')" >/dev/null
new
sql "SELECT api.agent_flag_set(t.h('owner'), 'one', 'draining', '{\"deadline_sec\": 0}')" >/dev/null
drain_is() { sql "SELECT x.state, f.escalated_at IS NOT NULL FROM sluice.assignment x, sluice.agent_flag f WHERE x.attempt = '$a'"; }
beside "SELECT FROM sluice.run WHERE id = '$run' FOR NO KEY UPDATE" "SELECT sluice.drain_sweep()"
is "$(drain_is)" "assigned|f" "a drain whose deadline is over leaves a run that somebody is busy with"
sql "SELECT sluice.drain_sweep()" >/dev/null
is "$(drain_is)" "stopping|t" "for the next time"

for locked in "FROM sluice.run WHERE id = '$run'" "FROM sluice.presence WHERE instance = t.id('one')" "FROM sluice.instance WHERE id = t.id('one')"; do
        sql "UPDATE sluice.instance SET self_fence_sec = 60, goodbye_at = NULL WHERE id = t.id('one')" "SELECT t.silent('one', '1 hour')" \
            "UPDATE sluice.attendance SET last_at = clock_timestamp(), since = since - interval '1 day'" >/dev/null
        beside "SELECT $locked FOR NO KEY UPDATE" "SELECT api.presence_flush('{}')"
        is "$(sql "SELECT count(*) FROM sluice.assignment WHERE run = '$run'")" 1 "so does one that gives an agent up"
done

# Who has a table to himself keeps agents from saying that they are here.
locked_up() { sql "UPDATE sluice.attendance SET last_at = clock_timestamp() - interval '$1', since = since - interval '1 day'" >/dev/null; }
for mode in "ACCESS EXCLUSIVE" SHARE; do
        locked_up 0
        beside "LOCK TABLE sluice.key IN $mode MODE" "SELECT api.presence_flush('{}')"
        is "$(sql "SELECT count(*) FROM sluice.assignment WHERE run = '$run'")" 1 "none is given up while a table is locked $mode"
done
locked_up '31 seconds'
sql "SELECT api.presence_flush('{}')" >/dev/null
is "$(sql "SELECT count(*) FROM sluice.assignment WHERE run = '$run'")" 1 "nor before a whole grace after that"

locked_up 0
sql "SELECT api.presence_flush('{}')" >/dev/null
is "$(sql "SELECT count(*) FROM sluice.assignment WHERE run = '$run'")" 0 "until nobody is"

done_testing
