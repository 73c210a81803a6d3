-- Placing queued attempts on instances, and what follows when one ends.

-- True when labels satisfy a selector: {"region": "eu-west"} wants equality, {"warehouse": null} wants the label to be there.
CREATE OR REPLACE FUNCTION sluice.selector_matches(p_selector jsonb, p_labels jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT NOT EXISTS (
        SELECT FROM jsonb_each_text(p_selector) s
        WHERE NOT p_labels ? s.key OR (s.value IS NOT NULL AND p_labels ->> s.key <> s.value))
$$;

-- Instances that may take work now, with the slots that are free by the live rows.
CREATE OR REPLACE VIEW sluice.ready_instance AS
    SELECT i.instance, i.boot, a.type, a.labels, a.name,
           i.slots - (SELECT count(*) FROM sluice.assignment l WHERE l.instance = i.instance)::int AS free
    FROM sluice.instance i
    JOIN sluice.agent a USING (agent)
    JOIN sluice.presence p USING (instance)
    WHERE p.goodbye_at IS NULL AND p.last_seen_at > sluice.present_after() AND NOT i.draining;

-- Why a queued attempt was not placed, as a sentence.
CREATE OR REPLACE FUNCTION sluice.verdict(q sluice.queue) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_matching int;
    v_ready    int;
    v_wanted   text;
BEGIN
    IF q.instance IS NOT NULL THEN
        IF EXISTS (SELECT FROM ready_instance r WHERE r.instance = q.instance) THEN
            RETURN 'The instance that has the run''s workspace has no free slot.';
        END IF;
        RETURN 'The instance that has the run''s workspace is not ready for work (gone, stopped or draining).';
    END IF;
    SELECT count(*), count(r.instance) INTO v_matching, v_ready
    FROM instance i JOIN agent a USING (agent) LEFT JOIN ready_instance r USING (instance)
    WHERE a.type = q.type AND selector_matches(q.selector, a.labels);
    SELECT string_agg(s.key || coalesce('=' || s.value, ''), ', ') INTO v_wanted FROM jsonb_each_text(q.selector) s;
    IF v_matching = 0 THEN
        RETURN format('No %s agent matches AgentSelector=%s.', q.type, coalesce(v_wanted, '(any)'));
    ELSIF v_ready = 0 THEN
        RETURN format('%s matching instance(s), none ready for work (gone, stopped or draining).', v_matching);
    END IF;
    RETURN format('%s matching instance(s) ready, all slots taken.', v_ready);
END
$$;

-- One transaction at a time moves work: slots are counted from live rows, and two tasks of a run that end together must see
-- each other. Taken before any row of a run is touched, so that nothing waits in a circle.
CREATE OR REPLACE FUNCTION sluice.lock_work() RETURNS void
    LANGUAGE sql
    AS $$
    SELECT pg_advisory_xact_lock(hashtext('sluice.work'))
$$;

-- Places what can be placed; the rest gets a verdict. Attempts that wait for the same kind of instance are placed by one
-- statement: waiting rows and free slots are numbered and meet by number, one slot of each instance before the second of any.
-- A run's first attempt decides its instance, so a run takes part with one row until it has one.
CREATE OR REPLACE FUNCTION sluice.dispatch() RETURNS int
    LANGUAGE plpgsql
    SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_class  record;
    v_placed int;
    v_total  int := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM queue) THEN
        RETURN 0;
    END IF;
    PERFORM lock_work();
    LOOP
        v_placed := 0;
        FOR v_class IN
            SELECT type, selector, instance, avoid FROM queue GROUP BY 1, 2, 3, 4 ORDER BY min(queued_at) LIMIT 256
        LOOP
            WITH waiting AS (
                SELECT w.attempt, w.run, row_number() OVER (ORDER BY w.attempt) AS n
                FROM (SELECT DISTINCT ON (CASE WHEN q.instance IS NULL THEN q.run ELSE q.attempt END) q.attempt, q.run
                      FROM queue q
                      WHERE q.type = v_class.type AND q.selector = v_class.selector
                        AND q.instance IS NOT DISTINCT FROM v_class.instance
                        AND q.avoid IS NOT DISTINCT FROM v_class.avoid
                      ORDER BY CASE WHEN q.instance IS NULL THEN q.run ELSE q.attempt END, q.attempt) w
                LIMIT 256
            ), slot AS (
                SELECT r.instance, r.boot,
                       row_number() OVER (ORDER BY s.k, r.free DESC, r.instance = v_class.avoid, r.instance) AS n
                FROM ready_instance r, generate_series(1, r.free) AS s (k)
                WHERE r.type = v_class.type AND selector_matches(v_class.selector, r.labels)
                  AND (v_class.instance IS NULL OR r.instance = v_class.instance)
                  AND (v_class.avoid IS NULL OR r.instance <> v_class.avoid)
                LIMIT 256
            ), placed AS (
                DELETE FROM queue q USING waiting w, slot s
                WHERE q.attempt = w.attempt AND w.n = s.n
                RETURNING q.attempt, q.run, s.instance, s.boot
            ), assigned AS (
                UPDATE attempt a SET state = 'assigned', instance = p.instance, epoch = a.epoch + 1, assigned_at = now()
                FROM placed p WHERE a.attempt = p.attempt
                RETURNING a.attempt, a.run, a.epoch, p.instance, p.boot
            ), live AS (
                INSERT INTO assignment (attempt, run, instance, epoch, boot)
                SELECT attempt, run, instance, epoch, boot FROM assigned
                RETURNING run, instance
            ), pinned AS (
                UPDATE run r SET instance = l.instance, revision = r.revision + 1
                FROM (SELECT DISTINCT run, instance FROM live) l WHERE r.run = l.run
                RETURNING r.run, r.instance
            ), told AS (
                SELECT pg_notify('sluice', 'instance ' || instance), pg_notify('sluice', 'run ' || run) FROM pinned
            )
            SELECT count(*) INTO v_placed FROM told;
            EXIT WHEN v_placed > 0;
        END LOOP;
        EXIT WHEN coalesce(v_placed, 0) = 0;
        v_total := v_total + v_placed;
        UPDATE queue q SET instance = r.instance FROM run r
        WHERE q.run = r.run AND q.instance IS NULL AND r.instance IS NOT NULL;
    END LOOP;

    FOR v_class IN
        WITH judged AS (
            SELECT q.attempt, verdict(q) AS verdict FROM queue q
        )
        UPDATE queue q SET verdict = j.verdict FROM judged j
        WHERE q.attempt = j.attempt AND q.verdict IS DISTINCT FROM j.verdict
        RETURNING q.run
    LOOP
        PERFORM touch_run(v_class.run);
    END LOOP;
    RETURN v_total;
END
$$;

-- Queues an attempt of every waiting task whose predecessors have all succeeded.
CREATE OR REPLACE FUNCTION sluice.queue_ready_tasks(p_run uuid) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, sluice
    AS $$
    WITH ready AS (
        UPDATE task t SET state = 'queued'
        WHERE t.run = p_run AND t.state = 'waiting'
          AND NOT EXISTS (SELECT FROM task b WHERE b.run = p_run AND b.task = ANY (t.after) AND b.state <> 'succeeded')
        RETURNING t.task, t.position
    ), made AS (
        INSERT INTO attempt (attempt, run, task)
        SELECT uuid_v7(), p_run, task FROM ready ORDER BY position
        RETURNING attempt
    )
    INSERT INTO queue (attempt, run, type, selector, instance)
    SELECT m.attempt, r.run, v.spec ->> 'type', v.spec -> 'agent_selector', r.instance
    FROM made m, run r JOIN pipe_version v USING (project, pipe, version)
    WHERE r.run = p_run;
$$;

-- Ends the run when nothing of it is left to do.
CREATE OR REPLACE FUNCTION sluice.settle_run(p_run uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_run   run;
    v_first attempt;
BEGIN
    IF EXISTS (SELECT FROM task WHERE run = p_run AND state IN ('failed', 'cancelled')) THEN
        UPDATE task SET state = 'skipped' WHERE run = p_run AND state = 'waiting';
    END IF;
    IF EXISTS (SELECT FROM task WHERE run = p_run AND state IN ('waiting', 'queued', 'running')) THEN
        PERFORM touch_run(p_run);
        RETURN;
    END IF;

    -- What decided: the first attempt, in time, that did not succeed.
    SELECT a.* INTO v_first FROM attempt a
    WHERE a.run = p_run AND a.outcome <> 'success' ORDER BY a.ended_at, a.attempt LIMIT 1;
    UPDATE run SET
        state = CASE WHEN v_first.attempt IS NULL THEN 'succeeded'
                     WHEN v_first.outcome = 'cancelled' THEN 'cancelled' ELSE 'failed' END,
        outcome = coalesce(v_first.outcome, 'success'),
        exit_status = CASE WHEN v_first.attempt IS NULL THEN 0 ELSE v_first.exit_status END,
        reason = v_first.reason, ended_at = now()
    WHERE run = p_run AND ended_at IS NULL
    RETURNING * INTO v_run;
    IF v_run.instance IS NOT NULL THEN
        INSERT INTO cleanup (instance, run) VALUES (v_run.instance, p_run) ON CONFLICT DO NOTHING;
        PERFORM pg_notify('sluice', 'instance ' || v_run.instance);
    END IF;
    PERFORM touch_run(p_run);
END
$$;

-- Ends an attempt with an outcome and moves its task and run on, under lock_work(). The other columns are the caller's to fill.
CREATE OR REPLACE FUNCTION sluice.end_attempt(p_attempt uuid, p_outcome text, p_reason text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_attempt attempt;
BEGIN
    DELETE FROM queue WHERE attempt = p_attempt;
    DELETE FROM assignment WHERE attempt = p_attempt;
    UPDATE attempt SET
        state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE 'ended' END,
        outcome = p_outcome, reason = coalesce(p_reason, reason), ended_at = now(),
        -- Without a process of its own there is no log to wait for.
        log_complete = log_complete OR started_at IS NULL OR p_outcome = 'lost'
    WHERE attempt = p_attempt
    RETURNING * INTO v_attempt;
    UPDATE task SET state = CASE p_outcome WHEN 'success' THEN 'succeeded' WHEN 'cancelled' THEN 'cancelled' ELSE 'failed' END
    WHERE run = v_attempt.run AND task = v_attempt.task;
    IF p_outcome = 'success' AND NOT EXISTS (
        SELECT FROM task WHERE run = v_attempt.run AND state IN ('failed', 'cancelled')) THEN
        PERFORM queue_ready_tasks(v_attempt.run);
    END IF;
    PERFORM settle_run(v_attempt.run);
END
$$;
