-- Parameters: what their values may be, which layer's counts, what is refused, and what the agent is told.
SET search_path = tap, public;
\set patterns `cat "$SLUICE_PATTERNS"`
SELECT no_plan();

-- Regular expressions mean what they mean to common/pattern.c, whose test has the same table; what that refuses is not asked here.
CREATE TEMP TABLE pattern AS
SELECT split_part(l, E'\t', 1) AS pattern, split_part(l, E'\t', 2) AS value, split_part(l, E'\t', 3) AS matches
  FROM string_to_table(:'patterns', E'\n') l WHERE l <> '';
SELECT ok((SELECT count(*) > 50 FROM pattern), 'there are patterns');
SELECT is(value ~ pattern COLLATE "C", matches = '1', format('"%s" on "%s"', pattern, value)) FROM pattern WHERE matches <> 'x';

CREATE FUNCTION pg_temp.rule(p_rule jsonb, p_value text) RETURNS text LANGUAGE sql AS $$
        SELECT coalesce(sluice.parameter_objection('{"name": "x"}' || p_rule, p_value, '2024-03-01 00:30Z', 'UTC'), 'good')
$$;
SELECT is(pg_temp.rule(jsonb_build_object('type', type), value) = 'good', good, format('%s: %s', type, value)) FROM (VALUES
        ('integer', '-1', true), ('integer', '007', true), ('integer', '1.0', false), ('integer', '9999999999999999999', false),
        ('number', '-1.50', true), ('number', '1.', false), ('number', 'NaN', false), ('number', 'Infinity', false),
        ('boolean', 'true', true), ('boolean', 'yes', false),
        ('date', '2024-02-29', true), ('date', '2023-02-29', false), ('date', '0000-01-01', false), ('date', 'now', false),
        ('datetime', '2024-02-29T23:59:59.5+14:00', true), ('datetime', '2024-02-30T00:00:00Z', false), ('datetime', '2024-02-29T24:00:00Z', false),
        ('datetime', '2024-02-29T00:00:60Z', false), ('datetime', 'epoch', false), ('string', E'any\n\ttext', true)) v (type, value, good);
SELECT is(pg_temp.rule('{"type": "integer", "minimum": "1", "maximum": "3"}', '4'), '"4" is above Maximum=3', 'a limit');
SELECT is(pg_temp.rule('{"type": "number", "minimum": "1.5"}', '1.49'), '"1.49" is below Minimum=1.5', 'another');
SELECT is(pg_temp.rule('{"type": "date", "maximum": "today"}', '2024-03-02'), '"2024-03-02" is above Maximum=today', 'a limit that moves');
SELECT is(pg_temp.rule('{"type": "datetime", "minimum": "2024-01-01T00:00:00Z"}', '2024-01-01T00:30:00+01:00'),
          '"2024-01-01T00:30:00+01:00" is below Minimum=2024-01-01T00:00:00Z', 'times are compared, not texts');
SELECT is(pg_temp.rule('{"type": "enum", "values": ["a", "b"]}', 'c'), '"c" is not one of a, b', 'one of several');
SELECT is(pg_temp.rule('{"type": "list", "values": ["a", "b"]}', 'b,a,c'), '"c" is not one of a, b', 'each of a list');
SELECT is(pg_temp.rule('{"type": "list", "pattern": "^.$"}', ''), 'good', 'an empty list');
SELECT is(pg_temp.rule('{"pattern": "^a"}', E'b\nc'), '"b?c" does not match Pattern=^a', 'said in one line');
SELECT is(pg_temp.rule('{}', repeat('x', 4097)), 'it is longer than 4096 bytes', 'too long');
SELECT unalike(pg_temp.rule('{"pattern": "^x"}', 'postgres://me:hunter2@db/x'), '%hunter2%', 'a secret is not repeated');
SELECT alike(pg_temp.rule('{}', value), 'it looks like%LoadCredential=%', left(value, 20)) FROM unnest(ARRAY[
        '-----BEGIN PRIVATE KEY-----', 'AKIAIOSFODNN7EXAMPLE', 'postgres://me:hunter2@db/x', 'password=x', 'sluice_ak_' || repeat('x', 43)]) value;

-- Days, and the days that they are, where the run is due.
SELECT is(sluice.parameter_day('date', 'yesterday', '2024-03-01 00:30Z', 'UTC'), '2024-02-29', 'yesterday');
SELECT is(sluice.parameter_day('date', 'today', '2024-03-01 00:30Z', 'America/New_York'), '2024-02-29', 'today, where it is still February');
SELECT is(sluice.parameter_day('datetime', 'tomorrow', '2024-03-30 12:00Z', 'Europe/London'), '2024-03-31T00:00:00Z', 'midnight');
SELECT is(sluice.parameter_day('datetime', 'today', '2024-06-01 12:00Z', 'Europe/London'), '2024-05-31T23:00:00Z', 'in its zone');
SELECT is(sluice.parameter_day('string', 'today', now(), 'UTC'), 'today', 'only of days');
SELECT is(sluice.parameter_day(NULL, 'today', now(), 'UTC'), 'today', 'said to be so');

-- Layers.
SELECT t.pipe('orders', '{a,b<a}', '{"parameters": [
        {"name": "day", "type": "date", "default": "yesterday", "pattern": "^\\d{4}-\\d{2}-\\d{2}$"}, {"name": "region"}, {"name": "n", "type": "integer", "required": true},
        {"name": "mode", "type": "enum", "values": ["full", "delta"], "default": "delta"}]}') \g /dev/null
SELECT t.pipe('plain', '{a}') \g /dev/null
CREATE FUNCTION pg_temp.run(p_parameters jsonb, p_key text DEFAULT NULL) RETURNS json LANGUAGE sql AS $$
        SELECT api.run_create(t.h('operator'), 'default', 'orders', NULL, p_key, p_parameters)
$$;
CREATE FUNCTION pg_temp.words(p_sql text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
        EXECUTE p_sql;
        RETURN 'none';
EXCEPTION
        WHEN SQLSTATE 'ZF400' THEN
                RETURN SQLERRM;
END
$$;
CREATE FUNCTION pg_temp.values(p_run json) RETURNS text LANGUAGE sql AS $$
        SELECT string_agg(format('%s=%s(%s)', e ->> 'name', e ->> 'value', e ->> 'origin'), ' ') FROM json_array_elements(p_run -> 'parameters') e
$$;

SELECT is(pg_temp.words($$SELECT pg_temp.run(NULL)$$), 'Parameter "n": it needs a value: say --param n=VALUE.', 'what is required');
SELECT pg_temp.run('{"n": "1"}') AS run \gset
SELECT is(pg_temp.values(:'run'), format('day=%s(pipe) region=(unset) n=1(run) mode=delta(pipe)', to_char((now() AT TIME ZONE 'UTC')::date - 1, 'YYYY-MM-DD')),
          'each with its origin, in the order of the file');
SELECT is((SELECT parameters FROM sluice.run WHERE id = (:'run'::json ->> 'run')::uuid)::text, :'run'::jsonb ->> 'parameters', 'and kept');
SELECT is(api.run_explain(t.h('viewer'), (:'run'::json ->> 'run')::uuid) ->> 'parameters', :'run'::jsonb ->> 'parameters', 'and explained');
SELECT is(t.get((:'run'::json ->> 'run')::uuid) ->> 'parameters', :'run'::jsonb ->> 'parameters', 'and shown');
SELECT is(pg_temp.words($$SELECT pg_temp.run('{"n": "x", "dya": "1", "mode": "all", "region": "ghp_012345678901234567890123456789012345", "day": "2024-02-30"}')$$),
          E'Parameter "day": "2024-02-30": a date such as 2024-02-29, or today, yesterday or tomorrow is expected.\n'
          'Parameter "region": it looks like a GitHub token; secrets are given to a task with LoadCredential=, from a file of the host.\n'
          'Parameter "n": "x": a whole number of at most 18 digits is expected.\n'
          'Parameter "mode": "all" is not one of full, delta.\n'
          'This pipe has no parameter "dya"; did you mean "day"?', 'all that is wrong at once');
SELECT is(pg_temp.words($$SELECT api.run_create(t.h('operator'), 'default', 'plain', NULL, NULL, '{"x": "1"}')$$), 'This pipe has no parameter "x".', 'of a pipe without any');
SELECT is(t.error($$SELECT pg_temp.run('{"n": 1}')$$), 'ZF400 bad-request', 'values are texts');
SELECT is(t.error($$SELECT pg_temp.run('[]')$$), 'ZF400 bad-request', 'of an object');

SELECT is(t.error($$SELECT api.project_set(t.h('editor'), 'default', '{"parameters": {"region": "eu"}}')$$), 'ZF403 forbidden', 'a project''s are not for everybody to set');
SELECT is(api.project_set(t.h('admin'), 'default', '{"parameters": {"region": "eu", "mode": "full", "n": "7", "other": "x"}}') ->> 'parameters',
          '{"n": "7", "mode": "full", "other": "x", "region": "eu"}', 'of a project');
SELECT is(api.project_set(t.h('admin'), 'default', '{"parameters": {"other": null}}') ->> 'parameters', '{"n": "7", "mode": "full", "region": "eu"}', 'taken away');
SELECT is(pg_temp.words($$SELECT api.project_set(t.h('admin'), 'default', '{"parameters": {"X": "1", "a_secret": "1", "y": 2}}')$$),
          E'"X" is not a parameter name.\nParameter "a_secret" looks like the name of a secret; secrets are given to a task with LoadCredential=, from a file of the host.\n'
          'Parameter "y": text is expected.', 'all that is wrong');
SELECT alike(pg_temp.values(pg_temp.run(NULL)), '% region=eu(project) n=7(project) mode=delta(pipe)', 'a pipe''s Default= comes before the project''s');
SELECT is((sluice.parameters_resolve(v.spec, '{"region": "eu", "n": "7"}', '{"schedule": {"day": "today", "n": "8"}, "run": {"n": "9"}, "at": "2024-03-01T00:30:00Z", "zone": "America/New_York"}')).parameters::text,
          '[{"name": "day", "value": "2024-02-29", "origin": "schedule"}, {"name": "region", "value": "eu", "origin": "project"}, '
          '{"name": "n", "value": "9", "origin": "run"}, {"name": "mode", "value": "delta", "origin": "pipe"}]', 'a schedule''s, and the day where it is due')
  FROM sluice.pipe_version v WHERE pipe = 'orders';
SELECT is((sluice.parameters_resolve(v.spec, '{}', '{"schedule": {"n": "x", "m": "1"}}')).errors,
          ARRAY['Parameter "n" (of the schedule): "x": a whole number of at most 18 digits is expected.', 'This pipe has no parameter "m"; did you mean "n"?'],
          'what is wrong with a schedule''s') FROM sluice.pipe_version v WHERE pipe = 'orders';
SELECT api.project_set(t.h('admin'), 'default', '{"parameters": {"n": "x"}}') \g /dev/null
SELECT alike(pg_temp.words($$SELECT pg_temp.run(NULL)$$), 'Parameter "n" (of the project): "x": %', 'or a project''s');

-- Idempotency keys: the same values are the same request.
SELECT pg_temp.run('{"n": "1", "region": "us"}', 'k') ->> 'run' AS r \gset
SELECT is(pg_temp.run('{"region": "us", "n": "1"}', 'k') ->> 'run', :'r', 'the same key and values');
SELECT is(t.error($$SELECT pg_temp.run('{"n": "2", "region": "us"}', 'k')$$), 'ZF409 idempotency-key-reused', 'the same key and other values');
SELECT is(t.error($$SELECT pg_temp.run(NULL, 'k')$$), 'ZF409 idempotency-key-reused', 'or none');
SELECT t.error($$SELECT pg_temp.run(NULL, 'failed')$$) \g /dev/null
SELECT isnt(pg_temp.run('{"n": "1"}', 'failed') ->> 'run', NULL, 'a key of what was refused is still free');

-- Many at once.
SELECT is(pg_temp.words($$SELECT api.run_create_many(t.h('operator'), 'default', '{"runs": [{"pipe": "orders", "parameters": {"n": "1"}}, {"pipe": "orders", "parameters": {"n": "y"}}]}', NULL)$$),
          'Parameter "n": "y": a whole number of at most 18 digits is expected.', 'all of many, or none');
SELECT api.run_create_many(t.h('operator'), 'default', '{"runs": [{"pipe": "orders", "parameters": {"n": "1", "day": "2024-01-01"}}, {"pipe": "plain"},
                        {"pipe": "orders", "parameters": {"n": "2", "day": "2024-01-02"}}]}', NULL) AS many \gset
SELECT is((SELECT string_agg(pg_temp.values(api.run_get(t.h('viewer'), (r ->> 'run')::uuid, NULL)), ' / ' ORDER BY n)
             FROM json_array_elements(:'many'::json -> 'items') WITH ORDINALITY x (r, n)),
          'day=2024-01-01(run) region=eu(project) n=1(run) mode=delta(pipe) / day=2024-01-02(run) region=eu(project) n=2(run) mode=delta(pipe)', 'each its own');
SELECT bag_eq($$SELECT request, pg_temp.values(answer) FROM api.run_create_batch(t.h('operator') || t.h('operator') || t.h('operator') || t.h('operator'), '[
                {"project": "default", "body": {"pipe": "orders", "parameters": {"n": "3", "day": "2024-01-03"}}}, {"project": "default", "body": {"pipe": "orders"}},
                {"project": "default", "body": {"pipe": "plain"}}, {"project": "default", "body": {"pipe": "plain", "parameters": {"x": "1"}}}]')$$,
              $$VALUES (1, 'day=2024-01-03(run) region=eu(project) n=3(run) mode=delta(pipe)'), (3, NULL)$$, 'what would fail is left to be made alone');

-- What the agent is told.
SELECT t.pipe('told', '{a}', '{"parameters": [{"name": "x", "default": "a b"}, {"name": "y"}]}') \g /dev/null
DELETE FROM sluice.queue;
SELECT t.agent('one', 4) \g /dev/null
SELECT t.run('told') AS r \gset
SELECT is((t.sync('one') #> '{start,0}')::jsonb - '{attempt,run,epoch}'::text[],
          '{"project": "default", "pipe": "told", "task": "a", "fence": true, "streaming": false, "variables": null, "parameters": {"x": "a b", "y": ""}, "outputs": null,
            "directives": [["Substitute", "yes"], ["ExecStart", "/bin/a"], ["MemoryMax", "64M"]]}', 'values, and that they are to be put in');

SELECT is(sluice.task_refers(jsonb_build_array(jsonb_build_array('ExecStart', value))), refers, value) FROM (VALUES
        ('/bin/x ${HOME} $x.y ${x}', false), ('/bin/x ${a.rows}', true), ('/bin/x ${a-1.rows}', true), ('/bin/x \x24{a.rows}', true)) v (value, refers);

-- What is deployed.
SELECT is(t.error(format('SELECT t.pipe(''bad'', ''{a}'', %L)', spec)), 'ZF400 ' || slug, spec) FROM (VALUES
        ('{"parameters": [{"name": "X"}]}', 'bad-spec'), ('{"parameters": [{"name": "x"}, {"name": "x"}]}', 'bad-spec'), ('{"parameters": [{}]}', 'bad-spec'),
        ('{"parameters": [{"name": "x", "type": "y"}]}', 'bad-request'), ('{"parameters": [{"name": "x", "pattern": "("}]}', 'bad-spec'),
        ('{"parameters": {}}', 'bad-request'), ('{"type": "streaming", "parameters": [{"name": "x"}]}', 'bad-spec')) v (spec, slug);

SELECT finish();
