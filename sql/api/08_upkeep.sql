-- What keeps the control plane going: readiness, presence, partitions, the queue's second look.

CREATE OR REPLACE FUNCTION api.ready() RETURNS int
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
    SELECT count(*)::int FROM migration WHERE kind = 'migration'
$$;

CREATE OR REPLACE FUNCTION api.presence_flush(p_instances uuid[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
    UPDATE presence SET last_seen_at = now() WHERE instance = ANY (p_instances) AND goodbye_at IS NULL
$$;

-- Monthly partitions of every history table, this month's and the next two.
CREATE OR REPLACE FUNCTION api.maintain() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    c_tables CONSTANT text[] := ARRAY['run', 'task', 'attempt', 'evidence', 'log_chunk', 'metric_sample'];
    v_table  text;
    v_month  timestamptz;
    v_name   text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('sluice.maintain'));
    FOREACH v_table IN ARRAY c_tables LOOP
        FOR k IN 0..2 LOOP
            v_month := date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + make_interval(months => k);
            v_name := v_table || to_char(v_month AT TIME ZONE 'UTC', '_YYYY_MM');
            IF to_regclass('sluice.' || v_name) IS NULL THEN
                EXECUTE format('CREATE TABLE sluice.%I PARTITION OF sluice.%I FOR VALUES FROM (%L) TO (%L)', v_name, v_table,
                               uuid_floor(v_month), uuid_floor(v_month + interval '1 month'));
            END IF;
        END LOOP;
    END LOOP;
    DELETE FROM idempotency WHERE created_at < now() - interval '1 day';
END
$$;

-- Every few seconds: agents that came or went change what can be placed, and the verdicts.
CREATE OR REPLACE FUNCTION api.tick() RETURNS int
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
    SELECT dispatch()
$$;
