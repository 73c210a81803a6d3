-- What must happen by itself, now and then.

-- Agents whose poll is being held: seen, without a call of theirs. Also looks after the queue, since it
-- is what every worker calls every few seconds.
CREATE OR REPLACE FUNCTION api.presence_flush(p_instances uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        PERFORM sluice.loss_sweep(); -- first, while no lock is held
        PERFORM sluice.drain_sweep();

        INSERT INTO sluice.presence AS p (instance, last_seen_at)
        SELECT i.id, clock_timestamp() FROM sluice.instance i WHERE i.id = ANY (p_instances) ORDER BY i.id
            ON CONFLICT (instance) DO UPDATE SET last_seen_at = greatest(p.last_seen_at, excluded.last_seen_at);

        PERFORM sluice.dispatch_sweep();
END
$$;

-- Partitions ahead of time, and what has had its day. Once an hour is plenty; once in three months needed.
CREATE OR REPLACE FUNCTION api.maintain() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        IF NOT pg_try_advisory_xact_lock(hashtext('sluice'), 2) THEN
                RETURN; -- somebody is at it
        END IF;

        PERFORM sluice.partition_maintain();
        DELETE FROM sluice.idempotency WHERE created_at < now() - interval '1 day';
        PERFORM sluice.dispatch_sweep();
END
$$;

REVOKE ALL ON FUNCTION api.presence_flush(uuid[]), api.maintain() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.presence_flush(uuid[]), api.maintain() TO sluice_controld;
