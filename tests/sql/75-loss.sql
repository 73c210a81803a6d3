-- What becomes of the work of an agent that is not heard of: never before its fence must have fallen, and each policy as it says.
SET search_path = tap, public;
SELECT no_plan();
SELECT t.agent('one', 4), t.agent('two', 4) \g /dev/null
SELECT t.pipe('again', '{a}'), t.pipe('row', '{a,b<a}'), t.pipe('once', '{a}', '{"delivery": "at-most-once"}'),
       t.pipe('wait', '{a}', '{"on_agent_loss": "wait"}'), t.pipe('fail', '{a}', '{"on_agent_loss": "fail"}') \g /dev/null
CREATE FUNCTION pg_temp.one(p_attempts jsonb DEFAULT '[]') RETURNS jsonb LANGUAGE sql AS $$ SELECT t.sync('one', p_attempts, '{"self_fence_sec": 60}') $$;
CREATE FUNCTION pg_temp.two(p_attempts jsonb DEFAULT '[]') RETURNS jsonb LANGUAGE sql AS $$ SELECT t.sync('two', p_attempts, '{"self_fence_sec": 60}') $$;
CREATE FUNCTION pg_temp.last(p_run uuid, p_task text DEFAULT 'a') RETURNS text LANGUAGE sql AS $$
        SELECT concat_ws(' ', a.try, a.state, a.outcome, g.name) FROM sluice.attempt a LEFT JOIN sluice.agent g ON g.id = a.agent
         WHERE a.run = p_run AND a.task = p_task ORDER BY a.try DESC LIMIT 1
$$;
UPDATE sluice.attendance SET since = since - interval '1 day';

SELECT results_eq($$SELECT x, extract(epoch FROM sluice.timespan_parse(x))::numeric(20, 3)
                      FROM unnest(ARRAY['90', '1min 30s', '2h', '500ms', '1.5 h', '1M', 'infinity', '3 parsecs', '']) x$$,
                  $$VALUES ('90', 90.000), ('1min 30s', 90.000), ('2h', 7200.000), ('500ms', 0.500), ('1.5 h', 5400.000),
                           ('1M', 2629800.000), ('infinity', NULL), ('3 parsecs', NULL), ('', NULL)$$, 'time spans are systemd''s');

-- Who is told to fence what.
SELECT pg_temp.one() \g /dev/null
SELECT t.run('again') AS again, t.run('once') AS once, t.run('wait') AS wait, t.run('fail') AS fail \gset
SELECT results_eq(format('SELECT x ->> ''pipe'', (x ->> ''fence'')::boolean FROM jsonb_array_elements(%L::jsonb -> ''start'') x ORDER BY 1', pg_temp.one()),
                  $$VALUES ('again', true), ('fail', false), ('once', false), ('wait', false)$$, 'a task that may be repeated is fenced');
SELECT is((SELECT self_fence_sec FROM sluice.instance WHERE id = t.id('one')), 60, 'for as long as its agent says');
SELECT t.events('one', VARIADIC array_agg(t.event(attempt, 1, 'running'))) FROM sluice.assignment \g /dev/null

-- 60 seconds of fence, 90 of stopping, 30 for the margin.
SELECT t.silent('one', '181 seconds') \g /dev/null
SELECT t.events('one', t.event((SELECT attempt FROM sluice.assignment LIMIT 1), 1, 'running')) \g /dev/null
SELECT sluice.loss_sweep() \g /dev/null
SELECT is((SELECT count(*) FROM sluice.assignment)::int, 4, 'whoever reports is heard of');
SELECT t.silent('one', '179 seconds') \g /dev/null
SELECT sluice.loss_sweep() \g /dev/null
SELECT is((SELECT count(*) FROM sluice.assignment)::int, 4, 'before the fence must have fallen nobody is given up');
SELECT t.silent('one', '181 seconds') \g /dev/null
UPDATE sluice.attendance SET since = clock_timestamp() - interval '179 seconds';
SELECT sluice.loss_sweep() \g /dev/null
SELECT is((SELECT count(*) FROM sluice.assignment)::int, 4, 'nor before the control plane has listened for as long');
UPDATE sluice.attendance SET since = since - interval '1 day', last_at = clock_timestamp() - interval '1 minute';
SELECT sluice.loss_sweep() \g /dev/null
SELECT is((SELECT count(*) FROM sluice.assignment)::int, 4, 'a time in which nobody looked does not count');
UPDATE sluice.attendance SET since = since - interval '1 day', server_since = server_since - interval '1 second';
SELECT sluice.loss_sweep() \g /dev/null
SELECT is((SELECT count(*) FROM sluice.assignment)::int, 4, 'nor does what another server says of it');
UPDATE sluice.attendance SET since = since - interval '1 day', last_at = clock_timestamp() + interval '1 minute';
SELECT sluice.loss_sweep() \g /dev/null
SELECT is((SELECT count(*) FROM sluice.assignment)::int, 4, 'nor a clock that goes back');

UPDATE sluice.attendance SET since = since - interval '1 day';
SELECT sluice.loss_sweep() \g /dev/null
SELECT is(pg_temp.last(:'again'), '2 queued', 'what may be repeated is');
SELECT is(pg_temp.last(:'wait'), '1 running one', 'what shall wait waits');
SELECT is(concat_ws(' ', r ->> 'outcome', left(r ->> 'reason', 32), r ->> 'log_complete'), 'lost Its agent was not heard of since true',
          'what shall fail fails') FROM t.get(:'fail') r;
SELECT is(t.get(:'once') ->> 'outcome', 'lost', 'so does what must not begin twice');
SELECT is((SELECT status FROM sluice.instance i, sluice.instance_state(i, (SELECT last_seen_at FROM sluice.presence WHERE instance = i.id)) WHERE i.id = t.id('one')),
          'Unknown', 'whoever was given up is not shown as there');
UPDATE sluice.presence SET last_seen_at = clock_timestamp() - interval '80 seconds' WHERE instance = t.id('one'); -- of a lease of 90
SELECT sluice.dispatch_sweep() \g /dev/null
SELECT is(pg_temp.last(:'again'), '2 queued', 'and is not given it again');
SELECT pg_temp.two() \g /dev/null
SELECT is(pg_temp.last(:'again'), '2 assigned two', 'but another agent is');
SELECT is((SELECT array_agg(run) FROM sluice.cleanup WHERE instance = t.id('one') AND run = :'again'), ARRAY[:'again'::uuid], 'its old workspace goes');

-- The agent is here again: what it has is stopped, what it says of it is evidence.
SELECT (SELECT id FROM sluice.attempt WHERE run = :'again' AND try = 1) AS first, (SELECT id FROM sluice.attempt WHERE run = :'again' AND try = 2) AS second \gset
SELECT is(pg_temp.one(t.known(:'first', 1, 'running')) #>> '{stop,0,attempt}', :'first', 'the agent that comes back is told to stop it');
SELECT t.events('one', t.success(:'first')) \g /dev/null
SELECT is(t.get(:'again') ->> 'state', 'running', 'its outcome does not count');
SELECT is((SELECT why FROM sluice.evidence WHERE attempt = :'first'), 'already-ended', 'and is kept');
SELECT t.events('two', t.success(:'second')) \g /dev/null
SELECT is(t.get(:'again') ->> 'outcome', 'success', 'the other one''s does');

-- A run of several tasks begins again with the first.
TRUNCATE sluice.assignment, sluice.queue, sluice.cleanup, sluice.live_run;
SELECT t.sync('two', '[]', '{"self_fence_sec": 60, "draining": true}') \g /dev/null
SELECT t.run('row') AS row \gset
SELECT pg_temp.one() \g /dev/null
SELECT t.events('one', t.success((SELECT id FROM sluice.attempt WHERE run = :'row' AND task = 'a'))) \g /dev/null
SELECT is(t.tasks(:'row'), 'a:succeeded b:queued', 'the second task is out');
SELECT t.events('one', t.event((SELECT id FROM sluice.attempt WHERE run = :'row' AND task = 'b'), 1, 'running')) \g /dev/null
SELECT t.silent('one', '181 seconds') \g /dev/null
SELECT sluice.loss_sweep() \g /dev/null
SELECT is(t.tasks(:'row'), 'a:queued b:waiting', 'when it is lost the run begins again');
SELECT pg_temp.two() \g /dev/null
SELECT is(pg_temp.last(:'row'), '2 assigned two', 'elsewhere');
SELECT t.events('two', t.success((SELECT id FROM sluice.attempt WHERE run = :'row' AND task = 'a' AND try = 2))) \g /dev/null
SELECT t.events('two', t.failure((SELECT id FROM sluice.attempt WHERE run = :'row' AND task = 'b' AND try = 2))) \g /dev/null
SELECT is(concat_ws(' ', r ->> 'outcome', r ->> 'exit_status'), 'exit-code 3', 'the last attempt of a task is the one that counts') FROM t.get(:'row') r;

-- Its own fence.
TRUNCATE sluice.assignment, sluice.queue, sluice.cleanup, sluice.live_run;
SELECT t.run('again') AS fenced \gset
SELECT pg_temp.two() \g /dev/null
SELECT t.events('two', t.event((t.attempt(:'fenced')).id, 1, 'ended', '{"result": "fenced"}')) \g /dev/null
SELECT is(pg_temp.last(:'fenced'), '2 assigned two', 'what was stopped by the fence is repeated, where the run is');
SELECT t.events('two', t.event(a.id, 1, 'ended', '{"result": "lost"}')) FROM sluice.attempt a WHERE run = :'fenced' AND try = 2 \g /dev/null
SELECT t.events('two', t.event(a.id, 1, 'ended', '{"result": "lost"}')) FROM sluice.attempt a WHERE run = :'fenced' AND try = 3 \g /dev/null
SELECT is(pg_temp.last(:'fenced'), '4 assigned two', 'three times');
SELECT t.events('two', t.event(a.id, 1, 'ended', '{"result": "lost"}')) FROM sluice.attempt a WHERE run = :'fenced' AND try = 4 \g /dev/null
SELECT is(t.get(:'fenced') ->> 'outcome', 'lost', 'then the run fails');
SELECT t.run('again') AS cancelled \gset
SELECT pg_temp.two() \g /dev/null
SELECT api.run_cancel(t.h('owner'), :'cancelled') \g /dev/null
SELECT t.events('two', t.event((t.attempt(:'cancelled')).id, 1, 'ended', '{"result": "lost"}')) \g /dev/null
SELECT is(t.get(:'cancelled') ->> 'state', 'cancelled', 'what was cancelled is not repeated');

-- Those who said goodbye, and those who do not know of fences.
SELECT t.run('again') AS stays \gset
SELECT pg_temp.two() \g /dev/null
SELECT api.agent_goodbye(t.h('two'), jsonb_build_object('session', t.id('session of two'))) \g /dev/null
SELECT t.silent('two', '1 day') \g /dev/null
SELECT sluice.loss_sweep() \g /dev/null
SELECT is(pg_temp.last(:'stays'), '1 assigned two', 'an agent that was stopped in good order is waited for');
SELECT t.sync('two') \g /dev/null
SELECT t.silent('two', '1 day') \g /dev/null
SELECT sluice.loss_sweep() \g /dev/null
SELECT is(pg_temp.last(:'stays'), '1 assigned two', 'so is one that does not fence');
-- Of a run that has only its workspace there, because a task waits for its next try, or for a seat, all begins again as well.
DELETE FROM sluice.queue;
SELECT t.agent('five', 2, '{"is": "five"}'), t.agent('six', 4, '{"is": "six"}') \g /dev/null
SELECT t.pipe('tries', '{a,b<a}', '{"agent_selector": [{"key": "is", "operator": "in", "values": ["five", "six"]}]}') \g /dev/null
UPDATE sluice.pipe_version SET spec = jsonb_set(spec, '{tasks,1,retry}', '3') WHERE pipe = 'tries';
SELECT t.sync('five', '[]', '{"self_fence_sec": 60}') \g /dev/null
SELECT t.run('tries') AS tries, t.run('tries') AS seat \gset
SELECT t.events('five', VARIADIC array_agg(t.success(x.attempt))) FROM sluice.assignment x WHERE x.run IN (:'tries', :'seat') \g /dev/null
SELECT t.sync('five', '[]', '{"self_fence_sec": 60}') \g /dev/null
SELECT t.events('five', t.failure((t.attempt(:'tries', 'b')).id), t.event((t.attempt(:'seat', 'b')).id, 1, 'refused', '{"requeue": true}')) \g /dev/null
SELECT is(t.tasks(:'tries') || ', ' || t.tasks(:'seat'), 'a:succeeded b:waiting, a:succeeded b:queued', 'nothing of them runs');
SELECT t.silent('five', '60 seconds') \g /dev/null
SELECT api.presence_flush('{}') \g /dev/null
SELECT is(t.tasks(:'tries') || ', ' || t.tasks(:'seat'), 'a:succeeded b:waiting, a:succeeded b:queued', 'not before its agent is given up');
SELECT t.silent('five', '91 seconds') \g /dev/null
UPDATE sluice.attendance SET since = since - interval '1 day', last_at = clock_timestamp();
SELECT api.presence_flush('{}') \g /dev/null
SELECT is(t.tasks(:'tries') || ', ' || t.tasks(:'seat'), 'a:queued b:waiting, a:queued b:waiting', 'all begins again');
SELECT is(pg_temp.last(:'seat', 'b'), '1 cancelled cancelled', 'what waited for a seat there waits no more');
SELECT t.sync('six') \g /dev/null
SELECT is(pg_temp.last(:'tries') || ', ' || pg_temp.last(:'seat'), '2 assigned six, 2 assigned six', 'elsewhere');

-- The database's clock was two hours ahead, and is set right.
SELECT t.agent('early', 4, '{"clock": "set"}') \g /dev/null
SELECT t.deploy('clock', '[{"name": "a"}, {"name": "b", "retry": 1, "retry_backoff_sec": "1min"}]', t.selector('{"clock": "set"}')) \g /dev/null
SELECT t.sync('early', '[]', '{"self_fence_sec": 60}') \g /dev/null
SELECT t.run('clock') AS r \gset
SELECT t.sync('early', '[]', '{"self_fence_sec": 60}') \g /dev/null
SELECT t.begins('early', :'r', 'a'), t.ends('early', :'r', 'b', 'exit-code') \g /dev/null
UPDATE sluice.presence SET last_seen_at = last_seen_at + interval '2 hours' WHERE instance = t.id('early');
UPDATE sluice.task SET retry_at = retry_at + interval '2 hours' WHERE run = :'r' AND name = 'b';
UPDATE sluice.attendance SET last_at = clock_timestamp() + interval '2 hours';
SELECT sluice.loss_sweep() \g /dev/null
SELECT is((SELECT last_seen_at <= clock_timestamp() FROM sluice.presence WHERE instance = t.id('early')), true, 'nobody is heard of in times that are yet to come');
SELECT is((SELECT retry_at < clock_timestamp() + interval '2 minutes' FROM sluice.task WHERE run = :'r' AND name = 'b'), true, 'nor does a retry wait for them');
SELECT is((SELECT state FROM sluice.assignment WHERE run = :'r'), 'running', 'a whole grace counts from then on');
UPDATE sluice.presence SET last_seen_at = last_seen_at - interval '4 minutes' WHERE instance = t.id('early');
UPDATE sluice.attendance SET since = since - interval '4 minutes';
SELECT sluice.loss_sweep() \g /dev/null
SELECT is((SELECT outcome FROM sluice.attempt WHERE run = :'r' AND task = 'a' AND try = 1), 'lost', 'and no longer');

SELECT * FROM finish();
