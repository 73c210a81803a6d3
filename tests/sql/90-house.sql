-- Housekeeping: partitions ahead of time, and what has had its day.
SET search_path = tap, public;
SELECT no_plan();

CREATE FUNCTION pg_temp.months(p_table text) RETURNS text LANGUAGE sql AS $$
        SELECT string_agg(right(c.relname, 6), ' ' ORDER BY c.relname)
          FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid WHERE h.inhparent = ('sluice.' || p_table)::regclass
$$;
SELECT is(pg_temp.months(p), (SELECT string_agg(to_char((now() AT TIME ZONE 'UTC') + make_interval(months => m), 'YYYYMM'), ' ' ORDER BY m)
                                FROM generate_series(-1, 3) m), p || ' has partitions for last month and three ahead')
  FROM unnest(ARRAY['run', 'task', 'attempt', 'log_chunk', 'metric_sample', 'evidence']) p;
SELECT is((SELECT count(*) FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid
            WHERE c.relnamespace = 'sluice'::regnamespace), 6::bigint, 'those are all');
SELECT set_eq($$SELECT DISTINCT i.indrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
                 WHERE c.relnamespace = 'sluice'::regnamespace AND c.relname ~ '_p\d{6}$' AND i.indisprimary$$,
              $$SELECT c.oid::regclass::text FROM pg_class c
                 WHERE c.relnamespace = 'sluice'::regnamespace AND c.relname ~ '_p\d{6}$' AND c.relkind = 'r'$$,
              'every partition has its primary key');

-- A partition in the place where the next one would be made is made once, and holds what belongs to it.
SELECT sluice.partition_ensure('run', '2030-01-31'), sluice.partition_ensure('run', '2030-01-01') \g /dev/null
SELECT is((SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'run_p203001'),
          format('FOR VALUES FROM (%L) TO (%L)', sluice.uuid_v7_floor('2030-01-01 00:00+00'), sluice.uuid_v7_floor('2030-02-01 00:00+00')),
          'months are UTC''s, whatever the time zone of the session');
SELECT set_eq($$SELECT c.relname::text FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'sluice'::regnamespace AND 'fillfactor=45' = ANY (c.reloptions)
                   AND c.relname <> 'cleanup'$$,
              $$SELECT c.relname::text FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'sluice'::regnamespace AND c.relname ~ '^(run|task|attempt)_p\d{6}$'$$,
              'partitions of what is changed after it was made have room for that, new ones too');
DROP TABLE sluice.run_p203001;
SELECT format('DROP TABLE sluice.%I', 'evidence_p' || to_char((now() AT TIME ZONE 'UTC') + interval '3 months', 'YYYYMM')) \gexec
SELECT api.maintain() \g /dev/null
SELECT is(array_length(string_to_array(pg_temp.months('evidence'), ' '), 1), 5, 'maintain() makes what is missing');
SELECT ok(EXISTS (SELECT FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid WHERE c.relname LIKE 'attempt_p%'),
          'partitions have the trigger, too');

-- Idempotency keys live for a day.
SELECT t.pipe('p', '{a}') \g /dev/null
SELECT t.run('p', 'old') AS old, t.run('p', 'new') AS new \gset
UPDATE sluice.idempotency SET created_at = now() - interval '25 hours' WHERE key = 'old';
SELECT api.maintain() \g /dev/null
SELECT is((SELECT string_agg(key, ' ') FROM sluice.idempotency), 'new', 'old idempotency keys are forgotten');

-- The daemon may do it, and twice at once does no harm.
SET ROLE sluice_controld;
SELECT lives_ok('SELECT api.maintain()', 'the daemon may maintain');
RESET ROLE;
SELECT is((SELECT string_agg(key, ' ') FROM sluice.idempotency), 'new', 'and again');

SELECT * FROM finish();
