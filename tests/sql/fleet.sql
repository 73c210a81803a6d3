-- Who may do what, and how machines join.
\i :here/fixture.inc
SELECT plan(24);

SELECT throws_ok($$ SELECT api.agent_list(h('nobody')) $$, 'ZF401', NULL, 'an unknown token is refused');
SELECT throws_ok($$ SELECT api.project_create(h('viewer'), 'x') $$, 'ZF403', NULL, 'a viewer makes no project');
SELECT lives_ok($$ SELECT api.project_create(h('owner'), 'etl') $$, 'an owner does');
SELECT throws_ok($$ SELECT api.project_create(h('owner'), 'etl') $$, 'ZF409', NULL, 'but not twice');
SELECT throws_ok($$ SELECT api.project_create(h('owner'), 'A b') $$, 'ZF400', NULL, 'nor with a bad name');

SELECT is(join_fleet('a'), md5('a')::uuid, 'a machine joins by an enrolment key');
SELECT is(api.agent_get(h('viewer'), 'a') ->> 'status', 'Pending', 'it is Pending until it speaks');
SELECT lives_ok($$ SELECT join_fleet('a') $$, 'asked again before its credential was used, it joins again');
SELECT is((SELECT count(*)::int FROM sluice.key_use), 1, 'and that costs no second use');
SELECT is(sync('a'), NULL, 'it has nothing to do');
SELECT is(api.agent_get(h('viewer'), 'a') ->> 'status', 'Running', 'and is Running');
SELECT throws_ok($$ SELECT join_fleet('a') $$, 'ZF409', NULL, 'once its credential was used, nobody joins in its name');
SELECT throws_ok($$ SELECT join_fleet('bad/name') $$, 'ZF400', NULL, 'agent names are checked');

SELECT lives_ok($$ SELECT api.agent_goodbye(h('credential a'), jsonb_build_object('session', md5('1')::uuid)) $$, 'it says goodbye');
SELECT is(api.agent_get(h('viewer'), 'a') ->> 'status', 'Stopped', 'and is Stopped');
SELECT is(sync('a'), NULL, 'it comes back');
UPDATE sluice.presence SET last_seen_at = now() - interval '2 minutes';
SELECT is(api.agent_get(h('viewer'), 'a') ->> 'status', 'Unknown', 'without a word for too long it is Unknown');

SELECT api.key_create(h('owner'), '{"type": "enrolment", "max_uses": 1}', h('once')) \g /dev/null
SELECT lives_ok($$ SELECT api.agent_enroll(h('once'), '{"instance":"00000000-0000-4000-8000-000000000001","name":"o1","type":"batch","slots":1,"version":"1","hostname":"o","systemd":"252","kernel":"6","architecture":"x","cpus":1,"memory_bytes":1}', h('o1')) $$, 'a key for one use works once');
SELECT throws_ok($$ SELECT api.agent_enroll(h('once'), '{"instance":"00000000-0000-4000-8000-000000000002","name":"o2","type":"batch","slots":1,"version":"1","hostname":"o","systemd":"252","kernel":"6","architecture":"x","cpus":1,"memory_bytes":1}', h('o2')) $$, 'ZF403', NULL, 'and not twice');
SELECT api.key_revoke(h('owner'), key_id) FROM sluice.key WHERE hash = h('key') \g /dev/null
SELECT throws_matching($$ SELECT join_fleet('late') $$, 'revoked', 'a revoked key says that it was revoked');
SELECT throws_ok($$ SELECT api.key_create(h('owner'), '{"type": "api"}', h('k2')) $$, 'ZF400', NULL, 'an API key names its agents');
SELECT lives_ok($$ SELECT api.agent_create(h('owner'), '{"name": "made by hand"}'); SELECT api.key_create(h('owner'), '{"type":"api","agents":["made by hand"]}', h('api')) $$, 'a pre-created agent gets one');

-- The daemon's role: api and nothing else.
SELECT is((SELECT count(*)::int FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = 'api'
           AND NOT (prosecdef AND proconfig @> ARRAY['search_path=pg_catalog, sluice'])), 0, 'every function of api fixes its search_path');
SELECT is((SELECT count(*)::int FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'sluice' AND relkind IN ('r', 'p', 'v')
           AND has_table_privilege('sluice_controld', c.oid, 'SELECT, INSERT, UPDATE, DELETE')), 0, 'the daemon''s role touches no table');
SELECT * FROM finish();
