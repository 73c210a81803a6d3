-- Two sessions with one identity: a restart, which is let in, and a copied machine, which is not.
SET search_path = tap, public;
SELECT no_plan();
SELECT t.agent('one', 4), t.agent('two', 4) \g /dev/null
SELECT t.pipe('p', '{a}') \g /dev/null

-- What session `p_session` of agent one hears; with p_heard it says the challenge with that session's name back.
CREATE FUNCTION pg_temp.says(p_session text, p_heard text DEFAULT NULL, p_more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
        SELECT t.sync('one', '[]', jsonb_build_object('session', t.id(p_session)) || p_more
                      || CASE WHEN p_heard IS NULL THEN '{}' ELSE jsonb_build_object('challenge', t.id(p_heard)) END)
$$;
CREATE FUNCTION pg_temp.pending(p_before text) RETURNS jsonb LANGUAGE sql AS $$
        SELECT jsonb_build_object('pending', true, 'challenge', t.id(p_before))
$$;
CREATE FUNCTION pg_temp.later() RETURNS void LANGUAGE sql AS $$
        UPDATE sluice.instance SET rival_at = rival_at - sluice.challenge_time() WHERE id = t.id('one')
$$;
CREATE FUNCTION pg_temp.is_current(p_session text) RETURNS boolean LANGUAGE sql AS $$
        SELECT session = t.id(p_session) FROM sluice.instance WHERE id = t.id('one')
$$;
CREATE FUNCTION pg_temp.flags() RETURNS text LANGUAGE sql AS $$
        SELECT string_agg(concat_ws(' ', f ->> 'flag', 'by', f ->> 'by', f ->> 'reason'), ',')
          FROM jsonb_array_elements(api.agent_get(t.h('viewer'), 'one')::jsonb -> 'flags') f
$$;

-- A start after a goodbye, or after the connection broke, counts at once.
SELECT pg_temp.says('s1') \g /dev/null
SELECT api.agent_goodbye(t.h('one'), jsonb_build_object('session', t.id('s1'))) \g /dev/null
SELECT is(pg_temp.says('s2'), NULL, 'after a goodbye the next session is let in');
UPDATE sluice.instance SET broke_at = clock_timestamp() - interval '1 second';
SELECT is(pg_temp.says('s3'), pg_temp.pending('s2'), 'a connection that has just broken may be on its way back');
UPDATE sluice.instance SET broke_at = clock_timestamp() - sluice.challenge_time();
SELECT is(pg_temp.says('s3'), NULL, 'one that broke a while ago is not');

-- A kill -9 whose end nobody has seen: the poll that is held for it is asked again in vain.
SELECT t.run('p') AS r \gset
SELECT pg_temp.says('s3') \g /dev/null
SELECT (t.attempt(:'r')).id AS a, t.id((SELECT a.name FROM sluice.agent a WHERE a.id = (t.attempt(:'r')).agent)) AS at \gset
SELECT is(:'at'::uuid, t.id('one'), 'one has an attempt');
SELECT t.events('one', t.event(:'a', 1, 'running')) \g /dev/null
SELECT t.silent('one', '1 minute') \g /dev/null
SELECT is(pg_temp.says('s4'), pg_temp.pending('s3'), 'the next session waits');
SELECT cmp_ok((SELECT last_seen_at FROM sluice.presence WHERE instance = t.id('one')), '>', now() - interval '10 seconds', 'and has been in contact');
SELECT is(pg_temp.says('s3'), pg_temp.pending('s4'), 'while the one before is challenged');
SELECT is(pg_temp.says('s4', 's3'), pg_temp.pending('s3'), 'and waits, however alive it is');
SELECT is_empty(format('SELECT FROM sluice.assignment WHERE instance = %L AND recover', t.id('one')), 'nothing is asked for meanwhile');
SELECT is_empty(format('SELECT FROM sluice.open_instance WHERE id = %L', t.id('one')),
                'and nothing placed');
SELECT pg_temp.later() \g /dev/null
SELECT is(t.answer(pg_temp.says('s4')), 'recover:1', 'without a sign of life it counts, and is asked for what it does not have');
SELECT ok(pg_temp.is_current('s4'), 'it is the session now');
SELECT is(t.error($$SELECT pg_temp.says('s3')$$), 'ZF409 session-replaced', 'and the one before is none any more');
UPDATE sluice.assignment SET recover = false;

-- A copy beside the original.
SELECT is(pg_temp.says('copy'), pg_temp.pending('s4'), 'a copy waits as any other');
SELECT is(pg_temp.says('s4', 'another'), pg_temp.pending('copy'), 'an old challenge proves nothing');
SELECT is(pg_temp.says('s4', 'copy'), '{"pending": true}', 'the original has heard the challenge');
SELECT is(pg_temp.flags(), NULL, 'which may be a start that was killed before its request came');
SELECT is(pg_temp.says('copy', 'another'), pg_temp.pending('s4'), 'it is asked for a sign of life, too');
SELECT is(pg_temp.says('copy', 's4'), pg_temp.pending('s4'), 'and gives it');
SELECT is(t.error($$SELECT pg_temp.says('copy')$$), 'ZF409 quarantined', 'so the copy is refused');
SELECT pg_temp.later() \g /dev/null
SELECT is(t.error($$SELECT pg_temp.says('copy')$$), 'ZF409 quarantined', 'for good');
SELECT is(t.error($$SELECT pg_temp.says('s4')$$), 'ZF409 quarantined', 'and so is the original');
SELECT is(pg_temp.flags(), 'quarantined by the control plane two running agents present its identity, so a machine was copied', 'people see why');
SELECT is(g ->> 'status', 'Unknown', 'nobody knows which of the two it is') FROM api.agent_get(t.h('viewer'), 'one') g;
SELECT matches(e #>> '{flags,0}', 'quarantined by the control plane since .*: two running', 'explain says so') FROM api.agent_explain(t.h('viewer'), 'one') e;
SELECT is((SELECT count(*) FROM api.agent_sync_batch(t.h('one'), jsonb_build_array(jsonb_build_object('session', t.id('s4'), 'boot', md5('boot of one'),
          'version', '1.0', 'slots', 4)))), 0::bigint, 'a batch leaves it to be refused alone');
SELECT t.run('p') AS waits \gset
SELECT is((t.attempt(:'waits')).state, 'queued', 'it is given nothing');
SELECT matches(c ->> 'verdict', '^is quarantined since', 'and explain of a run says that') FROM jsonb_array_elements(
        api.run_explain(t.h('viewer'), :'waits')::jsonb #> '{tasks,0,candidates}') c WHERE c ->> 'agent' = 'one';
UPDATE sluice.instance SET self_fence_sec = 15 WHERE id = t.id('one');
UPDATE sluice.attendance SET last_at = clock_timestamp(), server_since = pg_postmaster_start_time(), since = '-infinity';
SELECT t.silent('one', '1 day') \g /dev/null
SELECT sluice.loss_sweep() \g /dev/null
SELECT is(t.get(:'r') ->> 'state', 'running', 'nothing of it is given up');
SELECT is(jsonb_array_length(api.agent_events(t.h('one'), jsonb_build_object('session', t.id('copy'), 'events', jsonb_build_array(
          t.event(:'a', 1, 'refused', '{"requeue": true}'))))::jsonb -> 'acknowledged'), 1, 'what the copy does not know is heard');
SELECT is((t.attempt(:'r')).state, 'running', 'and changes nothing');
SELECT is(t.answer(api.agent_events(t.h('one'), jsonb_build_object('session', t.id('s4'), 'events', jsonb_build_array(t.success(:'a'))))::jsonb),
          'acknowledged:1', 'what the original did is taken in, and it is given nothing for it');
SELECT is(t.get(:'r') ->> 'outcome', 'success', 'as the outcome that it is');

-- People look after it.
SELECT is(t.error($$SELECT api.agent_flag_set(t.h('operator'), 'one', 'quarantined', '{}')$$), 'ZF404 flag-not-found', 'people do not set this flag');
SELECT api.agent_flag_clear(t.h('operator'), 'one', 'quarantined') \g /dev/null
SELECT is(pg_temp.flags(), NULL, 'they end it');
SELECT cmp_ok((SELECT last_seen_at FROM sluice.presence WHERE instance = t.id('one')), '>', now() - interval '10 seconds',
              'with a whole grace for whoever is alive');
SELECT is(t.answer(pg_temp.says('s4')), 'clean:1 start:1', 'the original goes on');
SELECT is(pg_temp.says('copy'), pg_temp.pending('s4'), 'a copy that is still there waits again');
SELECT pg_temp.says('copy', 's4') \g /dev/null
SELECT is(pg_temp.says('s4', 'copy'), '{"pending": true}', 'and is found again');
SELECT is(t.error($$SELECT pg_temp.says('s4')$$), 'ZF409 quarantined', 'with what follows');
SELECT api.agent_flag_clear(t.h('operator'), 'one', 'quarantined') \g /dev/null
SELECT pg_temp.says('copy') \g /dev/null
SELECT pg_temp.later() \g /dev/null
SELECT pg_temp.says('copy') \g /dev/null
SELECT ok(pg_temp.is_current('copy'), 'if it is the original that was removed, the copy is the agent');

-- OnClone=enrol.
SELECT is(pg_temp.says('modest', NULL, '{"on_clone": "enrol"}'), pg_temp.pending('copy'), 'a copy that would enrol anew waits');
SELECT pg_temp.says('modest', 'copy', '{"on_clone": "enrol"}') \g /dev/null
SELECT is(pg_temp.says('copy', 'modest'), '{"pending": true}', 'the one before is alive');
SELECT is(t.error($$SELECT pg_temp.says('modest')$$), 'ZF409 identity-taken', 'so the copy is told');
SELECT is(pg_temp.flags(), NULL, 'and nobody is quarantined');
SELECT ok(pg_temp.says('copy') ->> 'pending' IS NULL, 'the one before goes on');
SELECT is(t.error($$SELECT pg_temp.says('x', NULL, '{"on_clone": "kill"}')$$), 'ZF400 bad-request', 'no other policy is known');

-- A start that was killed before its request came.
SELECT pg_temp.says('late') \g /dev/null
SELECT pg_temp.says('copy', 'late') \g /dev/null
SELECT pg_temp.later() \g /dev/null
SELECT is(pg_temp.says('late'), pg_temp.pending('copy'), 'repeating it is no sign of life, and no way in while the one before is alive');
SELECT is(pg_temp.says('copy', 'late'), '{"pending": true}', 'which has waited for long enough');
SELECT ok(pg_temp.says('copy') ->> 'pending' IS NULL, 'and goes on');
SELECT is(t.error($$SELECT pg_temp.says('late')$$), 'ZF409 session-replaced', 'what comes still later is that of a session that is over');

-- Starts that are killed before they count.
SELECT pg_temp.says(n) FROM unnest(ARRAY['k1', 'k2', 'k3', 'k4']) n \g /dev/null
SELECT pg_temp.later() \g /dev/null
SELECT is(t.answer(pg_temp.says('k4')), 'recover:2', 'the last one is let in');
SELECT is(t.error(format('SELECT pg_temp.says(%L)', n)), 'ZF409 session-replaced', n || ' is over') FROM unnest(ARRAY['copy', 'k1', 'k2', 'k3']) n;

-- Two that want in at one time.
SELECT pg_temp.says('r1') \g /dev/null
SELECT is(pg_temp.says('r2'), pg_temp.pending('r1'), 'a start that was killed is followed by the next');
SELECT is(pg_temp.says('r2', 'r1'), pg_temp.pending('r1'), 'which may say what it wants of the one before it');
SELECT is(pg_temp.says('r1'), pg_temp.pending('r2'), 'the one before is challenged, if it is there');
SELECT is(pg_temp.says('r1', 'r2'), '{"pending": true}', 'and when it hears that');
SELECT is(t.error($$SELECT pg_temp.says('r2')$$), 'ZF409 quarantined', 'both were alive');

-- Copies of other agents are no concern of anybody else.
SELECT ok(t.sync('two') ->> 'pending' IS NULL, 'the other agent goes on');

SELECT * FROM finish();
