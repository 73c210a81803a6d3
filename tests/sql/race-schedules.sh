# Due times while many workers look after the same schedules, runs end, and versions are deployed: each due time once, and nobody waits
# for ever.
. "$(dirname "$0")/lib.sh"

sql "CREATE FUNCTION t.deploy(p_pipe text, p_policy text) RETURNS json LANGUAGE sql AS \$\$
        SELECT t.pipe(p_pipe, '{a}', jsonb_build_object('concurrency_policy', p_policy, 'schedules', (
                SELECT jsonb_agg(jsonb_build_object('name', n, 'cron', jsonb_build_array('@hourly'), 'missed_runs', 'all')) FROM unnest(ARRAY['x', 'y', 'z']) n))) \$\$" \
    "SELECT t.deploy('one', 'queue'), t.deploy('two', 'forbid')" "UPDATE sluice.schedule SET after_at = clock_timestamp()" >/dev/null

# A worker for which everything is due every 50 milliseconds. It lets the others have the same schedules at once.
sql "CREATE PROCEDURE t.work() LANGUAGE plpgsql AS \$\$
DECLARE
        v json := api.schedules_due(4);
BEGIN
        UPDATE sluice.schedule SET look_at = clock_timestamp()
         WHERE id IN (SELECT s.id FROM sluice.schedule s WHERE s.id IN (SELECT (i ->> 'schedule')::uuid FROM json_array_elements(v -> 'items') i)
                       ORDER BY s.id FOR NO KEY UPDATE);
        COMMIT;
        PERFORM api.schedules_fire((SELECT jsonb_agg(jsonb_build_object(
                        'schedule', i ->> 'schedule', 'after_usec', i -> 'after_usec', 'until_usec', v -> 'now_usec',
                        'next_usec', (v ->> 'now_usec')::int8 + 1,
                        'dues', (SELECT coalesce(jsonb_agg(jsonb_build_object('at_usec', n) ORDER BY n), '[]')
                                   FROM generate_series(((i ->> 'after_usec')::int8 / 50000 + 1) * 50000, (v ->> 'now_usec')::int8, 50000) n)))
                FROM json_array_elements(v -> 'items') i)) WHERE v IS NOT NULL;
END \$\$" >/dev/null

# Each session goes on until there is something to look at, however the machine divides its time among them.
often() {
        echo "DO \$\$
        BEGIN
                FOR i IN 1 .. 5000 LOOP
                        $1;
                        COMMIT;
                        EXIT WHEN i >= 60 AND (SELECT count(*) > 3 FROM sluice.run WHERE schedule IS NOT NULL)
                                  AND EXISTS (SELECT FROM sluice.schedule_due WHERE skipped = 'overlap');
                END LOOP;
        END \$\$;"
}
work="$(often "CALL t.work(); PERFORM api.tick()")"
end="$(often "PERFORM api.run_cancel(t.h('owner'), r.id) FROM (SELECT id FROM sluice.run WHERE ended_at IS NULL ORDER BY random() LIMIT 1) r")"
deploy="$(repeat 15 "SELECT t.deploy('one', 'replace'), t.deploy('two', 'queue') \\g /dev/null
SELECT t.deploy('one', 'queue'), t.deploy('two', 'forbid') \\g /dev/null
SELECT api.schedule_pause(t.h('owner'), 'default', 'one', 'x', '{}') \\g /dev/null
SELECT api.schedule_resume(t.h('owner'), 'default', 'one', 'x') \\g /dev/null")"
race "$work" "$work" "$work" "$end" "$end" "$deploy"

is "$(sql "SELECT count(*) FROM sluice.schedule WHERE error IS NOT NULL")" 0 "nothing failed on the way$(sql "SELECT ': ' || max(error) FROM sluice.schedule")"
is "$(sql "SELECT count(*) > 3 FROM sluice.run WHERE schedule IS NOT NULL")$(sql "SELECT count(*) > 0 FROM sluice.schedule_due WHERE skipped = 'overlap'")" tt "runs have begun, and some have not"
is "$(sql "SELECT count(*) FROM sluice.run r FULL JOIN (SELECT * FROM sluice.schedule_due WHERE run IS NOT NULL) d ON d.run = r.id AND d.schedule = r.schedule AND d.due_at = r.scheduled_at
            WHERE r.id IS NULL OR d.run IS NULL")" 0 "each run has its due time, and each due time its run"
# 50 ms apart without a gap: rows and ranges together say so.
is "$(sql "SELECT count(*) FROM (SELECT due_at - lag(coalesce(until_at, due_at)) OVER (PARTITION BY schedule ORDER BY due_at) AS gap FROM sluice.schedule_due) x
            WHERE gap <> interval '50 milliseconds'")" 0 "no due time is missing, and none is twice"
is "$(sql "SELECT count(*) FROM sluice.schedule_due WHERE until_at IS NOT NULL AND until_at - due_at <> (count - 1) * interval '50 milliseconds'")" 0 "ranges count what is in them"

# What waits for a run wakes when it ends, whoever is faster: up to a hundred due times of each of three schedules, one at a time.
for i in $(seq 400); do
        [ "$(sql "SELECT count(*) FROM sluice.schedule_due WHERE begin_at IS NOT NULL")" = 0 ] && break
        sql "SELECT api.tick() FROM generate_series(1, 10)" "SELECT api.run_cancel(t.h('owner'), id) FROM sluice.run WHERE ended_at IS NULL" >/dev/null
done
is "$(sql "SELECT count(*) FROM sluice.schedule_due WHERE begin_at IS NOT NULL")" 0 "nothing waits for ever"

# One that begins to wait for a run just as it ends.
for order in behind beside; do
        sql "SELECT t.deploy('one', 'queue')" "SELECT t.run('one') AS r" "UPDATE sluice.schedule SET paused_at = NULL, paused_by = NULL, paused_until = NULL" \
            "INSERT INTO sluice.schedule_due (schedule, due_at, begin_at) SELECT id, clock_timestamp(), clock_timestamp() FROM sluice.schedule WHERE pipe = 'one' AND name = 'x'" >/dev/null
        run=$(sql "SELECT id FROM sluice.run WHERE ended_at IS NULL AND pipe = 'one'")
        if [ $order = behind ]; then
                behind "SELECT api.tick() \\g /dev/null" "SELECT api.run_cancel(t.h('owner'), '$run')"
        else
                beside "SELECT api.run_cancel(t.h('owner'), '$run')" "SELECT api.tick()"
        fi
        for i in $(seq 200); do
                [ "$(sql "SELECT api.tick() IS NULL OR count(*) = 0 FROM sluice.schedule_due WHERE begin_at IS NOT NULL")" = t ] && break
        done
        is "$(sql "SELECT count(*) FROM sluice.schedule_due WHERE begin_at IS NOT NULL")" 0 "$order its end, it begins"
        sql "SELECT api.run_cancel(t.h('owner'), id) FROM sluice.run WHERE ended_at IS NULL" >/dev/null
done
done_testing
