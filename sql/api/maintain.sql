-- What must happen by itself, now and then.

-- They are here. Locks of runs are held by now, so this waits for nobody: whoever holds a row is busy with what the agent says itself.
CREATE OR REPLACE FUNCTION sluice.presence_seen(p_instances uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        UPDATE sluice.presence p SET last_seen_at = greatest(p.last_seen_at, clock_timestamp())
         WHERE p.instance = ANY (ARRAY(SELECT h.instance FROM sluice.presence h WHERE h.instance = ANY (p_instances) ORDER BY h.instance FOR NO KEY UPDATE SKIP LOCKED));

        INSERT INTO sluice.presence (instance, last_seen_at)
        SELECT i.id, clock_timestamp() FROM sluice.instance i
         WHERE i.id = ANY (p_instances) AND NOT EXISTS (SELECT FROM sluice.presence p WHERE p.instance = i.id)
         ORDER BY i.id ON CONFLICT (instance) DO NOTHING;
END
$$;

-- Agents whose poll is being held: seen, without a call of theirs. Also looks after the queue, since it
-- is what every worker calls every few seconds, and as soon as it has a database again.
CREATE OR REPLACE FUNCTION api.presence_flush(p_instances uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        PERFORM sluice.loss_sweep(); -- first, while no lock is held
        PERFORM sluice.moves_sweep();
        PERFORM sluice.fans_sweep();
        PERFORM sluice.retry_sweep(); -- if nobody was told that it is time
        PERFORM sluice.drain_sweep();

        PERFORM sluice.presence_seen(p_instances);

        PERFORM sluice.streams_sweep();
        PERFORM sluice.dispatch_sweep();
END
$$;

-- The polls of these instances were held when their connections broke, so many milliseconds ago, and this worker has not heard
-- of them since. Another one may have: it holds a poll of theirs then, and the notification has it ask again, which says that they
-- are here. So whoever came back is never taken for gone.
CREATE OR REPLACE FUNCTION api.presence_broke(p_instances uuid[], p_ages_msec int[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        -- One of a session that has ended says nothing about the present one.
        PERFORM sluice.instances_broke(array_agg(i.id), array_agg(b.at))
           FROM (SELECT id, clock_timestamp() - age * interval '1 millisecond' AS at FROM unnest(p_instances, p_ages_msec) b (id, age)) b
           JOIN sluice.instance i ON i.id = b.id
          WHERE (i.session_since <= b.at) IS NOT FALSE;
END
$$;

-- Where nobody can LISTEN, workers ask this every so often: what would have been told, as far as it can be read from what is
-- there. Who has begun what was assigned is named until it has said so; it finds nothing new then, and waits on.
CREATE OR REPLACE FUNCTION api.news() RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        RETURN QUERY
        SELECT 'instance ' || s.instance
          FROM (SELECT x.instance FROM sluice.assignment x WHERE x.state <> 'running' OR x.recover
                UNION
                SELECT c.instance FROM sluice.cleanup c
                 WHERE (c.offered_at > clock_timestamp() - interval '30 seconds') IS NOT TRUE
                UNION
                SELECT i.id FROM sluice.instance i WHERE i.broke_at > clock_timestamp() - interval '1 minute') s;

        IF sluice.queue_waits() OR EXISTS (SELECT FROM sluice.stream_news) THEN
                RETURN NEXT 'dispatch';
        END IF;
        IF EXISTS (SELECT FROM sluice.task WHERE retry_at IS NOT NULL) OR EXISTS (SELECT FROM sluice.schedule WHERE look_at IS NOT NULL OR expect_look IS NOT NULL OR every IS NOT NULL)
           OR EXISTS (SELECT FROM sluice.schedule_due WHERE begin_at IS NOT NULL AND waits_for IS NULL) OR EXISTS (SELECT FROM sluice.backfill WHERE ended_at IS NULL) THEN
                RETURN NEXT 'tick';
        END IF;
        IF EXISTS (SELECT FROM sluice.event WHERE NOT told) THEN
                RETURN NEXT 'event';
        END IF;
END
$$;

-- Since when there is history: the first month that still has its partition of runs.
CREATE OR REPLACE FUNCTION sluice.history_from() RETURNS timestamptz
LANGUAGE sql STABLE AS $$
        SELECT to_date(min(right(c.relname, 6)), 'YYYYMM')::timestamp AT TIME ZONE 'UTC'
          FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid WHERE h.inhparent = 'sluice.run'::regclass
$$;

-- Due times that were decided on before p_from, but for the last one of each schedule.
CREATE OR REPLACE FUNCTION sluice.dues_old(p_from timestamptz, p_limit int) RETURNS TABLE (schedule uuid, due_at timestamptz)
LANGUAGE sql STABLE AS $$
        SELECT d.schedule, d.due_at FROM sluice.schedule_due d
         WHERE d.decided_at < p_from AND EXISTS (SELECT FROM sluice.schedule_due l WHERE l.schedule = d.schedule AND l.due_at > d.due_at)
         ORDER BY d.decided_at LIMIT p_limit
$$;

-- They go with the history of their runs, so many at once. That none of them runs a second time is not a matter of these rows: after_at of
-- their schedule is behind all of them.
CREATE OR REPLACE FUNCTION sluice.dues_forget(p_limit int) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_from timestamptz := sluice.history_from();
        v_schedules uuid[] := ARRAY(SELECT s.id FROM sluice.schedule s WHERE s.id IN (SELECT o.schedule FROM sluice.dues_old(v_from, p_limit) o)
                                     ORDER BY s.id FOR NO KEY UPDATE SKIP LOCKED);
BEGIN
        WITH gone AS (
                DELETE FROM sluice.schedule_due d USING sluice.dues_old(v_from, p_limit) o
                 WHERE o.schedule = ANY (v_schedules) AND d.schedule = o.schedule AND d.due_at = o.due_at
                RETURNING d.schedule, coalesce(d.until_at, d.due_at) AS at
        )
        UPDATE sluice.schedule s SET forgotten_at = greatest(s.forgotten_at, g.at)
          FROM (SELECT schedule, max(at) AS at FROM gone GROUP BY schedule) g WHERE s.id = g.schedule;
END
$$;

-- So do backfills that were over before that, all of whose runs are; while another one of the schedule goes on, it may ask what they have run.
CREATE OR REPLACE FUNCTION sluice.backfills_forget(p_limit int) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_backfills uuid[] := ARRAY(SELECT b.id FROM sluice.backfill b JOIN sluice.schedule s ON s.id = b.schedule
                                     WHERE b.ended_at < sluice.history_from() AND NOT EXISTS (SELECT FROM sluice.backfill_due d WHERE d.backfill = b.id AND d.live)
                                       AND NOT EXISTS (SELECT FROM sluice.backfill o WHERE o.schedule = b.schedule AND o.ended_at IS NULL)
                                     ORDER BY s.id, b.id LIMIT p_limit FOR NO KEY UPDATE OF s SKIP LOCKED);
BEGIN
        WITH gone AS (
                DELETE FROM sluice.backfill_due d WHERE d.backfill = ANY (v_backfills) RETURNING d.schedule, d.due_at, d.run
        )
        UPDATE sluice.schedule s SET forgotten_at = greatest(s.forgotten_at, g.at)
          FROM (SELECT schedule, max(due_at) AS at FROM gone WHERE run IS NOT NULL GROUP BY schedule) g WHERE s.id = g.schedule;
        DELETE FROM sluice.backfill WHERE id = ANY (v_backfills);
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
        DELETE FROM sluice.webhook_delivery WHERE received_at < now() - interval '90 days';
        DELETE FROM sluice.event WHERE id < sluice.uuid_v7_floor(now() - interval '90 days');
        PERFORM sluice.drafts_forget();
        PERFORM sluice.dues_forget(100000);
        PERFORM sluice.backfills_forget(100); -- of up to a thousand due times each
        PERFORM sluice.dispatch_sweep();
END
$$;

REVOKE ALL ON FUNCTION api.presence_flush(uuid[]), api.presence_broke(uuid[], int[]), api.news(), api.maintain() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.presence_flush(uuid[]), api.presence_broke(uuid[], int[]), api.news(), api.maintain()
        TO sluice_controld;
