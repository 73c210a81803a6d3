-- Projects: namespaces of pipes and runs.
SET LOCAL check_function_bodies = off;

CREATE OR REPLACE FUNCTION sluice.project_json(p sluice.project) RETURNS json
LANGUAGE sql STABLE AS $$
        SELECT json_build_object('project', p.name, 'created_at', sluice.rfc3339(p.created_at),
                                 'concurrency_limit', p.concurrency_limit, 'parameters', p.parameters)
$$;

CREATE OR REPLACE FUNCTION sluice.project_check(p_project text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
        IF NOT EXISTS (SELECT FROM sluice.project WHERE name = p_project) THEN
                PERFORM sluice.fail(404, 'project-not-found', format('There is no project "%s".', p_project));
        END IF;
END
$$;

CREATE OR REPLACE FUNCTION api.project_list(p_auth bytea) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');

        RETURN (SELECT json_build_object(
                        'items', coalesce(json_agg(sluice.project_json(p) ORDER BY p.name), '[]'), 'next', NULL)
                  FROM sluice.project p);
END
$$;

CREATE OR REPLACE FUNCTION api.project_get(p_auth bytea, p_project text) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');
        PERFORM sluice.project_check(p_project);

        RETURN (SELECT sluice.project_json(p) FROM sluice.project p WHERE p.name = p_project);
END
$$;

CREATE OR REPLACE FUNCTION api.project_create(p_auth bytea, p_project text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'admin');
        v_project sluice.project;
BEGIN
        IF p_project IS NULL OR NOT sluice.is_name(p_project) THEN
                PERFORM sluice.fail(400, 'bad-name', format('"%s" is not a project name.', left(p_project, 80)),
                                    'Names are 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or digit.');
        END IF;

        INSERT INTO sluice.project (name, created_by) VALUES (p_project, v_token.name)
            ON CONFLICT DO NOTHING RETURNING * INTO v_project;

        IF v_project.name IS NULL THEN
                PERFORM sluice.fail(409, 'project-exists', format('There is a project "%s" already.', p_project));
        END IF;

        RETURN sluice.project_json(v_project);
END
$$;

-- The values that a request changes: null takes one away.
CREATE OR REPLACE FUNCTION sluice.project_parameters(p_before jsonb, p_request jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_changes jsonb := coalesce(sluice.json_member(p_request, 'parameters', 'object', false), '{}');
        v_after jsonb := jsonb_strip_nulls(p_before || v_changes);
        v_errors text[];
BEGIN
        SELECT array_agg(w.why ORDER BY e.key) INTO v_errors
          FROM jsonb_each(v_changes) e
         CROSS JOIN LATERAL (SELECT CASE
                WHEN e.key !~ '^[a-z][a-z0-9_]{0,62}$' COLLATE "C" THEN format('"%s" is not a parameter name.', left(e.key, 64))
                WHEN jsonb_typeof(e.value) NOT IN ('string', 'null') THEN format('Parameter "%s": text is expected.', e.key)
                WHEN octet_length(e.value #>> '{}') > 4096 THEN format('Parameter "%s" is longer than 4096 bytes.', e.key)
                WHEN jsonb_typeof(e.value) = 'string' AND sluice.secret_like(e.key, e.value #>> '{}') IS NOT NULL
                THEN format('Parameter "%s" looks like %s; secrets are given to a task with LoadCredential=, from a file of the host.', e.key,
                            sluice.secret_like(e.key, e.value #>> '{}')) END AS why) w
         WHERE w.why IS NOT NULL;

        IF v_errors IS NOT NULL THEN
                PERFORM sluice.fail(400, 'bad-parameters', array_to_string(v_errors, E'\n'));
        ELSIF (SELECT count(*) > 256 OR sum(octet_length(value)) > 65536 FROM jsonb_each_text(v_after)) THEN
                PERFORM sluice.fail(400, 'bad-parameters', 'A project has at most 256 parameters, of 64 KiB together.');
        END IF;

        RETURN v_after;
END
$$;

-- What the request has is set; a null takes the limit or a value away. Runs that have begun go on, whatever the limit.
CREATE OR REPLACE FUNCTION api.project_set(p_auth bytea, p_project text, p_request jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_limit int := sluice.json_int(p_request, 'concurrency_limit', false, 1, 1000000);
        v_project sluice.project;
BEGIN
        PERFORM sluice.auth_token(p_auth, 'admin');
        PERFORM sluice.project_check(p_project);

        IF p_request ? 'concurrency_limit' THEN
                UPDATE sluice.project SET concurrency_limit = v_limit WHERE name = p_project;
                PERFORM sluice.look();
        END IF;
        IF p_request ? 'parameters' THEN
                UPDATE sluice.project SET parameters = sluice.project_parameters(parameters, p_request) WHERE name = p_project;
        END IF;

        SELECT * INTO STRICT v_project FROM sluice.project WHERE name = p_project;
        RETURN sluice.project_json(v_project);
END
$$;

REVOKE ALL ON FUNCTION api.project_set(bytea, text, jsonb), api.project_list(bytea), api.project_get(bytea, text), api.project_create(bytea, text)
        FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.project_set(bytea, text, jsonb), api.project_list(bytea), api.project_get(bytea, text), api.project_create(bytea, text)
        TO sluice_controld;
