-- Streaming pipes: what people want of them, and the run that follows from it.
--
-- sluice.stream_settle() compares the two and does the next step. It is called when people say what they want, when a version is
-- deployed, and, by api.dispatch() and the sweep, when a run of the pipe has ended or is ready. Locks: the stream, then runs,
-- then what dispatch takes.
SET LOCAL check_function_bodies = off;

-- Whether an agent can begin a streaming run. Who is about to give it one counts the one that is to go for nothing.
CREATE OR REPLACE FUNCTION sluice.stream_room(p_agent uuid) RETURNS int
LANGUAGE plpgsql STABLE AS $$
BEGIN
        RETURN CASE WHEN EXISTS (SELECT FROM sluice.assignment x WHERE x.stream_agent = p_agent AND NOT x.retiring) THEN 0 ELSE 1 END;
END
$$;

-- Those of p_instances on which p_attempts may be placed: the lock of an instance guards its seats, but the one place of a streaming
-- agent is that of all of its instances.
CREATE OR REPLACE FUNCTION sluice.streams_lock(p_attempts uuid[], p_instances uuid[]) RETURNS uuid[]
LANGUAGE plpgsql AS $$
BEGIN
        IF NOT EXISTS (SELECT FROM sluice.queue q JOIN sluice.demand d ON d.id = q.demand
                        WHERE q.attempt = ANY (p_attempts) AND d.type = 'streaming') THEN
                RETURN p_instances;
        END IF;

        RETURN ARRAY(SELECT i.id FROM sluice.instance i JOIN sluice.agent a ON a.id = i.agent
                      WHERE i.id = ANY (p_instances)
                        AND (a.type <> 'streaming' OR pg_try_advisory_xact_lock(hashtext('sluice stream'), hashtext(a.id::text))));
END
$$;

-- A stream hears of these runs after the commit, if they are its.
CREATE OR REPLACE FUNCTION sluice.streams_tell(p_runs uuid[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
        INSERT INTO sluice.stream_news (run)
        SELECT r.run FROM unnest(p_runs) r (run)
         WHERE EXISTS (SELECT FROM sluice.stream s WHERE s.run = r.run) OR EXISTS (SELECT FROM sluice.stream s WHERE s.retiring = r.run);
        IF FOUND THEN
                PERFORM sluice.look();
        END IF;
END
$$;

-- The last attempt of a streaming run, which has one task.
CREATE OR REPLACE FUNCTION sluice.stream_attempt(p_run uuid) RETURNS sluice.attempt
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v sluice.attempt;
BEGIN
        SELECT * INTO v FROM sluice.attempts_of(p_run) a ORDER BY a.try DESC, a.id DESC LIMIT 1;
        RETURN v;
END
$$;

CREATE OR REPLACE FUNCTION sluice.stream_state(s sluice.stream, r sluice.run, a sluice.attempt) RETURNS text
LANGUAGE sql STABLE AS $$
        SELECT CASE WHEN s.desired = 'stopped' THEN CASE WHEN s.run IS NULL THEN 'stopped' ELSE 'stopping' END
                    WHEN s.run IS NULL AND s.again_at IS NOT NULL THEN 'waiting'
                    WHEN s.run IS NULL AND s.outcome = 'success' THEN 'ended'
                    WHEN s.run IS NULL THEN 'failed'
                    WHEN s.retiring IS NOT NULL OR r.cancel_requested_at IS NOT NULL THEN 'replacing'
                    WHEN a.state = 'queued' THEN 'queued'
                    WHEN a.ready_at IS NULL THEN 'starting'
                    ELSE 'running' END
$$;

-- A pipe that nobody has ever started is stopped.
CREATE OR REPLACE FUNCTION sluice.stream_json(p_project text, p_pipe text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
        s sluice.stream;
        r sluice.run;
        a sluice.attempt;
BEGIN
        SELECT * INTO s FROM sluice.stream WHERE project = p_project AND pipe = p_pipe;
        SELECT * INTO r FROM sluice.run WHERE id = s.run;
        a := sluice.stream_attempt(s.run);

        RETURN jsonb_build_object(
                'project', p_project, 'pipe', p_pipe, 'desired', coalesce(s.desired, 'stopped'),
                'state', CASE WHEN s.desired IS NULL THEN 'stopped' ELSE sluice.stream_state(s, r, a) END,
                'set_by', s.set_by, 'set_at', sluice.rfc3339(s.set_at), 'run', s.run, 'replaces', s.retiring, 'version', r.version,
                'agent', (SELECT name FROM sluice.agent WHERE id = a.agent), 'restarts', a.restarts, 'status_text', a.status_text,
                'reason', s.note, 'reason_at', sluice.rfc3339(s.note_at), 'again_at', sluice.rfc3339(s.again_at));
END
$$;

-- Makes another run, if it can on the instance where p_like was.
CREATE OR REPLACE FUNCTION sluice.stream_begin(s sluice.stream, v sluice.pipe_version, p_like uuid) RETURNS sluice.stream
LANGUAGE plpgsql AS $$
BEGIN
        s.run := sluice.uuid_v7();
        s.version := v.version;
        s.renew := false;
        s.failed_version := (SELECT p.version FROM sluice.pipe p WHERE p.project = s.project AND p.name = s.pipe AND p.version = s.failed_version);
        s.again_at := NULL;
        INSERT INTO sluice.run (id, project, pipe, version, created_by, instance)
        SELECT s.run, v.project, v.pipe, v.version, s.set_by,
               (SELECT i.id FROM sluice.run r JOIN sluice.instance i ON i.id = r.instance JOIN sluice.agent a ON a.id = i.agent
                 CROSS JOIN LATERAL (SELECT FROM sluice.open_instance o WHERE o.id = i.id OFFSET 0) o
                 WHERE r.id = p_like AND sluice.stream_room(a.id) > 0 AND a.labels @@ sluice.selector_path(v.spec -> 'agent_selector'));
        INSERT INTO sluice.task (run, name, position)
        SELECT s.run, v.spec #>> '{tasks,0,name}', 0;
        -- Beside the one whose place it takes it needs no place of its own in what the project may have at once.
        INSERT INTO sluice.live_run (run, project, pipe) SELECT s.run, s.project, s.pipe WHERE s.retiring IS NOT NULL;
        PERFORM sluice.tasks_queue(ARRAY[s.run]);
        UPDATE sluice.stream o SET run = s.run, retiring = s.retiring WHERE o.project = s.project AND o.pipe = s.pipe; -- dispatch asks
        PERFORM FROM sluice.dispatch_runs(ARRAY[s.run], NULL);

        RETURN s;
END
$$;

-- Ends that are the host's doing, not the task's: where its unit is gone for certain, the next run begins by itself, at once for the
-- first time, then after longer and longer pauses. Everything else was PID 1's to repeat, as far as the pipe wants it to.
CREATE OR REPLACE FUNCTION sluice.stream_goes_on(r sluice.run) RETURNS boolean
LANGUAGE sql STABLE AS $$
        SELECT r.outcome IN ('stopped', 'interrupted', 'fenced')
               OR r.outcome = 'lost' AND sluice.on_agent_loss(v.spec) <> 'fail'
          FROM sluice.pipe_version v WHERE (v.project, v.pipe, v.version) = (r.project, r.pipe, r.version)
$$;

-- What follows from the end of the run that was to go on.
CREATE OR REPLACE FUNCTION sluice.stream_ended(s sluice.stream, r sluice.run) RETURNS sluice.stream
LANGUAGE plpgsql AS $$
DECLARE
        v_words text := format('run %s of version %s ended with %s%s', r.id, r.version, r.outcome, coalesce(': ' || rtrim(r.reason, '.'), ''));
BEGIN
        s.run := s.retiring;
        s.retiring := NULL;
        s.note := NULL;
        IF s.run IS NOT NULL THEN
                UPDATE sluice.assignment SET retiring = false WHERE run = s.run;
                s.version := (SELECT version FROM sluice.run WHERE id = s.run);
        END IF;
        IF r.cancel_requested_at IS NOT NULL THEN
                RETURN s;
        END IF;

        s.outcome := r.outcome;
        s.note_at := clock_timestamp();
        IF s.run IS NOT NULL THEN
                s.failed_version := r.version;
                s.note := v_words || '; the version before goes on';
        ELSIF sluice.stream_goes_on(r) THEN
                s.tries := CASE WHEN r.ended_at - r.started_at > interval '10 minutes' THEN 0 ELSE s.tries END;
                s.again_at := clock_timestamp() + CASE s.tries WHEN 0 THEN 0 ELSE least(300, 5 * 2 ^ least(s.tries, 10)) END * interval '1 second';
                s.tries := s.tries + 1;
                s.note := v_words || '; another run takes its place';
        ELSE
                s.failed_version := r.version;
                s.note := v_words || '; sluicectl start, or another version, begins another run';
        END IF;

        RETURN s;
END
$$;

-- Why s.run has to go.
CREATE OR REPLACE FUNCTION sluice.stream_why(s sluice.stream, v sluice.pipe_version) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
        SELECT CASE WHEN s.renew THEN 'restarted by ' || s.set_by ELSE 'replaced by version ' || v.version END
$$;

-- Another run takes the place of s.run: with Overlap=brief before that ends, else when it has.
CREATE OR REPLACE FUNCTION sluice.stream_replace(s sluice.stream, v sluice.pipe_version) RETURNS sluice.stream
LANGUAGE plpgsql AS $$
BEGIN
        IF v.spec ->> 'overlap' = 'brief' THEN
                UPDATE sluice.assignment SET retiring = true WHERE run = s.run AND state = 'running';
                IF FOUND THEN
                        s.retiring := s.run;
                        RETURN sluice.stream_begin(s, v, s.retiring);
                END IF;
        END IF;

        PERFORM sluice.run_stop(s.run, s.set_by, sluice.stream_why(s, v));
        RETURN s;
END
$$;

-- Why the run, which waits, cannot begin beside the one whose place it takes, as long as nobody has asked that to stop; NULL: it can.
CREATE OR REPLACE FUNCTION sluice.stream_cramped(p_run uuid) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
        RETURN (SELECT j.words
                  FROM sluice.queue q
                  JOIN sluice.demand d ON d.id = q.demand
                  JOIN sluice.stream s ON s.run = q.run
                  JOIN sluice.assignment x ON x.run = s.retiring AND x.stop_reason IS NULL
                  JOIN sluice.instance i ON i.id = x.instance
                  JOIN sluice.agent a ON a.id = i.agent
                  LEFT JOIN sluice.presence p ON p.instance = i.id
                 CROSS JOIN LATERAL sluice.candidate_judge(q, d, a, i, p.last_seen_at) j
                 WHERE q.run = p_run AND j.code = 'memory');
END
$$;

-- p_before: the run that has just made room.
CREATE OR REPLACE FUNCTION sluice.stream_go_on(s sluice.stream, v sluice.pipe_version, p_before uuid) RETURNS sluice.stream
LANGUAGE plpgsql AS $$
DECLARE
        v_cramped text;
BEGIN
        IF s.run IS NULL AND v.version IS DISTINCT FROM s.failed_version AND (s.again_at <= clock_timestamp()) IS NOT FALSE THEN
                s := sluice.stream_begin(s, v, p_before);
        ELSIF s.run IS NOT NULL AND s.retiring IS NULL
              AND (s.renew OR v.version <> s.version) THEN
                s := sluice.stream_replace(s, v);
        ELSIF s.run IS NOT NULL AND (s.renew OR v.version <> s.version) AND (sluice.stream_attempt(s.run)).ready_at IS NULL THEN
                PERFORM sluice.run_stop(s.run, s.set_by, sluice.stream_why(s, v)); -- then the next one follows
        END IF;

        -- The new one is ready, or what was to go is not there any more as it was.
        IF s.retiring IS NOT NULL AND ((sluice.stream_attempt(s.run)).ready_at IS NOT NULL
                                       OR NOT EXISTS (SELECT FROM sluice.assignment WHERE run = s.retiring AND retiring)) THEN
                PERFORM sluice.run_stop(s.retiring, s.set_by, 'replaced by run ' || s.run);
        ELSIF s.retiring IS NOT NULL THEN
                v_cramped := sluice.stream_cramped(s.run);
                IF v_cramped IS NOT NULL THEN -- as with Overlap=no
                        PERFORM sluice.run_stop(s.retiring, s.set_by, format('replaced by run %s, for which there is no room beside it: %s', s.run, v_cramped));
                END IF;
        END IF;

        RETURN s;
END
$$;

-- Who settles several one after the other has their locks before: those of runs in the order that everybody keeps.
CREATE OR REPLACE FUNCTION sluice.streams_hold(p_project text, p_pipes text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        PERFORM FROM sluice.stream WHERE project = p_project AND pipe = ANY (p_pipes) ORDER BY pipe FOR UPDATE;
        PERFORM FROM sluice.run WHERE id IN (SELECT unnest(ARRAY[s.run, s.retiring]) FROM sluice.stream s WHERE s.project = p_project AND s.pipe = ANY (p_pipes))
         ORDER BY id FOR NO KEY UPDATE;
END
$$;

CREATE OR REPLACE FUNCTION sluice.stream_settle(p_project text, p_pipe text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        s sluice.stream;
        r sluice.run;
        v sluice.pipe_version;
        v_before uuid;
BEGIN
        SELECT * INTO s FROM sluice.stream WHERE project = p_project AND pipe = p_pipe FOR UPDATE;
        IF s.pipe IS NULL THEN
                RETURN;
        END IF;
        IF starts_with(s.note, 'cannot go on, ') THEN
                s.note := NULL; -- this is the next try
        END IF;

        PERFORM FROM sluice.run WHERE id IN (s.run, s.retiring) ORDER BY id FOR NO KEY UPDATE;
        IF (SELECT ended_at IS NOT NULL FROM sluice.run WHERE id = s.retiring) THEN
                s.retiring := NULL;
        END IF;
        SELECT * INTO r FROM sluice.run WHERE id = s.run;
        IF r.ended_at IS NOT NULL THEN
                v_before := CASE WHEN r.cancel_requested_at IS NOT NULL THEN r.id END;
                s := sluice.stream_ended(s, r);
        END IF;

        IF s.desired = 'running' THEN
                v := sluice.pipe_find(p_project, p_pipe, NULL);
                IF v.version = s.failed_version AND s.version <> s.failed_version THEN
                        v := sluice.pipe_find(p_project, p_pipe, s.version); -- the one that it should have replaced
                END IF;
                s := sluice.stream_go_on(s, v, v_before);
        ELSE
                s.again_at := NULL;
                PERFORM sluice.run_stop(u.run, s.set_by, 'stopped by ' || s.set_by) FROM unnest(ARRAY[s.run, s.retiring]) u (run) WHERE u.run IS NOT NULL;
        END IF;

        UPDATE sluice.stream o
           SET (run, retiring, renew, version, failed_version, outcome, note, note_at, tries, again_at)
             = (s.run, s.retiring, s.renew, s.version, s.failed_version, s.outcome, s.note, s.note_at, s.tries, CASE WHEN s.run IS NULL THEN s.again_at END)
         WHERE o.project = s.project AND o.pipe = s.pipe;
END
$$;

-- Those that have news, or whose time has come. It only tries for locks, whatever its caller holds. True: somebody holds one of them;
-- ask again in a moment.
CREATE OR REPLACE FUNCTION sluice.streams_settle() RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
        s sluice.stream;
        v_locked int;
BEGIN
        IF NOT EXISTS (SELECT FROM sluice.stream_news) AND NOT EXISTS (SELECT FROM sluice.stream WHERE again_at <= clock_timestamp()) THEN
                RETURN false;
        ELSIF NOT pg_try_advisory_xact_lock(hashtext('sluice'), 5) THEN
                RETURN true;
        END IF;

        FOR s IN SELECT * FROM sluice.stream o
                  WHERE o.run IN (SELECT n.run FROM sluice.stream_news n) OR o.retiring IN (SELECT n.run FROM sluice.stream_news n)
                     OR o.again_at <= clock_timestamp()
                  ORDER BY o.project, o.pipe FOR UPDATE SKIP LOCKED LOOP
                SELECT count(*) INTO v_locked
                  FROM (SELECT FROM sluice.run WHERE id IN (s.run, s.retiring) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED) l;
                CONTINUE WHEN v_locked < num_nonnulls(s.run, s.retiring);

                DELETE FROM sluice.stream_news n WHERE n.run IN (s.run, s.retiring);
                BEGIN
                        PERFORM sluice.stream_settle(s.project, s.pipe);
                EXCEPTION WHEN OTHERS THEN
                        IF left(SQLSTATE, 2) IN ('40', '53', '55', '57', '58') THEN
                                RAISE; -- a deadlock, a limit, a stop, a disk: the whole call is repeated
                        END IF;
                        -- Its trouble is not that of the others.
                        RAISE WARNING 'The stream of pipe "%/%" cannot be settled: %', s.project, s.pipe, SQLERRM;
                        UPDATE sluice.stream o
                           SET note = 'cannot go on, and is tried again in a minute: ' || SQLERRM, note_at = clock_timestamp(),
                               again_at = clock_timestamp() + interval '1 minute'
                         WHERE o.project = s.project AND o.pipe = s.pipe;
                END;
        END LOOP;

        DELETE FROM sluice.stream_news n
         WHERE NOT EXISTS (SELECT FROM sluice.stream o WHERE o.run = n.run) AND NOT EXISTS (SELECT FROM sluice.stream o WHERE o.retiring = n.run);
        RETURN EXISTS (SELECT FROM sluice.stream_news);
END
$$;

-- A run that waits beside one on an agent that was not there at first may turn out to be too large for both. One that was to take the place
-- of one on an agent that is not there for it any more, has another one, or has not the memory for it may begin elsewhere, once that one has ended.
CREATE OR REPLACE FUNCTION sluice.streams_sweep() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_run uuid;
BEGIN
        INSERT INTO sluice.stream_news (run)
        SELECT s.run FROM sluice.stream s WHERE s.retiring IS NOT NULL AND s.again_at IS NULL AND sluice.stream_cramped(s.run) IS NOT NULL;
        PERFORM sluice.streams_settle();

        FOR v_run IN SELECT r.id
                       FROM sluice.stream s JOIN sluice.run r ON r.id = s.run JOIN sluice.queue q ON q.run = r.id JOIN sluice.demand d ON d.id = q.demand
                       LEFT JOIN sluice.instance i ON i.id = q.instance LEFT JOIN sluice.agent a ON a.id = i.agent LEFT JOIN sluice.open_instance o ON o.id = i.id
                      WHERE s.retiring IS NULL AND r.started_at IS NULL AND q.instance IS NOT NULL
                        AND ((o.id IS NOT NULL AND sluice.stream_room(i.agent) > 0) IS NOT TRUE
                             OR (sluice.candidate_judge(q, d, a, i, now())).code IN ('too-small', 'memory', 'labels', 'type'))
                      ORDER BY r.id FOR NO KEY UPDATE OF r SKIP LOCKED LOOP
                UPDATE sluice.run SET instance = NULL WHERE id = v_run;
                UPDATE sluice.queue SET instance = NULL WHERE run = v_run;
                PERFORM sluice.look();
        END LOOP;
END
$$;

-- Starting what runs, and stopping what does not, changes nothing.
CREATE OR REPLACE FUNCTION sluice.stream_want(p_by text, p_project text, p_pipe text, p_desired text, p_renew boolean) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
        v sluice.pipe_version := sluice.pipe_find(p_project, p_pipe, NULL);
BEGIN
        IF v.type <> 'streaming' THEN
                PERFORM sluice.fail(409, 'not-streaming', format('Pipe "%s" is of type %s: its runs begin one by one, and end.', p_pipe, v.type),
                                    'Begin one: sluicectl run PIPE.');
        END IF;

        INSERT INTO sluice.stream AS s (project, pipe, desired, set_by) VALUES (p_project, p_pipe, p_desired, p_by)
            ON CONFLICT (project, pipe) DO UPDATE
           SET desired = excluded.desired, set_by = excluded.set_by, set_at = excluded.set_at, renew = p_renew AND s.run IS NOT NULL,
               failed_version = NULL, tries = 0, again_at = NULL
         WHERE p_renew OR s.desired <> excluded.desired OR excluded.desired = 'running' AND s.run IS NULL;
        PERFORM sluice.stream_settle(p_project, p_pipe);

        RETURN sluice.stream_json(p_project, p_pipe);
END
$$;

CREATE OR REPLACE FUNCTION api.stream_start(p_auth bytea, p_project text, p_pipe text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        RETURN sluice.stream_want((sluice.auth_token(p_auth, 'operator')).name, p_project, p_pipe, 'running', false);
END
$$;

CREATE OR REPLACE FUNCTION api.stream_stop(p_auth bytea, p_project text, p_pipe text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        RETURN sluice.stream_want((sluice.auth_token(p_auth, 'operator')).name, p_project, p_pipe, 'stopped', false);
END
$$;

-- What runs is replaced, as by another version; what does not is started.
CREATE OR REPLACE FUNCTION api.stream_restart(p_auth bytea, p_project text, p_pipe text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        RETURN sluice.stream_want((sluice.auth_token(p_auth, 'operator')).name, p_project, p_pipe, 'running', true);
END
$$;

REVOKE ALL ON FUNCTION api.stream_start(bytea, text, text), api.stream_stop(bytea, text, text), api.stream_restart(bytea, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.stream_start(bytea, text, text), api.stream_stop(bytea, text, text), api.stream_restart(bytea, text, text)
        TO sluice_controld;
