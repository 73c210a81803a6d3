-- Each run ends, and each task is done by one at a time, also where a drain, a deletion, a loss and a retry come together.
SET search_path = tap, public;
SELECT plan(18); -- which a ROLLBACK leaves alone

CREATE FUNCTION pg_temp.says(p_run uuid, p_task text DEFAULT 'a') RETURNS text LANGUAGE sql AS $$
        SELECT concat_ws(' ', a.try, a.state, a.outcome, g.name)
          FROM sluice.attempt a LEFT JOIN sluice.agent g ON g.id = a.agent
         WHERE a.run = p_run AND a.task = p_task ORDER BY a.try DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.run(p_run uuid) RETURNS text LANGUAGE sql AS $$
        SELECT concat_ws(' ', t.get(p_run) ->> 'state', t.get(p_run) ->> 'outcome')
$$;
CREATE FUNCTION pg_temp.calls(p_agent text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
        PERFORM t.sync(p_agent, '[]', '{"self_fence_sec": 60}');
END
$$;
CREATE FUNCTION pg_temp.leaves(p_agent text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
        PERFORM api.agent_goodbye(t.h(p_agent), jsonb_build_object('session', t.id('session of ' || p_agent)));
END
$$;
-- Whose deadline is over at once.
CREATE FUNCTION pg_temp.drains(p_agent text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
        PERFORM api.agent_flag_set(t.h('owner'), p_agent, 'draining', '{"deadline_sec": 0}');
        PERFORM sluice.drain_sweep();
END
$$;
CREATE FUNCTION pg_temp.ends_by(p_agent text, p_run uuid, p_task text, p_signal int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
        PERFORM t.events(p_agent, t.event((t.attempt(p_run, p_task)).id, 1, 'ended',
                                          jsonb_build_object('result', 'success', 'exit_code', 'killed', 'exit_status', p_signal)));
END
$$;
-- What is due is done, and these agents call.
CREATE FUNCTION pg_temp.time_goes_by(VARIADIC p_agents text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
        UPDATE sluice.attendance SET last_at = clock_timestamp();
        UPDATE sluice.task SET retry_at = clock_timestamp() - interval '1 second' WHERE retry_at IS NOT NULL;
        UPDATE sluice.queue SET avoid = NULL, avoid_until = NULL, queued_at = queued_at - interval '1 day';
        PERFORM api.presence_flush(ARRAY(SELECT t.id(a) FROM unnest(p_agents) a));
        PERFORM api.dispatch();
        PERFORM api.maintain();
        PERFORM pg_temp.calls(a) FROM unnest(p_agents) a;
END
$$;

SELECT t.pipe('one', '{a}'), t.pipe('two', '{a,b}'), t.pipe('row', '{a,b<a}'), t.pipe('again', '{a}'), t.pipe('last', '{a,b<a}'),
       t.pipe('once', '{a,b<a}', '{"on_agent_loss": "wait"}'), t.pipe('both', '{a,b}') \g /dev/null
UPDATE sluice.pipe_version SET spec = jsonb_set(spec, '{tasks,0,retry}', '3') WHERE pipe = 'again';
UPDATE sluice.pipe_version SET spec = jsonb_set(spec, '{tasks,1,retry}', '3') WHERE pipe IN ('last', 'once', 'both');
UPDATE sluice.attendance SET since = since - interval '1 day';

-- A drain whose deadline is over.
BEGIN;
SELECT t.agent('first', 4) \g /dev/null
SELECT pg_temp.calls('first') \g /dev/null
SELECT t.run('one') AS r \gset
SELECT pg_temp.drains('first') \g /dev/null
SELECT t.events('first', t.event((t.attempt(:'r')).id, 1, 'refused', '{"reason": "drained"}')) \g /dev/null
SELECT is(pg_temp.says(:'r'), '2 queued', 'what it interrupts before it began waits for another agent');
ROLLBACK;

BEGIN;
SELECT t.agent('first', 4) \g /dev/null
SELECT pg_temp.calls('first') \g /dev/null
SELECT t.run('one') AS r \gset
SELECT t.begins('first', :'r', 'a') \g /dev/null
SELECT pg_temp.drains('first') \g /dev/null
SELECT api.run_cancel(t.h('owner'), :'r') \g /dev/null
SELECT pg_temp.ends_by('first', :'r', 'a', 15) \g /dev/null
SELECT is(pg_temp.run(:'r'), 'cancelled cancelled', 'what it interrupts can be cancelled');
ROLLBACK;

BEGIN;
SELECT t.agent('first', 4), t.agent('second', 4) \g /dev/null
SELECT pg_temp.calls('first') \g /dev/null
SELECT t.run('two') AS r \gset
SELECT pg_temp.calls('first') \g /dev/null
SELECT t.begins('first', :'r', 'a'), t.begins('first', :'r', 'b') \g /dev/null
SELECT pg_temp.drains('first'), pg_temp.ends_by('first', :'r', 'a', 15) \g /dev/null
SELECT t.events('first', t.success((t.attempt(:'r', 'b')).id, 1)) \g /dev/null
SELECT pg_temp.time_goes_by('second'), pg_temp.time_goes_by('second') \g /dev/null
SELECT is(pg_temp.says(:'r'), '3 assigned second', 'what waits behind it goes elsewhere also when another task ends last');
ROLLBACK;

-- An agent is deleted.
BEGIN;
SELECT t.agent('first', 4), t.agent('second', 4) \g /dev/null
SELECT pg_temp.calls('first') \g /dev/null
SELECT t.run('again') AS r \gset
SELECT t.begins('first', :'r', 'a') \g /dev/null
SELECT api.agent_delete(t.h('owner'), 'first', 'true') \g /dev/null
SELECT pg_temp.time_goes_by('second') \g /dev/null
SELECT is(concat_ws(', ', pg_temp.run(:'r'), (t.attempt(:'r')).try), 'failed abandoned, 1', 'what it had is not repeated, whatever Retry= says');
ROLLBACK;

BEGIN;
SELECT t.agent('first', 4), t.agent('second', 4) \g /dev/null
SELECT pg_temp.calls('first') \g /dev/null
SELECT t.run('last') AS waits, t.run('row') AS queued, t.run('once') AS once \gset
SELECT t.ends('first', r, 'a') FROM unnest(ARRAY[:'waits', :'queued', :'once']::uuid[]) r \g /dev/null
SELECT t.ends('first', r, 'b', 'exit-code') FROM unnest(ARRAY[:'waits', :'once']::uuid[]) r \g /dev/null
SELECT t.events('first', t.event((t.attempt(:'queued', 'b')).id, 1, 'refused', '{"requeue": true}')) \g /dev/null
SELECT api.agent_delete(t.h('owner'), 'first', 'false') \g /dev/null
SELECT pg_temp.time_goes_by('second'), pg_temp.time_goes_by('second') \g /dev/null
SELECT is(pg_temp.says(:'waits'), '2 assigned second', 'a run that waits for its retry begins again elsewhere');
SELECT is(pg_temp.says(:'queued'), '2 assigned second', 'and so does one that was queued for it');
SELECT is(pg_temp.run(:'once'), 'cancelled cancelled', 'one that may not begin again is over');
SELECT is((SELECT count(*)::int FROM sluice.run r WHERE r.ended_at IS NULL AND NOT EXISTS (SELECT FROM sluice.instance i WHERE i.id = r.instance)
                                                    AND r.instance IS NOT NULL), 0, 'none is bound to what is not there');
ROLLBACK;

-- A task has failed, and the host is gone.
BEGIN;
SELECT t.agent('first', 4), t.agent('second', 4) \g /dev/null
SELECT pg_temp.calls('first') \g /dev/null
SELECT t.run('two') AS runs, t.run('both') AS waits \gset
SELECT pg_temp.calls('first') \g /dev/null
SELECT t.begins('first', :'runs', 'b'), t.ends('first', :'runs', 'a', 'exit-code') \g /dev/null
SELECT t.ends('first', :'waits', 'a', 'exit-code'), t.ends('first', :'waits', 'b', 'exit-code') \g /dev/null
SELECT is(pg_temp.run(:'waits'), 'running', 'its other task waits for its retry');
SELECT t.gone('first') \g /dev/null
SELECT pg_temp.time_goes_by('second'), pg_temp.time_goes_by('second') \g /dev/null
SELECT is(pg_temp.run(:'runs'), 'failed exit-code', 'a run that cannot begin again is over');
SELECT is(pg_temp.run(:'waits'), 'failed exit-code', 'and so is one of which nothing ran');
ROLLBACK;

-- A run that began again elsewhere is refused there.
BEGIN;
SELECT t.agent('first', 4), t.agent('second', 4), t.agent('third', 4) \g /dev/null
SELECT pg_temp.calls('first') \g /dev/null
SELECT t.run('one') AS r \gset
SELECT t.begins('first', :'r', 'a') \g /dev/null
SELECT t.gone('first') \g /dev/null
SELECT pg_temp.calls('second') \g /dev/null
SELECT is(pg_temp.says(:'r'), '2 assigned second', 'it is given to the second');
SELECT t.events('second', t.event((SELECT id FROM sluice.attempt WHERE run = :'r' AND try = 2), 1, 'refused', '{"requeue": true}')) \g /dev/null
SELECT pg_temp.leaves('second'), pg_temp.calls('third') \g /dev/null
SELECT is(pg_temp.says(:'r'), '2 assigned third', 'and then to the third');
ROLLBACK;

-- A host joins in the place of another instance while a run of that waits for its retry.
BEGIN;
SELECT t.agent('first', 4) \g /dev/null
SELECT pg_temp.calls('first') \g /dev/null
SELECT t.run('one') AS runs, t.run('again') AS waits \gset
SELECT t.begins('first', :'runs', 'a'), t.ends('first', :'waits', 'a', 'exit-code') \g /dev/null
SELECT pg_temp.leaves('first') \g /dev/null
SELECT api.key_create(t.h('owner'), '{"type": "api", "agents": ["first"]}', t.h('key of new')) \g /dev/null
SELECT api.agent_enroll(t.h('key of new'), jsonb_build_object(
                'instance', t.id('new'), 'agent', (SELECT id FROM sluice.agent WHERE name = 'first'), 'type', 'batch', 'labels', '{}'::jsonb, 'slots', 4,
                'version', '1.0', 'protocol', 1, 'hostname', 'first.example'), t.h('new')) \g /dev/null
SELECT t.sync('new', t.known((t.attempt(:'runs')).id, 1, 'running'), jsonb_build_object('boot', md5('boot of first'), 'self_fence_sec', 60)) \g /dev/null
SELECT is((SELECT array_agg(instance) FROM sluice.run WHERE id IN (:'runs', :'waits')), ARRAY[t.id('new'), t.id('new')], 'it has that, too');
ROLLBACK;

-- Hosts that are waited for keep no other from being given up.
BEGIN;
SELECT t.pipe('patient', '{a}', '{"on_agent_loss": "wait"}') \g /dev/null
SELECT t.agent('w' || n, 1) FROM generate_series(1, 101) n \g /dev/null
SELECT t.run('patient') FROM generate_series(1, 101) \g /dev/null
SELECT pg_temp.calls('w' || n) FROM generate_series(1, 101) n \g /dev/null
SELECT t.run('one') AS r \gset
SELECT 'l' || n AS last FROM generate_series(1, 1000) n ORDER BY t.id('l' || n) DESC LIMIT 1 \gset
SELECT t.agent(:'last', 1) \g /dev/null
SELECT pg_temp.calls(:'last') \g /dev/null
SELECT is(pg_temp.says(:'r'), '1 assigned ' || :'last', 'the last of them by its id has another');
UPDATE sluice.presence SET last_seen_at = clock_timestamp() - interval '1 day';
UPDATE sluice.attendance SET last_at = clock_timestamp();
SELECT sluice.loss_sweep() \g /dev/null
SELECT is(pg_temp.says(:'r'), '2 queued', 'it is given up');
ROLLBACK;
-- Made while the database's clock was three days ahead.
BEGIN;
SELECT t.agent('first', 4) \g /dev/null
SELECT pg_temp.calls('first') \g /dev/null
ALTER FUNCTION sluice.uuid_v7() RENAME TO uuid_v7_right;
CREATE FUNCTION sluice.uuid_v7() RETURNS uuid LANGUAGE sql AS $$
        SELECT overlay(sluice.uuid_v7_right()::text PLACING left(sluice.uuid_v7_floor(clock_timestamp() + interval '3 days')::text, 13) FROM 1 FOR 13)::uuid
$$;
SELECT t.run('row') AS stops, t.run('again') AS tries \gset
DROP FUNCTION sluice.uuid_v7();
ALTER FUNCTION sluice.uuid_v7_right() RENAME TO uuid_v7;
SELECT t.ends('first', :'stops', 'a'), t.begins('first', :'stops', 'b'), api.run_cancel(t.h('owner'), :'stops') \g /dev/null
SELECT is(pg_temp.says(:'stops', 'b'), '1 stopping first', 'what begins of a run from a time that is yet to come is asked to stop');
SELECT t.ends('first', :'tries', 'a', 'exit-code'), pg_temp.time_goes_by('first') FROM generate_series(1, 5) \g /dev/null
SELECT is(pg_temp.says(:'tries'), '4 ended exit-code first', 'and its tries are counted');
ROLLBACK;

