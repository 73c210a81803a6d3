-- Backfills: the due times of a past range, run after the fact. A worker works them out once, as it does those of schedules; from then
-- on the tick begins what may begin, the oldest first. Locks: the pipe, the schedule, the backfill; the tick only tries for them.
SET LOCAL check_function_bodies = off;

-- "2024-03-01", "2024-03-01 02:00", "2024-03-01T02:00:00", by the clocks of the zone; with Z or +01:00 at the end, a moment.
CREATE OR REPLACE FUNCTION sluice.moment_parse(p_text text, p_zone text) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET DateStyle = 'ISO, YMD' SET TimeZone = 'UTC' AS $$
BEGIN
        IF p_text ~ '^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?$' THEN
                RETURN p_text::timestamp AT TIME ZONE p_zone;
        ELSIF p_text ~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)$' THEN
                RETURN p_text::timestamptz;
        END IF;
        RETURN NULL;
EXCEPTION
        WHEN data_exception THEN
                RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION sluice.json_moment(p_request jsonb, p_member text, p_zone text, p_required boolean) RETURNS timestamptz
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_text text := sluice.json_text(p_request, p_member, p_required, 40);
        v_at timestamptz := sluice.moment_parse(v_text, p_zone);
BEGIN
        IF v_text IS NOT NULL AND v_at IS NULL THEN
                PERFORM sluice.fail(400, 'bad-time', format('Member "%s": "%s" is no time.', p_member, v_text),
                                    'Times are as 2024-03-01 or 2024-03-01 02:00, in the zone of the schedule, or as 2024-03-01T02:00:00Z.');
        END IF;
        RETURN v_at;
END
$$;

CREATE OR REPLACE FUNCTION sluice.backfill_json(b sluice.backfill, p_dues boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v jsonb;
BEGIN
        SELECT jsonb_build_object(
                'backfill', b.id, 'project', s.project, 'pipe', s.pipe, 'schedule', s.name, 'from', sluice.rfc3339(b.from_at), 'to', sluice.rfc3339(b.to_at),
                'concurrency', b.concurrency, 'again', b.again, 'dry_run', b.dry, 'parameters', b.parameters, 'state', b.state, 'reason', b.reason,
                'created_by', b.created_by, 'created_at', sluice.rfc3339(b.created_at), 'ended_at', sluice.rfc3339(b.ended_at))
          INTO v FROM sluice.schedule s WHERE s.id = b.schedule;
        SELECT v || jsonb_build_object('total', count(*), 'passed_over', count(d.passed_over), 'waiting', count(*) FILTER (WHERE d.run IS NULL AND d.passed_over IS NULL),
                                       'running', count(*) FILTER (WHERE d.live), 'succeeded', count(*) FILTER (WHERE r.state = 'succeeded'),
                                       'failed', count(*) FILTER (WHERE r.state IN ('failed', 'cancelled')))
          INTO v FROM sluice.backfill_due d LEFT JOIN LATERAL (SELECT r.state FROM sluice.run r WHERE r.id = d.run OFFSET 0) r ON true WHERE d.backfill = b.id;
        IF p_dues THEN
                v := v || jsonb_build_object('dues', (
                        SELECT coalesce(jsonb_agg(jsonb_build_object('due_at', sluice.rfc3339(d.due_at), 'interval_start', sluice.rfc3339(d.interval_start), 'run', d.run,
                                        'run_state', (SELECT r.state FROM sluice.run r WHERE r.id = d.run), 'passed_over', d.passed_over) ORDER BY d.due_at), '[]')
                          FROM sluice.backfill_due d WHERE d.backfill = b.id));
        END IF;

        RETURN v;
END
$$;

CREATE OR REPLACE FUNCTION sluice.backfill_find(p_backfill uuid) RETURNS sluice.backfill
LANGUAGE plpgsql VOLATILE AS $$ -- it looks at what the same statement has written
DECLARE
        b sluice.backfill;
BEGIN
        SELECT * INTO b FROM sluice.backfill WHERE id = p_backfill;
        IF b.id IS NULL THEN
                PERFORM sluice.fail(404, 'backfill-not-found', format('There is no backfill %s.', p_backfill), 'See: sluicectl backfill list PIPE.');
        END IF;
        RETURN b;
END
$$;

-- What a backfill's runs are made with.
CREATE OR REPLACE FUNCTION sluice.backfill_layers(b sluice.backfill, s sluice.schedule, p_due timestamptz) RETURNS jsonb
LANGUAGE sql STABLE AS $$
        SELECT jsonb_build_object('at', p_due, 'zone', s.spec -> 'time_zone', 'schedule', sluice.schedule_values(s.spec), 'run', b.parameters)
$$;

-- p_request: "from", "to" (absent: up to now), "concurrency" (1), "again", "dry_run", "parameters". What is due in the range is worked
-- out by a worker, right after the commit; until then the state is planning.
CREATE OR REPLACE FUNCTION api.backfill_create(p_auth bytea, p_project text, p_pipe text, p_schedule text, p_request jsonb, p_idempotency_key text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'operator');
        s sluice.schedule := sluice.schedule_find(p_project, p_pipe, p_schedule);
        b sluice.backfill;
        v_zone text := coalesce(s.spec ->> 'time_zone', 'UTC');
        v_before uuid[];
BEGIN
        b.id := sluice.uuid_v7();
        IF p_idempotency_key IS NOT NULL THEN
                v_before := sluice.idempotency_take(v_token.id, p_idempotency_key, 'backfill ' || md5(s.id || ' ' || p_request::text), ARRAY[b.id]);
                IF v_before IS NOT NULL THEN
                        RETURN sluice.backfill_json(sluice.backfill_find(v_before[1]), true);
                END IF;
        END IF;

        SELECT * INTO STRICT s FROM sluice.schedule WHERE id = s.id FOR NO KEY UPDATE;
        b.from_at := sluice.json_moment(p_request, 'from', v_zone, true);
        b.to_at := coalesce(sluice.json_moment(p_request, 'to', v_zone, false), s.after_at);
        b.parameters := sluice.parameters_layer(p_request -> 'parameters') -> 'run';
        IF s.removed_at IS NOT NULL OR NOT s.spec ?| ARRAY['on_calendar', 'cron'] THEN
                PERFORM sluice.fail(409, 'no-due-times', format('Schedule "%s" of pipe "%s" %s, so nothing was due.', s.name, s.pipe,
                                    CASE WHEN s.removed_at IS NULL THEN 'is not due by a calendar' ELSE 'is not in the current version' END));
        ELSIF b.to_at > clock_timestamp() THEN
                PERFORM sluice.fail(400, 'not-past', 'The range ends in the future, when the schedule itself will run.', 'Leave --to= out: then it ends now.');
        ELSIF b.from_at < clock_timestamp() - sluice.zones_reach() THEN
                PERFORM sluice.fail(400, 'too-old', format('The range begins more than %s years ago.', extract(year FROM sluice.zones_reach())),
                                    'The offsets of time zones are known from then on.');
        ELSIF b.from_at >= b.to_at THEN
                PERFORM sluice.fail(400, 'bad-range', 'The range ends before it begins.');
        END IF;
        PERFORM sluice.parameters_of(v.spec, v.project, sluice.backfill_layers(b, s, b.from_at)) FROM sluice.pipe_find(p_project, p_pipe, NULL) v;

        -- What is after after_at is the schedule's own affair.
        INSERT INTO sluice.backfill (id, schedule, from_at, to_at, concurrency, again, dry, parameters, created_by)
        VALUES (b.id, s.id, least(b.from_at, s.after_at), least(b.to_at, s.after_at + interval '1 microsecond'),
                coalesce(sluice.json_int(p_request, 'concurrency', false, 1, 100), 1),
                coalesce(sluice.json_bool(p_request, 'again'), false), coalesce(sluice.json_bool(p_request, 'dry_run'), false), b.parameters, v_token.name);
        PERFORM pg_notify('sluice', 'tick');

        RETURN sluice.backfill_json(sluice.backfill_find(b.id), true);
END
$$;

CREATE OR REPLACE FUNCTION sluice.backfill_end(p_backfill uuid, p_state text, p_reason text) RETURNS void
LANGUAGE sql AS $$
        UPDATE sluice.backfill SET state = p_state, reason = p_reason, look_at = NULL, ended_at = clock_timestamp() WHERE id = p_backfill AND ended_at IS NULL
$$;

-- Why a due time needs no run; NULL when it does. The caller holds the lock of the schedule.
CREATE OR REPLACE FUNCTION sluice.backfill_needless(b sluice.backfill, p_due timestamptz) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
        d sluice.schedule_due;
        r record;
BEGIN
        SELECT * INTO d FROM sluice.schedule_due WHERE schedule = b.schedule AND due_at = p_due;
        IF d.begin_at IS NOT NULL THEN
                RETURN 'it waits for its run, as the schedule has it';
        ELSIF d.run IS NULL AND NOT b.again AND p_due <= (SELECT s.forgotten_at FROM sluice.schedule s WHERE s.id = b.schedule) THEN
                RETURN 'its history is gone, and whether it had a run is not known any more';
        END IF;
        SELECT x.run, x.state INTO r
          FROM (SELECT u.run, (SELECT k.state FROM sluice.run k WHERE k.id = u.run) AS state, u.live
                  FROM (SELECT d.run, (SELECT k.ended_at IS NULL FROM sluice.run k WHERE k.id = d.run) AS live WHERE d.run IS NOT NULL
                        UNION ALL
                        SELECT f.run, f.live FROM sluice.backfill_due f WHERE f.schedule = b.schedule AND f.due_at = p_due AND f.run IS NOT NULL) u
                 WHERE NOT b.again OR u.live) x
         ORDER BY x.live DESC NULLS LAST, x.run DESC LIMIT 1;
        RETURN 'it has run ' || r.run || coalesce(', ' || r.state, '');
END
$$;

-- What a worker has worked out: "dues", and "more" when there are too many; or "error".
CREATE OR REPLACE FUNCTION sluice.backfill_plan(p_item jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        b sluice.backfill;
BEGIN
        PERFORM FROM sluice.schedule WHERE id = (p_item ->> 'schedule')::uuid FOR NO KEY UPDATE;
        SELECT * INTO b FROM sluice.backfill WHERE id = (p_item ->> 'backfill')::uuid AND state = 'planning' FOR NO KEY UPDATE;
        IF b.id IS NULL THEN
                RETURN; -- somebody else was faster, or it is cancelled
        ELSIF p_item ->> 'error' IS NOT NULL THEN
                PERFORM sluice.backfill_end(b.id, 'refused', p_item ->> 'error');
                RETURN;
        ELSIF (p_item ->> 'more')::boolean THEN
                PERFORM sluice.backfill_end(b.id, 'refused', format('There are more than %s due times in the range, which is the most that a backfill has; so many end with %s.',
                        jsonb_array_length(p_item -> 'dues'), sluice.time_words(sluice.of_usec((p_item #>> '{dues,-1,at_usec}')::int8))));
                RETURN;
        END IF;

        INSERT INTO sluice.backfill_due (backfill, due_at, schedule, interval_start, offset_sec, start_offset_sec, passed_over)
        SELECT b.id, d.due_at, b.schedule, d.interval_start, d.offset_sec, d.start_offset_sec, coalesce('Blackout=' || d.blackout, sluice.backfill_needless(b, d.due_at))
          FROM sluice.dues_read(p_item -> 'dues') d
         WHERE d.due_at >= b.from_at AND d.due_at < b.to_at;
        UPDATE sluice.backfill SET state = CASE WHEN dry THEN 'planned' ELSE 'running' END, look_at = NULL, ended_at = CASE WHEN dry THEN clock_timestamp() END
         WHERE id = b.id;
        PERFORM pg_notify('sluice', 'tick');
END
$$;

-- Begins what may begin of one; ends it when nothing is left. The caller holds the locks.
CREATE OR REPLACE FUNCTION sluice.backfill_step(b sluice.backfill, s sluice.schedule) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        d sluice.backfill_due;
        v_run uuid;
        v_why text;
        v_room int := b.concurrency - (SELECT count(*) FROM sluice.backfill_due x WHERE x.backfill = b.id AND x.live);
BEGIN
        IF s.removed_at IS NOT NULL THEN
                PERFORM sluice.backfill_end(b.id, 'cancelled', 'the current version of the pipe does not have the schedule');
                RETURN;
        END IF;

        FOR d IN SELECT * FROM sluice.backfill_due x WHERE x.backfill = b.id AND x.run IS NULL AND x.passed_over IS NULL ORDER BY x.due_at LOOP
                EXIT WHEN v_room <= 0;
                v_why := sluice.backfill_needless(b, d.due_at);
                IF v_why IS NOT NULL THEN
                        UPDATE sluice.backfill_due SET passed_over = v_why WHERE backfill = b.id AND due_at = d.due_at;
                        CONTINUE;
                END IF;
                v_run := sluice.uuid_v7();
                PERFORM sluice.runs_insert(ARRAY[v_run], ARRAY[s.project], ARRAY[s.pipe], ARRAY[p.version], ARRAY['backfill by ' || b.created_by],
                                           ARRAY[sluice.backfill_layers(b, s, d.due_at)])
                   FROM sluice.pipe p WHERE p.project = s.project AND p.name = s.pipe;
                UPDATE sluice.run SET schedule = s.id, scheduled_at = d.due_at WHERE id = v_run;
                UPDATE sluice.backfill_due SET run = v_run, live = true WHERE backfill = b.id AND due_at = d.due_at;
                PERFORM sluice.runs_begin(ARRAY[v_run]);
                v_room := v_room - 1;
        END LOOP;

        UPDATE sluice.backfill SET reason = NULL, look_at = NULL WHERE id = b.id AND (reason IS NOT NULL OR look_at IS NOT NULL);
        IF NOT EXISTS (SELECT FROM sluice.backfill_due x WHERE x.backfill = b.id AND (x.live OR x.run IS NULL AND x.passed_over IS NULL)) THEN
                PERFORM sluice.backfill_end(b.id, 'done', NULL);
        END IF;
END
$$;

-- All that have room for a run more, or nothing left. What somebody is busy with is left for the next time, which comes soon.
CREATE OR REPLACE FUNCTION sluice.backfills_step() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        b sluice.backfill;
        s sluice.schedule;
BEGIN
        IF NOT EXISTS (SELECT FROM sluice.backfill WHERE state = 'running' AND ended_at IS NULL) THEN
                RETURN;
        END IF;

        FOR b IN SELECT * FROM sluice.backfill x
                  WHERE x.state = 'running' AND x.ended_at IS NULL AND (x.look_at <= clock_timestamp()) IS NOT FALSE
                    AND (SELECT count(*) FROM sluice.backfill_due d WHERE d.backfill = x.id AND d.live) < least(x.concurrency, (
                         SELECT greatest(count(*), 1) FROM sluice.backfill_due d WHERE d.backfill = x.id AND d.passed_over IS NULL AND (d.live OR d.run IS NULL)))
                  ORDER BY x.id LIMIT 10 LOOP
                BEGIN
                        SELECT * INTO s FROM sluice.schedule WHERE id = b.schedule;
                        PERFORM FROM sluice.pipe WHERE project = s.project AND name = s.pipe FOR NO KEY UPDATE NOWAIT;
                        SELECT * INTO STRICT s FROM sluice.schedule WHERE id = b.schedule FOR NO KEY UPDATE NOWAIT;
                        SELECT * INTO b FROM sluice.backfill WHERE id = b.id AND state = 'running' FOR NO KEY UPDATE NOWAIT;
                        PERFORM sluice.backfill_step(b, s) WHERE b.id IS NOT NULL;
                EXCEPTION
                        WHEN lock_not_available THEN
                                PERFORM sluice.backfill_later(b.id, NULL, interval '100 milliseconds');
                        WHEN OTHERS THEN
                                PERFORM sluice.backfill_later(b.id, 'A run cannot be made: ' || SQLERRM, interval '10 seconds');
                END;
        END LOOP;
END
$$;

-- Unless somebody else is at it.
CREATE OR REPLACE FUNCTION sluice.backfill_later(p_backfill uuid, p_reason text, p_span interval) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        PERFORM FROM sluice.backfill WHERE id = p_backfill FOR NO KEY UPDATE SKIP LOCKED;
        IF FOUND THEN
                UPDATE sluice.backfill SET look_at = clock_timestamp() + p_span, reason = coalesce(left(p_reason, 1000), reason) WHERE id = p_backfill AND ended_at IS NULL;
        END IF;
END
$$;

-- These runs have ended: backfills have room. Each row is its run's, so nobody waits for it.
CREATE OR REPLACE FUNCTION sluice.backfills_wake(p_runs uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        UPDATE sluice.backfill_due SET live = false WHERE run IS NOT NULL AND run = ANY (p_runs) AND live;
        IF FOUND THEN
                PERFORM pg_notify('sluice', 'tick');
        END IF;
END
$$;

CREATE OR REPLACE FUNCTION api.backfill_get(p_auth bytea, p_backfill uuid) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');

        RETURN sluice.backfill_json(sluice.backfill_find(p_backfill), true);
END
$$;

-- Of a schedule, the newest first.
CREATE OR REPLACE FUNCTION api.backfill_list(p_auth bytea, p_project text, p_pipe text, p_schedule text, p_limit int, p_after uuid) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_limit int := sluice.page_limit(p_limit);
        s sluice.schedule;
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');
        s := sluice.schedule_find(p_project, p_pipe, p_schedule);

        RETURN (SELECT sluice.page(array_agg(sluice.backfill_json(x.b, false)::json ORDER BY (x.b).id DESC), array_agg((x.b).id::text ORDER BY (x.b).id DESC), v_limit)
                  FROM (SELECT b FROM sluice.backfill b WHERE b.schedule = s.id AND (p_after IS NULL OR b.id < p_after) ORDER BY b.id DESC LIMIT v_limit + 1) x);
END
$$;

-- Begins no more; what runs goes on. Again it changes nothing.
CREATE OR REPLACE FUNCTION api.backfill_cancel(p_auth bytea, p_backfill uuid) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'operator');
        b sluice.backfill := sluice.backfill_find(p_backfill);
BEGIN
        PERFORM FROM sluice.backfill WHERE id = b.id FOR NO KEY UPDATE;
        PERFORM sluice.backfill_end(b.id, 'cancelled', 'cancelled by ' || v_token.name);

        RETURN sluice.backfill_json(sluice.backfill_find(b.id), true);
END
$$;

REVOKE ALL ON FUNCTION api.backfill_create(bytea, text, text, text, jsonb, text), api.backfill_get(bytea, uuid),
        api.backfill_list(bytea, text, text, text, int, uuid), api.backfill_cancel(bytea, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.backfill_create(bytea, text, text, text, jsonb, text), api.backfill_get(bytea, uuid),
        api.backfill_list(bytea, text, text, text, int, uuid), api.backfill_cancel(bytea, uuid) TO sluice_controld;
