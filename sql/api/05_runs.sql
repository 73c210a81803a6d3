-- Runs and attempts, as people see and steer them.

CREATE OR REPLACE FUNCTION sluice.attempt_json(a sluice.attempt) RETURNS json
    LANGUAGE sql STABLE SET search_path = pg_catalog, sluice
    AS $$
    SELECT json_build_object(
        'attempt', a.attempt, 'run', a.run, 'task', a.task, 'epoch', a.epoch, 'state', a.state, 'outcome', a.outcome,
        'result', a.result, 'exit_code', a.exit_code, 'exit_status', a.exit_status, 'reason', a.reason,
        'agent', g.name, 'agent_id', g.agent, 'instance', a.instance,
        'unit', 'sluice-' || h.hex || '.service', 'slice', 'sluice-' || right(h.hex, 1) || '-' || h.hex || '.slice',
        'invocation_id', a.invocation_id, 'queued_at', rfc3339(a.queued_at), 'assigned_at', rfc3339(a.assigned_at),
        'started_at', rfc3339(a.started_at), 'ended_at', rfc3339(a.ended_at),
        'stop_requested_at', rfc3339(a.stop_requested_at), 'cpu_usage_usec', a.cpu_usage_usec,
        'memory_peak_bytes', a.memory_peak_bytes, 'io_read_bytes', a.io_read_bytes, 'io_write_bytes', a.io_write_bytes,
        'oom_kills', a.oom_kills, 'memory_max_bytes', a.memory_max_bytes,
        'cpu_quota_per_sec_usec', a.cpu_quota_per_sec_usec, 'tasks_max', a.tasks_max, 'log_complete', a.log_complete,
        'why', (SELECT q.verdict FROM queue q WHERE q.attempt = a.attempt))
    FROM (SELECT replace(a.attempt::text, '-', '') AS hex) h
    LEFT JOIN instance i ON i.instance = a.instance LEFT JOIN agent g ON g.agent = i.agent
$$;

CREATE OR REPLACE FUNCTION sluice.log_is_complete(r sluice.run) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, sluice
    AS $$
    SELECT r.ended_at IS NOT NULL AND NOT EXISTS (SELECT FROM attempt a WHERE a.run = r.run AND NOT a.log_complete)
$$;

CREATE OR REPLACE FUNCTION sluice.run_json(r sluice.run, p_whole boolean) RETURNS json
    LANGUAGE sql STABLE SET search_path = pg_catalog, sluice
    AS $$
    SELECT (jsonb_build_object(
        'run', r.run, 'project', r.project, 'pipe', r.pipe, 'version', r.version, 'state', r.state, 'outcome', r.outcome,
        'exit_status', r.exit_status, 'reason', r.reason, 'created_by', r.created_by, 'created_at', rfc3339(r.created_at),
        'started_at', rfc3339(r.started_at), 'ended_at', rfc3339(r.ended_at),
        'cancel_requested_at', rfc3339(r.cancel_requested_at), 'etag', r.revision::text,
        'log_complete', log_is_complete(r))
        || CASE WHEN NOT p_whole THEN '{}'::jsonb ELSE jsonb_build_object('tasks', (
            SELECT jsonb_agg(jsonb_build_object('task', t.task, 'state', t.state, 'after', t.after,
                'attempts', (SELECT coalesce(jsonb_agg(attempt_json(a) ORDER BY a.attempt), '[]')
                             FROM attempt a WHERE a.run = r.run AND a.task = t.task)) ORDER BY t.position)
            FROM task t WHERE t.run = r.run)) END)::json
$$;

CREATE OR REPLACE FUNCTION sluice.find_run(p_run uuid) RETURNS sluice.run
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_run run;
BEGIN
    SELECT * INTO v_run FROM run WHERE run = p_run;
    IF NOT FOUND THEN
        PERFORM refuse(404, 'run-not-found', format('No run has the id %s.', p_run), 'See "sluicectl runs".');
    END IF;
    RETURN v_run;
END
$$;

CREATE OR REPLACE FUNCTION api.run_create(p_auth bytea, p_project text, p_pipe text, p_version text, p_idempotency_key text) RETURNS json
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_by      text := person(p_auth, 'operator');
    v_version pipe_version := find_pipe(p_project, p_pipe, p_version);
    v_run     uuid := uuid_v7();
BEGIN
    PERFORM lock_work();
    IF p_idempotency_key IS NOT NULL THEN
        INSERT INTO idempotency (project, key, run) VALUES (p_project, p_idempotency_key, v_run) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RETURN (SELECT run_json(find_run(i.run), true) FROM idempotency i WHERE project = p_project AND key = p_idempotency_key);
        END IF;
    END IF;
    INSERT INTO run (run, project, pipe, version, created_by) VALUES (v_run, p_project, p_pipe, v_version.version, v_by);
    INSERT INTO task (run, task, position, after, directives)
    SELECT v_run, t.value ->> 'name', t.ordinality, ARRAY(SELECT jsonb_array_elements_text(t.value -> 'after')), t.value -> 'directives'
    FROM jsonb_array_elements(v_version.spec -> 'tasks') WITH ORDINALITY t;
    PERFORM queue_ready_tasks(v_run);
    PERFORM dispatch();
    RETURN run_json(find_run(v_run), true);
END
$$;

CREATE OR REPLACE FUNCTION api.run_get(p_auth bytea, p_run uuid, p_unless text) RETURNS json
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_run run;
BEGIN
    PERFORM person(p_auth, 'viewer');
    v_run := find_run(p_run);
    RETURN CASE WHEN v_run.revision::text = p_unless THEN NULL ELSE run_json(v_run, true) END;
END
$$;

CREATE OR REPLACE FUNCTION api.run_list(p_auth bytea, p_project text, p_pipe text, p_state text, p_limit int, p_after uuid) RETURNS json
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
BEGIN
    PERFORM person(p_auth, 'viewer'), check_project(p_project);
    RETURN (SELECT json_build_object('items', coalesce(json_agg(run_json(r, false) ORDER BY r.run DESC), '[]'),
                                     'next', CASE WHEN count(*) = p_limit THEN min(r.run::text) END)
            FROM (SELECT x FROM run x
                  WHERE x.project = p_project AND (p_pipe IS NULL OR x.pipe = p_pipe) AND (p_state IS NULL OR x.state = p_state)
                    AND (p_after IS NULL OR x.run < p_after)
                  ORDER BY x.run DESC LIMIT p_limit) y, LATERAL (SELECT (y.x).*) r);
END
$$;

-- What is queued is cancelled at once; what is with an agent is asked to stop, and ends "cancelled" when it has.
CREATE OR REPLACE FUNCTION api.run_cancel(p_auth bytea, p_run uuid) RETURNS json
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_by text := person(p_auth, 'operator');
    v_run run;
BEGIN
    PERFORM lock_work();
    v_run := find_run(p_run);
    IF v_run.ended_at IS NOT NULL THEN
        PERFORM refuse(409, 'run-ended', format('Run %s is over: %s.', p_run, v_run.state));
    END IF;
    UPDATE run SET cancel_requested_at = coalesce(cancel_requested_at, now()) WHERE run = p_run;
    UPDATE attempt a SET stop_requested_at = coalesce(stop_requested_at, now())
    FROM assignment s WHERE s.run = p_run AND a.attempt = s.attempt;
    UPDATE assignment SET stop_reason = format('Cancelled by %s.', v_by) WHERE run = p_run;
    PERFORM pg_notify('sluice', 'instance ' || v_run.instance) WHERE v_run.instance IS NOT NULL;
    PERFORM end_attempt(q.attempt, 'cancelled', 'The run was cancelled while this waited.') FROM queue q WHERE q.run = p_run;
    UPDATE task SET state = 'skipped' WHERE run = p_run AND state = 'waiting';
    PERFORM settle_run(p_run);
    RETURN run_json(find_run(p_run), true);
END
$$;

CREATE OR REPLACE FUNCTION api.attempt_list(p_auth bytea, p_run uuid) RETURNS json
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
BEGIN
    PERFORM person(p_auth, 'viewer'), find_run(p_run);
    RETURN (SELECT json_build_object('items', coalesce(json_agg(attempt_json(a) ORDER BY a.attempt), '[]'), 'next', NULL)
            FROM attempt a WHERE a.run = p_run);
END
$$;

CREATE OR REPLACE FUNCTION sluice.find_attempt(p_attempt uuid) RETURNS sluice.attempt
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_attempt attempt;
BEGIN
    SELECT * INTO v_attempt FROM attempt WHERE attempt = p_attempt;
    IF NOT FOUND THEN
        PERFORM refuse(404, 'attempt-not-found', format('No attempt has the id %s.', p_attempt));
    END IF;
    RETURN v_attempt;
END
$$;

CREATE OR REPLACE FUNCTION api.attempt_get(p_auth bytea, p_attempt uuid) RETURNS json
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
BEGIN
    PERFORM person(p_auth, 'viewer');
    RETURN attempt_json(find_attempt(p_attempt));
END
$$;

CREATE OR REPLACE FUNCTION api.attempt_metrics(p_auth bytea, p_attempt uuid) RETURNS json
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
BEGIN
    PERFORM person(p_auth, 'viewer'), find_attempt(p_attempt);
    RETURN (SELECT json_build_object('items', coalesce(json_agg(row_to_json(m) ORDER BY m.realtime_usec), '[]'), 'next', NULL)
            FROM metric_sample m WHERE m.attempt = p_attempt);
END
$$;
