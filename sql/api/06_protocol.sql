-- The agent protocol, see docs/PROTOCOL.md. controld has decoded p_request, so its members have their types.

CREATE OR REPLACE FUNCTION api.agent_enroll(p_auth bytea, p_request jsonb, p_hash bytea)
    RETURNS TABLE (agent uuid, instance uuid, name text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
#variable_conflict use_column
DECLARE
    v_key      key;
    v_instance uuid := (p_request ->> 'instance')::uuid;
    v_known    instance;
    v_agent    uuid;
BEGIN
    SELECT * INTO v_key FROM key k WHERE k.hash = p_auth FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse(401, 'bad-key', 'This key is not known here.', 'Make one with "sluicectl key create".');
    ELSIF v_key.revoked_at IS NOT NULL THEN
        PERFORM refuse(401, 'key-revoked', format('This key was revoked at %s.', rfc3339(v_key.revoked_at)),
                       'Make a new one with "sluicectl key create".');
    ELSIF v_key.expires_at <= now() THEN
        PERFORM refuse(401, 'key-expired', format('This key expired at %s.', rfc3339(v_key.expires_at)),
                       'Make a new one with "sluicectl key create".');
    END IF;

    SELECT * INTO v_known FROM instance i WHERE i.instance = v_instance;
    IF FOUND THEN
        IF NOT EXISTS (SELECT FROM key_use u WHERE u.key_id = v_key.key_id AND u.instance = v_instance)
           OR v_known.credential_used_at IS NOT NULL THEN
            PERFORM refuse(409, 'instance-enrolled', format('Instance %s has joined already and has its credential.', v_instance),
                           'If its state directory was lost or copied, remove it and enrol as a new instance.');
        END IF;
        -- The answer with the first credential was lost; nobody has used it.
        UPDATE instance i SET hash = p_hash WHERE i.instance = v_instance;
        RETURN QUERY SELECT g.agent, v_instance, g.name FROM agent g WHERE g.agent = v_known.agent;
        RETURN;
    END IF;

    IF v_key.max_uses <= (SELECT count(*) FROM key_use u WHERE u.key_id = v_key.key_id) THEN
        PERFORM refuse(403, 'key-used-up', format('This key was good for %s use(s), and all are taken.', v_key.max_uses));
    END IF;
    IF v_key.type = 'api' THEN
        SELECT ka.agent INTO v_agent FROM key_agent ka
        WHERE ka.key_id = v_key.key_id AND ka.agent = (p_request ->> 'agent')::uuid;
        IF NOT FOUND THEN
            PERFORM refuse(403, 'agent-not-of-key', 'This API key is not for the agent that AgentID= names.');
        END IF;
    ELSE
        IF p_request ->> 'agent' IS NOT NULL THEN
            PERFORM refuse(400, 'agent-with-enrolment-key', 'An enrolment key makes a new agent; AgentID= goes with an API key.');
        END IF;
        v_agent := add_agent(p_request ->> 'name', coalesce(v_key.agent_type, p_request ->> 'type'),
                             coalesce(p_request -> 'labels', '{}') || v_key.labels, 'key ' || v_key.key_id);
    END IF;
    INSERT INTO instance (instance, agent, hash, hostname, version, systemd, kernel, architecture, cpus, memory_bytes, slots)
    VALUES (v_instance, v_agent, p_hash, p_request ->> 'hostname', p_request ->> 'version', p_request ->> 'systemd',
            p_request ->> 'kernel', p_request ->> 'architecture', (p_request ->> 'cpus')::int,
            (p_request ->> 'memory_bytes')::bigint, (p_request ->> 'slots')::int);
    INSERT INTO presence (instance) VALUES (v_instance);
    INSERT INTO key_use (key_id, instance) VALUES (v_key.key_id, v_instance);
    RETURN QUERY SELECT g.agent, v_instance, g.name FROM agent g WHERE g.agent = v_agent;
END
$$;

-- What an instance has to do, given the attempts that it knows: [{"attempt", "epoch", "state", "resume"}]. NULL: nothing.
CREATE OR REPLACE FUNCTION sluice.work_for(p_instance uuid, p_known jsonb, p_cleaning jsonb) RETURNS jsonb
    LANGUAGE sql STABLE SET search_path = pg_catalog, sluice
    AS $$
    WITH known AS (
        SELECT (k ->> 'attempt')::uuid AS attempt, (k ->> 'epoch')::int AS epoch, k ->> 'state' AS state,
               coalesce((k ->> 'resume')::boolean, false) AS resume
        FROM jsonb_array_elements(coalesce(p_known, '[]')) k
    ), mine AS (
        SELECT l.*, k.state, k.attempt IS NOT NULL AS is_known
        FROM assignment l LEFT JOIN known k ON k.attempt = l.attempt AND k.epoch = l.epoch
        WHERE l.instance = p_instance
    ), start AS (
        SELECT jsonb_agg(jsonb_build_object('attempt', m.attempt, 'epoch', m.epoch, 'run', m.run, 'project', r.project,
                         'pipe', r.pipe, 'task', t.task, 'directives', t.directives) ORDER BY m.attempt) AS j
        FROM mine m JOIN attempt a ON a.attempt = m.attempt JOIN run r ON r.run = m.run
        JOIN task t ON t.run = m.run AND t.task = a.task
        WHERE NOT m.is_known AND NOT m.running AND m.stop_reason IS NULL
    ), stop AS (
        SELECT jsonb_agg(jsonb_build_object('attempt', attempt, 'epoch', epoch, 'reason', stop_reason)) AS j
        FROM mine WHERE is_known AND stop_reason IS NOT NULL AND state NOT IN ('stopping', 'ended')
    ), release AS (
        SELECT jsonb_agg(jsonb_build_object('attempt', k.attempt, 'epoch', k.epoch)) AS j
        FROM known k LEFT JOIN attempt a ON a.attempt = k.attempt
        WHERE a.attempt IS NULL OR a.epoch <> k.epoch OR a.instance IS DISTINCT FROM p_instance
              OR (a.outcome IS NOT NULL AND (a.log_complete OR a.outcome = 'lost'))
    ), resume AS (
        SELECT jsonb_agg(jsonb_build_object('attempt', k.attempt, 'epoch', k.epoch, 'sequence', coalesce(c.sequence, 0),
                         'cursor', coalesce(c.last_cursor, ''), 'monotonic_usec', coalesce(c.last_monotonic_usec, 0))) AS j
        FROM known k LEFT JOIN LATERAL (
            SELECT * FROM log_chunk c WHERE c.attempt = k.attempt AND c.epoch = k.epoch ORDER BY c.sequence DESC LIMIT 1) c ON true
        WHERE k.resume
    ), clean AS (
        SELECT jsonb_agg(run) AS j FROM cleanup
        WHERE instance = p_instance AND NOT coalesce(p_cleaning, '[]') ? run::text
    )
    SELECT CASE WHEN coalesce(start.j, stop.j, release.j, resume.j, clean.j) IS NOT NULL THEN
        jsonb_build_object('start', coalesce(start.j, '[]'), 'stop', coalesce(stop.j, '[]'), 'release', coalesce(release.j, '[]'),
                           'resume', coalesce(resume.j, '[]'), 'clean', coalesce(clean.j, '[]')) END
    FROM start, stop, release, resume, clean
$$;

-- A new session: what the database believes to run and the agent does not know is gone, and nobody saw how it ended.
-- Only asked at the first sync of a session, when nothing else of the agent is under way.
CREATE OR REPLACE FUNCTION sluice.settle_session(p_instance uuid, p_known jsonb, p_boot_changed boolean) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, sluice
    AS $$
BEGIN
    PERFORM lock_work();
    PERFORM end_attempt(l.attempt, 'lost', CASE WHEN p_boot_changed
            THEN 'The host was rebooted while this ran.'
            ELSE 'Its unit was gone when the agent came back, and nothing says how it ended.' END)
    FROM assignment l
    WHERE l.instance = p_instance AND (l.running OR p_boot_changed)
      AND NOT EXISTS (SELECT FROM jsonb_array_elements(coalesce(p_known, '[]')) k WHERE (k ->> 'attempt')::uuid = l.attempt);
END
$$;

CREATE OR REPLACE FUNCTION api.agent_sync(p_auth bytea, p_request jsonb) RETURNS TABLE (instance uuid, answer json)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
#variable_conflict use_column
DECLARE
    v_me      instance := caller(p_auth);
    v_session uuid := (p_request ->> 'session')::uuid;
    v_slots   int := (p_request ->> 'slots')::int;
    v_drain   boolean := coalesce((p_request ->> 'draining')::boolean, false);
    v_new     boolean := v_me.session IS DISTINCT FROM v_session;
    v_back    boolean;
BEGIN
    UPDATE presence p SET last_seen_at = now(), goodbye_at = NULL
    WHERE p.instance = v_me.instance
      AND (p.last_seen_at IS NULL OR p.last_seen_at < now() - interval '20 seconds' OR p.goodbye_at IS NOT NULL);
    v_back := FOUND;
    IF v_new OR v_me.slots <> v_slots OR v_me.draining <> v_drain OR v_me.version <> p_request ->> 'version' THEN
        IF v_new THEN
            PERFORM settle_session(v_me.instance, p_request -> 'attempts',
                                   v_me.boot IS NOT NULL AND v_me.boot <> p_request ->> 'boot');
        END IF;
        UPDATE instance i SET session = v_session, boot = p_request ->> 'boot', slots = v_slots, draining = v_drain,
                              version = p_request ->> 'version'
        WHERE i.instance = v_me.instance;
        v_back := true;
    END IF;
    IF v_back THEN
        PERFORM dispatch();
    END IF;
    RETURN QUERY SELECT v_me.instance, work_for(v_me.instance, p_request -> 'attempts', p_request -> 'cleaning')::json;
END
$$;

-- Takes one report of one attempt. NULL when it was taken, else why it is only evidence.
CREATE OR REPLACE FUNCTION sluice.take_event(p_instance uuid, e jsonb) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_attempt uuid := (e ->> 'attempt')::uuid;
    v_live    assignment;
    v_row     attempt;
BEGIN
    SELECT * INTO v_row FROM attempt WHERE attempt = v_attempt FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'unknown attempt';
    ELSIF v_row.instance IS DISTINCT FROM p_instance OR v_row.epoch <> (e ->> 'epoch')::int THEN
        RETURN format('old epoch: %s is with instance %s in epoch %s', v_attempt, v_row.instance, v_row.epoch);
    END IF;
    SELECT * INTO v_live FROM assignment WHERE attempt = v_attempt;

    IF e ->> 'state' = 'logged' THEN
        UPDATE attempt SET log_complete = true WHERE attempt = v_attempt;
        PERFORM touch_run(v_row.run);
        RETURN NULL;
    ELSIF v_live.attempt IS NULL THEN
        -- A repeat of what was taken is no news.
        RETURN CASE WHEN v_row.result IS DISTINCT FROM e ->> 'result' AND e ->> 'state' <> 'running' THEN
            format('too late: the attempt has ended, %s', v_row.outcome) END;
    ELSIF e ->> 'state' = 'running' THEN
        IF NOT v_live.running THEN
            UPDATE assignment SET running = true WHERE attempt = v_attempt;
            UPDATE attempt SET state = 'running', started_at = now(), invocation_id = e ->> 'invocation_id' WHERE attempt = v_attempt;
            UPDATE task SET state = 'running' WHERE run = v_row.run AND task = v_row.task;
            UPDATE run SET state = 'running', started_at = coalesce(started_at, now()) WHERE run = v_row.run AND ended_at IS NULL;
            PERFORM touch_run(v_row.run);
        END IF;
    ELSIF e ->> 'state' = 'refused' AND coalesce((e ->> 'requeue')::boolean, false) AND v_live.stop_reason IS NULL THEN
        DELETE FROM assignment WHERE attempt = v_attempt;
        UPDATE attempt SET state = 'queued', instance = NULL, assigned_at = NULL, reason = e ->> 'reason' WHERE attempt = v_attempt;
        UPDATE run r SET instance = NULL
        WHERE r.run = v_row.run AND NOT EXISTS (SELECT FROM attempt a WHERE a.run = r.run AND a.instance IS NOT NULL);
        INSERT INTO queue (attempt, run, type, selector, instance, avoid)
        SELECT v_attempt, r.run, v.spec ->> 'type', v.spec -> 'agent_selector', r.instance,
               CASE WHEN r.instance IS NULL THEN p_instance END
        FROM run r JOIN pipe_version v USING (project, pipe, version) WHERE r.run = v_row.run;
        PERFORM touch_run(v_row.run);
    ELSE
        UPDATE attempt SET
            started_at = CASE WHEN e ->> 'state' = 'ended' AND e ->> 'result' <> 'lost' THEN coalesce(started_at, now()) ELSE started_at END,
            invocation_id = coalesce(e ->> 'invocation_id', invocation_id), result = e ->> 'result', exit_code = e ->> 'exit_code',
            exit_status = (e ->> 'exit_status')::int, cpu_usage_usec = (e ->> 'cpu_usage_usec')::bigint,
            memory_peak_bytes = (e ->> 'memory_peak_bytes')::bigint, io_read_bytes = (e ->> 'io_read_bytes')::bigint,
            io_write_bytes = (e ->> 'io_write_bytes')::bigint, oom_kills = (e ->> 'oom_kills')::int,
            memory_max_bytes = (e ->> 'memory_max_bytes')::bigint, cpu_quota_per_sec_usec = (e ->> 'cpu_quota_per_sec_usec')::bigint,
            tasks_max = (e ->> 'tasks_max')::bigint
        WHERE attempt = v_attempt;
        UPDATE run SET state = 'running', started_at = coalesce(started_at, now()) WHERE run = v_row.run AND ended_at IS NULL;
        PERFORM end_attempt(v_attempt,
            CASE WHEN v_live.stop_reason IS NOT NULL AND e ->> 'result' IS DISTINCT FROM 'success' THEN 'cancelled'
                 WHEN e ->> 'state' = 'refused' THEN 'refused' ELSE e ->> 'result' END,
            coalesce(v_live.stop_reason, e ->> 'reason'));
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION api.agent_events(p_auth bytea, p_request jsonb) RETURNS json
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_me   instance := caller(p_auth);
    v_acks jsonb := '[]';
    v_why  text;
    e      jsonb;
BEGIN
    IF p_request -> 'events' @? '$[*] ? (@.state == "ended" || @.state == "refused")' THEN
        PERFORM lock_work();
    END IF;
    FOR e IN SELECT jsonb_array_elements(p_request -> 'events') LOOP
        IF e ->> 'state' = 'cleaned' THEN
            DELETE FROM cleanup WHERE instance = v_me.instance AND run = (e ->> 'run')::uuid;
            v_acks := v_acks || jsonb_build_object('run', e -> 'run', 'state', 'cleaned');
            CONTINUE;
        END IF;
        v_why := take_event(v_me.instance, e);
        IF v_why IS NOT NULL THEN
            INSERT INTO evidence (attempt, instance, event, why) VALUES ((e ->> 'attempt')::uuid, v_me.instance, e, v_why);
        END IF;
        v_acks := v_acks || jsonb_build_object('attempt', e -> 'attempt', 'epoch', e -> 'epoch', 'state', e -> 'state');
    END LOOP;
    IF p_request -> 'events' @? '$[*] ? (@.state == "ended" || @.state == "refused")' THEN
        PERFORM dispatch();
    END IF;
    RETURN jsonb_build_object('acknowledged', v_acks)
        || coalesce(work_for(v_me.instance, p_request -> 'attempts', p_request -> 'cleaning'), '{}');
END
$$;

CREATE OR REPLACE FUNCTION api.agent_goodbye(p_auth bytea, p_request jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_me instance := caller(p_auth);
BEGIN
    UPDATE presence SET goodbye_at = now()
    WHERE instance = v_me.instance AND v_me.session = (p_request ->> 'session')::uuid;
END
$$;

CREATE OR REPLACE FUNCTION api.agent_metrics(p_auth bytea, p_request jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_me instance := caller(p_auth);
BEGIN
    INSERT INTO metric_sample
    SELECT s.attempt, s.realtime_usec, s.cpu_usage_usec, s.memory_current_bytes, s.memory_peak_bytes, s.io_read_bytes,
           s.io_write_bytes, s.tasks_current
    FROM jsonb_to_recordset(p_request -> 'samples') AS s (
        attempt uuid, epoch int, realtime_usec bigint, cpu_usage_usec bigint, memory_current_bytes bigint, memory_peak_bytes bigint,
        io_read_bytes bigint, io_write_bytes bigint, tasks_current bigint)
    JOIN assignment l ON l.attempt = s.attempt AND l.epoch = s.epoch AND l.instance = v_me.instance
    ON CONFLICT DO NOTHING;
END
$$;
