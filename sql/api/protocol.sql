-- The long poll, and what an answer to an agent holds.
SET LOCAL check_function_bodies = off;

DROP FUNCTION IF EXISTS sluice.answer_start(uuid, uuid[], uuid[]), sluice.answer_clean(uuid), sluice.answer_recover(uuid, uuid[]),
        sluice.answer_json(json, json, json, json, json, json), sluice.answer_events(uuid, jsonb, uuid[]), sluice.answer_sync(uuid, jsonb), sluice.presence_touch(uuid),
        sluice.drain_news(uuid, jsonb); -- of the release before

-- Whether all of `attempts`, an array, is as it should be. What a condition cannot be asked of does not fulfil it.
CREATE OR REPLACE FUNCTION sluice.known_is_plain(p_attempts jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT jsonb_array_length(p_attempts) = jsonb_array_length(jsonb_path_query_array(p_attempts, '$[*] ? (
                @.attempt.type() == "string" && @.epoch.type() == "number" && @.state.type() == "string"
                && @.attempt like_regex "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
                && @.epoch >= 0 && @.epoch <= 2147483647 && @.epoch == @.epoch.floor()
                && (@.state == "starting" || @.state == "running" || @.state == "stopping" || @.state == "ended")
                && (!exists(@.resume) || @.resume.type() == "boolean"))'))
$$;

-- What `attempts` of a sync says, checked.
CREATE OR REPLACE FUNCTION sluice.known_parse(p_request jsonb)
RETURNS TABLE (attempt uuid, epoch int, state text, resume boolean)
LANGUAGE plpgsql IMMUTABLE ROWS 8 AS $$ -- of the thousand that is the default, the whole history would be read
DECLARE
        v_attempts jsonb := sluice.json_array(p_request, 'attempts', 4096);
        v jsonb;
BEGIN
        IF sluice.known_is_plain(v_attempts) THEN
                RETURN QUERY SELECT * FROM jsonb_to_recordset(v_attempts) AS k (attempt uuid, epoch int, state text, resume boolean);
                RETURN;
        END IF;

        FOR v IN SELECT value FROM jsonb_array_elements(v_attempts) LOOP
                attempt := sluice.json_uuid(v, 'attempt', true);
                epoch := sluice.json_int(v, 'epoch', true, 0, 2147483647);
                state := sluice.json_word(v, 'state', ARRAY['starting', 'running', 'stopping', 'ended'], true);
                resume := sluice.json_bool(v, 'resume');
                RETURN NEXT;
        END LOOP;
END
$$;

-- They were heard of. That is noted every 20 seconds. Comes before any lock of runs.
CREATE OR REPLACE FUNCTION sluice.presence_touch(p_instances uuid[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
        INSERT INTO sluice.presence AS p (instance, last_seen_at)
        SELECT i.id, clock_timestamp() FROM unnest(p_instances) i (id)
         WHERE NOT EXISTS (SELECT FROM sluice.presence s WHERE s.instance = i.id AND s.last_seen_at > clock_timestamp() - interval '20 seconds')
         ORDER BY i.id
            ON CONFLICT (instance) DO UPDATE SET last_seen_at = greatest(p.last_seen_at, excluded.last_seen_at);
END
$$;

-- The agent has lost what it had: the unit of an attempt that is assigned to it and not on its list is gone, with the last
-- boot, or because somebody stopped it while nobody looked. Its journal may know how it ended, so it is asked; what it answers
-- counts (event.sql). So it is with what was never reported to run, too: it may have run and ended while nobody could be told,
-- and the name of a unit that is gone keeps nothing from beginning again. What nobody was told of has not begun; that is known
-- where it matters.
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
           AND x.attempt NOT IN (SELECT k.attempt FROM sluice.known_parse(p_request) k)
           AND (x.offered OR x.state <> 'assigned'
                OR (SELECT sluice.attempt_delivery(a) FROM sluice.attempt a WHERE a.id = x.attempt) <> 'at-most-once');

        UPDATE sluice.owed_log SET recover = true
         WHERE instance = p_instance AND attempt NOT IN (SELECT k.attempt FROM sluice.known_parse(p_request) k);

        -- A power cut may bring back what was removed before it; a workspace of a run that is over, or elsewhere, is no use to anybody.
        INSERT INTO sluice.cleanup (instance, run)
        SELECT p_instance, r.id FROM sluice.run r
         WHERE r.id IN (SELECT CASE WHEN w ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN w::uuid END
                          FROM jsonb_array_elements_text(sluice.json_array(p_request, 'workspaces', 1024)) w)
           AND (r.ended_at IS NOT NULL OR r.instance IS DISTINCT FROM p_instance)
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
        v_sequence int8 := coalesce(sluice.json_int(p_request, 'sequence'), 0);
        v_wait json;
        v_opened boolean := NOT EXISTS (SELECT FROM sluice.presence p
                                         WHERE p.instance = v.id AND p.last_seen_at > now() - sluice.lease());
BEGIN
        IF v_boot !~ '^[0-9a-f]{32}$' THEN
                PERFORM sluice.fail(400, 'bad-request', 'Member "boot" must be 32 hexadecimal digits.');
        END IF;

        PERFORM sluice.session_check(v, v_session);
        IF v.session <> v_session OR v.rival IS NOT NULL THEN
                v_wait := sluice.session_enter(v.id, v_session, p_request);
                IF v_wait IS NOT NULL THEN
                        RETURN QUERY SELECT v.id, v_wait;
                        RETURN;
                END IF;
        END IF;

        PERFORM sluice.presence_touch(ARRAY[v.id]);

        IF v.session IS NULL THEN
                PERFORM sluice.assignments_adopt(v.id, v_boot, p_request);
        END IF;
        IF v.session IS DISTINCT FROM v_session THEN
                PERFORM sluice.instance_restarted(v.id, nullif(v_boot, v.boot), p_request);
        END IF;

        IF (v.session, v.boot, v.version, v.slots, v.draining, v.self_fence_sec) IS DISTINCT FROM
           (v_session, v_boot, v_version, v_slots, v_draining, v_fence)
           OR v.broke_at IS NOT NULL OR v.rival IS NOT NULL OR v.credential_used_at IS NULL THEN
                -- A goodbye is the last word of its session, whose fences are lifted: if a poll that was on its way, or held, took
                -- it back, silence would be counted, and what runs on would begin elsewhere.
                UPDATE sluice.instance i
                   SET old_sessions = CASE WHEN i.session <> v_session
                                           THEN sluice.sessions_over(i, i.session, nullif(i.rival, v_session), i.rival_before)
                                           ELSE i.old_sessions END,
                       session_since = CASE WHEN i.session = v_session THEN i.session_since ELSE clock_timestamp() END,
                       session = v_session, boot = v_boot, version = v_version, slots = v_slots,
                       draining = v_draining, self_fence_sec = v_fence,
                       hostname = coalesce(sluice.json_text(p_request, 'hostname', false, 255), i.hostname),
                       systemd = coalesce(sluice.json_text(p_request, 'systemd', false, 128), i.systemd),
                       kernel = coalesce(sluice.json_text(p_request, 'kernel', false, 255), i.kernel),
                       architecture = coalesce(sluice.json_text(p_request, 'architecture', false, 64), i.architecture),
                       cpus = coalesce(sluice.json_int(p_request, 'cpus', false, 1, 1000000), i.cpus),
                       memory_bytes = coalesce(sluice.json_int(p_request, 'memory_bytes'), i.memory_bytes),
                       sync_sequence = v_sequence, broke_at = NULL,
                       rival = NULL, rival_at = NULL, rival_before = NULL, rival_enrols = false, rival_alive = false, before_alive = false,
                       goodbye_at = CASE WHEN i.session = v_session THEN i.goodbye_at END,
                       goodbye_reason = CASE WHEN i.session = v_session THEN i.goodbye_reason END,
                       credential_used_at = coalesce(i.credential_used_at, clock_timestamp())
                 WHERE i.id = v.id AND v_session <> ALL (i.old_sessions) -- it may have been replaced just now
                   AND (i.session <> v_session OR i.sync_sequence <= v_sequence) IS NOT FALSE; -- or overtaken
                v_opened := FOUND OR v_opened;
                IF NOT FOUND AND (SELECT v_session = ANY (i.old_sessions) FROM sluice.instance i WHERE i.id = v.id) THEN
                        PERFORM sluice.session_replaced();
                END IF;
        END IF;

        IF NOT v_draining THEN
                PERFORM FROM sluice.take_many(ARRAY[v.id], CASE WHEN v_opened THEN ARRAY[v.id] ELSE '{}' END);
        END IF;

        PERFORM FROM sluice.known_parse(p_request);
        RETURN QUERY SELECT v.id, (SELECT a.answer FROM sluice.answers_sync(ARRAY[v.id], jsonb_build_array(p_request)) a);
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
         WHERE id = v_instance.id AND session = v_session -- a late one of an earlier start says nothing
           AND goodbye_at IS NULL;
END
$$;

REVOKE ALL ON FUNCTION api.agent_sync(bytea, jsonb), api.agent_goodbye(bytea, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.agent_sync(bytea, jsonb), api.agent_goodbye(bytea, jsonb) TO sluice_controld;
