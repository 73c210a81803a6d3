-- Pipes and their versions. A version is the hash of the normal form, so deploying the same text twice changes nothing.

CREATE OR REPLACE FUNCTION sluice.pipe_json(v sluice.pipe_version, p_whole boolean) RETURNS json
    LANGUAGE sql STABLE SET search_path = pg_catalog, sluice
    AS $$
    SELECT CASE WHEN p_whole THEN
        json_build_object('project', v.project, 'pipe', v.pipe, 'version', v.version, 'type', v.spec ->> 'type',
            'description', v.spec ->> 'description', 'created_at', rfc3339(v.created_at), 'created_by', v.created_by,
            'spec', v.spec, 'source', v.source)
    ELSE
        json_build_object('project', v.project, 'pipe', v.pipe, 'version', v.version, 'type', v.spec ->> 'type',
            'description', v.spec ->> 'description', 'created_at', rfc3339(v.created_at), 'created_by', v.created_by,
            'tasks', jsonb_array_length(v.spec -> 'tasks'))
    END
$$;

-- The version row, the newest when none is named, or 404.
CREATE OR REPLACE FUNCTION sluice.find_pipe(p_project text, p_pipe text, p_version text) RETURNS sluice.pipe_version
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_version pipe_version;
BEGIN
    PERFORM check_project(p_project);
    SELECT v.* INTO v_version FROM pipe p JOIN pipe_version v USING (project, pipe)
    WHERE p.project = p_project AND p.pipe = p_pipe AND v.version = coalesce(p_version, p.version);
    IF NOT FOUND THEN
        IF NOT EXISTS (SELECT FROM pipe WHERE project = p_project AND pipe = p_pipe) THEN
            PERFORM refuse(404, 'pipe-not-found', format('Pipe "%s" does not exist in project "%s".', p_pipe, p_project),
                           'Deploy it with "sluicectl pipe deploy FILE".');
        END IF;
        PERFORM refuse(404, 'version-not-found', format('Pipe "%s" has no version %s.', p_pipe, p_version));
    END IF;
    RETURN v_version;
END
$$;

CREATE OR REPLACE FUNCTION api.pipe_put(p_auth bytea, p_project text, p_pipe text, p_version text, p_spec jsonb, p_source text) RETURNS json
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_by  text := person(p_auth, 'editor');
    v_old text;
BEGIN
    PERFORM check_project(p_project);
    SELECT version INTO v_old FROM pipe WHERE project = p_project AND pipe = p_pipe FOR UPDATE;
    INSERT INTO pipe (project, pipe, version) VALUES (p_project, p_pipe, p_version)
    ON CONFLICT (project, pipe) DO UPDATE SET version = p_version;
    INSERT INTO pipe_version (project, pipe, version, spec, source, created_by)
    VALUES (p_project, p_pipe, p_version, p_spec, p_source, v_by) ON CONFLICT DO NOTHING;
    RETURN (SELECT (jsonb_build_object('changed', v_old IS DISTINCT FROM p_version)
                    || pipe_json(find_pipe(p_project, p_pipe, p_version), true)::jsonb)::json);
EXCEPTION
    WHEN check_violation THEN
        PERFORM refuse(400, 'bad-name', format('"%s" is no pipe name: a-z, 0-9, _ and -, at most 63.', p_pipe));
END
$$;

CREATE OR REPLACE FUNCTION api.pipe_get(p_auth bytea, p_project text, p_pipe text, p_version text) RETURNS json
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
BEGIN
    PERFORM person(p_auth, 'viewer');
    RETURN pipe_json(find_pipe(p_project, p_pipe, p_version), true);
END
$$;

CREATE OR REPLACE FUNCTION api.pipe_list(p_auth bytea, p_project text, p_limit int, p_after text) RETURNS json
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
BEGIN
    PERFORM person(p_auth, 'viewer'), check_project(p_project);
    RETURN (SELECT json_build_object('items', coalesce(json_agg(pipe_json(v, false) ORDER BY v.pipe), '[]'),
                                     'next', CASE WHEN count(*) = p_limit THEN max(v.pipe) END)
            FROM (SELECT pv FROM pipe p JOIN pipe_version pv USING (project, pipe, version)
                  WHERE p.project = p_project AND (p_after IS NULL OR p.pipe > p_after)
                  ORDER BY p.pipe LIMIT p_limit) x, LATERAL (SELECT (x.pv).*) v);
END
$$;

CREATE OR REPLACE FUNCTION api.pipe_versions(p_auth bytea, p_project text, p_pipe text) RETURNS json
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
BEGIN
    PERFORM person(p_auth, 'viewer'), find_pipe(p_project, p_pipe, NULL);
    RETURN (SELECT json_build_object('items', json_agg(pipe_json(v, false) ORDER BY v.created_at DESC), 'next', NULL)
            FROM pipe_version v WHERE v.project = p_project AND v.pipe = p_pipe);
END
$$;
