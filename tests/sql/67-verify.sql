-- What the fleet says to a pipe before it is deployed.
SET search_path = tap, public;
SELECT no_plan();

CREATE FUNCTION pg_temp.ask(p_more jsonb DEFAULT '{}', p_spec jsonb DEFAULT t.selector('{"zone": "a"}'), p_agent text DEFAULT NULL, p_limit int DEFAULT 100,
                            p_after text DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
        SELECT api.pipe_verify(t.h('viewer'), 'default', jsonb_build_object('pipe', 'd', 'version', repeat('a', 16), 'spec', t.spec('{a,b<a}', p_spec), 'source', 'text',
                               'needs', '[]'::jsonb) || p_more, p_agent, p_limit, p_after)::jsonb
$$;
CREATE FUNCTION pg_temp.of(p jsonb, p_agent text) RETURNS text LANGUAGE sql AS $$
        SELECT (e ->> 'code') || ': ' || regexp_replace(e ->> 'verdict', '\d{4}-\d\d-\d\dT[0-9:.]+Z', 'THEN') FROM jsonb_array_elements(p -> 'items') e WHERE e ->> 'agent' = p_agent
$$;
CREATE FUNCTION pg_temp.summary(p jsonb) RETURNS text LANGUAGE sql AS $$
        SELECT string_agg(format('%s %s %s', e ->> 'code', e ->> 'agents', e ->> 'instances'), ', ' ORDER BY n) FROM jsonb_array_elements(p -> 'summary') WITH ORDINALITY x (e, n)
$$;
CREATE FUNCTION pg_temp.refusal(p_sql text) RETURNS text LANGUAGE sql AS $$ SELECT t.error('SELECT pg_temp.ask(' || p_sql || ')') $$;

SELECT is(pg_temp.ask() ->> 'possible', 'false', 'nobody is there');
SELECT is(pg_temp.ask() -> 'summary', '[]', 'of whom to say anything');

SELECT api.agent_create(t.h('owner'), '{"name": "new", "labels": {"zone": "a"}}'), api.agent_create(t.h('owner'), '{"name": "stream", "type": "streaming"}') \g /dev/null
SELECT t.agent('far', 2, '{"zone": "b"}'), t.agent('full', 1, '{"zone": "a"}'), t.agent('ready', 2, '{"zone": "a"}'), t.agent('old', 2, '{"zone": "a"}'),
       t.agent('small', 2, '{"zone": "a"}'), t.agent('drains', 2, '{"zone": "a"}'), t.agent('never', 2, '{"zone": "a"}') \g /dev/null
UPDATE sluice.instance SET memory_bytes = CASE id WHEN t.id('small') THEN 96 ELSE 1024 END * 1024 * 1024, systemd = CASE id WHEN t.id('old') THEN '249.11-0ubuntu3' ELSE '252.39-1~deb12u1' END
 WHERE id <> t.id('never');
SELECT t.sync('full') \g /dev/null
SELECT t.pipe('holder', '{a}', t.selector('{"zone": "a"}')), t.run('holder') \g /dev/null
SELECT t.sync(n) FROM unnest(ARRAY['far', 'ready', 'old', 'small']) n \g /dev/null
SELECT t.sync('drains', '[]', '{"draining": true}') \g /dev/null

-- A task wants 64M, another one 128M: what runs them has room for either.
SELECT t.selector('{"zone": "a"}') || jsonb_build_object('tasks', t.spec('{a}') -> 'tasks' || '[{"name": "b", "directives": [["ExecStart", "/b"], ["MemoryMax", "128M"]]}]') AS spec \gset
SELECT pg_temp.ask('{"needs": [{"directive": "OpenFile", "since": 253}, {"directive": "LogFilterPatterns", "since": 253}, {"directive": "X", "since": 250}]}', :'spec') AS v \gset
SELECT is(pg_temp.of(:'v', n), want, n) FROM (VALUES
        ('ready', 'systemd: its systemd 252 is too old for LogFilterPatterns= (since 253), OpenFile= (since 253)'),
        ('old', 'systemd: its systemd 249 is too old for LogFilterPatterns= (since 253), OpenFile= (since 253), X= (since 250)'),
        ('never', 'not-connected: is not connected since THEN: it has enrolled and never connected'),
        ('new', 'never-connected: has never connected'),
        ('far', 'labels: has other labels than zone=a (it has zone=b)'),
        ('stream', 'type: is of type streaming, not batch')) w (n, want);
SELECT is(:'v'::jsonb ->> 'possible', 'true', 'one of which nothing is known may be new enough');
SELECT pg_temp.ask('{"needs": [{"directive": "X", "since": 250}]}', :'spec') AS v \gset
SELECT is(pg_temp.of(:'v', n), want, n) FROM (VALUES
        ('ready', 'ready: can take it'),
        ('old', 'systemd: its systemd 249 is too old for X= (since 250)'),
        ('small', 'too-small: its memory of 96M is less than MemoryMax= of 128M'),
        ('drains', 'draining: is draining')) w (n, want);
SELECT matches(pg_temp.of(:'v', 'full'), '^slots: its 1 slots are taken by ', 'full');
SELECT is(pg_temp.summary(:'v'), 'draining 1 1, not-connected 1 1, ready 1 1, slots 1 1, never-connected 1 0, systemd 1 1, too-small 1 1, unsuited 2 1', 'in sum');
SELECT is(:'v'::jsonb #>> '{summary,2,example}', 'ready', 'with an example of each');
SELECT is((SELECT count(*) FROM sluice.demand WHERE memory_bytes = 128 * 1024 * 1024), 0::int8, 'nothing of it is kept');
SELECT is((SELECT string_agg(e ->> 'agent', ' ' ORDER BY n) FROM jsonb_array_elements(:'v'::jsonb -> 'items') WITH ORDINALITY x (e, n)),
          'drains full never new old ready small far stream', 'those that suit come first');
SELECT is((SELECT bool_and(e ->> 'code' = 'too-small') FROM jsonb_array_elements(pg_temp.ask('{}', '{"tasks": [{"name": "b", "directives": [["ExecStart", "/b"], ["MemoryMax", "2G"]]}]}') -> 'items') e
            WHERE e ->> 'agent' IN ('ready', 'full', 'drains')), true, 'what can never change comes before what may');
SELECT is(pg_temp.ask(p_spec => t.selector('{"zone": "c"}')) ->> 'possible', 'false', 'where no labels suit nothing is possible');
SELECT is(pg_temp.ask(p_spec => '{"type": "streaming", "tasks": [{"name": "a", "directives": [["ExecStart", "/a"]]}]}') ->> 'possible', 'true', 'a streaming pipe wants streaming agents');

SELECT is(pg_temp.of(pg_temp.ask('{}', t.selector('{"zone": "a"}') || '{"tasks": [{"name": "a", "directives": [["ExecStart", "/a"], ["MemoryMax", "10%"]]},
                                                                                     {"name": "b", "directives": [["ExecStart", "/b"], ["MemoryMax", "128M"]]}]}'), 'small'),
          'too-small: its memory of 96M is less than MemoryMax= of 128M', 'of several tasks the one that asks most decides');

-- One agent; pages.
SELECT is(pg_temp.summary(pg_temp.ask(p_agent => 'far')), 'unsuited 1 1', 'of one agent');
SELECT is(pg_temp.ask(p_agent => 'far') ->> 'possible', 'false', 'what is possible is so for it');
SELECT is(pg_temp.refusal('p_agent => ''nobody'''), 'ZF404 agent-not-found', 'that there is');
SELECT pg_temp.ask(p_limit => 4) AS p1 \gset
SELECT pg_temp.ask(p_limit => 4, p_after => :'p1'::jsonb ->> 'next') AS p2 \gset
SELECT pg_temp.ask(p_limit => 4, p_after => :'p2'::jsonb ->> 'next') AS p3 \gset
SELECT is((SELECT string_agg(e ->> 'agent', ' ' ORDER BY p, n) FROM (VALUES (1, :'p1'::jsonb), (2, :'p2'::jsonb), (3, :'p3'::jsonb)) v (p, j) CROSS JOIN LATERAL jsonb_array_elements(j -> 'items') WITH ORDINALITY x (e, n)),
          'drains full never new old ready small far stream', 'page by page');
SELECT is(:'p3'::jsonb ->> 'next', NULL, 'to the end');
SELECT is(:'p2'::jsonb ? 'summary', false, 'the sum is on the first');

-- Versions.
SELECT is(pg_temp.ask() -> 'current', 'null', 'a pipe that is not there');
SELECT api.pipe_put(t.h('owner'), 'default', 'd', repeat('b', 16), t.spec('{a}'), 'x'), api.pipe_put(t.h('owner'), 'default', 'd', repeat('c', 16), t.spec('{a}'), 'x') \g /dev/null
SELECT is((pg_temp.ask() ->> 'current') || (pg_temp.ask() ->> 'known'), 'ccccccccccccccccfalse', 'another version is current');
SELECT is(pg_temp.ask('{"version": "bbbbbbbbbbbbbbbb"}') ->> 'known', 'true', 'this one was');
SELECT is((SELECT count(*) FROM sluice.pipe_version WHERE pipe = 'd'), 2::int8, 'asking makes none');

-- Values.
SELECT api.project_set(t.h('admin'), 'default', '{"parameters": {"n": "7", "day": "never", "other": "x"}}') \g /dev/null
SELECT pg_temp.ask(p_spec => '{"parameters": [{"name": "n", "type": "integer", "required": true}, {"name": "m", "required": true}, {"name": "k", "default": "5"}]}') AS v \gset
SELECT is(:'v'::jsonb -> 'parameters', '[{"name": "n", "value": "7", "origin": "project", "required": true}, {"name": "m", "value": "", "origin": "unset", "required": true},
          {"name": "k", "value": "5", "origin": "pipe", "required": false}]', 'values come from the project, and what a run has to say is no error');
SELECT is(:'v'::jsonb -> 'errors', '[]', 'as long as they fit');
SELECT is(pg_temp.ask(p_spec => '{"parameters": [{"name": "day", "type": "date"}]}') -> 'errors',
          '["Parameter \"day\" (of the project): \"never\": a date such as 2024-02-29, or today, yesterday or tomorrow is expected."]', 'else they are');
SELECT is(pg_temp.ask(p_spec => '{"parameters": [{"name": "m", "required": true}], "schedules": [{"name": "s", "cron": ["@daily"]}, {"name": "t", "cron": ["@daily"], "parameters": ["m=1"]}]}') -> 'errors',
          '["Schedule \"s\": Parameter \"m\": it needs a value: say Parameter=m=VALUE."]', 'a schedule that does not say what has to be said');

-- Tasks that are placed by themselves.
SELECT pg_temp.ask(p_spec => jsonb_build_object('tasks', jsonb_build_array('{"name": "a", "directives": [["ExecStart", "/bin/true"]]}'::jsonb,
                        '{"name": "b", "directives": [["ExecStart", "/bin/true"]]}'::jsonb || t.selector('{"nobody": "has"}'),
                        '{"name": "c", "run_on_all": [], "directives": [["ExecStart", "/bin/true"], ["MemoryMax", "1T"]]}'::jsonb))) AS v \gset
SELECT is(:'v'::jsonb -> 'errors', '["Task \"b\": no agent suits it."]', 'one that nobody suits is an error');
SELECT is(jsonb_path_query_array(:'v'::jsonb, '$.apart[*].task'), '["b", "c"]', 'each is told');
SELECT is(:'v'::jsonb ->> 'possible', 'true', 'agents are judged by what shares a host');

-- What cannot be deployed.
SELECT is(pg_temp.refusal($$p_spec => '{"schedules": [{"name": "s", "cron": ["@daily"], "time_zone": "Mars/Base"}]}'$$), 'ZF400 unknown-time-zone', 'a time zone that the database does not know');
SELECT is(pg_temp.refusal($$'{"version": "x"}'$$), 'ZF400 bad-version', 'no version');
SELECT is(t.error($$SELECT api.pipe_verify('', 'default', '{}', NULL, NULL, NULL)$$), 'ZF401 unauthenticated', 'who asks');
SELECT is(t.error($$SELECT api.pipe_verify(t.h('viewer'), 'other', '{"pipe": "a", "version": "b"}', NULL, NULL, NULL)$$), 'ZF404 project-not-found', 'and of which project');
SELECT * FROM finish();
