-- Explanations: of runs that wait, were refused or ended, and of agents.
SET search_path = tap, public;
SELECT no_plan();

CREATE FUNCTION pg_temp.run(p_run uuid) RETURNS jsonb LANGUAGE sql AS $$ SELECT api.run_explain(t.h('viewer'), p_run)::jsonb $$;
CREATE FUNCTION pg_temp.agent(p_agent text) RETURNS jsonb LANGUAGE sql AS $$ SELECT api.agent_explain(t.h('viewer'), p_agent)::jsonb $$;
CREATE FUNCTION pg_temp.why(p_run uuid, p_task int DEFAULT 0) RETURNS text LANGUAGE sql AS $$
        SELECT pg_temp.run(p_run) #>> ARRAY['tasks', p_task::text, 'why']
$$;
-- What is said of one agent as a candidate of the first task.
CREATE FUNCTION pg_temp.says(p_run uuid, p_agent text) RETURNS text LANGUAGE sql AS $$
        SELECT regexp_replace(e ->> 'verdict', '\d{4}-\d\d-\d\dT[0-9:.]+Z', 'THEN')
          FROM jsonb_array_elements(pg_temp.run(p_run) #> '{tasks,0,candidates}') e WHERE e ->> 'agent' = p_agent
$$;

SELECT is(t.error($$SELECT api.run_explain('', sluice.uuid_v7())$$), 'ZF401 unauthenticated', 'who asks');
SELECT is(t.error($$SELECT api.agent_explain('', 'x')$$), 'ZF401 unauthenticated', 'who asks of an agent');
SELECT is(t.error($$SELECT api.run_explain(t.h('viewer'), sluice.uuid_v7())$$), 'ZF404 run-not-found', 'a run that is not');
SELECT is(t.error($$SELECT api.agent_explain(t.h('viewer'), 'x')$$), 'ZF404 agent-not-found', 'an agent that is not');

-- One agent for each reason.
SELECT api.agent_create(t.h('owner'), '{"name": "new", "labels": {"zone": "a"}}'),
       api.agent_create(t.h('owner'), '{"name": "stream", "type": "streaming"}') \g /dev/null
SELECT t.agent('far', 2, '{"zone": "b"}'), t.agent('full', 1, '{"zone": "a"}'), t.agent('drains', 2, '{"zone": "a"}'),
       t.agent('silent', 2, '{"zone": "a"}'), t.agent('gone', 2, '{"zone": "a"}'), t.agent('never', 2, '{"zone": "a"}'),
       t.agent('small', 2, '{"zone": "a"}'), t.agent('short', 2, '{"zone": "a", "s": ""}') \g /dev/null
UPDATE sluice.instance SET memory_bytes = CASE id WHEN t.id('small') THEN 32 ELSE 96 END * 1024 * 1024 WHERE id IN (t.id('small'), t.id('short'));
SELECT t.pipe('p', '{a,b<a}', t.selector('{"zone": "a"}')), t.pipe('s', '{a}', t.selector('{"s": null}')) \g /dev/null
SELECT t.sync('full') \g /dev/null
SELECT t.run('p') AS holder \gset
SELECT t.sync(n) FROM unnest(ARRAY['far', 'silent', 'gone', 'small', 'short']) n \g /dev/null
SELECT t.run('s') AS short \gset
SELECT t.silent('silent', '10 minutes'), t.sync('drains', '[]', '{"draining": true}'),
       api.agent_goodbye(t.h('gone'), jsonb_build_object('session', t.id('session of gone'), 'reason', 'the host goes down')) \g /dev/null
SELECT t.run('p') AS r \gset
SELECT is(pg_temp.says(:'r', n), want, n) FROM (VALUES
        ('stream', 'is of type streaming, not batch'),
        ('far', 'has other labels than zone=a (it has zone=b)'),
        ('new', 'has never connected'),
        ('never', 'is not connected since THEN: it has enrolled and never connected'),
        ('silent', 'is not connected since THEN: it was not heard of any more, and has not said goodbye'),
        ('gone', 'is not connected since THEN: it said goodbye: the host goes down'),
        ('drains', 'is draining'),
        ('full', 'its 1 slots are taken by ' || :'holder'),
        ('small', 'its memory of 32M is less than MemoryMax= of 64M'),
        ('short', 'of its memory 32M is not given away, less than MemoryMax= of 64M; it has ' || :'short')) v (n, want);
SELECT is(jsonb_array_length(pg_temp.run(:'r') #> '{tasks,0,candidates}'), 10, 'every agent is a candidate');
SELECT is(pg_temp.run(:'r') #>> '{tasks,0,candidates,9,suits}', 'false', 'those that suit come first');
SELECT is(pg_temp.why(:'r', 1), 'waits for a (queued)', 'a task after another');
SELECT is(pg_temp.run(:'r') #> '{tasks,1,candidates}', '[]', 'has no candidates yet');

-- Assigned, running, stopping, ended; bound to an instance.
SELECT (t.attempt(:'holder')).id AS a \gset
SELECT is(pg_temp.why(:'holder'), 'is assigned to agent "full", which has not reported its start', 'assigned');
SELECT t.events('full', t.event(:'a', 1, 'running')) \g /dev/null
SELECT is(pg_temp.why(:'holder'), 'runs on agent "full"', 'running');
SELECT is(pg_temp.run(:'holder') #>> '{tasks,0,attempts,0,counts}', 'true', 'the attempt that counts');
SELECT t.events('full', t.failure(:'a')) \g /dev/null
SELECT is(pg_temp.why(:'holder'), 'ended with exit-code on agent "full": it failed', 'failed');
SELECT is(pg_temp.why(:'holder', 1), 'is skipped because of a (failed)', 'skipped');
SELECT is((t.attempt(:'r')).state, 'assigned', 'the next has its slot');
SELECT (t.attempt(:'r')).id AS b \gset
SELECT t.events('full', t.event(:'b', 1, 'running')), t.run('p') \g /dev/null
SELECT t.events('full', t.success(:'b')) \g /dev/null
SELECT is((SELECT string_agg(e ->> 'verdict', '|' ORDER BY e ->> 'agent') FROM jsonb_array_elements(pg_temp.run(:'r') #> '{tasks,1,candidates}') e
            WHERE e ->> 'agent' IN ('full', 'drains')), NULL, 'what is assigned has no candidates');
SELECT api.run_cancel(t.h('owner'), :'r') \g /dev/null
SELECT is(pg_temp.why(:'r', 1), 'is asked to stop on agent "full": cancelled by owner', 'being stopped');

-- Refused, with and without another chance.
SELECT t.run('s') AS first, t.run('s') AS second \gset
SELECT t.agent('takes', 1, '{"s": ""}') \g /dev/null
SELECT t.sync('takes') \g /dev/null
SELECT (t.attempt(:'first')).id AS a \gset
SELECT t.events('takes', t.event(:'a', 1, 'refused', '{"requeue": true, "reason": "no room"}')) \g /dev/null
SELECT is(pg_temp.says(:'first', 'takes'), 'could not take it just now, and is asked again at THEN: no room', 'refused just now');
SELECT t.events('takes', t.event((t.attempt(:'second')).id, 1, 'refused', '{"reason": "the host''s policy allows no root"}')) \g /dev/null
SELECT is(pg_temp.why(:'second'), 'was refused by agent "takes": the host''s policy allows no root', 'refused for good');

-- Limits.
SELECT t.pipe('one', '{a}', t.selector('{"s": null}') || '{"concurrency_limit": 1}') \g /dev/null
UPDATE sluice.queue SET avoid_until = clock_timestamp() + interval '1 hour' WHERE avoid IS NOT NULL;
SELECT t.run('one') AS l1, t.run('one') AS l2 \gset
SELECT is(pg_temp.why(:'l2'), format('the limit of 1 run at once of pipe "one" is reached; held by %s', :'l1'), 'a limit');

-- Evidence.
SELECT (t.attempt(:'l1')).id AS e, (t.attempt(:'l1')).epoch AS epoch \gset
SELECT t.events('short', t.success(:'e')) \g /dev/null
SELECT t.events('takes', t.success(:'e')), t.events('takes', t.failure(:'e')) \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', v ->> 'why', v ->> 'agent', v ->> 'state', v ->> 'result'), ', ')
             FROM jsonb_array_elements(pg_temp.run(:'l1') #> '{tasks,0,attempts,0,evidence}') v),
          'not-yours short ended success, already-ended takes ended exit-code', 'what was kept and did not count');

-- Agents.
SELECT is(pg_temp.agent('new') ->> 'reason', 'no host has joined as this agent', 'an agent nobody is');
SELECT is(pg_temp.agent('gone') ->> 'status' || ', ' || (pg_temp.agent('gone') ->> 'reason'), 'Stopped, it said goodbye: the host goes down', 'stopped');
SELECT is(pg_temp.agent('silent') ->> 'status', 'Unknown', 'unknown');
SELECT matches(pg_temp.agent('silent') ->> 'since', '^\d{4}-', 'since when');
SELECT is(pg_temp.agent('drains') -> 'flags', '["draining by the agent"]', 'flags');
SELECT is(pg_temp.agent('full') #>> '{instances,0,has,0,run}', :'r', 'what it has');
SELECT is(pg_temp.agent('full') #>> '{instances,0,has,0,state}', 'stopping', 'in which state');
SELECT is(pg_temp.agent('short') #>> '{instances,0,memory_used_bytes}', '67108864', 'how much of its memory is given away');
SELECT ok((SELECT bool_and(w ->> 'why' IS NOT NULL) AND count(*) > 0 FROM jsonb_array_elements(pg_temp.agent('full') -> 'waiting') w), 'what waits for it, and why');
SELECT is((SELECT count(*) FROM jsonb_array_elements(pg_temp.agent('far') -> 'waiting') w), 0::bigint, 'and what does not');
SELECT ok(EXISTS (SELECT FROM jsonb_array_elements(pg_temp.agent('takes') -> 'waiting') w WHERE w ->> 'run' = :'first'), 'also what it refused');

SELECT * FROM finish();
