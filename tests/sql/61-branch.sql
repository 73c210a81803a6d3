-- Tasks that come after the failure or the end of others, and tasks that are tried again.
SET search_path = tap, public;
SELECT no_plan();
SELECT t.agent('one', 8) \g /dev/null
SELECT t.sync('one') \g /dev/null

-- A spec of tasks and what they have beside their commands.
CREATE FUNCTION pg_temp.deploy(p_name text, p_tasks jsonb, p_more jsonb DEFAULT '{}') RETURNS json LANGUAGE sql AS $$
        SELECT api.pipe_put(t.h('owner'), 'default', p_name, left(encode(sha256((p_tasks::text || p_more::text)::bytea), 'hex'), 16),
                            t.spec('{x}', p_more) || jsonb_build_object('tasks', (
                                SELECT jsonb_agg(x || '{"directives": [["ExecStart", "/bin/true"]]}' ORDER BY n)
                                  FROM jsonb_array_elements(p_tasks) WITH ORDINALITY e (x, n))), 'source')
$$;
CREATE FUNCTION pg_temp.summary(p_run uuid) RETURNS text LANGUAGE sql AS $$
        SELECT concat_ws(' ', r ->> 'state', r ->> 'outcome', r ->> 'exit_status') || ', ' || t.tasks(p_run) FROM t.get(p_run) r
$$;
-- The last attempt of a task ends like this.
CREATE FUNCTION pg_temp.ends(p_run uuid, p_task text, p_result text, p_status int DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
        SELECT t.events('one', t.event(a.id, a.epoch, 'ended', jsonb_strip_nulls(jsonb_build_object(
                        'result', p_result, 'exit_code', CASE WHEN p_status IS NOT NULL THEN 'exited' END, 'exit_status', p_status))))
          FROM sluice.attempt a WHERE a.run = p_run AND a.task = p_task ORDER BY a.try DESC LIMIT 1
$$;

-- Branches.
SELECT pg_temp.deploy('branch', '[{"name": "a"}, {"name": "b", "after": ["a"]}, {"name": "c", "after_failure": ["a", "b"]},
                                  {"name": "d", "after_any": ["a", "c"]}, {"name": "e", "after": ["c"]}]') \g /dev/null
SELECT t.run('branch') AS r \gset
SELECT is(pg_temp.summary(:'r'), 'queued, a:queued b:waiting c:waiting d:waiting e:waiting', 'only what comes after nothing begins');
SELECT pg_temp.ends(:'r', 'a', 'success', 0) \g /dev/null
SELECT is(pg_temp.summary(:'r'), 'running, a:succeeded b:queued c:waiting d:waiting e:waiting', 'not all of AfterFailure= is over');
SELECT matches((SELECT x ->> 'why' FROM json_array_elements(api.run_explain(t.h('viewer'), :'r') -> 'tasks') x WHERE x ->> 'task' = 'c'),
               '^waits for b \(queued\)', 'explain says for what a task waits');
SELECT pg_temp.ends(:'r', 'b', 'success', 0) \g /dev/null
SELECT is(pg_temp.summary(:'r'), 'running, a:succeeded b:succeeded c:skipped d:queued e:skipped', 'nothing failed: what was for that is skipped');
SELECT matches((SELECT x ->> 'why' FROM json_array_elements(api.run_explain(t.h('viewer'), :'r') -> 'tasks') x WHERE x ->> 'task' = 'c'),
               'is skipped because of a \(succeeded\), b \(succeeded\)', 'and explain says why');
SELECT pg_temp.ends(:'r', 'd', 'success', 0) \g /dev/null
SELECT is(pg_temp.summary(:'r'), 'succeeded success 0, a:succeeded b:succeeded c:skipped d:succeeded e:skipped', 'which is no failure');

SELECT t.run('branch') AS r \gset
SELECT pg_temp.ends(:'r', 'a', 'exit-code', 3) \g /dev/null
SELECT is(pg_temp.summary(:'r'), 'running, a:failed b:skipped c:queued d:waiting e:waiting', 'after a failure');
SELECT pg_temp.ends(:'r', 'c', 'success', 0), pg_temp.ends(:'r', 'e', 'success', 0), pg_temp.ends(:'r', 'd', 'success', 0) \g /dev/null
SELECT is(pg_temp.summary(:'r'), 'failed exit-code 3, a:failed b:skipped c:succeeded d:succeeded e:succeeded', 'a run with a failed task has failed');

SELECT t.run('branch') AS r \gset
SELECT api.run_cancel(t.h('operator'), :'r') \g /dev/null
SELECT pg_temp.ends(:'r', 'a', 'signal') \g /dev/null
SELECT is(pg_temp.summary(:'r'), 'cancelled cancelled, a:cancelled b:cancelled c:cancelled d:cancelled e:cancelled', 'no branch follows a cancellation');

-- A condition that does not hold.
SELECT t.run('branch') AS r \gset
SELECT pg_temp.ends(:'r', 'a', 'exec-condition', 1) \g /dev/null
SELECT is(pg_temp.summary(:'r'), 'running, a:skipped b:skipped c:skipped d:queued e:skipped', 'a task whose condition does not hold is skipped');
SELECT matches((SELECT x ->> 'why' FROM json_array_elements(api.run_explain(t.h('viewer'), :'r') -> 'tasks') x WHERE x ->> 'task' = 'a'),
               'ExecCondition= found nothing to do', 'explain says so');
SELECT pg_temp.ends(:'r', 'd', 'success', 0) \g /dev/null
SELECT matches(pg_temp.summary(:'r'), '^succeeded success 0', 'which is no failure either');

-- Tries.
CREATE FUNCTION pg_temp.due(p_run uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
        UPDATE sluice.task SET retry_at = clock_timestamp() WHERE run = p_run AND retry_at IS NOT NULL;
        PERFORM api.tick();
END
$$;
SELECT pg_temp.deploy('tries', '[{"name": "a", "retry": 2, "retry_backoff_sec": "30s"}, {"name": "b", "after_failure": ["a"]}]') \g /dev/null
SELECT t.run('tries') AS r \gset
SELECT is(api.tick(), NULL, 'nothing waits for its time');
SELECT pg_temp.ends(:'r', 'a', 'exit-code', 1) \g /dev/null
SELECT is(pg_temp.summary(:'r'), 'running, a:waiting b:waiting', 'it waits for its next try');
SELECT ok(s BETWEEN 29 AND 38, 'which comes after the back-off and up to a quarter of it: ' || s)
  FROM (SELECT extract(epoch FROM retry_at - clock_timestamp()) AS s FROM sluice.task WHERE run = :'r' AND name = 'a') x;
SELECT ok(api.tick() BETWEEN 29000 AND 38000, 'the worker is told when to come again');
SELECT matches((SELECT x ->> 'why' FROM json_array_elements(api.run_explain(t.h('viewer'), :'r') -> 'tasks') x WHERE x ->> 'task' = 'a'),
               'is tried again at 2.*Z, since attempt 1 ended with exit-code \(status 1\)', 'explain says it');
SELECT is((t.get(:'r') #>> '{tasks,0,retry_at}') IS NOT NULL, true, 'and the run shows it');
SELECT is(pg_temp.summary(:'r'), 'running, a:waiting b:waiting', 'nothing before its time');
SELECT pg_temp.due(:'r') \g /dev/null
SELECT is(pg_temp.summary(:'r'), 'running, a:queued b:waiting', 'then it is tried again');
SELECT pg_temp.ends(:'r', 'a', 'exit-code', 1) \g /dev/null
SELECT ok(s BETWEEN 59 AND 76, 'the second back-off is twice as long: ' || s)
  FROM (SELECT extract(epoch FROM retry_at - clock_timestamp()) AS s FROM sluice.task WHERE run = :'r' AND name = 'a') x;
SELECT pg_temp.due(:'r'), pg_temp.ends(:'r', 'a', 'exit-code', 7) \g /dev/null
SELECT is(pg_temp.summary(:'r'), 'running, a:failed b:queued', 'after the last try it has failed');
SELECT is((SELECT string_agg(try || ' ' || outcome, ', ' ORDER BY try) FROM sluice.attempt WHERE run = :'r' AND task = 'a'),
          '1 exit-code, 2 exit-code, 3 exit-code', 'every try is there');
SELECT pg_temp.ends(:'r', 'b', 'success', 0) \g /dev/null
SELECT matches(pg_temp.summary(:'r'), '^failed exit-code 7', 'the last try counts');

SELECT t.run('tries') AS r \gset
SELECT pg_temp.ends(:'r', 'a', 'exit-code', 1), pg_temp.due(:'r'), pg_temp.ends(:'r', 'a', 'success', 0) \g /dev/null
SELECT is(pg_temp.summary(:'r'), 'succeeded success 0, a:succeeded b:skipped', 'what succeeds in the end has not failed');

SELECT t.run('tries') AS r \gset
SELECT pg_temp.ends(:'r', 'a', 'exit-code', 1) \g /dev/null
SELECT api.run_cancel(t.h('operator'), :'r') \g /dev/null
SELECT is(pg_temp.summary(:'r'), 'cancelled cancelled, a:cancelled b:cancelled', 'a cancelled run tries nothing again');
SELECT is(api.tick(), NULL, 'and nothing waits for its time');

-- For some ends only.
SELECT pg_temp.deploy('some', '[{"name": "a", "retry": 1, "retry_on": ["75", "oom-kill"]}]') \g /dev/null
SELECT is((SELECT string_agg(o || coalesce(' ' || s, '') || ': ' || (sluice.retry_due(r, 'a', o, s) IS NOT NULL), ', ' ORDER BY o, s)
             FROM (VALUES ('exit-code', 75), ('exit-code', 1), ('oom-kill', NULL), ('timeout', NULL), ('success', 0), ('refused', NULL), ('lost', NULL)) v (o, s)),
          'exit-code 1: false, exit-code 75: true, lost: false, oom-kill: true, refused: false, success 0: false, timeout: false', 'RetryOn= holds')
  FROM t.run('some') r;

-- What was lost with its agent costs no try, and the other way round.
SELECT pg_temp.deploy('both', '[{"name": "a", "retry": 1}]') \g /dev/null
SELECT t.run('both') AS r \gset
SELECT pg_temp.ends(:'r', 'a', 'lost') \g /dev/null
SELECT is(pg_temp.summary(:'r'), 'queued, a:queued', 'lost, it begins again at once');
SELECT pg_temp.ends(:'r', 'a', 'exit-code', 1) \g /dev/null
SELECT is(pg_temp.summary(:'r'), 'running, a:waiting', 'and has all its tries');
SELECT pg_temp.due(:'r'), pg_temp.ends(:'r', 'a', 'lost'), pg_temp.ends(:'r', 'a', 'exit-code', 1) \g /dev/null
SELECT matches(pg_temp.summary(:'r'), '^failed exit-code 1', 'of which there are no more');

-- A bound on the back-off.
SELECT ok(max(d) = interval '1 hour' AND min(d) >= interval '10 seconds', 'RetryMaxBackoffSec= holds, and the defaults are 10 s and an hour')
  FROM (SELECT sluice.retry_backoff('{}', n) AS d FROM generate_series(1, 1000) n) s;

-- Words that the database refuses, whoever sends them.
SELECT throws_ok(format($$SELECT pg_temp.deploy('bad', %L)$$, j), 'ZF400', w, j)
  FROM (VALUES ('[{"name": "a", "retry": 0}]', 'Member "retry" must be a whole number from 1 to 1000.'),
               ('[{"name": "a", "retry": "1"}]', 'Member "retry" must be of type number, not string.'),
               ('[{"name": "a", "retry_backoff_sec": "soon"}]', 'Member "retry_backoff_sec" is no time span.'),
               ('[{"name": "a", "retry_on": [75]}]', 'Elements of "retry_on" must be text.'),
               ('[{"name": "a", "after_any": "b"}]', 'Member "after_any" must be of type array, not string.'),
               ('[{"name": "a", "after_failure": ["b"]}]', 'After= names a task that is not there, or tasks wait for each other in a circle.'),
               ('[{"name": "a", "after_failure": ["b"]}, {"name": "b", "after_any": ["a"]}]',
                'After= names a task that is not there, or tasks wait for each other in a circle.')) v (j, w);
SELECT * FROM finish();
