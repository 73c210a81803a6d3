-- What people do to agents: pause, drain, resume, delete.
SET LOCAL check_function_bodies = off;

-- What people have set, and what an agent does by itself, for instance because it is being stopped.
CREATE OR REPLACE FUNCTION sluice.flags_json(p_agent uuid) RETURNS json
LANGUAGE sql STABLE AS $$
        SELECT coalesce(json_agg(json_build_object(
                        'flag', f.flag, 'reason', f.reason, 'by', f.set_by, 'since', sluice.rfc3339(f.since),
                        'deadline_at', sluice.rfc3339(f.deadline_at), 'escalated_at', sluice.rfc3339(f.escalated_at)) ORDER BY f.flag), '[]')
          FROM (SELECT agent, flag, reason, set_by, since, deadline_at, escalated_at FROM sluice.agent_flag
                UNION ALL
                SELECT DISTINCT i.agent, 'draining', NULL, 'the agent', NULL::timestamptz, NULL::timestamptz, NULL::timestamptz
                  FROM sluice.instance i
                 WHERE i.draining AND i.goodbye_at IS NULL
                   AND NOT EXISTS (SELECT FROM sluice.agent_flag x WHERE x.agent = i.agent AND x.flag = 'draining')
                UNION ALL
                SELECT i.agent, 'degraded', format('run %s: %s', x.run, x.stuck_reason), 'the agent', x.stuck_at, NULL, NULL
                  FROM sluice.instance i JOIN sluice.assignment x ON x.instance = i.id
                 WHERE x.stuck_at IS NOT NULL
                UNION ALL
                SELECT i.agent, 'quarantined', min(i.quarantine_reason), 'the control plane', min(i.quarantined_at), NULL, NULL
                  FROM sluice.instance i WHERE i.quarantined_at IS NOT NULL GROUP BY i.agent) f
         WHERE f.agent = p_agent
$$;

CREATE OR REPLACE FUNCTION sluice.agent_find(p_agent text) RETURNS sluice.agent
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_agent sluice.agent;
BEGIN
        IF p_agent ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
                SELECT * INTO v_agent FROM sluice.agent WHERE id = p_agent::uuid;
        END IF;

        IF v_agent.id IS NULL THEN
                SELECT * INTO v_agent FROM sluice.agent WHERE name = p_agent;
        END IF;

        IF v_agent.id IS NULL THEN
                PERFORM sluice.fail(404, 'agent-not-found', format('There is no agent "%s".', left(p_agent, 80)));
        END IF;

        RETURN v_agent;
END
$$;

-- Whoever places work holds the lock of the instance, so after this nobody places any more that has not seen what the caller
-- does. Their open polls are answered.
CREATE OR REPLACE FUNCTION sluice.agent_hold(p_agent uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        PERFORM FROM sluice.instance WHERE agent = p_agent ORDER BY id FOR NO KEY UPDATE;
        PERFORM pg_notify('sluice', 'instance ' || id) FROM sluice.instance WHERE agent = p_agent;
END
$$;

DROP FUNCTION IF EXISTS sluice.flag_check(text); -- of the release before

CREATE OR REPLACE FUNCTION sluice.flag_check(p_flag text, p_flags text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
        IF p_flag IS NULL OR p_flag <> ALL (p_flags) THEN
                PERFORM sluice.fail(404, 'flag-not-found', format('There is no flag "%s" here.', left(p_flag, 80)),
                                    'Flags are ' || array_to_string(p_flags, ', ') || '.');
        END IF;
END
$$;

-- Again: reason and deadline are the new ones. In the same words nothing changes; the deadline of a drain counts from the first time.
CREATE OR REPLACE FUNCTION api.agent_flag_set(p_auth bytea, p_agent text, p_flag text, p_request jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'operator');
        v_agent sluice.agent := sluice.agent_find(p_agent);
        v_reason text := left(sluice.json_text(p_request, 'reason', false, 65536), 1024);
        v_deadline int := sluice.json_int(p_request, 'deadline_sec', false, 0, 31536000);
BEGIN
        PERFORM sluice.flag_check(p_flag, ARRAY['paused', 'draining']);
        IF p_flag <> 'draining' AND v_deadline IS NOT NULL THEN
                PERFORM sluice.fail(400, 'bad-request', 'Only a drain has a deadline.');
        END IF;

        PERFORM sluice.agent_hold(v_agent.id);
        INSERT INTO sluice.agent_flag AS f (agent, flag, reason, set_by, deadline_sec, deadline_at)
        VALUES (v_agent.id, p_flag, v_reason, v_token.name, v_deadline, clock_timestamp() + make_interval(secs => v_deadline))
            ON CONFLICT (agent, flag) DO UPDATE SET reason = excluded.reason, set_by = excluded.set_by,
                        deadline_sec = excluded.deadline_sec, deadline_at = excluded.deadline_at, escalated_at = NULL
         WHERE (f.reason, f.set_by, f.deadline_sec) IS DISTINCT FROM (excluded.reason, excluded.set_by, excluded.deadline_sec);

        RETURN sluice.agent_json(v_agent);
END
$$;

CREATE OR REPLACE FUNCTION api.agent_flag_clear(p_auth bytea, p_agent text, p_flag text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'operator');
        v_agent sluice.agent := sluice.agent_find(p_agent);
BEGIN
        PERFORM sluice.flag_check(p_flag, ARRAY['paused', 'draining', 'quarantined']);
        IF p_flag = 'quarantined' THEN
                PERFORM sluice.quarantine_end(v_agent.id);
        END IF;
        PERFORM sluice.agent_hold(v_agent.id);
        DELETE FROM sluice.agent_flag WHERE agent = v_agent.id AND flag = p_flag;
        PERFORM sluice.look();

        RETURN sluice.agent_json(v_agent);
END
$$;

-- With p_force also while it has work, which is given up: nobody can say how it ends, and it is not repeated, for it may go on.
CREATE OR REPLACE FUNCTION api.agent_delete(p_auth bytea, p_agent text, p_force text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'admin');
        v_agent sluice.agent := sluice.agent_find(p_agent);
        v_runs uuid[] := ARRAY(SELECT x.run FROM sluice.assignment x JOIN sluice.instance i ON i.id = x.instance WHERE i.agent = v_agent.id
                                UNION SELECT q.run FROM sluice.queue q JOIN sluice.instance i ON i.id = q.instance WHERE i.agent = v_agent.id AND q.apart
                                ORDER BY 1);
        v_bound uuid[] := ARRAY(SELECT r.id FROM sluice.live_run l JOIN sluice.run r ON r.id = l.run JOIN sluice.instance i ON i.id = r.instance
                                 WHERE i.agent = v_agent.id);
        v_trials uuid[] := sluice.trials_on(v_agent.id);
        v_queued uuid[] := ARRAY(SELECT q.run FROM sluice.queue q JOIN sluice.instance i ON i.id = q.instance WHERE i.agent = v_agent.id AND NOT q.apart);
        v_waiting uuid[];
        v_attempt uuid;
        v_run uuid;
BEGIN
        IF coalesce(p_force, 'false') NOT IN ('true', 'false') THEN
                PERFORM sluice.fail(400, 'bad-request', 'Parameter "force" is true or false.');
        END IF;

        PERFORM FROM sluice.run WHERE id = ANY (v_runs || v_bound || v_trials || v_queued) ORDER BY id FOR NO KEY UPDATE;
        PERFORM sluice.agent_hold(v_agent.id);

        IF EXISTS (SELECT FROM sluice.assignment x JOIN sluice.instance i ON i.id = x.instance
                    WHERE i.agent = v_agent.id AND (coalesce(p_force, 'false') = 'false' OR x.run <> ALL (v_runs))) THEN
                PERFORM sluice.fail(409, 'agent-busy', format('Agent "%s" has tasks.', v_agent.name),
                        'Drain it and wait, or force it: then its tasks are given up, and the host has to be looked at.');
        END IF;

        FOR v_attempt IN SELECT x.attempt FROM sluice.assignment x JOIN sluice.instance i ON i.id = x.instance
                          WHERE i.agent = v_agent.id ORDER BY 1 LOOP
                PERFORM sluice.attempt_end(v_attempt, 'abandoned', jsonb_build_object('reason', format(
                        'Agent "%s" was deleted by %s while it had this.', v_agent.name, v_token.name)), true);
        END LOOP;
        v_waiting := ARRAY(SELECT q.attempt FROM sluice.queue q JOIN sluice.instance i ON i.id = q.instance
                            WHERE i.agent = v_agent.id AND q.apart AND q.run = ANY (v_runs));
        PERFORM sluice.children_give_up(v_waiting, array_fill('its agent was deleted'::text, ARRAY[cardinality(v_waiting)]));
        FOREACH v_run IN ARRAY v_runs LOOP
                PERFORM sluice.run_advance(v_run);
        END LOOP;

        PERFORM sluice.run_stop(r, v_token.name, format('agent "%s", on which it was tried, was deleted by %s', v_agent.name, v_token.name)) FROM unnest(v_trials) r;

        -- What began here and is not over begins again elsewhere, or not at all: its workspace goes with the agent.
        UPDATE sluice.instance SET goodbye_at = coalesce(goodbye_at, clock_timestamp()) WHERE agent = v_agent.id;
        PERFORM sluice.runs_move(ARRAY[i.id], ARRAY[format('The agent that it waited for was deleted by %s.', v_token.name)], sluice.runs_waiting(ARRAY[i.id]))
           FROM sluice.instance i WHERE i.agent = v_agent.id;
        PERFORM sluice.run_stop(r.id, v_token.name, format('agent "%s", on which it began, was deleted by %s', v_agent.name, v_token.name))
           FROM sluice.run r JOIN sluice.instance i ON i.id = r.instance
          WHERE r.id = ANY (v_bound) AND i.agent = v_agent.id AND r.ended_at IS NULL
            AND EXISTS (SELECT FROM sluice.task t WHERE t.run = r.id AND t.state IN ('waiting', 'queued') AND NOT t.apart);
        UPDATE sluice.run r SET instance = NULL FROM sluice.instance i WHERE r.id = ANY (v_bound || v_queued) AND i.id = r.instance AND i.agent = v_agent.id;
        UPDATE sluice.attempt SET log_complete = true
         WHERE id IN (SELECT o.attempt FROM sluice.owed_log o JOIN sluice.instance i ON i.id = o.instance WHERE i.agent = v_agent.id);

        -- What else waits for it waits for anybody now.
        UPDATE sluice.queue q SET instance = NULL FROM sluice.instance i WHERE i.agent = v_agent.id AND q.instance = i.id AND NOT q.apart;
        DELETE FROM sluice.key_agent WHERE agent = v_agent.id;
        DELETE FROM sluice.instance WHERE agent = v_agent.id;
        DELETE FROM sluice.agent WHERE id = v_agent.id;
        PERFORM sluice.look();
END
$$;

-- Drains whose time is over: what still runs is stopped, and goes on elsewhere where the pipe allows that. Runs that somebody is busy with are left
-- for the next time.
CREATE OR REPLACE FUNCTION sluice.drain_sweep() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        f sluice.agent_flag;
        v sluice.assignment;
        v_held uuid[];
BEGIN
        FOR f IN SELECT * FROM sluice.agent_flag
                  WHERE deadline_at < clock_timestamp() AND escalated_at IS NULL
                  ORDER BY agent LIMIT 10 FOR UPDATE SKIP LOCKED LOOP
                v_held := ARRAY(SELECT r.id FROM sluice.run r
                                 WHERE r.id = ANY (ARRAY(SELECT x.run FROM sluice.assignment x JOIN sluice.instance i ON i.id = x.instance WHERE i.agent = f.agent))
                                 ORDER BY r.id FOR NO KEY UPDATE SKIP LOCKED);
                FOR v IN UPDATE sluice.assignment x
                            SET state = 'stopping', interrupt = true,
                                stop_reason = concat_ws(': ', 'its agent is drained by ' || f.set_by, f.reason)
                           FROM sluice.instance i
                          WHERE i.agent = f.agent AND x.instance = i.id AND x.run = ANY (v_held) AND x.state IN ('assigned', 'running')
                         RETURNING x.* LOOP
                        UPDATE sluice.attempt SET state = 'stopping', reason = v.stop_reason WHERE id = v.attempt;
                        PERFORM pg_notify('sluice', 'instance ' || v.instance);
                END LOOP;
                UPDATE sluice.agent_flag SET escalated_at = clock_timestamp()
                 WHERE agent = f.agent AND flag = f.flag
                   AND NOT EXISTS (SELECT FROM sluice.assignment x JOIN sluice.instance i ON i.id = x.instance
                                    WHERE i.agent = f.agent AND x.state IN ('assigned', 'running'));
        END LOOP;
END
$$;

REVOKE ALL ON FUNCTION api.agent_flag_set(bytea, text, text, jsonb), api.agent_flag_clear(bytea, text, text),
        api.agent_delete(bytea, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.agent_flag_set(bytea, text, text, jsonb), api.agent_flag_clear(bytea, text, text),
        api.agent_delete(bytea, text, text) TO sluice_controld;
