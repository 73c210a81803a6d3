-- Pipes that run after others, AfterPipe=. Whoever ends a run writes down in the same transaction what it makes due; what may begin at
-- once does, where that can be done without waiting for a lock, and the rest with the next tick, a moment later.
SET LOCAL check_function_bodies = off;

-- The members of a schedule, and the outcome that each is about.
CREATE OR REPLACE FUNCTION sluice.after_words() RETURNS TABLE (word text, outcome text)
LANGUAGE sql IMMUTABLE AS $$
        VALUES ('after_pipe', 'success'), ('after_pipe_failure', 'failure'), ('after_pipe_any', 'any')
$$;

-- The pipes that a schedule runs after.
CREATE OR REPLACE FUNCTION sluice.after_causes(p_schedule jsonb) RETURNS TABLE (cause text, outcome text)
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
        RETURN QUERY SELECT c.value, w.outcome FROM sluice.after_words() w CROSS JOIN LATERAL jsonb_array_elements_text(p_schedule -> w.word) c;
END
$$;

CREATE OR REPLACE FUNCTION sluice.after_check(p_schedule jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_name text := p_schedule ->> 'name';
        v_wrong jsonb := (SELECT c FROM sluice.after_words() w CROSS JOIN LATERAL jsonb_array_elements(sluice.json_array(p_schedule, w.word, 64)) c
                           WHERE (jsonb_typeof(c) = 'string' AND sluice.is_name(c #>> '{}')) IS NOT TRUE LIMIT 1);
BEGIN
        IF v_wrong IS NOT NULL THEN
                PERFORM sluice.fail(400, 'bad-spec', format('Schedule "%s" runs after %s, which is not a pipe name.', v_name, left(v_wrong::text, 80)));
        ELSIF p_schedule ? 'missed_runs' AND EXISTS (SELECT FROM sluice.after_causes(p_schedule)) THEN
                PERFORM sluice.fail(400, 'bad-spec', format('Schedule "%s" runs after a pipe: nothing of that is missed.', v_name));
        END IF;
END
$$;

-- The schedules of the pipe are those of its current version; so are the pipes that it runs after.
CREATE OR REPLACE FUNCTION sluice.after_settle(p_project text, p_pipe text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        DELETE FROM sluice.pipe_after a
         WHERE a.project = p_project AND a.pipe = p_pipe
           AND NOT EXISTS (SELECT FROM sluice.schedule s CROSS JOIN LATERAL sluice.after_causes(s.spec) c
                            WHERE s.id = a.schedule AND s.removed_at IS NULL AND (c.cause, c.outcome) = (a.cause, a.outcome));
        INSERT INTO sluice.pipe_after (schedule, cause, outcome, project, pipe)
        SELECT s.id, c.cause, c.outcome, s.project, s.pipe
          FROM sluice.schedule s CROSS JOIN LATERAL sluice.after_causes(s.spec) c
         WHERE s.project = p_project AND s.pipe = p_pipe AND s.removed_at IS NULL
            ON CONFLICT DO NOTHING;
END
$$;

-- Circles are looked for by one at a time in a project. Taken before the locks of pipes; by nobody whose pipes run after none.
CREATE OR REPLACE FUNCTION sluice.after_lock(p_project text, p_spec jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        PERFORM pg_advisory_xact_lock(hashtext('sluice after'), hashtext(p_project))
          WHERE EXISTS (SELECT FROM jsonb_array_elements(CASE WHEN jsonb_typeof(p_spec -> 'schedules') = 'array' THEN p_spec -> 'schedules' END) s
                                    JOIN sluice.after_words() w ON s ? w.word);
END
$$;

-- What the pipe runs after, and what these run after: it must not come back to itself.
CREATE OR REPLACE FUNCTION sluice.after_circle(p_project text, p_pipe text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_seen text[] := '{}';
        v_paths jsonb := jsonb_build_object(p_pipe, p_pipe); -- of those that were reached last, from the pipe on
        v_circle text;
BEGIN
        WHILE v_paths IS NOT NULL LOOP
                SELECT (array_agg(x.path) FILTER (WHERE x.cause = p_pipe))[1], jsonb_object_agg(x.cause, x.path)
                  INTO v_circle, v_paths
                  FROM (SELECT DISTINCT ON (a.cause) a.cause, p.value || ' after ' || a.cause AS path
                          FROM jsonb_each_text(v_paths) p JOIN sluice.pipe_after a ON a.project = p_project AND a.pipe = p.key
                         WHERE a.cause <> ALL (v_seen)
                         ORDER BY a.cause, p.key) x;
                IF v_circle IS NOT NULL THEN
                        RETURN v_circle;
                END IF;
                v_seen := v_seen || ARRAY(SELECT jsonb_object_keys(v_paths));
        END LOOP;

        RETURN NULL;
END
$$;

-- What people should know of the schedules of a pipe, or of one of them, though it is not wrong.
CREATE OR REPLACE FUNCTION sluice.after_notes(p_project text, p_pipe text, p_schedule uuid DEFAULT NULL) RETURNS jsonb
LANGUAGE sql STABLE AS $$
        SELECT coalesce(jsonb_agg(DISTINCT format('It runs after pipe "%s", which is not there.', a.cause)), '[]')
          FROM sluice.pipe_after a
         WHERE a.project = p_project AND a.pipe = p_pipe AND (p_schedule IS NULL OR a.schedule = p_schedule)
           AND NOT EXISTS (SELECT FROM sluice.pipe p WHERE p.project = a.project AND p.name = a.cause)
$$;

-- All that a request deploys is there: these answers are right, or there is a circle.
CREATE OR REPLACE FUNCTION sluice.pipes_written(p_project text, p_answers jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$ -- it looks at what the same statement has written
DECLARE
        v_circle text := (SELECT c FROM jsonb_array_elements(p_answers) x CROSS JOIN LATERAL sluice.after_circle(p_project, x ->> 'pipe') c WHERE c IS NOT NULL LIMIT 1);
BEGIN
        IF v_circle IS NOT NULL THEN
                PERFORM sluice.fail(409, 'pipes-in-a-circle', format('Pipes would run after each other in a circle: %s.', v_circle),
                                    'Take AfterPipe= out of one of them, and deploy that one first.');
        END IF;

        RETURN (SELECT jsonb_agg(x || jsonb_build_object('notes', sluice.after_notes(p_project, x ->> 'pipe')) ORDER BY n)
                  FROM jsonb_array_elements(p_answers) WITH ORDINALITY a (x, n));
END
$$;

-- The end of this run makes the schedule due, at that moment; where another end was in the same microsecond, right after it. Once,
-- however often it is called.
CREATE OR REPLACE FUNCTION sluice.due_cause(s sluice.schedule, p_run uuid, p_ended timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_due timestamptz := p_ended;
        v_begin timestamptz;
BEGIN
        WHILE NOT EXISTS (SELECT FROM sluice.schedule_due WHERE schedule = s.id AND cause = p_run) LOOP
                IF sluice.is_paused(s, clock_timestamp()) THEN
                        INSERT INTO sluice.schedule_due (schedule, due_at, cause, skipped, reason, decided_at)
                        VALUES (s.id, v_due, p_run, 'paused', sluice.pause_words(s), clock_timestamp())
                            ON CONFLICT DO NOTHING;
                ELSE
                        v_begin := v_due + sluice.due_delay(s, v_due);
                        INSERT INTO sluice.schedule_due (schedule, due_at, cause, begin_at, deadline_at)
                        VALUES (s.id, v_due, p_run, v_begin, v_begin + sluice.timespan_parse(s.spec ->> 'starting_deadline_sec'))
                            ON CONFLICT DO NOTHING;
                END IF;
                v_due := v_due + interval '1 microsecond';
        END LOOP;
END
$$;

-- These runs have ended: what runs after them is due; after trials nothing is. This waits for no lock but that of the end itself.
CREATE OR REPLACE FUNCTION sluice.dues_cause(p_runs uuid[]) RETURNS void
LANGUAGE plpgsql SET enable_indexscan = on SET enable_indexonlyscan = on SET enable_seqscan = off SET jit = off AS $$
DECLARE
        v record;
BEGIN
        IF NOT EXISTS (SELECT FROM sluice.pipe_after) THEN
                RETURN;
        END IF;

        FOR v IN SELECT DISTINCT a.schedule, r.id, r.ended_at
                   FROM unnest(p_runs) u (run)
                  CROSS JOIN LATERAL (SELECT r.* FROM sluice.run r WHERE r.id = u.run OFFSET 0) r
                   JOIN sluice.pipe_after a ON a.project = r.project AND a.cause = r.pipe
                  WHERE NOT sluice.is_draft(r.version)
                    AND (a.outcome = 'any' OR (a.outcome, r.state) IN (('success', 'succeeded'), ('failure', 'failed')))
                  ORDER BY r.ended_at, r.id, a.schedule LOOP
                PERFORM sluice.due_cause(s, v.id, v.ended_at) FROM sluice.schedule s WHERE s.id = v.schedule;
                PERFORM pg_notify('sluice', 'tick');
        END LOOP;
END
$$;

-- The same transaction begins what it has made due. What has no lock left to be had waits for the tick.
CREATE OR REPLACE FUNCTION sluice.dues_begin_caused(p_runs uuid[]) RETURNS void
LANGUAGE plpgsql SET enable_indexscan = on SET enable_indexonlyscan = on SET enable_seqscan = on SET jit = off AS $$
BEGIN
        IF EXISTS (SELECT FROM sluice.pipe_after) THEN
                PERFORM sluice.dues_begin(ARRAY(SELECT DISTINCT d.schedule FROM sluice.schedule_due d
                                                 WHERE d.cause = ANY (p_runs) AND d.begin_at <= clock_timestamp() AND d.waits_for IS NULL), false);
        END IF;
END
$$;
