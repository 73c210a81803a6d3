-- The role that controld's workers take on: it may execute the functions of schema api, and nothing else.
-- Needs CREATEROLE where the role does not exist yet; an administrator may run this file beforehand.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sluice_controld') THEN
        CREATE ROLE sluice_controld NOLOGIN;
    END IF;
    IF NOT pg_has_role(current_user, 'sluice_controld', 'MEMBER') THEN
        GRANT sluice_controld TO CURRENT_USER;
    END IF;
END
$$;
GRANT USAGE ON SCHEMA api TO sluice_controld;
