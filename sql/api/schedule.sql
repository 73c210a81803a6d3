-- Schedules: what a deployment makes of them, how they are shown, and their pauses. How they become runs is due.sql.
SET LOCAL check_function_bodies = off;

CREATE OR REPLACE FUNCTION sluice.zone_check(p_zone text) RETURNS void
LANGUAGE plpgsql SET TimeZone = 'UTC' AS $$
BEGIN
        PERFORM sluice.zone_set(p_zone);
END
$$;

-- What the database relies on; expressions were checked where the pipe was parsed.
CREATE OR REPLACE FUNCTION sluice.schedules_check(p_spec jsonb) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_policies text[] := ARRAY['allow', 'forbid', 'queue', 'replace'];
        v_list jsonb := sluice.json_array(p_spec, 'schedules', 32);
        v jsonb;
        v_word text;
        v_zone text;
BEGIN
        PERFORM sluice.json_word(p_spec, 'concurrency_policy', v_policies);
        IF v_list <> '[]' AND p_spec ->> 'type' = 'streaming' THEN
                PERFORM sluice.fail(400, 'bad-spec', 'A streaming pipe has no schedules.');
        ELSIF (SELECT count(DISTINCT s.value ->> 'name') < count(*) FROM jsonb_array_elements(v_list) s) THEN
                PERFORM sluice.fail(400, 'bad-spec', 'A schedule is there twice.');
        END IF;

        FOR v IN SELECT value FROM jsonb_array_elements(v_list) LOOP
                IF NOT sluice.is_name(sluice.json_text(v, 'name', true)) THEN
                        PERFORM sluice.fail(400, 'bad-spec', format('"%s" is not a schedule name.', left(v ->> 'name', 80)));
                END IF;
                PERFORM sluice.after_check(v);
                PERFORM sluice.interval_check(v);
                IF (sluice.json_array(v, 'on_calendar', 64) || sluice.json_array(v, 'cron', 64) <> '[]')::int + EXISTS (SELECT FROM sluice.after_causes(v))::int
                   + (sluice.interval_of(v) IS NOT NULL)::int <> 1 THEN
                        PERFORM sluice.fail(400, 'bad-spec', format('Schedule "%s" must have expressions, or run after a pipe, or have an interval, and one of these only.', v ->> 'name'));
                END IF;
                IF EXISTS (SELECT FROM jsonb_array_elements(sluice.json_array(v, 'parameters', 64)) p
                            WHERE jsonb_typeof(p) <> 'string' OR p #>> '{}' !~ '^[a-z][a-z0-9_]*=') THEN
                        PERFORM sluice.fail(400, 'bad-spec', format('A value of schedule "%s" is not NAME=VALUE.', v ->> 'name'));
                END IF;
                IF sluice.json_array(v, 'blackout', 64) <> '[]' AND sluice.schedule_first_look(v) IS NULL THEN
                        PERFORM sluice.fail(400, 'bad-spec', format('Schedule "%s" has no due times that a blackout could be about.', v ->> 'name'));
                END IF;
                PERFORM sluice.json_word(v, 'missed_runs', ARRAY['none', 'last', 'all']);
                PERFORM sluice.json_word(v, 'concurrency_policy', v_policies);
                PERFORM sluice.json_bool(v, 'fixed_random_delay');
                FOREACH v_word IN ARRAY ARRAY['starting_deadline_sec', 'randomized_delay_sec', 'expect_by_sec'] LOOP
                        IF sluice.json_text(v, v_word) IS NOT NULL AND sluice.timespan_parse(v ->> v_word) IS NULL THEN
                                PERFORM sluice.fail(400, 'bad-spec', format('Member "%s" is no time span.', v_word));
                        END IF;
                END LOOP;
                FOR v_zone IN SELECT coalesce(sluice.json_text(v, 'time_zone', false, 64), 'UTC')
                               UNION SELECT substring(e FROM ' ([A-Za-z][A-Za-z0-9_+/-]*)$') FROM jsonb_array_elements_text(coalesce(v -> 'on_calendar', '[]')) e LOOP
                        PERFORM sluice.zone_check(v_zone) WHERE v_zone IS NOT NULL;
                END LOOP;
        END LOOP;
END
$$;

-- What decides when it is due.
CREATE OR REPLACE FUNCTION sluice.schedule_times(p_spec jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
        SELECT jsonb_build_array(p_spec -> 'on_calendar', p_spec -> 'cron', p_spec -> 'time_zone', p_spec -> 'blackout', p_spec -> 'on_unit_active_sec', p_spec -> 'on_unit_inactive_sec')
$$;

-- When to look at it first: what the clock does not make due, never.
CREATE OR REPLACE FUNCTION sluice.schedule_first_look(p_spec jsonb) RETURNS timestamptz
LANGUAGE sql VOLATILE AS $$
        SELECT CASE WHEN p_spec ?| ARRAY['on_calendar', 'cron'] THEN clock_timestamp() END
$$;

-- A due time that nobody has looked at yet, though its moment has come, is not lost when its schedule changes.
CREATE OR REPLACE FUNCTION sluice.schedule_close(s sluice.schedule) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        IF s.removed_at IS NULL AND s.next_at <= clock_timestamp() THEN
                PERFORM sluice.due_take(s, s.next_at, s.last_at, NULL, NULL, true, s.next_blackout);
        END IF;
END
$$;

-- The version that is current from now on says this. What people have done to a schedule stays. The caller holds the lock of the pipe.
CREATE OR REPLACE FUNCTION sluice.schedules_settle(p_row sluice.pipe_version) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_list jsonb := coalesce(p_row.spec -> 'schedules', '[]');
        v_spec jsonb;
        v_policy text;
        s sluice.schedule;
BEGIN
        PERFORM FROM sluice.schedule WHERE project = p_row.project AND pipe = p_row.pipe ORDER BY id FOR NO KEY UPDATE;

        FOR v_spec IN SELECT value FROM jsonb_array_elements(v_list) ORDER BY value ->> 'name' LOOP
                v_policy := coalesce(v_spec ->> 'concurrency_policy', p_row.spec ->> 'concurrency_policy', 'allow');
                SELECT * INTO s FROM sluice.schedule WHERE project = p_row.project AND pipe = p_row.pipe AND name = v_spec ->> 'name';
                IF s.id IS NULL THEN
                        INSERT INTO sluice.schedule (project, pipe, name, spec, policy, look_at)
                        VALUES (p_row.project, p_row.pipe, v_spec ->> 'name', v_spec, v_policy, sluice.schedule_first_look(v_spec));
                ELSIF s.removed_at IS NOT NULL OR sluice.schedule_times(s.spec) <> sluice.schedule_times(v_spec) THEN
                        PERFORM sluice.schedule_close(s);
                        UPDATE sluice.schedule
                           SET spec = v_spec, policy = v_policy, after_at = greatest(after_at, clock_timestamp()), last_at = NULL, next_at = NULL, next_blackout = NULL,
                               look_at = sluice.schedule_first_look(v_spec), removed_at = NULL, error = NULL, error_at = NULL
                         WHERE id = s.id;
                ELSE
                        UPDATE sluice.schedule SET spec = v_spec, policy = v_policy WHERE id = s.id AND (spec, policy) <> (v_spec, v_policy);
                END IF;
        END LOOP;

        FOR s IN SELECT * FROM sluice.schedule
                  WHERE project = p_row.project AND pipe = p_row.pipe AND removed_at IS NULL
                    AND name NOT IN (SELECT value ->> 'name' FROM jsonb_array_elements(v_list)) ORDER BY name LOOP
                PERFORM sluice.schedule_close(s);
                PERFORM sluice.due_drop(s.id, d.due_at, 'removed', format('version %s of the pipe does not have the schedule', p_row.version))
                   FROM sluice.schedule_due d WHERE d.schedule = s.id AND d.begin_at IS NOT NULL;
                UPDATE sluice.schedule SET removed_at = clock_timestamp(), look_at = NULL, next_at = NULL, next_blackout = NULL, error = NULL, error_at = NULL WHERE id = s.id;
        END LOOP;

        PERFORM sluice.after_settle(p_row.project, p_row.pipe);
        PERFORM sluice.expect_settle(p_row.project, p_row.pipe);
        PERFORM sluice.interval_settle(p_row.project, p_row.pipe);
        IF v_list <> '[]' THEN
                PERFORM pg_notify('sluice', 'tick');
        END IF;
END
$$;

CREATE OR REPLACE FUNCTION sluice.due_json(d sluice.schedule_due) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
        RETURN json_build_object(
                'due_at', sluice.rfc3339(d.due_at), 'until_at', sluice.rfc3339(d.until_at), 'count', d.count,
                'state', CASE WHEN d.run IS NOT NULL THEN 'run' WHEN d.skipped IS NOT NULL THEN 'skipped' ELSE 'waiting' END,
                'run', d.run, 'run_state', (SELECT r.state FROM sluice.run r WHERE r.id = d.run),
                'skipped', d.skipped, 'reason', coalesce(d.reason, 'waits for the end of run ' || d.waits_for),
                'interval_start', sluice.rfc3339(d.interval_start), 'begin_at', sluice.rfc3339(d.begin_at), 'waits_for', d.waits_for, 'caused_by', d.cause,
                'deadline_at', sluice.rfc3339(d.deadline_at), 'decided_at', sluice.rfc3339(d.decided_at));
END
$$;

CREATE OR REPLACE FUNCTION sluice.schedule_json(s sluice.schedule) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
        RETURN json_build_object(
                'schedule', s.id, 'project', s.project, 'pipe', s.pipe, 'name', s.name, 'spec', s.spec, 'concurrency_policy', s.policy,
                'next_at', sluice.rfc3339(s.next_at), 'next_blackout', s.next_blackout, 'waits_run', s.waits_run, 'notes', CASE WHEN s.removed_at IS NULL THEN sluice.after_notes(s.project, s.pipe, s.id) ELSE '[]' END,
                'last', (SELECT sluice.due_json(d) FROM sluice.schedule_due d WHERE d.schedule = s.id ORDER BY d.due_at DESC LIMIT 1),
                'last_run', s.last_run, 'last_run_state', (SELECT r.state FROM sluice.run r WHERE r.id = s.last_run),
                'last_run_at', (SELECT sluice.rfc3339(r.scheduled_at) FROM sluice.run r WHERE r.id = s.last_run),
                'waiting', (SELECT count(*) FROM sluice.schedule_due d WHERE d.schedule = s.id AND d.begin_at IS NOT NULL),
                'paused', CASE WHEN sluice.is_paused(s, clock_timestamp())
                               THEN json_build_object('since', sluice.rfc3339(s.paused_at), 'until', sluice.rfc3339(s.paused_until), 'by', s.paused_by,
                                                      'reason', s.pause_reason) END,
                'late', CASE WHEN s.late_since IS NOT NULL THEN json_build_object('since', sluice.rfc3339(s.late_since), 'due_at', sluice.rfc3339(s.late_due),
                                                                                  'reason', sluice.expect_fate(s.id, s.late_due)) END,
                'error', s.error, 'error_at', sluice.rfc3339(s.error_at), 'removed_at', sluice.rfc3339(s.removed_at));
END
$$;

CREATE OR REPLACE FUNCTION sluice.schedule_find(p_project text, p_pipe text, p_schedule text) RETURNS sluice.schedule
LANGUAGE plpgsql STABLE AS $$
DECLARE
        s sluice.schedule;
BEGIN
        PERFORM sluice.pipe_find(p_project, p_pipe, NULL);
        SELECT * INTO s FROM sluice.schedule WHERE project = p_project AND pipe = p_pipe AND name = p_schedule;

        IF s.id IS NULL THEN
                PERFORM sluice.fail(404, 'schedule-not-found', format('Pipe "%s" has no schedule "%s".', p_pipe, left(p_schedule, 80)),
                                    'See: sluicectl schedule list.');
        END IF;

        RETURN s;
END
$$;

-- Of all pipes, or of one; a page goes on behind PIPE/NAME.
CREATE OR REPLACE FUNCTION api.schedule_list(p_auth bytea, p_project text, p_pipe text, p_limit int, p_after text) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_limit int := sluice.page_limit(p_limit);
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');
        PERFORM sluice.project_check(p_project);

        RETURN (SELECT sluice.page(array_agg(sluice.schedule_json(x.s) ORDER BY (x.s).pipe, (x.s).name),
                                   array_agg((x.s).pipe || '/' || (x.s).name ORDER BY (x.s).pipe, (x.s).name), v_limit)
                  FROM (SELECT s FROM sluice.schedule s
                         WHERE s.project = p_project AND s.removed_at IS NULL AND (p_pipe IS NULL OR s.pipe = p_pipe)
                           AND (p_after IS NULL OR (s.pipe, s.name) > (split_part(p_after, '/', 1), split_part(p_after, '/', 2)))
                         ORDER BY s.pipe, s.name LIMIT v_limit + 1) x);
END
$$;

CREATE OR REPLACE FUNCTION api.schedule_get(p_auth bytea, p_project text, p_pipe text, p_schedule text) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');

        RETURN sluice.schedule_json(sluice.schedule_find(p_project, p_pipe, p_schedule));
END
$$;

-- What became of its due times, the newest first; a page goes on before the time p_after.
CREATE OR REPLACE FUNCTION api.schedule_dues(p_auth bytea, p_project text, p_pipe text, p_schedule text, p_limit int, p_after timestamptz) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_limit int := sluice.page_limit(p_limit);
        s sluice.schedule;
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');
        s := sluice.schedule_find(p_project, p_pipe, p_schedule);

        RETURN (SELECT sluice.page(array_agg(sluice.due_json(x.d) ORDER BY (x.d).due_at DESC),
                                   array_agg(sluice.rfc3339((x.d).due_at) ORDER BY (x.d).due_at DESC), v_limit)
                  FROM (SELECT d FROM sluice.schedule_due d
                         WHERE d.schedule = s.id AND (p_after IS NULL OR d.due_at < p_after)
                         ORDER BY d.due_at DESC LIMIT v_limit + 1) x);
END
$$;

-- Until it is resumed, or the span is over. What is due meanwhile is skipped, and so is what waits. Paused again: with another reason or end.
CREATE OR REPLACE FUNCTION api.schedule_pause(p_auth bytea, p_project text, p_pipe text, p_schedule text, p_request jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'operator');
        v_now timestamptz;
        s sluice.schedule := sluice.schedule_find(p_project, p_pipe, p_schedule);
BEGIN
        SELECT * INTO STRICT s FROM sluice.schedule WHERE id = s.id FOR NO KEY UPDATE;
        v_now := clock_timestamp();
        UPDATE sluice.schedule
           SET paused_at = CASE WHEN sluice.is_paused(s, v_now) THEN paused_at ELSE v_now END, paused_by = v_token.name,
               paused_until = v_now + make_interval(secs => sluice.json_int(p_request, 'duration_sec', false, 1, 31622400)),
               pause_reason = sluice.json_text(p_request, 'reason', false, 1000)
         WHERE id = s.id RETURNING * INTO s;

        -- What is just being woken is dropped when it would begin.
        PERFORM sluice.due_drop(s.id, d.due_at, 'paused', sluice.pause_words(s))
           FROM (SELECT o.due_at FROM sluice.schedule_due o WHERE o.schedule = s.id AND o.begin_at IS NOT NULL ORDER BY o.due_at FOR UPDATE SKIP LOCKED) d;
        IF FOUND THEN
                PERFORM pg_notify('sluice', 'tick'); -- an interval counts from there
        END IF;

        RETURN sluice.schedule_json(sluice.schedule_find(p_project, p_pipe, p_schedule));
END
$$;

-- The next due time runs again; none of those in the pause does.
CREATE OR REPLACE FUNCTION api.schedule_resume(p_auth bytea, p_project text, p_pipe text, p_schedule text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        s sluice.schedule;
BEGIN
        PERFORM sluice.auth_token(p_auth, 'operator');
        s := sluice.schedule_find(p_project, p_pipe, p_schedule);
        SELECT * INTO STRICT s FROM sluice.schedule WHERE id = s.id FOR NO KEY UPDATE;
        UPDATE sluice.schedule SET paused_until = clock_timestamp() WHERE id = s.id AND sluice.is_paused(s, clock_timestamp());

        RETURN sluice.schedule_json(sluice.schedule_find(p_project, p_pipe, p_schedule));
END
$$;

CREATE OR REPLACE FUNCTION api.zone_get(p_auth bytea, p_name text) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');
        PERFORM sluice.zone_check(p_name);

        RETURN api.zones(ARRAY[p_name]) -> 'items' -> 0;
END
$$;

REVOKE ALL ON FUNCTION api.schedule_list(bytea, text, text, int, text), api.schedule_get(bytea, text, text, text),
        api.schedule_dues(bytea, text, text, text, int, timestamptz), api.schedule_pause(bytea, text, text, text, jsonb),
        api.schedule_resume(bytea, text, text, text), api.zone_get(bytea, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.schedule_list(bytea, text, text, int, text), api.schedule_get(bytea, text, text, text),
        api.schedule_dues(bytea, text, text, text, int, timestamptz), api.schedule_pause(bytea, text, text, text, jsonb),
        api.schedule_resume(bytea, text, text, text), api.zone_get(bytea, text) TO sluice_controld;
