-- ExpectBySec=: whether a run of a schedule has succeeded in time, due time by due time. Who ends a run notes a success and waits for
-- nobody; the tick judges, under the lock of the schedule, for which it only tries.
SET LOCAL check_function_bodies = off;

-- What the spec says counts from now on. What was late and is not expected any more is not late any more.
CREATE OR REPLACE FUNCTION sluice.expect_settle(p_project text, p_pipe text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        UPDATE sluice.schedule s
           SET expect_by = n.by, expected_to = CASE WHEN n.by IS NOT NULL THEN coalesce(s.expected_to, clock_timestamp()) END,
               expect_look = CASE WHEN n.by IS NOT NULL THEN clock_timestamp() END,
               late_due = CASE WHEN n.by IS NOT NULL THEN s.late_due END, late_since = CASE WHEN n.by IS NOT NULL THEN s.late_since END
          FROM (SELECT o.id, CASE WHEN o.removed_at IS NULL THEN sluice.timespan_parse(o.spec ->> 'expect_by_sec') END AS by
                  FROM sluice.schedule o WHERE o.project = p_project AND o.pipe = p_pipe) n
         WHERE s.id = n.id AND s.expect_by IS DISTINCT FROM n.by;
        DELETE FROM sluice.schedule_success u USING sluice.schedule s
         WHERE s.project = p_project AND s.pipe = p_pipe AND s.expect_by IS NULL AND u.schedule = s.id;
END
$$;

-- These runs have ended.
CREATE OR REPLACE FUNCTION sluice.expect_note(p_runs uuid[]) RETURNS void
LANGUAGE plpgsql SET enable_indexscan = on SET enable_seqscan = off SET jit = off AS $$
BEGIN
        IF NOT EXISTS (SELECT FROM sluice.schedule WHERE expect_look IS NOT NULL) THEN
                RETURN;
        END IF;

        INSERT INTO sluice.schedule_success (schedule, due_at, run, at)
        SELECT r.schedule, r.scheduled_at, r.id, r.ended_at
          FROM unnest(p_runs) u (run)
         CROSS JOIN LATERAL (SELECT r.* FROM sluice.run r WHERE r.id = u.run OFFSET 0) r
          JOIN sluice.schedule s ON s.id = r.schedule AND s.expect_by IS NOT NULL
         WHERE r.state = 'succeeded'
            ON CONFLICT DO NOTHING;
        IF FOUND THEN
                PERFORM pg_notify('sluice', 'tick');
        END IF;
END
$$;

-- The first due time that is not judged yet. Of those that were skipped in a row, which are one row, the first and the last count. One
-- whose moment has come and that nobody has looked at counts as well.
CREATE OR REPLACE FUNCTION sluice.expect_next(s sluice.schedule) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
        SELECT least((SELECT d.due_at FROM sluice.schedule_due d WHERE d.schedule = s.id AND d.due_at > s.expected_to ORDER BY d.due_at LIMIT 1),
                     (SELECT x.until_at FROM (SELECT d.until_at FROM sluice.schedule_due d WHERE d.schedule = s.id AND d.due_at <= s.expected_to
                                               ORDER BY d.due_at DESC LIMIT 1) x WHERE x.until_at > s.expected_to),
                     CASE WHEN s.next_at > s.expected_to AND s.next_at <= clock_timestamp() THEN s.next_at END)
$$;

-- What became of a due time, in words.
CREATE OR REPLACE FUNCTION sluice.expect_fate(p_schedule uuid, p_due timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
        SELECT coalesce((SELECT CASE WHEN d.run IS NOT NULL THEN format('run %s is %s', d.run, coalesce((SELECT r.state FROM sluice.run r WHERE r.id = d.run), 'gone'))
                                     WHEN d.skipped IS NOT NULL THEN format('it was skipped (%s): %s', d.skipped, d.reason)
                                     WHEN d.waits_for IS NOT NULL THEN format('it waits for the end of run %s', d.waits_for)
                                     ELSE 'its run has not begun' END
                           FROM (SELECT * FROM sluice.schedule_due o WHERE o.schedule = p_schedule AND o.due_at <= p_due ORDER BY o.due_at DESC LIMIT 1) d
                          WHERE p_due <= coalesce(d.until_at, d.due_at)),
                        'no control plane has looked at it')
$$;

CREATE OR REPLACE FUNCTION sluice.event_raise(s sluice.schedule, p_kind text, p_due timestamptz, p_words text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        INSERT INTO sluice.event (project, kind, pipe, schedule, due_at, words) VALUES (s.project, p_kind, s.pipe, s.name, p_due, p_words)
            ON CONFLICT ON CONSTRAINT event_once DO NOTHING;
        PERFORM pg_notify('sluice', 'event');
END
$$;

-- The caller holds the lock of the schedule.
CREATE OR REPLACE FUNCTION sluice.expect_judge(s sluice.schedule) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_due timestamptz;
        v_run uuid;
        v_more boolean := true;
BEGIN
        FOR v_n IN 1 .. 100 LOOP
                v_due := sluice.expect_next(s);
                v_more := v_due + s.expect_by <= clock_timestamp();
                EXIT WHEN v_more IS NOT TRUE;
                -- Nobody expects anything on the days of a blackout.
                IF NOT EXISTS (SELECT FROM sluice.schedule_due d WHERE d.schedule = s.id AND d.skipped = 'blackout' AND v_due IN (d.due_at, d.until_at))
                   AND NOT EXISTS (SELECT FROM sluice.schedule_success u WHERE u.schedule = s.id AND u.due_at >= v_due AND u.at <= v_due + s.expect_by) THEN
                        s.late_due := v_due;
                        s.late_since := coalesce(s.late_since, v_due + s.expect_by);
                        PERFORM sluice.event_raise(s, 'schedule-late', v_due, format('Schedule "%s" of pipe "%s" was due at %s, and no run has succeeded by %s: %s.',
                                s.name, s.pipe, sluice.time_words(v_due), sluice.time_words(v_due + s.expect_by), sluice.expect_fate(s.id, v_due)));
                END IF;
                s.expected_to := v_due;
        END LOOP;

        SELECT u.run INTO v_run FROM sluice.schedule_success u WHERE u.schedule = s.id AND u.due_at >= s.late_due ORDER BY u.at LIMIT 1;
        IF v_run IS NOT NULL THEN
                PERFORM sluice.event_raise(s, 'schedule-on-time', s.late_due, format('Schedule "%s" of pipe "%s" is not late any more: run %s has succeeded.', s.name, s.pipe, v_run));
                s.late_due := NULL;
                s.late_since := NULL;
        END IF;

        DELETE FROM sluice.schedule_success WHERE schedule = s.id AND due_at <= s.expected_to;
        UPDATE sluice.schedule
           SET expected_to = s.expected_to, late_due = s.late_due, late_since = s.late_since,
               expect_look = CASE WHEN v_more THEN clock_timestamp() ELSE coalesce(v_due, clock_timestamp()) + s.expect_by END
         WHERE id = s.id;
END
$$;

-- Those of which a due time is to be judged, or that are late and have succeeded.
CREATE OR REPLACE FUNCTION sluice.expect_sweep() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_ids uuid[] := ARRAY(SELECT s.id FROM sluice.schedule s WHERE s.expect_look <= clock_timestamp() ORDER BY s.expect_look LIMIT 100)
                        || ARRAY(SELECT s.id FROM sluice.schedule s WHERE s.late_since IS NOT NULL
                                    AND EXISTS (SELECT FROM sluice.schedule_success u WHERE u.schedule = s.id AND u.due_at >= s.late_due) LIMIT 100);
BEGIN
        IF v_ids <> '{}' THEN
                PERFORM sluice.expect_judge(s)
                   FROM (SELECT s FROM sluice.schedule s WHERE s.id = ANY (v_ids) AND s.expect_look IS NOT NULL ORDER BY s.id FOR NO KEY UPDATE SKIP LOCKED) x (s);
        END IF;
END
$$;

-- For the journal of the one who asks first: those that are in none.
CREATE OR REPLACE FUNCTION api.events_tell() RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_items json;
BEGIN
        WITH fresh AS (
                SELECT e.id FROM sluice.event e WHERE NOT e.told ORDER BY e.id LIMIT 100 FOR NO KEY UPDATE SKIP LOCKED
        ), told AS (
                UPDATE sluice.event e SET told = true FROM fresh WHERE e.id = fresh.id RETURNING e.*
        )
        SELECT json_agg(json_build_object('kind', t.kind, 'project', t.project, 'pipe', t.pipe, 'schedule', t.schedule, 'due_at', sluice.rfc3339(t.due_at), 'words', t.words) ORDER BY t.id)
          INTO v_items FROM told t;

        RETURN CASE WHEN v_items IS NOT NULL THEN json_build_object('items', v_items) END;
END
$$;

-- Of a project, the newest first. They are kept for ninety days.
CREATE OR REPLACE FUNCTION api.event_list(p_auth bytea, p_project text, p_limit int, p_after uuid) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_limit int := sluice.page_limit(p_limit);
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');
        PERFORM sluice.project_check(p_project);

        RETURN (SELECT sluice.page(array_agg(x.item ORDER BY x.id DESC), array_agg(x.id::text ORDER BY x.id DESC), v_limit)
                  FROM (SELECT e.id, json_build_object('event', e.id, 'kind', e.kind, 'pipe', e.pipe, 'schedule', e.schedule, 'due_at', sluice.rfc3339(e.due_at),
                                                       'at', sluice.rfc3339(e.at), 'words', e.words) AS item
                          FROM sluice.event e
                         WHERE e.project = p_project AND (p_after IS NULL OR e.id < p_after)
                         ORDER BY e.id DESC LIMIT v_limit + 1) x);
END
$$;

REVOKE ALL ON FUNCTION api.events_tell(), api.event_list(bytea, text, int, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.events_tell(), api.event_list(bytea, text, int, uuid) TO sluice_controld;
