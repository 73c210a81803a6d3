-- 0061_leave_room_on_pages.sql
-- Why:    a run, its tasks and its attempts are changed a few times, soon after they were made. On pages that are full each change put the row
--         elsewhere, and into every index again: 28,300 of 32,000 changes did, and 8,100 do with room on the page.
-- Locks:  the partitions and sluice.cleanup: SHARE UPDATE EXCLUSIVE, for moments. Pages that are there stay as they are.
-- Compat: the previous controld sees nothing of it.

CREATE FUNCTION sluice.partition_room(p_name text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        IF p_name ~ '^(run|task|attempt)_p' THEN
                EXECUTE format('ALTER TABLE sluice.%I SET (fillfactor = 45)', p_name);
        END IF;
END
$$;

CREATE OR REPLACE FUNCTION sluice.partition_ensure(p_table text, p_month date) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_name text := format('%s_p%s', p_table, to_char(p_month, 'YYYYMM'));
        v_from timestamptz := date_trunc('month', p_month::timestamp) AT TIME ZONE 'UTC';
        v_to timestamptz := (date_trunc('month', p_month::timestamp) + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
        IF to_regclass(format('sluice.%I', v_name)) IS NOT NULL THEN
                RETURN;
        END IF;

        EXECUTE format('CREATE TABLE sluice.%I (LIKE sluice.%I INCLUDING ALL)', v_name, p_table);
        PERFORM sluice.partition_room(v_name);
        EXECUTE format('ALTER TABLE sluice.%I ATTACH PARTITION sluice.%I FOR VALUES FROM (%L) TO (%L)',
                       p_table, v_name, sluice.uuid_v7_floor(v_from), sluice.uuid_v7_floor(v_to));
END
$$;

SELECT sluice.partition_room(c.relname::text)
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent IN ('sluice.run'::regclass, 'sluice.task'::regclass, 'sluice.attempt'::regclass);

ALTER TABLE sluice.cleanup SET (fillfactor = 45);
