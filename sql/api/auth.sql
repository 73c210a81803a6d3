-- Who is asking. Also how every function of this directory says no.
SET LOCAL check_function_bodies = off;

-- Raises SQLSTATE ZF + HTTP status; p_slug is stable, p_message and p_hint are for people.
CREATE OR REPLACE FUNCTION sluice.fail(p_status int, p_slug text, p_message text, p_hint text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
        IF p_hint IS NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'ZF' || p_status, MESSAGE = p_message, DETAIL = p_slug;
        END IF;

        RAISE EXCEPTION USING ERRCODE = 'ZF' || p_status, MESSAGE = p_message, DETAIL = p_slug, HINT = p_hint;
END
$$;

CREATE OR REPLACE FUNCTION sluice.role_rank(p_role text) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT array_position(ARRAY['viewer', 'operator', 'editor', 'admin', 'owner'], p_role)
$$;

-- The token of a person or program that has at least p_role.
CREATE OR REPLACE FUNCTION sluice.auth_token(p_auth bytea, p_role text) RETURNS sluice.token
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_token sluice.token;
BEGIN
        SELECT * INTO v_token FROM sluice.token WHERE hash = p_auth;

        IF v_token.id IS NULL THEN
                PERFORM sluice.fail(401, 'unauthenticated', 'This token is not known here.',
                                    'Set SLUICE_TOKEN to a token that this server made.');
        ELSIF v_token.revoked_at IS NOT NULL THEN
                PERFORM sluice.fail(401, 'token-revoked', 'This token was revoked.');
        ELSIF sluice.role_rank(v_token.role) < sluice.role_rank(p_role) THEN
                PERFORM sluice.fail(403, 'forbidden', format(
                        'This needs the role %s; token "%s" has the role %s.', p_role, v_token.name, v_token.role));
        END IF;

        RETURN v_token;
END
$$;

-- The instance whose credential it is.
CREATE OR REPLACE FUNCTION sluice.auth_instance(p_auth bytea) RETURNS sluice.instance
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_instance sluice.instance;
BEGIN
        SELECT * INTO v_instance FROM sluice.instance WHERE credential_hash = p_auth;

        IF v_instance.id IS NULL THEN
                PERFORM sluice.fail(401, 'unauthenticated', 'This credential is not (or no longer) good.',
                                    'Enrol the agent again: give it a key and remove its old credential.');
        END IF;

        RETURN v_instance;
END
$$;

CREATE OR REPLACE FUNCTION api.ready() RETURNS int
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
        SELECT max(left(name, 4)::int) FROM sluice.migration WHERE kind = 'migration' AND name ~ '^\d{4}_'
$$;

CREATE OR REPLACE FUNCTION api.token_create(p_name text, p_role text, p_hash bytea) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_token sluice.token;
BEGIN
        IF p_name IS NULL OR p_name !~ '^[A-Za-z0-9][A-Za-z0-9_.@-]{0,62}$' THEN
                PERFORM sluice.fail(400, 'bad-name', 'The name of a token is 1 to 63 letters, digits and _.@- .');
        ELSIF sluice.role_rank(p_role) IS NULL THEN
                PERFORM sluice.fail(400, 'bad-role', format('There is no role "%s".', p_role),
                                    'Roles are viewer, operator, editor, admin and owner.');
        ELSIF p_hash IS NULL OR octet_length(p_hash) <> 32 THEN
                PERFORM sluice.fail(400, 'bad-hash', 'The hash of a token has 32 bytes.');
        END IF;

        BEGIN
                INSERT INTO sluice.token (name, role, hash) VALUES (p_name, p_role, p_hash)
                RETURNING * INTO v_token;
        EXCEPTION
                WHEN unique_violation THEN
                        PERFORM sluice.fail(409, 'token-exists', format('There is a token "%s" already.', p_name));
        END;

        RETURN json_build_object('token_id', v_token.id, 'name', v_token.name, 'role', v_token.role,
                                 'created_at', sluice.rfc3339(v_token.created_at));
END
$$;

-- Whoever makes tokens is the owner of the schema, on the server: not the daemon.
REVOKE ALL ON FUNCTION api.ready(), api.token_create(text, text, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.ready() TO sluice_controld;
