-- Sessions of an instance: which one counts, and what only that one may say. See docs/decisions/0013-clones.md, and rule 7 of
-- docs/decisions/0006-fencing.md.
SET LOCAL check_function_bodies = off;

-- A session begins, or says something of the kind: one after the other. To be taken before any other lock.
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

-- How long the session before has to show that it is alive.
CREATE OR REPLACE FUNCTION sluice.challenge_time() RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT interval '6 seconds' $$;

-- Nobody wants to take the place of the present session any more.
CREATE OR REPLACE FUNCTION sluice.rival_end(p_instance uuid) RETURNS void
LANGUAGE sql AS $$
        UPDATE sluice.instance
           SET rival = NULL, rival_at = NULL, rival_before = NULL, rival_enrols = false, rival_alive = false, before_alive = false
         WHERE id = p_instance
$$;

-- Sessions that are over, the last ones first: a late request of theirs is not that of a start.
CREATE OR REPLACE FUNCTION sluice.sessions_over(i sluice.instance, VARIADIC p_over uuid[]) RETURNS uuid[]
LANGUAGE sql IMMUTABLE AS $$
        SELECT (array_remove(p_over, NULL) || i.old_sessions)[1:16]
$$;

-- Two sessions are alive at one time. The newer one goes, if it is configured to; else nobody can say which of the two has what.
CREATE OR REPLACE FUNCTION sluice.session_collide(i sluice.instance) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        IF i.rival_enrols THEN
                UPDATE sluice.instance SET evicted = rival WHERE id = i.id;
                PERFORM sluice.rival_end(i.id);
                PERFORM sluice.look();
        ELSE
                UPDATE sluice.instance
                   SET quarantined_at = clock_timestamp(), quarantine_reason = 'two running agents present its identity, so a machine was copied'
                 WHERE id = i.id;
                PERFORM sluice.rival_end(i.id);
                DELETE FROM sluice.idle WHERE instance = i.id;
        END IF;
END
$$;

-- What a session hears that is refused whatever it says.
CREATE OR REPLACE FUNCTION sluice.session_check(i sluice.instance, p_session uuid) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
        IF p_session = i.evicted THEN
                PERFORM sluice.fail(409, 'identity-taken', 'Another machine with this identity is alive, and this one is configured to enrol anew.');
        ELSIF i.quarantined_at IS NOT NULL THEN
                PERFORM sluice.fail(409, 'quarantined', format('Since %s %s; neither is given work.',
                                                               sluice.rfc3339(i.quarantined_at), i.quarantine_reason),
                        'Stop one of them, or remove its agent''s state so that it enrols by itself; then: sluicectl agent resume.');
        ELSIF p_session = ANY (i.old_sessions) THEN
                PERFORM sluice.session_replaced();
        END IF;
END
$$;

-- The session before the rival is alive, or was when that had begun. A rival that shows no life was killed before its request arrived.
CREATE OR REPLACE FUNCTION sluice.session_before_lives(i sluice.instance) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        IF i.rival_alive THEN
                PERFORM sluice.session_collide(i);
        ELSIF i.rival_at > clock_timestamp() - sluice.challenge_time() THEN
                UPDATE sluice.instance SET before_alive = true WHERE id = i.id;
        ELSE
                UPDATE sluice.instance SET old_sessions = sluice.sessions_over(i, i.rival) WHERE id = i.id;
                PERFORM sluice.rival_end(i.id);
                PERFORM sluice.look();
        END IF;
END
$$;

-- Whether p_session may speak for its instance: NULL when it may. Else what it is answered: to show that it is alive (`challenge`), or
-- to ask again while the session before has time for that (`pending`). Who says `challenge` back was alive after it had heard of the
-- session of that name. A poll that was held for a dead connection cannot have heard it, and asking again in its name says nothing.
CREATE OR REPLACE FUNCTION sluice.session_enter(p_instance uuid, p_session uuid, p_request jsonb) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
        i sluice.instance;
        v_heard uuid := sluice.json_uuid(p_request, 'challenge');
        v_enrols boolean := coalesce(sluice.json_word(p_request, 'on_clone', ARRAY['quarantine', 'enrol']) = 'enrol', false);
BEGIN
        PERFORM sluice.session_lock(p_instance);
        PERFORM sluice.presence_touch(ARRAY[p_instance]); -- also who has to wait has heard from us, and moves its fence
        SELECT * INTO STRICT i FROM sluice.instance WHERE id = p_instance;
        PERFORM sluice.session_check(i, p_session); -- as it is now

        IF i.session IS NULL OR i.session = p_session AND i.rival IS NULL THEN
                RETURN NULL;
        ELSIF p_session IN (i.session, i.rival_before) THEN
                IF v_heard = i.rival THEN
                        PERFORM sluice.session_before_lives(i);
                        RETURN json_build_object('pending', true);
                END IF;
                RETURN json_build_object('pending', true, 'challenge', i.rival);
        ELSIF i.goodbye_at IS NOT NULL OR i.broke_at < clock_timestamp() - sluice.challenge_time()
              OR i.rival = p_session AND NOT i.before_alive AND i.rival_at < clock_timestamp() - sluice.challenge_time() THEN
                RETURN NULL; -- the one before is gone
        ELSIF i.rival IS DISTINCT FROM p_session THEN
                UPDATE sluice.instance
                   SET rival = p_session, rival_at = clock_timestamp(), rival_enrols = v_enrols, rival_before = i.rival,
                       rival_alive = false, before_alive = false, old_sessions = sluice.sessions_over(i, i.rival_before)
                 WHERE id = p_instance;
                DELETE FROM sluice.idle WHERE instance = p_instance;
                PERFORM pg_notify('sluice', 'instance ' || p_instance); -- who holds a poll of the one before asks again, and hears of it
                RETURN json_build_object('pending', true, 'challenge', coalesce(i.rival, i.session));
        ELSIF v_heard = coalesce(i.rival_before, i.session) AND NOT i.rival_alive THEN
                UPDATE sluice.instance SET rival_alive = true WHERE id = p_instance;
                IF i.before_alive THEN
                        PERFORM sluice.session_collide(i);
                END IF;
        END IF;

        RETURN json_build_object('pending', true, 'challenge', coalesce(i.rival_before, i.session));
END
$$;

-- Somebody has looked after it. Whoever is alive has a whole grace from here on, since it had no contact to speak of meanwhile.
CREATE OR REPLACE FUNCTION sluice.quarantine_end(p_agent uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_ids uuid[] := ARRAY(SELECT id FROM sluice.instance WHERE agent = p_agent AND quarantined_at IS NOT NULL ORDER BY id);
BEGIN
        INSERT INTO sluice.presence AS p (instance, last_seen_at) SELECT id, clock_timestamp() FROM unnest(v_ids) id
            ON CONFLICT (instance) DO UPDATE SET last_seen_at = greatest(p.last_seen_at, excluded.last_seen_at);
        UPDATE sluice.instance SET quarantined_at = NULL, quarantine_reason = NULL WHERE id = ANY (v_ids);
END
$$;
