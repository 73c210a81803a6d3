-- Projects, tokens, agents and keys, as people see them.

CREATE OR REPLACE FUNCTION api.project_list(p_auth bytea) RETURNS json
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
BEGIN
    PERFORM person(p_auth, 'viewer');
    RETURN (SELECT json_build_object('items', coalesce(json_agg(json_build_object(
                'project', project, 'created_at', rfc3339(created_at)) ORDER BY project), '[]'), 'next', NULL)
            FROM project);
END
$$;

CREATE OR REPLACE FUNCTION api.project_get(p_auth bytea, p_project text) RETURNS json
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
BEGIN
    PERFORM person(p_auth, 'viewer'), check_project(p_project);
    RETURN (SELECT json_build_object('project', project, 'created_at', rfc3339(created_at)) FROM project WHERE project = p_project);
END
$$;

CREATE OR REPLACE FUNCTION api.project_create(p_auth bytea, p_project text) RETURNS json
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
BEGIN
    PERFORM person(p_auth, 'admin');
    INSERT INTO project (project) VALUES (p_project);
    RETURN api.project_get(p_auth, p_project);
EXCEPTION
    WHEN unique_violation THEN
        PERFORM refuse(409, 'project-exists', format('Project "%s" exists already.', p_project));
    WHEN check_violation THEN
        PERFORM refuse(400, 'bad-name', format('"%s" is no project name: a-z, 0-9, _ and -, at most 63.', p_project));
END
$$;

CREATE OR REPLACE FUNCTION api.token_create(p_name text, p_role text, p_hash bytea) RETURNS json
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
    INSERT INTO token (name, role, hash) VALUES (p_name, p_role, p_hash)
    RETURNING json_build_object('token_id', token_id, 'name', name, 'role', role, 'created_at', rfc3339(created_at))
$$;

CREATE OR REPLACE FUNCTION sluice.instance_status(p_instance uuid) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, sluice
    AS $$
    SELECT CASE WHEN last_seen_at IS NULL THEN 'Pending' WHEN goodbye_at IS NOT NULL THEN 'Stopped'
                WHEN last_seen_at > present_after() THEN 'Running' ELSE 'Unknown' END
    FROM presence WHERE instance = p_instance
$$;

CREATE OR REPLACE FUNCTION sluice.instance_json(i sluice.instance) RETURNS json
    LANGUAGE sql STABLE SET search_path = pg_catalog, sluice
    AS $$
    SELECT json_build_object(
        'instance', i.instance, 'status', instance_status(i.instance), 'hostname', i.hostname, 'version', i.version,
        'systemd', i.systemd, 'kernel', i.kernel, 'architecture', i.architecture, 'cpus', i.cpus,
        'memory_bytes', i.memory_bytes, 'slots', i.slots,
        'slots_used', (SELECT count(*) FROM assignment a WHERE a.instance = i.instance), 'boot', i.boot,
        'last_seen_at', (SELECT rfc3339(last_seen_at) FROM presence p WHERE p.instance = i.instance),
        'enrolled_at', rfc3339(i.enrolled_at))
$$;

-- Derived from the instances: the best of them speaks for the agent.
CREATE OR REPLACE FUNCTION sluice.agent_json(a sluice.agent) RETURNS json
    LANGUAGE sql STABLE SET search_path = pg_catalog, sluice
    AS $$
    SELECT json_build_object(
        'agent', a.agent, 'name', a.name, 'type', a.type,
        'status', coalesce((SELECT s FROM (SELECT instance_status(i.instance) AS s FROM instance i WHERE i.agent = a.agent) x
                            ORDER BY array_position(ARRAY['Running', 'Unknown', 'Stopped', 'Pending'], s) LIMIT 1), 'Pending'),
        'labels', a.labels, 'track', a.track, 'created_at', rfc3339(a.created_at), 'created_by', a.created_by,
        'flags', (SELECT coalesce(json_agg('draining'::text), '[]') FROM instance i WHERE i.agent = a.agent AND i.draining),
        'instances', (SELECT coalesce(json_agg(instance_json(i) ORDER BY i.enrolled_at), '[]') FROM instance i WHERE i.agent = a.agent))
$$;

CREATE OR REPLACE FUNCTION api.agent_list(p_auth bytea) RETURNS json
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
BEGIN
    PERFORM person(p_auth, 'viewer');
    RETURN (SELECT json_build_object('items', coalesce(json_agg(agent_json(a) ORDER BY name), '[]'), 'next', NULL) FROM agent a);
END
$$;

CREATE OR REPLACE FUNCTION api.agent_get(p_auth bytea, p_agent text) RETURNS json
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_json json;
BEGIN
    PERFORM person(p_auth, 'viewer');
    SELECT agent_json(a) INTO v_json FROM agent a WHERE a.name = p_agent OR a.agent::text = lower(p_agent);
    IF NOT FOUND THEN
        PERFORM refuse(404, 'agent-not-found', format('No agent has the name or id "%s".', p_agent));
    END IF;
    RETURN v_json;
END
$$;

-- Makes an agent row, with words for what the constraints refuse.
CREATE OR REPLACE FUNCTION sluice.add_agent(p_name text, p_type text, p_labels jsonb, p_by text) RETURNS uuid
    LANGUAGE plpgsql SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_agent uuid;
BEGIN
    INSERT INTO agent (name, type, labels, created_by)
    VALUES (p_name, coalesce(p_type, 'batch'), coalesce(p_labels, '{}'), p_by) RETURNING agent INTO v_agent;
    RETURN v_agent;
EXCEPTION
    WHEN unique_violation THEN
        PERFORM refuse(409, 'agent-exists', format('An agent with the name "%s" exists already.', p_name),
                       'Choose another Name= in agentd.conf.');
    WHEN check_violation THEN
        PERFORM refuse(400, 'bad-agent', format('"%s" is no agent name (1 to 30 of A-Z a-z 0-9 _ - and space), or its type is neither batch nor streaming.', p_name));
END
$$;

CREATE OR REPLACE FUNCTION api.agent_create(p_auth bytea, p_request jsonb) RETURNS json
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_agent uuid;
BEGIN
    v_agent := add_agent(p_request ->> 'name', p_request ->> 'type', p_request -> 'labels', person(p_auth, 'admin'));
    RETURN api.agent_get(p_auth, v_agent::text);
END
$$;

CREATE OR REPLACE FUNCTION sluice.key_json(k sluice.key) RETURNS json
    LANGUAGE sql STABLE SET search_path = pg_catalog, sluice
    AS $$
    SELECT json_build_object(
        'key_id', k.key_id, 'type', k.type, 'agent_type', k.agent_type, 'labels', k.labels, 'description', k.description,
        'agents', (SELECT coalesce(json_agg(a.name ORDER BY a.name), '[]') FROM key_agent ka JOIN agent a USING (agent) WHERE ka.key_id = k.key_id),
        'max_uses', k.max_uses, 'uses', (SELECT count(*) FROM key_use u WHERE u.key_id = k.key_id),
        'created_at', rfc3339(k.created_at), 'created_by', k.created_by, 'expires_at', rfc3339(k.expires_at),
        'revoked_at', rfc3339(k.revoked_at))
$$;

CREATE OR REPLACE FUNCTION api.key_create(p_auth bytea, p_request jsonb, p_hash bytea) RETURNS json
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_by      text := person(p_auth, 'admin');
    v_key     key;
    v_missing text;
BEGIN
    IF p_request ->> 'type' NOT IN ('enrolment', 'api') THEN
        PERFORM refuse(400, 'bad-key-type', format('A key''s type is enrolment or api, not "%s".', p_request ->> 'type'));
    ELSIF (p_request ->> 'type' = 'api') <> (jsonb_array_length(coalesce(p_request -> 'agents', '[]')) > 0) THEN
        PERFORM refuse(400, 'bad-key-agents', 'An API key names the agents that it is for; an enrolment key names none.');
    END IF;
    SELECT n INTO v_missing FROM jsonb_array_elements_text(coalesce(p_request -> 'agents', '[]')) n
    WHERE NOT EXISTS (SELECT FROM agent WHERE name = n) LIMIT 1;
    IF FOUND THEN
        PERFORM refuse(404, 'agent-not-found', format('No agent has the name "%s".', v_missing), 'Make it with "sluicectl agent create".');
    END IF;
    INSERT INTO key (type, hash, agent_type, labels, description, max_uses, created_by, expires_at)
    VALUES (p_request ->> 'type', p_hash, p_request ->> 'agent_type', coalesce(p_request -> 'labels', '{}'),
            p_request ->> 'description', (p_request ->> 'max_uses')::int, v_by,
            now() + make_interval(secs => (p_request ->> 'expires_sec')::int))
    RETURNING * INTO v_key;
    INSERT INTO key_agent (key_id, agent)
    SELECT v_key.key_id, agent FROM agent
    WHERE name IN (SELECT jsonb_array_elements_text(coalesce(p_request -> 'agents', '[]')));
    RETURN key_json(v_key);
EXCEPTION
    WHEN check_violation THEN
        PERFORM refuse(400, 'bad-key', 'max_uses must be 1 or more, agent_type batch or streaming.');
END
$$;

CREATE OR REPLACE FUNCTION api.key_list(p_auth bytea) RETURNS json
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
BEGIN
    PERFORM person(p_auth, 'admin');
    RETURN (SELECT json_build_object('items', coalesce(json_agg(key_json(k) ORDER BY key_id), '[]'), 'next', NULL) FROM key k);
END
$$;

-- Instances that joined by the key keep their own credentials.
CREATE OR REPLACE FUNCTION api.key_revoke(p_auth bytea, p_key uuid) RETURNS json
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_key key;
BEGIN
    PERFORM person(p_auth, 'admin');
    UPDATE key SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = p_key RETURNING * INTO v_key;
    IF NOT FOUND THEN
        PERFORM refuse(404, 'key-not-found', format('No key has the id %s.', p_key));
    END IF;
    RETURN key_json(v_key);
END
$$;
