-- 0006_check_states.sql
-- Why:    what 0002 did for attempts alone: the moves of runs, tasks and attempts are one table, and no other is made.
-- Locks:  run, task, attempt and their partitions: SHARE ROW EXCLUSIVE, for moments.
-- Compat: the previous controld makes these moves only.

-- The table itself is in api/state.sql, which the same transaction runs after this.
CREATE FUNCTION sluice.state_moves() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT '{}'::text[] $$;

-- One expression, so that it is inlined where it stands in the condition of a trigger.
CREATE FUNCTION sluice.state_may_move(p_kind text, p_from text, p_to text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT p_kind || ' ' || p_from || ' ' || p_to = ANY (sluice.state_moves())
$$;

CREATE FUNCTION sluice.state_refuse() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
        RAISE EXCEPTION USING ERRCODE = 'ZF500', DETAIL = TG_ARGV[0] || '-move',
                MESSAGE = format('%s %s cannot go from %s to %s.', initcap(TG_ARGV[0]),
                                 CASE TG_ARGV[0] WHEN 'task' THEN to_jsonb(OLD) ->> 'name' ELSE to_jsonb(OLD) ->> 'id' END,
                                 OLD.state, NEW.state);
END
$$;

CREATE FUNCTION sluice.attempt_refuse_epoch() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
        RAISE EXCEPTION USING ERRCODE = 'ZF500', DETAIL = 'attempt-epoch',
                MESSAGE = format('The epoch of attempt %s cannot shrink.', OLD.id);
END
$$;

CREATE TRIGGER run_moves BEFORE UPDATE OF state ON sluice.run FOR EACH ROW
        WHEN (OLD.state <> NEW.state AND NOT sluice.state_may_move('run', OLD.state, NEW.state))
        EXECUTE FUNCTION sluice.state_refuse('run');

CREATE TRIGGER task_moves BEFORE UPDATE OF state ON sluice.task FOR EACH ROW
        WHEN (OLD.state <> NEW.state AND NOT sluice.state_may_move('task', OLD.state, NEW.state))
        EXECUTE FUNCTION sluice.state_refuse('task');

DROP TRIGGER attempt_moves ON sluice.attempt;
CREATE TRIGGER attempt_moves BEFORE UPDATE OF state ON sluice.attempt FOR EACH ROW
        WHEN (OLD.state <> NEW.state AND NOT sluice.state_may_move('attempt', OLD.state, NEW.state))
        EXECUTE FUNCTION sluice.state_refuse('attempt');

CREATE TRIGGER attempt_epoch BEFORE UPDATE OF epoch ON sluice.attempt FOR EACH ROW
        WHEN (NEW.epoch < OLD.epoch)
        EXECUTE FUNCTION sluice.attempt_refuse_epoch();

DROP FUNCTION sluice.attempt_check_move();
DROP FUNCTION sluice.attempt_may_move(text, text);
