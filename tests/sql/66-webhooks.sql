-- Webhooks: one run for a message, values from its body, and what is refused.
SET search_path = tap, public;
SELECT no_plan();
SELECT t.agent('one', 8) \g /dev/null
SELECT t.sync('one') \g /dev/null
SELECT t.pipe('p', '{x}', '{"parameters": [{"name": "day", "type": "date", "required": true}, {"name": "mode", "values": ["full", "part"], "type": "enum", "default": "part"},
                                           {"name": "n", "type": "integer"}]}') \g /dev/null
SELECT t.pipe('stream', '{x}', '{"type": "streaming"}') \g /dev/null

CREATE FUNCTION pg_temp.made(p_request jsonb, p_who text DEFAULT 'editor', p_pipe text DEFAULT 'p', p_key text DEFAULT 'k1') RETURNS text LANGUAGE sql AS $$
        SELECT t.error(format('SELECT api.webhook_create(t.h(%L), ''default'', %L, %L, %L)', p_who, p_pipe, p_request, p_key))
$$;
CREATE FUNCTION pg_temp.hook(p_name text) RETURNS uuid LANGUAGE sql AS $$ SELECT id FROM sluice.webhook WHERE name = p_name AND deleted_at IS NULL $$;
CREATE FUNCTION pg_temp.take(p_message text, p_body jsonb, p_hook text DEFAULT 'h', p_ago int DEFAULT 0) RETURNS text LANGUAGE sql AS $$
        SELECT coalesce(x.refused, x.answer ->> 'run')
          FROM api.webhook_take(pg_temp.hook(p_hook), 'standard', p_message, extract(epoch FROM clock_timestamp())::int8 - p_ago, p_body) x
$$;
CREATE FUNCTION pg_temp.refusal(p_scheme text, p_ago int DEFAULT 0, p_hook uuid DEFAULT pg_temp.hook('h')) RETURNS text LANGUAGE sql AS $$
        SELECT t.error(format('SELECT * FROM api.webhook_take(%L, %L, ''x'', %L, ''{}'')', p_hook, p_scheme, extract(epoch FROM clock_timestamp())::int8 - p_ago))
$$;
CREATE FUNCTION pg_temp.values(p_run text) RETURNS text LANGUAGE sql AS $$
        SELECT string_agg(concat_ws(' ', (e ->> 'name') || '=' || (e ->> 'value'), e ->> 'origin'), ', ' ORDER BY n)
          FROM jsonb_array_elements(t.get(p_run::uuid) -> 'parameters') WITH ORDINALITY x (e, n)
$$;

-- Who makes one, and what is wrong with it before a message comes.
SELECT is(pg_temp.made('{"name": "h"}', 'operator'), 'ZF403 forbidden', 'making one is like deploying');
SELECT is(pg_temp.made('{"name": "h"}', p_pipe => 'stream'), 'ZF409 streaming-pipe', 'a streaming pipe has none');
SELECT is(pg_temp.made('{"name": "h"}', p_pipe => 'nothing'), 'ZF404 pipe-not-found', 'nor has a pipe that is not there');
SELECT is(pg_temp.made('{"name": "H"}'), 'ZF400 bad-name', 'a name is one');
SELECT is(pg_temp.made('{"name": "h", "type": "plain"}'), 'ZF400 bad-request', 'types are known');
SELECT is(pg_temp.made('{"name": "h", "parameters": {"mood": "x"}}'), 'ZF400 bad-parameters', 'a parameter is the pipe''s');
SELECT is(pg_temp.made('{"name": "h", "parameters": {"mode": "half"}}'), 'ZF400 bad-parameters', 'a fixed value is checked now');
SELECT is(pg_temp.made('{"name": "h", "parameters": {"day": "yesterday"}, "parameters_from": {"day": "/day"}}'), 'ZF400 bad-parameters', 'from one place only');
SELECT is(pg_temp.made(jsonb_build_object('name', 'h', 'parameters_from', jsonb_build_object('day', p))), 'ZF400 bad-parameters', format('"%s" is no pointer', p))
  FROM unnest(ARRAY['', 'day', '/a~2', '/a~']) p;
SELECT is(pg_temp.made('{"name": "h", "parameters": {"mode": "full"}, "parameters_from": {"day": "/data/a~1b/1", "n": "/n"}}'), 'none', 'a good one');
SELECT is(pg_temp.made('{"name": "h"}'), 'ZF409 webhook-exists', 'a name is there once');
SELECT is(pg_temp.made('{"name": "other"}', p_key => 'k2'), 'ZF409 other-webhook-key', 'a controld with another key makes none');
SELECT is((api.webhook_list(t.h('viewer'), 'default', 'p', 'k2') #>> '{items,0,key_is_here}'), 'false', 'and is told that it has another one');
SELECT is((api.webhook_list(t.h('viewer'), 'default', NULL, 'k1') -> 'items' -> 0)::jsonb - '{webhook,created_at}'::text[],
          '{"project": "default", "pipe": "p", "name": "h", "type": "standard", "parameters": {"mode": "full"}, "parameters_from": {"day": "/data/a~1b/1", "n": "/n"},
            "key_is_here": true, "created_by": "editor", "last": null}', 'it is listed, without a secret');

-- A message has one run.
SELECT pg_temp.take('m1', '{"data": {"a/b": ["x", "2024-02-29"]}, "n": 7}') AS r \gset
SELECT is(pg_temp.values(:'r'), 'day=2024-02-29 run, mode=full run, n=7 run', 'its values are fixed, or from the body: texts, and numbers as they stand');
SELECT is(t.get(:'r') ->> 'created_by', 'webhook h', 'the run says what it came from');
SELECT is(pg_temp.take('m1', '{"data": {"a/b": ["x", "2024-03-01"]}}'), :'r', 'the same message again has the same run, whatever stands in it');
SELECT isnt(pg_temp.take('m2', '{"data": {"a/b": ["x", "2024-02-29"]}, "n": null}'), :'r', 'another message has its own');
SELECT is(pg_temp.values((SELECT run::text FROM sluice.webhook_delivery WHERE message = 'm2')), 'day=2024-02-29 run, mode=full run, n= unset', 'null is no value');
SELECT is((SELECT count(*) FROM sluice.run WHERE pipe = 'p'), 2::int8, 'two runs in all');

-- Refused, with the reason; and once more.
SELECT is(pg_temp.take('m3', '{"data": {}}'), 'Parameter "day": it needs a value: say --param day=VALUE.', 'a required value that is not there');
SELECT is(pg_temp.take('m4', '{"data": {"a/b": ["x", {"y": 1}]}}'), 'Parameter "day": what is at /data/a~1b/1 is no single value.', 'an object is no value');
SELECT matches(pg_temp.take('m5', '{"data": {"a/b": ["x", "2024-02-30"]}}'), '^Parameter "day": "2024-02-30": a date', 'a value is checked as anybody''s');
SELECT matches(pg_temp.take('m5', '{"data": {"a/b": ["x", "sk_live_0123456789abcdefghijklmn"]}}'), 'looks like', 'secrets are refused here, too');
SELECT is((SELECT count(*) FROM sluice.run WHERE pipe = 'p'), 2::int8, 'none of them has a run');
SELECT matches(pg_temp.take('m3', '{"data": {"a/b": ["x", "2024-02-29"]}}'), '^[0-9a-f-]{36}$', 'one that was refused may come again, mended');
SELECT is(pg_temp.refusal('github'), 'ZF403 bad-signature', 'signed in another way');
SELECT is(pg_temp.refusal('standard', 310) || pg_temp.refusal('standard', -310), 'ZF400 stale-messageZF400 stale-message', 'older than five minutes, or from the future');
SELECT matches(pg_temp.take('m6', '{"data": {"a/b": ["x", "2024-02-29"]}}', p_ago => 290), '^[0-9a-f-]{36}$', 'a little late is not');
SELECT is(pg_temp.refusal('standard', p_hook => '00000000-0000-0000-0000-000000000000'), 'ZF404 webhook-not-found', 'no such webhook');
SELECT is((SELECT count(*) FROM sluice.webhook_delivery WHERE message = 'x'), 0::int8, 'nothing is kept of those');

-- What came.
SELECT api.webhook_deliveries(t.h('viewer'), pg_temp.hook('h'), 4, NULL)::jsonb AS page \gset
SELECT is((SELECT string_agg((e ->> 'message') || CASE WHEN e ->> 'run' IS NULL THEN ' refused' ELSE '' END, ', ' ORDER BY n)
             FROM jsonb_array_elements((:'page'::jsonb) -> 'items') WITH ORDINALITY x (e, n)), 'm6, m3, m5 refused, m4 refused', 'messages, the newest first');
SELECT is((SELECT string_agg(e ->> 'message', ', ' ORDER BY n)
             FROM json_array_elements(api.webhook_deliveries(t.h('viewer'), pg_temp.hook('h'), 4, (:'page'::jsonb) ->> 'next') -> 'items') WITH ORDINALITY x (e, n)),
          'm2, m1', 'and the next page');
SELECT is((api.webhook_list(t.h('viewer'), 'default', 'p', 'k1') #>> '{items,0,last,message}'), 'm6', 'the list has the last one');

-- Gone.
SELECT pg_temp.hook('h') AS h \gset
SELECT is(t.error(format('SELECT api.webhook_delete(t.h(''operator''), %L)', :'h')), 'ZF403 forbidden', 'deleting it is like making it');
SELECT is(api.webhook_delete(t.h('editor'), :'h')::text, NULL, 'it is deleted');
SELECT is(api.webhook_delete(t.h('editor'), :'h')::text, NULL, 'twice is as once');
SELECT is(pg_temp.refusal('standard', p_hook => :'h'), 'ZF404 webhook-not-found', 'nothing comes through it any more');
SELECT is(json_array_length(api.webhook_list(t.h('viewer'), 'default', NULL, 'k1') -> 'items'), 0, 'it is not listed');
SELECT is(pg_temp.made('{"name": "h"}', p_key => 'k2'), 'none', 'its name is free, and another key is no trouble now');
SELECT isnt(pg_temp.hook('h')::text, :'h', 'it is another one');
SELECT * FROM finish();
