-- Many requests in one call: what is said by all of them is what they would have been told alone.
SET search_path = tap, public;
SELECT no_plan();
SELECT t.agent('one', 8), t.agent('two', 8), t.agent('three', 1) \g /dev/null
SELECT t.sync('one'), t.sync('two') \g /dev/null
SELECT t.pipe('one', '{a}'), t.pipe('line', '{a,b<a}') \g /dev/null

CREATE FUNCTION pg_temp.auths(VARIADIC p_names text[]) RETURNS bytea LANGUAGE sql AS $$
        SELECT string_agg(t.h(n), '' ORDER BY o) FROM unnest(p_names) WITH ORDINALITY x (n, o)
$$;
CREATE FUNCTION pg_temp.says(p_name text, VARIADIC p_events jsonb[]) RETURNS jsonb LANGUAGE sql AS $$
        SELECT jsonb_build_object('session', t.id('session of ' || p_name), 'events', to_jsonb(p_events))
$$;
-- 'REQUEST:acknowledged …' of each request that has an answer.
CREATE FUNCTION pg_temp.events(p_auths bytea, VARIADIC p_requests jsonb[]) RETURNS text LANGUAGE sql AS $$
        SELECT string_agg(request || ':' || (SELECT coalesce(string_agg(a ->> 'state', ' ' ORDER BY n), 'none')
                                               FROM json_array_elements(answer -> 'acknowledged') WITH ORDINALITY x (a, n)), ', ' ORDER BY request)
          FROM api.agent_events_batch(p_auths, to_jsonb(p_requests))
$$;
CREATE FUNCTION pg_temp.create(p_auths bytea, VARIADIC p_pipes text[]) RETURNS TABLE (request int, answer json) LANGUAGE sql AS $$
        SELECT * FROM api.run_create_batch(p_auths, (
                SELECT jsonb_agg(jsonb_build_object('project', 'default', 'key', nullif(split_part(p, '/', 2), ''),
                                                    'body', jsonb_build_object('pipe', split_part(p, '/', 1))) ORDER BY n)
                  FROM unnest(p_pipes) WITH ORDINALITY x (p, n)))
$$;
CREATE FUNCTION pg_temp.evidence(p_attempt uuid) RETURNS text LANGUAGE sql AS $$
        SELECT coalesce(string_agg(why || ' ' || (event ->> 'state'), ', ' ORDER BY id), 'none') FROM sluice.evidence WHERE attempt = p_attempt
$$;

-- Runs.
CREATE TEMP TABLE made AS SELECT * FROM pg_temp.create(pg_temp.auths('operator', 'viewer', 'owner', 'nobody', 'operator', 'operator', 'operator'),
        'one', 'one', 'line/k', 'one', 'nothing', 'one/k', 'one/k');
SELECT is((SELECT string_agg(request || ':' || (answer ->> 'created_by'), ' ' ORDER BY request) FROM made), '1:operator 3:owner 6:operator',
          'those that may and can are made; the same key twice is left to be asked for alone');
SELECT is((SELECT count(*) FROM sluice.run), 3::bigint, 'and nothing else is');
SELECT is((SELECT bool_and(answer::jsonb = t.get((answer ->> 'run')::uuid)) FROM made), true, 'each is answered with its run');
SELECT is((SELECT count(*) FROM sluice.assignment), 3::bigint, 'and placed');
SELECT is((SELECT count(*) FROM pg_temp.create(pg_temp.auths('operator', 'owner'), 'one/k', 'line/k')), 0::bigint, 'used keys make nothing');
SELECT is((api.run_create(t.h('operator'), 'default', 'one', NULL, 'k') ->> 'run'), (SELECT answer ->> 'run' FROM made WHERE request = 6),
          'alone they answer the run that they made');
SELECT is((SELECT count(*) FROM api.run_create_batch('', '[]')), 0::bigint, 'nothing asked, nothing done');

-- Each of two agents has an attempt, whatever was placed where.
CREATE FUNCTION pg_temp.settle() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
        v record;
BEGIN
        FOR v IN SELECT x.*, CASE x.instance WHEN t.id('one') THEN 'one' ELSE 'two' END AS name FROM sluice.assignment x LOOP
                PERFORM t.events(v.name, t.success(v.attempt, v.epoch), t.event(v.attempt, v.epoch, 'logged', '{"sequence": 0}'));
        END LOOP;
END
$$;
SELECT pg_temp.settle(), pg_temp.settle() \g /dev/null
SELECT is((SELECT string_agg(DISTINCT state, ' ') FROM sluice.run), 'succeeded', 'all of them run to their end');
SELECT t.sync('two', '[]', '{"draining": true}'), t.run('line') AS r1, t.sync('two', '[]') \gset
SELECT t.sync('one', '[]', '{"draining": true}'), t.run('line') AS r2, t.sync('one', '[]') \gset
SELECT (t.attempt(:'r1')).id AS a1, (t.attempt(:'r2')).id AS a2 \gset

-- Syncs: with news, without, of one who is not connected, with something wrong, of nobody.
CREATE FUNCTION pg_temp.sync(p_name text, p_more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
        SELECT jsonb_build_object('session', t.id('session of ' || p_name), 'boot', md5('boot of ' || p_name), 'version', '1.0',
                'slots', (SELECT slots FROM sluice.instance WHERE id = t.id(p_name)), 'draining', false, 'attempts', '[]'::jsonb) || p_more
$$;
CREATE TEMP TABLE said AS SELECT * FROM api.agent_sync_batch(pg_temp.auths('one', 'two', 'three', 'one', 'two', 'nobody', 'one'), jsonb_build_array(
        pg_temp.sync('one'), pg_temp.sync('two', jsonb_build_object('attempts', t.known(:'a2', 1, 'running'))), pg_temp.sync('three'),
        pg_temp.sync('one', '{"slots": 3}'), pg_temp.sync('two', '{"attempts": [{"attempt": 1}]}'), pg_temp.sync('one'),
        pg_temp.sync('one', jsonb_build_object('attempts', t.known(t.id('x'), 1, 'ended', true)))));
SELECT is((SELECT string_agg(request || ':' || (instance = t.id('one')) || ':' || t.answer(answer::jsonb - 'clean'), ', ' ORDER BY request) FROM said),
          '1:true:start:1, 2:false:nothing, 7:true:release:1 start:1', 'who is as before has its answer, and the others are asked alone');
SELECT is((SELECT answer #>> '{start,0,attempt}' FROM said WHERE request = 1), :'a1', 'each its own');
SELECT is((SELECT string_agg(CASE WHEN answer IS NULL THEN 'wait' ELSE 'told' END, ' ') FROM api.agent_sync_batch(pg_temp.auths('one', 'two'), jsonb_build_array(
                pg_temp.sync('one', jsonb_build_object('attempts', t.known(:'a1', 1, 'starting'))),
                pg_temp.sync('two', jsonb_build_object('attempts', t.known(:'a2', 1, 'running')))))), 'wait wait', 'nothing to say: they wait');

-- Events: good ones of two agents, with some of another's, unknown, late, repeated.
SELECT is(pg_temp.events(pg_temp.auths('one', 'two', 'one'),
                pg_temp.says('one', t.event(:'a1', 1, 'running', '{"invocation_id": "0a"}'), t.event(:'a2', 1, 'running')),
                pg_temp.says('two', t.event(:'a2', 1, 'running', '{"invocation_id": "0b"}'), t.event(t.id('x'), 1, 'running')),
                pg_temp.says('one', t.event(:'a1', 1, 'running'), t.event(:'a1', 0, 'running'))),
          '1:running running, 2:running running, 3:running running', 'all are acknowledged');
SELECT is(t.tasks(:'r1') || ', ' || t.tasks(:'r2'), 'a:running b:waiting, a:running b:waiting', 'the good ones count');
SELECT is((t.attempt(:'r1')).invocation_id || (t.attempt(:'r2')).invocation_id, '0a0b', 'each for its attempt');
SELECT is(pg_temp.evidence(:'a1') || ', ' || pg_temp.evidence(:'a2') || ', ' || pg_temp.evidence(t.id('x')),
          'old-epoch running, not-yours running, unknown-attempt running', 'and what does not count is kept');

-- One request is wrong, one of nobody: the others do not notice.
SELECT is(pg_temp.events(pg_temp.auths('one', 'nobody', 'two', 'one', 'two'),
                pg_temp.says('one', t.event(:'a1', 1, 'dancing')), pg_temp.says('two', t.success(:'a2')),
                pg_temp.says('two', t.success(:'a2'), t.event(:'a2', 1, 'logged', '{"sequence": 3}')),
                '{"session": "x"}', pg_temp.says('two', t.event(:'a2', 1, 'running'), t.success(:'a2'))),
          '3:ended, 5:running ended', 'those that are wrong have no answer; a log with chunks missing is not acknowledged');
SELECT is(t.tasks(:'r1') || ', ' || t.tasks(:'r2'), 'a:running b:waiting, a:succeeded b:queued', 'and none of what they say counts');
SELECT is(pg_temp.evidence(:'a2'), 'not-yours running, already-ended running', 'late in the same call is late');
SELECT is(t.error(format('SELECT t.events(%L, %L)', 'one', t.event(:'a1', 1, 'dancing'))), 'ZF400 bad-request', 'alone it is told why');
SELECT is(pg_temp.events(pg_temp.auths('one', 'two'), pg_temp.says('one', t.event(:'a1', 1, 'running') || '{"epoch": "x"}'),
                         pg_temp.says('two', t.event(:'a2', 1, 'logged', '{"sequence": 0}'))), NULL,
          'what cannot even be read leaves all of them to be asked alone');
SELECT is((t.attempt(:'r2')).log_complete, false, 'with no effect');

-- From nothing to the end of the log in one call, in the wrong order, and twice.
SELECT (t.attempt(:'r2', 'b')).id AS b2 \gset
SELECT is(pg_temp.events(pg_temp.auths('one', 'two'),
                pg_temp.says('one', t.failure(:'a1'), t.event(:'a1', 1, 'logged', '{"sequence": 0}')),
                pg_temp.says('two', t.event(:'b2', 1, 'logged', '{"sequence": 0}'), t.event(:'b2', 1, 'running'), t.success(:'b2'), t.success(:'b2'),
                                    t.event(:'a2', 1, 'logged', '{"sequence": 0}'))),
          '1:ended logged, 2:logged running ended ended logged', 'a whole life');
SELECT is(t.tasks(:'r1') || ', ' || t.tasks(:'r2'), 'a:failed b:skipped, a:succeeded b:succeeded', 'ends both runs');
SELECT is((SELECT concat_ws(' ', state, outcome, exit_status, reason) FROM sluice.run WHERE id = :'r1'), 'failed exit-code 3 it failed', 'with their outcome');
SELECT is(t.get(:'r2') ->> 'log_complete', 'true', 'and their logs');
SELECT is((SELECT count(*) FROM sluice.assignment) + (SELECT count(*) FROM sluice.queue) + (SELECT count(*) FROM sluice.live_run), 0::bigint, 'nothing is left');
SELECT is(pg_temp.evidence(:'b2'), 'none', 'a repeat in the same call is a repeat');

-- The end of a log that comes after the end of the run, and after the workspace went, changes neither.
SELECT t.run('one') AS r \gset
SELECT CASE (t.attempt(:'r')).instance WHEN t.id('one') THEN 'one' ELSE 'two' END AS who, (t.attempt(:'r')).id AS a \gset
SELECT t.events(:'who', t.success(:'a')) \g /dev/null
SELECT ended_at AS ended FROM sluice.run WHERE id = :'r' \gset
SELECT t.events(:'who', jsonb_build_object('state', 'cleaned', 'run', :'r')), t.events(:'who', t.event(:'a', 1, 'logged', '{"sequence": 0}')) \g /dev/null
SELECT is((SELECT ended_at FROM sluice.run WHERE id = :'r'), :'ended'::timestamptz, 'a run ends once');
SELECT is((SELECT count(*) FROM sluice.cleanup WHERE run = :'r'), 0::bigint, 'and its workspace goes once');
-- Many runs in one request.
CREATE FUNCTION pg_temp.many(p_runs jsonb, p_key text DEFAULT NULL) RETURNS text[] LANGUAGE sql AS $$
        SELECT ARRAY(SELECT r ->> 'run' FROM json_array_elements(api.run_create_many(
                t.h('operator'), 'default', jsonb_build_object('runs', p_runs), p_key) -> 'items') r)
$$;
SELECT version AS v1 FROM sluice.pipe WHERE name = 'line' \gset
SELECT t.pipe('line', '{a,b<a,c}') \g /dev/null
SELECT pg_temp.many(jsonb_build_array('{"pipe": "line"}'::jsonb, '{"pipe": "one"}'::jsonb,
                                      jsonb_build_object('pipe', 'line', 'version', :'v1'), '{"pipe": "line", "version": null}'::jsonb), 'm') AS many \gset
SELECT is((SELECT string_agg(r.pipe || (SELECT count(*) FROM sluice.task t WHERE t.run = r.id), ' ' ORDER BY m.n)
             FROM unnest(:'many'::uuid[]) WITH ORDINALITY m (id, n) JOIN sluice.run r USING (id)), 'line3 one1 line2 line3', 'in their order, each with its version');
SELECT is(pg_temp.many(jsonb_build_array('{"pipe": "line"}'::jsonb, '{"pipe": "one"}'::jsonb,
                                         jsonb_build_object('pipe', 'line', 'version', :'v1'), '{"pipe": "line", "version": null}'::jsonb), 'm'),
          :'many'::text[], 'the same key is the same runs');
SELECT is(t.error($$SELECT pg_temp.many('[{"pipe": "one"}]', 'm')$$), 'ZF409 idempotency-key-reused', 'and the same request');
SELECT count(*) AS before FROM sluice.run \gset
SELECT is(t.error($$SELECT pg_temp.many('[{"pipe": "one"}, {"pipe": "nothing"}]')$$), 'ZF404 pipe-not-found', 'one of nothing');
SELECT is(t.error($$SELECT pg_temp.many('[{"pipe": "one"}, {}]')$$) || ', ' || t.error($$SELECT pg_temp.many('[]')$$) || ', '
          || t.error($$SELECT pg_temp.many((SELECT jsonb_agg('{"pipe": "one"}'::jsonb) FROM generate_series(1, 1001)))$$),
          'ZF400 bad-request, ZF400 bad-request, ZF400 bad-request', 'one that says nothing; none; too many');
SELECT is((SELECT count(*) FROM sluice.run), :before::bigint, 'and there is none of them');
SELECT is(cardinality(pg_temp.many((SELECT jsonb_agg('{"pipe": "one"}'::jsonb) FROM generate_series(1, 1000)))), 1000, 'a thousand');
SELECT * FROM finish();
