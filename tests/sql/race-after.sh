# Pipes that run after others, while many sessions end runs, and versions are deployed: each end counts once, no circle comes about, and
# nobody waits for ever.
. "$(dirname "$0")/lib.sh"

sql "CREATE FUNCTION t.after(p_pipe text, p_cause text, p_policy text DEFAULT 'allow') RETURNS json LANGUAGE sql AS \$\$
        SELECT t.pipe(p_pipe, '{a}', jsonb_build_object('concurrency_policy', p_policy, 'schedules', jsonb_build_array(jsonb_build_object('name', 's', 'after_pipe_any', jsonb_build_array(p_cause))))) \$\$" \
    "CREATE FUNCTION t.finish() RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
        PERFORM t.sync('n1');
        PERFORM t.events('n1', t.success(x.attempt, x.epoch)) FROM (SELECT attempt, epoch FROM sluice.assignment ORDER BY random() LIMIT 2) x;
END \$\$" \
    "SELECT t.agent('n1', 1000), t.sync('n1'), t.pipe('cause', '{a}'), t.pipe('one', '{a}'), t.pipe('two', '{a}')" >/dev/null

# Two who close one circle from both ends.
behind "SELECT t.after('one', 'two') \\g /dev/null" "SELECT t.error('SELECT t.after(''two'', ''one'')')"
is "$(grep ZF "$WORK/race.2")" "ZF409 pipes-in-a-circle" "who closes a circle waits for the other, and is refused"
behind "SELECT api.pipe_put_many(t.h('editor'), 'default', '{\"pipes\": []}'), t.after('three', 'four') \\g /dev/null" "SELECT t.after('four', 'five')"

# Ends, starts, ticks and deployments.
sql "SELECT t.after('all', 'cause')" "SELECT t.after('each', 'cause', 'queue')" "SELECT t.after('next', 'all', 'forbid')" >/dev/null
begin="$(repeat 40 "SELECT t.run('cause') \\g /dev/null")"
end="$(repeat 60 "SELECT t.finish() \\g /dev/null")"
cancel="$(repeat 20 "SELECT api.run_cancel(t.h('owner'), r.id) FROM (SELECT id FROM sluice.run WHERE ended_at IS NULL ORDER BY random() LIMIT 1) r \\g /dev/null")"
tick="$(repeat 60 "SELECT api.tick() \\g /dev/null")"
deploy="$(repeat 15 "SELECT t.after('each', 'cause', 'allow'), t.after('next', 'all', 'queue') \\g /dev/null
SELECT t.after('each', 'cause', 'queue'), t.after('next', 'all', 'replace') \\g /dev/null")"
race "$begin" "$begin" "$end" "$cancel" "$tick" "$deploy"
for i in $(seq 200); do
        [ "$(sql "SELECT count(*) FROM sluice.run WHERE ended_at IS NULL")$(sql "SELECT count(*) FROM sluice.schedule_due WHERE begin_at IS NOT NULL")" = 00 ] && break
        sql "SELECT t.finish() FROM generate_series(1, 20)" "SELECT api.tick()" "SELECT api.dispatch()" >/dev/null
done
is "$(sql "SELECT count(*) FROM sluice.run WHERE ended_at IS NULL")$(sql "SELECT count(*) FROM sluice.schedule_due WHERE begin_at IS NOT NULL")" 00 "nothing waits for ever"
is "$(sql "SELECT count(*) FROM sluice.run WHERE pipe = 'cause'")" 80 "all causes have run"
is "$(sql "SELECT string_agg(concat_ws(' ', x.pipe, x.causes = x.ends, x.dues = x.causes), ', ' ORDER BY x.pipe)
             FROM (SELECT s.pipe, count(DISTINCT d.cause) AS causes, count(*) AS dues, (SELECT count(*) FROM sluice.run r WHERE r.pipe = a.cause) AS ends
                     FROM sluice.schedule s JOIN sluice.pipe_after a ON a.schedule = s.id JOIN sluice.schedule_due d ON d.schedule = s.id GROUP BY s.pipe, a.cause) x")" \
   "all t t, each t t, next t t" "each end has its due time, and one"
is "$(sql "SELECT count(*) FROM sluice.run r FULL JOIN (SELECT * FROM sluice.schedule_due WHERE run IS NOT NULL) d ON d.run = r.id AND d.schedule = r.schedule AND d.due_at = r.scheduled_at
            WHERE r.schedule IS NOT NULL AND d.run IS NULL OR d.run IS NOT NULL AND r.id IS NULL")" 0 "each run has its due time, and each due time its run"
is "$(sql "SELECT count(*) FROM sluice.schedule WHERE error IS NOT NULL")" 0 "nothing failed on the way"
done_testing
