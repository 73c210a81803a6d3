-- Graphs of up to 200 tasks, made by chance, whose tasks succeed, fail, find nothing to do, or fail and succeed in the next try: the
-- same tasks run, are skipped and fail as by an evaluation that knows all ends beforehand, and none runs twice. What is reported is
-- reported one by one or many at once, and now and then again.
SET search_path = tap, public;
SELECT no_plan();
SELECT t.agent('one', 64) \g /dev/null
SELECT t.sync('one') \g /dev/null

-- How each task will end, how often it fails before, and what it comes after: earlier ones only, so there is no circle.
CREATE TABLE pg_temp.node (n int PRIMARY KEY, fate text, failures int, after int[], after_failure int[], after_any int[], state text, tries int);

CREATE FUNCTION pg_temp.some_before(p_n int, p_most int) RETURNS int[] LANGUAGE sql VOLATILE AS $$
        SELECT coalesce(array_agg(DISTINCT 1 + floor(random() * (p_n - 1))::int), '{}')
          FROM generate_series(1, floor(random() ^ 2 * (p_most + 1))::int) WHERE p_n > 1
$$;
CREATE FUNCTION pg_temp.draw(p_size int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
        TRUNCATE pg_temp.node;
        INSERT INTO pg_temp.node (n, fate, failures, after, after_failure, after_any)
        SELECT n, CASE WHEN x < 0.70 THEN 'success' WHEN x < 0.90 THEN 'exit-code' WHEN x < 0.95 THEN 'oom-kill' ELSE 'exec-condition' END,
               CASE WHEN y < 0.1 THEN 1 ELSE 0 END, pg_temp.some_before(n, 3),
               CASE WHEN random() < 0.3 THEN pg_temp.some_before(n, 4) ELSE '{}' END,
               CASE WHEN random() < 0.2 THEN pg_temp.some_before(n, 3) ELSE '{}' END
          FROM (SELECT n, random() AS x, random() AS y FROM generate_series(1, p_size) n) s;
        UPDATE pg_temp.node SET failures = 2 WHERE fate IN ('exit-code', 'oom-kill') AND failures = 1; -- one more than it has tries
END
$$;

-- What must become of each task: from the first to the last, by the rules of sluice.pipe(5).
CREATE FUNCTION pg_temp.foresee() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
        v pg_temp.node;
        v_state jsonb := '{}';
        v_now text;
BEGIN
        FOR v IN SELECT * FROM pg_temp.node ORDER BY n LOOP
                v_now := CASE v.fate WHEN 'success' THEN 'succeeded' WHEN 'exec-condition' THEN 'skipped' ELSE 'failed' END;
                IF EXISTS (SELECT FROM unnest(v.after) a WHERE v_state ->> a::text <> 'succeeded')
                   OR v.after_failure <> '{}' AND NOT EXISTS (SELECT FROM unnest(v.after_failure) a WHERE v_state ->> a::text = 'failed') THEN
                        UPDATE pg_temp.node SET state = 'skipped', tries = 0 WHERE n = v.n;
                        v_state := v_state || jsonb_build_object(v.n, 'skipped');
                ELSE
                        UPDATE pg_temp.node SET state = v_now, tries = CASE WHEN v.failures = 0 THEN 1 ELSE 2 END WHERE n = v.n;
                        v_state := v_state || jsonb_build_object(v.n, v_now);
                END IF;
        END LOOP;
END
$$;

CREATE FUNCTION pg_temp.names(p_numbers int[]) RETURNS jsonb LANGUAGE sql AS $$
        SELECT coalesce(jsonb_agg('t' || n), '[]') FROM unnest(p_numbers) n
$$;
CREATE FUNCTION pg_temp.deploy() RETURNS void LANGUAGE sql AS $$
        SELECT t.pipe('graph', '{x}', jsonb_build_object('tasks', (
                SELECT jsonb_agg(jsonb_build_object('name', 't' || n, 'after', pg_temp.names(after), 'after_failure', pg_temp.names(after_failure),
                                        'after_any', pg_temp.names(after_any), 'directives', '[["ExecStart", "/bin/true"]]'::jsonb)
                                 || CASE WHEN failures > 0 THEN '{"retry": 1, "retry_backoff_sec": "1h"}' ELSE '{}'::jsonb END
                                 || CASE WHEN random() < 0.3 THEN '{"agent_selector": [{"key": "none", "operator": "absent", "values": []}]}' ELSE '{}'::jsonb END ORDER BY n)
                  FROM pg_temp.node)))
$$;

-- Plays the run: what runs ends, in any order, until nothing runs and nothing is due. Answers how many steps that took.
CREATE FUNCTION pg_temp.play(p_run uuid) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
        v_steps int := 0;
        v_events jsonb[];
BEGIN
        LOOP
                SELECT array_agg(x.event) INTO v_events
                  FROM (SELECT t.event(a.id, a.epoch, 'ended', CASE WHEN a.try = 1 AND n.failures > 0 THEN '{"result": "exit-code", "exit_code": "exited", "exit_status": 9}'
                                        ELSE jsonb_build_object('result', n.fate) END) AS event
                          FROM sluice.attempt a JOIN pg_temp.node n ON 't' || n.n = a.task
                         WHERE a.run = p_run AND a.state = 'assigned' ORDER BY random() LIMIT 1 + floor(random() ^ 3 * 32)::int) x;
                IF v_events IS NULL THEN
                        UPDATE sluice.task SET retry_at = clock_timestamp() WHERE run = p_run AND retry_at IS NOT NULL;
                        EXIT WHEN NOT FOUND;
                        PERFORM api.tick();
                        CONTINUE;
                END IF;
                PERFORM t.events('one', VARIADIC v_events);
                IF random() < 0.3 THEN
                        PERFORM t.events('one', VARIADIC v_events);
                        PERFORM api.tick(), api.dispatch();
                END IF;
                v_steps := v_steps + 1;
        END LOOP;
        RETURN v_steps;
END
$$;

-- Seeds of which a run was not what it should be, and how.
CREATE FUNCTION pg_temp.wrong(p_seeds int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
        v_run uuid;
BEGIN
        FOR v_seed IN 1 .. p_seeds LOOP
                PERFORM setseed(v_seed / 1e6), pg_temp.draw(CASE WHEN v_seed % 20 = 0 THEN 200 ELSE 1 + floor(random() ^ 2 * 60)::int END), pg_temp.foresee(), pg_temp.deploy();
                v_run := t.run('graph');
                PERFORM pg_temp.play(v_run);
                RETURN QUERY
                SELECT format('seed %s: task t%s is %s after %s attempts, and should be %s after %s', v_seed, n.n, t.state, a.count, n.state, n.tries)
                  FROM pg_temp.node n JOIN sluice.task t ON t.run = v_run AND t.name = 't' || n.n
                 CROSS JOIN LATERAL (SELECT count(*) FROM sluice.attempt a WHERE a.run = v_run AND a.task = t.name) a
                 WHERE (t.state, a.count) IS DISTINCT FROM (n.state, n.tries::bigint);
                RETURN QUERY
                SELECT format('seed %s: the run is %s', v_seed, r.state) FROM sluice.run r
                 WHERE r.id = v_run AND r.state <> CASE WHEN EXISTS (SELECT FROM pg_temp.node n WHERE n.state = 'failed') THEN 'failed' ELSE 'succeeded' END;
        END LOOP;
END
$$;
SELECT is(string_agg(w, E'\n'), NULL, '60 graphs run as they should') FROM pg_temp.wrong(60) w;
SELECT is((SELECT count(*) FROM sluice.queue) + (SELECT count(*) FROM sluice.assignment), 0::bigint, 'and leave nothing behind');
SELECT ok(count(*) FILTER (WHERE state = 'skipped') > 50 AND count(*) FILTER (WHERE state = 'failed') > 50 AND count(*) FILTER (WHERE state = 'succeeded') > 500,
          'of all sorts: ' || string_agg(DISTINCT state, ', ')) FROM sluice.task;
SELECT * FROM finish();
