-- What agents report, and what becomes of attempts, tasks and runs.
SET search_path = tap, public;
SELECT no_plan();
SELECT t.agent('one', 8), t.agent('two', 1) \g /dev/null
SELECT t.sync('one'), t.sync('two', '[]', '{"draining": true}') \g /dev/null
SELECT t.pipe('one', '{a}', '{"on_agent_loss": "fail"}'), t.pipe('line', '{a,b<a,c<b}'), t.pipe('fork', '{a,b<a,c<a,d<b c,e}') \g /dev/null
CREATE FUNCTION pg_temp.evidence(p_attempt uuid) RETURNS text LANGUAGE sql AS $$
        SELECT coalesce(string_agg(why || ' ' || epoch || ' ' || (event ->> 'state'), ', ' ORDER BY id), 'none')
          FROM sluice.evidence WHERE attempt = p_attempt
$$;
CREATE FUNCTION pg_temp.summary(p_run uuid) RETURNS text LANGUAGE sql AS $$
        SELECT concat_ws(' ', r ->> 'state', r ->> 'outcome', r ->> 'exit_status', r ->> 'reason') FROM t.get(p_run) r
$$;

-- What cannot be killed.
SELECT t.run('one') AS k \gset
SELECT (t.attempt(:'k')).id AS ka \gset
SELECT t.events('one', t.event(:'ka', 1, 'running'), t.event(:'ka', 1, 'stuck', '{"reason": "a process is left"}')) \g /dev/null
SELECT is(pg_temp.summary(:'k') || ', ' || t.tasks(:'k'), 'running, a:running', 'what cannot be killed has not ended');
SELECT is((SELECT concat_ws(' ', f ->> 'flag', f ->> 'by', f ->> 'reason') FROM sluice.flags_json((SELECT agent FROM sluice.instance WHERE id = t.id('one'))) j,
                  json_array_elements(j) f), format('degraded the agent run %s: a process is left', :'k'), 'and its agent is degraded');
SELECT matches(api.run_explain(t.h('viewer'), :'k')::text, 'is stuck on agent .* since .*: a process is left', 'explain says so');
SELECT is(t.events('one', t.event(:'ka', 1, 'stuck', '{"reason": "a process is left"}')) #>> '{acknowledged,0,state}', 'stuck', 'said twice, it is acknowledged twice');
SELECT t.events('one', t.event(:'ka', 1, 'ended', '{"result": "timeout"}'), t.event(:'ka', 1, 'logged', '{"sequence": 0}')) \g /dev/null
SELECT is(pg_temp.summary(:'k') || (SELECT sluice.flags_json(agent)::text FROM sluice.instance WHERE id = t.id('one')), 'failed timeout[]', 'until it is gone');
SELECT t.events('one', t.event(:'ka', 1, 'stuck', '{"reason": "a process is left"}')) \g /dev/null
SELECT is(pg_temp.evidence(:'ka'), 'already-ended 1 stuck', 'late, it changes nothing');
DELETE FROM sluice.evidence;
DELETE FROM sluice.cleanup;

-- What PID 1 may have or not, while nobody can ask it.
SELECT t.run('one') AS k \gset
SELECT (t.attempt(:'k')).id AS ka \gset
SELECT t.events('one', t.event(:'ka', 1, 'stuck', '{"reason": "agentd-exec does not answer."}')) \g /dev/null
SELECT matches(api.run_explain(t.h('viewer'), :'k') #>> '{tasks,0,why}', 'is stuck on agent ".*" since .*: agentd-exec does not answer$', 'one that has not begun may be stuck, too');
SELECT t.events('one', t.event(:'ka', 1, 'refused', '{"reason": "It could not be asked.", "requeue": true}')) \g /dev/null
SELECT is((SELECT concat_ws(' ', a.state, sluice.flags_json(i.agent)) FROM sluice.attempt a, sluice.instance i WHERE a.id = :'ka' AND i.id = t.id('one')), 'queued []', 'until it is free for another');
SELECT api.run_cancel(t.h('owner'), :'k') \g /dev/null
SELECT t.run('one') AS k \gset
SELECT (t.attempt(:'k')).id AS ka \gset
SELECT t.events('one', t.event(:'ka', 1, 'stuck', '{"reason": "agentd-exec does not answer."}')) \g /dev/null
SELECT t.events('one', t.event(:'ka', 1, 'running')) \g /dev/null
SELECT is(pg_temp.summary(:'k') || (SELECT sluice.flags_json(agent)::text FROM sluice.instance WHERE id = t.id('one')), 'running[]', 'or PID 1 turns out to have had it');
SELECT t.events('one', t.event(:'ka', 1, 'ended', '{"result": "success"}'), t.event(:'ka', 1, 'logged', '{"sequence": 0}')) \g /dev/null
DELETE FROM sluice.cleanup;
SELECT t.run('one') AS k \gset
SELECT (t.attempt(:'k')).id AS ka \gset
SELECT t.events('one', t.event(:'ka', 1, 'stuck', '{"reason": "agentd-exec does not answer."}'), t.event(:'ka', 1, 'running'), t.event(:'ka', 1, 'running')) \g /dev/null
SELECT is(pg_temp.summary(:'k') || (SELECT sluice.flags_json(agent)::text FROM sluice.instance WHERE id = t.id('one')), 'running[]', 'in one request, too');
SELECT t.events('one', t.event(:'ka', 1, 'ended', '{"result": "success"}'), t.event(:'ka', 1, 'logged', '{"sequence": 0}')) \g /dev/null
DELETE FROM sluice.cleanup;

-- A run from its start to its end.
SELECT t.run('one') AS r \gset
SELECT (t.attempt(:'r')).id AS a \gset
SELECT is(pg_temp.summary(:'r') || ', ' || t.tasks(:'r'), 'queued, a:queued', 'assigned is not running yet');
SELECT is(t.events('one', t.event(:'a', 1, 'running', '{"invocation_id": "0123"}')) -> 'acknowledged',
          jsonb_build_array(jsonb_build_object('attempt', :'a', 'epoch', 1, 'state', 'running')), 'running is acknowledged');
SELECT is(pg_temp.summary(:'r') || ', ' || t.tasks(:'r'), 'running, a:running', 'now it runs');
SELECT is(t.answer(t.events('one', t.success(:'a')) - 'acknowledged'), 'clean:1', 'at its end the workspace is to go');
SELECT is(pg_temp.summary(:'r') || ', ' || t.tasks(:'r'), 'succeeded success 0, a:succeeded', 'and it has succeeded');
SELECT is(jsonb_path_query_array(a, '$.keyvalue() ? (@.key starts with "memory" || @.key == "cpu_usage_usec" || @.key == "exit_code"
                || @.key == "result" || @.key == "invocation_id" || @.key == "agent").value'),
          '["one", "success", "exited", "0123", 1500, 67108864, 4096]', 'what was reported is shown')
  FROM (SELECT api.attempt_get(t.h('viewer'), :'a')::jsonb AS a) s;
CREATE FUNCTION pg_temp.unit(p_attempt uuid, p_slice text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
        UPDATE sluice.attempt SET slice = p_slice WHERE id = p_attempt;
        RETURN replace(api.attempt_get(t.h('viewer'), p_attempt) ->> 'unit', replace(p_attempt::text, '-', ''), 'HEX');
END
$$;
SELECT is(pg_temp.unit(:'a', NULL), 'sluice-HEX.service', 'the name of its unit follows from its id');
SELECT is(pg_temp.unit(:'a', 'sluice-7-0123456789abcdef0123456789abcde7.slice'), 'sluice-HEX.service', 'where the agent has no other');
SELECT is(pg_temp.unit(:'a', 'sluice-blue-7-0123456789abcdef0123456789abcde7.slice'), 'sluice-blue-HEX.service', 'or from that of the instance, too');
SELECT is(pg_temp.unit(:'a', 'sluice-/../-7-0123456789abcdef0123456789abcde7.slice'), 'sluice-HEX.service', 'not from anything else');
SELECT is((SELECT count(*) FROM sluice.assignment) + (SELECT count(*) FROM sluice.queue), 0::bigint, 'nothing is left behind');
SELECT is(t.get(:'r') ->> 'log_complete', 'false', 'its log may still grow');
SELECT ended_at AS ended FROM sluice.run WHERE id = (SELECT run FROM sluice.attempt WHERE id = :'a') \gset
SELECT t.events('one', t.event(:'a', 1, 'logged', '{"sequence": 0}')) \g /dev/null
SELECT is((SELECT ended_at FROM sluice.run WHERE id = (SELECT run FROM sluice.attempt WHERE id = :'a')), :'ended'::timestamptz,
          'the end of its log ends no run once more');
SELECT is(t.get(:'r') ->> 'log_complete', 'true', 'until the agent says that there is no more');
SELECT is(t.events('one', jsonb_build_object('state', 'cleaned', 'run', :'r', 'realtime_usec', 1)) -> 'acknowledged',
          jsonb_build_array(jsonb_build_object('state', 'cleaned', 'run', :'r')), 'cleaned is acknowledged with its run');
SELECT is((SELECT count(*) FROM sluice.cleanup), 0::bigint, 'and need not be done again');
SELECT is(jsonb_array_length(t.events('one', jsonb_build_object('state', 'cleaned', 'run', :'r')) -> 'acknowledged'), 1, 'twice is fine');

-- Repeats change nothing.
SELECT t.get(:'r') AS before \gset
SELECT is(jsonb_array_length(t.events('one', t.success(:'a'), t.success(:'a'), t.event(:'a', 1, 'logged', '{"sequence": 0}'))
                             -> 'acknowledged'), 3, 'repeats are acknowledged');
SELECT is(t.get(:'r'), :'before'::jsonb, 'and change nothing');
SELECT is(pg_temp.evidence(:'a'), 'none', 'nor are they evidence of anything');

-- Late, odd and foreign reports are kept and change nothing.
SELECT t.events('one', t.event(:'a', 1, 'running'), t.failure(:'a'), t.event(:'a', 1, 'refused'), t.event(:'a', 0, 'running'),
                       t.event(:'a', 9, 'ended', '{"result": "success"}')) -> 'acknowledged' AS ack \gset
SELECT is(jsonb_array_length(:'ack'), 5, 'late and odd reports are acknowledged');
SELECT t.events('two', t.failure(:'a')) \g /dev/null
SELECT is(pg_temp.evidence(:'a'), 'already-ended 1 running, already-ended 1 ended, already-ended 1 refused, old-epoch 0 running, '
          'not-assigned 9 ended, not-yours 1 ended', 'and kept as evidence');
SELECT t.events('one', t.event(:'a', 1, 'running'), t.event(:'a', 0, 'running')) \g /dev/null
SELECT is((SELECT count(*) FROM sluice.evidence), 6::bigint, 'once');
SELECT is(t.get(:'r'), :'before'::jsonb, 'and nothing has changed');
SELECT is(jsonb_array_length(t.events('one', t.success(t.id('nothing'))) -> 'acknowledged'), 1, 'so with an unknown attempt');
SELECT is(pg_temp.evidence(t.id('nothing')), 'unknown-attempt 1 ended', 'which is kept, too');

-- An attempt that was given to another: the old epoch is powerless.
SELECT t.run('one') AS r \gset
SELECT (t.attempt(:'r')).id AS a \gset
SELECT t.sync('two'), t.sync('one', '[]', '{"draining": true}') \g /dev/null
SELECT t.events('one', t.event(:'a', 1, 'refused', '{"requeue": true}')) \g /dev/null
SELECT is((t.attempt(:'r')).instance, t.id('two'), 'another has it');
SELECT t.events('one', t.event(:'a', 1, 'running'), t.success(:'a', 1)) \g /dev/null
SELECT t.events('one', t.success(:'a', 2)) \g /dev/null
SELECT is((t.attempt(:'r')).state || ' ' || pg_temp.evidence(:'a'), 'assigned old-epoch 1 running, old-epoch 1 ended, not-yours 2 ended',
          'reports of the first one change nothing');
SELECT t.sync('one') \g /dev/null
SELECT t.events('two', t.success(:'a', 2)) \g /dev/null
SELECT is(pg_temp.summary(:'r'), 'succeeded success 0', 'those of the second do');

-- Back in the queue, nobody has it: then the same epoch is powerless, too.
SELECT t.run('one') AS r \gset
SELECT (t.attempt(:'r')).id AS a \gset
SELECT t.sync('two', '[]', '{"draining": true}') \g /dev/null
SELECT t.events('one', t.event(:'a', 1, 'refused', '{"requeue": true}'), t.event(:'a', 1, 'running')) \g /dev/null
SELECT is((t.attempt(:'r')).state || ' ' || pg_temp.evidence(:'a'), 'queued not-yours 1 running', 'a refused attempt cannot run');
SELECT api.run_cancel(t.h('owner'), :'r') \g /dev/null

-- Refused for good.
SELECT t.run('one') AS r \gset
SELECT (t.attempt(:'r')).id AS a \gset
SELECT t.events('one', t.event(:'a', 1, 'refused', '{"reason": "policy.conf does not allow root"}')) \g /dev/null
SELECT is(pg_temp.summary(:'r'), 'failed refused policy.conf does not allow root', 'refused is an outcome that people see');
SELECT is(t.get(:'r') ->> 'log_complete', 'true', 'with a log that is empty and complete');
SELECT is(jsonb_array_length(t.events('one', t.event(:'a', 1, 'refused')) -> 'acknowledged') || pg_temp.evidence(:'a'), '1none', 'repeated');

-- Systemd's words are the outcome.
CREATE FUNCTION pg_temp.outcome(p_result text, p_more jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
        v_run uuid := t.run('one');
BEGIN
        PERFORM t.events('one', t.event((t.attempt(v_run)).id, 1, 'ended', p_more || jsonb_build_object('result', p_result)));
        RETURN pg_temp.summary(v_run);
END
$$;
SELECT is(pg_temp.outcome('oom-kill', '{"exit_code": "killed", "exit_status": 9, "oom_kills": 1}'), 'failed oom-kill 9', 'oom-kill');
SELECT is(pg_temp.outcome('signal', '{"exit_code": "killed", "exit_status": 15}'), 'failed signal 15', 'signal');
SELECT is(pg_temp.outcome('timeout', '{"exit_code": "killed", "exit_status": 15}'), 'failed timeout 15', 'timeout');
SELECT is(pg_temp.outcome('exit-code', '{"exit_code": "exited", "exit_status": 203}'), 'failed exit-code 203', 'exit-code');
SELECT is(pg_temp.outcome('lost', '{"reason": "The host rebooted."}'), 'failed lost The host rebooted.', 'lost');
SELECT is((SELECT started_at FROM sluice.run ORDER BY id DESC LIMIT 1), NULL, 'which may never have begun');

-- The graph: the answer to the end of a task carries the next one.
SELECT t.run('line') AS r \gset
SELECT t.events('one', t.success((t.attempt(:'r')).id)) AS answer \gset
SELECT is(t.answer(:'answer'::jsonb - 'acknowledged'), 'start:1', 'the next task comes with the answer');
SELECT is(:'answer'::jsonb #> '{start,0}', jsonb_build_object('attempt', (t.attempt(:'r', 'b')).id, 'epoch', 1, 'run', :'r',
          'project', 'default', 'pipe', 'line', 'task', 'b', 'fence', true, 'streaming', false, 'variables', NULL, 'directives', '[["ExecStart", "/bin/b"], ["MemoryMax", "64M"]]'::jsonb, 'parameters', NULL, 'outputs', NULL),
          'complete, directives in order');
SELECT is(t.events('one', t.success((t.attempt(:'r')).id)) #>> '{start,0,task}', 'b', 'a repeat (its answer was lost) gives it again');
SELECT t.events('one', t.failure((t.attempt(:'r', 'b')).id)) \g /dev/null
SELECT is(t.tasks(:'r') || ', ' || pg_temp.summary(:'r'), 'a:succeeded b:failed c:skipped, failed exit-code 3 it failed',
          'what comes after a failed task is skipped');

SELECT t.run('line') AS r \gset
SELECT t.events('one', t.failure((t.attempt(:'r')).id)) \g /dev/null
SELECT is(t.tasks(:'r') || ', ' || pg_temp.summary(:'r'), 'a:failed b:skipped c:skipped, failed exit-code 3 it failed',
          'and what comes after that');

SELECT t.run('fork') AS r \gset
SELECT is(t.tasks(:'r'), 'a:queued b:waiting c:waiting d:waiting e:queued', 'tasks without predecessors begin together');
SELECT t.events('one', t.success((t.attempt(:'r', 'a')).id)) \g /dev/null
SELECT t.events('one', t.success((t.attempt(:'r', 'b')).id)) \g /dev/null
SELECT is(t.tasks(:'r'), 'a:succeeded b:succeeded c:queued d:waiting e:queued', 'a task waits for all its predecessors');
SELECT t.events('one', t.failure((t.attempt(:'r', 'c')).id)) \g /dev/null
SELECT is(t.tasks(:'r') || ', ' || pg_temp.summary(:'r'), 'a:succeeded b:succeeded c:failed d:skipped e:queued, running',
          'what does not depend on the failure goes on');
SELECT t.events('one', t.event((t.attempt(:'r', 'e')).id, 1, 'ended', '{"result": "signal", "exit_status": 9}')) \g /dev/null
SELECT is(pg_temp.summary(:'r'), 'failed exit-code 3 it failed', 'the outcome is that of the first failure');

-- Cancelling.
SELECT t.run('fork') AS r \gset
SELECT t.events('one', t.event((t.attempt(:'r', 'a')).id, 1, 'running')) \g /dev/null
SELECT is(api.run_cancel(t.h('operator'), :'r')::jsonb -> 'state', '"running"', 'a run that is cancelled still runs');
SELECT is(t.tasks(:'r'), 'a:running b:cancelled c:cancelled d:cancelled e:queued', 'what waits is cancelled at once');
SELECT is((t.attempt(:'r', 'a')).state || ' ' || (t.attempt(:'r', 'e')).state, 'stopping stopping', 'what an instance has is asked to stop');
SELECT isnt(t.get(:'r') ->> 'cancel_requested_at', NULL, 'which is shown');
SELECT t.get(:'r') ->> 'etag' AS etag \gset
SELECT is(api.run_cancel(t.h('operator'), :'r') ->> 'etag', :'etag', 'asking twice changes nothing');
SELECT is(t.answer(t.sync('one', t.known((t.attempt(:'r', 'a')).id, 1, 'running'))), 'stop:2', 'the sync says stop');
SELECT is(t.answer(t.sync('one', t.known((t.attempt(:'r', 'a')).id, 1, 'stopping')
                                 || t.known((t.attempt(:'r', 'e')).id, 1, 'stopping'))), 'nothing', 'until it is being done');
SELECT t.events('one', t.event((t.attempt(:'r', 'a')).id, 1, 'ended', '{"result": "signal", "exit_code": "killed", "exit_status": 15}')) \g /dev/null
SELECT results_eq(format('SELECT state, outcome, result, exit_code, exit_status, reason FROM sluice.attempt WHERE id = %L',
                         (t.attempt(:'r', 'a')).id),
                  $$VALUES ('ended', 'cancelled', 'signal', 'killed', 15, 'cancelled by operator')$$,
                  'its outcome is cancelled, and systemd''s words are kept');
SELECT t.events('one', t.event((t.attempt(:'r', 'e')).id, 1, 'refused', '{"requeue": true, "reason": "stopped before it began"}')) \g /dev/null
SELECT is(t.tasks(:'r') || ', ' || pg_temp.summary(:'r'), 'a:cancelled b:cancelled c:cancelled d:cancelled e:cancelled, '
          'cancelled cancelled cancelled by operator', 'and so is the run''s, when all have ended');
SELECT is(jsonb_array_length(t.events('one', t.event((t.attempt(:'r', 'e')).id, 1, 'refused')) -> 'acknowledged')
          || pg_temp.evidence((t.attempt(:'r', 'e')).id), '1none', 'a repeated refusal is acknowledged');

-- Running is reported when the stop has been asked for: it still ends cancelled.
SELECT t.run('one') AS r \gset
SELECT (t.attempt(:'r')).id AS a \gset
SELECT api.run_cancel(t.h('operator'), :'r') \g /dev/null
SELECT t.events('one', t.event(:'a', 1, 'running')) \g /dev/null
SELECT is((t.attempt(:'r')).state, 'stopping', 'running does not undo stopping');
SELECT t.events('one', t.success(:'a')) \g /dev/null
SELECT is(concat_ws(' ', (t.attempt(:'r')).outcome, (t.attempt(:'r')).result), 'cancelled success', 'also when it was faster');

-- Never assigned.
SELECT t.sync('one', '[]', '{"draining": true}') \g /dev/null
SELECT t.run('fork') AS r \gset
SELECT is(api.run_cancel(t.h('operator'), :'r')::jsonb -> 'state', '"cancelled"', 'a queued run is over at once');
SELECT is((t.attempt(:'r')).state || ' ' || (SELECT count(*) FROM sluice.queue), 'cancelled 0', 'its attempts have left the queue');
SELECT is(t.get(:'r') ->> 'log_complete', 'true', 'its log is complete');
SELECT is((SELECT count(*) FROM sluice.cleanup WHERE run = :'r'), 0::bigint, 'and there is nothing to clean');
SELECT is(t.error(format('SELECT api.run_cancel(t.h(%L), %L)', 'owner', t.id('x'))), 'ZF404 run-not-found', 'an unknown run');

-- Idempotency keys, getters, lists.
SELECT t.sync('one') \g /dev/null
SELECT is(t.run('one', 'k'), t.run('one', 'k'), 'the same Idempotency-Key is the same run');
SELECT isnt(t.run('one', 'k'), t.run('one', 'l'), 'another one another run');
SELECT isnt(t.run('one'), t.run('one'), 'and none is always a new one');
SELECT is(t.error($$SELECT t.run('line', 'k')$$), 'ZF409 idempotency-key-reused', 'a key is for one request');
SELECT is(t.error($$SELECT t.run('one', '')$$), 'ZF400 bad-idempotency-key', 'an empty key');
SELECT isnt(t.run('one', 'k'), (api.run_create(t.h('operator'), 'default', 'one', NULL, 'k') ->> 'run')::uuid, 'keys are each token''s own');
SELECT is(t.error($$SELECT t.run('nothing')$$), 'ZF404 pipe-not-found', 'a run of nothing');
SELECT is(t.error(format('SELECT t.get(%L)', t.id('x'))), 'ZF404 run-not-found', 'an unknown run');
SELECT is(api.run_get(t.h('viewer'), :'r', t.get(:'r') ->> 'etag')::text, NULL, 'NULL when nothing is new');
SELECT isnt(api.run_get(t.h('viewer'), :'r', '0')::text, NULL, 'and the run when something is');
SELECT is(t.error($$SELECT api.run_list(t.h('viewer'), 'default', NULL, 'odd', 1, NULL)$$), 'ZF400 bad-state', 'a bad state');
SELECT is((SELECT string_agg(r ->> 'state', ' ') FROM json_array_elements(
                api.run_list(t.h('viewer'), 'default', 'fork', NULL, NULL, NULL) -> 'items') r), 'cancelled cancelled failed',
          'runs of a pipe, newest first');
SELECT is((SELECT count(*) FROM json_array_elements(
                api.run_list(t.h('viewer'), 'default', 'fork', 'failed', NULL, NULL) -> 'items') r), 1::bigint, 'those in a state');
SELECT api.run_list(t.h('viewer'), 'default', NULL, NULL, 4, NULL) AS page \gset
SELECT is(:'page'::json ->> 'next', :'page'::json #>> '{items,3,run}', 'a page ends where the next begins');
SELECT cmp_ok(api.run_list(t.h('viewer'), 'default', NULL, NULL, 4, (:'page'::json ->> 'next')::uuid) #>> '{items,0,run}', '<',
              :'page'::json ->> 'next', 'with older ones');
SELECT ok(NOT api.run_list(t.h('viewer'), 'default', NULL, NULL, 4, NULL)::jsonb #> '{items,0}' ? 'tasks', 'without their tasks');
SELECT is(jsonb_path_query_array(api.attempt_list(t.h('viewer'), :'r')::jsonb, '$.items[*].task'), '["a", "e"]', 'attempts of a run');
SELECT is(t.error(format('SELECT api.attempt_get(t.h(%L), %L)', 'viewer', t.id('x'))), 'ZF404 attempt-not-found', 'an unknown attempt');

-- Every change that is shown changes the etag.
CREATE FUNCTION pg_temp.news(p_run uuid, p_sql text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
        v_before jsonb := t.get(p_run);
BEGIN
        EXECUTE p_sql;
        RETURN (t.get(p_run) - 'etag' IS DISTINCT FROM v_before - 'etag') AND t.get(p_run) ->> 'etag' <> v_before ->> 'etag';
END
$$;
SELECT t.sync('one', '[]', '{"draining": true}') \g /dev/null
SELECT t.run('line') AS r \gset
SELECT (t.attempt(:'r')).id AS a \gset
SELECT ok(pg_temp.news(:'r', $$SELECT t.sync('one')$$), 'assigned is news');
SELECT ok(pg_temp.news(:'r', format('SELECT t.events(%L, t.event(%L, 1, %L))', 'one', :'a', 'running')), 'running');
SELECT ok(pg_temp.news(:'r', format('SELECT t.events(%L, t.success(%L))', 'one', :'a')), 'ended');
SELECT ok(pg_temp.news(:'r', format('SELECT t.events(%L, t.event(%L, 1, %L, %L))', 'one', :'a', 'logged', '{"sequence": 0}')), 'logged');
SELECT ok(pg_temp.news(:'r', format('SELECT t.events(%L, t.event(%L, 1, %L, %L))', 'one', (t.attempt(:'r', 'b')).id, 'refused',
                                    '{"requeue": true}')), 'requeued');
SELECT ok(pg_temp.news(:'r', format('SELECT api.run_cancel(t.h(%L), %L)', 'owner', :'r')), 'cancelled');

SELECT * FROM finish();
