-- Every member of every request, with every wrong type: ZF400 and a sentence, never a cast error and never
-- an effect.
SET search_path = tap, public;
SELECT no_plan();
SELECT t.agent('one') \g /dev/null

-- A good request for each function, and what each member must be.
CREATE TEMP TABLE request (call text, good jsonb);
INSERT INTO request VALUES
        ('api.agent_create(t.h(''owner''), %L)', '{"name": "x", "type": "batch", "labels": {"a": "b"}}'),
        ('api.key_create(t.h(''owner''), %L, t.h(''k''))', '{"type": "enrolment", "agents": [], "labels": {}, "agent_type": "batch",
                "max_uses": 1, "expires_sec": 60, "description": "d"}'),
        ('api.agent_enroll(t.h(''key of one''), %L, t.h(''c''))', '{"instance": "00000000-0000-4000-8000-000000000001", "name": "n",
                "type": "batch", "labels": {}, "slots": 1, "version": "1", "protocol": 1, "hostname": "h", "systemd": "252",
                "kernel": "6", "architecture": "x86-64", "cpus": 1, "memory_bytes": 1}'),
        ('api.agent_sync(t.h(''one''), %L)', '{"session": "00000000-0000-4000-8000-000000000002", "boot":
                "00000000000000000000000000000000", "version": "1", "slots": 1, "draining": false, "attempts":
                [{"attempt": "00000000-0000-4000-8000-000000000003", "epoch": 1, "state": "running", "resume": false}]}'),
        ('api.agent_events(t.h(''one''), %L)', '{"session": "00000000-0000-4000-8000-000000000002", "events":
                [{"attempt": "00000000-0000-4000-8000-000000000003", "epoch": 1, "state": "ended", "realtime_usec": 1,
                "invocation_id": "x", "slice": "s", "reason": "r", "requeue": false, "sequence": 1, "result": "success",
                "exit_code": "exited", "exit_status": 0, "cpu_usage_usec": 1, "memory_peak_bytes": 1, "io_read_bytes": 1,
                "io_write_bytes": 1, "oom_kills": 0, "memory_max_bytes": 1, "cpu_quota_per_sec_usec": 1, "tasks_max": 1}]}'),
        ('api.agent_metrics(t.h(''one''), %L)', '{"samples": [{"attempt": "00000000-0000-4000-8000-000000000003", "epoch": 1,
                "realtime_usec": 1, "cpu_usage_usec": 1, "memory_current_bytes": 1, "memory_peak_bytes": 1,
                "io_read_bytes": 1, "io_write_bytes": 1, "tasks_current": 1}]}'),
        ('api.agent_goodbye(t.h(''one''), %L)', '{"session": "00000000-0000-4000-8000-000000000002", "reason": "r"}');

-- Each member, also those of the first element of an array, replaced by each of these.
CREATE TEMP TABLE wrong AS
        SELECT r.call, r.good, m.path, w.value
          FROM request r
         CROSS JOIN LATERAL (
                SELECT ARRAY[k] AS path FROM jsonb_object_keys(r.good) k
                UNION ALL
                SELECT ARRAY[e.key, '0', k] FROM jsonb_each(r.good) e, jsonb_object_keys(
                        CASE WHEN jsonb_typeof(e.value) = 'array' AND jsonb_typeof(e.value -> 0) = 'object'
                             THEN e.value -> 0 ELSE '{}' END) k) m
         CROSS JOIN (VALUES ('{}'::jsonb), ('[]'), ('"x"'), ('""'), ('-1'), ('1.5'), ('1e300'), ('99999999999999999999'), ('true'),
                            ('[1]'), ('["x"]'), ('[[]]'), ('{"a": 1}'), ('{"a": null}'),
                            ('"00000000-0000-4000-8000-00000000000g"'), (to_jsonb(repeat('x', 70000)))) w (value);

-- What is wrong somewhere may be right here: the same type, within its range.
CREATE TEMP TABLE result AS
        SELECT path, left(value::text, 40) AS value, call,
               t.error(format('DO $do$ BEGIN PERFORM * FROM %s; RAISE ''accepted'' USING ERRCODE = ''ZF200''; END $do$',
                              format(call, jsonb_set(good, path, value)))) AS error
          FROM wrong;

SELECT is_empty($$SELECT path, value, call, error FROM result WHERE error !~ '^ZF(200|400|403|404|409|413)'$$,
                'no wrong value of any member ends in anything but a refusal');
SELECT cmp_ok((SELECT count(*) FROM result), '>', 700::bigint, 'of many that were tried');
SELECT is_empty($$SELECT r.path, r.value, r.call FROM result r JOIN request q USING (call)
                   WHERE r.error LIKE 'ZF200%' AND jsonb_typeof(q.good #> r.path) <> jsonb_typeof(
                        (SELECT w.value FROM wrong w WHERE w.call = r.call AND w.path = r.path AND left(w.value::text, 40) = r.value
                          LIMIT 1))$$,
                'and none of another type is taken');

-- Members left out, and what is no object at all.
SELECT is(t.error('SELECT ' || format(call, v)), 'ZF400 bad-request', call || ' of ' || v)
  FROM request, unnest(ARRAY['null', '1', '"x"', '[]', '{}']) v;
SELECT is(t.error('SELECT ' || replace(call, '%L', 'NULL')), 'ZF400 bad-request', call || ' of NULL') FROM request;
SELECT is(t.error(format('SELECT %s', format(call, good))), 'none', call || ' of a good request') FROM request
 WHERE call !~ 'key_create';

-- Too much of something.
SELECT is(t.error(format('SELECT t.sync(%L, %L)', 'one', (SELECT jsonb_agg(1) FROM generate_series(1, 4097)))),
          'ZF400 bad-request', 'attempts of a sync');
SELECT is(t.error(format('SELECT api.agent_events(t.h(%L), %L)', 'one', jsonb_build_object('session', t.id('x'), 'events',
                (SELECT jsonb_agg(t.event(t.id('x'), 1, 'running')) FROM generate_series(1, 65))))),
          'ZF400 bad-request', 'events');
SELECT is(t.error(format('SELECT api.agent_create(t.h(%L), %L)', 'owner', jsonb_build_object('name', 'y', 'labels',
                (SELECT jsonb_object_agg('l' || n, '') FROM generate_series(1, 65) n)))), 'ZF400 bad-label', 'labels');
SELECT is(t.error($$SELECT api.agent_create(t.h('owner'), '{"name": "y", "labels": {"a b": ""}}')$$), 'ZF400 bad-label',
          'a label with a space');

-- One bad event, and none of its neighbours has an effect.
SELECT t.pipe('p', '{a}') \g /dev/null
SELECT t.sync('one') IS NULL \g /dev/null
SELECT t.run('p') AS run \gset
SELECT (t.attempt(:'run')).id AS a \gset
SELECT is(t.error(format('SELECT t.events(%L, %L, %L)', 'one', t.event(:'a', 1, 'running'), '{"state": "dancing"}')),
          'ZF400 bad-request', 'a bad event');
SELECT is((t.attempt(:'run')).state, 'assigned', 'takes its call with it');

SELECT * FROM finish();
