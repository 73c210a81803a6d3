-- Trials of drafts: on one agent, beside the pipe and all that counts its runs.
SET search_path = tap, public;
SELECT no_plan();
SELECT t.agent('one', 2, '{"zone": "a"}'), t.agent('two', 2), t.agent('feeder', 1, '{}', 'streaming') \g /dev/null
SELECT t.sync('one'), t.sync('two'), t.sync('feeder') \g /dev/null
SELECT api.agent_create(t.h('owner'), '{"name": "new"}') \g /dev/null

CREATE FUNCTION pg_temp.request(p_agent text, p_more jsonb DEFAULT '{}', p_tasks text[] DEFAULT '{a,b<a}', p_spec jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
        SELECT jsonb_build_object('pipe', 'd', 'version', left(md5(p_tasks::text || p_spec), 16), 'spec', t.spec(p_tasks, p_spec), 'source', 'text', 'agent', p_agent) || p_more
$$;
CREATE FUNCTION pg_temp.try(p_request jsonb, p_key text DEFAULT NULL) RETURNS uuid LANGUAGE sql AS $$
        SELECT (api.trial_create(t.h('editor'), 'default', p_request, p_key) ->> 'run')::uuid
$$;
CREATE FUNCTION pg_temp.refusal(p_request jsonb, p_who text DEFAULT 'editor', p_key text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
        SELECT t.error(format('SELECT api.trial_create(t.h(%L), ''default'', %L, %L)', p_who, p_request, p_key))
$$;
CREATE FUNCTION pg_temp.words(p_request jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
        PERFORM pg_temp.try(p_request);
        RETURN 'none';
EXCEPTION WHEN OTHERS THEN
        RETURN regexp_replace(SQLERRM, '\d{4}-\d\d-\d\dT[0-9:.]+Z', 'THEN');
END
$$;
CREATE FUNCTION pg_temp.end(p_agent text, p_run uuid) RETURNS jsonb LANGUAGE sql AS $$
        SELECT t.events(p_agent, t.event(a.id, a.epoch, 'running'), t.success(a.id, a.epoch), t.event(a.id, a.epoch, 'logged', '{"sequence": 0}'))
          FROM sluice.attempt a WHERE a.run = p_run AND a.state = 'assigned'
$$;
CREATE FUNCTION pg_temp.on(p_run uuid) RETURNS text LANGUAGE sql AS $$
        SELECT string_agg(DISTINCT coalesce(g.name, '-'), ' ') FROM sluice.attempt a LEFT JOIN sluice.agent g ON g.id = a.agent WHERE a.run = p_run
$$;

-- Of a pipe that does not exist, on an agent that its selector does not want.
SELECT pg_temp.try(pg_temp.request('two', '{"version": "aaaaaaaaaaaaaaaa"}', p_spec => t.selector('{"zone": "a"}'))) AS r \gset
SELECT is(pg_temp.on(:'r') || ' ' || t.tasks(:'r'), 'two a:queued b:waiting', 'it is placed there at once');
SELECT is((t.get(:'r') ->> 'version') || ' ' || (t.get(:'r') ->> 'trial'), 'draft-aaaaaaaaaaaaaaaa true', 'and marked');
SELECT is(api.run_explain(t.h('viewer'), :'r') ->> 'trial', 'true', 'in an explanation, too');
SELECT pg_temp.end('two', :'r'), pg_temp.end('two', :'r') \g /dev/null
SELECT is(pg_temp.on(:'r') || ' ' || (t.get(:'r') ->> 'state'), 'two succeeded', 'all its tasks run there, to its end');
SELECT is(t.error($$SELECT api.pipe_get(t.h('viewer'), 'default', 'd', NULL)$$), 'ZF404 pipe-not-found', 'there still is no such pipe');
SELECT is(api.pipe_list(t.h('viewer'), 'default', NULL, NULL)::jsonb -> 'items', '[]', 'in no list');
SELECT is(t.error($$SELECT api.run_create(t.h('operator'), 'default', 'd', NULL, NULL)$$), 'ZF404 pipe-not-found', 'and it cannot be run');
SELECT is(t.error($$SELECT api.run_create(t.h('operator'), 'default', 'd', 'draft-aaaaaaaaaaaaaaaa', NULL)$$), 'ZF409 draft', 'nor can the draft');
SELECT is(api.pipe_get(t.h('viewer'), 'default', 'd', 'draft-aaaaaaaaaaaaaaaa') ->> 'source', 'text', 'but the draft can be looked at');
SELECT is(t.error($$SELECT api.pipe_get(t.h('viewer'), 'default', 'd', 'draft-bbbbbbbbbbbbbbbb')$$), 'ZF404 pipe-not-found', 'one that is not there cannot');
SELECT is((SELECT spec -> 'agent_selector' FROM sluice.pipe_version WHERE pipe = 'd'), '[]', 'kept is what was tried');
SELECT is(sluice.draft_spec('{"tasks": [{"name": "a", "agent_selector": [1], "run_on_all": [2]}, {"name": "b"}]}') -> 'tasks', '[{"name": "a"}, {"name": "b"}]',
          'tasks have no place of their own either');

-- Beside a pipe of that name.
SELECT t.pipe('d', '{a}', t.selector('{"zone": "a"}') || '{"concurrency_limit": 1, "concurrency_policy": "forbid", "schedules": [{"name": "s", "cron": ["@hourly"]}]}') ->> 'version' AS version \gset
SELECT jsonb_agg(to_jsonb(p)) AS pipe FROM sluice.pipe p \gset
SELECT t.run('d') AS real \gset
SELECT pg_temp.try(pg_temp.request('one', p_tasks => '{a}', p_spec => '{"concurrency_limit": 1}' || t.selector('{"zone": "b"}'))) AS r2 \gset
SELECT is(pg_temp.on(:'r2'), 'one', 'limits of the pipe do not keep a trial');
SELECT pg_temp.end('one', :'real') \g /dev/null
SELECT t.run('d') AS real2 \gset
SELECT is(pg_temp.on(:'real2'), 'one', 'nor does a trial count for them');
SELECT is(sluice.schedule_in_the_way(s), :'real2'::uuid, 'a run is in the way of its schedule') FROM sluice.schedule s;
SELECT pg_temp.end('one', :'real2') \g /dev/null
SELECT is(sluice.schedule_in_the_way(s), NULL, 'a trial is not') FROM sluice.schedule s;
SELECT is((SELECT jsonb_agg(to_jsonb(p)) FROM sluice.pipe p), :'pipe'::jsonb, 'what is deployed is as it was');
SELECT is(jsonb_array_length(api.pipe_versions(t.h('viewer'), 'default', 'd')::jsonb -> 'items'), 1, 'versions do not have it');
SELECT is(jsonb_array_length(api.pipe_history(t.h('viewer'), 'default', 'd', NULL, NULL)::jsonb -> 'items'), 1, 'nor does the history');
SELECT is(t.error($$SELECT api.pipe_deploy(t.h('editor'), 'default', 'd', 'draft-aaaaaaaaaaaaaaaa')$$), 'ZF409 draft', 'it cannot be made current');
SELECT is(t.error(format($$UPDATE sluice.pipe SET version = 'draft-aaaaaaaaaaaaaaaa'$$)) ~ 'pipe_version_no_draft', true, 'by no means');
SELECT is(t.error(format($$SELECT api.run_rerun(t.h('operator'), %L, '{"all": true, "version": "current"}', NULL)$$, :'r')), 'ZF409 draft',
          'a trial is not rerun, with whatever version');
SELECT is((SELECT array_agg(x ->> 'run') FROM jsonb_array_elements(api.run_list(t.h('viewer'), 'default', NULL, NULL, NULL, NULL, 'true')::jsonb -> 'items') x),
          ARRAY[:'r2', :'r'], 'trials can be listed');
SELECT is((SELECT array_agg(x ->> 'run') FROM jsonb_array_elements(api.run_list(t.h('viewer'), 'default', NULL, NULL, NULL, NULL, 'false')::jsonb -> 'items') x),
          ARRAY[:'real2', :'real'], 'and left out');
SELECT is(t.error($$SELECT api.run_list(t.h('viewer'), 'default', NULL, NULL, NULL, NULL, 'x')$$), 'ZF400 bad-request', 'it is one of both');
SELECT pg_temp.end('one', :'r2') \g /dev/null
SELECT is((SELECT count(*) FROM api.run_create_batch(t.h('operator'), '[{"project": "default", "body": {"pipe": "d", "version": "draft-aaaaaaaaaaaaaaaa"}}]')), 0::int8, 'nor is it run along with others');

-- The project's limit is everybody's.
SELECT api.project_set(t.h('admin'), 'default', '{"concurrency_limit": 1}') \g /dev/null
SELECT t.run('d') AS holder \gset
SELECT pg_temp.try(pg_temp.request('two', p_tasks => '{a}')) AS limited \gset
SELECT matches(t.get(:'limited') #>> '{tasks,0,attempts,0,why}', 'the limit of 1 run at once in project "default" is reached', 'the limit of the project holds for it');
SELECT pg_temp.end('one', :'holder') \g /dev/null
UPDATE sluice.queue SET queued_at = queued_at - interval '1 minute';
SELECT api.presence_flush('{}') \g /dev/null
SELECT is(pg_temp.on(:'limited'), 'two', 'until there is room');
SELECT pg_temp.end('two', :'limited') \g /dev/null
UPDATE sluice.project SET concurrency_limit = NULL;

-- It waits for seats, and for nothing else.
SELECT t.run('d') AS x1, t.run('d') AS x2 \gset
UPDATE sluice.agent SET labels = '{"zone": "a"}' WHERE name = 'two';
SELECT pg_temp.try(pg_temp.request('two', p_tasks => '{a,c}')) AS full \gset
SELECT pg_temp.try(pg_temp.request('two', p_tasks => '{a,c}')) AS waits \gset
SELECT is(pg_temp.on(:'full') || pg_temp.on(:'waits'), 'two-', 'a draft waits for a seat of its agent, not for one of another');
SELECT matches(t.get(:'waits') #>> '{tasks,0,attempts,0,why}', 'waits for agent "two" on two.example, where the run is tried: its 2 slots are taken', 'and says so');
SELECT is((SELECT x ->> 'verdict' FROM json_array_elements(api.run_explain(t.h('viewer'), :'waits') #> '{tasks,0,candidates}') x WHERE x ->> 'agent' = 'one'),
          'is not where the run is tried', 'why not another one');
SELECT is((SELECT count(*)::int FROM json_array_elements(api.agent_explain(t.h('viewer'), 'two') -> 'waiting') w WHERE w ->> 'run' = :'waits' AND (w ->> 'bound')::boolean),
          2, 'its agent says that it waits there');

-- One that cannot take it says so.
SELECT is(pg_temp.words(pg_temp.request('new')), 'Agent "new" cannot try this now: it has never connected.', 'never connected');
SELECT is(pg_temp.words(pg_temp.request('feeder')), 'Agent "feeder" cannot try this now: it is of type streaming, not batch.', 'of another type');
SELECT t.silent('one', '10 minutes') \g /dev/null
SELECT matches(pg_temp.words(pg_temp.request('one')), '^Agent "one" cannot try this now: it is not connected since THEN: ', 'not connected');
SELECT t.sync('one') \g /dev/null
SELECT api.agent_flag_set(t.h('operator'), 'one', 'paused', '{"reason": "a look"}') \g /dev/null
SELECT is(pg_temp.words(pg_temp.request('one')), 'Agent "one" cannot try this now: it is paused by operator since THEN: a look.', 'paused');
SELECT api.agent_flag_clear(t.h('operator'), 'one', 'paused') \g /dev/null
UPDATE sluice.instance SET memory_bytes = 32 * 1024 * 1024 WHERE id = t.id('one');
SELECT is(pg_temp.words(pg_temp.request('one')), 'Agent "one" cannot try this now: its memory of 32M is less than MemoryMax= of 64M.', 'too small for ever');
UPDATE sluice.instance SET memory_bytes = NULL WHERE id = t.id('one');
SELECT is(pg_temp.refusal(pg_temp.request('nobody')), 'ZF404 agent-not-found', 'an agent that is not');
SELECT is(pg_temp.refusal(pg_temp.request('one', '{"instance": "x"}')), 'ZF404 instance-not-found', 'an instance that is not');
SELECT is(pg_temp.refusal(pg_temp.request('one', p_tasks => '{a}', p_spec => '{"type": "streaming"}')), 'ZF409 streaming-pipe', 'what never ends is not tried');
SELECT is(pg_temp.refusal(pg_temp.request('one', p_spec => '{"schedules": [{"name": "s"}]}')), 'ZF400 bad-spec', 'what could not be deployed neither');
SELECT is(pg_temp.refusal(pg_temp.request('one', '{"version": "x"}')) || pg_temp.refusal(pg_temp.request('one', '{"pipe": "X"}')), 'ZF400 bad-versionZF400 bad-name', 'nor what has no name');
SELECT is(pg_temp.refusal(pg_temp.request('one', '{"parameters": {"x": "1"}}')), 'ZF400 bad-parameters', 'nor with values that it does not know');
SELECT is(pg_temp.refusal(pg_temp.request('one'), 'operator'), 'ZF403 forbidden', 'who may not deploy may not try');
SELECT is(t.error(format('SELECT api.trial_create(t.h(''editor''), ''other'', %L, NULL)', pg_temp.request('one'))), 'ZF404 project-not-found', 'a project that is not');

-- By host, by id; and once for each key.
SELECT pg_temp.end('one', :'x1'), pg_temp.end('one', :'x2') \g /dev/null
SELECT pg_temp.try(pg_temp.request('one', '{"instance": "one.example"}', '{a}'), 'k') AS k \gset
SELECT is(pg_temp.on(:'k'), 'one', 'an instance by its host');
SELECT is(pg_temp.try(pg_temp.request('one', '{"instance": "one.example"}', '{a}'), 'k'), :'k'::uuid, 'the same request with the same key is the same trial');
SELECT is(pg_temp.refusal(pg_temp.request('one', p_tasks => '{a}'), 'editor', 'k'), 'ZF409 idempotency-key-reused', 'another one is not');
SELECT is(pg_temp.on(pg_temp.try(pg_temp.request('one', jsonb_build_object('instance', t.id('one')), '{a}'))), 'one', 'or by its id');

-- Refused for now it stays there.
SELECT t.events('one', t.event(a.id, a.epoch, 'refused', '{"requeue": true, "reason": "busy"}')) FROM sluice.attempt a WHERE a.run = :'k' \g /dev/null
SELECT is((SELECT instance FROM sluice.queue WHERE run = :'k'), t.id('one'), 'an agent that could not take it is asked again, and no other');
SELECT is((SELECT count(*) FROM sluice.live_run WHERE run = :'k'), 0::int8, 'meanwhile it counts for nothing');
UPDATE sluice.queue SET avoid_until = now() WHERE run = :'k';
SELECT sluice.take_many(ARRAY[t.id('one')], ARRAY[t.id('one')]) \g /dev/null
SELECT is(pg_temp.on(:'k'), 'one', 'and takes it then');
SELECT pg_temp.end('one', :'k') \g /dev/null

-- A lost agent loses it.
SELECT pg_temp.try(pg_temp.request('one', p_tasks => '{a,b<a}')) AS lost \gset
SELECT t.events('one', t.event(a.id, a.epoch, 'running')) FROM sluice.attempt a WHERE a.run = :'lost' \g /dev/null
SELECT is((SELECT bool_or(retried) FROM sluice.loss_runs(t.id('one'), clock_timestamp() - interval '1 hour') WHERE run = :'lost'), NULL, 'its fence is not set, and nobody waits for it');
SELECT t.sync('one', t.known(a.id, a.epoch, 'running'), '{"self_fence_sec": 60}') FROM sluice.attempt a WHERE a.run = :'lost' AND a.task = 'a' \g /dev/null
UPDATE sluice.attendance SET last_at = clock_timestamp(), since = since - interval '1 day', before = before - interval '1 day', server_since = pg_postmaster_start_time();
SELECT t.silent('one', '1 hour') \g /dev/null
SELECT api.presence_flush('{}') \g /dev/null
SELECT is((t.get(:'lost') ->> 'state') || ' ' || (t.get(:'lost') ->> 'outcome') || ' ' || pg_temp.on(:'lost'), 'failed lost one', 'on another agent it does not begin again');

-- An agent that is deleted takes its trials with it, and leaves other work to others.
SELECT is((t.get(:'waits') ->> 'state'), 'queued', 'a trial waits');
SELECT t.error(format('SELECT api.agent_delete(t.h(''admin''), %L, ''true'')', (SELECT id FROM sluice.agent WHERE name = 'two'))) \g /dev/null
SELECT is((t.get(:'waits') ->> 'state') || ': ' || (t.get(:'waits') ->> 'reason'), 'cancelled: agent "two", on which it was tried, was deleted by admin', 'it is cancelled with its agent');
SELECT is((t.get(:'full') ->> 'state'), 'failed', 'what ran there is abandoned');
SELECT is((SELECT count(*) FROM sluice.queue q JOIN sluice.run r ON r.id = q.run WHERE sluice.is_draft(r.version)), 0::int8, 'nothing of either waits for anybody');

-- Drafts go with their runs.
SELECT is(t.error('SELECT api.maintain()'), 'none', 'maintenance');
SELECT is((SELECT count(*) > 0 FROM sluice.pipe_version WHERE sluice.is_draft(version)), true, 'a draft stays while its runs do');
UPDATE sluice.pipe_version SET last_trial = sluice.uuid_v7_floor(now() - interval '2 days') WHERE sluice.is_draft(version);
SELECT api.maintain() \g /dev/null
SELECT is((SELECT count(*) FROM sluice.pipe_version WHERE sluice.is_draft(version)), 0::int8, 'and goes when they are gone');
SELECT * FROM finish();
