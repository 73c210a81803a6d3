-- What people do to agents: pause, drain, resume, delete.
SET search_path = tap, public;
SELECT no_plan();
SELECT t.agent('one', 4), t.agent('two', 4) \g /dev/null
SELECT t.pipe('again', '{a}'), t.pipe('row', '{a,b<a}'), t.pipe('once', '{a}', '{"delivery": "at-most-once"}') \g /dev/null
CREATE FUNCTION pg_temp.sync(p_name text, p_heard boolean DEFAULT false) RETURNS jsonb LANGUAGE sql AS $$
        SELECT t.sync(p_name, '[]', jsonb_build_object('drain_heard', p_heard, 'draining', p_heard))
$$;
CREATE FUNCTION pg_temp.where(p_run uuid) RETURNS text LANGUAGE sql AS $$
        SELECT concat_ws(' ', a.try, a.state, a.outcome, g.name) FROM sluice.attempt a LEFT JOIN sluice.agent g ON g.id = a.agent
         WHERE a.run = p_run ORDER BY a.try DESC LIMIT 1
$$;
SELECT pg_temp.sync('one') \g /dev/null

-- A pause.
SELECT is(api.agent_flag_set(t.h('owner'), 'one', 'paused', '{"reason": "new disk"}') #>> '{flags,0,reason}', 'new disk', 'a pause has a reason');
SELECT t.run('again') AS paused \gset
SELECT is(pg_temp.sync('one'), NULL, 'a paused agent is given nothing, and is not told');
SELECT matches(api.run_explain(t.h('owner'), :'paused')::text, 'is paused by owner since .*: new disk', 'the run that waits says why');
SELECT is(t.error($$SELECT api.agent_flag_set(t.h('owner'), 'one', 'paused', '{"deadline_sec": 5}')$$), 'ZF400 bad-request', 'a pause has no deadline');
SELECT is(t.error($$SELECT api.agent_flag_set(t.h('owner'), 'one', 'odd', '{}')$$), 'ZF404 flag-not-found', 'there are two flags');
SELECT is(t.error($$SELECT api.agent_flag_set(t.h('owner'), 'nobody', 'paused', '{}')$$), 'ZF404 agent-not-found', 'of agents that are there');
SELECT is(api.agent_flag_clear(t.h('owner'), 'one', 'paused') ->> 'flags', '[]', 'it is resumed');
SELECT is(pg_temp.sync('one') #>> '{start,0,pipe}', 'again', 'and takes what waited');
SELECT t.events('one', t.event((t.attempt(:'paused')).id, 1, 'running')) \g /dev/null

-- A drain: told, heard, done.
SELECT api.agent_flag_set(t.h('owner'), 'one', 'draining', '{"reason": "kernel", "deadline_sec": 3600}') \g /dev/null
SELECT deadline_at AS deadline FROM sluice.agent_flag \gset
SELECT api.agent_flag_set(t.h('owner'), 'one', 'draining', '{"reason": "kernel", "deadline_sec": 3600}') \g /dev/null
SELECT is((SELECT deadline_at FROM sluice.agent_flag), :'deadline', 'the same again does not move the deadline');
SELECT api.agent_flag_set(t.h('owner'), 'one', 'draining', '{"reason": "kernel", "deadline_sec": 7200}') \g /dev/null
SELECT ok((SELECT deadline_at FROM sluice.agent_flag) > :'deadline'::timestamptz + interval '59 minutes', 'another one does');
SELECT is(t.sync('one'), NULL, 'an agent that knows nothing of drains is not told for ever');
SELECT is(pg_temp.sync('one') ->> 'drain', 'true', 'one that does is told');
SELECT is(pg_temp.sync('one', true), NULL, 'until it has heard it');
SELECT is((SELECT draining FROM sluice.instance WHERE id = t.id('one')), true, 'which is known');
SELECT t.run('again') AS other \gset
SELECT pg_temp.sync('two') \g /dev/null
SELECT is(pg_temp.where(:'other'), '1 assigned two', 'new work goes elsewhere');
SELECT t.events('two', t.success((t.attempt(:'other')).id)) \g /dev/null
SELECT is(pg_temp.where(:'paused'), '1 running one', 'what it has goes on');
SELECT sluice.drain_sweep() \g /dev/null
SELECT is(pg_temp.where(:'paused'), '1 running one', 'before the deadline');
UPDATE sluice.agent_flag SET deadline_at = clock_timestamp() - interval '1 second';
SELECT sluice.drain_sweep() \g /dev/null
SELECT is((SELECT stop_reason FROM sluice.assignment WHERE run = :'paused'), 'its agent is drained by owner: kernel', 'at it, it is asked to stop');
SELECT is((SELECT escalated_at IS NOT NULL FROM sluice.agent_flag), true, 'once');
SELECT t.events('one', t.event((t.attempt(:'paused')).id, 1, 'ended', '{"result": "success", "exit_code": "killed", "exit_status": 15}')) \g /dev/null
SELECT is((SELECT outcome FROM sluice.attempt WHERE run = :'paused' AND try = 1), 'interrupted', 'what was stopped is no success');
SELECT pg_temp.sync('two') \g /dev/null
SELECT is(pg_temp.where(:'paused'), '2 assigned two', 'and goes on elsewhere');
SELECT is(api.agent_flag_clear(t.h('owner'), 'one', 'draining') #>> '{flags,0,by}', 'the agent', 'the drain is ended, but for the agent');
SELECT is(pg_temp.sync('one', true) ->> 'drain', 'false', 'which the agent is told, too');
SELECT t.events('two', t.success((SELECT id FROM sluice.attempt WHERE run = :'paused' AND try = 2))) \g /dev/null

-- Of what ended by itself in time nothing is lost, and at most once is once.
SELECT api.agent_flag_set(t.h('owner'), 'two', 'paused', '{}') \g /dev/null
SELECT t.run('again') AS done, t.run('once') AS once \gset
SELECT pg_temp.sync('one') \g /dev/null
SELECT api.agent_flag_set(t.h('owner'), 'one', 'draining', '{"deadline_sec": 0}') \g /dev/null
SELECT sluice.drain_sweep() \g /dev/null
SELECT t.events('one', t.success((t.attempt(:'done')).id), t.event((t.attempt(:'once')).id, 1, 'ended', '{"result": "signal", "exit_code": "killed", "exit_status": 9}')) \g /dev/null
SELECT is(t.get(:'done') ->> 'outcome', 'success', 'a task that ended by itself has succeeded');
SELECT is(t.get(:'once') ->> 'outcome', 'interrupted', 'what must not begin twice fails');
SELECT api.agent_flag_clear(t.h('owner'), 'one', 'draining'), api.agent_flag_clear(t.h('owner'), 'two', 'paused') \g /dev/null

-- Deleting.
SELECT api.agent_flag_set(t.h('owner'), 'two', 'paused', '{}') \g /dev/null
SELECT t.run('row') AS row \gset
SELECT pg_temp.sync('one') \g /dev/null
SELECT t.events('one', t.event((SELECT id FROM sluice.attempt WHERE run = :'row' AND task = 'a'), 1, 'running')) \g /dev/null
SELECT is(t.error($$SELECT api.agent_delete(t.h('owner'), 'one', NULL)$$), 'ZF409 agent-busy', 'a busy agent is not deleted');
SELECT is(t.error($$SELECT api.agent_delete(t.h('owner'), 'one', 'odd')$$), 'ZF400 bad-request', 'force is true or false');
SELECT lives_ok($$SELECT api.agent_delete(t.h('owner'), 'one', 'true')$$, 'unless it is forced');
SELECT is(concat_ws(' ', r ->> 'state', r ->> 'outcome'), 'failed abandoned', 'what it had is given up, not repeated') FROM t.get(:'row') r;
SELECT matches(api.run_explain(t.h('viewer'), :'row') #>> '{tasks,0,why}', '^ended with abandoned on an agent that was deleted: .*[^.]$', 'and explain has a word for it');
SELECT is(t.error($$SELECT t.sync('one')$$), 'ZF401 unauthenticated', 'its credential is dead');
SELECT is(t.error($$SELECT api.agent_get(t.h('owner'), 'one')$$), 'ZF404 agent-not-found', 'nobody knows it');
SELECT is((SELECT count(*) FROM sluice.assignment)::int, 0, 'nothing is left of it');
SELECT lives_ok($$SELECT api.agent_delete(t.h('owner'), 'two', 'false')$$, 'an idle agent is deleted without force');
SELECT * FROM finish();
