-- Sessions of an instance: what only the current one may say. See docs/decisions/0006-fencing.md, rule 7.
SET LOCAL check_function_bodies = off;

-- A session begins, or says something of the kind: one after the other. To be taken before locks of runs.
CREATE OR REPLACE FUNCTION sluice.session_lock(p_instance uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        PERFORM pg_advisory_xact_lock(hashtext('sluice session'), hashtext(p_instance::text));
END
$$;

-- An agent that has refused an attempt and dies has forgotten it; the next session may be offered the same
-- epoch before the refusal arrives, and have begun it when it does.
CREATE OR REPLACE FUNCTION sluice.session_is_current(p_instance uuid, p_session uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
        PERFORM sluice.session_lock(p_instance);

        RETURN coalesce((SELECT session = p_session FROM sluice.instance WHERE id = p_instance), false);
END
$$;

CREATE OR REPLACE FUNCTION sluice.session_replaced() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        PERFORM sluice.fail(409, 'session-replaced', 'A newer start of this agent has taken over.',
                'If this is a copy of a machine, remove the agent''s state so that it enrols by itself.');
END
$$;
