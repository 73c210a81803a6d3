-- Who is there: leases, connections that broke, and what an outage of the control plane says about agents.
SET search_path = tap, public;
SELECT no_plan();
SELECT t.agent('one'), t.agent('two'), t.agent('three'), t.agent('never') \g /dev/null
SELECT t.pipe('p', '{a}') \g /dev/null
CREATE FUNCTION pg_temp.state(p_name text) RETURNS text LANGUAGE sql AS $$
        SELECT concat_ws(': ', a ->> 'status', regexp_replace(a ->> 'reason', '[0-9]{4}-[-0-9:.TZ+]*', 'TIME'))
          FROM (SELECT api.agent_get(t.h('viewer'), p_name)::jsonb AS a) s
$$;
CREATE FUNCTION pg_temp.broke(VARIADIC p_names text[]) RETURNS void LANGUAGE sql AS $$
        SELECT api.presence_broke(ARRAY(SELECT t.id(n) FROM unnest(p_names) n), ARRAY(SELECT 3000 FROM unnest(p_names)))
$$;

SELECT is(pg_temp.state('never'), 'Pending: it has enrolled and never connected', 'enrolled only');
SELECT t.sync('one'), t.sync('two'), t.sync('three') \g /dev/null
SELECT is(pg_temp.state('one'), 'Running: it is connected', 'connected');

-- A connection that broke.
SELECT pg_temp.broke('one') \g /dev/null
SELECT is(pg_temp.state('one'), 'Running: it is connected', 'that of a session before says nothing about this one');
UPDATE sluice.instance SET session_since = session_since - interval '1 minute';
SELECT api.presence_broke(ARRAY[t.id('one')], '{50}') \g /dev/null
SELECT is(pg_temp.state('one'), 'Running: contact with it broke at TIME, and it has time to come back', 'it may be back in a moment');
SELECT is((SELECT count(*) FROM sluice.idle WHERE instance = t.id('one')), 0::bigint, 'until then nothing is placed there');
SELECT t.sync('one') \g /dev/null
SELECT is(pg_temp.state('one'), 'Running: it is connected', 'it is');
SELECT is((SELECT count(*) FROM sluice.idle WHERE instance = t.id('one')), 1::bigint, 'with room');
SELECT pg_temp.broke('one', 'nobody') \g /dev/null
SELECT is(pg_temp.state('one'), 'Unknown: contact with it broke at TIME, and it has not come back', 'its connection broke');
SELECT cmp_ok((api.agent_get(t.h('viewer'), 'one') ->> 'since')::timestamptz, '<=', clock_timestamp() - interval '3 seconds', 'since it broke');
SELECT is(api.agent_get(t.h('viewer'), 'one') #>> '{instances,0,status}', 'Unknown', 'so does the instance say');
SELECT is(pg_temp.state('two'), 'Running: it is connected', 'and no other');
SELECT is((api.agent_explain(t.h('viewer'), 'one') ->> 'reason') LIKE 'contact with it broke at %', true, 'explain says the same');
SELECT is((SELECT broke_at FROM sluice.instance WHERE id = t.id('one')) < clock_timestamp() - interval '2 seconds', true, 'as long ago as was said');
SELECT broke_at AS first FROM sluice.instance WHERE id = t.id('one') \gset
SELECT pg_temp.broke('one') \g /dev/null
SELECT is(broke_at, :'first', 'said twice, the first counts') FROM sluice.instance WHERE id = t.id('one');
SELECT api.agent_goodbye(t.h('two'), jsonb_build_object('session', t.id('session of two'))) \g /dev/null
SELECT pg_temp.broke('three') \g /dev/null
SELECT is((SELECT count(*) FROM sluice.idle WHERE instance IN (t.id('one'), t.id('three'))), 0::bigint, 'nobody looks for room where nobody is');
SELECT t.run('p') AS r \gset
SELECT is((t.attempt(:'r')).state, 'queued', 'it is given no work');
SELECT is(t.answer(t.sync('one')), 'start:1', 'back, it is at once');
SELECT is(pg_temp.state('one'), 'Running: it is connected', 'and is Running');
SELECT t.events('one', t.success((t.attempt(:'r')).id)) \g /dev/null

-- What a poll that is held costs, and who is never noted.
CREATE FUNCTION pg_temp.rows() RETURNS text LANGUAGE sql AS $$ SELECT xmin || ' ' || ctid FROM sluice.instance WHERE id = t.id('one') $$;
SELECT t.sync('one') \g /dev/null
SELECT pg_temp.rows() AS rows \gset
SELECT t.sync('one') \g /dev/null
SELECT is(pg_temp.rows(), :'rows', 'an idle poll writes no row');
SELECT pg_temp.broke('two', 'never') \g /dev/null
SELECT is(pg_temp.state('two'), 'Stopped: it said goodbye', 'who said goodbye broke no connection');
SELECT is(pg_temp.state('never'), 'Pending: it has enrolled and never connected', 'nor who never had one');
SELECT lives_ok('SELECT api.presence_broke(NULL, NULL)', 'nobody is fine');

-- The lease is the upper bound, and a setting.
SELECT t.silent('one', '91 seconds') \g /dev/null
UPDATE sluice.attendance SET before = now() - interval '1 day', since = now() - interval '1 day', last_at = now();
SELECT is(pg_temp.state('one'), 'Unknown: it was not heard of any more, and has not said goodbye', 'silent for a lease');
SELECT set_config('sluice.lease', '100s', false) \g /dev/null
SELECT is(pg_temp.state('one'), 'Running: it is connected', 'LeaseSec= says how long that is');
SELECT set_config('sluice.lease', '', false) \g /dev/null

-- An outage: nobody was there to hear.
CREATE FUNCTION pg_temp.outage(p_for interval) RETURNS void LANGUAGE sql AS $$
        UPDATE sluice.attendance SET before = now() - interval '1 day', since = now() - interval '1 day', last_at = now() - p_for
$$;
SELECT pg_temp.outage('1 hour'), t.silent('one', '1 hour 10 seconds'), t.silent('three', '2 hours') \g /dev/null
UPDATE sluice.instance SET broke_at = NULL;
SELECT api.presence_flush('{}') \g /dev/null
SELECT is(pg_temp.state('one'), 'Running: it was connected when the control plane went away, and has time to come back',
          'after an outage, who was connected before it has a lease to come back');
SELECT is(pg_temp.state('three'), 'Unknown: it was not heard of any more, and has not said goodbye', 'who was Unknown before stays so');
SELECT is_empty(format('SELECT FROM sluice.open_instance WHERE id = %L', t.id('one')), 'until then it is given no work');
UPDATE sluice.attendance SET since = since - sluice.lease();
SELECT is(left(pg_temp.state('one'), 7), 'Unknown', 'then it is Unknown');
SELECT pg_temp.outage('20 seconds'), t.silent('one', '2 minutes') \g /dev/null
SELECT api.presence_flush('{}') \g /dev/null
SELECT is(left(pg_temp.state('one'), 7), 'Unknown', 'a restart of controld is no outage');
SELECT xmin AS x FROM sluice.attendance \gset
SELECT api.presence_flush('{}') \g /dev/null
SELECT is((SELECT xmin FROM sluice.attendance), :'x'::xid, 'many workers that flush write it once');

SELECT * FROM finish();
