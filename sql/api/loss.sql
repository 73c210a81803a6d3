-- What becomes of the work of an agent that is not heard of. See docs/decisions/0006-fencing.md.
SET LOCAL check_function_bodies = off;

-- A time span of systemd's; NULL for infinity and for what is none.
CREATE OR REPLACE FUNCTION sluice.timespan_parse(p_text text) RETURNS interval
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$ -- not sql, which would be planned anew each time
BEGIN
        RETURN (SELECT make_interval(secs => least(sum(m[1]::numeric * u.seconds), 1e9)::float8)
          FROM regexp_matches(p_text, '([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)', 'g') m
          LEFT JOIN (VALUES ('', 1), ('s', 1), ('sec', 1), ('second', 1), ('seconds', 1), ('ms', 0.001), ('msec', 0.001),
                            ('us', 0.000001), ('usec', 0.000001), ('m', 60), ('min', 60), ('minute', 60), ('minutes', 60),
                            ('h', 3600), ('hr', 3600), ('hour', 3600), ('hours', 3600), ('d', 86400), ('day', 86400),
                            ('days', 86400), ('w', 604800), ('week', 604800), ('weeks', 604800), ('M', 2629800),
                            ('month', 2629800), ('months', 2629800), ('y', 31557600), ('year', 31557600),
                            ('years', 31557600)) u (unit, seconds) ON u.unit = m[2]
        HAVING bool_and(u.seconds IS NOT NULL));
END
$$;

-- How long a task may take to stop. agentd-exec sets the default where a task is fenced.
CREATE OR REPLACE FUNCTION sluice.stop_timeout(p_task jsonb) RETURNS interval
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
        RETURN sluice.timespan_parse(coalesce((
                SELECT d.pair ->> 1 FROM jsonb_array_elements(p_task -> 'directives') WITH ORDINALITY d (pair, n)
                 WHERE d.pair ->> 0 = 'TimeoutStopSec' ORDER BY d.n DESC LIMIT 1), '90s'));
END
$$;

CREATE OR REPLACE FUNCTION sluice.on_agent_loss(p_spec jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT coalesce(p_spec ->> 'on_agent_loss', CASE p_spec ->> 'type' WHEN 'streaming' THEN 'wait' ELSE 'retry' END)
$$;

-- Another attempt may follow elsewhere, so the agent must have stopped the first one by then.
CREATE OR REPLACE FUNCTION sluice.is_fenced(p_spec jsonb, p_task jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT sluice.on_agent_loss(p_spec) = 'retry' AND coalesce(p_spec ->> 'delivery', 'at-least-once') = 'at-least-once'
           AND sluice.stop_timeout(p_task) IS NOT NULL
$$;

-- presence_touch() writes no more often than every 20 seconds; 10 more for clocks, timers and PID 1's delay.
CREATE OR REPLACE FUNCTION sluice.loss_margin() RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT interval '30 seconds' $$;

-- A lost attempt is followed by another, but not for ever: the task may be what takes its hosts away.
CREATE OR REPLACE FUNCTION sluice.loss_is_retried(p_attempt sluice.attempt) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
        IF p_attempt.outcome NOT IN ('lost', 'fenced', 'interrupted') THEN
                RETURN false;
        END IF;

        RETURN (SELECT (sluice.is_fenced(v.spec, v.spec -> 'tasks' -> t.position)
                        OR p_attempt.outcome = 'interrupted' AND p_attempt.started_at IS NULL)
                       AND (t.apart OR p_attempt.outcome = 'interrupted' OR sluice.run_can_begin_again(r.id))
                  FROM sluice.run r
                  JOIN sluice.task t ON t.run = r.id AND t.name = p_attempt.task
                  JOIN sluice.pipe_version v ON (v.project, v.pipe, v.version) = (r.project, r.pipe, r.version)
                 WHERE r.id = p_attempt.run AND r.cancel_requested_at IS NULL)
           AND (SELECT count(*) FROM sluice.attempts_of(p_attempt.run) a
                 WHERE a.task = p_attempt.task AND a.outcome IN ('lost', 'fenced')) <= 3;
END
$$;

-- The clock was set back by so much: what the database has noted of later moments, which are yet to come. An agent would count as heard of until then,
-- and what waits for its time would wait as much longer. What somebody is busy with is left as it is.
CREATE OR REPLACE FUNCTION sluice.clock_went_back(p_by interval) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_now timestamptz := clock_timestamp();
BEGIN
        UPDATE sluice.presence SET last_seen_at = v_now
         WHERE instance = ANY (ARRAY(SELECT p.instance FROM sluice.presence p WHERE p.last_seen_at > v_now ORDER BY p.instance FOR NO KEY UPDATE SKIP LOCKED));
        UPDATE sluice.stream SET again_at = again_at - p_by
         WHERE (project, pipe) IN (SELECT s.project, s.pipe FROM sluice.stream s WHERE s.again_at > v_now FOR UPDATE SKIP LOCKED);
        UPDATE sluice.task SET retry_at = retry_at - p_by
         WHERE retry_at > v_now AND run = ANY (ARRAY(SELECT r.id FROM sluice.run r WHERE r.id = ANY (ARRAY(SELECT t.run FROM sluice.task t WHERE t.retry_at > v_now))
                                                      ORDER BY r.id FOR NO KEY UPDATE SKIP LOCKED));
        UPDATE sluice.queue SET avoid_until = v_now
         WHERE attempt = ANY (ARRAY(SELECT q.attempt FROM sluice.queue q WHERE q.avoid_until > v_now + interval '5 seconds' FOR UPDATE SKIP LOCKED));
        PERFORM pg_notify('sluice', 'tick');
END
$$;

-- Notes that controld is here, and answers since when "not heard of" means something. A stand-still of the control plane, another
-- server, or a clock that jumped say nothing about agents.
CREATE OR REPLACE FUNCTION sluice.attend() RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
        v sluice.attendance;
        v_now timestamptz := clock_timestamp();
BEGIN
        SELECT * INTO STRICT v FROM sluice.attendance;

        IF v.server_since <> pg_postmaster_start_time() OR v_now NOT BETWEEN v.last_at - interval '1 second' AND v.last_at + interval '30 seconds' THEN
                IF v_now < v.last_at - interval '1 second' THEN
                        PERFORM sluice.clock_went_back(v.last_at - v_now);
                END IF;
                UPDATE sluice.attendance SET before = last_at, since = v_now, last_at = v_now, server_since = pg_postmaster_start_time();
                RETURN v_now;
        ELSIF v_now > v.last_at + interval '5 seconds' THEN
                UPDATE sluice.attendance SET last_at = v_now;
        END IF;

        RETURN v.since;
END
$$;

-- Somebody has a table to himself, or waits for that, and everybody who would say something waits behind him: silence means nothing.
CREATE OR REPLACE FUNCTION sluice.is_locked_up() RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
        RETURN EXISTS (SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
                        WHERE l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
                          AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
                          AND l.pid IS DISTINCT FROM pg_backend_pid() AND c.relnamespace = 'sluice'::regnamespace);
END
$$;

-- The runs of an instance, of which presence says that it was last heard of then, whose grace is over. Their grace is that of
-- the slowest of their tasks to stop: a run is given up as a whole, since its tasks share a workspace.
CREATE OR REPLACE FUNCTION sluice.loss_runs(p_instance uuid, p_heard timestamptz) RETURNS TABLE (run uuid, retried boolean)
LANGUAGE plpgsql STABLE ROWS 8 SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
        RETURN QUERY
                SELECT x.run, sluice.on_agent_loss(k.spec) = 'retry' AND bool_and(sluice.is_fenced(k.spec, k.spec -> 'tasks' -> k.position))
                  FROM sluice.assignment x
                  JOIN sluice.instance i ON i.id = x.instance
                 CROSS JOIN LATERAL (SELECT v.spec, t.position
                                       FROM sluice.attempt a
                                       JOIN sluice.run r ON r.id = x.run
                                       JOIN sluice.task t ON t.run = x.run AND t.name = a.task
                                       JOIN sluice.pipe_version v ON (v.project, v.pipe, v.version) = (r.project, r.pipe, r.version)
                                      WHERE a.id = x.attempt OFFSET 0) k
                 WHERE x.instance = p_instance AND sluice.on_agent_loss(k.spec) <> 'wait'
                 GROUP BY x.run, k.spec, i.self_fence_sec
                HAVING p_heard + make_interval(secs => i.self_fence_sec) + sluice.loss_margin()
                       + max(coalesce(sluice.stop_timeout(k.spec -> 'tasks' -> k.position), interval '90 seconds')) < clock_timestamp();
END
$$;

-- What has failed or was cancelled stays so: then the rest is not begun again without the workspace that it had.
CREATE OR REPLACE FUNCTION sluice.run_can_begin_again(p_run uuid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
        RETURN NOT EXISTS (SELECT FROM sluice.task WHERE run = p_run AND state IN ('failed', 'cancelled') AND parent IS NULL);
END
$$;

-- What its tasks made stays behind, so all of it begins again, if any of it does: but for what is placed apart, which leaves nothing there
-- and is done again only after what is (run.sql).
CREATE OR REPLACE FUNCTION sluice.run_unbind(p_run uuid, p_instance uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        IF EXISTS (SELECT FROM sluice.task WHERE run = p_run AND state = 'waiting' AND NOT apart)
           AND EXISTS (SELECT FROM sluice.run WHERE id = p_run AND instance = p_instance)
           AND sluice.run_can_begin_again(p_run) THEN
                UPDATE sluice.task SET state = 'waiting', retry_at = NULL
                 WHERE run = p_run AND NOT apart AND (state IN ('succeeded', 'skipped') OR retry_at IS NOT NULL);
                LOOP -- what was skipped for how something before it had ended may have to be done this time
                        UPDATE sluice.task t SET state = 'waiting', fanout_count = NULL
                         WHERE t.run = p_run AND t.apart AND t.parent IS NULL AND t.passed_over IS NULL AND t.state IN ('succeeded', 'skipped')
                           AND EXISTS (SELECT FROM sluice.task b
                                        WHERE b.run = p_run AND b.name = ANY (t.after || t.after_failure || t.after_any) AND b.state = 'waiting');
                        EXIT WHEN NOT FOUND;
                END LOOP;
                UPDATE sluice.run SET instance = NULL WHERE id = p_run;
                UPDATE sluice.queue SET instance = NULL WHERE run = p_run AND NOT apart;
                IF NOT EXISTS (SELECT FROM sluice.assignment WHERE run = p_run) THEN
                        PERFORM sluice.live_end(p_run);
                END IF;
                INSERT INTO sluice.cleanup (instance, run) VALUES (p_instance, p_run) ON CONFLICT DO NOTHING;
        END IF;
END
$$;

-- The caller holds the lock of the run. What its tasks made is on the host that is gone, so all of it begins again, elsewhere
-- or there; the agent, when it comes back, stops what it has and removes the old workspace.
CREATE OR REPLACE FUNCTION sluice.run_lost(p_run uuid, p_instance uuid, p_heard timestamptz, p_retried boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_attempt uuid;
BEGIN
        FOR v_attempt IN SELECT attempt FROM sluice.assignment WHERE run = p_run AND instance = p_instance ORDER BY attempt LOOP
                PERFORM sluice.attempt_end(v_attempt, 'lost', jsonb_build_object('reason', format(
                        'Its agent was not heard of since %s.', sluice.rfc3339(p_heard))), true);
        END LOOP;
        IF NOT FOUND THEN
                RETURN; -- its end was reported just now
        END IF;

        IF p_retried THEN
                PERFORM sluice.run_unbind(p_run, p_instance);
        END IF;
        PERFORM sluice.run_advance(p_run);
END
$$;

-- Whether a run of this may be done as a whole once more while nobody has anything of it.
CREATE OR REPLACE FUNCTION sluice.is_movable(p_spec jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT sluice.on_agent_loss(p_spec) = 'retry' AND coalesce(p_spec ->> 'delivery', 'at-least-once') = 'at-least-once'
$$;

DROP FUNCTION IF EXISTS sluice.runs_move(uuid, timestamptz), sluice.runs_move(uuid, text), sluice.runs_to_move(uuid); -- of releases before

-- The runs of which something waits: for a seat on one of these instances, or for its next try, wherever.
CREATE OR REPLACE FUNCTION sluice.runs_waiting(p_instances uuid[]) RETURNS uuid[]
LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
BEGIN
        RETURN ARRAY(SELECT q.run FROM sluice.queue q WHERE q.instance = ANY (p_instances)
                     UNION SELECT t.run FROM sluice.task t WHERE t.retry_at IS NOT NULL);
END
$$;

-- Of these runs, those of which one of these instances has nothing but the workspace, and for which a task waits. Each is looked up by its key
-- (docs/decisions/0015): what waits may be much, and what has run is.
CREATE OR REPLACE FUNCTION sluice.runs_movable(p_instances uuid[], p_runs uuid[]) RETURNS TABLE (run uuid, instance uuid)
LANGUAGE plpgsql STABLE ROWS 8 SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
        RETURN QUERY
                SELECT r.id, r.instance
                  FROM unnest(p_runs) b (run)
                 CROSS JOIN LATERAL (SELECT r.id, r.instance, v.spec
                                       FROM sluice.run r JOIN sluice.pipe_version v ON (v.project, v.pipe, v.version) = (r.project, r.pipe, r.version)
                                      WHERE r.id = b.run AND r.instance = ANY (p_instances) AND r.cancel_requested_at IS NULL OFFSET 0) r
                 WHERE sluice.is_movable(r.spec)
                   AND NOT EXISTS (SELECT FROM sluice.assignment x WHERE x.run = r.id AND x.instance = r.instance OFFSET 0)
                   AND EXISTS (SELECT FROM sluice.task t WHERE t.run = r.id AND t.state IN ('waiting', 'queued') AND NOT t.apart OFFSET 0);
END
$$;

-- Those of the runs that have nothing on one of these instances but their workspace: a task of theirs waits for its next try, or for a seat there.
-- Where all of it may be repeated, all of it begins again elsewhere; there is nothing that would have to be stopped before. Where one of its
-- tasks has failed, those that wait for the instance fail, too, for its reason. Answers the runs that were moved, which are to be placed.
CREATE OR REPLACE FUNCTION sluice.runs_move(p_instances uuid[], p_reasons text[], p_runs uuid[]) RETURNS uuid[]
LANGUAGE plpgsql AS $$
DECLARE
        v_held uuid[] := ARRAY(SELECT r.id FROM sluice.run r WHERE r.id = ANY (ARRAY(SELECT m.run FROM sluice.runs_movable(p_instances, p_runs) m))
                                ORDER BY r.id FOR NO KEY UPDATE SKIP LOCKED);
        v_runs uuid[];
        v_homes uuid[];
        v_ends uuid[];
BEGIN
        SELECT coalesce(array_agg(m.run ORDER BY m.run), '{}'), coalesce(array_agg(m.instance ORDER BY m.run), '{}') INTO v_runs, v_homes
          FROM sluice.runs_movable(p_instances, v_held) m; -- as they are now
        v_ends := ARRAY(SELECT r FROM unnest(v_runs) r WHERE NOT sluice.run_can_begin_again(r));

        UPDATE sluice.attempt
           SET state = 'cancelled', outcome = 'cancelled', ended_at = clock_timestamp(), log_complete = true,
               reason = p_reasons[array_position(p_instances, v_homes[array_position(v_runs, run)])]
         WHERE id = ANY (ARRAY(SELECT q.attempt FROM sluice.queue q WHERE q.run = ANY (v_runs) AND NOT q.apart));
        DELETE FROM sluice.queue WHERE run = ANY (v_runs) AND NOT apart;
        UPDATE sluice.task SET state = 'queued', retry_at = NULL WHERE run = ANY (v_ends) AND NOT apart AND retry_at IS NOT NULL; -- there will be no retry
        UPDATE sluice.task SET state = CASE WHEN run = ANY (v_ends) THEN 'failed' ELSE 'waiting' END WHERE run = ANY (v_runs) AND NOT apart AND state = 'queued';
        PERFORM sluice.run_unbind(b.run, b.home) FROM unnest(v_runs, v_homes) b (run, home);
        PERFORM sluice.runs_advance(v_runs);
        RETURN v_runs;
END
$$;

-- For all instances whose fence must have fallen, and those whose agent is drained and was given its time; so many runs at once.
CREATE OR REPLACE FUNCTION sluice.moves_sweep() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_gone uuid[];
        v_reasons text[];
        v_runs uuid[];
BEGIN
        SELECT array_agg(i.id),
               array_agg(format('The agent that it waited for %s.',
                                CASE WHEN d.agent IS NULL THEN format('was not heard of since %s', sluice.rfc3339(p.last_seen_at)) ELSE 'is drained' END))
          INTO v_gone, v_reasons
          FROM sluice.presence p
          JOIN sluice.instance i ON i.id = p.instance
          LEFT JOIN sluice.agent_flag d ON d.agent = i.agent AND d.escalated_at IS NOT NULL
         WHERE d.agent IS NOT NULL
            OR i.goodbye_at IS NULL AND i.quarantined_at IS NULL
               AND greatest(p.last_seen_at, (SELECT since FROM sluice.attendance)) + make_interval(secs => i.self_fence_sec) + sluice.loss_margin() < clock_timestamp();
        IF v_gone IS NULL THEN
                RETURN;
        END IF;

        v_runs := ARRAY(SELECT m.run FROM sluice.runs_movable(v_gone, sluice.runs_waiting(v_gone)) m LIMIT 1000);
        IF v_runs <> '{}' THEN
                PERFORM sluice.dispatch_runs(sluice.runs_move(v_gone, v_reasons, v_runs), NULL);
        END IF;
END
$$;

-- These are not there, since then: Unknown, and given nothing, until their next sync. Whoever holds a poll of theirs has it ask again.
CREATE OR REPLACE FUNCTION sluice.instances_broke(p_instances uuid[], p_at timestamptz[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_ids uuid[] := ARRAY(SELECT id FROM sluice.instance
                               WHERE id = ANY (p_instances) AND goodbye_at IS NULL AND broke_at IS NULL AND session IS NOT NULL
                               ORDER BY id FOR NO KEY UPDATE);
BEGIN
        UPDATE sluice.instance i SET broke_at = b.at FROM unnest(p_instances, p_at) b (id, at) WHERE i.id = b.id AND i.id = ANY (v_ids);
        DELETE FROM sluice.idle WHERE instance = ANY (v_ids);

        PERFORM pg_notify('sluice', 'instance ' || id) FROM unnest(v_ids) id;
END
$$;

-- Now and then, by one of all workers.
CREATE OR REPLACE FUNCTION sluice.loss_sweep() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_since timestamptz;
        v_heard timestamptz;
        v record;
        v_runs uuid[] := '{}'; -- that are lost, each with all that follows
        v_retried boolean[] := '{}';
        v_gone uuid[] := '{}';
        v_gone_at timestamptz[] := '{}';
        v_held uuid[];
        v_there uuid[];
BEGIN
        IF NOT pg_try_advisory_xact_lock(hashtext('sluice'), 4) OR sluice.is_locked_up() THEN
                RETURN;
        END IF;
        v_since := sluice.attend();

        -- One that said goodbye is waited for: its tasks run on, and it has lifted its fence. Of one in quarantine nobody knows.
        FOR v IN SELECT g.instance
                   FROM (SELECT p.instance, greatest(p.last_seen_at, v_since) AS heard
                           FROM sluice.presence p JOIN sluice.instance i ON i.id = p.instance
                          WHERE i.goodbye_at IS NULL AND i.self_fence_sec IS NOT NULL AND i.quarantined_at IS NULL
                            AND greatest(p.last_seen_at, v_since) + make_interval(secs => i.self_fence_sec) + sluice.loss_margin() < clock_timestamp() OFFSET 0) g
                  WHERE EXISTS (SELECT FROM sluice.assignment x WHERE x.instance = g.instance OFFSET 0)
                    AND EXISTS (SELECT FROM sluice.loss_runs(g.instance, g.heard)) -- those that wait leave room for others
                  ORDER BY g.instance LIMIT 100 LOOP
                -- It may be here again in this moment: then it waits for this, or the next sweep sees it.
                SELECT last_seen_at INTO v_heard FROM sluice.presence WHERE instance = v.instance FOR UPDATE SKIP LOCKED;
                CONTINUE WHEN NOT FOUND;
                SELECT v_runs || coalesce(array_agg(l.run), '{}'), v_retried || coalesce(array_agg(l.retried), '{}'),
                       v_gone || coalesce(array_agg(v.instance), '{}'), v_gone_at || coalesce(array_agg(v_heard), '{}')
                  INTO v_runs, v_retried, v_gone, v_gone_at
                  FROM sluice.loss_runs(v.instance, greatest(v_heard, v_since)) l;
        END LOOP;

        IF v_runs <> '{}' THEN
                -- Of all instances in one order: those who report many things lock many runs, too. What somebody is busy with is left for the next sweep:
                -- the presence of the whole fleet waits behind this one.
                v_held := ARRAY(SELECT id FROM sluice.run WHERE id = ANY (v_runs) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED);
                v_there := ARRAY(SELECT id FROM sluice.instance WHERE id = ANY (v_gone) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED);
                SELECT coalesce(array_agg(l.run), '{}'), coalesce(array_agg(l.retried), '{}'), coalesce(array_agg(l.instance), '{}'), coalesce(array_agg(l.heard), '{}')
                  INTO v_runs, v_retried, v_gone, v_gone_at
                  FROM unnest(v_runs, v_retried, v_gone, v_gone_at) l (run, retried, instance, heard)
                 WHERE l.run = ANY (v_held) AND l.instance = ANY (v_there);
                PERFORM sluice.run_lost(l.run, l.instance, l.heard, l.retried)
                   FROM unnest(v_runs, v_gone, v_gone_at, v_retried) l (run, instance, heard, retried);

                -- Who was given up is not given it again, whatever the lease says.
                PERFORM sluice.instances_broke(v_gone, v_gone_at);
                PERFORM sluice.dispatch_runs(v_runs, NULL);
        END IF;
END
$$;
