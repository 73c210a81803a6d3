-- Streaming pipes: one on an agent, what people want of them, what follows from the end of a run, and how one takes the place of another.
SET search_path = tap, public;
SELECT no_plan();
SELECT t.agent('one', 1, '{}', 'streaming'), t.agent('two', 1, '{"spare": ""}', 'streaming') \g /dev/null
CREATE FUNCTION pg_temp.deploy(p_pipe text, p_version text, p_more jsonb DEFAULT '{}') RETURNS json LANGUAGE sql AS $$
        SELECT t.pipe(p_pipe, '{a}', jsonb_build_object('type', 'streaming', 'description', p_version) || p_more)
$$;
CREATE FUNCTION pg_temp.want(p_verb text, p_pipe text DEFAULT 'feed') RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
        v jsonb;
BEGIN
        EXECUTE format('SELECT api.stream_%s(t.h(''owner''), ''default'', %L)', p_verb, p_pipe) INTO v;
        RETURN v;
END
$$;
-- 'running/running v1 one': desired, state, version, agent.
CREATE FUNCTION pg_temp.stream(p_pipe text DEFAULT 'feed') RETURNS text LANGUAGE sql AS $$
        SELECT concat_ws(' ', concat(s ->> 'desired', '/', s ->> 'state'),
                         (SELECT v.description FROM sluice.pipe_version v WHERE v.version = s ->> 'version' AND v.pipe = p_pipe), s ->> 'agent')
          FROM (SELECT api.pipe_get(t.h('viewer'), 'default', p_pipe, NULL)::jsonb -> 'stream') x (s)
$$;
CREATE FUNCTION pg_temp.note(p_pipe text DEFAULT 'feed') RETURNS text LANGUAGE sql AS $$ SELECT note FROM sluice.stream WHERE pipe = p_pipe $$;
CREATE FUNCTION pg_temp.run(p_pipe text DEFAULT 'feed') RETURNS uuid LANGUAGE sql AS $$ SELECT run FROM sluice.stream WHERE pipe = p_pipe $$;
CREATE FUNCTION pg_temp.old(p_pipe text DEFAULT 'feed') RETURNS uuid LANGUAGE sql AS $$ SELECT retiring FROM sluice.stream WHERE pipe = p_pipe $$;
-- The agent reports of the run, and what is told to dispatch is done.
CREATE FUNCTION pg_temp.says(p_agent text, p_run uuid, p_state text, p_more jsonb DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
        a sluice.attempt := sluice.stream_attempt(p_run);
BEGIN
        PERFORM t.events(p_agent, t.event(a.id, a.epoch, p_state, p_more));
        PERFORM api.dispatch();
END
$$;
CREATE FUNCTION pg_temp.ready(p_agent text, p_run uuid) RETURNS void LANGUAGE sql AS $$
        SELECT pg_temp.says(p_agent, p_run, 'running'), pg_temp.says(p_agent, p_run, 'status', '{"restarts": 0, "status_text": "", "ready": true}')
$$;
CREATE FUNCTION pg_temp.killed(p_agent text, p_run uuid) RETURNS void LANGUAGE sql AS $$
        SELECT pg_temp.says(p_agent, p_run, 'ended', '{"result": "success", "exit_code": "killed", "exit_status": 15}')
$$;
CREATE FUNCTION pg_temp.asked(p_run uuid) RETURNS text LANGUAGE sql AS $$ SELECT stop_reason FROM sluice.assignment WHERE run = p_run $$;
-- For so long, and listened for, however long this test has taken.
CREATE FUNCTION pg_temp.silent(p_agent text, p_for interval) RETURNS void LANGUAGE sql AS $$
        UPDATE sluice.attendance SET since = '-infinity', last_at = clock_timestamp();
        SELECT t.silent(p_agent, p_for)
$$;

-- What is no streaming pipe, and what is.
SELECT t.pipe('batch', '{a}'), pg_temp.deploy('feed', 'v1'), pg_temp.deploy('other', 'v1') \g /dev/null
SELECT is(t.error($$SELECT pg_temp.want('start', 'batch')$$), 'ZF409 not-streaming', 'a batch pipe is not started');
SELECT is(t.error($$SELECT t.run('feed')$$), 'ZF409 streaming-pipe', 'nor is a run of a streaming one made by hand');
SELECT is(t.error($$SELECT api.run_create_many(t.h('owner'), 'default', '{"runs": [{"pipe": "batch"}, {"pipe": "feed"}]}', NULL)$$),
          'ZF409 streaming-pipe', 'nor many');
SELECT is((SELECT count(*) FROM api.run_create_batch(t.h('owner'), '[{"project": "default", "body": {"pipe": "feed"}}]'))::int, 0, 'nor in a batch');
SELECT is(t.error($$SELECT api.stream_start(t.h('viewer'), 'default', 'feed')$$), 'ZF403 forbidden', 'nor started by whoever may only look');
SELECT is(t.error($$SELECT t.pipe('x', '{a,b}', '{"type": "streaming"}')$$), 'ZF400 bad-spec', 'it has one task');
SELECT is(pg_temp.stream(), 'stopped/stopped', 'deployed, it does not run');
SELECT is(pg_temp.want('stop') ->> 'state', 'stopped', 'stopping that changes nothing');

-- Started.
SELECT is(pg_temp.want('start') ->> 'state', 'queued', 'started, it waits for an agent');
SELECT is(t.get(pg_temp.run()) ->> 'created_by', 'owner', 'its run is of whoever started it');
SELECT is(pg_temp.want('start') ->> 'run', pg_temp.run()::text, 'started again, it has the same run');
SELECT is(t.sync('one') #>> '{start,0,streaming}', 'true', 'an agent that comes is given it, and told what it is');
SELECT is(pg_temp.stream(), 'running/starting v1 one', 'it begins');
SELECT pg_temp.says('one', pg_temp.run(), 'running') \g /dev/null
SELECT is(pg_temp.stream(), 'running/starting v1 one', 'its process is there, and not ready yet');
SELECT pg_temp.says('one', pg_temp.run(), 'status', '{"restarts": 0, "status_text": "7", "ready": true}') \g /dev/null
SELECT is(pg_temp.stream(), 'running/running v1 one', 'now it is');
SELECT pg_temp.says('one', pg_temp.run(), 'status', '{"restarts": 3, "status_text": "catching up", "ready": true}') \g /dev/null
SELECT is(concat_ws(' ', a ->> 'restarts', a ->> 'status_text', (a ->> 'ready_at') IS NOT NULL), '3 catching up t', 'what PID 1 says is shown')
  FROM (SELECT t.get(pg_temp.run()) #> '{tasks,0,attempts,0}') x (a);
SELECT is(t.error(format('SELECT api.run_cancel(t.h(''owner''), %L)', pg_temp.run())), 'ZF409 streaming-run', 'its run is not cancelled');
SELECT is(t.error($$SELECT t.pipe('feed', '{a}')$$), 'ZF409 stream-running', 'nor does it become a batch pipe');
SELECT is(t.error($$SELECT t.events('one', t.event(t.id('x'), 1, 'status', '{"ready": "yes"}'))$$), 'ZF400 bad-request', 'ready is true or false');
SELECT is(t.error($$SELECT t.events('one', t.event(t.id('x'), 1, 'status', '{"restarts": -1}'))$$), 'ZF400 bad-request', 'restarts are counted');

-- One on an agent.
SELECT pg_temp.want('start', 'other') \g /dev/null
SELECT t.sync('one') \g /dev/null
SELECT is(t.get(pg_temp.run('other')) #>> '{tasks,0,attempts,0,why}', 'each of the 1 connected instances of type streaming has a streaming run',
          'another has to wait');
SELECT matches(api.run_explain(t.h('owner'), pg_temp.run('other'))::text, 'has the streaming run ' || pg_temp.run(), 'and is told for which');
SELECT throws_ok($$INSERT INTO sluice.assignment (attempt, epoch, instance, seat, run, stream_agent)
                   SELECT t.id('a'), 1, instance, 7, t.id('r'), stream_agent FROM sluice.assignment$$, '23505', NULL, 'a constraint says so');
SELECT t.sync('two') \g /dev/null
SELECT is(pg_temp.stream('other'), 'running/starting v1 two', 'on another agent there is room');
SELECT pg_temp.want('stop', 'other') \g /dev/null
SELECT is(pg_temp.asked(pg_temp.run('other')), 'stopped by owner', 'stopped, its run is asked to stop');
SELECT is(pg_temp.stream('other'), 'stopped/stopping v1 two', 'which takes its time');
SELECT pg_temp.killed('two', pg_temp.run('other')) \g /dev/null
SELECT is(pg_temp.stream('other'), 'stopped/stopped', 'and is the end of it');
SELECT is(concat_ws(' ', r.state, r.reason), 'cancelled stopped by owner', 'with the reason') FROM sluice.run r WHERE pipe = 'other';

-- Another version: the first one ends before it begins.
SELECT pg_temp.run() AS v1 \gset
SELECT pg_temp.deploy('feed', 'v2') \g /dev/null
SELECT is(pg_temp.asked(:'v1'), 'replaced by version ' || version, 'the old version is asked to stop') FROM sluice.pipe WHERE name = 'feed';
SELECT is((SELECT count(*) FROM sluice.run WHERE pipe = 'feed')::int, 1, 'and the new one waits for its end');
SELECT is(pg_temp.stream(), 'running/replacing v1 one', 'which is shown');
SELECT pg_temp.killed('one', :'v1') \g /dev/null
SELECT is(pg_temp.stream(), 'running/starting v2 one', 'then it begins, on the same agent');
SELECT pg_temp.run() AS v2 \gset
SELECT pg_temp.ready('one', :'v2') \g /dev/null

-- With Overlap=brief it begins beside it, on an agent with one slot, and only it.
SELECT api.project_set(t.h('owner'), 'default', '{"concurrency_limit": 1}') \g /dev/null
SELECT pg_temp.deploy('feed', 'v3', '{"overlap": "brief"}') \g /dev/null
SELECT pg_temp.run() AS v3 \gset
SELECT is(pg_temp.stream(), 'running/replacing v3 one', 'the next version begins at once on the same agent');
SELECT is(pg_temp.old(), :'v2', 'beside the other');
SELECT is((SELECT count(*) FROM sluice.live_run)::int, 2, 'also when the project may have no more');
SELECT api.project_set(t.h('owner'), 'default', '{"concurrency_limit": null}') \g /dev/null
SELECT is(pg_temp.asked(:'v2'), NULL, 'which is not asked to stop');
SELECT api.agent_flag_set(t.h('owner'), 'two', 'paused', '{}'), pg_temp.want('start', 'other') \g /dev/null
SELECT t.sync('one') \g /dev/null
SELECT is(pg_temp.stream('other'), 'running/queued v1', 'no other pipe gets in between');
SELECT is((SELECT string_agg(retiring::text, ' ' ORDER BY retiring) FROM sluice.assignment), 'false true', 'there is one, and one that goes');
SELECT pg_temp.says('one', :'v3', 'running') \g /dev/null
SELECT is(pg_temp.asked(:'v2'), NULL, 'that its process is there is not enough');
SELECT pg_temp.says('one', :'v3', 'status', '{"ready": true}') \g /dev/null
SELECT is(pg_temp.asked(:'v2'), 'replaced by run ' || :'v3', 'ready, it takes the place');
SELECT pg_temp.killed('one', :'v2') \g /dev/null
SELECT is(pg_temp.stream(), 'running/running v3 one', 'alone');
SELECT is(pg_temp.stream('other'), 'running/queued v1', 'the agent is taken');

-- A version that does not get ready does not take the place.
SELECT pg_temp.deploy('feed', 'v4', '{"overlap": "brief"}') \g /dev/null
SELECT pg_temp.run() AS v4 \gset
UPDATE sluice.queue SET instance = t.id('one') WHERE run = pg_temp.run('other'); -- as if it had been there before
SELECT pg_temp.says('one', :'v4', 'ended', '{"result": "exit-code", "exit_code": "exited", "exit_status": 3, "restarts": 5}') \g /dev/null
SELECT is(pg_temp.stream(), 'running/running v3 one', 'the one before goes on');
SELECT is((SELECT concat_ws(' ', run = :'v3', retiring) FROM sluice.assignment), 't f', 'in its place');
SELECT is(pg_temp.stream('other'), 'running/queued v1', 'which nobody else has got');
SELECT pg_temp.want('stop', 'other') \g /dev/null
SELECT is(pg_temp.stream('other'), 'stopped/stopping v1', 'what waits is stopped at once');
SELECT api.dispatch() \g /dev/null
SELECT is(pg_temp.stream('other'), 'stopped/stopped', 'and that is known');
SELECT matches(pg_temp.note(), 'run ' || :'v4' || ' of version .* ended with exit-code; the version before goes on', 'which is written down');
SELECT is((SELECT restarts FROM sluice.attempt WHERE run = :'v4')::int, 5, 'with the number of its restarts');
SELECT pg_temp.want('start') \g /dev/null
SELECT api.dispatch() \g /dev/null
SELECT is(pg_temp.run(), :'v3', 'it is not begun again by itself');
SELECT pg_temp.says('one', :'v3', 'ended', '{"result": "stopped"}') \g /dev/null
SELECT is(pg_temp.stream(), 'running/starting v3 one', 'also when the one before is begun again');
SELECT pg_temp.ready('one', pg_temp.run()) \g /dev/null
SELECT is(pg_temp.stream(), 'running/running v3 one', 'and ready');
SELECT is(pg_temp.want('restart') ->> 'state', 'replacing', 'but when somebody says so');
SELECT is(pg_temp.stream(), 'running/replacing v4 one', 'it is');
SELECT pg_temp.ready('one', pg_temp.run()) \g /dev/null
SELECT pg_temp.killed('one', pg_temp.old()) \g /dev/null
SELECT is(pg_temp.stream(), 'running/running v4 one', 'and gets ready this time');

-- What ends by itself was PID 1's to repeat.
SELECT pg_temp.run() AS ended \gset
SELECT pg_temp.says('one', :'ended', 'ended', '{"result": "start-limit-hit", "restarts": 4}') \g /dev/null
SELECT api.dispatch() \g /dev/null
SELECT is(pg_temp.stream(), 'running/failed', 'a run that PID 1 has given up is not repeated');
SELECT matches(pg_temp.note(), 'run ' || :'ended' || ' .* start-limit-hit; sluicectl start, or another version', 'which is written down');
SELECT is(pg_temp.want('start') ->> 'state', 'starting', 'until somebody starts it');
SELECT pg_temp.says('one', pg_temp.run(), 'ended', '{"result": "success", "exit_code": "exited", "exit_status": 0}') \g /dev/null
SELECT is(pg_temp.stream(), 'running/ended', 'an end without a failure is an end, too');
SELECT pg_temp.deploy('feed', 'v5') \g /dev/null
SELECT is(pg_temp.stream(), 'running/starting v5 one', 'another version is begun');

-- What the host does to it is not.
SELECT pg_temp.ready('one', pg_temp.run()) \g /dev/null
SELECT pg_temp.run() AS v5 \gset
SELECT pg_temp.says('one', :'v5', 'ended', '{"result": "lost", "reason": "The host rebooted."}') \g /dev/null
SELECT is(pg_temp.stream(), 'running/starting v5 one', 'after a reboot another run begins at once');
SELECT isnt(pg_temp.run(), :'v5', 'another one');
SELECT matches(pg_temp.note(), 'ended with lost: The host rebooted; another run takes its place', 'which is written down');
SELECT pg_temp.says('one', pg_temp.run(), 'ended', '{"result": "stopped"}') \g /dev/null
SELECT is(pg_temp.stream(), 'running/waiting', 'what is stopped on the host again and again is begun after a pause');
SELECT is((SELECT again_at - note_at FROM sluice.stream WHERE pipe = 'feed') BETWEEN '9 seconds' AND '11 seconds', true, 'of ten seconds');
SELECT api.dispatch() \g /dev/null
SELECT is(pg_temp.stream(), 'running/waiting', 'not before');
UPDATE sluice.stream SET again_at = clock_timestamp() WHERE pipe = 'feed';
SELECT api.presence_flush('{}') \g /dev/null
SELECT is(pg_temp.stream(), 'running/starting v5 one', 'then by the sweep');
SELECT pg_temp.ready('one', pg_temp.run()) \g /dev/null

-- An agent that is not heard of is waited for, however long; then with what the pipe says of it.
SELECT t.sync('one', '[]', '{"self_fence_sec": 60}') \g /dev/null
SELECT pg_temp.silent('one', '1 year') \g /dev/null
SELECT api.presence_flush('{}') \g /dev/null
SELECT is(pg_temp.stream(), 'running/running v5 one', 'an agent that is not heard of is waited for');
SELECT api.agent_flag_clear(t.h('owner'), 'two', 'paused'), t.sync('one', t.known((sluice.stream_attempt(pg_temp.run())).id, 1, 'running'), '{"self_fence_sec": 60}'),
       t.sync('two', '[]', '{"self_fence_sec": 60}') \g /dev/null
SELECT pg_temp.deploy('feed', 'v6', '{"on_agent_loss": "retry"}') \g /dev/null
SELECT pg_temp.killed('one', pg_temp.run()) \g /dev/null
SELECT pg_temp.ready('one', pg_temp.run()) \g /dev/null
SELECT pg_temp.run() AS v6 \gset
SELECT pg_temp.silent('one', '181 seconds') \g /dev/null
SELECT sluice.loss_sweep() \g /dev/null
SELECT t.sync('two', '[]', '{"self_fence_sec": 60}') \g /dev/null
SELECT is(pg_temp.stream() || (pg_temp.run() = :'v6'), 'running/starting v6 twotrue', 'with retry its run goes on elsewhere');
SELECT pg_temp.deploy('feed', 'v7', '{"on_agent_loss": "fail"}') \g /dev/null
SELECT pg_temp.killed('two', pg_temp.run()) \g /dev/null
SELECT pg_temp.ready('two', pg_temp.run()) \g /dev/null
SELECT pg_temp.silent('two', '181 seconds') \g /dev/null
SELECT sluice.loss_sweep() \g /dev/null
SELECT api.dispatch() \g /dev/null
SELECT is(pg_temp.stream(), 'running/failed', 'with fail it ends, for its process may still be there');

-- The place that was kept for it is given up when its agent is not there any more.
SELECT t.sync('one'), pg_temp.want('start') \g /dev/null
SELECT is(pg_temp.stream(), 'running/starting v7 one', 'it runs');
SELECT pg_temp.ready('one', pg_temp.run()) \g /dev/null
SELECT api.agent_flag_set(t.h('owner'), 'two', 'paused', '{}') \g /dev/null
SELECT pg_temp.want('restart') \g /dev/null
SELECT pg_temp.run() AS v7 \gset
SELECT pg_temp.killed('one', :'v7') \g /dev/null
SELECT is(pg_temp.stream(), 'running/starting v7 one', 'restarted where it was');
SELECT pg_temp.says('one', pg_temp.run(), 'refused', '{"requeue": true, "reason": "full"}') \g /dev/null
SELECT is(pg_temp.stream(), 'running/queued v7', 'an agent that cannot take it gives it back');
SELECT api.agent_flag_clear(t.h('owner'), 'two', 'paused'), t.sync('two') \g /dev/null
SELECT is(pg_temp.stream(), 'running/starting v7 two', 'to any other');

-- The place beside one that goes is for its successor alone, also when that finds none.
SELECT t.agent('three', 1, '{"place": "3"}', 'streaming'), t.agent('four', 1, '{"place": "4"}', 'streaming') \g /dev/null
SELECT t.sync('three'), t.sync('four'), pg_temp.deploy('left', 'v1', t.selector('{"place": "3"}')), pg_temp.deploy('right', 'v1', t.selector('{"place": "4"}')) \g /dev/null
SELECT pg_temp.want('start', 'left'), pg_temp.want('start', 'right') \g /dev/null
SELECT pg_temp.ready('three', pg_temp.run('left')), pg_temp.ready('four', pg_temp.run('right')) \g /dev/null
SELECT pg_temp.run('right') AS right \gset
SELECT pg_temp.deploy('right', 'v2', t.selector('{"place": "5"}') || '{"overlap": "brief"}') \g /dev/null
SELECT is(pg_temp.stream('right'), 'running/replacing v2', 'nobody suits the next version');
SELECT pg_temp.deploy('left', 'v2', t.selector('{"place": "4"}') || '{"overlap": "brief"}'), t.sync('four') \g /dev/null
SELECT is(pg_temp.stream('left'), 'running/replacing v2', 'and another pipe does not get the place beside the one before');
SELECT matches(api.run_explain(t.h('owner'), pg_temp.run('left'))::text, 'keeps the place beside the streaming run ' || :'right', 'and is told why');
SELECT pg_temp.deploy('right', 'v3', t.selector('{"place": "4"}') || '{"overlap": "brief"}'), api.dispatch() \g /dev/null
SELECT is(pg_temp.stream('right'), 'running/replacing v3 four', 'a version that waits gives way to the next');
SELECT is(pg_temp.old('right'), :'right', 'beside the same');
SELECT pg_temp.deploy('right', 'v4', t.selector('{"place": "4"}')), pg_temp.says('four', pg_temp.run('right'), 'refused') \g /dev/null
SELECT is(pg_temp.asked(:'right'), 'replaced by version ' || (SELECT version FROM sluice.pipe WHERE name = 'right'), 'so does one that is not ready');
SELECT pg_temp.want('stop', 'left'), pg_temp.killed('four', :'right') \g /dev/null
SELECT is(pg_temp.stream('right'), 'running/starting v4 four', 'and a version without Overlap= takes the place');

-- Where there is no memory for both, the old one ends first.
SELECT pg_temp.ready('four', pg_temp.run('right')) \g /dev/null
UPDATE sluice.instance SET memory_bytes = 100000000 WHERE id = t.id('four');
SELECT pg_temp.run('right') AS v4 \gset
SELECT pg_temp.deploy('right', 'v5', t.selector('{"place": "4"}') || '{"overlap": "brief"}') \g /dev/null
SELECT matches(pg_temp.asked(:'v4'), 'replaced by run ' || pg_temp.run('right') || ', for which there is no room beside it: of its memory', 'the old one is asked to stop');
SELECT is(pg_temp.stream('right'), 'running/replacing v5', 'and the new one waits');
SELECT pg_temp.killed('four', :'v4') \g /dev/null
SELECT is(pg_temp.stream('right'), 'running/starting v5 four', 'until it begins in its place');
SELECT pg_temp.ready('four', pg_temp.run('right')) \g /dev/null

-- Also where nothing could be placed on its agent when it was deployed.
SELECT pg_temp.run('right') AS v5 \gset
SELECT api.agent_flag_set(t.h('owner'), 'four', 'paused', '{}'), pg_temp.deploy('right', 'v6', t.selector('{"place": "4"}') || '{"overlap": "brief"}') \g /dev/null
SELECT api.presence_flush('{}') \g /dev/null
SELECT is(pg_temp.asked(:'v5'), NULL, 'the old one goes on as long as its agent is paused');
SELECT api.agent_flag_clear(t.h('owner'), 'four', 'paused'), t.sync('four') \g /dev/null
SELECT api.presence_flush('{}') \g /dev/null
SELECT matches(pg_temp.asked(:'v5'), 'for which there is no room beside it: of its memory', 'and is asked to stop then');
SELECT pg_temp.killed('four', :'v5') \g /dev/null
SELECT t.sync('four') \g /dev/null
SELECT is(pg_temp.stream('right'), 'running/starting v6 four', 'for the new one');
SELECT pg_temp.ready('four', pg_temp.run('right')) \g /dev/null
UPDATE sluice.instance SET memory_bytes = 1e12 WHERE id = t.id('four');

-- One that cannot be settled keeps nobody else from it.
SELECT pg_temp.run('right') AS right \gset
SELECT pg_temp.deploy('right', 'v7', t.selector('{"place": "4"}') || '{"overlap": "brief"}') \g /dev/null
SELECT t.events('four', t.event(a.id, a.epoch, 'ended', '{"result": "exit-code", "exit_code": "exited", "exit_status": 1}')) FROM sluice.stream_attempt(pg_temp.run('right')) a \g /dev/null
INSERT INTO sluice.assignment (attempt, epoch, instance, seat, run, stream_agent)
SELECT t.id('a'), 1, x.instance, 7, t.id('r'), x.stream_agent FROM sluice.assignment x WHERE x.run = :'right';
SELECT pg_temp.want('start', 'left'), t.sync('three') \g /dev/null
SELECT lives_ok('SELECT api.dispatch()', 'a stream that cannot be settled breaks no dispatch');
SELECT matches(pg_temp.note('right'), '^cannot go on, and is tried again in a minute: .*assignment_', 'and says so');
SELECT is((SELECT again_at > clock_timestamp() + interval '50 seconds' FROM sluice.stream WHERE pipe = 'right'), true, 'it is left alone for a minute');
DELETE FROM sluice.assignment WHERE attempt = t.id('a');
UPDATE sluice.stream SET again_at = clock_timestamp() WHERE pipe = 'right';
CREATE FUNCTION pg_temp.breaks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE deadlock_detected; END $$;
CREATE TRIGGER breaks BEFORE UPDATE ON sluice.assignment FOR EACH ROW WHEN (OLD.retiring) EXECUTE FUNCTION pg_temp.breaks();
SELECT throws_ok('SELECT api.dispatch()', '40P01', NULL, 'a deadlock is no trouble of its own: the call fails, and is repeated');
DROP TRIGGER breaks ON sluice.assignment;
SELECT api.dispatch() \g /dev/null
SELECT is((SELECT run || coalesce(again_at::text, '') FROM sluice.stream WHERE pipe = 'right'), :'right', 'and goes on when it can');

-- The next version goes where the one before was, if it can; if that has not the memory for it, elsewhere.
SELECT t.agent('small', 1, '{"place": "m"}', 'streaming'), t.agent('large', 1, '{"place": "m"}', 'streaming') \g /dev/null
UPDATE sluice.instance SET memory_bytes = 1e8 WHERE id = t.id('small');
CREATE FUNCTION pg_temp.needs(p_version text, p_memory text) RETURNS json LANGUAGE sql AS $$
        SELECT t.deploy('grows', jsonb_build_array(jsonb_build_object('name', 'a', 'directives', jsonb_build_array(jsonb_build_array('MemoryMax', p_memory)))),
                        t.selector('{"place": "m"}') || jsonb_build_object('type', 'streaming', 'description', p_version))
$$;
SELECT t.sync('small'), pg_temp.needs('v1', '64M'), pg_temp.want('start', 'grows'), pg_temp.ready('small', pg_temp.run('grows')), t.sync('large') \g /dev/null
SELECT is(pg_temp.stream('grows'), 'running/running v1 small', 'it runs');
SELECT pg_temp.needs('v2', '1G'), pg_temp.killed('small', pg_temp.run('grows')), t.sync('small'), t.sync('large') \g /dev/null
SELECT is(pg_temp.stream('grows'), 'running/queued v2', 'and its next version is too large for its host');
SELECT api.presence_flush('{}'), api.dispatch() \g /dev/null
SELECT t.sync('large') \g /dev/null
SELECT is(pg_temp.stream('grows'), 'running/starting v2 large', 'so it begins on another');

-- One that waits for an agent that is deleted can be stopped.
SELECT pg_temp.ready('large', pg_temp.run('grows')) \g /dev/null
UPDATE sluice.instance SET memory_bytes = 1e10 WHERE id = t.id('large');
SELECT pg_temp.needs('v3', '1T'), pg_temp.killed('large', pg_temp.run('grows')), t.sync('large') \g /dev/null
SELECT is(pg_temp.stream('grows'), 'running/queued v3', 'its next version is too large for any');
SELECT api.agent_delete(t.h('owner'), 'large', 'false') \g /dev/null
SELECT is((SELECT r.instance FROM sluice.run r WHERE r.id = pg_temp.run('grows')), NULL, 'it is bound to nobody when its agent is deleted');
UPDATE sluice.run SET instance = t.id('large') WHERE id = pg_temp.run('grows'); -- begun in that moment
SELECT is(t.error($$SELECT pg_temp.want('stop', 'grows')$$), 'none', 'and can be stopped whatever it was bound to');
SELECT api.dispatch() \g /dev/null
SELECT is(pg_temp.stream('grows'), 'stopped/stopped', 'which it is then');

SELECT is((SELECT count(*) FROM sluice.stream_news)::int, 0, 'no news is left');
SELECT * FROM finish();
