-- Enrolment and API keys. Only the hash of a key ever comes here.
SET LOCAL check_function_bodies = off;

CREATE OR REPLACE FUNCTION sluice.key_json(k sluice.key) RETURNS json
LANGUAGE sql STABLE AS $$
        SELECT json_build_object(
                'key_id', k.id, 'type', k.type,
                'agents', coalesce((SELECT json_agg(a.name ORDER BY a.name)
                                      FROM sluice.key_agent ka JOIN sluice.agent a ON a.id = ka.agent
                                     WHERE ka.key = k.id), '[]'),
                'labels', k.labels, 'agent_type', k.agent_type, 'description', k.description,
                'created_at', sluice.rfc3339(k.created_at), 'created_by', k.created_by,
                'expires_at', sluice.rfc3339(k.expires_at), 'max_uses', k.max_uses,
                'uses', k.uses, 'revoked_at', sluice.rfc3339(k.revoked_at))
$$;

CREATE OR REPLACE FUNCTION api.key_create(p_auth bytea, p_request jsonb, p_hash bytea) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'admin');
        v_type text := sluice.json_word(p_request, 'type', ARRAY['enrolment', 'api'], true);
        v_agents jsonb := sluice.json_array(p_request, 'agents', 1000);
        v_expires int8 := sluice.json_int(p_request, 'expires_sec', false, 1, 315360000);
        v_agent jsonb;
        v_key sluice.key;
BEGIN
        IF p_hash IS NULL OR octet_length(p_hash) <> 32 THEN
                PERFORM sluice.fail(400, 'bad-hash', 'The hash of a key has 32 bytes.');
        ELSIF v_type = 'api' AND jsonb_array_length(v_agents) = 0 THEN
                PERFORM sluice.fail(400, 'agents-missing', 'An API key names the agents that it is for.',
                                    'Create the agent first, or make an enrolment key.');
        ELSIF v_type = 'enrolment' AND jsonb_array_length(v_agents) > 0 THEN
                PERFORM sluice.fail(400, 'agents-unwanted', 'An enrolment key is for agents that are not there yet.');
        END IF;

        INSERT INTO sluice.key (type, hash, labels, agent_type, description, max_uses, expires_at, created_by)
        VALUES (v_type, p_hash, sluice.json_labels(p_request, 'labels'),
                sluice.json_word(p_request, 'agent_type', ARRAY['batch', 'streaming']),
                sluice.json_text(p_request, 'description'),
                sluice.json_int(p_request, 'max_uses', false, 1, 1000000),
                now() + v_expires * interval '1 second', v_token.name)
        RETURNING * INTO v_key;

        FOR v_agent IN SELECT value FROM jsonb_array_elements(v_agents) LOOP
                IF jsonb_typeof(v_agent) <> 'string' THEN
                        PERFORM sluice.fail(400, 'bad-request', 'Elements of "agents" must be names.');
                END IF;

                INSERT INTO sluice.key_agent (key, agent)
                SELECT v_key.id, a.id FROM sluice.agent a WHERE a.name = v_agent #>> '{}'
                    ON CONFLICT DO NOTHING;

                IF NOT EXISTS (SELECT FROM sluice.agent a WHERE a.name = v_agent #>> '{}') THEN
                        PERFORM sluice.fail(404, 'agent-not-found', format(
                                'There is no agent "%s".', left(v_agent #>> '{}', 80)));
                END IF;
        END LOOP;

        RETURN sluice.key_json(v_key);
END
$$;

CREATE OR REPLACE FUNCTION api.key_list(p_auth bytea) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        PERFORM sluice.auth_token(p_auth, 'admin');

        RETURN (SELECT json_build_object(
                        'items', coalesce(json_agg(sluice.key_json(k) ORDER BY k.id), '[]'), 'next', NULL)
                  FROM sluice.key k);
END
$$;

-- Nobody enrols with it from here on. Instances that it let in keep their own credentials.
CREATE OR REPLACE FUNCTION api.key_revoke(p_auth bytea, p_key uuid) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_key sluice.key;
BEGIN
        PERFORM sluice.auth_token(p_auth, 'admin');

        UPDATE sluice.key SET revoked_at = coalesce(revoked_at, now()) WHERE id = p_key RETURNING * INTO v_key;

        IF v_key.id IS NULL THEN
                PERFORM sluice.fail(404, 'key-not-found', format('There is no key %s.', p_key));
        END IF;

        RETURN sluice.key_json(v_key);
END
$$;

-- A good key, its row locked: its uses are counted while nobody else enrols with it.
CREATE OR REPLACE FUNCTION sluice.auth_key(p_auth bytea) RETURNS sluice.key
LANGUAGE plpgsql AS $$
DECLARE
        v_key sluice.key;
BEGIN
        SELECT * INTO v_key FROM sluice.key WHERE hash = p_auth FOR UPDATE;

        IF v_key.id IS NULL THEN
                PERFORM sluice.fail(401, 'unauthenticated', 'This key is not known here.',
                                    'Make one on the server: sluicectl key create.');
        ELSIF v_key.revoked_at IS NOT NULL THEN
                PERFORM sluice.fail(401, 'key-revoked', 'This key was revoked.');
        ELSIF v_key.expires_at <= now() THEN
                PERFORM sluice.fail(401, 'key-expired', 'This key has expired.');
        END IF;

        RETURN v_key;
END
$$;

-- What an agent has when an instance has enrolled as it: what it had, what the instance brings, and what the key gives, which wins.
CREATE OR REPLACE FUNCTION sluice.enroll_labels(p_agent jsonb, p_instance jsonb, p_key jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_labels jsonb := p_agent || p_instance || p_key;
BEGIN
        IF (SELECT count(*) FROM jsonb_object_keys(v_labels)) > sluice.labels_max() THEN
                PERFORM sluice.fail(400, 'bad-label', format('The agent would have more than %s labels: its own, those of this instance, and those of the key.',
                                                             sluice.labels_max()));
        END IF;

        RETURN v_labels;
END
$$;

-- The agent that a machine with this key becomes an instance of.
CREATE OR REPLACE FUNCTION sluice.enroll_agent(p_key sluice.key, p_request jsonb) RETURNS sluice.agent
LANGUAGE plpgsql AS $$
DECLARE
        v_wanted uuid := sluice.json_uuid(p_request, 'agent');
        v_type text := sluice.json_word(p_request, 'type', ARRAY['batch', 'streaming']);
        v_labels jsonb := sluice.json_labels(p_request, 'labels');
        v_name text := sluice.json_text(p_request, 'name');
        v_agent sluice.agent;
BEGIN
        IF p_key.type = 'enrolment' THEN
                IF v_wanted IS NOT NULL THEN
                        PERFORM sluice.fail(400, 'agent-unwanted', 'An enrolment key makes a new agent; leave out its id.',
                                            'To become an instance of that agent, use an API key made for it.');
                END IF;

                -- Without a wanted name the host's is taken, as far as it is one.
                v_name := coalesce(v_name, left(regexp_replace(
                        split_part(sluice.json_text(p_request, 'hostname', true, 255), '.', 1),
                        '[^A-Za-z0-9_-]', '-', 'g'), 30));

                RETURN sluice.agent_insert(v_name, coalesce(p_key.agent_type, v_type), sluice.enroll_labels('{}', v_labels, p_key.labels),
                                           'key ' || p_key.id);
        END IF;

        IF v_wanted IS NULL THEN
                PERFORM sluice.fail(400, 'agent-missing', 'With an API key the agent says which one it is.',
                                    'Set the id of the agent in its configuration.');
        END IF;

        SELECT a.* INTO v_agent
          FROM sluice.key_agent ka JOIN sluice.agent a ON a.id = ka.agent
         WHERE ka.key = p_key.id AND ka.agent = v_wanted;

        IF v_agent.id IS NULL THEN
                PERFORM sluice.fail(403, 'key-scope', 'This key is not for that agent.');
        END IF;

        UPDATE sluice.agent
           SET labels = sluice.enroll_labels(labels, v_labels, p_key.labels), type = coalesce(p_key.agent_type, type)
         WHERE id = v_agent.id AND (labels, type) IS DISTINCT FROM
               (labels || v_labels || p_key.labels, coalesce(p_key.agent_type, type))
        RETURNING * INTO v_agent;

        RETURN (SELECT a FROM sluice.agent a WHERE a.id = v_wanted);
END
$$;

CREATE OR REPLACE FUNCTION api.agent_enroll(p_auth bytea, p_request jsonb, p_hash bytea)
RETURNS TABLE (agent uuid, instance uuid, name text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
#variable_conflict use_column
DECLARE
        v_key sluice.key := sluice.auth_key(p_auth);
        v_id uuid := sluice.json_uuid(p_request, 'instance', true);
        v_old sluice.instance;
        v_agent sluice.agent;
BEGIN
        IF p_hash IS NULL OR octet_length(p_hash) <> 32 THEN
                PERFORM sluice.fail(400, 'bad-hash', 'The hash of a credential has 32 bytes.');
        END IF;

        SELECT * INTO v_old FROM sluice.instance WHERE id = v_id FOR UPDATE;

        IF v_old.id IS NOT NULL AND v_old.key <> v_key.id THEN
                PERFORM sluice.fail(409, 'instance-enrolled', 'This instance has enrolled with another key.');
        ELSIF v_old.credential_used_at IS NOT NULL THEN
                PERFORM sluice.fail(409, 'instance-enrolled', 'This instance has enrolled and used its credential.',
                        'If the credential is lost, remove the agent''s state so that it enrols as a new instance.');
        ELSIF v_old.id IS NOT NULL THEN
                UPDATE sluice.instance SET credential_hash = p_hash WHERE id = v_id;
                RETURN QUERY SELECT a.id, v_id, a.name FROM sluice.agent a WHERE a.id = v_old.agent;
                RETURN;
        ELSIF v_key.max_uses <= v_key.uses THEN
                PERFORM sluice.fail(403, 'key-used-up', format('This key was used %s times, as often as it may be.',
                                                               v_key.max_uses));
        END IF;

        v_agent := sluice.enroll_agent(v_key, p_request);

        INSERT INTO sluice.instance (id, agent, key, credential_hash, hostname, version, protocol, systemd, kernel,
                                     architecture, cpus, memory_bytes, slots)
        VALUES (v_id, v_agent.id, v_key.id, p_hash,
                sluice.json_text(p_request, 'hostname', true, 255),
                sluice.json_text(p_request, 'version', true, 64),
                sluice.json_int(p_request, 'protocol', true, 1, 1000),
                sluice.json_text(p_request, 'systemd', false, 128),
                sluice.json_text(p_request, 'kernel', false, 255),
                sluice.json_text(p_request, 'architecture', false, 64),
                sluice.json_int(p_request, 'cpus', false, 1, 1000000),
                sluice.json_int(p_request, 'memory_bytes'),
                sluice.json_int(p_request, 'slots', true, 1, 1000))
            ON CONFLICT (id) DO NOTHING;

        IF NOT FOUND THEN -- with another key, at this moment
                PERFORM sluice.fail(409, 'instance-enrolled', 'This instance has enrolled with another key.');
        END IF;
        UPDATE sluice.key SET uses = uses + 1 WHERE id = v_key.id;

        RETURN QUERY SELECT v_agent.id, v_id, v_agent.name;
END
$$;

REVOKE ALL ON FUNCTION api.key_create(bytea, jsonb, bytea), api.key_list(bytea), api.key_revoke(bytea, uuid),
        api.agent_enroll(bytea, jsonb, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.key_create(bytea, jsonb, bytea), api.key_list(bytea), api.key_revoke(bytea, uuid),
        api.agent_enroll(bytea, jsonb, bytea) TO sluice_controld;
