# Two sessions of one identity at one moment: the one before shows that it is alive while the next one's patience ends.
. "$SLUICE_TESTS/lib.sh"

new() { # an agent whose session is challenged, and whose next one has waited for long enough
        one=$1
        sql "SELECT t.agent('$one', 5)" "SELECT t.sync('$one')" "$(next)" "$(next)" \
                "UPDATE sluice.instance SET rival_at = rival_at - sluice.challenge_time() WHERE id = t.id('$one')" >/dev/null
}
next() { echo "SELECT t.sync('$one', '[]', jsonb_build_object('session', t.id('next of $one'), 'challenge', (SELECT session FROM sluice.instance WHERE id = t.id('$one'))))"; }
alive() { echo "SELECT t.sync('$one', '[]', jsonb_build_object('challenge', t.id('next of $one')))"; }
error() { echo "SELECT t.error(\$\$$1\$\$)"; }
shown() {
        sql "SELECT concat_ws(' ', CASE session WHEN t.id('next of $one') THEN 'next' ELSE 'first' END,
                              CASE WHEN quarantined_at IS NOT NULL THEN 'quarantined' END, CASE WHEN rival IS NOT NULL THEN 'challenged' END)
               FROM sluice.instance WHERE id = t.id('$one')"
}

new sign
behind "$(alive);" "$(error "$(next)")"
is "$(cat "$WORK/race.2")/$(shown)" "ZF409 quarantined/first quarantined" "a sign of life that is first keeps the next session out"

new silent
behind "$(next);" "$(error "$(alive)")"
is "$(cat "$WORK/race.2")/$(shown)" "ZF409 session-replaced/next" "one that is too late is told that it was replaced"

new both
race "$(error "$(next)")" "$(error "$(alive)")" "$(error "$(next)")" "$(error "$(alive)")"
is "$(shown | grep -cx -e next -e 'first quarantined')" 1 "whoever is first, one of both it is: $(shown)"

# A copy that keeps asking is never taken for the next start while the other one answers.
new many
race "$(repeat 20 "$(error "$(alive)");")" "$(repeat 20 "$(error "$(next)");")"
is "$(shown | grep -cx -e next -e 'first quarantined')" 1 "also when both insist: $(shown)"

done_testing
