-- What the other files of api/ stand on: refusing, knowing who asks, times and names as text, telling who waits.

-- Refuses with an HTTP status; controld makes a problem document of it.
CREATE OR REPLACE FUNCTION sluice.refuse(p_status int, p_code text, p_message text, p_hint text DEFAULT '') RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'ZF' || p_status, MESSAGE = p_message, DETAIL = p_code, HINT = p_hint;
END
$$;

-- The name of the person whose token this is, if the token's role reaches p_role.
CREATE OR REPLACE FUNCTION sluice.person(p_auth bytea, p_role text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    c_roles CONSTANT text[] := ARRAY['viewer', 'operator', 'editor', 'admin', 'owner'];
    v_token token;
BEGIN
    SELECT * INTO v_token FROM token WHERE hash = p_auth;
    IF NOT FOUND THEN
        PERFORM refuse(401, 'bad-token', 'This token is not known here.',
                       'A token is made with "controld token create"; sluicectl reads it from $SLUICE_TOKEN or TokenFile=.');
    ELSIF v_token.revoked_at IS NOT NULL OR v_token.expires_at <= now() THEN
        PERFORM refuse(401, 'bad-token', format('Token "%s" is no longer valid.', v_token.name));
    ELSIF array_position(c_roles, v_token.role) < array_position(c_roles, p_role) THEN
        PERFORM refuse(403, 'role-missing', format('Token "%s" has role %s; this needs %s.', v_token.name, v_token.role, p_role));
    END IF;
    RETURN v_token.name;
END
$$;

-- The instance whose credential this is.
CREATE OR REPLACE FUNCTION sluice.caller(p_auth bytea) RETURNS sluice.instance
    LANGUAGE plpgsql
    SET search_path = pg_catalog, sluice
    AS $$
DECLARE
    v_instance instance;
BEGIN
    SELECT * INTO v_instance FROM instance WHERE hash = p_auth;
    IF NOT FOUND THEN
        PERFORM refuse(401, 'bad-credential', 'This credential belongs to no instance.',
                       'If the agent was deleted, remove its state directory''s credential file and enrol again.');
    END IF;
    IF v_instance.credential_used_at IS NULL THEN
        UPDATE instance SET credential_used_at = now() WHERE instance = v_instance.instance;
    END IF;
    RETURN v_instance;
END
$$;

CREATE OR REPLACE FUNCTION sluice.check_project(p_project text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, sluice
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM project WHERE project = p_project) THEN
        PERFORM refuse(404, 'project-not-found', format('Project "%s" does not exist.', p_project));
    END IF;
END
$$;

-- RFC 3339 in UTC.
CREATE OR REPLACE FUNCTION sluice.rfc3339(p_at timestamptz) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- Something shown of a run has changed: a new etag, and those who wait for it look again.
CREATE OR REPLACE FUNCTION sluice.touch_run(p_run uuid) RETURNS void
    LANGUAGE sql
    AS $$
    UPDATE sluice.run SET revision = revision + 1 WHERE run = p_run;
    SELECT pg_notify('sluice', 'run ' || p_run);
$$;

CREATE OR REPLACE FUNCTION sluice.present_after() RETURNS timestamptz
    LANGUAGE sql STABLE
    AS $$
    SELECT now() - interval '90 seconds'
$$;
