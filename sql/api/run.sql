-- Runs: created, shown, cancelled, and moved along the graph of their tasks.
SET LOCAL check_function_bodies = off;

DROP FUNCTION IF EXISTS sluice.run_json(sluice.run, boolean); -- of the release before
CREATE OR REPLACE FUNCTION sluice.run_json(r sluice.run, p_tasks boolean, p_why boolean) RETURNS json
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_json jsonb := jsonb_build_object(
                'run', r.id, 'project', r.project, 'pipe', r.pipe, 'version', r.version, 'state', r.state,
                'outcome', r.outcome, 'exit_status', r.exit_status, 'reason', r.reason,
                'created_by', r.created_by, 'created_at', sluice.rfc3339(r.created_at),
                'started_at', sluice.rfc3339(r.started_at), 'ended_at', sluice.rfc3339(r.ended_at),
                'cancel_requested_at', sluice.rfc3339(r.cancel_requested_at), 'etag', r.revision::text,
                'log_complete', r.ended_at IS NOT NULL AND NOT EXISTS (
                        SELECT FROM sluice.attempts_of(r.id) a WHERE NOT a.log_complete));
BEGIN
        IF NOT p_tasks THEN
                RETURN v_json;
        END IF;

        RETURN v_json || jsonb_build_object('tasks', (
                SELECT jsonb_agg(jsonb_build_object(
                               'task', t.name, 'state', t.state, 'after', t.after,
                               'attempts', coalesce(x.attempts, '[]')) ORDER BY t.position)
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

-- Something that is shown of the run has changed.
CREATE OR REPLACE FUNCTION sluice.run_touch(p_runs uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_run uuid;
BEGIN
        FOREACH v_run IN ARRAY p_runs LOOP
                UPDATE sluice.run SET revision = revision + 1 WHERE id = v_run;
                PERFORM pg_notify('sluice', 'run ' || v_run);
        END LOOP;
END
$$;

-- What follows from the states of the tasks: the next ones are queued, those that can never run are
-- given up, and a run of which nothing is left ends. The caller holds the lock of the run.
CREATE OR REPLACE FUNCTION sluice.run_step(p_run uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_run sluice.run := sluice.run_find(p_run);
        v_end record;
BEGIN
        LOOP
                UPDATE sluice.task t SET state = 'skipped'
                 WHERE t.run = p_run AND t.state = 'waiting'
                   AND EXISTS (SELECT FROM sluice.task b
                                WHERE b.run = p_run AND b.name = ANY (t.after)
                                  AND b.state IN ('failed', 'skipped', 'cancelled'));
                EXIT WHEN NOT FOUND;
        END LOOP;

        WITH ready AS (
                UPDATE sluice.task t SET state = 'queued'
                 WHERE t.run = p_run AND t.state = 'waiting'
                   AND NOT EXISTS (SELECT FROM sluice.task b
                                    WHERE b.run = p_run AND b.name = ANY (t.after) AND b.state <> 'succeeded')
                RETURNING t.name, t.position
        ), made AS (
                INSERT INTO sluice.attempt (run, task, try)
                SELECT p_run, name, 1 + coalesce((SELECT max(a.try) FROM sluice.attempts_of(p_run) a WHERE a.task = name), 0)
                  FROM ready ORDER BY position
                RETURNING id, task, queued_at
        )
        INSERT INTO sluice.queue (attempt, run, demand, priority, instance, queued_at)
        SELECT m.id, p_run, v.demands[t.position + 1], coalesce((v.spec ->> 'priority')::int, 0), v_run.instance, m.queued_at
          FROM made m JOIN ready t ON t.name = m.task, sluice.pipe_version v
         WHERE v.project = v_run.project AND v.pipe = v_run.pipe AND v.version = v_run.version;

        IF v_run.ended_at IS NULL
           AND NOT EXISTS (SELECT FROM sluice.task WHERE run = p_run AND state IN ('waiting', 'queued', 'running')) THEN
                PERFORM sluice.run_end(v_run);
        END IF;
END
$$;

CREATE OR REPLACE FUNCTION sluice.run_advance(p_run uuid) RETURNS void
LANGUAGE sql AS $$
        SELECT sluice.run_step(p_run);
        SELECT sluice.run_touch(ARRAY[p_run]);
$$;

-- The outcome is that of the task that failed first; its exit status is what --wait ends with.
CREATE OR REPLACE FUNCTION sluice.run_end(p_run sluice.run) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_state text;
        v_failed sluice.attempt;
BEGIN
        SELECT CASE WHEN bool_or(t.state = 'cancelled') THEN 'cancelled'
                    WHEN bool_and(t.state = 'succeeded') THEN 'succeeded'
                    ELSE 'failed' END
          INTO v_state
          FROM sluice.task t WHERE t.run = p_run.id;

        IF v_state = 'failed' THEN
                SELECT a.* INTO v_failed
                  FROM (SELECT DISTINCT ON (task) * FROM sluice.attempts_of(p_run.id) ORDER BY task, try DESC) a
                  JOIN sluice.task t ON t.run = p_run.id AND t.name = a.task AND t.state = 'failed'
                 ORDER BY a.ended_at, a.id LIMIT 1;
        END IF;

        UPDATE sluice.run
           SET state = v_state, ended_at = clock_timestamp(),
               outcome = CASE v_state WHEN 'failed' THEN v_failed.outcome WHEN 'succeeded' THEN 'success'
                                      ELSE 'cancelled' END,
               exit_status = CASE v_state WHEN 'failed' THEN v_failed.exit_status WHEN 'succeeded' THEN 0 END,
               reason = CASE v_state
                        WHEN 'failed' THEN v_failed.reason
                        WHEN 'cancelled' THEN 'cancelled by ' || cancel_requested_by END
         WHERE id = p_run.id;

        PERFORM sluice.live_end(p_run.id);
        INSERT INTO sluice.cleanup (instance, run)
        SELECT p_run.instance, p_run.id WHERE p_run.instance IS NOT NULL
            ON CONFLICT DO NOTHING;
END
$$;

-- Why it waits, if it does, is not in the answer: that may take longer than making it.
CREATE OR REPLACE FUNCTION api.run_create(p_auth bytea, p_project text, p_pipe text, p_version text,
                                          p_idempotency_key text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'operator');
        v_request text := concat_ws('/', p_project, p_pipe, p_version);
        v_pipe sluice.pipe_version;
        v_run uuid := sluice.uuid_v7();
        v_before sluice.idempotency;
BEGIN
        IF p_idempotency_key IS NOT NULL THEN
                IF length(p_idempotency_key) NOT BETWEEN 1 AND 255 THEN
                        PERFORM sluice.fail(400, 'bad-idempotency-key', 'Idempotency-Key has 1 to 255 characters.');
                END IF;

                -- A second call with this key waits here for the first one's commit.
                INSERT INTO sluice.idempotency (token, key, request, run)
                VALUES (v_token.id, p_idempotency_key, v_request, v_run)
                    ON CONFLICT (token, key) DO NOTHING;

                IF NOT FOUND THEN
                        SELECT * INTO STRICT v_before FROM sluice.idempotency
                         WHERE token = v_token.id AND key = p_idempotency_key;
                        IF v_before.request <> v_request THEN
                                PERFORM sluice.fail(409, 'idempotency-key-reused',
                                                    'This Idempotency-Key was used for another request.');
                        END IF;
                        RETURN sluice.run_json(sluice.run_find(v_before.run), true, false);
                END IF;
        END IF;

        v_pipe := sluice.pipe_find(p_project, p_pipe, p_version);

        INSERT INTO sluice.run (id, project, pipe, version, created_by)
        VALUES (v_run, v_pipe.project, v_pipe.pipe, v_pipe.version, v_token.name);

        INSERT INTO sluice.task (run, name, position, after)
        SELECT v_run, t.value ->> 'name', t.ordinality - 1,
               ARRAY(SELECT jsonb_array_elements_text(sluice.json_array(t.value, 'after', 256)))
          FROM jsonb_array_elements(v_pipe.spec -> 'tasks') WITH ORDINALITY t;

        -- Nobody can wait for news of it yet. A notification has its price: those who commit one do so one after the other.
        PERFORM sluice.run_step(v_run);
        PERFORM sluice.dispatch_runs(ARRAY[v_run], NULL);

        RETURN sluice.run_json(sluice.run_find(v_run), true, false);
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
                                        p_after uuid) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_limit int := sluice.page_limit(p_limit);
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');
        PERFORM sluice.project_check(p_project);

        IF p_state <> ALL (sluice.state_words('run')) THEN
                PERFORM sluice.fail(400, 'bad-state', format('There is no run state "%s".', left(p_state, 80)),
                                    'States are ' || array_to_string(sluice.state_words('run'), ', ') || '.');
        END IF;

        RETURN (SELECT sluice.page(array_agg(sluice.run_json(x.r, false, false) ORDER BY x.id DESC),
                                   array_agg(x.id::text ORDER BY x.id DESC), v_limit)
                  FROM (SELECT r, r.id
                          FROM sluice.run r
                         WHERE r.project = p_project
                           AND (p_pipe IS NULL OR r.pipe = p_pipe)
                           AND (p_state IS NULL OR r.state = p_state)
                           AND (p_after IS NULL OR r.id < p_after)
                         ORDER BY r.id DESC LIMIT v_limit + 1) x);
END
$$;

-- What waits is cancelled here and now. What an instance has is asked to stop; its end is still awaited.
-- Asked again it changes nothing, and so it does when the run is over.
CREATE OR REPLACE FUNCTION api.run_cancel(p_auth bytea, p_run uuid) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'operator');
        v_run sluice.run;
        v_attempt sluice.attempt;
BEGIN
        PERFORM FROM sluice.run WHERE id = p_run FOR NO KEY UPDATE;
        v_run := sluice.run_find(p_run);

        IF v_run.ended_at IS NOT NULL OR v_run.cancel_requested_at IS NOT NULL THEN
                RETURN sluice.run_json(v_run, true, true);
        END IF;

        UPDATE sluice.run SET cancel_requested_at = clock_timestamp(), cancel_requested_by = v_token.name
         WHERE id = p_run;

        FOR v_attempt IN SELECT * FROM sluice.attempts_of(p_run) a
                          WHERE a.state IN ('queued', 'assigned', 'running') LOOP
                IF v_attempt.state = 'queued' THEN
                        DELETE FROM sluice.queue WHERE attempt = v_attempt.id;
                        UPDATE sluice.attempt
                           SET state = 'cancelled', outcome = 'cancelled', ended_at = clock_timestamp(),
                               stop_requested_at = clock_timestamp(), log_complete = true,
                               reason = 'cancelled by ' || v_token.name
                         WHERE id = v_attempt.id;
                        UPDATE sluice.task SET state = 'cancelled' WHERE run = p_run AND name = v_attempt.task;
                ELSE
                        UPDATE sluice.assignment
                           SET state = 'stopping', stop_reason = 'cancelled by ' || v_token.name
                         WHERE attempt = v_attempt.id;
                        UPDATE sluice.attempt
                           SET state = 'stopping', stop_requested_at = clock_timestamp(),
                               reason = 'cancelled by ' || v_token.name
                         WHERE id = v_attempt.id;
                        PERFORM pg_notify('sluice', 'instance ' || v_attempt.instance);
                END IF;
        END LOOP;

        UPDATE sluice.task SET state = 'cancelled' WHERE run = p_run AND state = 'waiting';
        PERFORM sluice.run_advance(p_run);

        RETURN sluice.run_json(sluice.run_find(p_run), true, true);
END
$$;

REVOKE ALL ON FUNCTION api.run_create(bytea, text, text, text, text), api.run_get(bytea, uuid, text),
        api.run_list(bytea, text, text, text, int, uuid), api.run_cancel(bytea, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.run_create(bytea, text, text, text, text), api.run_get(bytea, uuid, text),
        api.run_list(bytea, text, text, text, int, uuid), api.run_cancel(bytea, uuid) TO sluice_controld;
