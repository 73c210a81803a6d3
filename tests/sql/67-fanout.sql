-- Tasks with RunOnAll=: a child for each instance.
SET search_path = tap, public;
SELECT no_plan();
SELECT t.agent(n, 2, '{"role": "web"}') FROM unnest(ARRAY['w1', 'w2', 'w3', 'w4']) n \g /dev/null
SELECT t.agent('db', 2, '{"role": "db"}') \g /dev/null
SELECT t.sync(n) FROM unnest(ARRAY['w1', 'w2', 'w3', 'w4', 'db']) n \g /dev/null

-- A pipe of a fan-out, and c after it.
CREATE FUNCTION pg_temp.fan(p_pipe text, p_more jsonb DEFAULT '{}', p_pipe_more jsonb DEFAULT '{}') RETURNS json LANGUAGE sql AS $$
        SELECT t.deploy(p_pipe, jsonb_build_array(jsonb_build_object('name', 'f', 'run_on_all', t.selector('{"role": "web"}') -> 'agent_selector') || p_more,
                                                  '{"name": "c", "after": ["f"], "agent_selector": [{"key": "role", "operator": "in", "values": ["db"]}]}'::jsonb), p_pipe_more)
$$;
CREATE FUNCTION pg_temp.reason(p_run uuid, p_task text) RETURNS text LANGUAGE sql AS $$
        SELECT x ->> 'reason' FROM jsonb_array_elements(t.get(p_run) -> 'tasks') x WHERE x ->> 'task' = p_task
$$;

-- All at once.
SELECT pg_temp.fan('all') \g /dev/null
SELECT t.run('all') AS r \gset
SELECT is(t.tasks(:'r'), 'f:queued f@w1:queued f@w2:queued f@w3:queued f@w4:queued c:waiting', 'a task has a child for each instance that suits');
SELECT is(t.places(:'r'), 'f@ f@w1@w1 f@w2@w2 f@w3@w3 f@w4@w4 c@', 'each where it belongs');
SELECT is(x #>> '{start,0,task}' || ' ' || (x #>> '{start,0,variables}') || (x #>> '{start,0,directives}'),
          'f@w2 {"SLUICE_FANOUT_COUNT": "4", "SLUICE_FANOUT_INDEX": "2"}[["Workspace", "no"], ["ExecStart", "/bin/true"]]', 'it is told which one it is') FROM t.sync('w2') x;
SELECT t.begins('w1', :'r', 'f@w1') \g /dev/null
SELECT is(t.tasks(:'r'), 'f:running f@w1:running f@w2:queued f@w3:queued f@w4:queued c:waiting', 'the task runs when one of them does');
SELECT is(t.why(:'r', 'f'), '0 of 4 have succeeded, 4 are under way, 0 wait for their turn', 'explain counts them');
SELECT t.ends(n, :'r', 'f@' || n) FROM unnest(ARRAY['w1', 'w2', 'w3']) n \g /dev/null
SELECT is(t.tasks(:'r'), 'f:running f@w1:succeeded f@w2:succeeded f@w3:succeeded f@w4:queued c:waiting', 'it is not over before the last of them');
SELECT t.ends('w4', :'r', 'f@w4') \g /dev/null
SELECT is(t.tasks(:'r'), 'f:succeeded f@w1:succeeded f@w2:succeeded f@w3:succeeded f@w4:succeeded c:queued', 'with the last one it is, in the same moment');
SELECT is(t.places(:'r'), 'f@ f@w1@w1 f@w2@w2 f@w3@w3 f@w4@w4 c@db', 'and what comes after it begins');
SELECT t.ends('db', :'r', 'c') \g /dev/null
SELECT is(t.get(:'r') ->> 'outcome', 'success', 'the run succeeds');
SELECT is((SELECT count(*) FROM sluice.cleanup WHERE run = :'r'), 5::bigint, 'all hosts clean up');

-- Two at a time; half of them are enough.
SELECT pg_temp.fan('half', '{"run_on_all_batch": "2", "run_on_all_success": "50%"}') \g /dev/null
SELECT t.run('half') AS r \gset
SELECT is(t.tasks(:'r'), 'f:queued f@w1:queued f@w2:queued f@w3:waiting f@w4:waiting c:waiting', 'so many begin at once');
SELECT is(t.why(:'r', 'f@w3'), 'waits for its turn: RunOnAllBatch= lets no more begin at once', 'the others say what they wait for');
SELECT t.ends('w2', :'r', 'f@w2', 'exit-code') \g /dev/null
SELECT is(t.tasks(:'r'), 'f:running f@w1:queued f@w2:failed f@w3:queued f@w4:waiting c:waiting', 'when one is over the next begins, also when it has failed');
SELECT t.ends('w1', :'r', 'f@w1') \g /dev/null
SELECT t.ends('w3', :'r', 'f@w3', 'exit-code') \g /dev/null
SELECT t.ends('w4', :'r', 'f@w4') \g /dev/null
SELECT is(t.tasks(:'r'), 'f:succeeded f@w1:succeeded f@w2:failed f@w3:failed f@w4:succeeded c:queued', 'with as many as are needed it has succeeded');
SELECT t.ends('db', :'r', 'c') \g /dev/null
SELECT is(t.get(:'r') ->> 'state', 'succeeded', 'and so has the run');

-- One after the other, all of them: after the first failure nobody begins.
SELECT pg_temp.fan('strict', '{"run_on_all_batch": "25%"}') \g /dev/null
SELECT t.run('strict') AS r \gset
SELECT is(t.tasks(:'r'), 'f:queued f@w1:queued f@w2:waiting f@w3:waiting f@w4:waiting c:waiting', 'a percentage is one of how many there are');
SELECT t.ends('w1', :'r', 'f@w1') \g /dev/null
SELECT t.ends('w2', :'r', 'f@w2', 'exit-code') \g /dev/null
SELECT is(t.tasks(:'r'), 'f:failed f@w1:succeeded f@w2:failed f@w3:skipped f@w4:skipped c:skipped', 'when it cannot succeed any more nothing of it begins');
SELECT is(pg_temp.reason(:'r', 'f@w3'), '1 of 4 can still succeed, and 4 have to', 'and what did not says why');
SELECT is(pg_temp.reason(:'r', 'f'), '1 of 4 have succeeded, and 4 have to; 2 were skipped', 'the task does, too');
SELECT is(t.get(:'r') ->> 'outcome' || ' ' || (t.get(:'r') ->> 'exit_status') || ' ' || (t.get(:'r') ->> 'reason'),
          'exit-code 1 task f: 1 of 4 have succeeded, and 4 have to; 2 were skipped', 'the run ends as the child that failed first');
SELECT is(t.why(:'r', 'f@w4'), 'is skipped: 1 of 4 can still succeed, and 4 have to', 'explain has the same words');

-- Done again: only what has not succeeded.
SELECT (api.run_rerun(t.h('operator'), :'r', '{}', NULL) ->> 'run')::uuid AS r2 \gset
SELECT is(t.tasks(:'r2'), 'f:queued f@w1:skipped f@w2:queued f@w3:waiting f@w4:waiting c:waiting', 'a rerun passes over children that have succeeded');
SELECT is(t.why(:'r2', 'f@w1'), 'is passed over: succeeded in run ' || :'r', 'and says so');
SELECT t.ends(n, :'r2', 'f@' || n) FROM unnest(ARRAY['w2', 'w3', 'w4']) n \g /dev/null
SELECT is(t.tasks(:'r2'), 'f:succeeded f@w1:skipped f@w2:succeeded f@w3:succeeded f@w4:succeeded c:queued', 'and counts them');
SELECT t.ends('db', :'r2', 'c', 'exit-code') \g /dev/null
SELECT (api.run_rerun(t.h('operator'), :'r2', '{}', NULL) ->> 'run')::uuid AS r3 \gset
SELECT is(t.tasks(:'r3'), 'f:skipped c:queued', 'what has succeeded as a whole is passed over as a whole');
SELECT is(t.tasks((api.run_rerun(t.h('operator'), :'r2', '{"from": ["f"]}', NULL) ->> 'run')::uuid),
          'f:queued f@w1:queued f@w2:waiting f@w3:waiting f@w4:waiting c:waiting', 'when it is wanted again all of it is');
SELECT is(t.tasks((api.run_rerun(t.h('operator'), :'r', '{"all": true}', NULL) ->> 'run')::uuid),
          'f:queued f@w1:queued f@w2:waiting f@w3:waiting f@w4:waiting c:waiting', 'and with --all');
SELECT api.run_cancel(t.h('operator'), id) FROM sluice.run WHERE ended_at IS NULL \g /dev/null
SELECT t.events(a.name, t.event(x.attempt, x.epoch, 'ended', '{"result": "signal"}')) FROM sluice.assignment x JOIN sluice.instance i ON i.id = x.instance JOIN sluice.agent a ON a.id = i.agent \g /dev/null
SELECT is((SELECT count(*) FROM sluice.run WHERE ended_at IS NULL) + (SELECT count(*) FROM sluice.queue), 0::bigint, 'all of them can be cancelled');

-- Cancelled in the middle.
SELECT t.run('strict') AS r \gset
SELECT t.begins('w1', :'r', 'f@w1'), api.run_cancel(t.h('operator'), :'r') \g /dev/null
SELECT is(t.tasks(:'r'), 'f:running f@w1:running f@w2:cancelled f@w3:cancelled f@w4:cancelled c:cancelled', 'a cancelled run begins no more of them');
SELECT t.ends('w1', :'r', 'f@w1', 'signal') \g /dev/null
SELECT is(t.tasks(:'r') || ' ' || (t.get(:'r') ->> 'state'), 'f:cancelled f@w1:cancelled f@w2:cancelled f@w3:cancelled f@w4:cancelled c:cancelled cancelled', 'and waits for those that had');

-- Who is not there is skipped, visibly, and counts as not successful.
SELECT api.agent_flag_set(t.h('operator'), 'w2', 'paused', '{"reason": "a new disk"}') \g /dev/null
SELECT api.agent_goodbye(t.h('w3'), jsonb_build_object('session', t.id('session of w3'), 'reason', 'it reboots')) \g /dev/null
SELECT t.silent('w4', '1 hour'), t.run('half') AS r \gset
SELECT is(t.tasks(:'r'), 'f:failed f@w1:skipped f@w2:skipped f@w3:skipped f@w4:skipped c:skipped', 'when too few are there nothing begins');
SELECT matches(pg_temp.reason(:'r', 'f@w2') || pg_temp.reason(:'r', 'f@w3') || pg_temp.reason(:'r', 'f@w4') || pg_temp.reason(:'r', 'f@w1'),
               '^its agent is paused by operator: a new diskits agent is Stopped: it said goodbye: it rebootsits agent is Unknown: it was not heard of .*0 of 4 can still succeed, and 2 have to$', 'each with its reason');
SELECT is(t.get(:'r') ->> 'outcome' || ' ' || (t.get(:'r') ->> 'reason'), 'no-agent task f: 0 of 4 have succeeded, and 2 have to; 4 were skipped', 'and so has the run');
SELECT api.agent_flag_clear(t.h('operator'), 'w2', 'paused'), t.silent('w4', '0'), t.sync('w4') \g /dev/null
SELECT t.run('half') AS r \gset
SELECT is(t.tasks(:'r'), 'f:queued f@w1:queued f@w2:queued f@w3:skipped f@w4:waiting c:waiting', 'those that are there begin');
SELECT t.ends('w1', :'r', 'f@w1'), t.ends('w2', :'r', 'f@w2', 'exec-condition') \g /dev/null
SELECT is(t.tasks(:'r'), 'f:running f@w1:succeeded f@w2:skipped f@w3:skipped f@w4:queued c:waiting', 'to have nothing to do is as good as a success');
SELECT t.begins('w4', :'r', 'f@w4'), t.ends('w4', :'r', 'f@w4', 'exit-code') \g /dev/null
SELECT is(t.tasks(:'r'), 'f:succeeded f@w1:succeeded f@w2:skipped f@w3:skipped f@w4:failed c:queued', 'half of them have');
SELECT t.ends('db', :'r', 'c') \g /dev/null

SELECT t.deploy('none', '[{"name": "f", "run_on_all": [{"key": "role", "operator": "in", "values": ["mail"]}]}, {"name": "g", "after_failure": ["f"]}]') \g /dev/null
SELECT t.run('none') AS r \gset
SELECT is(t.tasks(:'r'), 'f:failed g:queued', 'when nobody suits the task has failed');
SELECT is(pg_temp.reason(:'r', 'f'), 'no instance is of type batch with the labels role=mail', 'and says so');
SELECT t.ends(g.name, :'r', 'g') FROM sluice.attempt a JOIN sluice.agent g ON g.id = a.agent WHERE a.run = :'r' \g /dev/null
SELECT is(t.get(:'r') ->> 'outcome', 'no-agent', 'and so does the run');

-- A child is tried again where it was, and holds its place meanwhile.
SELECT t.sync('w3', '[]', jsonb_build_object('session', t.id('w3 again'))) \g /dev/null
SELECT pg_temp.fan('again', '{"run_on_all_batch": "2", "retry": 1, "retry_backoff_sec": "1h"}') \g /dev/null
SELECT t.run('again') AS r \gset
SELECT t.begins('w1', :'r', 'f@w1'), t.ends('w1', :'r', 'f@w1', 'exit-code') \g /dev/null
SELECT is(t.tasks(:'r'), 'f:running f@w1:waiting f@w2:queued f@w3:waiting f@w4:waiting c:waiting', 'what is tried again keeps its place among those under way');
UPDATE sluice.task SET retry_at = clock_timestamp() WHERE retry_at IS NOT NULL;
SELECT api.tick() \g /dev/null
SELECT is(t.places(:'r'), 'f@ f@w1@w1 f@w2@w2 f@w3@ f@w4@ c@', 'and goes where it was');
SELECT t.events('w1', t.event((SELECT id FROM sluice.attempt WHERE run = :'r' AND task = 'f@w1' AND try = 2), 1, 'refused', '{"requeue": true, "reason": "full"}')) \g /dev/null
SELECT matches(t.why(:'r', 'f@w1'), '^waits for agent "w1" on w1.example: it could not take the task just now and is asked again soon$', 'refused by its instance it waits for that');
SELECT is((SELECT array_agg(x ->> 'agent') FROM json_array_elements(api.run_explain(t.h('viewer'), :'r') -> 'tasks') k, json_array_elements(k -> 'candidates') x
            WHERE k ->> 'task' = 'f@w1'), ARRAY['w1'], 'nobody else could have it');

-- Its host is lost: the child fails when that has not come back.
SELECT t.begins('w2', :'r', 'f@w2'), t.gone('w2') \g /dev/null
SELECT is(t.tasks(:'r'), 'f:running f@w1:queued f@w2:queued f@w3:waiting f@w4:waiting c:waiting', 'lost with its host it is to be done again there');
SELECT sluice.fans_sweep() \g /dev/null
SELECT is(t.tasks(:'r'), 'f:running f@w1:queued f@w2:failed f@w3:skipped f@w4:skipped c:waiting', 'a host that does not come back is not waited for');
SELECT api.agent_delete(t.h('admin'), 'w1', 'false') \g /dev/null
SELECT is(t.tasks(:'r') || ' ' || (t.get(:'r') ->> 'outcome'), 'f:failed f@w1:failed f@w2:failed f@w3:skipped f@w4:skipped c:skipped exit-code', 'nor one whose agent was deleted');
SELECT is((SELECT count(*) FROM sluice.queue WHERE run = :'r'), 0::bigint, 'nothing is left over');

-- Several instances of one agent are told apart, and it is the instance that has done its part.
INSERT INTO sluice.instance (id, agent, key, credential_hash, hostname, version, protocol, slots)
SELECT t.id('w4b'), agent, key, t.h('w4b'), 'w4b.example', '1.0', 1, 1 FROM sluice.instance WHERE id = t.id('w4');
SELECT t.sync('w4b') \g /dev/null
SELECT pg_temp.fan('two', '{"run_on_all_success": "75%"}') \g /dev/null
SELECT api.agent_flag_set(t.h('operator'), 'w2', 'paused', '{}'), least(t.id('w4'), t.id('w4b')) AS first, greatest(t.id('w4'), t.id('w4b')) AS second \g /dev/null
SELECT t.run('two') AS r, format('f@w4/%s', t.id('w4')) AS one, format('f@w4/%s', t.id('w4b')) AS other \gset
SELECT results_eq(format('SELECT name, state FROM sluice.task WHERE run = %L AND parent IS NOT NULL ORDER BY 1', :'r'),
                  format($$VALUES ('f@w2', 'skipped'), ('f@w3', 'queued'), (%L, 'queued'), (%L, 'queued') ORDER BY 1$$, :'one', :'other'), 'instances of one agent are told apart');
SELECT t.ends('w4', :'r', :'one'), t.ends('w4b', :'r', :'other', 'exit-code'), t.ends('w3', :'r', 'f@w3') \g /dev/null
DELETE FROM sluice.cleanup WHERE instance = t.id('w4b');
DELETE FROM sluice.idle WHERE instance = t.id('w4b');
DELETE FROM sluice.owed_log WHERE instance = t.id('w4b');
DELETE FROM sluice.presence WHERE instance = t.id('w4b');
DELETE FROM sluice.instance WHERE id = t.id('w4b');
SELECT (api.run_rerun(t.h('operator'), :'r', '{}', NULL) ->> 'run')::uuid AS r2 \gset
SELECT is((SELECT string_agg(name || ':' || state, ' ' ORDER BY name) FROM sluice.task WHERE run = :'r2' AND parent IS NOT NULL),
          format('f@w2:skipped f@w3:skipped %s:skipped', :'one'), 'a rerun goes by the instance, not by the name');
SELECT is(t.tasks(:'r2') ~ '^f:failed', true, 'and when those that are left are not there it fails at once');

-- An agent is deleted before the turn of its child has come.
SELECT api.agent_flag_clear(t.h('operator'), 'w2', 'paused'), t.silent('w2', '0') \g /dev/null
SELECT pg_temp.fan('late', '{"run_on_all_batch": "1", "run_on_all_success": "10%"}') \g /dev/null
SELECT t.agent('w9', 1, '{"role": "web"}'), t.sync('w9') \g /dev/null
SELECT t.run('late') AS r \gset
SELECT is((SELECT string_agg(name, ' ') FROM sluice.task WHERE run = :'r' AND parent IS NOT NULL AND held AND state = 'waiting' AND name = 'f@w9'), 'f@w9', 'one waits for its turn');
SELECT api.agent_delete(t.h('admin'), 'w9', 'false') \g /dev/null
SELECT t.ends(g.name, :'r', a.task) FROM sluice.attempt a JOIN sluice.agent g ON g.id = a.agent WHERE a.run = :'r' AND a.ended_at IS NULL \g /dev/null
SELECT t.ends(g.name, :'r', a.task) FROM sluice.attempt a JOIN sluice.agent g ON g.id = a.agent WHERE a.run = :'r' AND a.ended_at IS NULL \g /dev/null
SELECT t.ends(g.name, :'r', a.task) FROM sluice.attempt a JOIN sluice.agent g ON g.id = a.agent WHERE a.run = :'r' AND a.ended_at IS NULL \g /dev/null
SELECT is((SELECT state FROM sluice.task WHERE run = :'r' AND name = 'f@w9'), 'queued', 'its turn comes');
SELECT sluice.fans_sweep() \g /dev/null
SELECT is(pg_temp.reason(:'r', 'f@w9'), 'its agent was deleted', 'it is not waited for');
SELECT is((SELECT state FROM sluice.task WHERE run = :'r' AND name = 'f'), 'succeeded', 'and the task goes on to its end');

-- What cannot be.
SELECT is(t.error($$SELECT t.deploy('w', '[{"name": "a", "run_on_all": [], "run_on_all_batch": "0"}]')$$)
          || t.error($$SELECT t.deploy('w', '[{"name": "a", "run_on_all": [], "run_on_all_success": "101%"}]')$$)
          || t.error($$SELECT t.deploy('w', '[{"name": "a", "run_on_all": [{"key": "x"}]}]')$$), 'ZF400 bad-specZF400 bad-specZF400 bad-spec', 'numbers are checked');

-- The most that there may be, and more; in one statement for all of them.
INSERT INTO sluice.agent (name, type, labels) SELECT 'm' || n, 'batch', '{"many": ""}' FROM generate_series(1, 1000) n;
INSERT INTO sluice.instance (id, agent, key, credential_hash, hostname, version, protocol, slots, session, credential_used_at)
SELECT sluice.uuid_v7(), a.id, (SELECT id FROM sluice.key LIMIT 1), sha256(a.name::bytea), a.name, '1.0', 1, 1, t.id('session of ' || a.name), now() FROM sluice.agent a WHERE a.labels ? 'many';
INSERT INTO sluice.presence (instance, last_seen_at) SELECT i.id, clock_timestamp() FROM sluice.instance i JOIN sluice.agent a ON a.id = i.agent WHERE a.labels ? 'many';
INSERT INTO sluice.idle (instance) SELECT i.id FROM sluice.instance i JOIN sluice.agent a ON a.id = i.agent WHERE a.labels ? 'many';
SELECT t.deploy('many', '[{"name": "f", "run_on_all": [{"key": "many", "operator": "exists", "values": []}]}]') \g /dev/null
SELECT clock_timestamp() AS since \gset
SELECT t.run('many') AS r \gset
SELECT diag('a fan-out to 1000 instances was placed in ' || (clock_timestamp() - :'since'));
SELECT is((SELECT count(*) FROM sluice.assignment WHERE run = :'r'), 1000::bigint, 'a thousand are placed at once');
-- Their logs, page by page: each chunk once, and the position stays short enough for an address.
CREATE FUNCTION pg_temp.read(p_run uuid, p_task text DEFAULT NULL, OUT chunks int, OUT twice int, OUT pages int, OUT longest int, OUT complete boolean) LANGUAGE plpgsql AS $$
DECLARE
        v_after text;
        v record;
        v_seen text[] := '{}';
BEGIN
        pages := 0;
        longest := 0;
        LOOP
                SELECT array_agg(l.attempt || '.' || l.sequence) FILTER (WHERE l.data IS NOT NULL) AS chunks, (array_agg(l.next))[count(*)] AS next,
                       bool_or(l.complete) AS complete INTO v
                  FROM api.run_logs(t.h('viewer'), p_run, p_task, v_after, 1000) l;
                v_seen := v_seen || v.chunks;
                v_after := v.next;
                complete := v.complete;
                longest := greatest(longest, length(v_after));
                pages := pages + 1;
                EXIT WHEN v.complete OR v.chunks IS NULL;
        END LOOP;
        SELECT cardinality(v_seen), cardinality(v_seen) - count(DISTINCT x) INTO chunks, twice FROM unnest(v_seen) x;
END
$$;
SELECT clock_timestamp() AS since \gset
SELECT t.begins(split_part(name, '@', 2), run, name) FROM sluice.task WHERE run = :'r' AND parent IS NOT NULL ORDER BY random() \g /dev/null
INSERT INTO sluice.log_chunk (attempt, epoch, sequence, entries, first_cursor, last_cursor, first_realtime_usec, last_realtime_usec, last_monotonic_usec, content_bytes, data)
SELECT a.id, 1, n, 1, 's=a', 's=b', 1, 2, 3, 4, 'data' FROM sluice.attempt a, generate_series(1, 2) n WHERE a.run = :'r';
SELECT is(format('%s %s %s', chunks, twice, complete), '128 0 f', 'of a thousand that run some are read') FROM pg_temp.read(:'r');
SELECT is(format('%s %s', chunks, complete), '2 f', 'and any that is asked for') FROM pg_temp.read(:'r', 'f@m999');
SELECT t.ends(split_part(name, '@', 2), run, name) FROM sluice.task WHERE run = :'r' AND parent IS NOT NULL AND name <> 'f@m5' ORDER BY random() \g /dev/null
SELECT is(format('%s %s %s', chunks, twice, complete), '2000 0 f', 'one that still runs is in nobody''s way') FROM pg_temp.read(:'r');
SELECT t.ends('m5', :'r', 'f@m5') \g /dev/null
SELECT diag('a thousand have begun and ended in ' || (clock_timestamp() - :'since'));
SELECT is(t.get(:'r') ->> 'state', 'succeeded', 'all of them end');
SELECT is(format('%s %s %s', chunks, twice, complete), '2000 0 t', 'and all is read once') FROM pg_temp.read(:'r');
SELECT ok(longest < 2048, 'a position is short: ' || longest) FROM pg_temp.read(:'r', 'f');

SELECT t.agent('m1001', 1, '{"many": ""}'), t.run('many') AS r \gset
SELECT is(pg_temp.reason(:'r', 'f'), '1001 instances suit it, more than 1000', 'one more is too many');
SELECT * FROM finish();
