-- Tasks that are tried again. Three budgets, none of which takes from another: what failed has Retry= of its task; what was lost with
-- its agent has sluice.loss_is_retried(); what was interrupted, by a drain, costs nothing.
SET LOCAL check_function_bodies = off;

-- What a task becomes with the end of an attempt.
CREATE OR REPLACE FUNCTION sluice.task_after(p_outcome text, p_again boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE WHEN p_outcome = 'success' THEN 'succeeded'
                    WHEN p_outcome = 'cancelled' THEN 'cancelled'
                    WHEN p_outcome = 'exec-condition' THEN 'skipped'
                    WHEN p_again THEN 'waiting'
                    ELSE 'failed' END
$$;

-- Whether it is the task that has failed. NULL of what has not ended. What was abandoned may run on.
CREATE OR REPLACE FUNCTION sluice.costs_a_try(p_outcome text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT p_outcome NOT IN ('success', 'cancelled', 'exec-condition', 'refused', 'lost', 'fenced', 'interrupted', 'abandoned')
$$;

-- From the n-th failure to the next try: RetryBackoffSec=, doubled each time up to RetryMaxBackoffSec=. Up to a quarter more by chance,
-- so that what failed together does not come back together.
CREATE OR REPLACE FUNCTION sluice.retry_backoff(p_task jsonb, p_failures int) RETURNS interval
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
        v_first float8 := extract(epoch FROM sluice.timespan_parse(coalesce(p_task ->> 'retry_backoff_sec', '10s')));
        v_most float8 := extract(epoch FROM sluice.timespan_parse(coalesce(p_task ->> 'retry_max_backoff_sec', '1h')));
BEGIN
        RETURN make_interval(secs => least(v_first * 2::float8 ^ least(p_failures - 1, 60) * (1 + random() / 4), greatest(v_most, v_first)));
END
$$;

-- When a task whose attempt has ended like this is tried again; NULL when it is not. The end is stored already.
CREATE OR REPLACE FUNCTION sluice.retry_due(p_run uuid, p_task text, p_outcome text, p_exit_status int) RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
        v_task jsonb;
        v_failures int;
BEGIN
        IF NOT sluice.costs_a_try(p_outcome) THEN
                RETURN NULL;
        END IF;

        SELECT v.spec -> 'tasks' -> t.position INTO v_task
          FROM sluice.run r
          JOIN sluice.task t ON t.run = r.id AND t.name = p_task
          JOIN sluice.pipe_version v ON (v.project, v.pipe, v.version) = (r.project, r.pipe, r.version)
         WHERE r.id = p_run AND r.cancel_requested_at IS NULL;
        IF v_task -> 'retry' IS NULL
           OR v_task ? 'retry_on' AND NOT (v_task -> 'retry_on' ? p_outcome
                                           OR p_outcome = 'exit-code' AND v_task -> 'retry_on' ? p_exit_status::text) THEN
                RETURN NULL;
        END IF;

        SELECT count(*) INTO v_failures
          FROM sluice.attempts_of(p_run) a
         WHERE a.task = p_task AND sluice.costs_a_try(a.outcome);
        IF v_failures > (v_task ->> 'retry')::int THEN
                RETURN NULL;
        END IF;

        PERFORM pg_notify('sluice', 'tick');
        RETURN clock_timestamp() + sluice.retry_backoff(v_task, v_failures);
END
$$;

-- Queues what is due. A run that somebody is busy with is left for the next time.
CREATE OR REPLACE FUNCTION sluice.retry_sweep() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_now timestamptz := clock_timestamp(); -- with a function that changes, the index would be read to its end
        v_runs uuid[] := ARRAY(SELECT r.id FROM sluice.run r
                                WHERE r.id = ANY (ARRAY(SELECT t.run FROM sluice.task t WHERE t.retry_at <= v_now ORDER BY t.retry_at LIMIT 1000))
                                ORDER BY r.id FOR NO KEY UPDATE SKIP LOCKED);
BEGIN
        IF v_runs <> '{}' THEN
                UPDATE sluice.task SET retry_at = NULL WHERE run = ANY (v_runs) AND retry_at <= clock_timestamp();
                PERFORM sluice.runs_advance(v_runs);
                PERFORM sluice.dispatch_runs(v_runs, NULL);
        END IF;
END
$$;

-- What is due by the clock is done, but for schedules that a worker has to look at (due.sql). Answers after how many milliseconds there
-- will be something again; NULL when nothing waits for its time.
CREATE OR REPLACE FUNCTION api.tick() RETURNS int8
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_next timestamptz;
        v_now timestamptz; -- with a function that changes, an index would be read to its end
BEGIN
        PERFORM sluice.retry_sweep();
        PERFORM sluice.intervals_step();
        v_now := clock_timestamp();
        PERFORM sluice.dues_begin(ARRAY(SELECT DISTINCT d.schedule
                                          FROM (SELECT schedule FROM sluice.schedule_due WHERE begin_at <= v_now AND waits_for IS NULL
                                                 ORDER BY begin_at LIMIT 100) d), true);
        PERFORM sluice.intervals_step(); -- what has begun has a next time
        PERFORM sluice.backfills_step();
        PERFORM sluice.expect_sweep();
        -- A schedule that nobody looks at, since no worker here knows how, is no reason to ask all the time.
        v_next := least((SELECT t.retry_at FROM sluice.task t WHERE t.retry_at IS NOT NULL ORDER BY t.retry_at LIMIT 1),
                        (SELECT s.look_at + CASE WHEN s.look_at < clock_timestamp() - interval '1 second' THEN clock_timestamp() + interval '1 second' - s.look_at ELSE '0' END
                           FROM sluice.schedule s WHERE s.look_at IS NOT NULL ORDER BY s.look_at LIMIT 1),
                        (SELECT d.begin_at FROM sluice.schedule_due d WHERE d.begin_at IS NOT NULL AND d.waits_for IS NULL ORDER BY d.begin_at LIMIT 1),
                        (SELECT s.next_at FROM sluice.schedule s WHERE s.every IS NOT NULL AND s.next_at IS NOT NULL ORDER BY s.next_at LIMIT 1),
                        (SELECT s.expect_look FROM sluice.schedule s WHERE s.expect_look IS NOT NULL ORDER BY s.expect_look LIMIT 1),
                        (SELECT greatest(b.look_at, clock_timestamp() + CASE b.state WHEN 'planning' THEN interval '1 second' ELSE '0' END)
                           FROM sluice.backfill b WHERE b.ended_at IS NULL AND b.look_at IS NOT NULL ORDER BY b.look_at LIMIT 1));
        RETURN CASE WHEN v_next IS NOT NULL THEN greatest(ceil(extract(epoch FROM v_next - clock_timestamp()) * 1000), 10)::int8 END;
END
$$;

REVOKE ALL ON FUNCTION api.tick() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.tick() TO sluice_controld;
