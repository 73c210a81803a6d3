-- Runs: created, shown, cancelled, and moved along the graph of their tasks.
SET LOCAL check_function_bodies = off;

DROP FUNCTION IF EXISTS sluice.run_json(sluice.run, boolean), sluice.run_step(uuid), sluice.run_end(sluice.run),
        api.run_list(bytea, text, text, text, int, uuid); -- of the release before
CREATE OR REPLACE FUNCTION sluice.run_json(r sluice.run, p_tasks boolean, p_why boolean) RETURNS json
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_json jsonb := jsonb_build_object(
                'run', r.id, 'project', r.project, 'pipe', r.pipe, 'version', r.version, 'trial', sluice.is_draft(r.version), 'state', r.state,
                'outcome', r.outcome, 'exit_status', r.exit_status, 'reason', r.reason,
                'created_by', r.created_by, 'created_at', sluice.rfc3339(r.created_at),
                'started_at', sluice.rfc3339(r.started_at), 'ended_at', sluice.rfc3339(r.ended_at),
                'cancel_requested_at', sluice.rfc3339(r.cancel_requested_at), 'rerun_of', r.rerun_of, 'etag', r.revision::text,
                'log_complete', r.ended_at IS NOT NULL AND NOT EXISTS (
                        SELECT FROM sluice.attempts_of(r.id) a WHERE NOT a.log_complete),
                'scheduled', CASE WHEN r.schedule IS NOT NULL THEN sluice.scheduled_json(r.schedule, r.scheduled_at) END);
BEGIN
        IF NOT p_tasks THEN
                RETURN v_json;
        END IF;

        RETURN v_json || jsonb_build_object('parameters', r.parameters, 'tasks', (
                SELECT jsonb_agg(jsonb_build_object(
                               'task', t.name, 'parent', t.parent, 'state', t.state, 'reason', t.reason, 'after', t.after, 'after_failure', t.after_failure,
                               'after_any', t.after_any, 'retry_at', sluice.rfc3339(t.retry_at), 'passed_over', t.passed_over,
                               'attempts', coalesce(x.attempts, '[]')) ORDER BY t.position, t.fanout_index NULLS FIRST)
                  FROM sluice.task t
                  LEFT JOIN (SELECT a.task, jsonb_agg(sluice.attempt_json(a, p_why)::jsonb ORDER BY a.try) AS attempts
                               FROM sluice.attempts_of(r.id) a GROUP BY a.task) x ON x.task = t.name
                 WHERE t.run = r.id));
END
$$;

CREATE OR REPLACE FUNCTION sluice.run_find(p_run uuid) RETURNS sluice.run
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_run sluice.run;
BEGIN
        SELECT * INTO v_run FROM sluice.run WHERE id = p_run;

        IF v_run.id IS NULL THEN
                PERFORM sluice.fail(404, 'run-not-found', format('There is no run %s.', p_run));
        END IF;

        RETURN v_run;
END
$$;

-- Those who wait for news of these runs, whose revisions have changed, are woken.
CREATE OR REPLACE FUNCTION sluice.runs_tell(p_runs uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        PERFORM pg_notify('sluice', 'run ' || r.run) FROM unnest(p_runs) r (run);
END
$$;

-- Something that is shown of these runs has changed.
CREATE OR REPLACE FUNCTION sluice.run_touch(p_runs uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        UPDATE sluice.run r SET revision = r.revision + 1 WHERE r.id = ANY (p_runs);
        PERFORM sluice.runs_tell(p_runs);
END
$$;

-- What follows from the states of the tasks: the next ones are queued, those that can never run are
-- given up, and a run of which nothing is left ends. The caller holds the locks of the runs. Answers those that have ended.
CREATE OR REPLACE FUNCTION sluice.runs_step(p_runs uuid[]) RETURNS uuid[]
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
        v_waiting uuid[];
        v_over uuid[];
BEGIN
        -- What was placed apart and has succeeded does so again when what it came after does.
        WHILE EXISTS (SELECT FROM sluice.task t WHERE t.run = ANY (p_runs) AND t.apart AND t.parent IS NULL AND t.state = 'succeeded') LOOP
                UPDATE sluice.task t SET state = 'waiting', fanout_count = NULL
                 WHERE t.run = ANY (p_runs) AND t.apart AND t.parent IS NULL AND t.state = 'succeeded'
                   AND EXISTS (SELECT FROM sluice.task b
                                WHERE b.run = t.run AND b.name = ANY (t.after || t.after_failure || t.after_any)
                                  AND b.state IN ('waiting', 'queued', 'running'));
                EXIT WHEN NOT FOUND;
        END LOOP;

        FOR v_round IN 1 .. 2 LOOP
                SELECT array_agg(s.run) FILTER (WHERE s.waiting), array_agg(s.run) FILTER (WHERE NOT s.live)
                  INTO v_waiting, v_over
                  FROM (SELECT t.run, bool_or(t.state = 'waiting' OR t.fans AND t.state IN ('queued', 'running')) AS waiting, bool_or(t.state IN ('waiting', 'queued', 'running')) AS live
                          FROM unnest(p_runs) r (run) CROSS JOIN LATERAL (SELECT t.* FROM sluice.task t WHERE t.run = r.run OFFSET 0) t GROUP BY t.run) s;

                EXIT WHEN v_waiting IS NULL OR v_round = 2;
                PERFORM sluice.tasks_queue(v_waiting);
        END LOOP;

        RETURN CASE WHEN v_over IS NOT NULL THEN sluice.runs_end(v_over) ELSE '{}' END;
END
$$;

-- Of these runs, what can be queued is, and what can never run is skipped. A task begins when those of After= have succeeded, those of
-- AfterFailure= are over and one of them has failed, and those of AfterAny= are over. What is passed over counts as a success. A task that is done on all
-- instances has no attempt: its children have, when their turn has come (fan.sql).
CREATE OR REPLACE FUNCTION sluice.tasks_queue(p_runs uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        LOOP
                PERFORM sluice.tasks_queue_once(p_runs);
                EXIT WHEN NOT EXISTS (SELECT FROM sluice.task t WHERE t.run = ANY (p_runs) AND t.fans AND t.state IN ('queued', 'running'))
                          OR NOT sluice.fans_step(p_runs);
        END LOOP;
END
$$;

-- An identifier for what is made because of p_id, where sluice.uuid_v7_since() has it looked for, also if the clock was set back since by more than that forgives.
CREATE OR REPLACE FUNCTION sluice.uuid_v7_because(p_id uuid) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
        v_id uuid := sluice.uuid_v7();
BEGIN
        IF v_id >= sluice.uuid_v7_since(p_id) THEN
                RETURN v_id;
        END IF;
        RETURN encode(overlay(uuid_send(v_id) PLACING substring(uuid_send(p_id) FROM 1 FOR 6) FROM 1 FOR 6), 'hex')::uuid;
END
$$;

CREATE OR REPLACE FUNCTION sluice.tasks_queue_once(p_runs uuid[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
BEGIN
        LOOP
                UPDATE sluice.task t SET state = 'skipped'
                 WHERE t.run = ANY (p_runs) AND t.state = 'waiting' AND (t.after <> '{}' OR t.after_failure <> '{}' OR t.passed_over IS NOT NULL)
                   AND (t.passed_over IS NOT NULL
                        OR EXISTS (SELECT FROM sluice.task b
                                 WHERE b.run = t.run AND b.name = ANY (t.after) AND b.passed_over IS NULL
                                   AND b.state IN ('failed', 'skipped', 'cancelled'))
                        OR t.after_failure <> '{}'
                           AND NOT EXISTS (SELECT FROM sluice.task b
                                            WHERE b.run = t.run AND b.name = ANY (t.after_failure)
                                              AND b.state NOT IN ('succeeded', 'skipped', 'cancelled')));
                EXIT WHEN NOT FOUND;
        END LOOP;

        WITH ready AS (
                UPDATE sluice.task t SET state = 'queued'
                 WHERE t.run = ANY (p_runs) AND t.state = 'waiting' AND t.retry_at IS NULL AND NOT t.held
                   AND (t.after = '{}' OR NOT EXISTS (
                        SELECT FROM sluice.task b
                         WHERE b.run = t.run AND b.name = ANY (t.after) AND b.state <> 'succeeded' AND b.passed_over IS NULL))
                   AND (t.after_failure = '{}' AND t.after_any = '{}' OR NOT EXISTS (
                        SELECT FROM sluice.task b
                         WHERE b.run = t.run AND b.name = ANY (t.after_failure || t.after_any)
                           AND b.state IN ('waiting', 'queued', 'running')))
                RETURNING t.run, t.name, t.position, t.apart, t.fans, t.fanout_index, t.instance
        ), made AS MATERIALIZED ( -- OFFSET 0 keeps a look-up by key what it is, whatever is believed of the size of the tables
                SELECT sluice.uuid_v7_because(t.run) AS id, clock_timestamp() AS queued_at, t.run, t.name, t.apart, v.demands[t.position + 1] AS demand,
                       coalesce((v.spec ->> 'priority')::int, 0) AS priority, CASE WHEN t.apart THEN t.instance ELSE r.instance END AS instance, CASE WHEN r.revision = 1 THEN 1 -- it is new
                                           ELSE 1 + coalesce((SELECT max(a.try) FROM sluice.attempts_of(t.run) a WHERE a.task = t.name), 0) END AS try
                  FROM (SELECT * FROM ready WHERE NOT fans ORDER BY run, position, fanout_index OFFSET 0) t
                 CROSS JOIN LATERAL (SELECT r.* FROM sluice.run r WHERE r.id = t.run OFFSET 0) r
                  JOIN sluice.pipe_version v ON (v.project, v.pipe, v.version) = (r.project, r.pipe, r.version)
        ), attempts AS (
                INSERT INTO sluice.attempt (id, run, task, try, queued_at)
                SELECT m.id, m.run, m.name, m.try, m.queued_at FROM made m
        )
        INSERT INTO sluice.queue (attempt, run, apart, demand, priority, instance, queued_at)
        SELECT m.id, m.run, m.apart, m.demand, m.priority, m.instance, m.queued_at FROM made m;
END
$$;

-- Something of these runs has changed that may have moved them; the caller holds their locks.
CREATE OR REPLACE FUNCTION sluice.runs_advance(p_runs uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_ended uuid[];
        v_rest uuid[];
BEGIN
        IF p_runs = '{}' THEN
                RETURN;
        END IF;

        v_ended := sluice.runs_step(p_runs);
        v_rest := ARRAY(SELECT unnest(p_runs) EXCEPT SELECT unnest(v_ended));
        IF v_rest <> '{}' THEN
                UPDATE sluice.run r SET revision = r.revision + 1 WHERE r.id = ANY (v_rest);
        END IF;
        PERFORM sluice.runs_tell(p_runs);
END
$$;

CREATE OR REPLACE FUNCTION sluice.run_advance(p_run uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        PERFORM sluice.runs_advance(ARRAY[p_run]);
END
$$;

-- The outcome is that of the task that failed first; its exit status is what --wait ends with. Answers the runs that had not ended before.
CREATE OR REPLACE FUNCTION sluice.runs_end(p_runs uuid[]) RETURNS uuid[]
LANGUAGE plpgsql SET enable_seqscan = off SET enable_indexscan = off SET enable_indexonlyscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
        v_ended uuid[];
        v_limits boolean;
BEGIN
        WITH over AS MATERIALIZED (
                SELECT t.run, CASE WHEN bool_or(t.state = 'cancelled') THEN 'cancelled'
                                   WHEN bool_or(t.state = 'failed') THEN 'failed'
                                   ELSE 'succeeded' END AS state, bool_or(t.apart) AS apart
                  FROM unnest(p_runs) r (run) CROSS JOIN LATERAL (SELECT t.* FROM sluice.task t WHERE t.run = r.run AND t.parent IS NULL OFFSET 0) t GROUP BY t.run
        ), ended AS (
                UPDATE sluice.run r
                   SET state = o.state, ended_at = clock_timestamp(), revision = r.revision + 1,
                       outcome = CASE o.state WHEN 'failed' THEN f.outcome WHEN 'succeeded' THEN 'success' ELSE 'cancelled' END,
                       exit_status = CASE o.state WHEN 'failed' THEN f.exit_status WHEN 'succeeded' THEN 0 END,
                       reason = CASE o.state WHEN 'failed' THEN f.reason WHEN 'cancelled' THEN coalesce(r.reason, 'cancelled by ' || r.cancel_requested_by) END
                  FROM over o
                  LEFT JOIN LATERAL (
                        SELECT x.outcome, x.exit_status, x.reason
                          FROM (SELECT a.outcome, a.exit_status, a.reason, a.ended_at, a.id
                                  FROM (SELECT DISTINCT ON (a.task) a.* FROM sluice.attempts_of(o.run) a ORDER BY a.task, a.try DESC) a
                                  JOIN sluice.task t ON t.run = o.run AND t.name = a.task AND t.state = 'failed' AND t.parent IS NULL
                                 WHERE o.state = 'failed'
                                UNION ALL
                                SELECT c.outcome, c.exit_status, c.reason, c.ended_at, c.id
                                  FROM sluice.task t CROSS JOIN LATERAL sluice.fan_failure(t) c
                                 WHERE o.state = 'failed' AND t.run = o.run AND t.fans AND t.state = 'failed') x
                         ORDER BY x.ended_at, x.id LIMIT 1) f ON true
                 WHERE r.id = o.run AND r.ended_at IS NULL
                RETURNING r.id, r.instance, o.apart
        ), freed AS (
                DELETE FROM sluice.live_run l WHERE l.run = ANY (ARRAY(SELECT e.id FROM ended e)) RETURNING l.project, l.subject, l.pipe
        ), clean AS (
                INSERT INTO sluice.cleanup (instance, run)
                SELECT e.instance, e.id FROM ended e WHERE EXISTS (SELECT FROM sluice.instance i WHERE i.id = e.instance)
                UNION
                SELECT a.instance, e.id FROM ended e CROSS JOIN LATERAL sluice.attempts_of(e.id) a
                 WHERE e.apart AND EXISTS (SELECT FROM sluice.instance i WHERE i.id = a.instance)
                    ON CONFLICT DO NOTHING
        )
        SELECT ARRAY(SELECT e.id FROM ended e),
               EXISTS (SELECT FROM freed f WHERE f.subject IS NOT NULL)
               OR EXISTS (SELECT FROM freed f CROSS JOIN LATERAL (SELECT FROM sluice.demand d WHERE d.project = f.project AND d.subject = 'pipe ' || f.pipe OFFSET 0) d)
               OR EXISTS (SELECT FROM sluice.project p WHERE p.concurrency_limit IS NOT NULL AND p.name IN (SELECT f.project FROM freed f))
          INTO v_ended, v_limits;

        IF v_limits THEN
                PERFORM sluice.look();
        END IF;
        PERFORM sluice.streams_tell(v_ended);
        PERFORM sluice.dues_wake(v_ended);
        PERFORM sluice.dues_cause(v_ended);
        PERFORM sluice.expect_note(v_ended);
        RETURN v_ended;
END
$$;

CREATE OR REPLACE FUNCTION api.run_get(p_auth bytea, p_run uuid, p_unless text) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_run sluice.run;
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');
        v_run := sluice.run_find(p_run);

        IF v_run.revision::text = p_unless THEN
                RETURN NULL;
        END IF;

        RETURN sluice.run_json(v_run, true, true);
END
$$;

CREATE OR REPLACE FUNCTION api.run_list(p_auth bytea, p_project text, p_pipe text, p_state text, p_limit int,
                                        p_after uuid, p_trial text DEFAULT NULL) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_limit int := sluice.page_limit(p_limit);
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');
        PERFORM sluice.project_check(p_project);

        IF p_state <> ALL (sluice.state_words('run')) THEN
                PERFORM sluice.fail(400, 'bad-state', format('There is no run state "%s".', left(p_state, 80)),
                                    'States are ' || array_to_string(sluice.state_words('run'), ', ') || '.');
        ELSIF p_trial NOT IN ('true', 'false') THEN
                PERFORM sluice.fail(400, 'bad-request', 'Parameter "trial" is true or false.');
        END IF;

        RETURN (SELECT sluice.page(array_agg(sluice.run_json(x.r, false, false) ORDER BY x.id DESC),
                                   array_agg(x.id::text ORDER BY x.id DESC), v_limit)
                  FROM (SELECT r, r.id
                          FROM sluice.run r
                         WHERE r.project = p_project
                           AND (p_pipe IS NULL OR r.pipe = p_pipe)
                           AND (p_state IS NULL OR r.state = p_state)
                           AND (p_trial IS NULL OR sluice.is_draft(r.version) = p_trial::boolean)
                           AND (p_after IS NULL OR r.id < p_after)
                         ORDER BY r.id DESC LIMIT v_limit + 1) x);
END
$$;

-- What waits is cancelled here and now. What an instance has is asked to stop; its end is still awaited. The caller holds the lock
-- of the run. Asked again it changes nothing, and so it does when the run is over.
CREATE OR REPLACE FUNCTION sluice.run_stop(p_run uuid, p_by text, p_reason text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_attempt sluice.attempt;
BEGIN
        UPDATE sluice.run SET cancel_requested_at = clock_timestamp(), cancel_requested_by = p_by, reason = p_reason
         WHERE id = p_run AND ended_at IS NULL AND cancel_requested_at IS NULL;
        IF NOT FOUND THEN
                RETURN;
        END IF;

        FOR v_attempt IN SELECT * FROM sluice.attempts_of(p_run) a
                          WHERE a.state IN ('queued', 'assigned', 'running') OR a.state = 'stopping' AND a.stop_requested_at IS NULL LOOP
                IF v_attempt.state = 'queued' THEN
                        DELETE FROM sluice.queue WHERE attempt = v_attempt.id;
                        UPDATE sluice.attempt
                           SET state = 'cancelled', outcome = 'cancelled', ended_at = clock_timestamp(),
                               stop_requested_at = clock_timestamp(), log_complete = true, reason = p_reason
                         WHERE id = v_attempt.id;
                        UPDATE sluice.task SET state = 'cancelled' WHERE run = p_run AND name = v_attempt.task;
                ELSE
                        UPDATE sluice.assignment SET state = 'stopping', stop_reason = p_reason WHERE attempt = v_attempt.id;
                        UPDATE sluice.attempt SET state = 'stopping', stop_requested_at = clock_timestamp(), reason = p_reason
                         WHERE id = v_attempt.id;
                        PERFORM pg_notify('sluice', 'instance ' || v_attempt.instance);
                END IF;
        END LOOP;

        UPDATE sluice.task SET state = 'cancelled', retry_at = NULL WHERE run = p_run AND state = 'waiting';
        PERFORM sluice.run_advance(p_run);
END
$$;

CREATE OR REPLACE FUNCTION api.run_cancel(p_auth bytea, p_run uuid) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'operator');
        v_run sluice.run;
BEGIN
        PERFORM FROM sluice.run WHERE id = p_run FOR NO KEY UPDATE;
        v_run := sluice.run_find(p_run);

        IF EXISTS (SELECT FROM sluice.stream WHERE run = p_run OR retiring = p_run) THEN
                PERFORM sluice.fail(409, 'streaming-run', format('Run %s is of the streaming pipe "%s": another would take its place.', p_run, v_run.pipe),
                                    'Stop the pipe: sluicectl stop PIPE.');
        END IF;
        PERFORM sluice.run_stop(p_run, v_token.name, 'cancelled by ' || v_token.name);

        RETURN sluice.run_json(sluice.run_find(p_run), true, true);
END
$$;

REVOKE ALL ON FUNCTION api.run_get(bytea, uuid, text),
        api.run_list(bytea, text, text, text, int, uuid, text), api.run_cancel(bytea, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.run_get(bytea, uuid, text),
        api.run_list(bytea, text, text, text, int, uuid, text), api.run_cancel(bytea, uuid) TO sluice_controld;
