-- Where attempts go, and why some go nowhere.
SET search_path = tap, public;
SELECT no_plan();

CREATE FUNCTION pg_temp.at(p_run uuid, p_task text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
        SELECT coalesce((SELECT g.name FROM sluice.agent g WHERE g.id = a.agent), a.state) FROM t.attempt(p_run, p_task) a
$$;
CREATE FUNCTION pg_temp.why(p_run uuid) RETURNS text LANGUAGE sql AS $$
        SELECT t.get(p_run) #>> '{tasks,0,attempts,0,why}'
$$;

SELECT t.pipe('any', '{a}'), t.pipe('eu', '{a}', t.selector('{"region": "eu"}')),
       t.pipe('eu-disk', '{a}', t.selector('{"region": "eu", "disk": null}')),
       t.pipe('null', '{a}', '{"agent_selector": null}'), t.pipe('stream', '{a}', '{"type": "streaming"}'),
       t.pipe('wide', '{a,b,c,d}') \g /dev/null

-- Nobody there, nobody who suits, nobody connected.
SELECT t.run('any') AS any \gset
SELECT is(pg_temp.why(:'any'), 'no agent is of type batch', 'an empty fleet');
SELECT t.get(:'any') ->> 'etag' AS etag \gset
SELECT t.agent('us', 2, '{"region": "us", "disk": "ssd"}') \g /dev/null
SELECT pg_sleep(2) \g /dev/null
SELECT api.presence_flush('{}') \g /dev/null
SELECT is(pg_temp.why(:'any'), 'none of the 1 instances of type batch is connected', 'enrolled, never seen');
SELECT isnt(t.get(:'any') ->> 'etag', :'etag', 'a new verdict is news');
SELECT t.get(:'any') ->> 'etag' AS etag \gset
SELECT api.presence_flush('{}') \g /dev/null
SELECT is(t.get(:'any') ->> 'etag', :'etag', 'the same one is not');
SELECT t.run('eu-disk') AS eu \gset
SELECT is(pg_temp.why(:'eu'), 'no agent is of type batch with the labels disk, region=eu', 'labels that nobody has');

-- An instance that comes takes what suits it.
SELECT is(t.answer(t.sync('us')), 'start:1', 'the instance that comes gets work');
SELECT is(pg_temp.at(:'any'), 'us', 'what suits it');
SELECT is(pg_temp.why(:'any'), NULL, 'and there is nothing more to explain');
SELECT is(pg_temp.at(:'eu'), 'queued', 'the rest waits');
SELECT is(pg_temp.at(t.run('null')), 'us', 'no selector is any agent');
SELECT t.run('any') AS third \gset
SELECT is(pg_temp.why(:'third'), 'all 2 slots of the 1 connected instances of type batch are taken', 'no slot left');
SELECT api.stream_start(t.h('owner'), 'default', 'stream') ->> 'run' AS stream \gset
SELECT is(pg_temp.why(:'stream'), 'no agent is of type streaming', 'another type');

-- Labels: a value must be equal, a null is any value.
SELECT t.agent('eu', 8, '{"region": "eu", "disk": ""}') \g /dev/null
SELECT is(t.answer(t.sync('eu')), 'start:2', 'the right one takes it');
SELECT is(pg_temp.at(:'eu') || ' ' || pg_temp.at(:'third'), 'eu eu', 'and what fits anywhere');
SELECT is(pg_temp.at(t.run('eu')), 'eu', 'a run is placed as it is made');

-- Spread: the instance with most free slots. eu has 5 of 8, so four of the next five go to a fleet of 8 and 8.
SELECT t.agent('big', 8, '{"region": "eu"}') \g /dev/null
SELECT t.sync('big') \g /dev/null
SELECT is(string_agg(pg_temp.at(t.run('any')), ' '), 'big big big', 'the emptiest gets the next') FROM generate_series(1, 3);
SELECT t.run('any') FROM generate_series(1, 4) \g /dev/null
SELECT is((SELECT count(*) FROM sluice.assignment WHERE instance = t.id('eu')), 5::bigint, 'then they share');
SELECT is((SELECT count(*) FROM sluice.assignment WHERE instance = t.id('big')), 5::bigint, 'evenly');

-- All tasks of a run go where the first one went, also those that were queued with it.
SELECT t.run('wide') AS wide \gset
SELECT is((SELECT count(DISTINCT instance) FROM sluice.assignment WHERE run = :'wide'), 1::bigint, 'a run has one instance');
SELECT is((SELECT count(*) FROM sluice.assignment WHERE run = :'wide')
          + (SELECT count(*) FROM sluice.queue WHERE run = :'wide' AND instance IS NOT NULL), 4::bigint,
          'to which all of its tasks are bound');
SELECT t.run('wide') AS wide \gset
SELECT matches(why, '^waits for agent "(eu|big)" on (eu|big)\.example, where the run began: its 8 slots are taken$',
               'and for which they wait')
  FROM (SELECT t.get(:'wide') #>> '{tasks,3,attempts,0,why}' AS why) s;
SELECT is((SELECT count(*) FROM sluice.assignment WHERE instance IN (t.id('eu'), t.id('big'))), 16::bigint, 'no more than the slots');
SELECT is((SELECT max(n) FROM (SELECT count(*) AS n FROM sluice.assignment GROUP BY instance, seat) s), 1::bigint, 'one on each seat');

-- A retired seat: with fewer slots than work there is no room, whichever seats are free.
SELECT (t.attempt(:'any')).id AS a \gset
SELECT t.sync('us', '[]', '{"slots": 1}') \g /dev/null
SELECT (SELECT attempt FROM sluice.assignment WHERE instance = t.id('us') AND seat = 0) AS zero \gset
SELECT t.events('us', t.success(:'zero')) \g /dev/null
SELECT is((SELECT count(*) FROM sluice.assignment WHERE instance = t.id('us')), 1::bigint, 'fewer slots are respected');
SELECT (SELECT attempt FROM sluice.assignment WHERE instance = t.id('us')) AS one \gset
SELECT is(t.answer(t.events('us', t.success(:'one')) - 'acknowledged'), 'clean:1', 'and what is bound elsewhere is not for it');

-- Draining, goodbye and silence.
SELECT t.sync('us', '[]', '{"slots": 2, "draining": true}') \g /dev/null
UPDATE sluice.instance SET draining = true WHERE id IN (t.id('eu'), t.id('big'));
SELECT t.run('any') AS r \gset
SELECT is(pg_temp.why(:'r'), 'all 3 connected instances of type batch are draining or paused', 'draining');
SELECT is(t.answer(t.sync('us', '[]', '{"slots": 2, "draining": true}')), 'nothing', 'nor does it take');
SELECT is(t.answer(t.sync('us', '[]', '{"slots": 2}')), 'start:1', 'until it no longer drains');
SELECT api.agent_goodbye(t.h('us'), jsonb_build_object('session', t.id('session of us'))) \g /dev/null
SELECT t.run('any') AS r \gset
SELECT is(pg_temp.at(:'r'), 'queued', 'goodbye: gets nothing');
SELECT t.sync('us', '[]', jsonb_build_object('slots', 3, 'session', t.id('next of us'))) \g /dev/null
SELECT is(pg_temp.at(:'r'), 'us', 'back: takes it');
SELECT t.silent('us', '91 seconds') \g /dev/null
SELECT t.run('any') AS r \gset
SELECT is(pg_temp.at(:'r'), 'queued', 'silent for 91 seconds: gets nothing');
SELECT t.silent('us', '80 seconds') \g /dev/null
UPDATE sluice.queue SET queued_at = queued_at - interval '1 minute';
SELECT api.presence_flush('{}') \g /dev/null
SELECT is(pg_temp.at(:'r'), 'us', 'for 80: the sweep gives it work');

-- When all who have room are locked by others, nothing is placed.
SELECT t.pipe('nobody', '{a}', t.selector('{"is": "nobody"}')) \g /dev/null
SELECT t.run('nobody') \g /dev/null
SELECT is((SELECT count(*) FROM sluice.place(ARRAY(SELECT attempt FROM sluice.queue), '{}'))::int, 0, 'without instances nothing is placed');

-- Refused with requeue: elsewhere, at once, no try spent; never straight back.
TRUNCATE sluice.queue, sluice.assignment;
UPDATE sluice.instance SET draining = true, goodbye_at = NULL;
SELECT t.agent('one', 4), t.agent('two', 1) \g /dev/null
SELECT t.sync('one'), t.sync('two') \g /dev/null
SELECT t.run('any') AS r \gset
SELECT (t.attempt(:'r')).id AS a \gset
SELECT is(pg_temp.at(:'r'), 'one', 'first the one with more room');
SELECT is(t.answer(t.events('one', t.event(:'a', 1, 'refused', '{"requeue": true, "reason": "no room"}')) - 'acknowledged'),
          'nothing', 'its refusal gives it nothing back');
SELECT is(pg_temp.at(:'r'), 'two', 'another instance has it');
SELECT results_eq(format('SELECT epoch, try, state FROM sluice.attempt WHERE id = %L', :'a'), $$VALUES (2, 1, 'assigned')$$,
                  'the same attempt, its next epoch, no try spent');
SELECT is((SELECT instance FROM sluice.run WHERE id = :'r'), t.id('two'), 'and the run is bound anew');
SELECT t.events('two', t.event(:'a', 2, 'refused', '{"requeue": true, "reason": "me neither"}')) \g /dev/null
SELECT is(pg_temp.at(:'r'), 'one', 'the other is asked again');
SELECT api.agent_goodbye(t.h('two'), jsonb_build_object('session', t.id('session of two'))) \g /dev/null
SELECT t.events('one', t.event(:'a', 3, 'refused', '{"requeue": true}')) \g /dev/null
SELECT is(pg_temp.why(:'r'), 'agent "one", the only one connected of type batch, could not take it just now and is asked again soon',
          'with nobody else it waits');
SELECT is(t.answer(t.sync('one')), 'nothing', 'a while');
UPDATE sluice.queue SET avoid_until = clock_timestamp();
SELECT is(t.answer(t.sync('one')), 'start:1', 'and then the first is asked again');

-- A run of which something began stays where it is.
SELECT t.pipe('two', '{a,b}') \g /dev/null
SELECT t.run('two') AS r \gset
SELECT (t.attempt(:'r', 'a')).id AS a, (t.attempt(:'r', 'b')).id AS b \gset
SELECT t.sync('two') \g /dev/null
SELECT t.events('one', t.event(:'a', 1, 'running'), t.event(:'b', 1, 'refused', '{"requeue": true}')) \g /dev/null
SELECT is((SELECT instance FROM sluice.queue WHERE attempt = :'b'), t.id('one'), 'its other tasks wait for the same instance');
SELECT is(t.get(:'r') #>> '{tasks,1,attempts,0,why}', 'waits for agent "one" on one.example, where the run began: '
          'it could not take the task just now and is asked again soon', 'and say so');

-- So does one of which something is about to begin.
TRUNCATE sluice.queue, sluice.assignment;
SELECT t.sync('one') \g /dev/null
UPDATE sluice.instance SET draining = (id <> t.id('one')), goodbye_at = NULL;
SELECT t.run('two') AS r \gset
SELECT (t.attempt(:'r', 'b')).id AS b \gset
SELECT t.agent('three', 4) \g /dev/null
SELECT t.sync('three') \g /dev/null
SELECT t.events('one', t.event(:'b', 1, 'refused', '{"requeue": true}')) \g /dev/null
SELECT is((SELECT instance FROM sluice.queue WHERE attempt = :'b'), t.id('one'), 'a run does not part');

-- Bound to an instance that cannot take it: it waits, whatever is free elsewhere, and says for what.
CREATE FUNCTION pg_temp.swept() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
        UPDATE sluice.queue SET avoid_until = NULL, queued_at = queued_at - interval '1 minute';
        PERFORM api.presence_flush('{}');
        RETURN coalesce((SELECT verdict FROM sluice.queue), 'placed');
END
$$;
SELECT t.silent('one', '91 seconds') \g /dev/null
SELECT is(pg_temp.swept(), 'waits for agent "one" on one.example, where the run began: it is not connected', 'silent');
SELECT t.sync('one', '[]', '{"draining": true}') \g /dev/null
SELECT is(pg_temp.swept(), 'waits for agent "one" on one.example, where the run began: it is draining or paused', 'draining');
UPDATE sluice.instance SET draining = false, slots = 1 WHERE id = t.id('one');
UPDATE sluice.assignment SET seat = 3;
SELECT is(pg_temp.swept(), 'waits for agent "one" on one.example, where the run began: its 1 slots are taken',
          'full, though the seat with number 0 is free');
UPDATE sluice.instance SET slots = 2 WHERE id = t.id('one');
SELECT is(pg_temp.swept(), 'placed', 'no longer full');

-- Attempts that look for different things, judged together.
TRUNCATE sluice.queue, sluice.assignment;
UPDATE sluice.instance SET draining = true;
SELECT t.pipe('disk', '{a}', t.selector('{"disk": null}')) \g /dev/null
SELECT t.run('any') AS any, t.run('disk') AS disk, t.run('eu') AS eu \gset
UPDATE sluice.instance SET draining = false WHERE id = t.id('three');
UPDATE sluice.queue SET queued_at = queued_at - interval '1 minute';
SELECT api.presence_flush('{}') \g /dev/null
SELECT is(concat_ws(' ', pg_temp.at(:'any'), pg_temp.at(:'disk'), pg_temp.at(:'eu')), 'three queued queued', 'each by its own wish');

-- What was refused just now does not stand in the way of what waits behind it.
TRUNCATE sluice.queue, sluice.assignment;
UPDATE sluice.instance SET draining = true;
SELECT t.agent('solo', 2) \g /dev/null
SELECT t.sync('solo') \g /dev/null
SELECT t.run('any') AS first, t.run('any') AS other, t.run('any') AS behind \gset
SELECT is(t.events('solo', t.event((t.attempt(:'first')).id, 1, 'refused', '{"requeue": true}')) #>> '{start,0,run}', :'behind',
          'the next in the queue has the slot');
TRUNCATE sluice.queue, sluice.assignment;
INSERT INTO sluice.idle (instance) VALUES (t.id('solo')) ON CONFLICT DO NOTHING;
SELECT t.run('two') AS first \gset
SELECT t.run('any') AS behind \gset
SELECT is(t.events('solo', t.event((t.attempt(:'first', 'a')).id, 1, 'running'),
                           t.event((t.attempt(:'first', 'b')).id, 1, 'refused', '{"requeue": true}')) #>> '{start,0,run}', :'behind',
          'also before what is bound to the instance');

-- Many at once.
TRUNCATE sluice.queue, sluice.assignment;
UPDATE sluice.instance SET draining = true;
SELECT t.agent('n' || n, 10) FROM generate_series(1, 20) n \g /dev/null
UPDATE sluice.instance SET draining = true;
SELECT t.run('any') FROM generate_series(1, 300) \g /dev/null
UPDATE sluice.instance SET draining = false WHERE slots = 10;
SELECT api.presence_flush(array_agg(id)) FROM sluice.instance \g /dev/null
UPDATE sluice.queue SET queued_at = queued_at - interval '1 minute';
SELECT api.presence_flush('{}') \g /dev/null
SELECT results_eq('SELECT count(*), count(DISTINCT instance), min(seat), max(seat) FROM sluice.assignment',
                  'VALUES (200::bigint, 20::bigint, 0, 9)', 'a sweep fills a fleet');
SELECT results_eq('SELECT count(*), max(verdict) FROM sluice.queue',
                  $$VALUES (100::bigint, 'all 200 slots of the 20 connected instances of type batch are taken')$$,
                  'and says why the rest waits');

SELECT * FROM finish();
