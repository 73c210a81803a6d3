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
behind "SELECT t.run('p');" "SELECT t.run('p')"
is "$(sql "SELECT count(*), min((SELECT verdict FROM sluice.queue)) FROM sluice.assignment")" \
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

# The same report of another boot, twice.
new
behind "SELECT t.sync('one', '[]', jsonb_build_object('boot', md5('next')));" \
       "SELECT t.sync('one', '[]', jsonb_build_object('boot', md5('next')))"
is "$(sql "SELECT epoch, state FROM sluice.attempt WHERE id = '$a'")" "2|assigned" "a reboot counts once"

# An end, and the first poll of the next boot: what was reported counts.
sql "SELECT t.events('one', t.event('$a', 2, 'running'))" >/dev/null
behind "SELECT t.events('one', t.success('$a', 2));" "SELECT t.sync('one', '[]', jsonb_build_object('boot', md5('third')))"
is "$(run_is)" "succeeded|success|f" "an end that was reported is not lost with the reboot"

# Two ends of one run: what comes after both begins once, with the later one.
sql "SELECT t.pipe('two', '{a,b,c<a b}')" >/dev/null
new two
b=$(sql "SELECT (t.attempt('$run', 'b')).id")
behind "SELECT t.events('one', t.success('$a'));" "SELECT t.events('one', t.success('$b'))"
is "$(sql "SELECT t.tasks('$run')")" "a:succeeded b:succeeded c:queued" "what waits for both begins after both"

done_testing
