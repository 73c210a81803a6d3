-- What agents report of attempts, and what follows from it, one by one. A report is stored and acknowledged whatever
-- it says; it has an effect only with the epoch and the instance of the attempt's assignment. What is as it should be does not
-- come here: report.sql does the same for many at once.
SET LOCAL check_function_bodies = off;

DROP FUNCTION IF EXISTS sluice.event_lock(jsonb[]); -- of the release before

-- The members that are known, each checked; so what is stored as evidence has a bound.
CREATE OR REPLACE FUNCTION sluice.event_parse(p_event jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_state text := sluice.json_word(p_event, 'state',
                                         ARRAY['running', 'status', 'stuck', 'ended', 'refused', 'logged', 'cleaned'], true);
        v_ended boolean := v_state = 'ended';
        v_name text;
        v jsonb;
BEGIN
        IF v_state = 'cleaned' THEN
                RETURN jsonb_build_object('state', v_state, 'run', sluice.json_uuid(p_event, 'run', true));
        END IF;

        v := jsonb_build_object(
                'state', v_state,
                'attempt', sluice.json_uuid(p_event, 'attempt', true),
                'epoch', sluice.json_int(p_event, 'epoch', true, 0, 2147483647),
                'realtime_usec', sluice.json_int(p_event, 'realtime_usec'),
                'invocation_id', sluice.json_text(p_event, 'invocation_id', false, 64),
                'slice', sluice.json_text(p_event, 'slice', false, 255),
                'reason', left(sluice.json_text(p_event, 'reason', false, 65536), 1024),
                'requeue', sluice.json_bool(p_event, 'requeue'),
                'status_text', left(sluice.json_text(p_event, 'status_text', false, 65536), 1024),
                'ready', sluice.json_bool(p_event, 'ready'),
                'sequence', sluice.json_int(p_event, 'sequence', v_state = 'logged', 0, 2147483647),
                'result', sluice.json_text(p_event, 'result', v_ended, 64),
                'exit_code', sluice.json_word(p_event, 'exit_code', ARRAY['exited', 'killed', 'dumped']),
                'exit_status', sluice.json_int(p_event, 'exit_status', false, 0, 65535),
                'output', sluice.output_read(p_event));

        IF v ->> 'result' !~ '^[a-z][a-z-]*$' THEN
                PERFORM sluice.fail(400, 'bad-request', 'Member "result" must be one of systemd''s words.');
        END IF;

        FOREACH v_name IN ARRAY ARRAY['runtime_usec', 'cpu_usage_usec', 'memory_peak_bytes', 'io_read_bytes', 'io_write_bytes',
                                      'oom_kills', 'memory_max_bytes', 'cpu_quota_per_sec_usec', 'tasks_max', 'restarts', 'boottime_usec'] LOOP
                v := v || jsonb_build_object(v_name, sluice.json_int(p_event, v_name));
        END LOOP;

        RETURN jsonb_strip_nulls(v);
END
$$;

-- Kept once, however often it is repeated.
CREATE OR REPLACE FUNCTION sluice.evidence_add(p_instance uuid, p_event jsonb, p_why text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        INSERT INTO sluice.evidence (attempt, epoch, instance, why, event)
        SELECT (p_event ->> 'attempt')::uuid, (p_event ->> 'epoch')::int, p_instance, p_why, p_event
         WHERE NOT EXISTS (
                SELECT FROM sluice.evidence v
                 WHERE v.attempt = (p_event ->> 'attempt')::uuid AND v.epoch = (p_event ->> 'epoch')::int
                   AND v.instance = p_instance AND v.event ->> 'state' = p_event ->> 'state');
END
$$;

-- The process is there: attempt, task, its parent, and run are running.
CREATE OR REPLACE FUNCTION sluice.attempt_started(p_attempt sluice.attempt, p_event jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        UPDATE sluice.assignment SET state = 'running', stuck_at = NULL, stuck_reason = NULL WHERE attempt = p_attempt.id AND state = 'assigned';
        UPDATE sluice.attempt
           SET state = CASE state WHEN 'assigned' THEN 'running' ELSE state END,
               started_at = coalesce(started_at, clock_timestamp()),
               invocation_id = coalesce(p_event ->> 'invocation_id', invocation_id),
               slice = coalesce(p_event ->> 'slice', slice)
         WHERE id = p_attempt.id;
        UPDATE sluice.task SET state = 'running' WHERE run = p_attempt.run AND name = p_attempt.task;
        UPDATE sluice.task SET state = 'running' WHERE run = p_attempt.run AND name = split_part(p_attempt.task, '@', 1) AND fans AND state = 'queued';
        UPDATE sluice.run SET state = 'running', started_at = coalesce(started_at, clock_timestamp())
         WHERE id = p_attempt.run AND started_at IS NULL;
END
$$;

-- Back to the queue, no try spent. The run may go elsewhere as long as nothing of it began there; a task that is placed apart always may, and a
-- trial stays where it is.
CREATE OR REPLACE FUNCTION sluice.attempt_requeue(p_attempt sluice.attempt, p_reason text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_run sluice.run := sluice.run_find(p_attempt.run);
        v_task sluice.task;
        v_replaces boolean := EXISTS (SELECT FROM sluice.stream WHERE run = p_attempt.run AND retiring IS NOT NULL);
        v_begun boolean;
        v_stay boolean;
BEGIN
        SELECT * INTO STRICT v_task FROM sluice.task WHERE run = p_attempt.run AND name = p_attempt.task;
        DELETE FROM sluice.assignment WHERE attempt = p_attempt.id;
        UPDATE sluice.attempt SET state = 'queued', instance = NULL, agent = NULL, assigned_at = NULL
         WHERE id = p_attempt.id;

        v_begun := v_run.started_at IS NOT NULL
                OR EXISTS (SELECT FROM sluice.assignment WHERE run = v_run.id) OR v_replaces;
        IF NOT v_begun THEN
                PERFORM sluice.live_end(v_run.id);
        END IF;
        v_stay := sluice.is_draft(v_run.version) OR v_begun AND (v_run.instance IS DISTINCT FROM p_attempt.instance OR v_replaces
                  OR EXISTS (SELECT FROM sluice.attempts_of(v_run.id) a JOIN sluice.task t ON t.run = v_run.id AND t.name = a.task
                              WHERE NOT t.apart AND a.instance = v_run.instance));
        IF NOT v_stay THEN
                UPDATE sluice.run SET instance = NULL WHERE id = v_run.id;
                UPDATE sluice.queue SET instance = NULL WHERE run = v_run.id AND NOT apart;
        END IF;

        INSERT INTO sluice.queue (attempt, run, apart, demand, priority, instance, avoid, avoid_until, avoid_reason, queued_at, verdict)
        SELECT p_attempt.id, v_run.id, v_task.apart, v.demands[v_task.position + 1], coalesce((v.spec ->> 'priority')::int, 0),
               CASE WHEN v_task.apart THEN v_task.instance WHEN v_stay THEN v_run.instance END,
               p_attempt.instance, clock_timestamp() + interval '5 seconds', p_reason, p_attempt.queued_at,
               'an agent could not take it: ' || coalesce(p_reason, 'no reason given')
          FROM sluice.pipe_version v
         WHERE v.project = v_run.project AND v.pipe = v_run.pipe AND v.version = v_run.version;
END
$$;

-- What PID 1 says of a service that it supervises; false when it has said something newer. That it is ready may be what a stream
-- waits for.
CREATE OR REPLACE FUNCTION sluice.attempt_status(p_attempt sluice.attempt, p_event jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
        UPDATE sluice.attempt
           SET restarts = coalesce((p_event ->> 'restarts')::int8, restarts), status_text = coalesce(p_event ->> 'status_text', status_text),
               status_boottime_usec = (p_event ->> 'boottime_usec')::int8,
               ready_at = coalesce(ready_at, CASE WHEN (p_event ->> 'ready')::boolean THEN clock_timestamp() END)
         WHERE id = p_attempt.id AND ((p_event ->> 'boottime_usec')::int8 <= status_boottime_usec) IS NOT TRUE;
        IF NOT FOUND THEN
                RETURN false;
        ELSIF p_attempt.ready_at IS NULL AND (p_event ->> 'ready')::boolean THEN
                PERFORM sluice.streams_tell(ARRAY[p_attempt.run]);
        END IF;

        RETURN true;
END
$$;

CREATE OR REPLACE FUNCTION sluice.attempt_delivery(p_attempt sluice.attempt) RETURNS text
LANGUAGE sql STABLE AS $$
        SELECT coalesce(v.spec ->> 'delivery', 'at-least-once')
          FROM sluice.run r
          JOIN sluice.pipe_version v ON (v.project, v.pipe, v.version) = (r.project, r.pipe, r.version)
         WHERE r.id = p_attempt.run
$$;

-- Why an event of p_attempt cannot count; NULL when it can.
CREATE OR REPLACE FUNCTION sluice.event_objection(p_instance uuid, p_attempt sluice.attempt, p_event jsonb) RETURNS text
LANGUAGE sql STABLE AS $$
        SELECT CASE WHEN p_attempt.id IS NULL THEN 'unknown-attempt'
                    WHEN (p_event ->> 'epoch')::int < p_attempt.epoch THEN 'old-epoch'
                    WHEN p_attempt.instance IS DISTINCT FROM p_instance THEN 'not-yours'
                    WHEN (p_event ->> 'epoch')::int > p_attempt.epoch THEN 'not-assigned' END
$$;

-- Answers what became of the event: applied, requeued, repeat, evidence, or early (not to be
-- acknowledged, chunks are missing). The caller holds the lock of the run.
CREATE OR REPLACE FUNCTION sluice.event_apply(p_instance uuid, p_event jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
        v_state text := p_event ->> 'state';
        v_attempt sluice.attempt;
        v_recover boolean;
        v_why text;
BEGIN
        SELECT * INTO v_attempt FROM sluice.attempt WHERE id = (p_event ->> 'attempt')::uuid;
        v_recover := EXISTS (SELECT FROM sluice.assignment WHERE attempt = v_attempt.id AND recover);
        p_event := sluice.output_judge(v_attempt, p_event);
        v_why := sluice.event_objection(p_instance, v_attempt, p_event);

        IF v_why IS NULL AND v_state = 'logged' THEN
                IF v_attempt.log_complete THEN
                        RETURN 'repeat';
                ELSIF (p_event ->> 'sequence')::int > coalesce((
                                SELECT max(sequence) FROM sluice.log_chunk
                                 WHERE attempt = v_attempt.id AND epoch = v_attempt.epoch), 0) THEN
                        RETURN 'early';
                END IF;
                UPDATE sluice.attempt SET log_complete = true, log_sequence = (p_event ->> 'sequence')::int
                 WHERE id = v_attempt.id;
                DELETE FROM sluice.owed_log WHERE instance = p_instance AND attempt = v_attempt.id;
                RETURN 'applied';
        END IF;

        IF v_why IS NULL AND v_state = 'refused' AND EXISTS (
                SELECT FROM sluice.owed_log WHERE instance = p_instance AND attempt = v_attempt.id AND recover) THEN
                -- No trace of it on the host: what is stored of its log is all that there will ever be.
                UPDATE sluice.attempt SET log_complete = true WHERE id = v_attempt.id;
                DELETE FROM sluice.owed_log WHERE instance = p_instance AND attempt = v_attempt.id;
                RETURN 'applied';
        END IF;

        IF v_why IS NULL AND v_attempt.ended_at IS NOT NULL THEN
                IF v_state = 'status' -- its end has overtaken it
                   OR v_state = 'ended' AND v_attempt.result = p_event ->> 'result'
                   OR v_state = 'refused' AND v_attempt.result = 'refused' THEN
                        RETURN 'repeat';
                END IF;
                v_why := 'already-ended';
        ELSIF v_why IS NULL AND v_state = 'running' AND v_attempt.started_at IS NOT NULL THEN
                RETURN 'repeat';
        ELSIF v_why IS NULL AND v_state = 'refused' AND v_attempt.started_at IS NOT NULL AND NOT v_recover THEN
                v_why := 'already-started';
        END IF;

        IF v_why IS NOT NULL THEN
                PERFORM sluice.evidence_add(p_instance, p_event, v_why);
                RETURN 'evidence';
        END IF;

        IF v_state = 'running' THEN
                PERFORM sluice.attempt_started(v_attempt, p_event);
        ELSIF v_state = 'stuck' THEN
                UPDATE sluice.assignment SET stuck_at = coalesce(stuck_at, clock_timestamp()), stuck_reason = p_event ->> 'reason'
                 WHERE attempt = v_attempt.id;
        ELSIF v_state = 'status' THEN
                IF NOT sluice.attempt_status(v_attempt, p_event) THEN
                        RETURN 'repeat';
                END IF;
        ELSIF v_state = 'ended' THEN
                IF v_attempt.started_at IS NULL AND p_event ->> 'result' <> 'lost' THEN
                        PERFORM sluice.attempt_started(v_attempt, p_event);
                END IF;
                PERFORM sluice.attempt_end(v_attempt.id, p_event ->> 'result', p_event, false);
        ELSIF v_recover AND (v_attempt.started_at IS NOT NULL OR sluice.attempt_delivery(v_attempt) = 'at-most-once') THEN
                -- No trace of it on the host, but it began, or may have begun.
                PERFORM sluice.attempt_end(v_attempt.id, 'lost', p_event, true);
        ELSIF (p_event ->> 'requeue')::boolean AND v_attempt.state = 'assigned' THEN
                PERFORM sluice.attempt_requeue(v_attempt, p_event ->> 'reason');
                RETURN 'requeued';
        ELSIF v_attempt.started_at IS NULL AND EXISTS (SELECT FROM sluice.assignment WHERE attempt = v_attempt.id AND interrupt) THEN
                PERFORM sluice.attempt_end(v_attempt.id, 'interrupted', p_event, true); -- by a drain, before it began
        ELSE
                PERFORM sluice.attempt_end(v_attempt.id, 'refused', p_event, true);
        END IF;

        RETURN 'applied';
END
$$;
