-- Pipes that run after others: which ends make them due, once each, in the transaction of the end; circles; what is skipped.
SET search_path = tap, public;
SELECT no_plan();

CREATE FUNCTION pg_temp.after(p_pipe text, p_spec jsonb, p_more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
        SELECT t.pipe(p_pipe, '{a}', jsonb_build_object('schedules', jsonb_build_array(jsonb_build_object('name', 's') || p_spec)) || p_more)::jsonb
$$;
CREATE FUNCTION pg_temp.s(p_pipe text) RETURNS sluice.schedule LANGUAGE sql AS $$
        SELECT s FROM sluice.schedule s WHERE s.project = 'default' AND s.pipe = p_pipe AND s.name = 's'
$$;
-- What became of each end, in its order: 'run', or why there is none.
CREATE FUNCTION pg_temp.dues(p_pipe text) RETURNS text LANGUAGE sql AS $$
        SELECT string_agg(coalesce(d.skipped, CASE WHEN d.run IS NOT NULL THEN 'run' WHEN d.waits_for IS NOT NULL THEN 'queued' ELSE 'waiting' END), ', ' ORDER BY d.due_at)
          FROM sluice.schedule_due d WHERE d.schedule = (pg_temp.s(p_pipe)).id
$$;
-- A run of this pipe, with its end as n1 tells it. A fleet of one agent, which has room for all.
SELECT t.agent('n1', 500), t.sync('n1') \g /dev/null
CREATE FUNCTION pg_temp.ends(p_pipe text, p_how text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
        v_run uuid := t.run(p_pipe);
BEGIN
        PERFORM t.sync('n1');
        PERFORM t.events('n1', CASE p_how WHEN 'success' THEN t.success(a.id, a.epoch) ELSE t.failure(a.id, a.epoch) END) FROM sluice.attempts_of(v_run) a WHERE p_how <> 'cancel';
        PERFORM api.run_cancel(t.h('owner'), v_run) WHERE p_how = 'cancel';
        PERFORM t.events('n1', t.event(a.id, a.epoch, 'ended', '{"result": "signal", "exit_code": "killed", "exit_status": 15}'))
           FROM sluice.attempts_of(v_run) a WHERE p_how = 'cancel' AND a.ended_at IS NULL;
        RETURN v_run;
END
$$;

-- Which pipe need not be there yet, and that is said.
SELECT is(pg_temp.after('report', '{"after_pipe": ["orders"]}') -> 'notes', '["It runs after pipe \"orders\", which is not there."]', 'a pipe may run after one that is not there yet');
SELECT is(api.schedule_get(t.h('viewer'), 'default', 'report', 's')::jsonb -> 'notes', '["It runs after pipe \"orders\", which is not there."]', 'which its schedule says, too');
SELECT t.pipe('orders', '{a}') \g /dev/null
SELECT is(api.schedule_get(t.h('viewer'), 'default', 'report', 's')::jsonb -> 'notes', '[]', 'until it is there');
SELECT is((SELECT (look_at, next_at)::text FROM pg_temp.s('report')), '(,)', 'no clock makes it due');

-- The run is there with the outcome, in the same transaction.
SELECT pg_temp.ends('orders', 'success') AS cause \gset
SELECT is(pg_temp.dues('report'), 'run', 'success: its run is there');
SELECT is((SELECT (r.schedule = d.schedule, r.scheduled_at = c.ended_at, r.created_by)::text
             FROM sluice.run c JOIN sluice.schedule_due d ON d.cause = c.id JOIN sluice.run r ON r.id = d.run WHERE c.id = :'cause'),
          '(t,t,"schedule s")', 'due at the moment of that end');
SELECT (pg_temp.s('report')).last_run AS run \gset
SELECT is(t.get(:'run') -> 'scheduled' ->> 'caused_by', :'cause', 'it names the run that caused it');
SELECT is(api.run_explain(t.h('viewer'), :'run') #>> '{scheduled,caused_by_pipe}', 'orders', 'and its pipe, also in its explanation');
SELECT is((SELECT x -> 'variables' FROM jsonb_array_elements(t.sync('n1', '[]', '{}') -> 'start') x WHERE x ->> 'run' = :'run'),
          jsonb_build_object('SLUICE_SCHEDULE', 's', 'SLUICE_SCHEDULED_AT', sluice.time_words((SELECT ended_at FROM sluice.run WHERE id = :'cause')),
                             'SLUICE_CAUSED_BY', :'cause', 'SLUICE_CAUSED_BY_PIPE', 'orders', 'SLUICE_CAUSED_BY_STATE', 'succeeded'), 'its tasks are told');
SELECT t.events('n1', t.success(a.id, a.epoch)) FROM sluice.attempts_of(:'cause') a \g /dev/null
SELECT sluice.dues_cause(ARRAY[:'cause'::uuid]) \g /dev/null
SELECT is(pg_temp.dues('report'), 'run', 'what is told twice makes one run');
SELECT throws_ok(format($$INSERT INTO sluice.schedule_due (schedule, due_at, cause, begin_at) VALUES (%L, now(), %L, now())$$, (pg_temp.s('report')).id, :'cause'), '23505', NULL,
                 'by constraint');
SELECT (api.run_rerun(t.h('owner'), :'cause', '{"all": true}', NULL) ->> 'run')::uuid AS again \gset
SELECT t.sync('n1') \g /dev/null
SELECT t.events('n1', t.success(a.id, a.epoch)) FROM sluice.attempts_of(:'again') a \g /dev/null
SELECT is(pg_temp.dues('report'), 'run, run', 'a rerun is a run of its own');

-- A trial is none of the pipe's runs.
SELECT api.trial_create(t.h('owner'), 'default', jsonb_build_object('pipe', 'orders', 'version', repeat('a', 16), 'spec', t.spec('{a}'), 'source', 'x', 'agent', 'n1'), NULL) ->> 'run' AS trial \gset
SELECT t.events('n1', t.success(a.id, a.epoch)) FROM sluice.attempts_of(:'trial') a \g /dev/null
SELECT is((t.get(:'trial') ->> 'state') || ': ' || pg_temp.dues('report'), 'succeeded: run, run', 'after a trial nothing runs');

-- In one transaction: what that has written, and nothing else, is gone when it fails.
BEGIN;
SELECT pg_temp.ends('orders', 'success') AS gone \gset
SELECT is(pg_temp.dues('report'), 'run, run, run', 'no tick is needed');
ROLLBACK;
SELECT is(pg_temp.dues('report'), 'run, run', 'an outcome that is not there has caused nothing');

-- Which end it is.
SELECT pg_temp.after('alarm', '{"after_pipe_failure": ["orders", "other"]}'), pg_temp.after('tidy', '{"after_pipe_any": ["orders"], "after_pipe": ["orders"]}') \g /dev/null
SELECT pg_temp.ends('orders', w) FROM unnest('{failure,cancel,success}'::text[]) w \g /dev/null
SELECT is(pg_temp.dues('alarm') || '; ' || pg_temp.dues('tidy') || '; ' || pg_temp.dues('report'), 'run; run, run, run; run, run, run',
          'failure, any end, and success; what two of them name is one run');

-- Skips are rows.
SELECT api.schedule_pause(t.h('operator'), 'default', 'tidy', 's', '{"reason": "audit"}') \g /dev/null
SELECT pg_temp.ends('orders', w) FROM unnest('{success,success}'::text[]) w \g /dev/null
SELECT is(pg_temp.dues('tidy'), 'run, run, run, paused, paused', 'paused: each end is a row of its own');
SELECT is(api.schedule_dues(t.h('viewer'), 'default', 'tidy', 's', 1, NULL)::jsonb #>> '{items,0,reason}', 'paused by operator: audit', 'with the reason');
SELECT isnt(api.schedule_dues(t.h('viewer'), 'default', 'tidy', 's', 1, NULL)::jsonb #>> '{items,0,caused_by}', NULL, 'and the run that would have caused it');
SELECT api.schedule_resume(t.h('operator'), 'default', 'tidy', 's') \g /dev/null
SELECT pg_temp.after('once', '{"after_pipe": ["feed"], "concurrency_policy": "forbid"}'), pg_temp.after('line', '{"after_pipe": ["feed"], "concurrency_policy": "queue"}'),
       pg_temp.after('slow', '{"after_pipe": ["feed"], "randomized_delay_sec": "1h", "fixed_random_delay": true}'), t.pipe('feed', '{a}') \g /dev/null
SELECT pg_temp.ends('feed', w) FROM unnest('{success,success}'::text[]) w \g /dev/null
SELECT is(pg_temp.dues('once') || '; ' || pg_temp.dues('line') || '; ' || pg_temp.dues('slow'), 'run, overlap; run, queued; waiting, waiting', 'overlap and delay are as with due times');
SELECT t.sync('n1') \g /dev/null
SELECT t.events('n1', t.success(a.id, a.epoch)) FROM sluice.attempts_of((pg_temp.s('line')).last_run) a \g /dev/null
SELECT api.tick() \g /dev/null
SELECT is(pg_temp.dues('line'), 'run, run', 'what is queued begins when the run before it has ended');
SELECT t.pipe('slow', '{a}') \g /dev/null
SELECT is(pg_temp.dues('slow'), 'removed, removed', 'what waits for a schedule that is gone does not begin');
SELECT pg_temp.ends('feed', 'success') \g /dev/null
SELECT is(pg_temp.dues('slow'), 'removed, removed', 'and nothing more comes');

-- A run that cannot be made spoils no outcome.
SELECT pg_temp.after('needy', '{"after_pipe": ["feed"]}', '{"parameters": [{"name": "n", "type": "integer", "default": "1"}]}') \g /dev/null
UPDATE sluice.schedule SET spec = spec || '{"parameters": ["n=x"]}' WHERE pipe = 'needy';
SELECT pg_temp.ends('feed', 'success') AS fine \gset
SELECT is(t.get(:'fine') ->> 'state', 'succeeded', 'the outcome is taken');
SELECT matches((pg_temp.s('needy')).error, '^Its run cannot be made: ', 'and the schedule says what is wrong');
SELECT is(pg_temp.dues('needy'), 'waiting', 'it is tried again');

-- Nor does one that nobody can do; its end is an end, too.
SELECT t.deploy('nobody', '[{"name": "f", "run_on_all": [{"key": "role", "operator": "in", "values": ["mail"]}]}]', '{"schedules": [{"name": "s", "after_pipe": ["feed"]}]}') \g /dev/null
SELECT pg_temp.after('moan', '{"after_pipe_failure": ["nobody"]}') \g /dev/null
SELECT pg_temp.ends('feed', 'success') \g /dev/null
SELECT is((SELECT r.state || ' ' || r.outcome FROM sluice.run r WHERE r.pipe = 'nobody'), 'failed no-agent', 'a fan-out to nobody has failed with the end that caused it');
SELECT api.tick() \g /dev/null
SELECT is(pg_temp.dues('moan'), 'run', 'and what runs after that follows');

SELECT set_has($$SELECT api.news()$$, $$VALUES ('tick')$$, 'who cannot LISTEN is told that something waits for its time');

-- Ends of one microsecond are two due times.
SELECT t.run('feed') AS one, t.run('feed') AS two \gset
DELETE FROM sluice.schedule_due WHERE schedule = (pg_temp.s('line')).id;
SELECT sluice.due_cause(pg_temp.s('line'), r, '2024-01-01') FROM unnest(ARRAY[:'one', :'two']::uuid[]) r \g /dev/null
SELECT is((SELECT count(*) FROM sluice.schedule_due WHERE schedule = (pg_temp.s('line')).id), 2::bigint, 'ends of one moment are two due times');

-- Chains go on, circles are refused, by name, however they come about.
SELECT t.pipe('a', '{a}'), pg_temp.after('b', '{"after_pipe": ["a"]}'), pg_temp.after('c', '{"after_pipe_failure": ["b"]}'), pg_temp.after('d', '{"after_pipe_any": ["b", "c"]}') \g /dev/null
SELECT throws_ok($$SELECT pg_temp.after('a', '{"after_pipe": ["d"]}')$$, 'ZF409', 'Pipes would run after each other in a circle: a after d after b after a.', 'a circle is named');
SELECT throws_ok($$SELECT pg_temp.after('a', '{"after_pipe": ["a"]}')$$, 'ZF409', 'Pipes would run after each other in a circle: a after a.', 'the shortest, too');
SELECT is((SELECT count(*) FROM sluice.pipe_after WHERE pipe = 'a'), 0::bigint, 'nothing is left of it');
SELECT version AS first FROM sluice.pipe WHERE name = 'a' \gset
SELECT t.pipe('b', '{a}'), pg_temp.after('a', '{"after_pipe": ["d"]}') \g /dev/null
SELECT throws_ok(format($$SELECT api.pipe_deploy(t.h('editor'), 'default', 'b', %L)$$,
                        (SELECT v.version FROM sluice.pipe_version v WHERE v.pipe = 'b' AND v.spec ? 'schedules')), 'ZF409',
                 'Pipes would run after each other in a circle: b after a after d after b.', 'a rollback makes none either');
-- All of one request: the other way round than it was, at once.
CREATE FUNCTION pg_temp.many(VARIADIC p_pipes text[]) RETURNS json LANGUAGE sql AS $$
        SELECT api.pipe_put_many(t.h('editor'), 'default', jsonb_build_object('pipes', (
                SELECT jsonb_agg(jsonb_build_object('pipe', split_part(p, '<', 1), 'version', left(md5(p), 16), 'source', p, 'spec', t.spec('{a}',
                        CASE WHEN p LIKE '%<%' THEN jsonb_build_object('schedules', jsonb_build_array(jsonb_build_object('name', 's', 'after_pipe',
                             jsonb_build_array(split_part(p, '<', 2))))) ELSE '{}' END))) FROM unnest(p_pipes) p)))
$$;
SELECT lives_ok($$SELECT pg_temp.many('x<y', 'y')$$, 'pipes come in any order');
SELECT lives_ok($$SELECT pg_temp.many('x', 'y<x')$$, 'and turn round at once');
SELECT throws_ok($$SELECT pg_temp.many('x<y', 'y<x')$$, 'ZF409', 'Pipes would run after each other in a circle: x after y after x.', 'but not both');
-- A hundred layers of two, each after both of the layer before: many paths, and no circle.
SELECT pg_temp.after(format('l%s_%s', n, k), jsonb_build_object('after_pipe', ARRAY[format('l%s_0', n - 1), format('l%s_1', n - 1)]))
  FROM generate_series(1, 100) n, generate_series(0, 1) k \g /dev/null
SELECT is(sluice.after_circle('default', 'l100_1'), NULL, 'a net of many paths has none');
SELECT matches(t.error($$SELECT pg_temp.after('l0_0', '{"after_pipe": ["l100_1"]}')$$), '^ZF409 pipes-in-a-circle', 'until it is closed');

-- What the database refuses.
SELECT throws_ok(format($$SELECT pg_temp.after('bad', %L)$$, s), 'ZF400', words, words)
  FROM (VALUES ('{"after_pipe": ["Bad"]}', 'Schedule "s" runs after "Bad", which is not a pipe name.'),
               ('{"after_pipe": [1]}', 'Schedule "s" runs after 1, which is not a pipe name.'),
               ('{"after_pipe": ["x"], "cron": ["@daily"]}', 'Schedule "s" must have expressions, or run after a pipe, or have an interval, and one of these only.'),
               ('{"after_pipe": ["x"], "missed_runs": "last"}', 'Schedule "s" runs after a pipe: nothing of that is missed.')) v (s, words);

-- From one kind to the other.
SELECT pg_temp.after('turn', '{"cron": ["@daily"]}'), pg_temp.after('turn', '{"after_pipe": ["feed"]}') \g /dev/null
SELECT is((SELECT (look_at, next_at)::text FROM pg_temp.s('turn')), '(,)', 'a schedule may become one of the other kind');
SELECT pg_temp.ends('feed', 'success') \g /dev/null
SELECT is(pg_temp.dues('turn'), 'run', 'and works');
SELECT pg_temp.after('turn', '{"cron": ["@daily"]}') \g /dev/null
SELECT pg_temp.ends('feed', 'success') \g /dev/null
SELECT is((SELECT look_at IS NOT NULL FROM pg_temp.s('turn'))::text || ' ' || pg_temp.dues('turn'), 'true run', 'and back');
SELECT * FROM finish();
