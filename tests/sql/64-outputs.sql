-- Outputs of tasks: kept with the attempt, given to later tasks that refer to them, refused when they look like a secret.
SET search_path = tap, public;
SELECT no_plan();
SELECT t.agent('one', 8) \g /dev/null
SELECT t.sync('one') \g /dev/null
SELECT t.pipe('flow', '{x}', '{"tasks": [
        {"name": "a", "after": [], "directives": [["ExecStart", "/bin/a"]]}, {"name": "b", "after": ["a"], "directives": [["ExecStart", "/bin/b ${a.rows} ${a.none}"]]},
        {"name": "c", "after": ["b"], "directives": [["ExecStart", "/bin/c \\x41"]]}]}') \g /dev/null
CREATE FUNCTION pg_temp.good(p_run uuid, p_task text, p_output jsonb) RETURNS jsonb LANGUAGE sql AS $$
        SELECT t.success((t.attempt(p_run, p_task)).id) || jsonb_build_object('output', p_output)
$$;
CREATE FUNCTION pg_temp.digest(p_run uuid) RETURNS text LANGUAGE sql AS $$
        SELECT md5(string_agg(a::text, ' ' ORDER BY a.id) || (SELECT string_agg(k::text, ' ' ORDER BY k.position) FROM sluice.task k WHERE k.run = p_run)
                   || (SELECT r::text FROM sluice.run r WHERE r.id = p_run) || (SELECT count(*) FROM sluice.evidence))
          FROM sluice.attempt a WHERE a.run = p_run
$$;

SELECT t.run('flow') AS r \gset
SELECT t.events('one', pg_temp.good(:'r', 'a', '{"rows": "5", "note": "x\ny", "other": "z"}')) AS answer \gset
SELECT is((t.attempt(:'r', 'a')).output, '{"rows": "5", "note": "x\ny", "other": "z"}', 'it is kept');
SELECT is(t.get(:'r') #> '{tasks,0,attempts,0,output}', '{"rows": "5", "note": "x\ny", "other": "z"}', 'and shown');
SELECT is((t.attempt(:'r', 'a')).cpu_usage_usec, 1500::int8, 'with the rest of the report');
SELECT is(:'answer'::jsonb #> '{start,0,outputs}', '{"a.rows": "5"}', 'what the next task refers to comes with it');
SELECT is(:'answer'::jsonb #> '{start,0,directives,0}', '["Substitute", "yes"]', 'to be put in');
SELECT pg_temp.digest(:'r') AS before \gset
SELECT t.events('one', pg_temp.good(:'r', 'a', '{"rows": "6"}'), pg_temp.good(:'r', 'a', '{"rows": "5", "note": "x\ny", "other": "z"}')) \g /dev/null
SELECT is(pg_temp.digest(:'r'), :'before', 'said again, also otherwise, it changes nothing');
SELECT t.events('one', pg_temp.good(:'r', 'b', '{}')) AS answer \gset
SELECT is((t.attempt(:'r', 'b')).output, '{}', 'an empty one');
SELECT is(:'answer'::jsonb #> '{start,0,outputs}', '{"a.note": "x\ny", "a.rows": "5", "a.other": "z"}', 'all of it where an escape hides who refers to what');
SELECT t.events('one', t.success((t.attempt(:'r', 'c')).id)) \g /dev/null
SELECT is(t.tasks(:'r'), 'a:succeeded b:succeeded c:succeeded', 'none at all');

-- What a task has left is there when the rest is done again, and again.
CREATE FUNCTION pg_temp.offered(p_run uuid) RETURNS jsonb LANGUAGE sql AS $$
        SELECT s -> 'outputs' FROM jsonb_array_elements(t.sync('one')::jsonb -> 'start') s WHERE s ->> 'run' = p_run::text
$$;
SELECT api.run_rerun(t.h('operator'), :'r', '{"from": ["b"]}', NULL) ->> 'run' AS again \gset
SELECT is(pg_temp.offered(:'again'), '{"a.rows": "5"}', 'a rerun has the outputs of what it passes over');
SELECT t.events('one', t.failure((t.attempt(:'again', 'b')).id)) \g /dev/null
SELECT api.run_rerun(t.h('operator'), :'again', '{}', NULL) ->> 'run' AS third \gset
SELECT is(pg_temp.offered(:'third'), '{"a.rows": "5"}', 'and so has the next');
SELECT t.events('one', t.failure((t.attempt(:'third', 'b')).id)) \g /dev/null

-- A task whose output is refused has failed, however often it says so.
CREATE FUNCTION pg_temp.refused(p_output jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
        v_run uuid := t.run('flow');
        v_once text;
        v_again text;
BEGIN
        PERFORM t.events('one', pg_temp.good(v_run, 'a', p_output));
        v_once := pg_temp.digest(v_run);
        PERFORM t.events('one', pg_temp.good(v_run, 'a', p_output));
        v_again := pg_temp.digest(v_run);
        RETURN (SELECT concat_ws(' ', t.tasks(v_run), x.outcome, x.exit_status, coalesce(x.output::text, '-'), x.reason, CASE WHEN v_again <> v_once THEN 'CHANGED' END)
                  FROM t.attempt(v_run, 'a') x);
END
$$;
SELECT is(pg_temp.refused('{"x": "1", "y": "AKIAIOSFODNN7EXAMPLE"}'),
          'a:failed b:skipped c:skipped output 0 - Its $SLUICE_OUTPUT does not count: y looks like an AWS access key; secrets are given to a task with LoadCredential=, from a file of the host.', 'a secret');
SELECT alike(pg_temp.refused('{"API_TOKEN": "1"}'), 'a:failed b:skipped c:skipped output 0 - %API_TOKEN looks like the name of a secret;%', 'a name of one');

-- Only of what succeeded, whatever an agent says.
SELECT t.pipe('any', '{x}', '{"tasks": [{"name": "a", "after": [], "directives": [["ExecStart", "/bin/a"]]},
        {"name": "b", "after": [], "after_any": ["a"], "directives": [["ExecStart", "/bin/b ${a.rows}"]]}]}') \g /dev/null
SELECT t.run('any') AS r \gset
SELECT t.events('one', t.failure((t.attempt(:'r', 'a')).id) || '{"output": {"rows": "5"}}') AS answer \gset
SELECT is(:'answer'::jsonb #> '{start,0,outputs}', 'null', 'what failed gives nothing');

-- What no agentd sends.
SELECT is(t.error(format('SELECT t.events(''one'', pg_temp.good(%L, ''a'', %L))', :'r', output)), 'ZF400 bad-request', left(output, 40)) FROM unnest(ARRAY[
        '[]', '"x"', '{"a b": "1"}', '{"1a": "1"}', '{"a": 1}', '{"a": {}}', jsonb_build_object('a', repeat('x', 65537))::text,
        (SELECT jsonb_object_agg('k' || n, '') FROM generate_series(1, 257) n)::text]) output;

-- Of a run there is a bound.
SELECT t.pipe('many', '{x}', (SELECT jsonb_build_object('tasks', jsonb_agg(jsonb_build_object('name', 't' || n, 'after', CASE WHEN n = 1 THEN '[]'::jsonb ELSE jsonb_build_array('t' || n - 1) END,
                'directives', '[["ExecStart", "/bin/true"]]'::jsonb) ORDER BY n)) FROM generate_series(1, 9) n)) \g /dev/null
SELECT t.run('many') AS r \gset
SELECT t.events('one', pg_temp.good(:'r', 't' || n, jsonb_build_object('x', repeat('x', 65000)))) FROM generate_series(1, 9) n \g /dev/null
SELECT is((SELECT string_agg(outcome, ' ' ORDER BY id) FROM sluice.attempt WHERE run = :'r'), 'success success success success success success success success output', 'half a MiB');

-- Specifiers are put in on the host, too.
SELECT is(sluice.task_has_specifiers(d::jsonb), w, d)
  FROM (VALUES ('[["ExecStart", "/bin/echo %H"]]', true), ('[["ExecStart", "/bin/echo 100%%"]]', true), ('[["ExecStart", "/bin/echo 100%"], ["CPUQuota", "50%"]]', false)) v (d, w);

SELECT finish();

