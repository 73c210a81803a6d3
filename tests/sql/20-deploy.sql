-- Tokens, projects, pipes: who may, and what is refused.
SET search_path = tap, public;
SELECT no_plan();

-- Tokens and their roles.
SELECT is(t.error($$SELECT api.project_list(t.h('nobody'))$$), 'ZF401 unauthenticated', 'an unknown token');
SELECT is(t.error($$SELECT api.project_list(NULL)$$), 'ZF401 unauthenticated', 'no token');
SELECT is(t.error($$SELECT api.project_list('\x00')$$), 'ZF401 unauthenticated', 'a hash of another size');
SELECT is(t.error($$SELECT api.token_create('x', 'emperor', t.h('x'))$$), 'ZF400 bad-role', 'an unknown role');
SELECT is(t.error($$SELECT api.token_create('x', NULL, t.h('x'))$$), 'ZF400 bad-role', 'no role');
SELECT is(t.error($$SELECT api.token_create('x y', 'owner', t.h('x'))$$), 'ZF400 bad-name', 'a bad token name');
SELECT is(t.error($$SELECT api.token_create('x', 'owner', '\x01')$$), 'ZF400 bad-hash', 'a short hash');
SELECT is(t.error($$SELECT api.token_create('owner', 'owner', t.h('x'))$$), 'ZF409 token-exists', 'a token name twice');
UPDATE sluice.token SET revoked_at = now() WHERE name = 'viewer';
SELECT is(t.error($$SELECT api.project_list(t.h('viewer'))$$), 'ZF401 token-revoked', 'a revoked token');
UPDATE sluice.token SET revoked_at = NULL WHERE name = 'viewer';

-- The least role of everything that a person may call: one below is refused.
CREATE TEMP TABLE needed (call text, role text, below text);
INSERT INTO needed VALUES
        ($$api.project_create(%s, 'x')$$, 'admin', 'editor'),
        ($$api.pipe_put(%s, 'default', 'x', '0123456789abcdef', t.spec('{a}'), '')$$, 'editor', 'operator'),
        ($$api.pipe_put_many(%s, 'default', '{"pipes": []}')$$, 'editor', 'operator'),
        ($$api.run_create(%s, 'default', 'x', NULL, NULL)$$, 'operator', 'viewer'),
        ($$api.run_rerun(%s, sluice.uuid_v7(), '{}', NULL)$$, 'operator', 'viewer'),
        ($$api.run_cancel(%s, sluice.uuid_v7())$$, 'operator', 'viewer'),
        ($$api.agent_create(%s, '{"name": "x"}')$$, 'admin', 'editor'),
        ($$api.key_create(%s, '{"type": "enrolment"}', t.h('x'))$$, 'admin', 'editor'),
        ($$api.key_list(%s)$$, 'admin', 'editor'),
        ($$api.key_revoke(%s, sluice.uuid_v7())$$, 'admin', 'editor');
SELECT is(t.error('SELECT ' || format(call, format('t.h(%L)', below))), 'ZF403 forbidden', below || ' may not ' || call)
  FROM needed;
SELECT isnt(t.error('SELECT ' || format(call, format('t.h(%L)', role))), 'ZF403 forbidden', role || ' may ' || call)
  FROM needed;
SELECT is(t.error('SELECT ' || call), 'ZF401 unauthenticated', call) FROM unnest(ARRAY[
        $$api.project_get('', 'default')$$, $$api.pipe_list('', 'default', 1, NULL)$$,
        $$api.pipe_get('', 'default', 'x', NULL)$$, $$api.pipe_versions('', 'default', 'x')$$,
        $$api.run_list('', 'default', NULL, NULL, 1, NULL)$$, $$api.run_get('', sluice.uuid_v7(), NULL)$$,
        $$api.attempt_list('', sluice.uuid_v7())$$, $$api.attempt_get('', sluice.uuid_v7())$$,
        $$api.attempt_metrics('', sluice.uuid_v7())$$, $$api.run_logs('', sluice.uuid_v7(), NULL, NULL, 1)$$,
        $$api.agent_list('')$$, $$api.agent_get('', 'x')$$, $$api.agent_enroll('', '{}', t.h('x'))$$,
        $$api.agent_sync('', '{}')$$, $$api.agent_events('', '{}')$$, $$api.agent_metrics('', '{}')$$,
        $$api.agent_goodbye('', '{}')$$, $$api.agent_log_append('', NULL, 1, 1, 1, '', '', 1, 1, 1, 1, '')$$]) call;

-- Projects.
SELECT is(t.error($$SELECT api.project_get(t.h('viewer'), 'nowhere')$$), 'ZF404 project-not-found', 'an unknown project');
SELECT is(t.error($$SELECT api.project_get(t.h('viewer'), NULL)$$), 'ZF404 project-not-found', 'no project');
SELECT is(t.error($$SELECT api.project_create(t.h('owner'), 'Bad Name')$$), 'ZF400 bad-name', 'a bad project name');
SELECT is(t.error($$SELECT api.project_create(t.h('owner'), NULL)$$), 'ZF400 bad-name', 'no project name');
SELECT is(api.project_create(t.h('owner'), 'second') ->> 'project', 'second', 'a project is made');
SELECT is(t.error($$SELECT api.project_create(t.h('owner'), 'second')$$), 'ZF409 project-exists', 'but not twice');
SELECT is(jsonb_path_query_array(api.project_list(t.h('viewer'))::jsonb, '$.items[*].project'),
          '["default", "second", "x"]', 'projects are listed by name');
SELECT matches(api.project_get(t.h('viewer'), 'default') ->> 'created_at', '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$',
               'times are RFC 3339, UTC, with microseconds');
SELECT is(sluice.rfc3339('2026-02-01 00:30:00.5+02'), '2026-01-31T22:30:00.500000Z', 'whatever the time zone');

-- Pipes.
\set a 0123456789abcdef
\set b fedcba9876543210
SELECT is(api.pipe_put(t.h('editor'), 'default', 'etl', :'a', t.spec('{x,y<x}'), 'text') ->> 'created', 'true',
          'a new version is created');
SELECT is(api.pipe_put(t.h('owner'), 'default', 'etl', :'a', t.spec('{x,y<x}'), 'text') ->> 'created', 'false',
          'the same again is not');
SELECT is(api.pipe_get(t.h('viewer'), 'default', 'etl', NULL) ->> 'created_by', 'editor', 'and changes nothing');
SELECT is(api.pipe_put(t.h('editor'), 'default', 'again', repeat('1', 16), t.spec('{x}'), 'one') ->> 'changed', 'true', 'the first');
SELECT is(api.pipe_put(t.h('editor'), 'default', 'again', repeat('1', 16), t.spec('{x}'), 'one') ->> 'changed', 'false', 'the same');
SELECT is(api.pipe_put(t.h('editor'), 'default', 'again', repeat('2', 16), t.spec('{y}'), 'two') ->> 'changed', 'true', 'another');
SELECT is(r ->> 'created' || ' ' || (r ->> 'changed'), 'false true', 'an old one that becomes current again')
  FROM api.pipe_put(t.h('editor'), 'default', 'again', repeat('1', 16), t.spec('{x}'), 'one') r;
SELECT is(api.pipe_put(t.h('editor'), 'default', 'former', :'a', t.spec('{x}', '{"agent_selector": {"b": "c", "a": null}}'), '')
          #>> '{spec,agent_selector}', '[{"key": "a", "values": [], "operator": "exists"}, {"key": "b", "values": ["c"], "operator": "in"}]',
          'the former controld''s form of a selector is taken');
SELECT is(api.pipe_put(t.h('owner'), 'default', 'etl', :'b', t.spec('{z}'), 'other') ->> 'version', :'b', 'another version');
SELECT is(api.pipe_get(t.h('viewer'), 'default', 'etl', NULL) ->> 'version', :'b', 'the newest is shown');
SELECT is(api.pipe_get(t.h('viewer'), 'default', 'etl', :'a') ->> 'source', 'text', 'an older one on demand');
SELECT is(jsonb_path_query_array(api.pipe_versions(t.h('viewer'), 'default', 'etl')::jsonb, '$.items[*].version'),
          jsonb_build_array(:'b', :'a'), 'versions are listed, newest first');
SELECT lives_ok($$SELECT api.pipe_put(t.h('owner'), 'default', 'etl', '0123456789abcdef', t.spec('{x,y<x}'), 'text')$$,
                'an older version is deployed again');
SELECT is(api.pipe_get(t.h('viewer'), 'default', 'etl', NULL) ->> 'version', :'a', 'and is the one that runs now');
SELECT is(t.error($$SELECT api.pipe_get(t.h('viewer'), 'default', 'none', NULL)$$), 'ZF404 pipe-not-found', 'an unknown pipe');
SELECT is(t.error($$SELECT api.pipe_get(t.h('viewer'), 'default', 'etl', 'x')$$), 'ZF404 version-not-found', 'an unknown version');
SELECT is(t.error($$SELECT api.pipe_put(t.h('owner'), 'default', 'E', '0123456789abcdef', t.spec('{x}'), '')$$),
          'ZF400 bad-name', 'a bad pipe name');
SELECT is(t.error($$SELECT api.pipe_put(t.h('owner'), 'default', 'e', 'newest', t.spec('{x}'), '')$$),
          'ZF400 bad-version', 'a version that is no hash');

-- Specs that the database could not work with.
CREATE TEMP TABLE spec (what text, spec jsonb);
INSERT INTO spec VALUES
        ('no object', '[]'), ('null', 'null'), ('no type', '{"tasks": []}'), ('no tasks', t.spec('{a}') - 'tasks'),
        ('tasks no array', t.spec('{a}', '{"tasks": {}}')), ('an empty pipe', t.spec('{a}', '{"tasks": []}')),
        ('a task that is text', t.spec('{a}', '{"tasks": ["a"]}')),
        ('a bad task name', t.spec('{A}')), ('a task twice', t.spec('{a,a}')),
        ('an unknown predecessor', t.spec('{a<b}')), ('a circle', t.spec('{a<b,b<a}')), ('a task after itself', t.spec('{a<a}')),
        ('after no array', t.spec('{a}', '{"tasks": [{"name": "a", "after": "b", "directives": []}]}')),
        ('after of numbers', t.spec('{a}', '{"tasks": [{"name": "a", "after": [1], "directives": []}]}')),
        ('no directives', t.spec('{a}', '{"tasks": [{"name": "a"}]}')),
        ('a directive of one', t.spec('{a}', '{"tasks": [{"name": "a", "directives": [["ExecStart"]]}]}')),
        ('a directive of three', t.spec('{a}', '{"tasks": [{"name": "a", "directives": [["a", "b", "c"]]}]}')),
        ('a directive of numbers', t.spec('{a}', '{"tasks": [{"name": "a", "directives": [["a", 1]]}]}')),
        ('an unknown type', t.spec('{a}', '{"type": "batches"}')), ('a number as type', t.spec('{a}', '{"type": 1}')),
        ('a selector of numbers', t.spec('{a}', '{"agent_selector": {"a": 1}}')),
        ('a selector of texts', t.spec('{a}', '{"agent_selector": ["a"]}')),
        ('a term without operator', t.spec('{a}', '{"agent_selector": [{"key": "a", "values": []}]}')),
        ('a term without values', t.spec('{a}', '{"agent_selector": [{"key": "a", "operator": "exists"}]}')),
        ('one of nothing', t.spec('{a}', '{"agent_selector": [{"key": "a", "operator": "in", "values": []}]}')),
        ('a value too many', t.spec('{a}', '{"agent_selector": [{"key": "a", "operator": "absent", "values": ["b"]}]}')),
        ('a value that is a number', t.spec('{a}', '{"agent_selector": [{"key": "a", "operator": "in", "values": [1]}]}')),
        ('a label that is code', t.spec('{a}', '{"agent_selector": [{"key": "a\" || true", "operator": "exists", "values": []}]}')),
        ('an unknown delivery', t.spec('{a}', '{"delivery": "twice"}')),
        ('another concurrency policy', t.spec('{a}', '{"concurrency_policy": "wait"}'));
SELECT matches(t.error(format('SELECT api.pipe_put(t.h(%L), %L, %L, %L, %L, %L)', 'owner', 'default', 'bad', :'a', spec, '')),
               '^ZF400 (bad-request|bad-spec|not-supported)$', what) FROM spec;
SELECT is(t.error($$SELECT api.pipe_put(t.h('owner'), 'default', 'bad', '0123456789abcdef', NULL, '')$$),
          'ZF400 bad-request', 'no spec at all');
SELECT is((SELECT count(*) FROM sluice.pipe WHERE name = 'bad'), 0::bigint, 'nothing of them is left');

-- Pages.
SELECT api.pipe_put(t.h('owner'), 'second', 'p' || n, :'a', t.spec('{x}'), '') IS NULL FROM generate_series(1, 5) n
\g /dev/null
SELECT is(t.error(format('SELECT api.pipe_list(t.h(%L), %L, %s, NULL)', 'viewer', 'second', l)), 'ZF400 bad-limit',
          'a limit of ' || l) FROM unnest('{0,-1,1001}'::int[]) l;
SELECT api.pipe_list(t.h('viewer'), 'second', 2, NULL) AS page \gset
SELECT is(jsonb_path_query_array(:'page', '$.items[*].pipe') || jsonb_build_array(:'page'::json ->> 'next'), '["p1", "p2", "p2"]',
          'the first page');
SELECT api.pipe_list(t.h('viewer'), 'second', 3, 'p2') AS page \gset
SELECT is(jsonb_path_query_array(:'page', '$.items[*].pipe') || (:'page'::jsonb -> 'next'), '["p3", "p4", "p5", null]',
          'the last page, exactly full');
SELECT is(api.pipe_list(t.h('viewer'), 'second', 3, 'p5')::jsonb, '{"items": [], "next": null}', 'and an empty one');

-- Which version was current when, and back to an earlier one.
CREATE FUNCTION pg_temp.history(p_pipe text) RETURNS text LANGUAGE sql AS $$
        SELECT string_agg(concat_ws(' ', x ->> 'version', x ->> 'deployed_by'), ', ')
          FROM json_array_elements(api.pipe_history(t.h('viewer'), 'default', p_pipe, NULL, NULL) -> 'items') x
$$;
SELECT t.pipe('back', '{a}') ->> 'version' AS first, t.pipe('back', '{b}') ->> 'version' AS second \gset
SELECT t.pipe('back', '{b}') \g /dev/null
SELECT is(pg_temp.history('back'), format('%s owner, %s owner', :'second', :'first'), 'the same again is no deployment');
SELECT is((SELECT concat_ws(' ', j ->> 'version', j ->> 'created', j ->> 'changed') FROM api.pipe_deploy(t.h('editor'), 'default', 'back', :'first') j),
          :'first' || ' false true', 'an earlier version is current again');
SELECT is(api.pipe_get(t.h('viewer'), 'default', 'back', NULL) ->> 'version', :'first', 'as everybody sees');
SELECT is(api.pipe_deploy(t.h('editor'), 'default', 'back', :'first') ->> 'changed', 'false', 'twice changes nothing');
SELECT is(pg_temp.history('back'), format('%s editor, %s owner, %s owner', :'first', :'second', :'first'), 'all of it is kept');
SELECT t.pipe('back', '{b}') \g /dev/null
SELECT is((api.pipe_history(t.h('viewer'), 'default', 'back', 1, NULL) #>> '{items,0,version}'), :'second', 'and what was deployed again, too');
SELECT throws_ok(format($$SELECT api.pipe_deploy(t.h('editor'), 'default', 'back', %L)$$, v), s, w, w)
  FROM (VALUES ('0123456789abcdef', 'ZF404', 'Pipe "back" has no version "0123456789abcdef".'), (NULL, 'ZF400', 'Member "version" is missing.')) x (v, s, w);
SELECT throws_ok($$SELECT api.pipe_deploy(t.h('operator'), 'default', 'back', 'x')$$, 'ZF403', NULL, 'an operator deploys nothing');
SELECT throws_ok($$SELECT api.pipe_history(t.h('viewer'), 'default', 'nowhere', NULL, NULL)$$, 'ZF404', NULL, 'of no pipe there is no history');
-- Many at once.
CREATE FUNCTION pg_temp.many(VARIADIC p_pipes text[]) RETURNS jsonb LANGUAGE sql AS $$ -- 'name version'
        SELECT jsonb_build_object('pipes', jsonb_agg(jsonb_build_object('pipe', split_part(p, ' ', 1), 'version', lpad(split_part(p, ' ', 2), 16, '0'),
                                                                        'spec', t.spec('{a}'), 'source', 'text of ' || p)))
          FROM unnest(p_pipes) p
$$;
SELECT is(jsonb_path_query_array(api.pipe_put_many(t.h('editor'), 'default', pg_temp.many('m2 1', 'm1 1'))::jsonb, '$.items[*].created'),
          '[true, true]', 'several pipes are deployed at once');
SELECT is((SELECT string_agg(concat_ws(' ', i ->> 'pipe', i ->> 'created', i ->> 'changed', i ? 'source'), ', ' ORDER BY n)
             FROM json_array_elements(api.pipe_put_many(t.h('editor'), 'default', pg_temp.many('m2 2', 'm1 1')) -> 'items') WITH ORDINALITY x (i0, n),
                  LATERAL (SELECT i0::jsonb AS i) y),
          'm1 false false f, m2 true true f', 'each says what came of it, by name');
SELECT is(api.pipe_get(t.h('viewer'), 'default', 'm2', NULL) ->> 'source', 'text of m2 2', 'as if it came alone');
SELECT is(t.error($$SELECT api.pipe_put_many(t.h('editor'), 'default', pg_temp.many('m1 2', 'M 1'))$$), 'ZF400 bad-name', 'one that is wrong');
SELECT is(api.pipe_get(t.h('viewer'), 'default', 'm1', NULL) ->> 'version', '0000000000000001', 'keeps all others away');
SELECT is(t.error($$SELECT api.pipe_put_many(t.h('editor'), 'default', pg_temp.many(VARIADIC array_fill('m 1'::text, ARRAY[101])))$$), 'ZF400 bad-request', 'a hundred are the most');
SELECT * FROM finish();
