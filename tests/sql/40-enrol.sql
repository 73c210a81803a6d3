-- Agents and keys: how a machine becomes an instance, and how it does not.
SET search_path = tap, public;
SELECT no_plan();

CREATE FUNCTION pg_temp.request(p_instance text, p_more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
        SELECT jsonb_build_object('instance', t.id(p_instance), 'type', 'batch', 'labels', '{}'::jsonb, 'slots', 2,
                                  'version', '1', 'protocol', 1, 'hostname', p_instance || '.example.org') || p_more
$$;
CREATE FUNCTION pg_temp.enroll(p_key text, p_instance text, p_more jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
        v_name text;
BEGIN
        SELECT name INTO v_name FROM api.agent_enroll(t.h(p_key), pg_temp.request(p_instance, p_more), t.h(p_instance));
        RETURN v_name;
END
$$;
CREATE FUNCTION pg_temp.refusal(p_key text, p_instance text, p_more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
        SELECT t.error(format('SELECT pg_temp.enroll(%L, %L, %L)', p_key, p_instance, p_more))
$$;
CREATE FUNCTION pg_temp.key(p_key text, p_request jsonb) RETURNS uuid LANGUAGE sql AS $$
        SELECT (api.key_create(t.h('owner'), p_request, t.h(p_key)) ->> 'key_id')::uuid
$$;

-- Agents made by hand.
SELECT is(api.agent_create(t.h('owner'), '{"name": "Rack 7", "labels": {"region": "eu"}}')::jsonb - 'agent' - 'created_at' - 'since',
          '{"name": "Rack 7", "type": "batch", "status": "Pending", "reason": "no host has joined as this agent", "labels": {"region": "eu"}, "flags": [], "instances": []}',
          'an agent is made and pending');
SELECT is(t.error($$SELECT api.agent_create(t.h('owner'), '{"name": "Rack 7"}')$$), 'ZF409 agent-exists', 'not twice');
SELECT is(t.error($$SELECT api.agent_create(t.h('owner'), '{"name": " x"}')$$), 'ZF400 bad-name', 'not with a bad name');
SELECT api.agent_get(t.h('viewer'), 'Rack 7') ->> 'agent' AS rack \gset
SELECT is(api.agent_get(t.h('viewer'), :'rack') ->> 'name', 'Rack 7', 'it is found by id as by name');
SELECT is(t.error($$SELECT api.agent_get(t.h('viewer'), 'nobody')$$), 'ZF404 agent-not-found', 'an unknown name');
SELECT is(t.error(format('SELECT api.agent_get(t.h(%L), %L)', 'viewer', t.id('x'))), 'ZF404 agent-not-found', 'an unknown id');
SELECT is(t.error($$SELECT api.agent_get(t.h('viewer'), NULL)$$), 'ZF404 agent-not-found', 'no name');

-- Keys.
SELECT is(t.error($$SELECT pg_temp.key('k', '{"type": "api"}')$$), 'ZF400 agents-missing', 'an API key for nobody');
SELECT is(t.error($$SELECT pg_temp.key('k', '{"type": "enrolment", "agents": ["Rack 7"]}')$$), 'ZF400 agents-unwanted',
          'an enrolment key for somebody');
SELECT is(t.error($$SELECT pg_temp.key('k', '{"type": "api", "agents": ["nobody"]}')$$), 'ZF404 agent-not-found',
          'an API key for a stranger');
SELECT is((SELECT count(*) FROM sluice.key), 0::bigint, 'and none of them was made');
SELECT pg_temp.key('enrol', '{"type": "enrolment", "labels": {"region": "eu", "tier": "1"}, "agent_type": "streaming",
                              "max_uses": 2, "expires_sec": 3600, "description": "for the lab"}') AS key \gset
SELECT is(k::jsonb - 'created_at' - 'expires_at', jsonb_build_object('key_id', :'key', 'type', 'enrolment', 'agents', '[]'::jsonb,
                'labels', '{"region": "eu", "tier": "1"}'::jsonb, 'agent_type', 'streaming', 'description', 'for the lab',
                'created_by', 'owner', 'max_uses', 2, 'uses', 0, 'revoked_at', NULL), 'a key is listed, without its secret')
  FROM json_array_elements(api.key_list(t.h('admin')) -> 'items') k;
SELECT is(expires_at - created_at, interval '1 hour', 'it expires by the database''s clock') FROM sluice.key WHERE id = :'key';

-- With an enrolment key.
SELECT is(pg_temp.refusal('wrong', 'a'), 'ZF401 unauthenticated', 'a wrong key');
SELECT is(pg_temp.refusal('enrol', 'a', jsonb_build_object('agent', :'rack')), 'ZF400 agent-unwanted', 'an agent id with it');
SELECT is(pg_temp.refusal('enrol', 'a', '{"name": "Rack 7"}'), 'ZF409 agent-exists', 'the name of another');
SELECT is(pg_temp.refusal('enrol', 'a', '{"name": "a.b"}'), 'ZF400 bad-name', 'a name that is none');
SELECT is(t.error(format('SELECT api.agent_enroll(t.h(%L), %L, %L)', 'enrol', pg_temp.request('a'), '\x01')),
          'ZF400 bad-hash', 'a credential of another size');
SELECT is(pg_temp.enroll('enrol', 'a', '{"name": "worker a", "labels": {"tier": "9", "disk": "ssd"}}'), 'worker a', 'it enrols');
SELECT is(api.agent_get(t.h('viewer'), 'worker a')::jsonb -> 'labels', '{"region": "eu", "tier": "1", "disk": "ssd"}',
          'its labels and the key''s, which win');
SELECT is(api.agent_get(t.h('viewer'), 'worker a') ->> 'type', 'streaming', 'the type is the key''s');
SELECT is(api.agent_get(t.h('viewer'), 'worker a') ->> 'status', 'Pending', 'it is pending until it is seen');
SELECT is(pg_temp.enroll('enrol', 'a', '{"name": "worker a"}'), 'worker a', 'asked again it is enrolled again');
SELECT is((SELECT count(*) FROM sluice.instance), 1::bigint, 'as the same instance, no use counted');
SELECT lives_ok($$SELECT * FROM api.agent_enroll(t.h('enrol'), pg_temp.request('a'), t.h('newer'))$$, 'with a new credential');
SELECT is(t.error($$SELECT t.sync('a')$$), 'ZF401 unauthenticated', 'after which the old one is not good');
UPDATE sluice.instance SET credential_hash = t.h('a');
SELECT is(t.sync('a'), NULL, 'it is seen');
SELECT is(api.agent_get(t.h('viewer'), 'worker a') ->> 'status', 'Running', 'and runs');
SELECT is(pg_temp.refusal('enrol', 'a'), 'ZF409 instance-enrolled', 'once the credential was used there is no other');
SELECT pg_temp.key('other', '{"type": "enrolment"}') \g /dev/null
SELECT is(pg_temp.refusal('other', 'a'), 'ZF409 instance-enrolled', 'nor with another key');
SELECT is(pg_temp.enroll('enrol', 'host_b'), 'host_b', 'a name is taken from the host');
SELECT is(pg_temp.refusal('enrol', 'c'), 'ZF403 key-used-up', 'the key is used up');
SELECT is(pg_temp.enroll('enrol', 'host_b'), 'host_b', 'but not for those it let in');
SELECT is(api.key_list(t.h('owner')) -> 'items' -> 0 ->> 'uses', '2', 'its uses are counted');
SELECT api.agent_delete(t.h('admin'), 'host_b', 'false') \g /dev/null
SELECT is(pg_temp.refusal('enrol', 'host_b') || (api.key_list(t.h('owner')) -> 'items' -> 0 ->> 'uses'), 'ZF403 key-used-up2', 'deleting an agent gives no use back');
SELECT is(pg_temp.enroll('other', repeat('x', 40)), repeat('x', 30), 'a long host name is cut');

-- With an API key.
SELECT api.agent_create(t.h('owner'), '{"name": "elsewhere"}') ->> 'agent' AS elsewhere \gset
SELECT pg_temp.key('api', '{"type": "api", "agents": ["Rack 7", "Rack 7"], "labels": {"region": "us"}}') AS key \gset
SELECT is(pg_temp.refusal('api', 'r1'), 'ZF400 agent-missing', 'without its id');
SELECT is(pg_temp.refusal('api', 'r1', jsonb_build_object('agent', :'elsewhere')), 'ZF403 key-scope', 'for another agent');
SELECT is(pg_temp.refusal('api', 'r1', jsonb_build_object('agent', t.id('x'))), 'ZF403 key-scope', 'for none');
SELECT is(pg_temp.enroll('api', 'r1', jsonb_build_object('agent', :'rack', 'name', 'ignored')), 'Rack 7', 'an instance of it');
SELECT is(pg_temp.enroll('api', 'r2', jsonb_build_object('agent', :'rack', 'labels', '{"gpu": ""}'::jsonb)), 'Rack 7', 'and another');
SELECT is(api.agent_get(t.h('viewer'), 'Rack 7')::jsonb -> 'labels', '{"region": "us", "gpu": ""}', 'labels are merged');
SELECT is(json_array_length(api.agent_get(t.h('viewer'), 'Rack 7') -> 'instances'), 2, 'it has two instances');
CREATE FUNCTION pg_temp.labels(p_count int) RETURNS jsonb LANGUAGE sql AS $$
        SELECT jsonb_build_object('labels', jsonb_object_agg('l' || n, '')) FROM generate_series(1, p_count) n
$$;
SELECT is(pg_temp.refusal('api', 'r4', pg_temp.labels(63) || jsonb_build_object('agent', :'rack')), 'ZF400 bad-label', 'all of them together are as many as labels may be');
SELECT is(pg_temp.refusal('other', 'd', pg_temp.labels(65)), 'ZF400 bad-label', 'as those of one are');
SELECT pg_temp.key('labels', '{"type": "enrolment", "labels": {"region": "us"}}') \g /dev/null
SELECT is(pg_temp.refusal('labels', 'd', pg_temp.labels(64)), 'ZF400 bad-label', 'and those of a new agent and its key');

-- The end of keys.
SELECT is(t.error(format('SELECT api.key_revoke(t.h(%L), %L)', 'owner', t.id('x'))), 'ZF404 key-not-found', 'an unknown key');
SELECT isnt(api.key_revoke(t.h('owner'), :'key') ->> 'revoked_at', NULL, 'a key is revoked');
SELECT is(pg_temp.refusal('api', 'r3', jsonb_build_object('agent', :'rack')), 'ZF401 key-revoked', 'nobody enrols with it');
SELECT is(t.sync('r1'), NULL, 'who did goes on');
UPDATE sluice.key SET expires_at = now() WHERE hash = t.h('other');
SELECT is(pg_temp.refusal('other', 'd'), 'ZF401 key-expired', 'an expired key');

-- Status of an agent with several instances.
SELECT t.silent('r1', '2 minutes') \g /dev/null
SELECT is(api.agent_get(t.h('viewer'), 'Rack 7') ->> 'status', 'Unknown', 'silent without goodbye');
SELECT t.sync('r2') IS NULL \g /dev/null
SELECT is(api.agent_get(t.h('viewer'), 'Rack 7') ->> 'status', 'Running', 'one instance is enough');
SELECT api.agent_goodbye(t.h('r2'), jsonb_build_object('session', t.id('an older session'))) \g /dev/null
SELECT is(api.agent_get(t.h('viewer'), 'Rack 7') ->> 'status', 'Running', 'a goodbye of an older session says nothing');
SELECT api.agent_goodbye(t.h('r2'), jsonb_build_object('session', t.id('session of r2'), 'reason', 'bye')) \g /dev/null
SELECT is(api.agent_get(t.h('viewer'), 'Rack 7') ->> 'status', 'Unknown', 'unknown weighs more than stopped');
SELECT api.agent_goodbye(t.h('r1'), jsonb_build_object('session', t.id('session of r1'))) \g /dev/null
SELECT is(api.agent_get(t.h('viewer'), 'Rack 7') ->> 'status', 'Stopped', 'all have said goodbye');
SELECT t.sync('r2', '[]', '{"slots": 4}'), t.silent('r2', '1 minute') \g /dev/null
SELECT is(api.agent_get(t.h('viewer'), 'Rack 7') ->> 'status', 'Stopped', 'a poll that was on its way does not take it back');
SELECT goodbye_at AS said FROM sluice.instance WHERE id = t.id('r2') \gset
SELECT api.agent_goodbye(t.h('r2'), jsonb_build_object('session', t.id('session of r2'))) \g /dev/null
SELECT is((SELECT goodbye_at FROM sluice.instance WHERE id = t.id('r2')), :'said', 'nor does it count from when it was repeated');
SELECT t.sync('r2', '[]', jsonb_build_object('draining', true, 'session', t.id('next of r2'))) IS NULL \g /dev/null
SELECT is(a ->> 'status' || (a #>> '{flags,0,flag}'), 'Runningdraining', 'the next session takes it back; draining is a flag')
  FROM api.agent_get(t.h('viewer'), 'Rack 7') a;

SELECT * FROM finish();
