-- What became of due times goes with the history of its time.
SET search_path = tap, public;
SELECT no_plan();
SET TimeZone = 'UTC'; -- where days have 24 hours
SELECT is(sluice.history_from(), date_trunc('month', now() AT TIME ZONE 'UTC' - interval '1 month') AT TIME ZONE 'UTC', 'history begins with its first partition');
SELECT sluice.partition_ensure('run', '2020-05-01') \g /dev/null
SELECT is(sluice.history_from(), '2020-05-01 00:00Z', 'whichever it is');
DROP TABLE sluice.run_p202005;
SELECT sluice.history_from() AS since \gset

SELECT t.pipe('p', '{a}', '{"schedules": [{"name": "s", "cron": ["@daily"]}, {"name": "old", "cron": ["@daily"]}]}') \g /dev/null
SELECT id AS s, sluice.to_usec(after_at) AS after FROM sluice.schedule WHERE name = 's' \gset
INSERT INTO sluice.schedule_due (schedule, due_at, until_at, count, run, skipped, reason, decided_at)
SELECT s.id, :'since'::timestamptz - v.at, :'since'::timestamptz - v.until, v.count, v.run, v.skipped, v.skipped, :'since'::timestamptz - v.decided
  FROM sluice.schedule s
 CROSS JOIN (VALUES (interval '9 days', NULL::interval, 1, sluice.uuid_v7(), NULL, interval '9 days'), ('8 days', '5 days', 4, NULL, 'missed', '5 days'),
                    ('4 days', NULL, 1, sluice.uuid_v7(), NULL, '-2 days'), ('3 days', NULL, 1, NULL, 'paused', '3 days')) v (at, until, count, run, skipped, decided)
 WHERE s.name IN ('s', 'old');
INSERT INTO sluice.schedule_due (schedule, due_at, begin_at) VALUES (:'s', :'since'::timestamptz - interval '7 days', now() + interval '1 day');
INSERT INTO sluice.schedule_due (schedule, due_at, run, decided_at) VALUES (:'s', :'since'::timestamptz + interval '1 day', sluice.uuid_v7(), now());

CREATE FUNCTION pg_temp.left(p_name text) RETURNS text LANGUAGE sql AS $$
        SELECT string_agg(extract(day FROM sluice.history_from() - d.due_at)::text, ' ' ORDER BY d.due_at) FROM sluice.schedule_due d JOIN sluice.schedule s ON s.id = d.schedule WHERE s.name = p_name
$$;
SELECT sluice.dues_forget(1) \g /dev/null
SELECT is(pg_temp.left('s') || ', ' || pg_temp.left('old'), '8 7 4 3 -1, 9 8 4 3', 'so many at once') WHERE pg_temp.left('old') = '9 8 4 3';
SELECT is(pg_temp.left('s') || ', ' || pg_temp.left('old'), '9 8 7 4 3 -1, 8 4 3', 'so many at once') WHERE pg_temp.left('old') <> '9 8 4 3';
SELECT api.maintain() \g /dev/null
SELECT is(pg_temp.left('s'), '7 4 -1', 'what waits, and whose run is newer than that, stays');
SELECT is(pg_temp.left('old'), '4 3', 'so does the last one of a schedule');
SELECT is((SELECT :'since'::timestamptz - forgotten_at FROM sluice.schedule WHERE name = 's'), '3 days', 'it is known up to when nothing is known');
SELECT is((SELECT :'since'::timestamptz - forgotten_at FROM sluice.schedule WHERE name = 'old'), '5 days', 'to the end of what was skipped together');

-- Backfills, too: of those of "old", the first is over, a run of the second goes on, and the third ended in what is still history.
SELECT id AS old FROM sluice.schedule WHERE name = 'old' \gset
INSERT INTO sluice.backfill (id, schedule, from_at, to_at, concurrency, again, dry, state, reason, created_by, ended_at)
SELECT t.id(v.name), :'old', '2020-01-01', '2020-02-01', 1, false, false, v.state, v.name, 'x', :'since'::timestamptz - v.ended
  FROM (VALUES ('over', 'done', interval '1 hour'), ('live', 'cancelled', '1 hour'), ('recent', 'done', '-1 hour'), ('open', 'running', NULL)) v (name, state, ended);
INSERT INTO sluice.backfill_due (backfill, due_at, schedule, run, live, passed_over)
SELECT t.id(v.name), :'since'::timestamptz - v.ago, :'old', CASE WHEN NOT v.over THEN sluice.uuid_v7() END, v.name = 'live', CASE WHEN v.over THEN 'x' END
  FROM (VALUES ('over', interval '3 days', false), ('over', '2 days', true), ('live', '6 days', false), ('recent', '7 days', false)) v (name, ago, over);
CREATE FUNCTION pg_temp.backfills() RETURNS text LANGUAGE sql AS $$
        SELECT string_agg(reason, ' ' ORDER BY reason) || ' ' || (SELECT count(*) FROM sluice.backfill_due) FROM sluice.backfill
$$;
SELECT api.maintain() \g /dev/null
SELECT is(pg_temp.backfills(), 'live open over recent 4', 'a backfill that goes on keeps what others have run');
UPDATE sluice.backfill SET state = 'done', ended_at = now() WHERE id = t.id('open');
SELECT api.maintain() \g /dev/null
SELECT is(pg_temp.backfills(), 'live open recent 2', 'then those go that were over before history begins, with all their runs');
SELECT is((SELECT :'since'::timestamptz - forgotten_at FROM sluice.schedule WHERE name = 'old'), '3 days', 'what they have run is forgotten');
SELECT is(sluice.backfill_needless(b, :'since'::timestamptz - interval '3 days'), 'its history is gone, and whether it had a run is not known any more',
          'and does not run again unasked, also where the schedule still knows that it was skipped') FROM sluice.backfill b WHERE b.id = t.id('recent');
UPDATE sluice.backfill_due SET live = false WHERE backfill = t.id('live');
SELECT api.maintain() \g /dev/null
SELECT is(pg_temp.backfills(), 'open recent 1', 'each as soon as it can');

-- A worker that works the same times out again, late, changes nothing.
SELECT api.schedules_fire(jsonb_build_array(jsonb_build_object('schedule', :'s', 'after_usec', :after, 'until_usec', :after + 1, 'next_usec', :after + 3600000000,
        'dues', jsonb_build_array(jsonb_build_object('at_usec', sluice.to_usec(:'since'::timestamptz - interval '9 days')))))) \g /dev/null
SELECT is(pg_temp.left('s'), '7 4 -1', 'a due time that is forgotten does not come back');
SELECT is((SELECT error FROM sluice.schedule WHERE name = 's'), NULL, 'and is no error');
SELECT * FROM finish();
