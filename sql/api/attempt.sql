-- Attempts: how they are shown, and the moves that several other files need.
SET LOCAL check_function_bodies = off;

-- p_why: with the verdict of what waits, which looks at every agent that suits it.
DROP FUNCTION IF EXISTS sluice.attempt_json(sluice.attempt); -- of the release before
CREATE OR REPLACE FUNCTION sluice.attempt_json(a sluice.attempt, p_why boolean) RETURNS json
LANGUAGE plpgsql STABLE AS $$ -- not sql, which would be planned anew each time
BEGIN
        RETURN json_build_object(
                'attempt', a.id, 'run', a.run, 'task', a.task, 'epoch', a.epoch, 'state', a.state,
                'outcome', a.outcome, 'result', a.result, 'exit_code', a.exit_code, 'exit_status', a.exit_status,
                'reason', a.reason,
                'agent', (SELECT name FROM sluice.agent WHERE id = a.agent), 'agent_id', a.agent,
                'instance', a.instance,
                -- What an instance has in the name of a slice it has in that of the service.
                'unit', 'sluice-' || coalesce(substring(a.slice FROM '^sluice-([a-z][a-z0-9_]{1,15}-)[0-9a-f]-[0-9a-f]{32}\.slice$'), '')
                        || replace(a.id::text, '-', '') || '.service',
                'slice', coalesce(a.slice, 'sluice-' || right(a.id::text, 1) || '-' || replace(a.id::text, '-', '') || '.slice'),
                'invocation_id', a.invocation_id,
                'queued_at', sluice.rfc3339(a.queued_at), 'assigned_at', sluice.rfc3339(a.assigned_at),
                'started_at', sluice.rfc3339(a.started_at), 'ended_at', sluice.rfc3339(a.ended_at),
                'stop_requested_at', sluice.rfc3339(a.stop_requested_at),
                'runtime_usec', a.runtime_usec, 'cpu_usage_usec', a.cpu_usage_usec, 'memory_peak_bytes', a.memory_peak_bytes,
                'io_read_bytes', a.io_read_bytes, 'io_write_bytes', a.io_write_bytes, 'oom_kills', a.oom_kills,
                'memory_max_bytes', a.memory_max_bytes, 'cpu_quota_per_sec_usec', a.cpu_quota_per_sec_usec,
                'tasks_max', a.tasks_max, 'restarts', a.restarts, 'status_text', a.status_text, 'ready_at', sluice.rfc3339(a.ready_at), 'log_complete', a.log_complete, 'output', a.output,
                'why', CASE WHEN p_why AND a.state = 'queued' THEN sluice.verdict_of(a.id) END);
END
$$;

-- All attempts of a run, found in the partitions from the run's own on.
CREATE OR REPLACE FUNCTION sluice.attempts_of(p_run uuid) RETURNS SETOF sluice.attempt
LANGUAGE sql STABLE AS $$
        SELECT * FROM sluice.attempt WHERE run = p_run AND id >= sluice.uuid_v7_since(p_run)
$$;

CREATE OR REPLACE FUNCTION sluice.attempt_find(p_attempt uuid) RETURNS sluice.attempt
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_attempt sluice.attempt;
BEGIN
        SELECT * INTO v_attempt FROM sluice.attempt WHERE id = p_attempt;

        IF v_attempt.id IS NULL THEN
                PERFORM sluice.fail(404, 'attempt-not-found', format('There is no attempt %s.', p_attempt));
        END IF;

        RETURN v_attempt;
END
$$;

-- The last move: p_end holds what is known of the end, as an `ended` event. The caller holds the lock
-- of the run. Systemd's word stays in `result` where somebody had asked for the stop.
CREATE OR REPLACE FUNCTION sluice.attempt_end(p_attempt uuid, p_outcome text, p_end jsonb, p_log_complete boolean)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
        v_attempt sluice.attempt;
        v_recover boolean;
        v_again timestamptz;
        v_interrupt boolean := p_outcome IN ('success', 'signal', 'stopped', 'timeout', 'exit-code') -- what a stop looks like
                AND NOT (p_outcome = 'success' AND (p_end ->> 'exit_code') IS NOT DISTINCT FROM 'exited')
                AND EXISTS (SELECT FROM sluice.assignment WHERE attempt = p_attempt AND interrupt);
BEGIN
        UPDATE sluice.attempt
           SET state = 'ended', ended_at = clock_timestamp(),
               outcome = CASE WHEN stop_requested_at IS NOT NULL THEN 'cancelled' WHEN v_interrupt THEN 'interrupted' ELSE p_outcome END,
               result = coalesce(p_end ->> 'result', p_outcome),
               exit_code = p_end ->> 'exit_code', exit_status = (p_end ->> 'exit_status')::int,
               reason = coalesce(p_end ->> 'reason', reason),
               invocation_id = coalesce(invocation_id, p_end ->> 'invocation_id'),
               slice = coalesce(slice, p_end ->> 'slice'),
               runtime_usec = (p_end ->> 'runtime_usec')::int8,
               cpu_usage_usec = (p_end ->> 'cpu_usage_usec')::int8,
               memory_peak_bytes = (p_end ->> 'memory_peak_bytes')::int8,
               io_read_bytes = (p_end ->> 'io_read_bytes')::int8,
               io_write_bytes = (p_end ->> 'io_write_bytes')::int8,
               oom_kills = (p_end ->> 'oom_kills')::int8,
               memory_max_bytes = (p_end ->> 'memory_max_bytes')::int8,
               cpu_quota_per_sec_usec = (p_end ->> 'cpu_quota_per_sec_usec')::int8,
               tasks_max = (p_end ->> 'tasks_max')::int8,
               output = p_end -> 'output',
               restarts = coalesce((p_end ->> 'restarts')::int8, restarts), status_text = coalesce(p_end ->> 'status_text', status_text),
               log_complete = log_complete OR p_log_complete
         WHERE id = p_attempt
        RETURNING * INTO STRICT v_attempt;

        DELETE FROM sluice.assignment WHERE attempt = p_attempt RETURNING recover INTO v_recover;

        IF v_recover IS NOT NULL AND NOT v_attempt.log_complete THEN
                INSERT INTO sluice.owed_log (instance, attempt, recover) VALUES (v_attempt.instance, p_attempt, v_recover);
        END IF;

        v_again := sluice.retry_due(v_attempt.run, v_attempt.task, v_attempt.outcome, v_attempt.exit_status);
        UPDATE sluice.task
           SET state = sluice.task_after(v_attempt.outcome, v_again IS NOT NULL OR sluice.loss_is_retried(v_attempt)), retry_at = v_again
         WHERE run = v_attempt.run AND name = v_attempt.task;

        -- Of a host that is drained, the run goes elsewhere once all of it is there no more.
        IF v_attempt.outcome = 'interrupted' AND NOT EXISTS (SELECT FROM sluice.assignment WHERE run = v_attempt.run AND instance = v_attempt.instance) THEN
                PERFORM sluice.run_unbind(v_attempt.run, v_attempt.instance);
        END IF;
END
$$;

CREATE OR REPLACE FUNCTION api.attempt_list(p_auth bytea, p_run uuid) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');
        PERFORM sluice.run_find(p_run);

        RETURN (SELECT json_build_object(
                        'items', coalesce(json_agg(sluice.attempt_json(a, true) ORDER BY t.position, t.fanout_index NULLS FIRST, a.try), '[]'),
                        'next', NULL)
                  FROM sluice.attempts_of(p_run) a
                  JOIN sluice.task t ON t.run = p_run AND t.name = a.task);
END
$$;

CREATE OR REPLACE FUNCTION api.attempt_get(p_auth bytea, p_attempt uuid) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');

        RETURN sluice.attempt_json(sluice.attempt_find(p_attempt), true);
END
$$;

REVOKE ALL ON FUNCTION api.attempt_list(bytea, uuid), api.attempt_get(bytea, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.attempt_list(bytea, uuid), api.attempt_get(bytea, uuid) TO sluice_controld;
