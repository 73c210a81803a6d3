-- The role that controld's workers take with SET ROLE after they have connected as the owner of the
-- schema. It may execute functions of schema api (each file grants its own) and touch nothing else.
-- Runs after bootstrap.sql and before the migrations; may be repeated.
DO $$
BEGIN
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'sluice_controld') THEN
                BEGIN
                        CREATE ROLE sluice_controld NOLOGIN;
                EXCEPTION
                        WHEN duplicate_object OR unique_violation THEN
                                NULL; -- another database of this cluster made it just now
                END;
        END IF;

        IF NOT pg_catalog.pg_has_role(current_user, 'sluice_controld', 'MEMBER') THEN
                EXECUTE format('GRANT sluice_controld TO %I', current_user);
        END IF;
END
$$;

REVOKE ALL ON SCHEMA sluice FROM PUBLIC;
REVOKE ALL ON SCHEMA api FROM PUBLIC;
GRANT USAGE ON SCHEMA api TO sluice_controld;
