-- Schedules: what a deployment makes of them; which due times become runs, which are skipped and why; overlap, pauses, delays.
SET search_path = tap, public;
SELECT no_plan();

CREATE FUNCTION pg_temp.deploy(p_pipe text, p_schedules jsonb, p_more jsonb DEFAULT '{}') RETURNS json LANGUAGE sql AS $$
        SELECT t.pipe(p_pipe, '{a}', jsonb_build_object('schedules', p_schedules) || p_more)
$$;
CREATE FUNCTION pg_temp.s(p_pipe text, p_name text DEFAULT 's') RETURNS sluice.schedule LANGUAGE sql AS $$
        SELECT s FROM sluice.schedule s WHERE s.project = 'default' AND s.pipe = p_pipe AND s.name = p_name
$$;
-- A moment that a test can count from: whole seconds, and past.
SELECT sluice.to_usec(date_trunc('second', clock_timestamp())) - 1000000 AS now \gset
CREATE FUNCTION pg_temp.now() RETURNS int8 LANGUAGE sql RETURN :'now'::int8;
CREATE FUNCTION pg_temp.at(p_ago numeric) RETURNS timestamptz LANGUAGE sql AS $$ SELECT sluice.of_usec(pg_temp.now() - (p_ago * 1000000)::int8) $$;

-- As a worker: due times so many seconds before that moment, none of which was seen before.
CREATE FUNCTION pg_temp.fire(p_pipe text, p_ago numeric[], p_more jsonb DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
        v_first timestamptz := pg_temp.at(coalesce((SELECT max(a) FROM unnest(p_ago) a), 1) + 1);
BEGIN
        UPDATE sluice.schedule s SET after_at = v_first WHERE s.id = (pg_temp.s(p_pipe)).id;
        PERFORM api.schedules_fire(jsonb_build_array(jsonb_build_object(
                'schedule', (pg_temp.s(p_pipe)).id, 'after_usec', sluice.to_usec(v_first), 'until_usec', pg_temp.now(),
                'next_usec', pg_temp.now() + 3600000000, 'last_usec', pg_temp.now(),
                'dues', (SELECT coalesce(jsonb_agg(jsonb_build_object('at_usec', pg_temp.now() - (a * 1000000)::int8, 'local_usec', pg_temp.now() - (a * 1000000)::int8 + 3600000000) ORDER BY a DESC), '[]') FROM unnest(p_ago) a)) || p_more));
        PERFORM api.tick();
END
$$;
-- 's: 30 run, 20 overlap', in seconds before that moment, the oldest first; ranges as 90-30x3.
CREATE FUNCTION pg_temp.dues(p_pipe text) RETURNS text LANGUAGE sql AS $$
        SELECT string_agg(concat_ws('', trim_scale(round(extract(epoch FROM pg_temp.at(0) - d.due_at))),
                                    '-' || trim_scale(round(extract(epoch FROM pg_temp.at(0) - d.until_at))) || 'x' || d.count,
                                    ' ', coalesce(d.skipped, (SELECT r.state FROM sluice.run r WHERE r.id = d.run),
                                                  CASE WHEN d.waits_for IS NOT NULL THEN 'queued' ELSE 'waiting' END)), ', ' ORDER BY d.due_at)
          FROM sluice.schedule_due d WHERE d.schedule = (pg_temp.s(p_pipe)).id
$$;
CREATE FUNCTION pg_temp.forget(p_pipe text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
        PERFORM api.run_cancel(t.h('owner'), r.id) FROM sluice.run r WHERE r.pipe = p_pipe AND r.ended_at IS NULL;
        DELETE FROM sluice.schedule_due WHERE schedule = (pg_temp.s(p_pipe)).id;
        UPDATE sluice.schedule SET paused_at = NULL, paused_by = NULL, paused_until = NULL, live_from = NULL WHERE pipe = p_pipe;
END
$$;
CREATE FUNCTION pg_temp.daily(p_more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
        SELECT jsonb_build_array('{"name": "s", "on_calendar": ["*-*-* 00:00:00"]}'::jsonb || p_more)
$$;

-- Deployment.
SELECT pg_temp.deploy('p', pg_temp.daily()) \g /dev/null
SELECT is((SELECT look_at <= clock_timestamp() AND next_at IS NULL AND policy = 'allow' FROM pg_temp.s('p')), true, 'a new one is looked at now');
SELECT is((api.schedule_list(t.h('viewer'), 'default', NULL, NULL, NULL) #>> '{items,0,name}'), 's', 'it is listed');
SELECT id AS s, after_at AS after FROM pg_temp.s('p') \gset
SELECT pg_temp.deploy('p', pg_temp.daily('{"missed_runs": "last"}'), '{"concurrency_policy": "forbid"}') \g /dev/null
SELECT is((SELECT (id, after_at, policy, spec ->> 'missed_runs')::text FROM pg_temp.s('p')), format('(%s,"%s",forbid,last)', :'s', :'after'),
          'another rule: the same schedule, whose times go on');
SELECT api.schedule_pause(t.h('operator'), 'default', 'p', 's', '{"reason": "audit"}') \g /dev/null
SELECT pg_temp.deploy('p', pg_temp.daily('{"time_zone": "Europe/London", "concurrency_policy": "queue"}')) \g /dev/null
SELECT is((SELECT (id = :'s', after_at > :'after', policy, pause_reason)::text FROM pg_temp.s('p')), '(t,t,queue,audit)',
          'other times: they begin now, and the pause stays');
SELECT pg_temp.deploy('p', '[]') \g /dev/null
SELECT is((SELECT (removed_at IS NOT NULL, look_at)::text FROM pg_temp.s('p')), '(t,)', 'one that is gone is not looked at');
SELECT is(api.schedule_list(t.h('viewer'), 'default', 'p', NULL, NULL) ->> 'items', '[]', 'nor listed');
SELECT isnt(api.schedule_get(t.h('viewer'), 'default', 'p', 's') ->> 'removed_at', NULL, 'but found');
SELECT pg_temp.deploy('p', pg_temp.daily()) \g /dev/null
SELECT is((SELECT (id = :'s', removed_at, pause_reason)::text FROM pg_temp.s('p')), '(t,,audit)', 'it comes back as what it was');

-- What its runs are given: its own values before the pipe's; days are those of the due time, in its zone.
SELECT pg_temp.deploy('zgiven', pg_temp.daily('{"time_zone": "Pacific/Kiritimati", "parameters": ["day=today", "note=a=b"]}'),
                      '{"parameters": [{"name": "day", "type": "date", "default": "yesterday"}, {"name": "note"}, {"name": "n", "default": "1"}]}') \g /dev/null
SELECT pg_temp.fire('zgiven', '{5}') \g /dev/null
SELECT is((SELECT jsonb_agg(concat_ws(' ', p ->> 'name', p ->> 'value', p ->> 'origin')) FROM sluice.run r, jsonb_array_elements(r.parameters) p WHERE r.pipe = 'zgiven'),
          jsonb_build_array(format('day %s schedule', (pg_temp.at(5) AT TIME ZONE 'Pacific/Kiritimati')::date), 'note a=b schedule', 'n 1 pipe'),
          'its runs have its values');
SELECT pg_temp.forget('zgiven') \g /dev/null
SELECT is(t.error(format('SELECT pg_temp.deploy(%L, pg_temp.daily(%L))', 'wrong', '{"parameters": ["Day"]}')), 'ZF400 bad-spec', 'which have names');

-- A due time whose moment has come before a worker looked is not lost when the times change.
SELECT pg_temp.deploy('late', pg_temp.daily()) \g /dev/null
UPDATE sluice.schedule SET next_at = pg_temp.at(5) WHERE pipe = 'late';
SELECT pg_temp.deploy('late', pg_temp.daily('{"cron": ["@hourly"]}')) \g /dev/null
SELECT is(pg_temp.dues('late'), '5 waiting', 'it is taken');
SELECT api.tick() \g /dev/null
SELECT is(pg_temp.dues('late'), '5 queued', 'and begins');
UPDATE sluice.schedule SET next_at = pg_temp.at(4) WHERE pipe = 'late';
SELECT pg_temp.deploy('late', '[]') \g /dev/null
SELECT is(pg_temp.dues('late'), '5 queued, 4 removed', 'or is skipped, where its schedule is gone');

-- What the database refuses.
SELECT throws_ok(format($$SELECT pg_temp.deploy('bad', %L, %L)$$, s, more), 'ZF400', words, words)
  FROM (VALUES ('[{"name": "A", "cron": ["@daily"]}]', '{}', '"A" is not a schedule name.'),
               ('[{"name": "a"}]', '{}', 'Schedule "a" must have expressions, or run after a pipe, or have an interval, and one of these only.'),
               ('[{"name": "a", "cron": ["@daily"]}, {"name": "a", "cron": ["@daily"]}]', '{}', 'A schedule is there twice.'),
               ('[{"name": "a", "cron": ["@daily"], "missed_runs": "some"}]', '{}', 'Member "missed_runs" must be one of none, last, all.'),
               ('[{"name": "a", "cron": ["@daily"], "starting_deadline_sec": "soon"}]', '{}', 'Member "starting_deadline_sec" is no time span.'),
               ('[{"name": "a", "cron": ["@daily"], "time_zone": "Europe/Londn"}]', '{}', 'There is no time zone "Europe/Londn".'),
               ('[{"name": "a", "on_calendar": ["*-*-* 00:00:00 CEST"]}]', '{}', 'There is no time zone "CEST".'),
               ('[{"name": "a", "cron": ["@daily"]}]', '{"type": "streaming"}', 'A streaming pipe has no schedules.')) v (s, more, words);

-- Whoever asks for due times has them alone, until ten seconds are over.
SELECT is(json_array_length(api.schedules_due(10) -> 'items'), 1, 'what is to be looked at is given to one');
SELECT is(api.schedules_due(10)::text, NULL, 'and to nobody else');
UPDATE sluice.schedule SET look_at = clock_timestamp() WHERE pipe = 'p';
SELECT is((SELECT array_agg(k ORDER BY k) FROM json_object_keys(api.schedules_due(10) #> '{items,0}') k), '{after_usec,last_usec,schedule,spec}',
          'until its time is over');

UPDATE sluice.schedule SET look_at = clock_timestamp() - interval '1 minute' WHERE pipe = 'p';
SELECT ok(api.tick() BETWEEN 900 AND 1000, 'what nobody looks at is asked for once a second');

-- On time, and missed.
SELECT pg_temp.forget('p') \g /dev/null
SELECT pg_temp.fire('p', '{7200, 3600, 40, 30, 1}') \g /dev/null
SELECT is(pg_temp.dues('p'), '7200-3600x2 missed, 40 queued, 30 queued, 1 queued', 'none: what is a minute late is skipped, and shown');
SELECT is((SELECT (next_at > clock_timestamp(), look_at = next_at, after_at)::text FROM pg_temp.s('p')), format('(t,t,"%s")', pg_temp.at(0)), 'the next one is awaited');
SELECT api.schedules_fire(jsonb_build_array(jsonb_build_object('schedule', :'s', 'after_usec', pg_temp.now() - 1, 'until_usec', pg_temp.now(),
                                                               'next_usec', NULL, 'dues', '[]'))) \g /dev/null
SELECT isnt((SELECT next_at FROM pg_temp.s('p')), NULL, 'who saw another moment changes nothing');
SELECT pg_temp.fire('p', '{30, 1}') \g /dev/null
SELECT is((SELECT count(*) FROM sluice.run WHERE pipe = 'p' AND scheduled_at IS NOT NULL), 3::int8, 'a due time that was there is not there again');
SELECT is((SELECT (created_by, schedule = :'s', state)::text FROM sluice.run WHERE pipe = 'p' AND scheduled_at = pg_temp.at(1)), '("schedule s",t,queued)',
          'a run names its schedule and its due time');
SELECT is(t.get(d.run) -> 'scheduled', jsonb_build_object('schedule', 's', 'due_at', sluice.rfc3339(d.due_at), 'interval_start', NULL, 'caused_by', NULL, 'caused_by_pipe', NULL), 'also to people')
  FROM sluice.schedule_due d WHERE d.schedule = :'s' AND d.due_at = pg_temp.at(1);
SELECT is(api.run_explain(t.h('viewer'), d.run) #>> '{scheduled,schedule}', 's', 'and in its explanation')
  FROM sluice.schedule_due d WHERE d.schedule = :'s' AND d.due_at = pg_temp.at(1);
SELECT throws_ok($$UPDATE sluice.schedule_due SET skipped = 'missed', reason = 'x' WHERE run IS NOT NULL$$, '23514', NULL, 'no due time has a run and a reason');

SELECT pg_temp.deploy('p', pg_temp.daily('{"missed_runs": "last"}')), pg_temp.forget('p') \g /dev/null
SELECT pg_temp.fire('p', '{7200, 3600, 1800, 30}') \g /dev/null
SELECT is(pg_temp.dues('p'), '7200-3600x2 missed, 1800 queued, 30 queued', 'last: of the missed ones the last');
SELECT pg_temp.deploy('p', pg_temp.daily('{"missed_runs": "all"}')), pg_temp.forget('p') \g /dev/null
SELECT pg_temp.fire('p', '{7200, 3600, 30}', jsonb_build_object('missed', jsonb_build_object(
        'from_usec', pg_temp.now() - 9000 * 1000000::int8, 'until_usec', pg_temp.now() - 7201 * 1000000::int8, 'count', 1799))) \g /dev/null
SELECT is(pg_temp.dues('p'), '9000-7201x1799 missed, 7200 queued, 3600 queued, 30 queued', 'all: those that a worker keeps');
SELECT pg_temp.deploy('p', pg_temp.daily('{"missed_runs": "all", "starting_deadline_sec": "1h"}')), pg_temp.forget('p') \g /dev/null
SELECT pg_temp.fire('p', '{7200, 3700, 3500}') \g /dev/null
SELECT is(pg_temp.dues('p'), '7200-3700x2 deadline, 3500 queued', 'no later than StartingDeadlineSec=');
SELECT pg_temp.deploy('p', pg_temp.daily('{"starting_deadline_sec": "1h"}')), pg_temp.forget('p') \g /dev/null
SELECT pg_temp.fire('p', '{3700, 3500, 1800}') \g /dev/null
SELECT is(pg_temp.dues('p'), '3700 deadline, 3500 queued, 1800 queued', 'which says by itself how late is on time');
SELECT pg_temp.deploy('p', pg_temp.daily('{"starting_deadline_sec": "10s"}')), pg_temp.forget('p') \g /dev/null
SELECT pg_temp.fire('p', '{30, 1}') \g /dev/null
SELECT is(pg_temp.dues('p'), '30 deadline, 1 queued', 'also less');

-- Those of which nothing is due are noted together; the others of the same call each by itself.
SELECT pg_temp.deploy('p', pg_temp.daily()), pg_temp.deploy('q', pg_temp.daily()), pg_temp.forget('p'), pg_temp.forget('q') \g /dev/null
UPDATE sluice.schedule SET after_at = pg_temp.at(100), next_at = NULL, error = 'x', error_at = now() WHERE pipe IN ('p', 'q');
SELECT api.schedules_fire(jsonb_build_array(
        jsonb_build_object('schedule', (pg_temp.s('p')).id, 'after_usec', pg_temp.now() - 100000000, 'until_usec', pg_temp.now(), 'next_usec', pg_temp.now() + 7200000000, 'dues', '[]'::jsonb),
        jsonb_build_object('schedule', (pg_temp.s('q')).id, 'after_usec', pg_temp.now() - 100000000, 'until_usec', pg_temp.now(), 'next_usec', pg_temp.now() + 7200000000,
                           'last_usec', pg_temp.now() - 1000000, 'dues', jsonb_build_array(jsonb_build_object('at_usec', pg_temp.now() - 1000000))))), api.tick() \g /dev/null
SELECT is((SELECT (after_at = pg_temp.at(0), next_at = pg_temp.at(-7200), look_at = next_at, error)::text FROM pg_temp.s(n)), '(t,t,t,)', n || ' is known up to now, and when it is next') FROM unnest(ARRAY['p', 'q']) n;
SELECT is(pg_temp.dues('p') IS NULL, true, 'nothing was due of one') UNION ALL SELECT is(pg_temp.dues('q'), '1 queued', 'and something of the other');
SELECT api.schedules_fire(jsonb_build_array(jsonb_build_object('schedule', (pg_temp.s('p')).id, 'after_usec', pg_temp.now() - 100000000, 'until_usec', pg_temp.now(), 'next_usec', NULL,
                                                               'dues', '[]'::jsonb))) \g /dev/null
SELECT isnt((SELECT next_at FROM pg_temp.s('p')), NULL, 'who is late with nothing changes nothing');

-- One that fails is in nobody's way, and says so.
SELECT pg_temp.deploy('p', pg_temp.daily()), pg_temp.deploy('q', pg_temp.daily()), pg_temp.forget('p'), pg_temp.forget('q') \g /dev/null
UPDATE sluice.schedule SET after_at = pg_temp.at(100) WHERE pipe IN ('p', 'q');
SELECT api.schedules_fire(jsonb_build_array(
        jsonb_build_object('schedule', (pg_temp.s('p')).id, 'after_usec', pg_temp.now() - 100000000, 'until_usec', pg_temp.now() + 3600000000, 'dues', '[]'),
        jsonb_build_object('schedule', (pg_temp.s('q')).id, 'after_usec', pg_temp.now() - 100000000, 'until_usec', pg_temp.now(), 'next_usec', NULL,
                           'dues', jsonb_build_array(jsonb_build_object('at_usec', pg_temp.now() - 1000000))))), api.tick() \g /dev/null
SELECT is(pg_temp.dues('q'), '1 queued', 'the other has its run');
SELECT is((SELECT (next_at, look_at > clock_timestamp() + interval '23 hours')::text FROM pg_temp.s('q')), '(,t)', 'what is never due again is looked at once a day');
SELECT matches(api.schedule_get(t.h('viewer'), 'default', 'p', 's') ->> 'error', '^Its due times cannot be taken: Schedule .* which it is not', 'no moment that has not come');
SELECT pg_temp.fire('p', '{}', '{"error": "There is no time zone."}') \g /dev/null
SELECT is(api.schedule_get(t.h('viewer'), 'default', 'p', 's') ->> 'error', 'There is no time zone.', 'a worker says what is wrong');
SELECT pg_temp.fire('p', '{1}') \g /dev/null
SELECT is(api.schedule_get(t.h('viewer'), 'default', 'p', 's') ->> 'error', NULL, 'until it is not any more');

-- Overlap. A person's run is one, too.
SELECT pg_temp.deploy('p', pg_temp.daily('{"concurrency_policy": "forbid"}')), pg_temp.forget('p') \g /dev/null
SELECT pg_temp.fire('p', '{30, 20, 10}') \g /dev/null
SELECT is(pg_temp.dues('p'), '30 queued, 20-10x2 overlap', 'forbid: one at a time, and what is skipped in a row is one row');
SELECT is((SELECT reason FROM sluice.schedule_due WHERE schedule = :'s' AND due_at = pg_temp.at(20)),
          format('run %s of the pipe was not over', (SELECT run FROM sluice.schedule_due WHERE schedule = :'s' AND due_at = pg_temp.at(30))), 'it names the other run');
SELECT pg_temp.forget('p'), t.run('p') AS mine \gset
SELECT pg_temp.fire('p', '{30}') \g /dev/null
SELECT is(pg_temp.dues('p'), '30 overlap', 'forbid: beside a run of a person, too');
SELECT api.run_cancel(t.h('owner'), :'mine') \g /dev/null
SELECT pg_temp.fire('p', '{20}') \g /dev/null
SELECT is(pg_temp.dues('p'), '30 overlap, 20 queued', 'and after it');

SELECT pg_temp.deploy('p', pg_temp.daily('{"concurrency_policy": "queue"}')), pg_temp.forget('p'), t.run('p') AS mine \gset
SELECT pg_temp.fire('p', '{30, 20}') \g /dev/null
SELECT is((SELECT string_agg((waits_for = :'mine')::text, ' ') FROM sluice.schedule_due WHERE schedule = :'s'), 'true true', 'queue: they wait for the run');
SELECT is(api.schedule_dues(t.h('viewer'), 'default', 'p', 's', 1, NULL) #>> '{items,0,reason}', format('waits for the end of run %s', :'mine'), 'and say so');
SELECT ok(api.tick() > 1000, 'nobody looks again and again meanwhile');
SELECT api.run_cancel(t.h('owner'), :'mine'), api.tick() \g /dev/null
SELECT is((SELECT string_agg(coalesce(r.state, 'waits ' || (d.waits_for = o.run)), ', ' ORDER BY d.due_at)
             FROM sluice.schedule_due d LEFT JOIN sluice.run r ON r.id = d.run
             LEFT JOIN sluice.schedule_due o ON o.schedule = d.schedule AND o.due_at = pg_temp.at(30)
            WHERE d.schedule = :'s'), 'queued, waits true', 'then the first of them begins, and the other waits for it');
SELECT pg_temp.forget('p') \g /dev/null
SELECT t.run('p') AS mine \gset
SELECT pg_temp.fire('p', (SELECT array_agg(n::numeric / 10) FROM generate_series(1, 102) n)) \g /dev/null
SELECT api.tick() \g /dev/null
SELECT is((SELECT string_agg(w || ' ' || n, ', ' ORDER BY w) FROM (SELECT coalesce(skipped, 'waits') AS w, sum(count) AS n FROM sluice.schedule_due
            WHERE schedule = :'s' GROUP BY 1) x), 'queue-full 2, waits 100', 'a hundred wait, and no more');

SELECT pg_temp.deploy('p', pg_temp.daily('{"concurrency_policy": "replace"}')), pg_temp.forget('p') \g /dev/null
SELECT t.run('p') AS mine \gset
SELECT pg_temp.fire('p', '{30}') \g /dev/null
SELECT matches(t.get(:'mine') ->> 'reason', '^replaced by the run of schedule s that was due at ', 'replace: the one before is cancelled, with the reason');
SELECT is(pg_temp.dues('p'), '30 queued', 'and the next begins at once where that had not begun');
SELECT pg_temp.forget('p'), t.agent('n1', 200) \g /dev/null
SELECT t.run('p') AS mine \gset
SELECT t.sync('n1') \g /dev/null
SELECT pg_temp.fire('p', '{30}') \g /dev/null
SELECT is((SELECT (waits_for = :'mine')::text FROM sluice.schedule_due WHERE schedule = :'s'), 'true', 'else when that is over');
SELECT pg_temp.fire('p', '{10}') \g /dev/null
SELECT is((SELECT string_agg(coalesce(skipped, 'waits'), ', ' ORDER BY due_at) FROM sluice.schedule_due WHERE schedule = :'s'), 'replaced, waits',
          'a later one takes the place of one that waits');
SELECT t.events('n1', t.event(a.id, a.epoch, 'ended', '{"result": "signal", "exit_code": "killed", "exit_status": 15}')) FROM sluice.attempts_of(:'mine') a \g /dev/null
SELECT api.tick() \g /dev/null
SELECT is((SELECT string_agg(coalesce(skipped, (run IS NOT NULL)::text), ', ' ORDER BY due_at) FROM sluice.schedule_due WHERE schedule = :'s'), 'replaced, true', 'its end lets it begin');

-- Pauses.
SELECT pg_temp.deploy('p', pg_temp.daily('{"missed_runs": "all"}')), pg_temp.forget('p') \g /dev/null
SELECT is(api.schedule_pause(t.h('operator'), 'default', 'p', 's', '{"reason": "moving"}') #>> '{paused,reason}', 'moving', 'a pause has a reason');
SELECT pg_temp.fire('p', '{30, 20, 10}') \g /dev/null
SELECT is(pg_temp.dues('p'), '30-10x3 paused', 'paused: nothing begins, and that is shown');
SELECT is((SELECT reason FROM sluice.schedule_due WHERE schedule = :'s'), 'paused by operator: moving', 'with who and why');
SELECT pg_temp.forget('p') \g /dev/null
UPDATE sluice.schedule SET paused_at = pg_temp.at(7200), paused_by = 'x', paused_until = pg_temp.at(1800) WHERE pipe = 'p';
SELECT pg_temp.fire('p', '{9000, 7000, 3600, 1900, 1700, 30}') \g /dev/null
SELECT is(pg_temp.dues('p'), '9000 queued, 7000-1900x3 paused, 1700 queued, 30 queued', 'what was due in a pause does not run after it, whenever it is seen');
SELECT is(api.schedule_get(t.h('viewer'), 'default', 'p', 's') ->> 'paused', NULL, 'a pause ends by itself');
SELECT api.schedule_pause(t.h('operator'), 'default', 'p', 's', '{"duration_sec": 3600}') \g /dev/null
SELECT is(api.schedule_resume(t.h('operator'), 'default', 'p', 's') ->> 'paused', NULL, 'or is ended');
SELECT throws_ok($$SELECT api.schedule_pause(t.h('operator'), 'default', 'p', 's', '{"duration_sec": 0}')$$, 'ZF400', NULL, 'some time, or until resumed');
SELECT throws_ok($$SELECT api.schedule_pause(t.h('viewer'), 'default', 'p', 's', '{}')$$, 'ZF403', NULL, 'not for a viewer');
SELECT throws_ok($$SELECT api.schedule_get(t.h('viewer'), 'default', 'p', 'z')$$, 'ZF404', 'Pipe "p" has no schedule "z".', 'one that is not there');

SELECT pg_temp.deploy('p', pg_temp.daily('{"concurrency_policy": "queue"}')), pg_temp.forget('p') \g /dev/null
SELECT t.run('p') AS mine \gset
SELECT pg_temp.fire('p', '{30, 20}') \g /dev/null
SELECT is(pg_temp.dues('p'), '30 queued, 20 queued', 'what waits for its turn');
SELECT api.schedule_pause(t.h('operator'), 'default', 'p', 's', '{"reason": "moving"}'), api.schedule_resume(t.h('operator'), 'default', 'p', 's') \g /dev/null
SELECT is(pg_temp.dues('p') || (SELECT coalesce(' ' || max(reason), '') FROM sluice.schedule_due WHERE schedule = :'s'), '30-20x2 paused paused by operator: moving', 'is skipped with the pause, however short that is');
SELECT t.events('n1', t.success(a.id, a.epoch)) FROM sluice.attempts_of(:'mine') a \g /dev/null
SELECT api.tick() \g /dev/null
SELECT is(pg_temp.dues('p'), '30-20x2 paused', 'and does not begin after it');

-- Blackouts, as a worker says them.
SELECT pg_temp.deploy('p', pg_temp.daily('{"blackout": ["*-12-24"], "missed_runs": "all"}')), pg_temp.forget('p') \g /dev/null
SELECT pg_temp.fire('p', '{30}', jsonb_build_object('next_blackout', '*-12-24', 'dues', jsonb_build_array(
        jsonb_build_object('at_usec', pg_temp.now() - 30000000), jsonb_build_object('at_usec', pg_temp.now() - 20000000, 'blackout', '*-12-24'),
        jsonb_build_object('at_usec', pg_temp.now() - 10000000, 'blackout', '*-12-24')))) \g /dev/null
SELECT is(pg_temp.dues('p'), '30 queued, 20-10x2 blackout', 'on days of a blackout nothing begins');
SELECT is((SELECT reason FROM sluice.schedule_due WHERE skipped = 'blackout'), 'Blackout=*-12-24', 'which names it');
SELECT is(api.schedule_get(t.h('viewer'), 'default', 'p', 's') ->> 'next_blackout', '*-12-24', 'the next due time says so before');
SELECT throws_ok($$SELECT pg_temp.deploy('q', '[{"name": "s", "after_pipe": ["p"], "blackout": ["*-12-24"]}]')$$, 'ZF400', 'Schedule "s" has no due times that a blackout could be about.', 'only of due times');

-- Delays are stable, spread, and bounded.
SELECT pg_temp.deploy('p', pg_temp.daily('{"randomized_delay_sec": "10min"}')), pg_temp.forget('p') \g /dev/null
SELECT pg_temp.fire('p', '{1}') \g /dev/null
SELECT is((SELECT begin_at = due_at + sluice.due_delay(pg_temp.s('p'), due_at) FROM sluice.schedule_due WHERE schedule = :'s'), true, 'it begins later, as much later as it always would');
SELECT ok(min(d) >= interval '0' AND max(d) < interval '10 minutes' AND max(d) - min(d) > interval '9 minutes' AND count(DISTINCT d) > 190, 'delays are spread')
  FROM (SELECT sluice.due_delay(pg_temp.s('p'), pg_temp.at(n)) AS d FROM generate_series(1, 200) n) x;
SELECT pg_temp.deploy('p', pg_temp.daily('{"randomized_delay_sec": "10min", "fixed_random_delay": true}')) \g /dev/null
SELECT is(count(DISTINCT sluice.due_delay(pg_temp.s('p'), pg_temp.at(n))), 1::int8, 'or always the same') FROM generate_series(1, 200) n;
SELECT ok(sluice.due_delay(pg_temp.s('p'), pg_temp.at(1)) <> sluice.due_delay(pg_temp.s('q'), pg_temp.at(1)) IS NOT FALSE, 'of each schedule');

-- Lists go on.
SELECT pg_temp.deploy('p', pg_temp.daily()), pg_temp.forget('p') \g /dev/null
SELECT pg_temp.fire('p', '{30, 20, 10}') \g /dev/null
SELECT is((api.schedule_dues(t.h('viewer'), 'default', 'p', 's', 2, NULL) ->> 'next')::timestamptz, pg_temp.at(20), 'a page says where the next begins');
SELECT is(json_array_length(api.schedule_dues(t.h('viewer'), 'default', 'p', 's', 2, pg_temp.at(20)) -> 'items'), 1, 'which has the rest');
SELECT is(api.schedule_list(t.h('viewer'), 'default', NULL, 1, NULL) ->> 'next', 'p/s', 'so do schedules');
SELECT is(api.schedule_list(t.h('viewer'), 'default', NULL, 1, 'p/s') #>> '{items,0,pipe}', 'q', 'of other pipes');

-- What its tasks have in their environment.
SELECT pg_temp.deploy('env', pg_temp.daily()) \g /dev/null
UPDATE sluice.schedule SET after_at = '2024-03-30 12:00Z' WHERE pipe = 'env';
SELECT api.schedules_fire(jsonb_build_array(jsonb_build_object(
        'schedule', (pg_temp.s('env')).id, 'after_usec', sluice.to_usec('2024-03-30 12:00Z'), 'until_usec', pg_temp.now(), 'next_usec', NULL, 'dues', jsonb_build_array(
                jsonb_build_object('at_usec', pg_temp.now(), 'local_usec', pg_temp.now() - 12600000000,
                                   'start_usec', sluice.to_usec('2024-03-31 00:30Z'), 'start_local_usec', sluice.to_usec('2024-03-31 02:30Z')))))), api.tick() \g /dev/null
SELECT is((SELECT v FROM (SELECT x -> 'variables' AS v FROM jsonb_array_elements(t.sync('n1') -> 'start') x WHERE x ->> 'pipe' = 'env') y),
          jsonb_build_object('SLUICE_SCHEDULE', 's', 'SLUICE_SCHEDULED_AT', to_char(pg_temp.at(0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                             'SLUICE_INTERVAL_END', to_char(pg_temp.at(0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                             'SLUICE_SCHEDULED_AT_LOCAL', to_char((pg_temp.at(0) - interval '3.5 hours') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"-03:30"'),
                             'SLUICE_INTERVAL_END_LOCAL', to_char((pg_temp.at(0) - interval '3.5 hours') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"-03:30"'),
                             'SLUICE_INTERVAL_START', '2024-03-31T00:30:00Z', 'SLUICE_INTERVAL_START_LOCAL', '2024-03-31T02:30:00+02:00'), 'a task is told its time and interval');
SELECT is(sluice.time_words('2024-03-31 00:30:00.25Z'), '2024-03-31T00:30:00.250000Z', 'with fractions where there are some');

-- Zones.
SELECT is((SELECT string_agg(coalesce(i ->> 'error', (json_array_length(i -> 'transitions') > 50)::text), ', ' ORDER BY n)
             FROM json_array_elements(api.zones('{Europe/London,Nowhere}') -> 'items') WITH ORDINALITY x (i, n)), 'true, There is no time zone "Nowhere".', 'zones come as tables');
SELECT throws_ok($$SELECT api.zone_get(t.h('viewer'), 'CEST')$$, 'ZF400', 'There is no time zone "CEST".', 'or are refused');
SELECT is(api.zone_get(t.h('viewer'), 'UTC') ->> 'name', 'UTC', 'one by one as well');
SELECT * FROM finish();
