-- What is promised of the schema itself: who may do what, what is documented, where rows go.
SET search_path = tap, public;
\set readme `cat "$SLUICE_SQL/README.md"`
\getenv SLUICE_SQL SLUICE_SQL

SELECT no_plan();

-- Every function of api is in sql/README.md with its parameters, and the other way round.
CREATE TEMP TABLE documented AS
        SELECT m[1] AS name, (
                SELECT string_agg(split_part(p, ' ', 1), ', ' ORDER BY n)
                  FROM unnest(string_to_array(m[2], ', ')) WITH ORDINALITY a (p, n)) AS names, (
                SELECT string_agg(CASE WHEN p LIKE '% %' THEN substring(p FROM position(' ' IN p) + 1)::regtype::text
                                       ELSE 'bytea' END, ', ' ORDER BY n)
                  FROM unnest(string_to_array(m[2], ', ')) WITH ORDINALITY a (p, n)) AS types
          FROM regexp_matches(:'readme', 'api\.(\w+)\(([^)]*)\)', 'g') m;

SELECT bag_eq(
        $$SELECT name, coalesce(names, '')::text FROM documented$$,
        $$SELECT p.proname::text, coalesce(array_to_string(p.proargnames[1:p.pronargs], ', '), '')
            FROM pg_proc p WHERE p.pronamespace = 'api'::regnamespace$$,
        'every function of api is documented with the names of its parameters');
SELECT bag_eq(
        $$SELECT name, coalesce(types, '')::text FROM documented$$,
        $$SELECT p.proname::text, coalesce((SELECT string_agg(a::regtype::text, ', ' ORDER BY n)
                                     FROM unnest(p.proargtypes) WITH ORDINALITY x (a, n)), '')
            FROM pg_proc p WHERE p.pronamespace = 'api'::regnamespace$$,
        'and with their types');

SELECT is_empty(
        $$SELECT proname FROM pg_proc WHERE pronamespace = 'api'::regnamespace AND NOT prosecdef$$,
        'every function of api is SECURITY DEFINER');
SELECT is_empty(
        $$SELECT proname FROM pg_proc WHERE pronamespace = 'api'::regnamespace
             AND 'search_path=pg_catalog, sluice, pg_temp' = ANY (proconfig) IS NOT TRUE$$,
        'every function of api has a fixed search_path with pg_temp at its end');

-- The daemon's role.
SELECT is_empty(
        $$SELECT proname FROM pg_proc WHERE pronamespace = 'api'::regnamespace AND proname <> 'token_create'
             AND NOT has_function_privilege('sluice_controld', oid, 'EXECUTE')$$,
        'the daemon may execute what is made for it');
SELECT ok(NOT has_function_privilege('sluice_controld', 'api.token_create(text, text, bytea)', 'EXECUTE'),
          'the daemon cannot make tokens');
SELECT is_empty(
        $$SELECT p.proname FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
           WHERE p.pronamespace = 'api'::regnamespace AND a.grantee = 0$$,
        'PUBLIC may execute nothing of api');
SELECT ok(NOT has_schema_privilege('sluice_controld', 'sluice', 'USAGE'), 'the daemon cannot look into schema sluice');
SELECT is_empty(
        $$SELECT c.relname FROM pg_class c
           WHERE c.relnamespace = 'sluice'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')
             AND has_table_privilege('sluice_controld', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')$$,
        'the daemon has no right on any table');
SET ROLE sluice_controld;
SELECT throws_ok('SELECT * FROM sluice.token', '42501', NULL, 'and is refused when it tries');
SELECT is(api.ready(), 30, 'while it may ask for the schema version');
RESET ROLE;
SELECT ok(NOT rolsuper AND NOT rolcanlogin, 'the daemon''s role is no superuser and cannot log in')
  FROM pg_roles WHERE rolname = 'sluice_controld';
SELECT ok(NOT rolsuper, 'the owner of the schema needs not be a superuser') FROM pg_roles WHERE rolname = current_user;

-- bootstrap, roles and api files may be run again.
BEGIN;
\i :SLUICE_SQL/bootstrap.sql
\i :SLUICE_SQL/roles.sql
\i :SLUICE_SQL/api/auth.sql
\i :SLUICE_SQL/api/run.sql
\i :SLUICE_SQL/api/protocol.sql
COMMIT;
SELECT pass('bootstrap.sql, roles.sql and files of api/ can be run again');

-- Constraints have names that say what they hold.
SELECT is_empty(
        $$SELECT conrelid::regclass || '.' || conname FROM pg_constraint
           WHERE connamespace = 'sluice'::regnamespace AND contype = 'c' AND conname ~ '_check\d*$'$$,
        'no CHECK has a name made by PostgreSQL');

-- Identifiers.
SELECT matches(sluice.uuid_v7()::text, '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab]', 'identifiers are UUID version 7');
CREATE FUNCTION pg_temp.ascending() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
        v_last uuid := sluice.uuid_v7();
        v_next uuid;
BEGIN
        FOR i IN 1 .. 200 LOOP
                PERFORM pg_sleep(0.000002);
                v_next := sluice.uuid_v7();
                IF v_next <= v_last THEN RETURN false; END IF;
                v_last := v_next;
        END LOOP;
        RETURN true;
END
$$;
SELECT ok(pg_temp.ascending(), 'and ascend, also within a millisecond');
SELECT cmp_ok(sluice.uuid_v7_floor(now() - interval '1 s'), '<', sluice.uuid_v7(), 'the floor of an earlier moment is below');
SELECT cmp_ok(sluice.uuid_v7_floor(now() + interval '1 s'), '>', sluice.uuid_v7(), 'that of a later one above');
SELECT cmp_ok(sluice.uuid_v7_since(sluice.uuid_v7()), '>', sluice.uuid_v7_floor(now() - interval '25 hours'),
              'what belongs to a run is looked for from a day before it');

-- Names.
SELECT results_eq(
        $$SELECT n, sluice.is_name(n) FROM (VALUES ('a'), ('9-_x'), (repeat('a', 63)), (repeat('a', 64)), (''), ('-a'),
                ('A'), ('a b'), (E'a\n'), ('ä')) v (n)$$,
        $$VALUES ('a', true), ('9-_x', true), (repeat('a', 63), true), (repeat('a', 64), false), ('', false),
                ('-a', false), ('A', false), ('a b', false), (E'a\n', false), ('ä', false)$$,
        'names of projects, pipes and tasks');
SELECT results_eq(
        $$SELECT n, sluice.is_agent_name(n) FROM (VALUES ('a'), ('Rack 7_b-'), (repeat('a', 30)), (repeat('a', 31)), (''),
                (' a'), ('a.b'), (E'a\n')) v (n)$$,
        $$VALUES ('a', true), ('Rack 7_b-', true), (repeat('a', 30), true), (repeat('a', 31), false), ('', false),
                (' a', false), ('a.b', false), (E'a\n', false)$$,
        'names of agents');

-- Moves are in 15-states.sql. An epoch only grows.
INSERT INTO sluice.attempt (id, run, task) VALUES (sluice.uuid_v7(), sluice.uuid_v7(), 'x') RETURNING id AS attempt \gset
SELECT is(t.error(format('UPDATE sluice.attempt SET epoch = -1 WHERE id = %L', :'attempt')), 'ZF500 attempt-epoch',
          'an epoch cannot shrink');

-- An identifier alone finds its partition.
CREATE FUNCTION pg_temp.scanned(p_sql text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
        v_line text;
        v_months text[] := '{}';
BEGIN
        FOR v_line IN EXECUTE 'EXPLAIN ' || p_sql LOOP
                v_months := v_months || substring(v_line FROM 'Scan.* on .*_p(\d{6})');
        END LOOP;
        RETURN (SELECT count(DISTINCT m) FROM unnest(v_months) m);
END
$$;
SET plan_cache_mode = force_generic_plan;
PREPARE by_attempt (uuid) AS SELECT * FROM sluice.attempt WHERE id = $1;
PREPARE by_run (uuid) AS SELECT * FROM sluice.run WHERE id = $1;
PREPARE tasks (uuid) AS SELECT * FROM sluice.task WHERE run = $1;
PREPARE chunks (uuid) AS SELECT * FROM sluice.log_chunk WHERE attempt = $1 AND epoch = 1 AND sequence > 3;
PREPARE samples (uuid) AS SELECT * FROM sluice.metric_sample WHERE attempt = $1;
SELECT is(pg_temp.scanned(format('EXECUTE %I (%L)', s, sluice.uuid_v7())), 1::bigint, s || ': one partition is read')
  FROM unnest(ARRAY['by_attempt', 'by_run', 'tasks', 'chunks', 'samples']) s;

SELECT * FROM finish();
