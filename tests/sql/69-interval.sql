-- Intervals: from the deployment, from the beginning of a run, from its end; one due time at a time, by the clock of the database.
SET search_path = tap, public;
SELECT no_plan();

SELECT t.agent('n1', 100), t.sync('n1') \g /dev/null
CREATE FUNCTION pg_temp.deploy(p_pipe text, p_more jsonb) RETURNS void LANGUAGE sql AS $$
        SELECT t.pipe(p_pipe, '{a}', jsonb_build_object('schedules', jsonb_build_array('{"name": "s"}'::jsonb || p_more)))
$$;
CREATE FUNCTION pg_temp.s(p_pipe text) RETURNS sluice.schedule LANGUAGE sql AS $$ SELECT s FROM sluice.schedule s WHERE s.pipe = p_pipe $$;
-- Its moment comes now.
CREATE FUNCTION pg_temp.comes(p_pipe text, p_ago interval DEFAULT '0') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
        UPDATE sluice.schedule SET next_at = clock_timestamp() - p_ago WHERE pipe = p_pipe AND next_at IS NOT NULL;
        PERFORM api.tick();
END
$$;
CREATE FUNCTION pg_temp.dues(p_pipe text) RETURNS text LANGUAGE sql AS $$
        SELECT string_agg(coalesce(d.skipped || CASE WHEN d.count > 1 THEN 'x' || d.count ELSE '' END, (SELECT r.state FROM sluice.run r WHERE r.id = d.run), 'waiting'), ', ' ORDER BY d.due_at)
          FROM sluice.schedule_due d WHERE d.schedule = (pg_temp.s(p_pipe)).id
$$;
-- From when on the next one counts, in seconds before now.
CREATE FUNCTION pg_temp.in_sec(p_pipe text) RETURNS int LANGUAGE sql AS $$ SELECT round(extract(epoch FROM next_at - clock_timestamp()))::int FROM pg_temp.s(p_pipe) $$;
CREATE FUNCTION pg_temp.finish(p_pipe text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
        PERFORM t.sync('n1');
        PERFORM t.events('n1', t.success(a.id, a.epoch)) FROM sluice.attempts_of((pg_temp.s(p_pipe)).last_run) a;
        PERFORM api.tick();
END
$$;

SELECT pg_temp.deploy('p', '{"on_unit_active_sec": "15min"}') \g /dev/null
SELECT ok(api.tick() BETWEEN 890000 AND 900000, 'the next look is when it is due');
SELECT ok(pg_temp.in_sec('p') BETWEEN 890 AND 900, 'the first is due one interval after the deployment');
SELECT pg_temp.comes('p') \g /dev/null
SELECT is(pg_temp.dues('p'), 'queued', 'its run begins');
SELECT ok(pg_temp.in_sec('p') BETWEEN 890 AND 900, 'active: the next counts from there');
SELECT is((SELECT (r.scheduled_at = d.due_at)::text FROM sluice.schedule_due d JOIN sluice.run r ON r.id = d.run WHERE r.pipe = 'p'), 'true', 'a run has its due time');
SELECT api.tick(), api.tick() \g /dev/null
SELECT is(pg_temp.dues('p'), 'queued', 'and there is one of it');
SELECT pg_temp.comes('p', '2 days') \g /dev/null
SELECT is(pg_temp.dues('p'), 'queued, queued', 'after a long outage it is due once, and runs');
SELECT ok(pg_temp.in_sec('p') BETWEEN 890 AND 900, 'and goes on from there');

SELECT pg_temp.deploy('q', '{"on_unit_inactive_sec": "10s"}'), pg_temp.comes('q') \g /dev/null
SELECT api.tick() \g /dev/null
SELECT pg_temp.comes('q') \g /dev/null
SELECT is(pg_temp.dues('q'), 'queued', 'inactive: its run begins');
SELECT is((SELECT (next_at, waits_run = last_run)::text FROM pg_temp.s('q')), '(,t)', 'and its end is awaited');
SELECT is(api.schedule_get(t.h('viewer'), 'default', 'q', 's') ->> 'waits_run', (SELECT last_run::text FROM pg_temp.s('q')), 'which is shown');
SELECT ok(api.tick() > 100000, 'nobody looks again and again meanwhile');
SELECT pg_temp.finish('q') \g /dev/null
SELECT ok(pg_temp.in_sec('q') BETWEEN 8 AND 10, 'the next counts from it');
SELECT is((SELECT (s.next_at - r.ended_at)::text FROM pg_temp.s('q') s JOIN sluice.run r ON r.id = s.last_run), '00:00:10', 'to the microsecond');
DELETE FROM sluice.schedule_due WHERE schedule = (pg_temp.s('q')).id;

-- Skips, delays and waits.
SELECT api.schedule_pause(t.h('operator'), 'default', 'q', 's', '{}'), pg_temp.comes('q'), pg_temp.comes('q') \g /dev/null
SELECT is(pg_temp.dues('q'), 'pausedx2', 'what comes in a pause is skipped');
SELECT ok(pg_temp.in_sec('q') BETWEEN 8 AND 10, 'and the next counts from there');
SELECT api.schedule_resume(t.h('operator'), 'default', 'q', 's'), pg_temp.comes('q') \g /dev/null
SELECT is(pg_temp.dues('q'), 'pausedx2, queued', 'after it, it goes on');
SELECT pg_temp.deploy('w', '{"on_unit_active_sec": "10s", "concurrency_policy": "queue"}'), t.run('w') AS mine \gset
SELECT api.tick() \g /dev/null
SELECT pg_temp.comes('w') \g /dev/null
SELECT is(pg_temp.dues('w') || coalesce((pg_temp.s('w')).next_at::text, ''), 'waiting', 'what waits has no next');
SELECT api.run_cancel(t.h('owner'), :'mine') \g /dev/null
SELECT t.sync('n1') \g /dev/null
SELECT t.events('n1', t.event(a.id, a.epoch, 'ended', '{"result": "signal", "exit_code": "killed", "exit_status": 15}')) FROM sluice.attempts_of(:'mine') a WHERE a.ended_at IS NULL \g /dev/null
SELECT api.tick() \g /dev/null
SELECT is(pg_temp.dues('w'), 'queued', 'until it has begun');
SELECT ok(pg_temp.in_sec('w') BETWEEN 8 AND 10, 'then it has');

-- However many wait, they are in nobody's way.
SELECT pg_temp.deploy('wait' || n, '{"on_unit_active_sec": "10s", "randomized_delay_sec": "365d", "fixed_random_delay": true}') FROM generate_series(1, 120) n \g /dev/null
SELECT api.tick(), api.tick() \g /dev/null
UPDATE sluice.schedule SET next_at = clock_timestamp() WHERE pipe LIKE 'wait%';
SELECT api.tick() \g /dev/null
SELECT pg_temp.deploy('behind', '{"on_unit_active_sec": "10s"}'), api.tick() \g /dev/null
SELECT ok((SELECT count(*) FROM sluice.schedule_due WHERE begin_at > now()) > 100 AND pg_temp.in_sec('behind') BETWEEN 8 AND 10, 'behind a hundred that wait the next one is worked out');

-- Deployments.
SELECT pg_temp.deploy('w', '{"on_unit_active_sec": "1h", "concurrency_policy": "queue"}'), api.tick() \g /dev/null
SELECT ok(pg_temp.in_sec('w') BETWEEN 3590 AND 3600, 'another interval begins anew');
SELECT pg_temp.deploy('w', '{"on_unit_active_sec": "1h"}'), api.tick() \g /dev/null
SELECT ok(pg_temp.in_sec('w') BETWEEN 3590 AND 3600, 'what has nothing to do with it changes nothing');
SELECT pg_temp.deploy('w', '{"cron": ["@daily"]}') \g /dev/null
SELECT is((SELECT (every, next_at, look_at IS NOT NULL)::text FROM pg_temp.s('w')), '(,,t)', 'it may become one with due times');
SELECT t.pipe('p', '{a}') \g /dev/null
SELECT is((SELECT (every, next_at)::text FROM pg_temp.s('p')), '(,)', 'one that is gone is due no more');
SELECT throws_ok(format($$SELECT pg_temp.deploy('bad', %L)$$, s), 'ZF400', words, words)
  FROM (VALUES ('{"on_unit_active_sec": "1h", "on_unit_inactive_sec": "1h"}', 'Schedule "s" counts from the beginning of a run and from its end.'),
               ('{"on_unit_active_sec": "1h", "cron": ["@daily"]}', 'Schedule "s" must have expressions, or run after a pipe, or have an interval, and one of these only.'),
               ('{"on_unit_active_sec": "10ms"}', 'The interval of schedule "s" is shorter than a second.'),
               ('{"on_unit_active_sec": "1h", "missed_runs": "all"}', 'Schedule "s" has an interval: nothing of that is missed.'),
               ('{"on_unit_active_sec": "soon"}', 'Member "on_unit_active_sec" is no time span.')) v (s, words);
SELECT * FROM finish();
