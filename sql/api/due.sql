-- Due times become runs. A worker works the times out, from what api.schedules_due() gives it; what is due is decided here, by the
-- clock of the database, and once: sluice.schedule.after_at says up to when, and whoever saw another one comes too late.
-- Locks: pipes, schedules by id, due times. Who begins runs only tries for locks, those of the runs in the way as well: whoever ends one
-- of them wakes the due times that wait for it.
SET LOCAL check_function_bodies = off;

-- For so long after it a due time is on time, whoever was away.
CREATE OR REPLACE FUNCTION sluice.on_time() RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT interval '1 minute' $$;

-- STABLE, as what they use: else they would be called for each value, at thirty times the price.
CREATE OR REPLACE FUNCTION sluice.of_usec(p_usec int8) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT 'epoch'::timestamptz + p_usec * interval '1 microsecond' $$;

CREATE OR REPLACE FUNCTION sluice.to_usec(p_at timestamptz) RETURNS int8
LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT (extract(epoch FROM p_at) * 1000000)::int8 $$;

CREATE OR REPLACE FUNCTION sluice.is_paused(s sluice.schedule, p_at timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce(s.paused_at <= p_at AND (s.paused_until IS NULL OR p_at < s.paused_until), false) $$;

CREATE OR REPLACE FUNCTION sluice.pause_words(s sluice.schedule) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT format('paused by %s%s', s.paused_by, ': ' || s.pause_reason) $$;

-- From a due time to its beginning: up to RandomizedDelaySec=, the same whenever it is asked.
CREATE OR REPLACE FUNCTION sluice.due_delay(s sluice.schedule, p_due timestamptz) RETURNS interval
LANGUAGE sql IMMUTABLE AS $$
        SELECT coalesce(sluice.timespan_parse(s.spec ->> 'randomized_delay_sec')
                        * (('x' || left(md5(concat_ws(' ', s.project, s.pipe, s.name, CASE WHEN s.spec -> 'fixed_random_delay' IS NULL
                                                                                           THEN sluice.to_usec(p_due) END)), 8))::bit(32)::int8 / 4294967296.0::float8),
                        interval '0')
$$;

-- One due time, or several from p_due on, that will have no run. They join the row before when it says the same.
CREATE OR REPLACE FUNCTION sluice.due_skip(p_schedule uuid, p_due timestamptz, p_until timestamptz, p_count int, p_why text, p_reason text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_before sluice.schedule_due;
BEGIN
        SELECT * INTO v_before FROM sluice.schedule_due d WHERE d.schedule = p_schedule AND d.due_at < p_due ORDER BY d.due_at DESC LIMIT 1;

        IF v_before.cause IS NULL AND v_before.skipped = p_why AND v_before.reason = p_reason AND coalesce(v_before.until_at, v_before.due_at) < p_due THEN
                UPDATE sluice.schedule_due SET until_at = p_until, count = count + p_count, decided_at = clock_timestamp()
                 WHERE schedule = p_schedule AND due_at = v_before.due_at;
        ELSE
                INSERT INTO sluice.schedule_due (schedule, due_at, until_at, count, skipped, reason, decided_at)
                VALUES (p_schedule, p_due, CASE WHEN p_count > 1 THEN p_until END, p_count, p_why, p_reason, clock_timestamp())
                    ON CONFLICT (schedule, due_at) DO NOTHING;
        END IF;
END
$$;

-- A due time that was waiting will have no run.
CREATE OR REPLACE FUNCTION sluice.due_drop(p_schedule uuid, p_due timestamptz, p_why text, p_reason text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        -- One that was caused stays by itself: it is the row that says once.
        UPDATE sluice.schedule_due SET begin_at = NULL, waits_for = NULL, skipped = p_why, reason = p_reason, decided_at = clock_timestamp()
         WHERE schedule = p_schedule AND due_at = p_due AND begin_at IS NOT NULL AND cause IS NOT NULL;
        DELETE FROM sluice.schedule_due WHERE schedule = p_schedule AND due_at = p_due AND begin_at IS NOT NULL;
        IF FOUND THEN
                PERFORM sluice.due_skip(p_schedule, p_due, p_due, 1, p_why, p_reason);
        END IF;
END
$$;

-- Takes one due time in: it waits for its beginning, or is skipped. p_last_missed: of those that were missed, none is after it.
DROP FUNCTION IF EXISTS sluice.due_take(sluice.schedule, timestamptz, timestamptz, int, int, boolean); -- of the release before
CREATE OR REPLACE FUNCTION sluice.due_take(s sluice.schedule, p_due timestamptz, p_start timestamptz, p_offset int, p_start_offset int,
                                           p_last_missed boolean, p_blackout text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_now timestamptz := clock_timestamp();
        v_missed text := CASE WHEN s.every IS NOT NULL THEN 'all' ELSE coalesce(s.spec ->> 'missed_runs', 'none') END;
        v_begin timestamptz := p_due + sluice.due_delay(s, p_due);
        v_deadline timestamptz := v_begin + sluice.timespan_parse(s.spec ->> 'starting_deadline_sec');
        v_late boolean := v_now > p_due + sluice.on_time();
BEGIN
        IF p_blackout IS NOT NULL THEN
                PERFORM sluice.due_skip(s.id, p_due, p_due, 1, 'blackout', 'Blackout=' || p_blackout);
        ELSIF sluice.is_paused(s, p_due) OR sluice.is_paused(s, v_now) THEN
                PERFORM sluice.due_skip(s.id, p_due, p_due, 1, 'paused', sluice.pause_words(s));
        ELSIF v_now > v_deadline THEN
                PERFORM sluice.due_skip(s.id, p_due, p_due, 1, 'deadline', format('StartingDeadlineSec=%s was over', s.spec ->> 'starting_deadline_sec'));
        ELSIF v_late AND v_missed = 'none' AND v_deadline IS NULL THEN
                PERFORM sluice.due_skip(s.id, p_due, p_due, 1, 'missed', 'no control plane was there within a minute, and MissedRuns=none');
        ELSIF v_late AND v_missed = 'last' AND NOT p_last_missed THEN
                PERFORM sluice.due_skip(s.id, p_due, p_due, 1, 'missed', 'no control plane was there, and of those that were missed only the last one runs');
        ELSE
                INSERT INTO sluice.schedule_due (schedule, due_at, interval_start, offset_sec, start_offset_sec, begin_at, deadline_at)
                VALUES (s.id, p_due, p_start, p_offset, p_start_offset, v_begin, v_deadline)
                    ON CONFLICT (schedule, due_at) DO NOTHING;
        END IF;
END
$$;

-- The first run of the pipe that is not over, whoever asked for it; trials are none of it. Those before live_from have ended; whoever makes one with an
-- earlier identifier has committed it within an hour.
CREATE OR REPLACE FUNCTION sluice.schedule_in_the_way(s sluice.schedule) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
        v_run uuid := (SELECT r.id FROM sluice.run r
                        WHERE r.project = s.project AND r.pipe = s.pipe AND r.id >= coalesce(s.live_from, '00000000-0000-0000-0000-000000000000')
                          AND r.ended_at IS NULL AND NOT sluice.is_draft(r.version)
                        ORDER BY r.id LIMIT 1);
BEGIN
        UPDATE sluice.schedule
           SET live_from = greatest(live_from, least(v_run, sluice.uuid_v7_floor(clock_timestamp() - interval '1 hour')))
         WHERE id = s.id;
        RETURN v_run;
END
$$;

-- True when this due time may begin now. Else it waits for a run that is not over, or was skipped because of it.
CREATE OR REPLACE FUNCTION sluice.due_has_room(s sluice.schedule, p_due timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
        v_run uuid := CASE WHEN s.policy <> 'allow' THEN sluice.schedule_in_the_way(s) END;
BEGIN
        IF v_run IS NULL THEN
                RETURN true;
        ELSIF s.policy = 'forbid' THEN
                PERFORM sluice.due_drop(s.id, p_due, 'overlap', format('run %s of the pipe was not over', v_run));
                RETURN false;
        ELSIF s.policy = 'queue' AND (SELECT count(*) FROM sluice.schedule_due WHERE schedule = s.id AND begin_at IS NOT NULL AND due_at < p_due) >= 100 THEN
                PERFORM sluice.due_drop(s.id, p_due, 'queue-full', 'a hundred due times before it waited');
                RETURN false;
        END IF;

        -- Whoever ends this run waits for its lock, and then finds what waits for it.
        PERFORM FROM sluice.run WHERE id = v_run AND ended_at IS NULL FOR NO KEY UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
                UPDATE sluice.schedule_due SET begin_at = clock_timestamp() + interval '100 milliseconds' WHERE schedule = s.id AND due_at = p_due;
                RETURN false;
        END IF;

        IF s.policy = 'replace' THEN
                PERFORM sluice.due_drop(s.id, d.due_at, 'replaced', format('the run that is due at %s took its place', sluice.rfc3339(p_due)))
                   FROM sluice.schedule_due d WHERE d.schedule = s.id AND d.begin_at IS NOT NULL AND d.due_at < p_due;
                PERFORM sluice.run_stop(v_run, 'schedule ' || s.name, format('replaced by the run of schedule %s that was due at %s', s.name, sluice.rfc3339(p_due)));
                IF (SELECT ended_at IS NOT NULL FROM sluice.run WHERE id = v_run) THEN
                        RETURN sluice.due_has_room(s, p_due); -- it had not begun; there may be another one
                END IF;
        END IF;
        UPDATE sluice.schedule_due SET waits_for = v_run WHERE schedule = s.id AND due_at = p_due;
        RETURN false;
END
$$;

-- The values that it gives to its runs.
CREATE OR REPLACE FUNCTION sluice.schedule_values(p_spec jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
        RETURN (SELECT jsonb_object_agg(split_part(p, '=', 1), substr(p, strpos(p, '=') + 1)) FROM jsonb_array_elements_text(p_spec -> 'parameters') p);
END
$$;

DROP FUNCTION IF EXISTS sluice.due_begin(sluice.schedule, timestamptz, timestamptz), sluice.dues_begin(); -- of the release before

-- The caller holds the lock of the pipe. p_place: its run may be placed on any instance; else that is left to those who look.
CREATE OR REPLACE FUNCTION sluice.due_begin(s sluice.schedule, p_due timestamptz, p_deadline timestamptz, p_place boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_run uuid := sluice.uuid_v7();
BEGIN
        IF sluice.is_paused(s, clock_timestamp()) THEN
                PERFORM sluice.due_drop(s.id, p_due, 'paused', sluice.pause_words(s));
        ELSIF s.removed_at IS NOT NULL THEN
                PERFORM sluice.due_drop(s.id, p_due, 'removed', 'the current version of the pipe does not have the schedule');
        ELSIF clock_timestamp() > p_deadline THEN
                PERFORM sluice.due_drop(s.id, p_due, 'deadline', format('StartingDeadlineSec=%s was over', s.spec ->> 'starting_deadline_sec'));
        ELSIF sluice.due_has_room(s, p_due) THEN
                PERFORM sluice.runs_insert(ARRAY[v_run], ARRAY[s.project], ARRAY[s.pipe], ARRAY[p.version], ARRAY['schedule ' || s.name],
                                           ARRAY[jsonb_build_object('at', p_due, 'zone', s.spec -> 'time_zone', 'schedule', sluice.schedule_values(s.spec))])
                   FROM sluice.pipe p WHERE p.project = s.project AND p.name = s.pipe;
                UPDATE sluice.run SET schedule = s.id, scheduled_at = p_due WHERE id = v_run;
                UPDATE sluice.schedule_due SET begin_at = NULL, run = v_run, decided_at = clock_timestamp() WHERE schedule = s.id AND due_at = p_due;
                UPDATE sluice.schedule SET last_run = v_run, error = NULL, error_at = NULL WHERE id = s.id;
                IF p_place THEN
                        PERFORM sluice.runs_begin(ARRAY[v_run]);
                ELSE
                        PERFORM sluice.runs_queue(ARRAY[v_run]);
                        PERFORM sluice.look();
                END IF;
        END IF;
END
$$;

-- The interval of a due time, as the schedule has it, or a backfill; and the run that made it due.
CREATE OR REPLACE FUNCTION sluice.due_facts(p_schedule uuid, p_due timestamptz) RETURNS TABLE (interval_start timestamptz, offset_sec int, start_offset_sec int, cause uuid)
LANGUAGE plpgsql STABLE ROWS 1 AS $$
BEGIN
        RETURN QUERY
        SELECT coalesce(d.interval_start, b.interval_start), coalesce(d.offset_sec, b.offset_sec), coalesce(d.start_offset_sec, b.start_offset_sec), d.cause
          FROM (VALUES (1)) one
          LEFT JOIN sluice.schedule_due d ON d.schedule = p_schedule AND d.due_at = p_due
          LEFT JOIN LATERAL (SELECT f.* FROM sluice.backfill_due f WHERE f.schedule = p_schedule AND f.due_at = p_due LIMIT 1) b ON true;
END
$$;

-- What a run says of the due time that it is for.
CREATE OR REPLACE FUNCTION sluice.scheduled_json(p_schedule uuid, p_due timestamptz) RETURNS jsonb
LANGUAGE sql STABLE AS $$
        SELECT jsonb_build_object('schedule', s.name, 'due_at', sluice.rfc3339(p_due), 'interval_start', sluice.rfc3339(d.interval_start),
                                  'caused_by', d.cause, 'caused_by_pipe', c.pipe)
          FROM sluice.schedule s CROSS JOIN sluice.due_facts(p_schedule, p_due) d LEFT JOIN sluice.run c ON c.id = d.cause
         WHERE s.id = p_schedule
$$;

-- "2024-03-31T02:00:00Z"; or with an offset, what the clocks showed then: "2024-03-31T02:00:00+01:00". Fractions of a second only where
-- there are some.
CREATE OR REPLACE FUNCTION sluice.time_words(p_at timestamptz, p_offset_sec int DEFAULT NULL) RETURNS text
LANGUAGE sql STABLE AS $$
        SELECT regexp_replace(sluice.rfc3339(p_at + coalesce(p_offset_sec, 0) * interval '1 second'), '(\.000000)?Z$', '')
               || CASE WHEN p_offset_sec IS NULL THEN 'Z'
                       ELSE CASE WHEN p_offset_sec < 0 THEN '-' ELSE '+' END || to_char(abs(p_offset_sec) * interval '1 second', 'HH24:MI') END
$$;

-- What the tasks of such a run have in their environment. The interval goes from the due time before to this one; where the end of
-- another run made it due there is none, but that run.
CREATE OR REPLACE FUNCTION sluice.schedule_variables(p_schedule uuid, p_due timestamptz) RETURNS jsonb
LANGUAGE sql STABLE AS $$
        SELECT jsonb_strip_nulls(jsonb_build_object(
                'SLUICE_SCHEDULE', s.name,
                'SLUICE_SCHEDULED_AT', sluice.time_words(p_due), 'SLUICE_INTERVAL_END', CASE WHEN d.cause IS NULL THEN sluice.time_words(p_due) END,
                'SLUICE_CAUSED_BY', d.cause, 'SLUICE_CAUSED_BY_PIPE', c.pipe, 'SLUICE_CAUSED_BY_STATE', c.state,
                'SLUICE_SCHEDULED_AT_LOCAL', CASE WHEN d.offset_sec IS NOT NULL THEN sluice.time_words(p_due, d.offset_sec) END,
                'SLUICE_INTERVAL_END_LOCAL', CASE WHEN d.offset_sec IS NOT NULL THEN sluice.time_words(p_due, d.offset_sec) END,
                'SLUICE_INTERVAL_START', sluice.time_words(d.interval_start),
                'SLUICE_INTERVAL_START_LOCAL', CASE WHEN d.start_offset_sec IS NOT NULL THEN sluice.time_words(d.interval_start, d.start_offset_sec) END))
          FROM sluice.schedule s CROSS JOIN sluice.due_facts(p_schedule, p_due) d LEFT JOIN sluice.run c ON c.id = d.cause
         WHERE s.id = p_schedule
$$;

-- What cannot be done is tried again; it is shown where people look, and in nobody's way.
CREATE OR REPLACE FUNCTION sluice.schedule_fail(p_schedule uuid, p_error text, p_again timestamptz) RETURNS void
LANGUAGE sql AS $$
        UPDATE sluice.schedule SET error = left(p_error, 1000), error_at = clock_timestamp(), look_at = coalesce(p_again, look_at)
         WHERE id = p_schedule AND removed_at IS NULL
$$;

-- Begins what may begin now of these schedules, up to a hundred; the rest is due still. Pipes and schedules that somebody is busy with
-- are left for the next time.
CREATE OR REPLACE FUNCTION sluice.dues_begin(p_schedules uuid[], p_place boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_schedules uuid[] := p_schedules;
        v_projects text[];
        v_pipes text[];
        v record;
BEGIN
        IF v_schedules = '{}' THEN
                RETURN;
        END IF;

        SELECT array_agg(p.project), array_agg(p.name) INTO v_projects, v_pipes
          FROM (SELECT p.project, p.name FROM sluice.pipe p
                 WHERE (p.project, p.name) IN (SELECT s.project, s.pipe FROM sluice.schedule s WHERE s.id = ANY (v_schedules))
                 ORDER BY p.project, p.name FOR NO KEY UPDATE SKIP LOCKED) p;
        v_schedules := ARRAY(SELECT s.id FROM sluice.schedule s JOIN unnest(v_projects, v_pipes) p (project, pipe) ON p.project = s.project AND p.pipe = s.pipe
                              ORDER BY s.id FOR NO KEY UPDATE OF s SKIP LOCKED);

        FOR v IN SELECT s.id, d.due_at, d.deadline_at
                   FROM sluice.schedule s
                   JOIN sluice.schedule_due d ON d.schedule = s.id
                  WHERE s.id = ANY (v_schedules) AND d.begin_at <= clock_timestamp() AND d.waits_for IS NULL
                  ORDER BY d.begin_at, d.due_at LIMIT 100 LOOP
                BEGIN
                        PERFORM sluice.due_begin(s, v.due_at, v.deadline_at, p_place)
                           FROM sluice.schedule s
                          WHERE s.id = v.id AND EXISTS (SELECT FROM sluice.schedule_due d
                                                         WHERE d.schedule = v.id AND d.due_at = v.due_at AND d.begin_at IS NOT NULL AND d.waits_for IS NULL);
                EXCEPTION WHEN OTHERS THEN
                        PERFORM sluice.schedule_fail(v.id, 'Its run cannot be made: ' || SQLERRM, NULL);
                        UPDATE sluice.schedule_due SET begin_at = clock_timestamp() + interval '10 seconds'
                         WHERE schedule = v.id AND due_at = v.due_at AND begin_at IS NOT NULL;
                END;
        END LOOP;
END
$$;

-- These runs have ended: what waited for them may begin.
CREATE OR REPLACE FUNCTION sluice.dues_wake(p_runs uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        PERFORM sluice.backfills_wake(p_runs);
        PERFORM sluice.intervals_wake(p_runs);
        UPDATE sluice.schedule_due SET waits_for = NULL WHERE waits_for IS NOT NULL AND waits_for = ANY (p_runs);
        IF FOUND THEN
                PERFORM pg_notify('sluice', 'tick');
        END IF;
END
$$;

-- Schedules whose times are to be worked out, for the one who asks: for ten seconds nobody else is given them. NULL when there are none.
CREATE OR REPLACE FUNCTION api.schedules_due(p_limit int) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
        v_now timestamptz := clock_timestamp(); -- with a function that changes, an index would be read to its end
        v_items json;
BEGIN
        WITH due AS (
                SELECT s.id FROM sluice.schedule s WHERE s.look_at <= v_now ORDER BY s.look_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
        ), taken AS (
                UPDATE sluice.schedule s SET look_at = clock_timestamp() + interval '10 seconds' FROM due WHERE s.id = due.id RETURNING s.*
        )
        SELECT json_agg(json_build_object('schedule', t.id, 'spec', t.spec, 'after_usec', sluice.to_usec(t.after_at), 'last_usec', sluice.to_usec(t.last_at)))
          INTO v_items FROM taken t;

        -- Backfills that are to be planned come along: due times after after_usec, up to until_usec.
        WITH due AS (
                SELECT b.id FROM sluice.backfill b WHERE b.state = 'planning' AND b.ended_at IS NULL AND b.look_at <= clock_timestamp()
                 ORDER BY b.look_at LIMIT 8 FOR NO KEY UPDATE SKIP LOCKED
        ), taken AS (
                UPDATE sluice.backfill b SET look_at = clock_timestamp() + interval '10 seconds' FROM due WHERE b.id = due.id RETURNING b.*
        )
        SELECT coalesce(v_items::jsonb || jsonb_agg(i), jsonb_agg(i), v_items::jsonb)::json INTO v_items
          FROM (SELECT jsonb_build_object('schedule', t.schedule, 'backfill', t.id, 'spec', s.spec, 'after_usec', sluice.to_usec(t.from_at) - 1,
                                          'until_usec', sluice.to_usec(t.to_at) - 1) AS i
                  FROM taken t JOIN sluice.schedule s ON s.id = t.schedule) x;

        -- The clock is read after the rows were: none of them says a later time.
        RETURN CASE WHEN v_items IS NOT NULL THEN json_build_object('now_usec', sluice.to_usec(clock_timestamp()), 'items', v_items) END;
END
$$;

-- So far back the offsets of time zones are known to workers.
CREATE OR REPLACE FUNCTION sluice.zones_reach() RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT interval '10 years' $$;

-- The tables of these time zones, for common/zone.c, from eleven years ago until in twenty; or what is wrong with the name.
CREATE OR REPLACE FUNCTION api.zones(p_names text[]) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_list jsonb := '[]';
        v_name text;
BEGIN
        FOREACH v_name IN ARRAY p_names LOOP
                BEGIN
                        v_list := v_list || jsonb_build_object('name', v_name, 'transitions', sluice.zone_transitions(
                                v_name, clock_timestamp() - sluice.zones_reach() - interval '1 year', clock_timestamp() + interval '20 years'));
                EXCEPTION WHEN SQLSTATE 'ZF400' THEN
                        v_list := v_list || jsonb_build_object('name', v_name, 'error', SQLERRM);
                END;
        END LOOP;

        RETURN json_build_object('items', v_list);
END
$$;

-- Due times as a worker says them, in its order.
CREATE OR REPLACE FUNCTION sluice.dues_read(p_dues jsonb) RETURNS TABLE (due_at timestamptz, interval_start timestamptz, offset_sec int, start_offset_sec int, blackout text)
LANGUAGE sql IMMUTABLE AS $$
        SELECT sluice.of_usec((d ->> 'at_usec')::int8), sluice.of_usec((d ->> 'start_usec')::int8),
               (((d ->> 'local_usec')::int8 - (d ->> 'at_usec')::int8) / 1000000)::int,
               (((d ->> 'start_local_usec')::int8 - (d ->> 'start_usec')::int8) / 1000000)::int, d ->> 'blackout'
          FROM jsonb_array_elements(p_dues) WITH ORDINALITY x (d, n) ORDER BY n
$$;

-- When to look at a schedule again: at least once a day, since the tz database may have changed.
CREATE OR REPLACE FUNCTION sluice.look_again(p_next timestamptz) RETURNS timestamptz
LANGUAGE sql VOLATILE AS $$ SELECT least(p_next, clock_timestamp() + interval '1 day') $$;

-- What was worked out for one schedule. The due times are those after `after_usec`, up to `until_usec`.
CREATE OR REPLACE FUNCTION sluice.schedule_fire(p_item jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        s sluice.schedule;
        v_until timestamptz := sluice.of_usec((p_item ->> 'until_usec')::int8);
        v_next timestamptz := sluice.of_usec((p_item ->> 'next_usec')::int8);
        v_missed jsonb := p_item -> 'missed';
        v_last_missed timestamptz;
BEGIN
        SELECT * INTO s FROM sluice.schedule
         WHERE id = (p_item ->> 'schedule')::uuid AND after_at = sluice.of_usec((p_item ->> 'after_usec')::int8) AND removed_at IS NULL FOR NO KEY UPDATE;
        IF s.id IS NULL THEN
                RETURN; -- somebody else was faster, or it has changed since
        ELSIF p_item ->> 'error' IS NOT NULL THEN
                PERFORM sluice.schedule_fail(s.id, p_item ->> 'error', clock_timestamp() + interval '1 minute');
                RETURN;
        ELSIF v_until > greatest(clock_timestamp(), s.after_at) OR v_until < s.after_at THEN
                PERFORM sluice.fail(500, 'not-yet', format('Schedule %s was to be looked at until %s, which it is not.', s.id, v_until));
        END IF;

        IF v_missed IS NOT NULL THEN
                PERFORM sluice.due_skip(s.id, sluice.of_usec((v_missed ->> 'from_usec')::int8), sluice.of_usec((v_missed ->> 'until_usec')::int8),
                                        (v_missed ->> 'count')::int,
                                        CASE WHEN sluice.is_paused(s, v_until) THEN 'paused' ELSE 'missed' END,
                                        CASE WHEN sluice.is_paused(s, v_until) THEN sluice.pause_words(s)
                                             ELSE 'of due times that are looked at together, the last hundred count' END);
        END IF;

        SELECT max(d.due_at) INTO v_last_missed FROM sluice.dues_read(p_item -> 'dues') d WHERE d.due_at < clock_timestamp() - sluice.on_time();
        PERFORM sluice.due_take(s, d.due_at, d.interval_start, d.offset_sec, d.start_offset_sec, d.due_at >= v_last_missed, d.blackout)
           FROM sluice.dues_read(p_item -> 'dues') d WHERE d.due_at > s.after_at AND d.due_at <= v_until;

        UPDATE sluice.schedule
           SET after_at = v_until, last_at = coalesce(sluice.of_usec((p_item ->> 'last_usec')::int8), last_at), next_at = v_next, next_blackout = p_item ->> 'next_blackout',
               look_at = sluice.look_again(v_next), error = NULL, error_at = NULL
         WHERE id = s.id;
END
$$;

-- Those schedules of which nothing is due, all at once; their next due time is noted. The caller holds their locks. Answers the rest.
CREATE OR REPLACE FUNCTION sluice.schedules_pass(p_items jsonb) RETURNS SETOF jsonb
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
BEGIN
        RETURN QUERY
        WITH item AS MATERIALIZED (
                SELECT i.value, (i.value ->> 'schedule')::uuid AS id, sluice.of_usec((i.value ->> 'after_usec')::int8) AS after_at,
                       sluice.of_usec((i.value ->> 'until_usec')::int8) AS until_at, sluice.of_usec((i.value ->> 'next_usec')::int8) AS next_at,
                       i.value - '{schedule,after_usec,until_usec,next_usec}'::text[] = '{"dues": []}' AS plain
                  FROM jsonb_array_elements(p_items) i
        ), passed AS (
                UPDATE sluice.schedule s
                   SET after_at = i.until_at, next_at = i.next_at, next_blackout = i.value ->> 'next_blackout', look_at = sluice.look_again(i.next_at), error = NULL, error_at = NULL
                  FROM item i
                 WHERE i.plain AND s.id = i.id AND s.after_at = i.after_at AND s.removed_at IS NULL
                   AND i.until_at BETWEEN s.after_at AND greatest(clock_timestamp(), s.after_at)
                RETURNING s.id
        )
        SELECT i.value FROM item i WHERE NOT i.plain OR i.id NOT IN (SELECT p.id FROM passed p) ORDER BY i.id;
END
$$;

-- What a worker has worked out, in one transaction; each by itself, so that one that fails is in nobody's way. api.tick() begins it.
CREATE OR REPLACE FUNCTION api.schedules_fire(p_items jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_item jsonb;
BEGIN
        PERFORM FROM sluice.schedule s WHERE s.id = ANY (ARRAY(SELECT (value ->> 'schedule')::uuid FROM jsonb_array_elements(p_items))) ORDER BY s.id FOR NO KEY UPDATE;

        FOR v_item IN SELECT * FROM sluice.schedules_pass(p_items) LOOP
                BEGIN
                        IF v_item ? 'backfill' THEN
                                PERFORM sluice.backfill_plan(v_item);
                        ELSE
                                PERFORM sluice.schedule_fire(v_item);
                        END IF;
                EXCEPTION WHEN OTHERS THEN
                        PERFORM sluice.backfill_later((v_item ->> 'backfill')::uuid, 'Its due times cannot be taken: ' || SQLERRM, interval '1 minute');
                        PERFORM sluice.schedule_fail((v_item ->> 'schedule')::uuid, 'Its due times cannot be taken: ' || SQLERRM, clock_timestamp() + interval '1 minute')
                          WHERE NOT v_item ? 'backfill';
                END;
        END LOOP;
END
$$;

REVOKE ALL ON FUNCTION api.schedules_due(int), api.zones(text[]), api.schedules_fire(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.schedules_due(int), api.zones(text[]), api.schedules_fire(jsonb) TO sluice_controld;
