-- ExpectBySec=: what has not succeeded in time is said once for each due time, whatever became of it, and so is the success that ends it.
SET search_path = tap, public;
SELECT no_plan();

SELECT t.agent('n1', 100), t.sync('n1') \g /dev/null
CREATE FUNCTION pg_temp.s() RETURNS sluice.schedule LANGUAGE sql AS $$ SELECT s FROM sluice.schedule s WHERE s.pipe = 'p' $$;
CREATE FUNCTION pg_temp.deploy(p_more jsonb) RETURNS void LANGUAGE sql AS $$
        SELECT t.pipe('p', '{a}', jsonb_build_object('schedules', jsonb_build_array('{"name": "s", "cron": ["@daily"], "missed_runs": "all"}'::jsonb || p_more)));
        UPDATE sluice.schedule SET look_at = NULL;
$$;
-- So many minutes after noon, today in 2024; and as if that were so long ago.
CREATE FUNCTION pg_temp.at(p_minutes int) RETURNS timestamptz LANGUAGE sql AS $$ SELECT '2024-03-01 12:00Z'::timestamptz + make_interval(mins => p_minutes) $$;
-- The due time, with what became of it.
CREATE FUNCTION pg_temp.due(p_minutes int, p_state text, p_ended int DEFAULT NULL) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
        v_run uuid := CASE WHEN p_state = 'run' THEN t.run('p') END;
BEGIN
        INSERT INTO sluice.schedule_due (schedule, due_at, run, skipped, reason, begin_at, decided_at)
        SELECT (pg_temp.s()).id, pg_temp.at(p_minutes), v_run, CASE WHEN p_state NOT IN ('run', 'waits') THEN p_state END, CASE WHEN p_state NOT IN ('run', 'waits') THEN 'so it is' END,
               CASE WHEN p_state = 'waits' THEN '2100-01-01'::timestamptz END, CASE WHEN p_state <> 'waits' THEN now() END;
        UPDATE sluice.run SET schedule = (pg_temp.s()).id, scheduled_at = pg_temp.at(p_minutes) WHERE id = v_run;
        RETURN v_run;
END
$$;
CREATE FUNCTION pg_temp.succeeds(p_run uuid, p_minutes int DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
        PERFORM t.sync('n1');
        PERFORM t.events('n1', t.success(a.id, a.epoch)) FROM sluice.attempts_of(p_run) a;
        UPDATE sluice.schedule_success SET at = pg_temp.at(p_minutes) WHERE run = p_run AND p_minutes IS NOT NULL;
END
$$;
CREATE FUNCTION pg_temp.judge() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
        UPDATE sluice.schedule SET expect_look = clock_timestamp() WHERE expect_look IS NOT NULL;
        PERFORM api.tick();
END
$$;
-- 'late 0, on-time 0': minutes after noon.
CREATE FUNCTION pg_temp.events() RETURNS text LANGUAGE sql AS $$
        SELECT coalesce(string_agg(replace(kind, 'schedule-', '') || ' ' || (extract(epoch FROM due_at - pg_temp.at(0)) / 60)::int, ', ' ORDER BY id), '') FROM sluice.event
$$;
CREATE FUNCTION pg_temp.late() RETURNS text LANGUAGE sql AS $$
        SELECT api.schedule_get(t.h('viewer'), 'default', 'p', 's') #>> '{late,since}'
$$;

SELECT pg_temp.deploy('{"expect_by_sec": "1h"}') \g /dev/null
SELECT ok(expected_to > clock_timestamp() - interval '1 minute' AND expect_by = interval '1 hour', 'what was due before it was said is not judged') FROM pg_temp.s();
UPDATE sluice.schedule SET expected_to = pg_temp.at(-1);
SELECT pg_temp.due(0, 'run') AS run \gset
SELECT pg_temp.succeeds(:'run', 59), pg_temp.judge() \g /dev/null
SELECT is(pg_temp.events(), '', 'a success in time is no event');
SELECT is((SELECT (expected_to = pg_temp.at(0))::text || (SELECT count(*) FROM sluice.schedule_success) FROM pg_temp.s()), 'true0', 'and judged once');
SELECT pg_temp.due(100, 'run') AS run \gset
SELECT pg_temp.judge() \g /dev/null
SELECT is(pg_temp.events(), 'late 100', 'without one, there is an event');
SELECT is(pg_temp.late(), sluice.rfc3339(pg_temp.at(160)), 'its schedule is late, since it should have succeeded');
SELECT is((SELECT words FROM sluice.event), format('Schedule "s" of pipe "p" was due at 2024-03-01T13:40:00Z, and no run has succeeded by 2024-03-01T14:40:00Z: run %s is queued.', :'run'),
          'which says what became of the due time');
SELECT pg_temp.judge() \g /dev/null
SELECT is(pg_temp.events(), 'late 100', 'once');
SELECT pg_temp.succeeds(:'run'), api.tick() \g /dev/null
SELECT is(pg_temp.events(), 'late 100, on-time 100', 'a later success is an event, too, at once');
SELECT is(pg_temp.late(), NULL, 'and ends it');

-- Whatever became of it.
SELECT pg_temp.due(200, 'paused'), pg_temp.due(300, 'waits'), pg_temp.judge() \g /dev/null
SELECT is(pg_temp.events(), 'late 100, on-time 100, late 200, late 300', 'skipped, or not begun: each is said');
SELECT is((SELECT string_agg(regexp_replace(words, '.*Z: ', ''), ' ' ORDER BY id) FROM sluice.event WHERE due_at >= pg_temp.at(200)),
          'it was skipped (paused): so it is. its run has not begun.', 'with the reason');
SELECT is(pg_temp.late(), sluice.rfc3339(pg_temp.at(260)), 'it is late since the first of them');
SELECT pg_temp.due(350, 'run') AS run \gset
SELECT pg_temp.succeeds(:'run', 500), api.tick() \g /dev/null
SELECT is(pg_temp.events(), 'late 100, on-time 100, late 200, late 300, late 350, on-time 350', 'a success that came too late is late, and ends what was late before it');
INSERT INTO sluice.schedule_due (schedule, due_at, until_at, count, skipped, reason, decided_at) SELECT (pg_temp.s()).id, pg_temp.at(600), pg_temp.at(900), 4, 'overlap', 'x', now();
SELECT pg_temp.judge() \g /dev/null
SELECT matches(pg_temp.events(), ', late 600, late 900$', 'of those skipped in a row, the first and the last');
SELECT pg_temp.due(950, 'blackout'), pg_temp.judge() \g /dev/null
SELECT matches(pg_temp.events(), ', late 900$', 'nothing is expected in a blackout');
UPDATE sluice.schedule SET next_at = pg_temp.at(1000);
SELECT pg_temp.judge() \g /dev/null
SELECT matches(pg_temp.events(), ', late 1000$', 'what nobody has looked at is late as well');
SELECT matches((SELECT words FROM sluice.event ORDER BY id DESC LIMIT 1), 'no control plane has looked at it.$', 'and says so');
SELECT throws_ok($$INSERT INTO sluice.event (project, kind, pipe, schedule, due_at, words) SELECT project, kind, pipe, schedule, due_at, words FROM sluice.event LIMIT 1$$, '23505', NULL, 'once, by constraint');

-- What is still to come is awaited.
UPDATE sluice.schedule SET expected_to = clock_timestamp(), next_at = NULL;
INSERT INTO sluice.schedule_due (schedule, due_at, skipped, reason, decided_at) SELECT (pg_temp.s()).id, clock_timestamp(), 'missed', 'x', now();
SELECT count(*) AS n FROM sluice.event \gset
SELECT pg_temp.judge() \g /dev/null
SELECT is((SELECT count(*) FROM sluice.event), :'n'::bigint, 'within the time nothing is said');
SELECT ok(api.tick() BETWEEN 3500000 AND 3600000, 'the next look is when it is over');

-- Deployments.
INSERT INTO sluice.schedule_success SELECT (pg_temp.s()).id, now(), sluice.uuid_v7(), now();
SELECT pg_temp.deploy('{}') \g /dev/null
SELECT is((SELECT (expect_look, expected_to, late_since)::text FROM pg_temp.s()), '(,,)', 'what is not expected is not late');
SELECT is((SELECT count(*) FROM sluice.schedule_success), 0::bigint, 'and nobody keeps what has succeeded');
SELECT throws_ok($$SELECT pg_temp.deploy('{"expect_by_sec": "soon"}')$$, 'ZF400', 'Member "expect_by_sec" is no time span.', 'a time span');

-- Events are told once to a journal, and listed.
SELECT is(json_array_length(api.events_tell() -> 'items'), :'n'::int, 'each is told to one');
SELECT is(api.events_tell()::text, NULL, 'and to nobody else');
SELECT is(api.event_list(t.h('viewer'), 'default', 2, NULL) #>> '{items,1,kind}', 'schedule-late', 'they are listed');
SELECT is(json_array_length(api.event_list(t.h('viewer'), 'default', 100, (api.event_list(t.h('viewer'), 'default', 2, NULL) ->> 'next')::uuid) -> 'items'), :'n'::int - 2, 'page by page');
SELECT * FROM finish();
