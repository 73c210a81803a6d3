# A refusal that was on its way when its agent died: the next session is asked for the same epoch, and answers for it.
. "$SLUICE_TESTS/lib.sh"

sql "SELECT t.pipe('p', '{a}')" >/dev/null
new() { # an agent that has an attempt and takes no other
        one=$1
        sql "SELECT t.agent('$one', 5)" "SELECT t.sync('$one')" >/dev/null
        a=$(sql "SELECT (t.attempt(t.run('p'))).id")
        sql "SELECT t.sync('$one')" "UPDATE sluice.instance SET draining = true" >/dev/null
        is "$(shown)" "assigned 1 0" "$one has an attempt"
}
refusal() { echo "SELECT t.events('$one', t.event('$a', 1, 'refused', '{\"requeue\": true, \"reason\": \"no slot\"}'))"; }
next() { echo "SELECT t.next('$one', '[]', jsonb_build_object('session', t.id('next of $one'), 'draining', true))"; }
shown() {
        sql "SELECT concat_ws(' ', state, epoch, (SELECT count(*) FROM sluice.evidence WHERE attempt = '$a' AND why = 'superseded'))
               FROM sluice.attempt WHERE id = '$a'"
}

new late
is "$(sql "$(next)" | grep -o "$a")" "$a" "the next session is asked for what the last one had"
sql "$(refusal)" >/dev/null
is "$(shown)" "assigned 1 1" "a refusal that comes later from the last one is kept as evidence and changes nothing"
sql "$(refusal)" >/dev/null
is "$(shown)" "assigned 1 1" "once"
sql "SELECT t.events('$one', t.event('$a', 1, 'running'))" >/dev/null
is "$(shown)" "running 1 1" "what it says of the unit counts: that is PID 1's"

new first
behind "$(refusal);" "$(next)"
is "$(grep -c "$a" "$WORK/race.2")/$(shown)" "0/queued 1 0" "a refusal that comes first counts, and the next session is not asked for it"

new second
behind "$(next);" "$(refusal)"
is "$(grep -o "$a" "$WORK/race.1")/$(shown)" "$a/assigned 1 1" "one that comes while the next session begins does not"

# A poll of the last session that has something to say of itself: it must not bring that session back, and the new one to its end.
new stale
behind "$(next);" "SELECT t.error('SELECT t.sync(''$one'', ''[]'', ''{\"slots\": 7}'')')"
is "$(cat "$WORK/race.2") $(sql "SELECT slots, session = t.id('next of $one') FROM sluice.instance WHERE id = t.id('$one')")" \
   "ZF409 session-replaced 5|t" "a poll that overlaps with the next session's first is refused"

done_testing
