-- Backfills: which due times, how many at a time, what is passed over, and how they end.
SET search_path = tap, public;
SELECT no_plan();

SELECT t.pipe('p', '{a}', '{"parameters": [{"name": "day", "type": "date", "default": "yesterday"}, {"name": "n", "type": "integer", "default": "1"}],
                            "schedules": [{"name": "s", "cron": ["@hourly"], "time_zone": "Asia/Kolkata", "parameters": ["n=2"]}]}'), t.agent('n1', 100), t.sync('n1') \g /dev/null
UPDATE sluice.schedule SET after_at = '2024-03-10', look_at = NULL;
CREATE FUNCTION pg_temp.s() RETURNS sluice.schedule LANGUAGE sql AS $$ SELECT s FROM sluice.schedule s WHERE s.pipe = 'p' AND s.name = 's' $$;
CREATE FUNCTION pg_temp.ask(p_more jsonb DEFAULT '{}', p_key text DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
        SELECT api.backfill_create(t.h('operator'), 'default', 'p', 's', '{"from": "2024-03-01T00:00:00Z", "to": "2024-03-01T05:00:00Z"}'::jsonb || p_more, p_key)::jsonb
$$;
-- As a worker, for which a schedule is due each full hour, UTC.
CREATE FUNCTION pg_temp.work(p_more jsonb DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
        i jsonb;
BEGIN
        FOR i IN SELECT value FROM jsonb_array_elements((api.schedules_due(10) -> 'items')::jsonb) LOOP
                PERFORM api.schedules_fire(jsonb_build_array((i - 'spec') || jsonb_build_object('more', false, 'dues', (
                        SELECT jsonb_agg(jsonb_build_object('at_usec', n, 'local_usec', n + 19800000000, 'start_usec', n - 3600000000, 'start_local_usec', n - 3600000000 + 19800000000))
                          FROM generate_series((((i ->> 'after_usec')::int8 / 3600000000) + 1) * 3600000000, (i ->> 'until_usec')::int8, 3600000000) n)) || p_more));
        END LOOP;
        PERFORM api.tick();
END
$$;
CREATE FUNCTION pg_temp.get(p_backfill uuid) RETURNS jsonb LANGUAGE sql AS $$ SELECT api.backfill_get(t.h('viewer'), p_backfill)::jsonb $$;
-- 'running 1/5: queued - - - -'
CREATE FUNCTION pg_temp.look(p_backfill uuid) RETURNS text LANGUAGE sql AS $$
        SELECT concat_ws(' ', b ->> 'state', (b ->> 'total')::int - (b ->> 'waiting')::int - (b ->> 'running')::int || '/' || (b ->> 'total') || ':',
                         (SELECT string_agg(coalesce(d ->> 'run_state', CASE WHEN d ->> 'passed_over' IS NOT NULL THEN 'over' ELSE '-' END), ' ' ORDER BY d ->> 'due_at')
                            FROM jsonb_array_elements(b -> 'dues') d))
          FROM pg_temp.get(p_backfill) b
$$;
CREATE FUNCTION pg_temp.finish(p_backfill uuid, p_fails boolean DEFAULT false) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
        PERFORM t.sync('n1');
        PERFORM t.events('n1', CASE WHEN p_fails THEN t.failure(a.id, a.epoch) ELSE t.success(a.id, a.epoch) END)
           FROM sluice.backfill_due d CROSS JOIN LATERAL sluice.attempts_of(d.run) a WHERE d.backfill = p_backfill AND d.live;
        PERFORM api.tick();
END
$$;

-- One after the other.
SELECT pg_temp.ask('{"concurrency": 1}', 'key') ->> 'backfill' AS b \gset
SELECT is(pg_temp.ask('{"concurrency": 1}', 'key') ->> 'backfill', :'b', 'a request that is sent twice is one backfill');
SELECT is(t.error($$SELECT pg_temp.ask('{"concurrency": 2}', 'key')$$), 'ZF409 idempotency-key-reused', 'and another one is not');
SELECT is(pg_temp.get(:'b') ->> 'state', 'planning', 'a worker works out what is due');
SELECT is((api.schedules_due(10)::jsonb -> 'items' -> 0) - 'spec' - 'schedule', jsonb_build_object('backfill', :'b', 'after_usec', 1709251200000000 - 1, 'until_usec', 1709269200000000 - 1),
          'from the first moment of the range, to the last before its end');
SELECT is(api.schedules_due(10)::text, NULL, 'nobody else is asked');
UPDATE sluice.backfill SET look_at = clock_timestamp();
SELECT pg_temp.work() \g /dev/null
SELECT is(pg_temp.look(:'b'), 'running 0/5: queued - - - -', 'one at a time, the oldest first');
SELECT api.tick(), pg_temp.work() \g /dev/null
SELECT is(pg_temp.look(:'b'), 'running 0/5: queued - - - -', 'and no more');
SELECT run FROM sluice.backfill_due WHERE run IS NOT NULL \gset
SELECT is((SELECT jsonb_agg(concat_ws(' ', p ->> 'name', p ->> 'value', p ->> 'origin')) FROM jsonb_array_elements(t.get(:'run') -> 'parameters') p),
          '["day 2024-02-29 pipe", "n 2 schedule"]', 'its run has the values of its due time, by the clocks of the zone');
SELECT is(t.get(:'run') -> 'scheduled' ->> 'interval_start', '2024-02-29T23:00:00.000000Z', 'and its interval');
SELECT is((SELECT x -> 'variables' ->> 'SLUICE_INTERVAL_START_LOCAL' FROM jsonb_array_elements(t.sync('n1') -> 'start') x WHERE x ->> 'run' = :'run'), '2024-03-01T04:30:00+05:30', 'as its tasks');
SELECT is(t.get(:'run') ->> 'created_by', 'backfill by operator', 'it says who asked for it');
SELECT pg_temp.finish(:'b', true) \g /dev/null
SELECT is(pg_temp.look(:'b'), 'running 1/5: failed queued - - -', 'one that fails stops nothing');
SELECT pg_temp.finish(:'b') FROM generate_series(1, 4) \g /dev/null
SELECT is(pg_temp.look(:'b'), 'done 5/5: failed succeeded succeeded succeeded succeeded', 'it is done when the last has ended');
SELECT is((SELECT (b ->> 'succeeded') || ' ' || (b ->> 'failed') FROM pg_temp.get(:'b') b), '4 1', 'with its counts');
SELECT ok(api.tick() IS NULL OR api.tick() > 1000, 'nobody looks at it any more');

-- What has had a run is passed over; but again.
SELECT pg_temp.ask('{"to": "2024-03-01T07:00:00Z", "concurrency": 10}') ->> 'backfill' AS b \gset
SELECT pg_temp.work() \g /dev/null
SELECT is(pg_temp.look(:'b'), 'running 5/7: over over over over over queued queued', 'due times that have had a run are passed over');
SELECT matches(pg_temp.get(:'b') #>> '{dues,0,passed_over}', '^it has run [-0-9a-f]+, failed$', 'which says so');
SELECT pg_temp.ask('{"to": "2024-03-01T07:00:00Z", "concurrency": 10, "again": true}') ->> 'backfill' AS c \gset
SELECT pg_temp.work() \g /dev/null
SELECT is(pg_temp.look(:'c'), 'running 2/7: queued queued queued queued queued over over', 'again: all but those whose run goes on');
SELECT throws_ok(format($$UPDATE sluice.backfill_due SET run = sluice.uuid_v7(), live = true, passed_over = NULL WHERE backfill = %L AND passed_over IS NOT NULL$$, :'c'), '23505', NULL,
                 'of a due time one run goes on, by constraint');
SELECT is(api.backfill_cancel(t.h('operator'), :'b') ->> 'state', 'cancelled', 'one is cancelled');
SELECT pg_temp.finish(:'b') \g /dev/null
SELECT is(pg_temp.look(:'b'), 'cancelled 7/7: over over over over over succeeded succeeded', 'what runs goes on to its end');
SELECT is(api.backfill_cancel(t.h('operator'), :'b') ->> 'reason', 'cancelled by operator', 'cancelled again it stays what it is');
SELECT is((SELECT count(*) FROM sluice.backfill_due WHERE backfill = :'c' AND live), 5::bigint, 'the other goes on');
SELECT pg_temp.finish(:'c') \g /dev/null
SELECT is(pg_temp.get(:'c') ->> 'state', 'done', 'to its end');
-- Those of the schedule itself count as well.
INSERT INTO sluice.schedule_due (schedule, due_at, begin_at) SELECT (pg_temp.s()).id, '2024-03-02 00:00Z', '2100-01-01';
INSERT INTO sluice.schedule_due (schedule, due_at, run, decided_at) SELECT (pg_temp.s()).id, '2024-03-02 01:00Z', t.run('p'), now();
INSERT INTO sluice.schedule_due (schedule, due_at, skipped, reason, decided_at) SELECT (pg_temp.s()).id, '2024-03-02 02:00Z', 'missed', 'x', now();
SELECT pg_temp.ask('{"from": "2024-03-02T00:00:00Z", "to": "2024-03-02T03:00:00Z", "dry_run": true}') ->> 'backfill' AS b \gset
SELECT pg_temp.work() \g /dev/null
SELECT is(pg_temp.look(:'b'), 'planned 2/3: over over -', 'a dry run is planned, and no more');
SELECT is(pg_temp.get(:'b') #>> '{dues,0,passed_over}', 'it waits for its run, as the schedule has it', 'what the schedule is about to run is passed over');
SELECT is((SELECT count(*) FROM sluice.run WHERE scheduled_at >= '2024-03-02'), 0::bigint, 'nothing has run');

-- Ranges.
SELECT pg_temp.ask('{"from": "2024-03-09 12:00", "to": null}') AS a \gset
SELECT is((:'a'::jsonb) ->> 'from', '2024-03-09T06:30:00.000000Z', 'times without a zone are of the schedule''s');
SELECT is((:'a'::jsonb) ->> 'to', sluice.rfc3339((pg_temp.s()).after_at), 'without an end it goes up to what the schedule has not looked at yet');
SELECT throws_ok(format('SELECT pg_temp.ask(%L)', ask), 'ZF400', words, words)
  FROM (VALUES ('{"from": "2024-02-30"}', 'Member "from": "2024-02-30" is no time.'), ('{"from": "yesterday"}', 'Member "from": "yesterday" is no time.'),
               ('{"from": "2024-03-01 25:00"}', 'Member "from": "2024-03-01 25:00" is no time.'), ('{"from": null}', 'Member "from" is missing.'),
               ('{"to": "2999-01-01"}', 'The range ends in the future, when the schedule itself will run.'), ('{"from": "1999-12-31"}', 'The range begins more than 10 years ago.'), ('{"to": "2024-02-29"}', 'The range ends before it begins.'),
               ('{"parameters": {"n": "x"}}', NULL), ('{"concurrency": 0}', NULL), ('{"concurrency": 101}', NULL)) v (ask, words);
SELECT pg_temp.ask() ->> 'backfill' AS b \gset
SELECT pg_temp.work('{"more": true}') \g /dev/null
SELECT is(pg_temp.get(:'b') ->> 'state' || ': ' || (pg_temp.get(:'b') ->> 'reason'), 'refused: There are more than 5 due times in the range, which is the most that a backfill has; so many end with 2024-03-01T04:00:00Z.', 'too many are refused');
SELECT pg_temp.ask() ->> 'backfill' AS b \gset
SELECT pg_temp.work('{"error": "There is no time zone."}') \g /dev/null
SELECT is(pg_temp.get(:'b') ->> 'reason', 'There is no time zone.', 'what cannot be worked out is said');
SELECT pg_temp.ask() ->> 'backfill' AS b \gset
SELECT pg_temp.work('{"dues": []}') \g /dev/null
SELECT is(pg_temp.get(:'b') ->> 'state', 'done', 'where nothing is due, nothing is left to do');

SELECT pg_temp.ask('{"again": true}') ->> 'backfill' AS b \gset
SELECT pg_temp.work('{"dues": [{"at_usec": 1709251200000000, "blackout": "*-03-01"}]}') \g /dev/null
SELECT is(pg_temp.get(:'b') #>> '{dues,0,passed_over}', 'Blackout=*-03-01', 'a blackout is passed over');

-- What cannot be made is tried again, and said.
SELECT pg_temp.ask('{"from": "2024-03-03T00:00:00Z", "to": "2024-03-03T02:00:00Z"}') ->> 'backfill' AS b \gset
UPDATE sluice.schedule SET spec = spec || '{"parameters": ["n=x"]}' WHERE pipe = 'p';
SELECT pg_temp.work() \g /dev/null
SELECT matches(pg_temp.get(:'b') ->> 'reason', '^A run cannot be made: ', 'a reason is shown');
SELECT ok(api.tick() BETWEEN 1000 AND 10000, 'and the next look is soon');
UPDATE sluice.schedule SET spec = spec || '{"parameters": ["n=3"]}' WHERE pipe = 'p';
UPDATE sluice.backfill SET look_at = clock_timestamp() WHERE id = :'b';
SELECT api.tick() \g /dev/null
SELECT is(pg_temp.look(:'b'), 'running 0/2: queued -', 'it goes on');
SELECT t.pipe('p', '{a}') \g /dev/null
SELECT pg_temp.finish(:'b') \g /dev/null
SELECT is(pg_temp.look(:'b'), 'cancelled 1/2: succeeded -', 'without its schedule it ends');
SELECT throws_ok($$SELECT pg_temp.ask()$$, 'ZF409', 'Schedule "s" of pipe "p" is not in the current version, so nothing was due.', 'and none begins');
SELECT t.pipe('p', '{a}', '{"schedules": [{"name": "s", "after_pipe": ["q"]}]}') \g /dev/null
SELECT throws_ok($$SELECT pg_temp.ask()$$, 'ZF409', 'Schedule "s" of pipe "p" is not due by a calendar, so nothing was due.', 'nor where no clock makes it due');
SELECT is(json_array_length(api.backfill_list(t.h('viewer'), 'default', 'p', 's', 3, NULL) -> 'items'), 3, 'they are listed');
SELECT throws_ok(format('SELECT api.backfill_cancel(t.h(''viewer''), %L)', :'b'), 'ZF403', NULL, 'not for a viewer to cancel');
SELECT throws_ok(format('SELECT api.backfill_get(t.h(''viewer''), %L)', sluice.uuid_v7()), 'ZF404', NULL, 'one that is not there');
-- Of a time whose history is gone it is not known what has run.
CREATE FUNCTION pg_temp.needless(p_again boolean, p_days int) RETURNS text LANGUAGE sql AS $$
        SELECT sluice.backfill_needless(jsonb_populate_record(NULL::sluice.backfill, jsonb_build_object('schedule', s.id, 'again', p_again)), s.forgotten_at + p_days * interval '1 day')
          FROM sluice.schedule s WHERE s.forgotten_at IS NOT NULL
$$;
UPDATE sluice.schedule SET forgotten_at = '2020-01-01 00:00Z' WHERE id = (SELECT id FROM sluice.schedule ORDER BY id LIMIT 1);
SELECT is(pg_temp.needless(false, 0), 'its history is gone, and whether it had a run is not known any more', 'up to there nothing is run past');
SELECT is(pg_temp.needless(false, 1), NULL, 'what is after it is');
SELECT is(pg_temp.needless(true, 0), NULL, 'and with --again all');
SELECT * FROM finish();
