-- A host whose agent has lost its state joins again, as another instance, with the units that it has.
SET search_path = tap, public;
SELECT no_plan();
CREATE FUNCTION pg_temp.joins(p_name text, p_agent text) RETURNS void LANGUAGE sql AS $$
        SELECT api.key_create(t.h('owner'), jsonb_build_object('type', 'api', 'agents', jsonb_build_array(p_agent)), t.h('key of ' || p_name));
        SELECT api.agent_enroll(t.h('key of ' || p_name), jsonb_build_object(
                'instance', t.id(p_name), 'agent', (SELECT id FROM sluice.agent WHERE name = p_agent), 'type', 'batch', 'labels', '{}'::jsonb, 'slots', 4,
                'version', '1.0', 'protocol', 1, 'hostname', p_agent || '.example'), t.h(p_name));
$$;
CREATE FUNCTION pg_temp.first_sync(p_name text, p_attempts jsonb, p_boot text DEFAULT 'boot of one') RETURNS jsonb LANGUAGE sql AS $$
        SELECT t.sync(p_name, p_attempts, jsonb_build_object('boot', md5(p_boot)))
$$;
CREATE FUNCTION pg_temp.home(p_run uuid) RETURNS text LANGUAGE sql AS $$
        SELECT string_agg(DISTINCT n, ' ') FROM unnest(ARRAY['one', 'two', 'again', 'copy', 'other', 'later']) n
         WHERE t.id(n) IN ((t.attempt(p_run)).instance, (SELECT r.instance FROM sluice.run r WHERE r.id = p_run),
                           (SELECT x.instance FROM sluice.assignment x WHERE x.run = p_run))
$$;

SELECT t.agent('one', 8) \g /dev/null
SELECT t.sync('one') \g /dev/null
SELECT t.pipe('p', '{a,b<a}'), t.pipe('once', '{a}', '{"delivery": "at-most-once"}') \g /dev/null
SELECT t.run('p') AS runs, t.run('p') AS over, t.run('p') AS told, t.run('once') AS once, t.run('p') AS owes \gset
SELECT (t.attempt(:'runs')).id AS r, (t.attempt(:'over')).id AS o, (t.attempt(:'owes')).id AS w \gset
SELECT t.sync('one') \g /dev/null
SELECT t.run('once') AS untold \gset
SELECT t.events('one', t.event(:'r', 1, 'running'), t.event(:'o', 1, 'running'), t.success(:'w', 1)) \g /dev/null
SELECT t.known(:'r', 1, 'running') || t.known(:'o', 1, 'ended') || t.known(:'w', 1, 'ended') AS has \gset

-- While the other one is there, it is the other one's.
SELECT pg_temp.joins('other', 'one') \g /dev/null
SELECT is(t.answer(pg_temp.first_sync('other', :'has'::jsonb)), 'stop:1', 'what belongs to one that is there is not given away');
SELECT is(pg_temp.home(:'runs'), 'one', 'and stays where it is');

SELECT api.agent_goodbye(t.h('one'), jsonb_build_object('session', t.id('session of one'))) \g /dev/null
SELECT pg_temp.joins('copy', 'one') \g /dev/null
SELECT pg_temp.first_sync('copy', :'has'::jsonb, 'another boot') \g /dev/null
SELECT is(pg_temp.home(:'runs'), 'one', 'nor is it to who has booted since, as a copied disk has');
SELECT t.agent('two') \g /dev/null
SELECT pg_temp.first_sync('two', :'has'::jsonb) \g /dev/null
SELECT is(pg_temp.home(:'runs'), 'one', 'nor to another agent');
SELECT pg_temp.joins('later', 'one') \g /dev/null
SELECT pg_temp.first_sync('later', '[]') \g /dev/null
SELECT is(pg_temp.home(:'runs'), 'one', 'nor to another instance on the host, which has other units');

-- It is not, and another has its units.
SELECT pg_temp.joins('again', 'one') \g /dev/null
SELECT is(t.answer(t.events('again', t.success(:'o', 1))), 'nothing', 'before it has said what it has, no report of its counts, and none is acknowledged');
SELECT is((SELECT count(*) FROM api.agent_events_batch(t.h('again'), jsonb_build_array(jsonb_build_object('session', t.id('session of again'), 'events',
          jsonb_build_array(t.success(:'o', 1)))))), 0::bigint, 'also in a batch');
SELECT is((t.attempt(:'over')).state, 'running', 'nothing has become of it');
SELECT is(t.answer(pg_temp.first_sync('again', :'has'::jsonb)), 'recover:3 start:1', 'what is not listed is asked for, what nobody was told of begins');
SELECT is(pg_temp.home(r), 'again', 'it is the new one''s') FROM unnest(ARRAY[:'runs', :'over', :'told', :'once', :'untold', :'owes']::uuid[]) r;
SELECT is((SELECT count(DISTINCT seat) || ' ' || max(seat) FROM sluice.assignment WHERE instance = t.id('again')), '6 5', 'each has a seat');
SELECT is(t.get(:'runs') ->> 'state', 'running', 'what runs, runs on');
SELECT is(t.answer(t.events('again', t.success(:'o', 1), t.event(:'o', 1, 'logged', '{"sequence": 0}'), t.event(:'w', 1, 'logged', '{"sequence": 0}'))),
          'acknowledged:3', 'and what it reports counts');
SELECT is((t.attempt(:'over')).outcome, 'success', 'as the outcome that it is');
SELECT is((SELECT count(*) FROM sluice.owed_log WHERE instance = t.id('one')), 0::bigint, 'no log is owed by who is gone');
SELECT matches(reason, 'has joined in its place', 'the other one says why it does not come back')
  FROM sluice.instance i CROSS JOIN LATERAL sluice.instance_state(i, now()) WHERE i.id = t.id('one');
SELECT t.events('one', t.success(:'r', 1)) \g /dev/null
SELECT is(t.get(:'runs') ->> 'state', 'running', 'and has no say any more');

-- Two before it have had something of one run, which neither has removed yet.
SELECT t.agent('host', 4, '{"host": ""}') \g /dev/null
SELECT pg_temp.joins('host2', 'host') \g /dev/null
SELECT t.deploy('all', jsonb_build_array(jsonb_build_object('name', 'f', 'run_on_all', t.selector('{"host": null}') -> 'agent_selector'))) \g /dev/null
SELECT pg_temp.first_sync(n, '[]') FROM unnest(ARRAY['host', 'host2']) n \g /dev/null
SELECT t.run('all') AS over, t.run('all') AS runs \gset
SELECT t.events(n, t.success(x.attempt, 1), t.event(x.attempt, 1, 'logged', '{"sequence": 0}'))
  FROM unnest(ARRAY['host', 'host2']) n JOIN sluice.assignment x ON x.instance = t.id(n) AND x.run = :'over' \g /dev/null
SELECT is((SELECT count(*) FROM sluice.cleanup WHERE run = :'over'), 2::bigint, 'both have a workspace of a run that is over');
SELECT api.agent_goodbye(t.h(n), jsonb_build_object('session', t.id('session of ' || n))) FROM unnest(ARRAY['host', 'host2']) n \g /dev/null
SELECT pg_temp.joins('host3', 'host') \g /dev/null
SELECT jsonb_agg(jsonb_build_object('attempt', x.attempt, 'epoch', 1, 'state', 'running', 'resume', false)) AS has FROM sluice.assignment x WHERE x.run = :'runs' \gset
SELECT is(t.error(format('SELECT pg_temp.first_sync(''host3'', %L)', :'has')), 'none', 'who has the units of both takes the place of both');
SELECT is((SELECT string_agg(i.hostname, ' ') FROM sluice.cleanup c JOIN sluice.instance i ON i.id = c.instance AND i.id = t.id('host3') WHERE c.run = :'over'), 'host.example', 'and removes it once');

SELECT * FROM finish();
