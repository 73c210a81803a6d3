# Eight sessions make and end runs at once on two instances of three slots: no slot is given twice, no attempt to two instances, no run stays open.
q() { psql -qAtX -v ON_ERROR_STOP=1 "$@"; }
q -f "$(dirname "$0")/../fixture.inc" >/dev/null
q -c "SELECT deploy('p'), join_fleet('a', 3), join_fleet('b', 3), sync('a', p_slots => 3), sync('b', p_slots => 3)" >/dev/null
# Before any commit: an instance with more live rows than slots fails the transaction.
q -c "CREATE FUNCTION check_slots() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
        IF (SELECT count(*) FROM sluice.assignment WHERE instance = NEW.instance) > 3 THEN RAISE 'too many'; END IF; RETURN NULL; END \$\$;
      CREATE CONSTRAINT TRIGGER slots AFTER INSERT ON sluice.assignment DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_slots()"
errors=$(mktemp)
for s in 1 2 3 4 5 6 7 8; do
        for _ in $(seq 15); do
                echo "SELECT start_run('p');"
                echo "SELECT report(i, attempt, epoch, '{\"state\":\"ended\",\"result\":\"success\"}') FROM sluice.assignment, (VALUES ('a'), ('b')) v (i)
                      WHERE instance = md5(i)::uuid ORDER BY random() LIMIT 2;"
        done | psql -qAtX >/dev/null 2>>"$errors" &
done
wait
# Ends what is left, as agents would.
for _ in $(seq 300); do
        [ "$(q -c 'SELECT count(*) FROM sluice.assignment')" = 0 ] && break
        q -c "SELECT report(i, attempt, epoch, '{\"state\":\"ended\",\"result\":\"success\"}') FROM sluice.assignment, (VALUES ('a'), ('b')) v (i) WHERE instance = md5(i)::uuid" >/dev/null
done
n=0
check() { n=$((n + 1)); [ "$1" = "$2" ] && echo "ok $n - $3" || { echo "not ok $n - $3"; echo "got $1, wanted $2"; }; }
check "$(grep -c ERROR "$errors")" 0 "no session failed"
[ -s "$errors" ] && sort "$errors" | uniq -c | head
check "$(q -c "SELECT count(*) FROM sluice.run")" 120 "every run was made"
check "$(q -c "SELECT count(*) FROM sluice.run WHERE state = 'succeeded'")" 120 "every run ended"
check "$(q -c "SELECT count(*) FROM sluice.attempt")" 240 "two attempts a run"
check "$(q -c "SELECT count(*) FROM (SELECT run FROM sluice.attempt GROUP BY run HAVING count(DISTINCT instance) > 1) x")" 0 "each run on one instance"
check "$(q -c "SELECT count(*) FROM sluice.queue")" 0 "nothing is left in the queue"
rm -f "$errors"
