-- States and moves: one table, the same in C and SQL, and the database refuses what is not in it.
SET search_path = tap, public;
\set c_moves `"$SLUICE_PRINT_STATES" --moves`

SELECT no_plan();

SELECT bag_eq(format('SELECT unnest(string_to_array(%L, E''\n''))', :'c_moves'), 'SELECT unnest(sluice.state_moves())',
              'the moves of common/state.c are those of sluice.state_moves()');
SELECT is((SELECT string_agg(DISTINCT kind, ' ' ORDER BY kind) FROM sluice.state_table()), 'attempt instance run task', 'of four kinds');
SELECT is((SELECT string_agg(format('%s=%s', kind, n), ' ' ORDER BY kind)
             FROM (SELECT kind, count(*) AS n FROM sluice.state_table() WHERE from_state = 'new' GROUP BY kind) b),
          'attempt=1 instance=1 run=1 task=1', 'each of which begins in one state');
SELECT is_empty($$SELECT kind, from_state FROM sluice.state_table() m WHERE from_state <> 'new'
                     AND NOT EXISTS (SELECT FROM sluice.state_table() b WHERE b.kind = m.kind AND b.to_state = m.from_state)$$,
                'and has none that nothing leads to');

-- The columns know the same states, and begin in the same one.
SELECT set_eq(format($$SELECT (regexp_matches(pg_get_constraintdef(oid), '''(\w+)''', 'g'))[1]
                         FROM pg_constraint WHERE conname = %L AND conrelid = %L::regclass$$, k || '_state_known', 'sluice.' || k),
              format('SELECT unnest(sluice.state_words(%L))', k), 'states of sluice.' || k)
  FROM unnest(ARRAY['run', 'task', 'attempt']) k;
SELECT is((SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d
             JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
            WHERE d.adrelid = ('sluice.' || k)::regclass AND a.attname = 'state'),
          format('%L::text', (sluice.state_words(k))[1]), k || ': the default is the state that it begins in')
  FROM unnest(ARRAY['run', 'task', 'attempt']) k;
SELECT ok((sluice.state_words('attempt')) @> (SELECT array_agg(m[1]) FROM pg_constraint c,
                  regexp_matches(pg_get_constraintdef(c.oid), '''(\w+)''', 'g') m WHERE c.conname = 'assignment_state_known'),
          'sluice.assignment has states of attempts');

-- One row in a given state, moved.
CREATE FUNCTION pg_temp.try(p_kind text, p_from text, p_to text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
        v_final boolean := p_from NOT IN (SELECT from_state FROM sluice.state_table() WHERE kind = p_kind);
        v_ends boolean := p_to NOT IN (SELECT from_state FROM sluice.state_table() WHERE kind = p_kind);
        v_id uuid := sluice.uuid_v7();
BEGIN
        CASE p_kind
        WHEN 'run' THEN
                INSERT INTO sluice.run (id, project, pipe, version, state, ended_at, outcome)
                VALUES (v_id, 'default', 'p', 'v', p_from, CASE WHEN v_final THEN now() END, CASE WHEN v_final THEN 'x' END);
                UPDATE sluice.run SET state = p_to, ended_at = CASE WHEN v_ends THEN now() END, outcome = CASE WHEN v_ends THEN 'x' END
                 WHERE id = v_id;
        WHEN 'task' THEN
                INSERT INTO sluice.task (run, name, position, state) VALUES (v_id, 'a', 0, p_from);
                UPDATE sluice.task SET state = p_to WHERE run = v_id;
        WHEN 'attempt' THEN
                INSERT INTO sluice.attempt (id, run, task, state, epoch, instance, ended_at, outcome)
                VALUES (v_id, v_id, 'a', p_from, 1, v_id, CASE WHEN v_final THEN now() END, CASE WHEN v_final THEN 'x' END);
                UPDATE sluice.attempt SET state = p_to, ended_at = CASE WHEN v_ends THEN now() END,
                       outcome = CASE WHEN v_ends THEN 'x' END
                 WHERE id = v_id;
        END CASE;
        RETURN 'moved';
EXCEPTION WHEN SQLSTATE 'ZF500' THEN
        RETURN 'refused';
END
$$;
SELECT is_empty(format($$
        SELECT a.s, b.s, pg_temp.try(%1$L, a.s, b.s)
          FROM unnest(sluice.state_words(%1$L)) a (s), unnest(sluice.state_words(%1$L)) b (s)
         WHERE pg_temp.try(%1$L, a.s, b.s) <> CASE WHEN a.s = b.s OR EXISTS (
                SELECT FROM sluice.state_table() m WHERE (m.kind, m.from_state, m.to_state) = (%1$L, a.s, b.s))
               THEN 'moved' ELSE 'refused' END$$, k),
        k || ': each move of the table is made, and each other one is refused')
  FROM unnest(ARRAY['run', 'task', 'attempt']) k;

-- What the refusal says.
INSERT INTO sluice.run (project, pipe, version, state) VALUES ('default', 'p', 'v', 'running') RETURNING id AS r \gset
SELECT throws_ok(format($$UPDATE sluice.run SET state = 'queued' WHERE id = %L$$, :'r'),
                 'ZF500', format('Run %s cannot go from running to queued.', :'r'), 'a run that has begun');
INSERT INTO sluice.task (run, name, position) VALUES (sluice.uuid_v7(), 'load', 0) RETURNING run AS r \gset
SELECT is(t.error(format($$UPDATE sluice.task SET state = 'running' WHERE run = %L$$, :'r')), 'ZF500 task-move', 'its token');

-- An instance: the status is computed, so its words are looked at.
SELECT set_eq($$SELECT sluice.instance_status(jsonb_populate_record(NULL::sluice.instance, jsonb_build_object('goodbye_at', g)), s)
                  FROM unnest(ARRAY[NULL, now(), now() - interval '1 day']) s, unnest(ARRAY[NULL, now()]) g$$,
              $$SELECT unnest(sluice.state_words('instance'))$$, 'the status of an instance is one of the table');

SELECT * FROM finish();
