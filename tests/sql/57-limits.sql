-- Priorities, declared memory, and limits on how many runs there are at once.
SET search_path = tap, public;
SELECT no_plan();

CREATE FUNCTION pg_temp.at(p_run uuid) RETURNS text LANGUAGE sql AS $$
        SELECT coalesce((SELECT g.name FROM sluice.agent g WHERE g.id = a.agent), a.state) FROM t.attempt(p_run) a
$$;
CREATE FUNCTION pg_temp.why(p_run uuid) RETURNS text LANGUAGE sql AS $$
        SELECT t.get(p_run) #>> '{tasks,0,attempts,0,why}'
$$;
CREATE FUNCTION pg_temp.finish(p_agent text, p_run uuid) RETURNS jsonb LANGUAGE sql AS $$
        SELECT t.events(p_agent, t.success(a.id, a.epoch)) FROM t.attempt(p_run) a
$$;
-- As a worker does when it is told; how many calls it took.
CREATE FUNCTION pg_temp.look() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
        v_calls int := 1;
BEGIN
        WHILE api.dispatch() AND v_calls < 100 LOOP
                v_calls := v_calls + 1;
        END LOOP;
        RETURN v_calls;
END
$$;
-- A pipe whose one task has this MemoryMax=.
CREATE FUNCTION pg_temp.memory(p_pipe text, p_max text) RETURNS json LANGUAGE sql AS $$
        SELECT t.pipe(p_pipe, '{a}', jsonb_build_object('tasks', jsonb_build_array(jsonb_build_object(
                'name', 'a', 'after', '[]'::jsonb, 'directives', jsonb_build_array(
                        jsonb_build_array('ExecStart', '/bin/true'), jsonb_build_array('MemoryMax', p_max))))))
$$;

-- Priorities: higher first, then age.
SELECT t.pipe('low', '{a}', '{"priority": -5}'), t.pipe('none', '{a}'), t.pipe('high', '{a}', '{"priority": 7}') \g /dev/null
SELECT t.run('low') AS low, t.run('none') AS first, t.run('none') AS second, t.run('high') AS high \gset
SELECT t.agent('p', 1) \g /dev/null
SELECT t.sync('p') \g /dev/null
SELECT is(pg_temp.at(:'high'), 'p', 'the highest priority first');
SELECT is(pg_temp.finish('p', :'high') #>> '{start,0,run}', :'first', 'then the oldest');
SELECT is(pg_temp.finish('p', :'first') #>> '{start,0,run}', :'second', 'of the same priority');
SELECT is(pg_temp.finish('p', :'second') #>> '{start,0,run}', :'low', 'and the lowest last');
SELECT is(t.error($$SELECT t.pipe('bad', '{a}', '{"priority": 1001}')$$), 'ZF400 bad-request', 'a priority has bounds');
UPDATE sluice.instance SET draining = true;

-- Memory.
SELECT is(sluice.memory_parse(m)::text, want, m) FROM (VALUES
        ('1024', '(1024,)'), ('1K', '(1024,)'), ('1.5G', '(1610612736,)'), ('50%', '(,5000)'), ('12.5%', '(,1250)'),
        ('infinity', '(,)'), ('8E', '(4611686018427387904,)'), ('2T', '(2199023255552,)')) v (m, want);
SELECT t.agent('m', 10) \g /dev/null
UPDATE sluice.instance SET memory_bytes = 1024 * 1024 * 1024 WHERE id = t.id('m');
SELECT t.sync('m') \g /dev/null
SELECT pg_temp.memory('m400', '400M'), pg_temp.memory('m200', '200M'), pg_temp.memory('half', '50%'), pg_temp.memory('huge', '1.5G'),
       pg_temp.memory('all', 'infinity') \g /dev/null
SELECT t.run('m400') AS a, t.run('m400') AS b, t.run('m400') AS c, t.run('m200') AS d, t.run('all') AS e, t.run('huge') AS f \gset
SELECT is(concat_ws(' ', pg_temp.at(:'a'), pg_temp.at(:'b'), pg_temp.at(:'c'), pg_temp.at(:'d'), pg_temp.at(:'e')), 'm m queued m m',
          'no more memory is given away than there is; what declares none takes none');
SELECT is(pg_temp.why(:'c'), 'of the memory of the 1 connected instances of type batch with a free slot 24M at most is not given away, '
                             'less than MemoryMax= of 400M', 'which is said');
SELECT is(pg_temp.why(:'f'), 'none of the 1 connected instances of type batch has as much memory as MemoryMax= of 1.5G; the largest has 1G',
          'and what no host has');
SELECT is(t.answer(pg_temp.finish('m', :'d') - 'acknowledged'), 'clean:1', '224M are not enough');
SELECT is(pg_temp.finish('m', :'a') #>> '{start,0,run}', :'c', '624M are');
SELECT t.run('half') AS g \gset
SELECT is(pg_temp.at(:'g'), 'queued', 'a share of the host''s memory is so many bytes');
SELECT pg_temp.finish('m', :'b') \g /dev/null
SELECT is(pg_temp.at(:'g'), 'm', 'which are counted as such');
SELECT is((SELECT sum(memory_bytes) FROM sluice.assignment WHERE instance = t.id('m')), (400 * 1024 * 1024 + 512 * 1024 * 1024)::numeric, 'in live rows');

-- Many at once: an instance is filled to its memory and no further, whatever the order.
UPDATE sluice.instance SET draining = true WHERE id = t.id('m');
TRUNCATE sluice.queue;
SELECT t.run(p) FROM unnest(ARRAY['m400', 'm200', 'm400', 'm200', 'm400', 'm200', 'half', 'all']) p \g /dev/null
SELECT t.agent('m2', 10) \g /dev/null
UPDATE sluice.instance SET memory_bytes = 1024 * 1024 * 1024 WHERE id = t.id('m2');
SELECT t.sync('m2') \g /dev/null
SELECT is((SELECT sum(memory_bytes) / 1024 / 1024 FROM sluice.assignment WHERE instance = t.id('m2')), 1000::numeric, 'filled as far as it goes');
SELECT is((SELECT count(*) FROM sluice.assignment WHERE instance = t.id('m2')), 4::bigint, 'with what declares nothing beside it');
UPDATE sluice.instance SET draining = true;
TRUNCATE sluice.queue, sluice.assignment, sluice.live_run;

-- Several demands on one instance: together no more than it has, and of each the oldest.
SELECT t.run(p) FROM unnest(ARRAY['half', 'm400', 'm400', 'm200', 'm200', 'm200', 'all']) p \g /dev/null
SELECT (SELECT min(attempt::text) FROM sluice.queue q JOIN sluice.run r ON r.id = q.run WHERE pipe = 'm400') AS first \gset
SELECT t.agent('m3', 10) \g /dev/null
UPDATE sluice.instance SET memory_bytes = 1024 * 1024 * 1024 WHERE id = t.id('m3');
SELECT t.sync('m3') \g /dev/null
SELECT is((SELECT string_agg(r.pipe, ' ' ORDER BY x.attempt) FROM sluice.assignment x JOIN sluice.run r ON r.id = x.run), 'half m400 all',
          'counted together');
SELECT is((SELECT count(*) FROM sluice.assignment WHERE attempt = :'first'), 1::bigint, 'nobody passes an older one that wants the same');
UPDATE sluice.instance SET draining = true;
TRUNCATE sluice.queue, sluice.assignment, sluice.live_run;

-- A limit, and more than it allows at once.
SELECT t.pipe('three', '{a}', '{"concurrency_limit": 3}') \g /dev/null
SELECT t.run('three') FROM generate_series(1, 5) \g /dev/null
SELECT t.agent('m4', 10) \g /dev/null
SELECT t.sync('m4') \g /dev/null
SELECT is((SELECT count(*) FROM sluice.assignment), 3::bigint, 'an instance with room takes as many as may begin');
UPDATE sluice.instance SET draining = true;
TRUNCATE sluice.queue, sluice.assignment, sluice.live_run;

-- A limit for a pipe.
SELECT t.agent('l', 10), t.agent('k', 10, '{"k": ""}') \g /dev/null
SELECT t.sync('l'), t.sync('k') \g /dev/null
SELECT t.pipe('two', '{a,b<a}', '{"concurrency_limit": 2}') \g /dev/null
SELECT t.run('two') AS a, t.run('two') AS b, t.run('two') AS c \gset
SELECT is((SELECT count(*) FROM sluice.assignment), 2::bigint, 'two at once');
SELECT is(pg_temp.why(:'c'), format('the limit of 2 runs at once of pipe "two" is reached; held by %s, %s', :'a', :'b'), 'and who they are');
SELECT (SELECT name FROM sluice.agent WHERE id = (t.attempt(:'a')).agent) AS on_a \gset
SELECT pg_temp.finish(:'on_a', :'a') \g /dev/null
SELECT is(pg_temp.at(:'c'), 'queued', 'between two tasks a run keeps its place');
SELECT t.events(:'on_a', t.success((t.attempt(:'a', 'b')).id)) \g /dev/null
SELECT pg_temp.look() \g /dev/null
SELECT is((t.attempt(:'c')).state, 'assigned', 'at its end the next begins');
SELECT api.run_cancel(t.h('owner'), :'b') \g /dev/null
SELECT t.run('two') AS d \gset
SELECT is((t.attempt(:'d')).state, 'queued', 'one that is being cancelled has not ended');
SELECT is(t.error($$SELECT t.pipe('bad', '{a}', '{"concurrency_limit": 0}')$$), 'ZF400 bad-request', 'a limit is 1 at least');
TRUNCATE sluice.queue, sluice.assignment, sluice.live_run;

-- The limit of a version counts the runs of all of them, whatever they are under themselves.
SELECT t.pipe('grown', '{a}') ->> 'version' AS free \gset
SELECT t.run('grown') AS a \gset
SELECT t.pipe('grown', '{a}', '{"concurrency_key": "grown"}') \g /dev/null
SELECT t.run('grown') AS b, t.run('none') AS x \gset
SELECT t.pipe('grown', '{a}', '{"concurrency_limit": 3}') \g /dev/null
SELECT t.run('grown') AS c, t.run('grown') AS d \gset
SELECT is(concat_ws(' ', (t.attempt(:'c')).state, (t.attempt(:'d')).state), 'assigned queued', 'runs of other versions count, those of other pipes do not');
SELECT is(pg_temp.why(:'d'), format('the limit of 3 runs at once of pipe "grown" is reached; held by %s, %s, %s', :'a', :'b', :'c'), 'and are named');
SELECT api.run_create(t.h('owner'), 'default', 'grown', :'free', NULL) ->> 'run' AS e \gset
SELECT is((t.attempt(:'e')).state, 'assigned', 'a version without a limit is held by none');
SELECT pg_temp.finish(pg_temp.at(:'a'), :'a'), pg_temp.look() \g /dev/null
SELECT is((t.attempt(:'d')).state, 'queued', 'and counts');
SELECT pg_temp.finish(pg_temp.at(:'e'), :'e'), pg_temp.look() \g /dev/null
SELECT is((t.attempt(:'d')).state, 'assigned', 'as long as it lasts');
TRUNCATE sluice.queue, sluice.assignment, sluice.live_run;

-- A key: pipes share it. A run that waits does not keep others from what it cannot have.
SELECT t.pipe('db1', '{a}', '{"concurrency_limit": 1, "concurrency_key": "db"}'), t.pipe('db2', '{a}', '{"concurrency_key": "db"}'),
       t.pipe('nowhere', '{a}', '{"concurrency_key": "db"}'::jsonb || t.selector('{"no": null}')),
       t.pipe('other', '{a}', '{"concurrency_key": "other"}') \g /dev/null
SELECT t.run('nowhere') AS n \gset
SELECT t.run('db1') AS a, t.run('db2') AS b, t.run('other') AS c \gset
SELECT is((t.attempt(:'a')).state, 'assigned', 'who cannot run holds no place');
SELECT is(pg_temp.why(:'b'), format('the limit of 1 run at once with the concurrency key "db" is reached; held by %s', :'a'), 'a key is shared by pipes');
SELECT is((t.attempt(:'c')).state, 'assigned', 'another key is another limit');
SELECT pg_temp.finish((SELECT name FROM sluice.agent WHERE id = (t.attempt(:'a')).agent), :'a') \g /dev/null
SELECT is((t.attempt(:'b')).state, 'assigned', 'who frees a place takes the next at once');

-- Refused: the place is free for others.
SELECT t.run('db1') AS d \gset
SELECT (t.attempt(:'b')).id AS b1, (SELECT name FROM sluice.agent WHERE id = (t.attempt(:'b')).agent) AS on_b \gset
SELECT t.events(:'on_b', t.event(:'b1', 1, 'refused', '{"requeue": true}')) \g /dev/null
SELECT is((SELECT count(*) FROM sluice.live_run WHERE subject = 'key db'), 1::bigint, 'a refused run holds one place at most');
SELECT is((SELECT count(*) FROM sluice.queue q JOIN sluice.run r ON r.id = q.run WHERE r.pipe IN ('db1', 'db2')), 1::bigint, 'and one of the two is out');
TRUNCATE sluice.queue, sluice.assignment, sluice.live_run;

-- A limit for the project.
SELECT is(t.error($$SELECT api.project_set(t.h('editor'), 'default', '{"concurrency_limit": 3}')$$), 'ZF403 forbidden', 'not for everybody to set');
SELECT is(t.error($$SELECT api.project_set(t.h('admin'), 'none', '{"concurrency_limit": 3}')$$), 'ZF404 project-not-found', 'of a project that there is');
SELECT is(t.error($$SELECT api.project_set(t.h('admin'), 'default', '{"concurrency_limit": 0}')$$), 'ZF400 bad-request', 'and not to nothing');
SELECT is(api.project_set(t.h('admin'), 'default', '{"concurrency_limit": 3}') ->> 'concurrency_limit', '3', 'set');
SELECT t.run(p) FROM unnest(ARRAY['none', 'high', 'none', 'low', 'two']) p \g /dev/null
SELECT is((SELECT count(*) FROM sluice.assignment), 3::bigint, 'three at once, of whatever pipe');
SELECT alike((SELECT string_agg(DISTINCT sluice.verdict_of(attempt), '|') FROM sluice.queue),
            'the limit of 3 runs at once in project "default" is reached; held by %', 'which is said');
SELECT is(api.project_set(t.h('admin'), 'default', '{"concurrency_limit": 4}') ->> 'concurrency_limit', '4', 'raised');
SELECT pg_temp.look() \g /dev/null
SELECT is((SELECT count(*) FROM sluice.assignment), 4::bigint, 'one more');
SELECT is(api.project_set(t.h('admin'), 'default', '{}') ->> 'concurrency_limit', '4', 'what is not there is not changed');
SELECT is(api.project_set(t.h('admin'), 'default', '{"concurrency_limit": null}') ->> 'concurrency_limit', NULL, 'taken away');
SELECT pg_temp.look() \g /dev/null
SELECT is((SELECT count(*) FROM sluice.queue), 0::bigint, 'all are placed');

-- A run that has begun holds its place, also where it has to be placed anew.
TRUNCATE sluice.queue, sluice.assignment, sluice.live_run;
SELECT t.run('db1') AS a \gset
SELECT (t.attempt(:'a')).id AS a1, (SELECT name FROM sluice.agent WHERE id = (t.attempt(:'a')).agent) AS on_a \gset
DELETE FROM sluice.assignment;
UPDATE sluice.attempt SET state = 'queued' WHERE id = :'a1';
INSERT INTO sluice.queue (attempt, run, demand) SELECT :'a1', :'a', v.demands[1] FROM sluice.pipe_version v WHERE v.pipe = 'db1';
SELECT pg_temp.look() \g /dev/null
SELECT is((t.attempt(:'a')).state, 'assigned', 'by a look');
DELETE FROM sluice.assignment;
UPDATE sluice.attempt SET state = 'queued' WHERE id = :'a1';
INSERT INTO sluice.queue (attempt, run, demand) SELECT :'a1', :'a', v.demands[1] FROM sluice.pipe_version v WHERE v.pipe = 'db1';
SELECT t.sync(:'on_a') \g /dev/null
SELECT is((t.attempt(:'a')).state, 'assigned', 'and by an instance that asks');

-- What began on an instance and can never go on there, for its next task is larger than the host, takes no turn from what can.
SELECT t.agent('tight', 1, '{"host": "tight"}') \g /dev/null
UPDATE sluice.instance SET memory_bytes = 1024 * 1024 * 1024 WHERE id = t.id('tight');
SELECT t.deploy(n, jsonb_build_array('{"name": "a"}'::jsonb, jsonb_build_object('name', 'b', 'after', '["a"]'::jsonb, 'directives',
                jsonb_build_array(jsonb_build_array('ExecStart', '/bin/true'), jsonb_build_array('MemoryMax', m)))), t.selector('{"host": "tight"}') || jsonb_build_object('priority', p))
  FROM (VALUES ('grows', '64G', 5), ('fits', '64M', 0)) x (n, m, p) \g /dev/null
SELECT t.run('grows') AS grows \gset
SELECT t.sync('tight') \g /dev/null
SELECT t.ends('tight', :'grows', 'a') \g /dev/null
SELECT is(t.tasks(:'grows'), 'a:succeeded b:queued', 'a run goes on where it began');
SELECT matches(t.why(:'grows', 'b'), '64G', 'and says why it cannot');
SELECT t.run('fits') AS fits \gset
SELECT api.dispatch() \g /dev/null
SELECT is(t.answer(t.ends('tight', :'fits', 'a')), 'acknowledged:2 start:1', 'the next one that began there goes on all the same, at once');
SELECT t.events('tight', t.event((t.attempt(:'fits', 'b')).id, 1, 'refused', '{"requeue": true}')) \g /dev/null
UPDATE sluice.queue SET avoid_until = now() WHERE run = :'fits';
SELECT is(t.answer(t.sync('tight')), 'start:1', 'also by asking');
SELECT api.run_cancel(t.h('operator'), :'grows') \g /dev/null
SELECT t.ends('tight', :'fits', 'b') \g /dev/null

-- Nor does what waits for an instance and for its limit.
SELECT t.agent('slow', 1, '{"host": "slow"}') \g /dev/null
SELECT t.sync('slow') \g /dev/null
SELECT t.deploy('everywhere', jsonb_build_array(jsonb_build_object('name', 'f', 'run_on_all', (t.selector('{"host": null}') -> 'agent_selector'))),
                '{"concurrency_limit": 1, "priority": 5}') \g /dev/null
SELECT t.run('everywhere') AS first \gset
SELECT t.begins(n, :'first', 'f@' || n) FROM unnest(ARRAY['tight', 'slow']) n \g /dev/null
SELECT t.ends('tight', :'first', 'f@tight') \g /dev/null
SELECT t.run('everywhere') AS second \gset
SELECT is(t.tasks(:'second') || ' ' || t.places(:'second'), 'f:queued f@slow:queued f@tight:queued f@ f@slow@- f@tight@-', 'one run at once, and the second waits');
SELECT t.run('fits') AS fits \gset
SELECT api.dispatch() \g /dev/null
SELECT is(t.answer(t.ends('tight', :'fits', 'a')), 'acknowledged:2 start:1', 'others go on at once where it waits');
SELECT t.ends('tight', :'fits', 'b'), t.ends('slow', :'first', 'f@slow') \g /dev/null
SELECT is(t.sync('tight') #>> '{start,0,task}', 'f@tight', 'and when the first is over the second has its turn');
SELECT t.ends('tight', :'second', 'f@tight'), t.sync('slow'), t.ends('slow', :'second', 'f@slow') \g /dev/null
SELECT is(t.get(:'second') ->> 'state', 'succeeded', 'to its end');

SELECT is((SELECT count(*) FROM sluice.live_run l WHERE EXISTS (SELECT FROM sluice.run r WHERE r.id = l.run AND r.ended_at IS NOT NULL)), 0::bigint,
          'no run that has ended is counted');

SELECT * FROM finish();
