-- The long poll, and what an answer to an agent holds.
SET LOCAL check_function_bodies = off;

-- Assignments that the agent has to start: of those in p_only where it is given, and none of p_known.
CREATE OR REPLACE FUNCTION sluice.answer_start(p_instance uuid, p_known uuid[], p_only uuid[]) RETURNS json
LANGUAGE plpgsql STABLE AS $$ -- not sql, which would be planned anew each time
BEGIN
        RETURN (SELECT json_agg(json_build_object(
                'attempt', x.attempt, 'epoch', x.epoch, 'run', x.run, 'project', r.project, 'pipe', r.pipe,
                'task', t.name, 'fence', sluice.is_fenced(v.spec, v.spec -> 'tasks' -> t.position), 'directives', v.spec -> 'tasks' -> t.position -> 'directives') ORDER BY x.attempt)
          FROM (SELECT * FROM sluice.assignment
                 WHERE instance = p_instance AND state = 'assigned' AND NOT recover AND attempt <> ALL (p_known)
                   AND (p_only IS NULL OR attempt = ANY (p_only))
                 ORDER BY attempt LIMIT 64) x
          JOIN sluice.attempt a ON a.id = x.attempt
          JOIN sluice.run r ON r.id = x.run
          JOIN sluice.task t ON t.run = x.run AND t.name = a.task
          JOIN sluice.pipe_version v ON (v.project, v.pipe, v.version) = (r.project, r.pipe, r.version));
END
$$;

-- Runs whose workspace is to go. Removing one takes time, so each is said again only after a while.
CREATE OR REPLACE FUNCTION sluice.answer_clean(p_instance uuid) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
        v_clean json;
BEGIN
        IF NOT EXISTS (SELECT FROM sluice.cleanup WHERE instance = p_instance) THEN
                RETURN NULL;
        END IF;

        WITH said AS (
                UPDATE sluice.cleanup SET offered_at = clock_timestamp()
                 WHERE instance = p_instance AND run IN (
                        SELECT run FROM sluice.cleanup c
                         WHERE instance = p_instance
                           AND NOT EXISTS (SELECT FROM sluice.run r -- begun again here after it was lost
                                            WHERE r.id = c.run AND r.instance = p_instance AND r.ended_at IS NULL)
                           AND (offered_at > clock_timestamp() - interval '30 seconds') IS NOT TRUE
                         ORDER BY run LIMIT 64 FOR UPDATE SKIP LOCKED)
                RETURNING run
        )
        SELECT json_agg(run ORDER BY run) INTO v_clean FROM said;

        RETURN v_clean;
END
$$;

-- Attempts whose unit is gone, or went with the last boot, and whose end, or the rest of whose log, the journal may know.
CREATE OR REPLACE FUNCTION sluice.answer_recover(p_instance uuid, p_known uuid[]) RETURNS json
LANGUAGE sql STABLE AS $$
        SELECT json_agg(sluice.log_position(x.attempt, x.epoch)::jsonb || jsonb_build_object('run', x.run)
                        ORDER BY x.attempt)
          FROM (SELECT attempt, epoch, run FROM sluice.assignment WHERE instance = p_instance AND recover
                UNION ALL
                SELECT a.id, a.epoch, a.run FROM sluice.owed_log o JOIN sluice.attempt a ON a.id = o.attempt
                 WHERE o.instance = p_instance AND o.recover) x
         WHERE x.attempt <> ALL (p_known)
$$;

CREATE OR REPLACE FUNCTION sluice.answer_json(p_start json, p_stop json, p_release json, p_clean json, p_resume json,
                                              p_recover json)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
        SELECT jsonb_build_object('start', coalesce(p_start, '[]'), 'stop', coalesce(p_stop, '[]'),
                                  'release', coalesce(p_release, '[]'), 'clean', coalesce(p_clean, '[]'),
                                  'resume', coalesce(p_resume, '[]'), 'recover', coalesce(p_recover, '[]'))
$$;

-- p_only: what the agent was given just now; NULL: whatever it has not begun.
CREATE OR REPLACE FUNCTION sluice.answer_events(p_instance uuid, p_acknowledged jsonb, p_only uuid[]) RETURNS json
LANGUAGE sql AS $$
        SELECT sluice.answer_json(
                CASE WHEN p_only = '{}' THEN NULL ELSE sluice.answer_start(p_instance, '{}', p_only) END,
                NULL, NULL, sluice.answer_clean(p_instance), NULL, NULL)
            || jsonb_build_object('acknowledged', p_acknowledged)
$$;

-- What `attempts` of a sync says, checked.
CREATE OR REPLACE FUNCTION sluice.known_parse(p_request jsonb)
RETURNS TABLE (attempt uuid, epoch int, state text, resume boolean)
LANGUAGE plpgsql IMMUTABLE ROWS 8 AS $$ -- of the thousand that is the default, the whole history would be read
DECLARE
        v jsonb;
BEGIN
        FOR v IN SELECT value FROM jsonb_array_elements(sluice.json_array(p_request, 'attempts', 4096)) LOOP
                attempt := sluice.json_uuid(v, 'attempt', true);
                epoch := sluice.json_int(v, 'epoch', true, 0, 2147483647);
                state := sluice.json_word(v, 'state', ARRAY['starting', 'running', 'stopping', 'ended'], true);
                resume := sluice.json_bool(v, 'resume');
                RETURN NEXT;
        END LOOP;
END
$$;

-- Whether the agent shall drain, when that is another word than the last one that it has heard.
CREATE OR REPLACE FUNCTION sluice.drain_news(p_instance uuid, p_request jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_wanted boolean := EXISTS (SELECT FROM sluice.agent_flag f JOIN sluice.instance i ON i.agent = f.agent
                                     WHERE i.id = p_instance AND f.flag = 'draining');
BEGIN
        RETURN CASE WHEN p_request ? 'drain_heard' AND v_wanted <> sluice.json_bool(p_request, 'drain_heard') THEN v_wanted END;
END
$$;

-- Stop, release and resume follow from comparing what the agent has with what it should have:
--   assigned here, stop asked for                     stop, until it says that it is stopping
--   over, its outcome and log stored                  release
--   never heard of                                    release
--   over, given up or given to another, and it runs   stop
CREATE OR REPLACE FUNCTION sluice.answer_sync(p_instance uuid, p_request jsonb) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
        v_known uuid[];
        v_start json;
        v_stop json;
        v_release json;
        v_resume json;
        v_recover json;
        v_drain boolean := sluice.drain_news(p_instance, p_request);
        v_clean json := sluice.answer_clean(p_instance);
BEGIN
        IF p_request ? 'attempts' THEN
                WITH said AS MATERIALIZED (
                        SELECT k.*, x.attempt IS NOT NULL AS assigned, x.stop_reason, a.id IS NOT NULL AS known,
                               a.ended_at IS NOT NULL AND a.epoch = k.epoch AND a.instance = p_instance AS over,
                               a.log_complete
                          FROM sluice.known_parse(p_request) k
                          LEFT JOIN sluice.assignment x
                                 ON x.attempt = k.attempt AND x.epoch = k.epoch AND x.instance = p_instance
                          LEFT JOIN LATERAL (SELECT * FROM sluice.attempt a
                                              WHERE a.id = k.attempt AND x.attempt IS NULL) a ON true
                )
                SELECT array_agg(s.attempt),
                       json_agg(json_build_object('attempt', s.attempt, 'epoch', s.epoch, 'reason',
                                coalesce(s.stop_reason, 'the control plane has given up this attempt')))
                       FILTER (WHERE s.state IN ('starting', 'running')
                                 AND (s.stop_reason IS NOT NULL OR s.known)),
                       json_agg(json_build_object('attempt', s.attempt, 'epoch', s.epoch))
                       FILTER (WHERE NOT s.assigned
                                 AND (NOT s.known OR s.over AND s.log_complete AND s.state = 'ended')),
                       json_agg(sluice.log_position(s.attempt, s.epoch))
                       FILTER (WHERE s.resume AND (s.assigned OR s.known))
                  INTO v_known, v_stop, v_release, v_resume
                  FROM said s;
        END IF;
        v_known := coalesce(v_known, '{}');

        IF EXISTS (SELECT FROM sluice.assignment WHERE instance = p_instance AND (state <> 'running' OR recover)
                      AND attempt <> ALL (v_known)) THEN
                v_start := sluice.answer_start(p_instance, v_known, NULL);

                -- Asked to stop before the agent had begun: it says that it refuses.
                SELECT json_agg(e) INTO v_stop FROM (
                        SELECT e FROM json_array_elements(v_stop) e
                        UNION ALL
                        SELECT json_build_object('attempt', attempt, 'epoch', epoch, 'reason', stop_reason)
                          FROM sluice.assignment
                         WHERE instance = p_instance AND state = 'stopping' AND NOT recover
                           AND attempt <> ALL (v_known)) s (e);
        END IF;

        IF EXISTS (SELECT FROM sluice.assignment WHERE instance = p_instance AND recover AND attempt <> ALL (v_known))
           OR EXISTS (SELECT FROM sluice.owed_log WHERE instance = p_instance AND recover AND attempt <> ALL (v_known)) THEN
                v_recover := sluice.answer_recover(p_instance, v_known);
        END IF;

        IF coalesce(v_start, v_stop, v_release, v_clean, v_resume, v_recover) IS NULL AND v_drain IS NULL THEN
                RETURN NULL;
        END IF;

        RETURN sluice.answer_json(v_start, v_stop, v_release, v_clean, v_resume, v_recover)
            || CASE WHEN v_drain IS NULL THEN '{}' ELSE jsonb_build_object('drain', v_drain) END;
END
$$;

CREATE OR REPLACE FUNCTION sluice.presence_touch(p_instance uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        IF NOT EXISTS (SELECT FROM sluice.presence WHERE instance = p_instance
                          AND last_seen_at > clock_timestamp() - interval '20 seconds') THEN
                INSERT INTO sluice.presence AS p (instance, last_seen_at) VALUES (p_instance, clock_timestamp())
                    ON CONFLICT (instance) DO UPDATE SET last_seen_at = greatest(p.last_seen_at, excluded.last_seen_at);
        END IF;
END
$$;

-- The agent has lost what it had: the unit of an attempt that is assigned to it and not on its list is gone, with the last
-- boot, or because somebody stopped it while nobody looked. Its journal may know how it ended, so it is asked; what it answers
-- counts (event.sql). So it is with what was never reported to run, too: it may have run and ended while nobody could be told,
-- and the name of a unit that is gone keeps nothing from beginning again.
-- p_boot: NULL when it is the same.
CREATE OR REPLACE FUNCTION sluice.instance_restarted(p_instance uuid, p_boot text, p_request jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_runs uuid[] := ARRAY(SELECT DISTINCT run FROM sluice.assignment WHERE instance = p_instance ORDER BY run);
        v_run uuid;
BEGIN
        FOREACH v_run IN ARRAY v_runs LOOP
                PERFORM FROM sluice.run WHERE id = v_run FOR NO KEY UPDATE;
        END LOOP;
        PERFORM FROM sluice.instance WHERE id = p_instance FOR NO KEY UPDATE;

        IF (SELECT session FROM sluice.instance WHERE id = p_instance) = (p_request ->> 'session')::uuid THEN
                RETURN; -- another call of this start was faster, and what it listed is what counts
        END IF;

        UPDATE sluice.assignment x SET recover = true
         WHERE x.instance = p_instance AND x.run = ANY (v_runs)
           AND x.attempt NOT IN (SELECT k.attempt FROM sluice.known_parse(p_request) k);

        UPDATE sluice.owed_log SET recover = true
         WHERE instance = p_instance AND attempt NOT IN (SELECT k.attempt FROM sluice.known_parse(p_request) k);

        -- A power cut may bring back what was removed before it; a workspace of a run that is over is no use to anybody.
        INSERT INTO sluice.cleanup (instance, run)
        SELECT p_instance, r.id FROM sluice.run r
         WHERE r.id IN (SELECT CASE WHEN w ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN w::uuid END
                          FROM jsonb_array_elements_text(sluice.json_array(p_request, 'workspaces', 1024)) w)
           AND r.ended_at IS NOT NULL
            ON CONFLICT DO NOTHING;

        UPDATE sluice.instance SET boot = coalesce(p_boot, boot) WHERE id = p_instance;
END
$$;

CREATE OR REPLACE FUNCTION api.agent_sync(p_auth bytea, p_request jsonb) RETURNS TABLE (instance uuid, answer json)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
        v sluice.instance := sluice.auth_instance(p_auth);
        v_session uuid := sluice.json_uuid(p_request, 'session', true);
        v_boot text := sluice.json_text(p_request, 'boot', true, 32);
        v_version text := sluice.json_text(p_request, 'version', true, 64);
        v_slots int := sluice.json_int(p_request, 'slots', true, 1, 1000);
        v_draining boolean := sluice.json_bool(p_request, 'draining');
        v_fence int := sluice.json_int(p_request, 'self_fence_sec', false, 1, 86400);
        v_opened boolean := NOT EXISTS (SELECT FROM sluice.presence p
                                         WHERE p.instance = v.id AND p.last_seen_at > now() - sluice.lease());
BEGIN
        IF v_boot !~ '^[0-9a-f]{32}$' THEN
                PERFORM sluice.fail(400, 'bad-request', 'Member "boot" must be 32 hexadecimal digits.');
        ELSIF v_session = ANY (v.old_sessions) THEN
                PERFORM sluice.fail(409, 'session-replaced', 'A newer start of this agent has taken over.',
                        'If this is a copy of a machine, remove the agent''s state so that it enrols by itself.');
        END IF;

        PERFORM sluice.presence_touch(v.id);

        IF v.session <> v_session THEN
                PERFORM sluice.session_lock(v.id);
                PERFORM sluice.instance_restarted(v.id, nullif(v_boot, v.boot), p_request);
        END IF;

        IF (v.session, v.boot, v.version, v.slots, v.draining, v.self_fence_sec) IS DISTINCT FROM
           (v_session, v_boot, v_version, v_slots, v_draining, v_fence)
           OR v.goodbye_at IS NOT NULL OR v.broke_at IS NOT NULL OR v.credential_used_at IS NULL THEN
                UPDATE sluice.instance i
                   SET old_sessions = CASE WHEN i.session <> v_session
                                           THEN (i.session || i.old_sessions)[1:8] ELSE i.old_sessions END,
                       session = v_session, boot = v_boot, version = v_version, slots = v_slots,
                       draining = v_draining, self_fence_sec = v_fence, goodbye_at = NULL, goodbye_reason = NULL, broke_at = NULL,
                       credential_used_at = coalesce(i.credential_used_at, clock_timestamp())
                 WHERE i.id = v.id;
                v_opened := true;
        END IF;

        IF NOT v_draining THEN
                PERFORM sluice.take(v.id, v_opened);
        END IF;

        RETURN QUERY SELECT v.id, sluice.answer_sync(v.id, p_request);
END
$$;

CREATE OR REPLACE FUNCTION api.agent_goodbye(p_auth bytea, p_request jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_instance sluice.instance := sluice.auth_instance(p_auth);
        v_session uuid := sluice.json_uuid(p_request, 'session', true);
BEGIN
        UPDATE sluice.instance
           SET goodbye_at = clock_timestamp(), goodbye_reason = left(sluice.json_text(p_request, 'reason', false, 65536), 1024)
         WHERE id = v_instance.id AND session = v_session; -- a late one of an earlier start says nothing
END
$$;

REVOKE ALL ON FUNCTION api.agent_sync(bytea, jsonb), api.agent_goodbye(bytea, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.agent_sync(bytea, jsonb), api.agent_goodbye(bytea, jsonb) TO sluice_controld;
