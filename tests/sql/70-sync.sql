-- The long poll: what an agent is told, and that nothing is written when there is nothing to say.
SET search_path = tap, public;
SELECT no_plan();
SELECT t.agent('one', 4), t.agent('two', 4) \g /dev/null
SELECT t.pipe('p', '{a}', '{"on_agent_loss": "fail"}'), t.pipe('once', '{a}', '{"delivery": "at-most-once"}') \g /dev/null

-- The first sync, and the ones after it.
SELECT is(t.sync('one'), NULL, 'nothing to do');
SELECT is(instance, t.id('one'), 'the instance is named')
  FROM api.agent_sync(t.h('one'), jsonb_build_object('session', t.id('session of one'), 'boot', md5('boot of one'),
                      'version', '1.0', 'slots', 4));
SELECT results_eq($$SELECT session, boot, version, slots, draining, credential_used_at IS NOT NULL FROM sluice.instance
                     WHERE id = t.id('one')$$,
                  $$VALUES (t.id('session of one'), md5('boot of one'), '1.0', 4, false, true)$$, 'what it said is kept');
CREATE FUNCTION pg_temp.rows() RETURNS text LANGUAGE sql AS $$
        SELECT (SELECT xmin || ' ' || ctid FROM sluice.instance WHERE id = t.id('one'))
            || (SELECT ' ' || xmin || ' ' || ctid FROM sluice.presence WHERE instance = t.id('one'))
$$;
SELECT pg_temp.rows() AS rows \gset
SELECT t.sync('one') \g /dev/null
SELECT is(pg_temp.rows(), :'rows', 'an idle poll writes no row');
SELECT t.silent('one', '21 seconds') \g /dev/null
SELECT t.sync('one') \g /dev/null
SELECT cmp_ok((SELECT last_seen_at FROM sluice.presence WHERE instance = t.id('one')), '>', now() - interval '10 seconds',
              'but presence, when it is 20 seconds old');
SELECT t.silent('one', '1 hour') \g /dev/null
SELECT api.presence_flush(ARRAY[t.id('one'), t.id('nobody'), NULL]) \g /dev/null
SELECT cmp_ok((SELECT last_seen_at FROM sluice.presence WHERE instance = t.id('one')), '>', now() - interval '10 seconds',
              'as does a flush, which forgives unknown instances');
SELECT lives_ok('SELECT api.presence_flush(NULL)', 'and no instances');
SELECT t.sync('one', '[]', '{"version": "1.1", "slots": 5}') \g /dev/null
SELECT is((SELECT version || ' ' || slots FROM sluice.instance WHERE id = t.id('one')), '1.1 5', 'what changes is stored');
SELECT t.sync('two', '[]', '{"memory_bytes": 1073741824, "systemd": "257.3-1"}') \g /dev/null
SELECT is((SELECT concat_ws(' ', memory_bytes, systemd, hostname) FROM sluice.instance WHERE id = t.id('two')), '1073741824 257.3-1 two.example', 'so is what the host has now');
UPDATE sluice.instance SET memory_bytes = NULL WHERE id = t.id('two');

-- Start: again and again until the agent lists it.
SELECT t.run('p') AS r \gset
SELECT (t.attempt(:'r')).id AS a, (t.attempt(:'r')).instance AS i \gset
SELECT is(t.answer(t.sync('one')), 'start:1', 'work is offered');
SELECT is(t.answer(t.sync('one')), 'start:1', 'until it is listed: the answer may have been lost');
SELECT is(t.answer(t.sync('one', t.known(:'a', 1, 'starting'))), 'nothing', 'listed, it is not offered');
SELECT t.events('one', t.event(:'a', 1, 'running')) \g /dev/null
SELECT is(t.answer(t.sync('one')), 'nothing', 'nor when it runs: an old list says nothing');
SELECT is((SELECT state FROM sluice.attempt WHERE id = :'a'), 'running', 'and has no effect');

-- Resume: where the log goes on.
SELECT is(t.sync('one', t.known(:'a', 1, 'running', true)) -> 'resume',
          jsonb_build_array(jsonb_build_object('attempt', :'a', 'epoch', 1, 'sequence', 0, 'cursor', '', 'monotonic_usec', 0)),
          'from the beginning');
SELECT t.log('one', :'a', 1, 'x'), t.log('one', :'a', 2, 'x') \g /dev/null
SELECT is(t.sync('one', t.known(:'a', 1, 'running', true)) -> 'resume',
          jsonb_build_array(jsonb_build_object('attempt', :'a', 'epoch', 1, 'sequence', 2, 'cursor', 's=2', 'monotonic_usec', 2)),
          'or after the last chunk');

-- Release: what is over and stored, and what nobody knows.
SELECT is(t.sync('one', t.known(t.id('nothing'), 3, 'running', true)),
          jsonb_build_object('start', '[]'::jsonb, 'stop', '[]'::jsonb, 'clean', '[]'::jsonb, 'resume', '[]'::jsonb, 'recover', '[]'::jsonb, 'release',
          jsonb_build_array(jsonb_build_object('attempt', t.id('nothing'), 'epoch', 3))), 'an unknown attempt is released');
SELECT t.events('one', t.success(:'a')) \g /dev/null
SELECT is(t.answer(t.sync('one', t.known(:'a', 1, 'ended'))), 'nothing', 'one whose log is missing is not');
SELECT t.events('one', t.event(:'a', 1, 'logged', '{"sequence": 2}')) \g /dev/null
SELECT is(t.answer(t.sync('one', t.known(:'a', 1, 'ended'))), 'release:1', 'then it is');
SELECT is(t.answer(t.sync('one', t.known(:'a', 1, 'running'))), 'stop:1', 'one that still runs must stop');
SELECT is(t.answer(t.sync('two', t.known(:'a', 1, 'running'))), 'stop:1', 'also on an instance that never had it');
SELECT is(t.answer(t.sync('two', t.known(:'a', 1, 'ended'))), 'nothing', 'where it has nothing to report but old news');

-- Clean: said, not repeated for a while, until done.
SELECT t.run('p') AS r \gset
SELECT t.sync('two') IS NULL \g /dev/null
SELECT (t.attempt(:'r')).id AS a, a.name AS agent FROM sluice.agent a WHERE a.id = (t.attempt(:'r')).agent \gset
SELECT is(t.answer(t.events(:'agent', t.success(:'a')) - 'acknowledged'), 'clean:1', 'clean comes with the end');
SELECT is(t.answer(t.sync(:'agent')), 'nothing', 'and is not repeated at once');
UPDATE sluice.cleanup SET offered_at = offered_at - interval '31 seconds' WHERE run = :'r';
SELECT is(t.sync(:'agent') -> 'clean', jsonb_build_array(:'r'), 'but after half a minute');

-- Epochs: a list with an old one is stopped first; the new one comes when it is gone.
SELECT api.agent_goodbye(t.h('two'), jsonb_build_object('session', t.id('session of two'))) \g /dev/null
SELECT t.run('p') AS r \gset
SELECT (t.attempt(:'r')).id AS a \gset
SELECT t.events('one', t.event(:'a', 1, 'refused', '{"requeue": true}')) \g /dev/null
UPDATE sluice.queue SET avoid_until = clock_timestamp();
SELECT is(t.answer(t.sync('one', t.known(:'a', 1, 'running'))), 'stop:1', 'an old epoch is stopped');
SELECT is(t.sync('one', t.known(:'a', 1, 'ended')) #>> '{start,0,epoch}', '2', 'the new one started, also where the old one was refused just now');
SELECT is(t.answer(t.sync('one', t.known(:'a', 2, 'ended'))), 'nothing', 'and not again when it is over');
SELECT t.events('one', t.success(:'a', 2)) \g /dev/null

-- A sync that was on its way for long.
SELECT t.sync('one', '[]', '{"sequence": 5, "draining": true}') \g /dev/null
SELECT t.run('p') AS late \gset
SELECT is(t.answer(t.sync('one', '[]', '{"sequence": 4, "slots": 7}')), 'nothing', 'one that a later one has overtaken is given nothing');
SELECT is((SELECT (draining, slots = 7, sync_sequence) FROM sluice.instance WHERE id = t.id('one')), (true, false, 5::int8), 'and changes nothing');
SELECT is(t.answer(t.sync('one', '[]', '{"sequence": 6}')), 'start:1', 'a later one does');
SELECT t.events('one', t.success((t.attempt(:'late')).id)) \g /dev/null

-- Sessions. (Owed logs have a test of their own below.)
DELETE FROM sluice.owed_log;
SELECT is(t.next('one', '[]', jsonb_build_object('session', t.id('second'))), NULL, 'a new session');
SELECT is(t.error($$SELECT t.sync('one')$$), 'ZF409 session-replaced', 'silences the one before');
SELECT is(t.next('one', '[]', jsonb_build_object('session', t.id('s' || n))), NULL, 'session ' || n) FROM generate_series(1, 17) n;
SELECT is((SELECT cardinality(old_sessions) FROM sluice.instance WHERE id = t.id('one')), 16, 'sixteen of them are remembered');
UPDATE sluice.instance SET session = t.id('session of one'), old_sessions = '{}' WHERE id = t.id('one');

-- Another start in the same boot.
SELECT t.run('p') AS gone, t.run('p') AS unbegun, t.run('p') AS kept \gset
SELECT t.sync('one') \g /dev/null
SELECT t.events('one', t.event((t.attempt(:'gone')).id, 1, 'running'), t.event((t.attempt(:'kept')).id, 1, 'running')) \g /dev/null
SELECT t.sync('one') \g /dev/null
SELECT is(t.get(:'gone') ->> 'state', 'running', 'the same session may leave out what it has not heard of yet');
SELECT t.run('once') AS once \gset
SELECT t.sync('one') \g /dev/null
SELECT t.next('one', t.known((t.attempt(:'kept')).id, 1, 'running'), jsonb_build_object('session', t.id('restarted'))) AS answer \gset
SELECT results_eq(format('SELECT x #>> ''{attempt}'' FROM jsonb_array_elements(%L::jsonb -> ''recover'') x ORDER BY 1', :'answer'),
                  format('SELECT id::text FROM unnest(ARRAY[(t.attempt(%L)).id, (t.attempt(%L)).id, (t.attempt(%L)).id]) id ORDER BY 1', :'gone', :'unbegun', :'once'),
                  'what is not listed is asked for, also when nobody knows that it began');
SELECT is(:'answer'::jsonb #>> '{recover,0,sequence}', '0', 'with the place of its log');
SELECT is(t.get(:'gone') ->> 'state', 'running', 'nothing is given up before the answer');
SELECT is(t.get(:'kept') ->> 'state', 'running', 'what is listed runs on');
SELECT is(:'answer'::jsonb -> 'start', '[]', 'and not offered again before the answer: it may be over');
SELECT is(t.sync('one', t.known((t.attempt(:'kept')).id, 1, 'running') || t.known((t.attempt(:'gone')).id, 1, 'starting')
                        || t.known((t.attempt(:'once')).id, 1, 'starting') || t.known((t.attempt(:'unbegun')).id, 1, 'starting'),
                 jsonb_build_object('session', t.id('restarted'))), NULL, 'what the agent looks for is not asked for again');
UPDATE sluice.instance SET session = t.id('session of one'), old_sessions = '{}' WHERE id = t.id('one');
SELECT t.events('one', t.event((t.attempt(:'once')).id, 1, 'refused', '{"requeue": true, "reason": "no trace"}')) \g /dev/null
SELECT is(concat_ws(' ', r ->> 'outcome', r ->> 'reason'), 'lost no trace', 'no trace is no proof that it never began') FROM t.get(:'once') r;
SELECT t.events('one', t.failure((t.attempt(:'gone')).id, 1)) \g /dev/null
SELECT is(concat_ws(' ', r ->> 'outcome', r ->> 'log_complete'), 'exit-code false', 'what the journal knows is the outcome') FROM t.get(:'gone') r;
SELECT t.events('one', t.success((t.attempt(:'unbegun')).id, 1), t.success((t.attempt(:'kept')).id, 1)) \g /dev/null
UPDATE sluice.instance SET session = t.id('session of one'), old_sessions = '{}' WHERE id = t.id('one');

-- What may begin only once, and nobody was told of before the agent died.
DELETE FROM sluice.owed_log;
SELECT t.run('once') AS untold \gset
SELECT is((t.attempt(:'untold')).state, 'assigned', 'it is assigned');
SELECT is(t.answer(t.next('one', '[]', jsonb_build_object('session', t.id('not told')))), 'start:1', 'the next start is told');
SELECT is(t.answer(t.next('one', '[]', jsonb_build_object('session', t.id('not told')))), 'start:1', 'and told again, should the answer be lost');
SELECT is(t.answer(t.next('one', '[]', jsonb_build_object('session', t.id('told')))), 'recover:1', 'what a start before was told of may have begun');
SELECT t.events('one', t.success((t.attempt(:'untold')).id, 1)) \g /dev/null
UPDATE sluice.instance SET session = t.id('session of one'), old_sessions = '{}' WHERE id = t.id('one');

-- What has ended without the end of its log is asked for as well, since its unit held that.
DELETE FROM sluice.owed_log;
SELECT t.run('p') AS ended, t.run('p') AS traceless \gset
SELECT (t.attempt(:'ended')).id AS e, (t.attempt(:'traceless')).id AS n \gset
SELECT t.sync('one') \g /dev/null
SELECT t.events('one', t.success(:'e', 1), t.success(:'n', 1)) \g /dev/null
SELECT is(t.answer(t.next('one', t.known(:'e', 1, 'ended') || t.known(:'n', 1, 'ended'), jsonb_build_object('session', t.id('third')))),
          'nothing', 'not while its unit is there');
SELECT is(jsonb_array_length(t.next('one', '[]', jsonb_build_object('session', t.id('fourth'))) -> 'recover'), 2, 'but when it is gone');
SELECT is(t.answer(t.next('one', t.known(:'e', 1, 'ended') || t.known(:'n', 1, 'ended'), jsonb_build_object('session', t.id('fourth')))),
          'nothing', 'and not again while the agent looks for it');
UPDATE sluice.instance SET session = t.id('session of one'), old_sessions = '{}' WHERE id = t.id('one');
SELECT t.events('one', t.event(:'e', 1, 'ended', '{"result": "lost"}'), t.event(:'e', 1, 'logged', '{"sequence": 0}'),
                t.event(:'n', 1, 'refused', '{"requeue": true, "reason": "no trace"}')) \g /dev/null
SELECT is(concat_ws(' ', r ->> 'outcome', r ->> 'log_complete'), 'success true', 'its outcome stays, and its log is complete') FROM t.get(:'ended') r;
SELECT is(concat_ws(' ', r ->> 'outcome', r ->> 'log_complete'), 'success true', 'also when the journal has no trace of it') FROM t.get(:'traceless') r;
SELECT is_empty('SELECT FROM sluice.owed_log', 'nothing is owed any more');

-- A workspace that is there again.
DELETE FROM sluice.cleanup;
SELECT t.run('p') AS live, t.run('p') AS moved \gset
DELETE FROM sluice.assignment WHERE run = :'moved';
UPDATE sluice.run SET instance = t.id('two') WHERE id = :'moved';
SELECT is(t.answer(t.next('one', '[]', jsonb_build_object('session', t.id('fifth'), 'workspaces', jsonb_build_array(:'live', :'ended', :'moved', t.id('never'), 'x')))),
          'clean:2 recover:1', 'those of runs that are over or elsewhere are to go');
SELECT is((SELECT array_agg(run ORDER BY run) FROM sluice.cleanup WHERE instance = t.id('one')), (SELECT array_agg(r ORDER BY r) FROM unnest(ARRAY[:'ended'::uuid, :'moved']) r), 'and no other');
DELETE FROM sluice.cleanup;
DELETE FROM sluice.assignment;
UPDATE sluice.instance SET session = t.id('session of one'), old_sessions = '{}' WHERE id = t.id('one');

-- Another boot.
SELECT t.run('p') AS running, t.run('p') AS assigned, t.run('once') AS once, t.run('p') AS listed \gset
SELECT t.sync('one') \g /dev/null
SELECT t.events('one', t.event((t.attempt(:'running')).id, 1, 'running'), t.event((t.attempt(:'listed')).id, 1, 'running')) \g /dev/null
SELECT (t.attempt(:'assigned')).id AS a, (t.attempt(:'listed')).id AS l, (t.attempt(:'running')).id AS r, (t.attempt(:'once')).id AS o \gset
SELECT t.next('one', t.known(:'l', 1, 'ended'), jsonb_build_object('boot', md5('next'), 'session', t.id('next'))) AS answer \gset
SELECT is(jsonb_array_length(:'answer'::jsonb -> 'recover') || ' ' || jsonb_array_length(:'answer'::jsonb -> 'start'), '3 0',
          'all that is not listed is asked for, and nothing is begun before');
SELECT is((SELECT boot FROM sluice.instance WHERE id = t.id('one')), md5('next'), 'the boot is known');
SELECT t.events('one', t.event(:'r', 1, 'ended', '{"result": "lost", "reason": "The host rebooted."}')) \g /dev/null
SELECT is(concat_ws(' ', r ->> 'outcome', r ->> 'reason', r ->> 'log_complete'), 'lost The host rebooted. false',
          'what began is lost when the journal does not know, and its log still comes') FROM t.get(:'running') r;
UPDATE sluice.instance SET session = t.id('session of one'), old_sessions = '{}' WHERE id = t.id('one');
SELECT t.events('one', t.event(:'o', 1, 'refused', '{"requeue": true, "reason": "no trace"}')) \g /dev/null
SELECT is(t.get(:'once') ->> 'outcome', 'lost', 'so is what must not begin twice');
SELECT t.events('one', t.event(:'a', 1, 'refused', '{"requeue": true, "reason": "no trace"}')) \g /dev/null
UPDATE sluice.queue SET avoid = NULL, avoid_until = NULL;
SELECT is(t.sync('one', t.known(:'l', 1, 'ended'), jsonb_build_object('boot', md5('next'))) #>> '{start,0,epoch}', '2',
          'what left no trace is given again, with another epoch');
SELECT is((t.attempt(:'listed')).state, 'running', 'what the agent knows of is left to its report');
SELECT t.events('one', t.success(:'a', 1)) \g /dev/null
SELECT is((t.attempt(:'assigned')).state, 'assigned', 'an outcome with the old epoch counts for nothing');
SELECT is(t.answer(t.sync('one', t.known(:'l', 1, 'ended') || t.known(:'a', 2, 'starting') || t.known(:'r', 1, 'ended'),
          jsonb_build_object('boot', md5('next')))), 'nothing', 'and it is all done once');

-- Pushing on: capacity of one answer.
TRUNCATE sluice.assignment, sluice.queue, sluice.cleanup;
SELECT t.agent('wide', 100) \g /dev/null
UPDATE sluice.instance SET draining = true WHERE id = t.id('one');
SELECT t.run('p') FROM generate_series(1, 80) \g /dev/null
SELECT is(t.answer(t.sync('wide')), 'start:64', 'an answer starts at most 64');
SELECT is((SELECT count(*) FROM sluice.assignment), 80::bigint, 'the others come next');

-- And its bytes: a longer one would be refused, and asked for again, for ever.
TRUNCATE sluice.assignment, sluice.queue, sluice.cleanup;
SELECT t.pipe('long', '{a}', jsonb_build_object('tasks', jsonb_build_array(t.spec('{a}') #> '{tasks,0}' || jsonb_build_object('directives',
               jsonb_build_array('["ExecStart", "/bin/a"]'::jsonb, jsonb_build_array('Environment', 'A=' || repeat('x', 120000))))))) \g /dev/null
SELECT t.run('long') FROM generate_series(1, 60) \g /dev/null
SELECT t.sync('wide') AS answer \gset
SELECT is(jsonb_array_length(:'answer'::jsonb -> 'start'), 35, 'an answer starts no more than go into 4 MiB');
SELECT is((SELECT t.answer(t.sync('wide', (SELECT jsonb_agg(jsonb_build_object('attempt', s ->> 'attempt', 'epoch', 1, 'state', 'starting', 'resume', false))
                                             FROM jsonb_array_elements(:'answer'::jsonb -> 'start') s)))), 'start:25', 'the others come next');

SELECT * FROM finish();
