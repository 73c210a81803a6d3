-- States of runs, tasks, attempts and instances, and the moves between them: the table that common/state.c has, too.
SET LOCAL check_function_bodies = off;

-- Kind, from, to. `new` is where it begins. An array of constants: PostgreSQL folds it into the condition
-- of the triggers (migration 0005), so that a legal move costs next to nothing. It does so
-- for each statement, by a call; of language sql, that would be parsed and planned each time.
CREATE OR REPLACE FUNCTION sluice.state_moves() RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
        RETURN ARRAY[
                'run new queued',
                'run queued running',
                'run queued succeeded',
                'run queued failed',
                'run queued cancelled',
                'run running succeeded',
                'run running failed',
                'run running cancelled',

                'task new waiting',
                'task waiting queued',
                'task waiting skipped',
                'task waiting cancelled',
                'task queued running',
                'task queued failed',
                'task queued cancelled',
                'task queued waiting',
                'task running waiting',
                'task succeeded waiting',
                'task skipped waiting',
                'task running succeeded',
                'task running failed',
                'task running skipped',
                'task running cancelled',

                'attempt new queued',
                'attempt queued assigned',
                'attempt queued cancelled',
                'attempt assigned running',
                'attempt assigned stopping',
                'attempt assigned queued',
                'attempt assigned ended',
                'attempt running stopping',
                'attempt running ended',
                'attempt stopping ended',

                'instance new Pending',
                'instance Pending Running',
                'instance Running Stopped',
                'instance Running Unknown',
                'instance Stopped Running',
                'instance Unknown Running',
                'instance Unknown Stopped'
        ];
END
$$;

-- The same as rows.
CREATE OR REPLACE FUNCTION sluice.state_table() RETURNS TABLE (kind text, from_state text, to_state text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT split_part(m, ' ', 1), split_part(m, ' ', 2), split_part(m, ' ', 3)
          FROM unnest(sluice.state_moves()) m
$$;

-- The states of a kind, in the order of the table.
CREATE OR REPLACE FUNCTION sluice.state_words(p_kind text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT array_agg(w.state ORDER BY w.first)
          FROM (SELECT split_part(m.move, ' ', 3) AS state, min(m.n) AS first
                  FROM unnest(sluice.state_moves()) WITH ORDINALITY m (move, n)
                 WHERE split_part(m.move, ' ', 1) = p_kind
                 GROUP BY 1) w
$$;
