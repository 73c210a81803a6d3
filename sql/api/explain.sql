-- Why things are as they are: a run that waits, was refused, or ended as it did; an agent that does nothing.
SET LOCAL check_function_bodies = off;

DROP FUNCTION IF EXISTS sluice.candidate_verdict(sluice.queue, sluice.demand, sluice.agent, sluice.instance, timestamptz); -- of the release before

-- The terms of a selector that do not hold for these labels, in words; NULL when all hold.
CREATE OR REPLACE FUNCTION sluice.selector_failing(p_labels jsonb, p_selector jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
        SELECT string_agg(sluice.selector_text(jsonb_build_array(t))
                          || CASE WHEN p_labels ? (t ->> 'key') AND t ->> 'operator' IN ('in', 'notin')
                                  THEN format(' (it has %s=%s)', t ->> 'key', p_labels ->> (t ->> 'key')) ELSE '' END, ', ')
          FROM jsonb_array_elements(p_selector) t
         WHERE NOT sluice.selector_matches(p_labels, jsonb_build_array(t))
$$;

-- Whether this instance (NULL: an agent that has none) can take an attempt of this demand; q: the queued one, or NULL. code says it for
-- programs, words for people, and rank how far it is from taking it: 0 is now. One that is too small or does not suit never takes it.
CREATE OR REPLACE FUNCTION sluice.candidate_judge(q sluice.queue, d sluice.demand, a sluice.agent, i sluice.instance, p_seen timestamptz,
                                                  OUT code text, OUT words text, OUT rank int)
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_codes text[] := '{ready,avoided,slots,memory,streaming,paused,draining,quarantined,not-connected,never-connected,too-small,systemd,elsewhere,labels,type}';
        v_state record;
        v_flag sluice.agent_flag;
        v_used int;
        v_left int8;
        v_need int8 := sluice.memory_need(d.memory_bytes, d.memory_permyriad, i.memory_bytes);
        v_holders text;
BEGIN
        IF a.type <> d.type THEN
                code := 'type';
                words := format('is of type %s, not %s', a.type, d.type);
        ELSIF NOT a.labels @@ d.path THEN
                code := 'labels';
                words := 'has other labels than ' || sluice.selector_failing(a.labels, d.selector);
        ELSIF i.id IS NULL THEN
                code := 'never-connected';
                words := 'has never connected';
        ELSIF q.instance <> i.id THEN
                code := 'elsewhere';
                words := 'is not where the run ' || CASE WHEN EXISTS (SELECT FROM sluice.live_run l WHERE l.run = q.run) THEN 'began' ELSE 'is tried' END;
        ELSIF v_need > i.memory_bytes THEN
                code := 'too-small';
                words := format('its memory of %s is less than MemoryMax= of %s', sluice.bytes_text(i.memory_bytes), sluice.bytes_text(v_need));
        END IF;
        rank := array_position(v_codes, code) - 1;
        IF code IS NOT NULL THEN
                RETURN;
        END IF;

        SELECT * INTO v_state FROM sluice.instance_state(i, p_seen);
        SELECT * INTO v_flag FROM sluice.agent_flag f WHERE f.agent = a.id ORDER BY f.flag LIMIT 1;
        SELECT count(*), i.memory_bytes - coalesce(sum(x.memory_bytes), 0),
               string_agg(x.run::text, ', ' ORDER BY x.run) FILTER (WHERE x.n <= 4) || CASE WHEN count(*) > 4 THEN format(' and %s more', count(*) - 4) ELSE '' END
          INTO v_used, v_left, v_holders
          FROM (SELECT y.*, row_number() OVER (ORDER BY y.run) AS n FROM sluice.assignment y WHERE y.instance = i.id) x;

        IF i.quarantined_at IS NOT NULL THEN
                code := 'quarantined';
                words := format('is quarantined since %s: %s', sluice.rfc3339(i.quarantined_at), i.quarantine_reason);
        ELSIF v_state.status <> 'Running' THEN
                code := 'not-connected';
                words := format('is not connected since %s: %s', sluice.rfc3339(v_state.since), v_state.reason);
        ELSIF v_flag.agent IS NOT NULL THEN
                code := v_flag.flag;
                words := format('is %s by %s since %s%s', CASE v_flag.flag WHEN 'draining' THEN 'drained' ELSE v_flag.flag END, v_flag.set_by,
                                sluice.rfc3339(v_flag.since), ': ' || v_flag.reason);
        ELSIF i.draining THEN
                code := 'draining';
                words := 'is draining';
        ELSIF q.avoid = i.id AND q.avoid_until > clock_timestamp() THEN
                code := 'avoided';
                words := format('could not take it just now, and is asked again at %s%s', sluice.rfc3339(q.avoid_until), ': ' || q.avoid_reason);
        ELSIF a.type = 'streaming' AND sluice.stream_room(a.id) = 0 THEN
                code := 'streaming';
                words := (SELECT format('has the streaming run %s', x.run) FROM sluice.assignment x WHERE x.stream_agent = a.id AND NOT x.retiring);
        ELSIF a.type = 'streaming' AND EXISTS (SELECT FROM sluice.assignment x WHERE x.stream_agent = a.id AND x.retiring
                                                  AND NOT EXISTS (SELECT FROM sluice.stream s WHERE s.retiring = x.run AND s.run = q.run)) THEN
                code := 'streaming';
                words := (SELECT format('keeps the place beside the streaming run %s for the run that follows it', x.run)
                            FROM sluice.assignment x WHERE x.stream_agent = a.id AND x.retiring LIMIT 1);
        ELSIF v_used >= i.slots AND a.type <> 'streaming' THEN
                code := 'slots';
                words := format('its %s slots are taken by %s', i.slots, v_holders);
        ELSIF v_need > v_left THEN
                code := 'memory';
                words := format('of its memory %s is not given away, less than MemoryMax= of %s; it has %s',
                                sluice.bytes_text(greatest(v_left, 0)), sluice.bytes_text(v_need), v_holders);
        ELSE
                code := 'ready';
                words := 'can take it';
        END IF;
        rank := array_position(v_codes, code) - 1;
END
$$;

-- Every agent, or the first p_limit: those that come nearest to taking it before the others.
CREATE OR REPLACE FUNCTION sluice.candidates_json(q sluice.queue, p_limit int) RETURNS jsonb
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$ -- not sql, which would be planned anew each time
BEGIN
        RETURN (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                'agent', s.name, 'agent_id', s.agent, 'instance', s.instance, 'hostname', s.hostname, 'suits', s.suits, 'verdict', s.verdict)
                                ORDER BY s.suits DESC, s.connected DESC, s.name, s.instance), '[]')
                  FROM (SELECT a.name, a.id AS agent, i.id AS instance, i.hostname, c.suits, c.connected,
                               (sluice.candidate_judge(q, d, (SELECT o FROM sluice.agent o WHERE o.id = a.id), i, p.last_seen_at)).words AS verdict
                          FROM sluice.demand d
                         CROSS JOIN LATERAL (SELECT o.agent AS id FROM sluice.instance o WHERE q.apart AND o.id = q.instance -- a child is for one only
                                             UNION ALL
                                             SELECT o.id FROM sluice.agent o WHERE NOT q.apart OR q.instance IS NULL) w
                         CROSS JOIN LATERAL (SELECT * FROM sluice.agent o WHERE o.id = w.id OFFSET 0) a
                          LEFT JOIN sluice.instance i ON i.agent = a.id
                          LEFT JOIN sluice.presence p ON p.instance = i.id
                         CROSS JOIN LATERAL (SELECT a.type = d.type AND a.labels @@ d.path AND i.id = coalesce(q.instance, i.id) IS NOT FALSE AS suits,
                                                    coalesce(sluice.instance_status(i, p.last_seen_at) = 'Running', false) AS connected) c
                         WHERE d.id = q.demand AND (NOT q.apart OR q.instance IS NULL OR i.id = q.instance)
                         ORDER BY c.suits DESC, c.connected DESC, a.name, i.id LIMIT p_limit) s);
END
$$;

-- Reports that had no effect, and why; NULL p_attempt finds nothing.
CREATE OR REPLACE FUNCTION sluice.evidence_json(p_attempt uuid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
        SELECT coalesce(jsonb_agg(jsonb_build_object(
                        'why', v.why, 'epoch', v.epoch, 'state', v.event ->> 'state', 'result', v.event ->> 'result',
                        'reason', v.event ->> 'reason', 'instance', v.instance,
                        'agent', (SELECT a.name FROM sluice.instance i JOIN sluice.agent a ON a.id = i.agent WHERE i.id = v.instance),
                        'received_at', sluice.rfc3339(v.received_at)) ORDER BY v.id), '[]')
          FROM sluice.evidence v WHERE v.attempt = p_attempt AND v.id >= sluice.uuid_v7_since(p_attempt)
$$;

-- One sentence without its full stop.
CREATE OR REPLACE FUNCTION sluice.task_why(r sluice.run, t sluice.task, a sluice.attempt) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_agent text := coalesce((SELECT format('agent "%s"', name) FROM sluice.agent WHERE id = a.agent), 'an agent that was deleted');
        v_before text;
BEGIN
        SELECT string_agg(b.name || ' (' || b.state || ')', ', ' ORDER BY b.position) INTO v_before
          FROM sluice.task b
         WHERE b.run = r.id AND t.parent IS NULL AND b.parent IS NULL
           AND (b.name = ANY (t.after) AND b.state <> 'succeeded' AND b.passed_over IS NULL
                OR b.name = ANY (t.after_failure || t.after_any) AND b.state IN ('waiting', 'queued', 'running')
                OR b.name = ANY (t.after_failure) AND b.state <> 'failed' AND t.state = 'skipped');

        RETURN rtrim(CASE
                WHEN t.passed_over IS NOT NULL THEN 'is passed over: ' || t.passed_over
                WHEN t.reason IS NOT NULL THEN CASE t.state WHEN 'skipped' THEN 'is skipped' ELSE 'has failed' END || ': ' || t.reason
                WHEN t.fans AND t.fanout_count IS NOT NULL
                THEN (SELECT format('%s of %s have succeeded, %s are under way, %s wait for their turn', s.good, s.total, s.busy, s.held) FROM sluice.fan_sum(r.id, t.name) s)
                WHEN t.held AND t.state = 'waiting' THEN 'waits for its turn: RunOnAllBatch= lets no more begin at once'
                WHEN t.retry_at IS NOT NULL
                THEN format('is tried again at %s, since attempt %s ended with %s%s', sluice.rfc3339(t.retry_at), a.try, a.outcome,
                            coalesce(format(' (status %s)', a.exit_status), ''))
                WHEN t.state = 'waiting' THEN 'waits for ' || v_before
                WHEN t.state = 'skipped' AND a.outcome = 'exec-condition' THEN 'is skipped: its ExecCondition= found nothing to do'
                WHEN t.state = 'skipped' THEN 'is skipped because of ' || v_before
                WHEN a.id IS NULL THEN coalesce('is cancelled by ' || r.cancel_requested_by, t.state)
                WHEN a.state = 'queued' THEN sluice.verdict_of(a.id)
                WHEN EXISTS (SELECT FROM sluice.assignment x WHERE x.attempt = a.id AND x.stuck_at IS NOT NULL)
                THEN (SELECT format('is stuck on %s since %s: %s', v_agent, sluice.rfc3339(x.stuck_at), x.stuck_reason)
                        FROM sluice.assignment x WHERE x.attempt = a.id)
                WHEN a.state = 'assigned' THEN format('is assigned to %s, which has not reported its start', v_agent)
                WHEN a.state = 'running' THEN format('runs on %s', v_agent)
                WHEN a.state = 'stopping' THEN format('is asked to stop on %s: %s', v_agent, a.reason)
                WHEN a.outcome = 'refused' THEN format('was refused by %s%s', v_agent, coalesce(': ' || a.reason, ''))
                ELSE format('ended with %s%s%s', a.outcome, CASE WHEN a.agent IS NOT NULL THEN ' on ' || v_agent END, coalesce(': ' || a.reason, '')) END, '.');
END
$$;

CREATE OR REPLACE FUNCTION api.run_explain(p_auth bytea, p_run uuid) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_run sluice.run;
        v_tasks jsonb;
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');
        v_run := sluice.run_find(p_run);

        -- The last attempt of a task is the one that counts.
        SELECT jsonb_agg(jsonb_build_object(
                        'task', t.name, 'parent', t.parent, 'state', t.state,
                        'why', sluice.task_why(v_run, t, (SELECT a FROM sluice.attempts_of(p_run) a WHERE a.task = t.name ORDER BY a.try DESC, a.id DESC LIMIT 1)),
                        'priority', (SELECT max(q.priority) FROM sluice.queue q JOIN sluice.attempts_of(p_run) a ON a.id = q.attempt WHERE a.task = t.name),
                        'attempts', coalesce(x.attempts, '[]'), 'candidates', coalesce(x.candidates, '[]')) ORDER BY t.position, t.fanout_index NULLS FIRST)
          INTO v_tasks
          FROM sluice.task t
          LEFT JOIN LATERAL (
                SELECT jsonb_agg(jsonb_build_object(
                               'attempt', s.id, 'try', s.try, 'epoch', s.epoch, 'state', s.state, 'outcome', s.outcome, 'reason', s.reason,
                               'agent', (SELECT name FROM sluice.agent WHERE id = s.agent), 'instance', s.instance, 'counts', s.last,
                               'queued_at', sluice.rfc3339(s.queued_at), 'assigned_at', sluice.rfc3339(s.assigned_at),
                               'started_at', sluice.rfc3339(s.started_at), 'ended_at', sluice.rfc3339(s.ended_at),
                               'evidence', sluice.evidence_json(s.id)) ORDER BY s.try, s.id) AS attempts,
                       (SELECT sluice.candidates_json(q, 200) FROM sluice.queue q
                         WHERE q.attempt = (array_agg(s.id ORDER BY s.try DESC, s.id DESC))[1]) AS candidates
                  FROM (SELECT a.*, row_number() OVER (ORDER BY a.try DESC, a.id DESC) = 1 AS last
                          FROM sluice.attempts_of(p_run) a WHERE a.task = t.name) s) x ON true
         WHERE t.run = p_run;

        RETURN json_build_object(
                'run', v_run.id, 'project', v_run.project, 'pipe', v_run.pipe, 'version', v_run.version, 'trial', sluice.is_draft(v_run.version), 'state', v_run.state,
                'outcome', v_run.outcome, 'reason', v_run.reason, 'created_at', sluice.rfc3339(v_run.created_at),
                'scheduled', sluice.scheduled_json(v_run.schedule, v_run.scheduled_at), 'parameters', v_run.parameters, 'tasks', v_tasks);
END
$$;

-- What an agent has, and what could come to it: up to p_limit of what waits and suits it, first come first.
CREATE OR REPLACE FUNCTION sluice.agent_waiting(a sluice.agent, p_limit int) RETURNS jsonb
LANGUAGE sql STABLE AS $$
        WITH waiting AS (
                SELECT q.* FROM sluice.instance i JOIN sluice.queue q ON q.instance = i.id WHERE i.agent = a.id
                UNION ALL
                SELECT q.*
                  FROM sluice.demands_waiting() d
                 CROSS JOIN LATERAL (SELECT * FROM sluice.queue q WHERE q.demand = d.id AND q.instance IS NULL
                                      ORDER BY q.priority DESC, q.attempt LIMIT p_limit) q
                 WHERE d.type = a.type AND a.labels @@ d.path
        ), first AS (
                SELECT * FROM waiting ORDER BY priority DESC, attempt LIMIT p_limit
        )
        SELECT coalesce(jsonb_agg(jsonb_build_object(
                        'run', f.run, 'pipe', r.pipe, 'project', r.project, 'task', t.task, 'attempt', f.attempt, 'priority', f.priority,
                        'queued_at', sluice.rfc3339(f.queued_at), 'bound', f.instance IS NOT NULL, 'why', sluice.verdict_of(f.attempt))
                        ORDER BY f.priority DESC, f.attempt), '[]')
          FROM first f JOIN sluice.run r ON r.id = f.run JOIN sluice.attempt t ON t.id = f.attempt
$$;

CREATE OR REPLACE FUNCTION api.agent_explain(p_auth bytea, p_agent text) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_json jsonb := api.agent_get(p_auth, p_agent)::jsonb; -- who may, and whether there is one
        v_agent sluice.agent;
        v_instances jsonb;
BEGIN
        SELECT * INTO STRICT v_agent FROM sluice.agent WHERE id = (v_json ->> 'agent')::uuid;

        SELECT coalesce(jsonb_agg(jsonb_build_object(
                        'instance', i.id, 'hostname', i.hostname, 'status', s.status, 'reason', s.reason, 'since', sluice.rfc3339(s.since),
                        'draining', i.draining, 'slots', i.slots, 'memory_bytes', i.memory_bytes,
                        'slots_used', (SELECT count(*) FROM sluice.assignment x WHERE x.instance = i.id),
                        'memory_used_bytes', (SELECT coalesce(sum(x.memory_bytes), 0) FROM sluice.assignment x WHERE x.instance = i.id),
                        'has', coalesce((SELECT jsonb_agg(jsonb_build_object(
                                        'run', x.run, 'pipe', r.pipe, 'project', r.project, 'task', t.task, 'attempt', x.attempt, 'state', x.state,
                                        'memory_bytes', x.memory_bytes, 'reason', x.stop_reason,
                                        'since', sluice.rfc3339(coalesce(t.stop_requested_at, t.started_at, t.assigned_at))) ORDER BY x.attempt)
                                   FROM sluice.assignment x JOIN sluice.run r ON r.id = x.run JOIN sluice.attempt t ON t.id = x.attempt
                                  WHERE x.instance = i.id), '[]')) ORDER BY i.enrolled_at, i.id), '[]')
          INTO v_instances
          FROM sluice.instance i
          LEFT JOIN sluice.presence p ON p.instance = i.id
         CROSS JOIN LATERAL sluice.instance_state(i, p.last_seen_at) s
         WHERE i.agent = v_agent.id;

        RETURN json_build_object(
                'agent', v_agent.id, 'name', v_agent.name, 'type', v_agent.type, 'labels', v_agent.labels,
                'status', v_json -> 'status', 'flags', (
                        SELECT coalesce(json_agg(concat_ws(' ', f ->> 'flag', 'by', f ->> 'by', 'since ' || (f ->> 'since'))
                                                 || coalesce(': ' || (f ->> 'reason'), '') ORDER BY f ->> 'flag'), '[]')
                          FROM jsonb_array_elements(v_json -> 'flags') f),
                'reason', v_json -> 'reason', 'since', v_json -> 'since',
                'instances', v_instances, 'waiting', sluice.agent_waiting(v_agent, 50));
END
$$;

REVOKE ALL ON FUNCTION api.run_explain(bytea, uuid), api.agent_explain(bytea, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.run_explain(bytea, uuid), api.agent_explain(bytea, text) TO sluice_controld;
