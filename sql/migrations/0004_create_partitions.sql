-- 0004_create_partitions.sql
-- Why:    history needs partitions before its first row; api.maintain() makes the later ones.
-- Locks:  the parents: SHARE UPDATE EXCLUSIVE, for moments (LIKE and ATTACH, not PARTITION OF).
-- Compat: first release.

CREATE FUNCTION sluice.partition_ensure(p_table text, p_month date) RETURNS void
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
        EXECUTE format('ALTER TABLE sluice.%I ATTACH PARTITION sluice.%I FOR VALUES FROM (%L) TO (%L)',
                       p_table, v_name, sluice.uuid_v7_floor(v_from), sluice.uuid_v7_floor(v_to));
END
$$;

-- Last month (clocks may step back at midnight), this one, and three ahead.
CREATE FUNCTION sluice.partition_maintain() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_table text;
        v_month int;
BEGIN
        FOREACH v_table IN ARRAY ARRAY['run', 'task', 'attempt', 'log_chunk', 'metric_sample', 'evidence'] LOOP
                FOR v_month IN -1 .. 3 LOOP
                        PERFORM sluice.partition_ensure(v_table,
                                (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => v_month))::date);
                END LOOP;
        END LOOP;
END
$$;

SELECT sluice.partition_maintain();
