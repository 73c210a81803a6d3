-- Agents as people see them. Status is derived from presence, never stored.
SET LOCAL check_function_bodies = off;

-- How long an instance counts as connected after it was last seen: LeaseSec= of controld, which says so in each connection.
CREATE OR REPLACE FUNCTION sluice.lease() RETURNS interval
LANGUAGE sql STABLE PARALLEL SAFE AS $$
        SELECT coalesce(nullif(current_setting('sluice.lease', true), ''), '90 seconds')::interval
$$;

-- How long an agent whose connection broke has to come back: AbsenceGraceSec= of controld.
CREATE OR REPLACE FUNCTION sluice.absence_grace() RETURNS interval
LANGUAGE sql STABLE PARALLEL SAFE AS $$
        SELECT coalesce(nullif(current_setting('sluice.absence_grace', true), ''), '3 seconds')::interval
$$;

-- Silence counts from when somebody was there to hear: after an outage of the control plane its agents have a lease's time
-- to come back. A connection that was seen to break says more than silence, until the next sync: nothing is placed from then on,
-- and after a grace it is Unknown.
CREATE OR REPLACE FUNCTION sluice.instance_status(i sluice.instance, p_seen timestamptz) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
        RETURN CASE WHEN p_seen IS NULL THEN 'Pending'
                    WHEN i.goodbye_at IS NOT NULL THEN 'Stopped'
                    WHEN i.quarantined_at IS NOT NULL THEN 'Unknown'
                    WHEN i.broke_at < clock_timestamp() - sluice.absence_grace() THEN 'Unknown'
                    WHEN p_seen > now() - sluice.lease() THEN 'Running'
                    WHEN (SELECT w.since > now() - sluice.lease() AND p_seen > w.before - sluice.lease()
                            FROM sluice.attendance w) THEN 'Running'
                    ELSE 'Unknown' END;
END
$$;

-- What an instance is, why, and since when.
CREATE OR REPLACE FUNCTION sluice.instance_state(i sluice.instance, p_seen timestamptz,
                                                 OUT status text, OUT reason text, OUT since timestamptz)
LANGUAGE plpgsql STABLE AS $$
BEGIN
        status := sluice.instance_status(i, p_seen);
        reason := CASE WHEN status = 'Pending' THEN 'it has enrolled and never connected'
                       WHEN status = 'Stopped' THEN 'it said goodbye' || coalesce(': ' || i.goodbye_reason, '')
                       WHEN status = 'Running' AND i.broke_at IS NOT NULL
                       THEN format('contact with it broke at %s, and it has time to come back', sluice.rfc3339(i.broke_at))
                       WHEN status = 'Running' AND p_seen > now() - sluice.lease() THEN 'it is connected'
                       WHEN status = 'Running' THEN 'it was connected when the control plane went away, and has time to come back'
                       WHEN i.quarantined_at IS NOT NULL THEN i.quarantine_reason
                       WHEN i.broke_at IS NOT NULL
                       THEN format('contact with it broke at %s, and it has not come back', sluice.rfc3339(i.broke_at))
                       ELSE 'it was not heard of any more, and has not said goodbye' END;
        since := CASE WHEN status = 'Pending' THEN i.enrolled_at
                      WHEN status = 'Stopped' THEN i.goodbye_at
                      WHEN i.quarantined_at IS NOT NULL THEN i.quarantined_at
                      WHEN status = 'Unknown' AND i.broke_at IS NOT NULL THEN i.broke_at
                      ELSE p_seen END;
END
$$;

CREATE OR REPLACE FUNCTION sluice.agent_json(a sluice.agent) RETURNS json
LANGUAGE sql STABLE AS $$
        WITH one AS (
                SELECT i.*, p.last_seen_at, s.status, s.reason, s.since,
                       (SELECT count(*) FROM sluice.assignment x WHERE x.instance = i.id) AS slots_used
                  FROM sluice.instance i LEFT JOIN sluice.presence p ON p.instance = i.id
                 CROSS JOIN LATERAL sluice.instance_state(i, p.last_seen_at) s
                 WHERE i.agent = a.id
        ), best AS ( -- an agent is what the best of its instances is
                SELECT * FROM one
                 ORDER BY array_position(ARRAY['Running', 'Unknown', 'Stopped', 'Pending'], status), since DESC LIMIT 1
        )
        SELECT json_build_object(
                'agent', a.id, 'name', a.name, 'type', a.type,
                'status', coalesce((SELECT status FROM best), 'Pending'),
                'reason', coalesce((SELECT reason FROM best), 'no host has joined as this agent'),
                'since', sluice.rfc3339(coalesce((SELECT since FROM best), a.created_at)),
                'labels', a.labels, 'created_at', sluice.rfc3339(a.created_at),
                'flags', sluice.flags_json(a.id),
                'instances', coalesce((SELECT json_agg(json_build_object(
                        'instance', o.id, 'status', o.status, 'reason', o.reason, 'since', sluice.rfc3339(o.since),
                        'hostname', o.hostname, 'version', o.version,
                        'systemd', o.systemd, 'kernel', o.kernel, 'architecture', o.architecture, 'cpus', o.cpus,
                        'memory_bytes', o.memory_bytes, 'slots', o.slots, 'slots_used', o.slots_used,
                        'boot', o.boot, 'draining', o.draining,
                        'last_seen_at', sluice.rfc3339(o.last_seen_at),
                        'enrolled_at', sluice.rfc3339(o.enrolled_at)) ORDER BY o.enrolled_at, o.id)
                        FROM one o), '[]'))
$$;

CREATE OR REPLACE FUNCTION api.agent_list(p_auth bytea) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');

        RETURN (SELECT json_build_object(
                        'items', coalesce(json_agg(sluice.agent_json(a) ORDER BY a.name), '[]'), 'next', NULL)
                  FROM sluice.agent a);
END
$$;

-- By id or by name. A name may look like an id; the id wins.
CREATE OR REPLACE FUNCTION api.agent_get(p_auth bytea, p_agent text) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_agent sluice.agent;
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');

        v_agent := sluice.agent_find(p_agent);

        RETURN sluice.agent_json(v_agent);
END
$$;

CREATE OR REPLACE FUNCTION sluice.agent_name_check(p_name text) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
        IF p_name IS NULL OR NOT sluice.is_agent_name(p_name) THEN
                PERFORM sluice.fail(400, 'bad-name', format('"%s" is not an agent name.', left(p_name, 80)),
                        'Names are 1 to 30 letters, digits, _, - and spaces, and do not begin with a space.');
        END IF;
END
$$;

CREATE OR REPLACE FUNCTION sluice.agent_insert(p_name text, p_type text, p_labels jsonb, p_by text)
RETURNS sluice.agent LANGUAGE plpgsql AS $$
DECLARE
        v_agent sluice.agent;
BEGIN
        PERFORM sluice.agent_name_check(p_name);

        INSERT INTO sluice.agent (name, type, labels, created_by)
        VALUES (p_name, coalesce(p_type, 'batch'), p_labels, p_by)
            ON CONFLICT (name) DO NOTHING RETURNING * INTO v_agent;

        IF v_agent.id IS NULL THEN
                PERFORM sluice.fail(409, 'agent-exists', format('There is an agent "%s" already.', p_name),
                        'Give this one another name, or use an API key of that agent to add an instance to it.');
        END IF;

        RETURN v_agent;
END
$$;

CREATE OR REPLACE FUNCTION api.agent_create(p_auth bytea, p_request jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'admin');
BEGIN
        RETURN sluice.agent_json(sluice.agent_insert(
                sluice.json_text(p_request, 'name', true),
                sluice.json_word(p_request, 'type', ARRAY['batch', 'streaming']),
                sluice.json_labels(p_request, 'labels'), v_token.name));
END
$$;

REVOKE ALL ON FUNCTION api.agent_list(bytea), api.agent_get(bytea, text), api.agent_create(bytea, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.agent_list(bytea), api.agent_get(bytea, text), api.agent_create(bytea, jsonb)
        TO sluice_controld;
