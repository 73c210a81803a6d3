-- Runs that are done again, or what is left of them.
SET search_path = tap, public;
SELECT no_plan();
SELECT t.agent('one', 8) \g /dev/null
SELECT t.sync('one') \g /dev/null

CREATE FUNCTION pg_temp.deploy(p_version text, p_tasks jsonb) RETURNS json LANGUAGE sql AS $$
        SELECT api.pipe_put(t.h('owner'), 'default', 'p', lpad(p_version, 16, '0'), t.spec('{x}') || jsonb_build_object('tasks', (
                                SELECT jsonb_agg(x || '{"directives": [["ExecStart", "/bin/true"]]}' ORDER BY n)
                                  FROM jsonb_array_elements(p_tasks) WITH ORDINALITY e (x, n))), 'source')
$$;
CREATE FUNCTION pg_temp.ends(p_run uuid, p_task text, p_result text, p_status int DEFAULT 1) RETURNS jsonb LANGUAGE sql AS $$
        SELECT t.events('one', t.event(a.id, a.epoch, 'ended', jsonb_build_object('result', p_result, 'exit_code', 'exited', 'exit_status', p_status)))
          FROM sluice.attempt a WHERE a.run = p_run AND a.task = p_task ORDER BY a.try DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.rerun(p_run uuid, p_request jsonb DEFAULT '{}', p_key text DEFAULT NULL) RETURNS uuid LANGUAGE sql AS $$
        SELECT (api.run_rerun(t.h('operator'), p_run, p_request, p_key) ->> 'run')::uuid
$$;
CREATE FUNCTION pg_temp.refusal(p_run uuid, p_request jsonb DEFAULT '{}', p_key text DEFAULT NULL, p_who text DEFAULT 'operator') RETURNS text LANGUAGE sql AS $$
        SELECT t.error(format('SELECT api.run_rerun(t.h(%L), %L, %L, %L)', p_who, p_run, p_request, p_key))
$$;

-- a, then b; c mends what b breaks; d comes after b; e after whatever becomes of c.
SELECT pg_temp.deploy('1', '[{"name": "a"}, {"name": "b", "after": ["a"]}, {"name": "c", "after_failure": ["b"]}, {"name": "d", "after": ["b"]},
                             {"name": "e", "after_any": ["c"]}]') \g /dev/null
SELECT t.run('p') AS r \gset
SELECT is(pg_temp.refusal(:'r'), 'ZF409 run-not-over', 'a run that is under way is not done again');
SELECT pg_temp.ends(:'r', 'a', 'success', 0), pg_temp.ends(:'r', 'b', 'exit-code'), pg_temp.ends(:'r', 'c', 'success', 0), pg_temp.ends(:'r', 'e', 'success', 0) \g /dev/null
SELECT is(t.tasks(:'r'), 'a:succeeded b:failed c:succeeded d:skipped e:succeeded', 'a run that failed');
SELECT is(pg_temp.refusal(:'r', p_who => 'viewer'), 'ZF403 forbidden', 'who may not run may not rerun');

SELECT pg_temp.rerun(:'r') AS r2 \gset
SELECT is(t.tasks(:'r2'), 'a:skipped b:queued c:waiting d:waiting e:waiting', 'what has succeeded is passed over; what comes after what is done again is done again');
SELECT is(t.get(:'r2') ->> 'rerun_of', :'r', 'it names the run that it goes on with');
SELECT is(t.get(:'r2') #>> '{tasks,0,passed_over}', 'succeeded in run ' || :'r', 'and a task says why it is passed over');
SELECT is(t.get(:'r2') #>> '{tasks,1,passed_over}', NULL, 'others do not');
SELECT matches((SELECT x ->> 'why' FROM json_array_elements(api.run_explain(t.h('viewer'), :'r2') -> 'tasks') x WHERE x ->> 'task' = 'a'),
               'is passed over: succeeded in run ' || :'r', 'explain says so, too');
SELECT matches((SELECT x ->> 'why' FROM json_array_elements(api.run_explain(t.h('viewer'), :'r2') -> 'tasks') x WHERE x ->> 'task' = 'd'),
               '^waits for b \(queued\)$', 'nothing waits for what is passed over');
SELECT pg_temp.ends(:'r2', 'b', 'success', 0), pg_temp.ends(:'r2', 'd', 'exit-code', 7), pg_temp.ends(:'r2', 'e', 'success', 0) \g /dev/null
SELECT is(t.tasks(:'r2') || ' ' || (t.get(:'r2') ->> 'state'), 'a:skipped b:succeeded c:skipped d:failed e:succeeded failed', 'it goes on to its own end');

SELECT pg_temp.rerun(:'r2') AS r3 \gset
SELECT is(t.tasks(:'r3'), 'a:skipped b:skipped c:skipped d:queued e:skipped', 'a rerun of a rerun: only what failed there');
SELECT is(t.get(:'r3') #>> '{tasks,0,passed_over}', 'succeeded in run ' || :'r', 'the run in which it really succeeded is named');
SELECT is(t.get(:'r3') #>> '{tasks,2,passed_over}', NULL, 'what had nothing to begin for still has nothing');
SELECT pg_temp.ends(:'r3', 'd', 'success', 0) \g /dev/null
SELECT is(t.get(:'r3') ->> 'state', 'succeeded', 'with the rest done the run succeeds');
SELECT is(pg_temp.refusal(:'r3'), 'ZF409 nothing-to-rerun', 'then there is nothing left');
SELECT is(t.tasks(pg_temp.rerun(:'r3', '{"all": true}')), 'a:queued b:waiting c:waiting d:waiting e:waiting', '--all begins at the beginning');
SELECT is(t.tasks(pg_temp.rerun(:'r3', '{"from": ["b"]}')), 'a:skipped b:queued c:waiting d:waiting e:waiting', '--from does a task again, and what comes after it');

-- Left out.
SELECT pg_temp.rerun(:'r', '{"skip": ["b"]}') AS r4 \gset
SELECT is(t.tasks(:'r4'), 'a:skipped b:skipped c:skipped d:queued e:skipped', 'what is left out counts as done: what was skipped for it begins');
SELECT is(t.get(:'r4') #>> '{tasks,1,passed_over}', 'left out by operator', 'and says who left it out');
SELECT is(pg_temp.refusal(:'r', '{"skip": ["a", "b", "c", "d", "e"]}'), 'ZF409 nothing-to-rerun', 'not everything can be left out');
SELECT is(pg_temp.refusal(:'r', '{"skip": ["x"]}') || pg_temp.refusal(:'r', '{"from": [null]}') || pg_temp.refusal(:'r', '{"from": "b"}'),
          'ZF400 task-not-foundZF400 task-not-foundZF400 bad-request', 'names are those of tasks');

-- Other versions.
SELECT pg_temp.deploy('2', '[{"name": "a"}, {"name": "n", "after": ["a"]}, {"name": "b", "after": ["n"]}]') \g /dev/null
SELECT is(api.run_rerun(t.h('operator'), :'r', '{}', NULL) ->> 'version', '0000000000000001', 'the version is the run''s own');
SELECT pg_temp.rerun(:'r2', '{"version": "current"}') AS r5 \gset
SELECT is(t.tasks(:'r5') || ' ' || (t.get(:'r5') ->> 'version'), 'a:skipped n:queued b:waiting 0000000000000002',
          'or the newest: what is new there is done, and what comes after it');
SELECT is(pg_temp.refusal(:'r', '{"version": "current", "from": ["c"]}'), 'ZF400 task-not-found', 'tasks are those of the version that runs');
SELECT is(pg_temp.refusal(:'r', '{"version": "ffff"}'), 'ZF404 version-not-found', 'which must be there');

-- Once for each key.
SELECT pg_temp.rerun(:'r', p_key => 'k') AS k \gset
SELECT is(pg_temp.rerun(:'r', p_key => 'k'), :'k'::uuid, 'the same request with the same key is the same run');
SELECT is(pg_temp.refusal(:'r', '{"all": true}', 'k'), 'ZF409 idempotency-key-reused', 'another one is not');
SELECT is(t.error(format('SELECT api.run_create(t.h(%L), %L, %L, NULL, %L)', 'operator', 'default', 'p', 'k')), 'ZF409 idempotency-key-reused', 'nor another kind of request');

-- The values are those of the run, also on another day.
SELECT api.pipe_put(t.h('owner'), 'default', 'v', lpad('1', 16, '0'), t.spec('{a}') || '{"parameters": [
        {"name": "day", "type": "date", "default": "yesterday"}, {"name": "n", "type": "integer"}, {"name": "k"}]}', 'source') \g /dev/null
SELECT api.run_create(t.h('operator'), 'default', 'v', NULL, NULL, '{"n": "5"}') ->> 'run' AS v \gset
UPDATE sluice.run SET parameters = jsonb_set(parameters, '{0,value}', '"2024-02-29"') WHERE id = :'v';
SELECT pg_temp.ends(:'v', 'a', 'exit-code') \g /dev/null
SELECT is(api.run_rerun(t.h('operator'), :'v', '{}', NULL)::jsonb -> 'parameters',
          '[{"name": "day", "value": "2024-02-29", "origin": "pipe"}, {"name": "n", "value": "5", "origin": "run"}, {"name": "k", "value": "", "origin": "unset"}]', 'values stay, and where they came from');
SELECT api.pipe_put(t.h('owner'), 'default', 'v', lpad('2', 16, '0'), t.spec('{a}') || '{"parameters": [
        {"name": "n", "type": "integer"}, {"name": "m", "type": "string", "default": "x"}, {"name": "k", "default": "new"}]}', 'source') \g /dev/null
SELECT is(api.run_rerun(t.h('operator'), :'v', '{"version": "current"}', NULL)::jsonb -> 'parameters',
          '[{"name": "n", "value": "5", "origin": "run"}, {"name": "m", "value": "x", "origin": "pipe"}, {"name": "k", "value": "new", "origin": "pipe"}]',
          'of the parameters that there are, and what had no value may have one now');

-- On a host that is lost, what is passed over stays so.
SELECT sluice.run_unbind(:'k', t.id('one')), sluice.run_advance(:'k') \g /dev/null
SELECT is(t.tasks(:'k'), 'a:skipped b:queued c:waiting d:waiting e:waiting', 'a run that begins again elsewhere begins with what is left');

-- Nothing of it has to begin: it is over as soon as it is made.
SELECT api.run_cancel(t.h('operator'), id) FROM sluice.run WHERE ended_at IS NULL \g /dev/null
SELECT t.events('one', t.event(x.attempt, x.epoch, 'ended', '{"result": "signal"}')) FROM sluice.assignment x \g /dev/null
SELECT t.deploy('z', '[{"name": "a"}, {"name": "m", "after_failure": ["a"]}]'), t.run('z') AS z \gset
SELECT t.ends('one', :'z', 'a', 'exit-code'), t.ends('one', :'z', 'm', 'exit-code') \g /dev/null
SELECT api.run_rerun(t.h('operator'), :'z', '{"all": true, "skip": ["a"]}', NULL) AS answer \gset
SELECT :'answer'::json ->> 'run' AS z2 \gset
SELECT is(t.tasks(:'z2') || ' ' || (t.get(:'z2') ->> 'outcome'), 'a:skipped m:skipped success', 'with what failed left out nothing is to be mended');
SELECT is(:'answer'::jsonb - 'etag', t.get(:'z2') - 'etag', 'as its first answer says');

SELECT t.agent(n, 2, '{"role": "web"}'), t.sync(n) FROM unnest(ARRAY['w1', 'w2', 'w3', 'w4']) n \g /dev/null
SELECT t.deploy('f', jsonb_build_array(jsonb_build_object('name', 'f', 'run_on_all_success', '50%', 'run_on_all', t.selector('{"role": "web"}') -> 'agent_selector'))) \g /dev/null
SELECT t.run('f') AS f \gset
SELECT t.ends('w1', :'f', 'f@w1'), t.ends(n, :'f', 'f@' || n, 'exit-code') FROM unnest(ARRAY['w2', 'w3', 'w4']) n \g /dev/null
SELECT api.agent_delete(t.h('admin'), n, 'true') FROM unnest(ARRAY['w3', 'w4']) n \g /dev/null
SELECT pg_temp.rerun(:'f') AS f2 \gset
SELECT is(t.tasks(:'f2'), 'f:queued f@w1:skipped f@w2:queued', 'of a fan-out who has failed and is still there begins again');
SELECT api.agent_delete(t.h('admin'), 'w2', 'true') \g /dev/null
SELECT is(t.tasks(:'f2') || ' ' || (t.get(:'f2') ->> 'state'), 'f:succeeded f@w1:skipped f@w2:failed succeeded', 'unless it is gone, too: then who succeeded before is enough');
SELECT pg_temp.rerun(:'f') AS f3 \gset
SELECT is(t.tasks(:'f3') || ' ' || (t.get(:'f3') ->> 'state'), 'f:succeeded f@w1:skipped succeeded', 'when nobody else is there it is over at once');
SELECT * FROM finish();
