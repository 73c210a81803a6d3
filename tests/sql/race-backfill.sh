# Backfills of one range while runs end, others tick, and versions are deployed: at most so many at a time, of each due time one at a time, all of them.
. "$(dirname "$0")/lib.sh"

sql "CREATE FUNCTION t.deploy(p_n text) RETURNS json LANGUAGE sql AS \$\$
        SELECT t.pipe('p', '{a}', jsonb_build_object('description', p_n, 'schedules', '[{\"name\": \"s\", \"cron\": [\"@hourly\"]}]'::jsonb)) \$\$" \
    "SELECT t.deploy('1'), t.agent('n1', 1000), t.sync('n1')" "UPDATE sluice.schedule SET after_at = '2024-04-01', look_at = NULL" \
    "CREATE FUNCTION t.finish() RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
        PERFORM t.sync('n1');
        PERFORM t.events('n1', t.success(x.attempt, x.epoch)) FROM (SELECT attempt, epoch FROM sluice.assignment ORDER BY random() LIMIT 2) x;
END \$\$" >/dev/null

ask() { # more
        sql "SELECT api.backfill_create(t.h('owner'), 'default', 'p', 's', '{\"from\": \"2024-03-01\", \"to\": \"2024-03-02 06:00\", \"concurrency\": 3}'::jsonb || '$1', NULL) ->> 'backfill'"
}
one=$(ask '{}')
two=$(ask '{"again": true}')
plan() { # backfill
        echo "SELECT api.schedules_fire(jsonb_build_array(jsonb_build_object('schedule', s.id, 'backfill', '$1', 'more', false, 'dues', (
                SELECT jsonb_agg(jsonb_build_object('at_usec', sluice.to_usec('2024-03-01Z'::timestamptz + n * interval '1 hour'))) FROM generate_series(0, 29) n)))) FROM sluice.schedule s \\g /dev/null"
}
work="$(repeat 60 "SELECT api.tick() \\g /dev/null")"
race "$(plan "$one")
$work" "$(plan "$one")
$work" "$(plan "$two")
$work" "$(repeat 60 "SELECT t.finish() \\g /dev/null")" "$(repeat 60 "SELECT t.finish() \\g /dev/null")" "$(repeat 20 "SELECT t.deploy('@') \\g /dev/null")"
for i in $(seq 200); do
        [ "$(sql "SELECT count(*) FROM sluice.backfill WHERE ended_at IS NULL")" = 0 ] && break
        sql "SELECT t.finish() FROM generate_series(1, 20)" "SELECT api.tick()" "SELECT api.dispatch()" >/dev/null
done
is "$(sql "SELECT string_agg(state || coalesce(reason, ''), ' ') FROM sluice.backfill")" "done done" "both end"
is "$(sql "SELECT max(n) <= 3 FROM (SELECT (SELECT count(*) FROM sluice.backfill_due x JOIN sluice.run o ON o.id = x.run
                                             WHERE x.backfill = d.backfill AND o.created_at <= r.created_at AND o.ended_at > r.created_at) AS n
                                     FROM sluice.backfill_due d JOIN sluice.run r ON r.id = d.run) y")" t "never more at a time than was asked for"
is "$(sql "SELECT count(DISTINCT due_at) = 30 AND count(DISTINCT run) = count(run) AND count(run) >= 30 FROM sluice.backfill_due")" t "each due time has its run"
is "$(sql "SELECT count(*) FROM sluice.run r FULL JOIN (SELECT * FROM sluice.backfill_due WHERE run IS NOT NULL) d ON d.run = r.id AND d.due_at = r.scheduled_at WHERE r.id IS NULL OR d.run IS NULL")" 0 "and each run its due time"
is "$(sql "SELECT count(*) FROM sluice.run a JOIN sluice.run b ON a.scheduled_at = b.scheduled_at AND a.id < b.id WHERE b.created_at < a.ended_at")" 0 "no two runs of a due time at a time"
done_testing
