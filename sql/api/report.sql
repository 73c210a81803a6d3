-- What agents report, many events of many agents at once. Nearly all of it is as it should be: an attempt begins, ends, has its
-- log; that is done with one statement for each table. Whatever is not (late, repeated, refused, unknown) is left to
-- sluice.event_apply(), event by event, with all that concerns the same run. Runs do not concern each other.
SET LOCAL check_function_bodies = off;

-- The events of requests that say nothing wrong. Those of a request with anything doubtful are left out, and it is named in
-- `doubtful`: sluice.event_parse() finds the words for it.
CREATE OR REPLACE FUNCTION sluice.reports_read(p_requests jsonb, p_instances uuid[], OUT reports sluice.report[], OUT doubtful int[])
LANGUAGE plpgsql STABLE AS $$
BEGIN
        WITH said AS MATERIALIZED (
                SELECT r.n::int AS request, r.value, p_instances[r.n] AS instance,
                       p_instances[r.n] IS NOT NULL
                       AND length(r.value ->> 'session') = 36 AND (r.value ->> 'session')::uuid IS NOT NULL
                       AND CASE WHEN jsonb_typeof(r.value -> 'events') = 'array' THEN jsonb_array_length(r.value -> 'events') <= 64 END
                       -- A cast would take a number in quotes for a number.
                       AND NOT jsonb_path_exists(r.value, '$.events[*].* ? (@.type() == "string" && @ like_regex "^\\s*[-+]?[0-9.eE]+\\s*$")')
                       IS TRUE AS fine
                  FROM jsonb_array_elements(p_requests) WITH ORDINALITY r (value, n)
        ), event AS MATERIALIZED (
                SELECT s.request, s.instance, e.*,
                       CASE WHEN e.state = 'cleaned' THEN length(e.run) = 36
                            ELSE e.state IN ('running', 'status', 'stuck', 'ended', 'refused', 'logged') AND length(e.attempt) = 36 AND e.epoch >= 0
                                 AND (e.result IS NOT NULL OR e.state <> 'ended') END
                       AND coalesce(e.result ~ '^[a-z][a-z-]{0,63}$', true)
                       AND (e.state <> 'logged' OR e.sequence IS NOT NULL)
                       AND coalesce(e.exit_code IN ('exited', 'killed', 'dumped'), true)
                       AND coalesce(e.exit_status <= 65535, true)
                       AND coalesce(jsonb_typeof(e.invocation_id) = 'string' AND length(e.invocation_id #>> '{}') <= 64, true)
                       AND coalesce(jsonb_typeof(e.slice) = 'string' AND length(e.slice #>> '{}') <= 255, true)
                       AND coalesce(jsonb_typeof(e.reason) = 'string' AND length(e.reason #>> '{}') <= 65536, true)
                       AND coalesce(jsonb_typeof(e.requeue) = 'boolean', true)
                       AND coalesce(jsonb_typeof(e.ready) = 'boolean', true)
                       AND coalesce(jsonb_typeof(e.output) = 'object', true)
                       AND coalesce(jsonb_typeof(e.status_text) = 'string' AND length(e.status_text #>> '{}') <= 65536, true)
                       AND coalesce(least(e.realtime_usec, e.sequence, e.exit_status, e.runtime_usec, e.cpu_usage_usec, e.memory_peak_bytes,
                                          e.io_read_bytes, e.io_write_bytes, e.oom_kills, e.memory_max_bytes, e.cpu_quota_per_sec_usec,
                                          e.tasks_max, e.restarts) >= 0, true) AS fine
                  FROM said s
                 CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(CASE WHEN s.fine THEN s.value -> 'events' ELSE '[]' END) AS (
                        state text, attempt text, epoch int, run text, realtime_usec int8, sequence int, result text, exit_code text,
                        exit_status int, reason jsonb, invocation_id jsonb, slice jsonb, requeue jsonb, runtime_usec int8,
                        cpu_usage_usec int8, memory_peak_bytes int8, io_read_bytes int8, io_write_bytes int8, oom_kills int8,
                        memory_max_bytes int8, cpu_quota_per_sec_usec int8, tasks_max int8, restarts int8, status_text jsonb,
                        ready jsonb, output jsonb)) WITH ORDINALITY
                       e (state, attempt, epoch, run, realtime_usec, sequence, result, exit_code, exit_status, reason, invocation_id, slice,
                          requeue, runtime_usec, cpu_usage_usec, memory_peak_bytes, io_read_bytes, io_write_bytes, oom_kills,
                          memory_max_bytes, cpu_quota_per_sec_usec, tasks_max, restarts, status_text, ready, output, place)
        ), bad AS MATERIALIZED (
                SELECT request FROM said WHERE fine IS NOT TRUE
                UNION
                SELECT request FROM event WHERE fine IS NOT TRUE
        )
        SELECT (SELECT array_agg((g.n, g.request, g.place, g.instance, g.state, g.attempt, g.epoch, g.run, g.sequence, g.result,
                                  g.exit_code, g.exit_status, left(g.reason #>> '{}', 1024), g.invocation_id #>> '{}', g.slice #>> '{}',
                                  g.runtime_usec, g.cpu_usage_usec, g.memory_peak_bytes, g.io_read_bytes, g.io_write_bytes,
                                  g.oom_kills, g.memory_max_bytes, g.cpu_quota_per_sec_usec, g.tasks_max,
                                  g.restarts, left(g.status_text #>> '{}', 1024), (g.ready #>> '{}')::boolean, g.output)::sluice.report ORDER BY g.n)
                  FROM (SELECT row_number() OVER (ORDER BY e.request, e.place) AS n, e.* FROM event e
                         WHERE e.request NOT IN (SELECT b.request FROM bad b)) g),
               ARRAY(SELECT b.request FROM bad b ORDER BY b.request)
          INTO reports, doubtful;
        reports := coalesce(reports, '{}');
EXCEPTION
        -- No such number, no such identifier, no such array: somewhere.
        WHEN data_exception THEN
                reports := '{}';
                doubtful := ARRAY(SELECT n::int FROM jsonb_array_elements(p_requests) WITH ORDINALITY r (value, n));
END
$$;

-- The events of one request, read by the letter: this refuses what is wrong.
CREATE OR REPLACE FUNCTION sluice.reports_read_strictly(p_request jsonb, p_instance uuid) RETURNS sluice.report[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_events jsonb := sluice.json_array(p_request, 'events', 64, true);
BEGIN
        PERFORM sluice.json_uuid(p_request, 'session', true);

        RETURN coalesce((
                SELECT array_agg(jsonb_populate_record(NULL::sluice.report, v.event || jsonb_build_object(
                                'n', e.n, 'request', 1, 'place', e.n, 'instance', p_instance)) ORDER BY e.n)
                  FROM jsonb_array_elements(v_events) WITH ORDINALITY e (value, n)
                 CROSS JOIN LATERAL (SELECT sluice.event_parse(e.value) AS event) v), '{}');
END
$$;

-- Takes in what p_reports say. early: those that are not to be acknowledged, since chunks of their log are missing. repeated:
-- instances that have repeated something. runs: of each report. changed: runs that are to be advanced. touched: runs of which
-- something else has changed. requeued: runs. freed: instances that have a seat more. The locks of the runs stay with the caller.
CREATE OR REPLACE FUNCTION sluice.reports_apply(p_reports sluice.report[], p_requests jsonb, p_void int[], OUT early int[],
                                                OUT repeated uuid[], OUT runs uuid[], OUT changed uuid[], OUT touched uuid[], OUT requeued uuid[], OUT freed uuid[])
LANGUAGE plpgsql SET enable_seqscan = off SET enable_indexscan = off SET enable_indexonlyscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
        v_runs uuid[];
        v_plain boolean[];
        v sluice.report;
        v_event jsonb;
        v_task_runs uuid[];
        v_tasks text[];
        v_outcomes text[];
        v_statuses int[];
        v_again timestamptz[]; -- those that are tried again
        v_some boolean;
        v_rest boolean;
        v_fate text;
BEGIN
        v_runs := ARRAY(SELECT a.run FROM (SELECT DISTINCT e.attempt FROM unnest(p_reports) e) e
                         CROSS JOIN LATERAL (SELECT a.run FROM sluice.attempt a WHERE a.id = e.attempt OFFSET 0) a);
        PERFORM FROM sluice.run r WHERE r.id = ANY (v_runs) ORDER BY r.id FOR NO KEY UPDATE;

        WITH said AS MATERIALIZED (
                SELECT e.n, e.state, a.run,
                       a.instance = e.instance AND a.epoch = e.epoch AND x.recover IS NOT TRUE AND x.interrupt IS NOT TRUE
                       AND CASE e.state
                           WHEN 'running' THEN a.ended_at IS NULL AND a.started_at IS NULL
                           WHEN 'ended' THEN a.ended_at IS NULL AND e.result NOT IN ('lost', 'fenced') AND e.output IS NULL
                           WHEN 'logged' THEN NOT a.log_complete AND (e.sequence = 0 OR EXISTS (
                                SELECT FROM sluice.log_chunk c WHERE c.attempt = e.attempt AND c.epoch = e.epoch AND c.sequence >= e.sequence))
                           ELSE false END
                       AND count(*) OVER (PARTITION BY e.attempt, e.state) = 1
                       AND (e.state <> 'running' OR coalesce(min(e.n) FILTER (WHERE e.state = 'ended') OVER (PARTITION BY e.attempt) > e.n, true))
                       AS plain
                  FROM unnest(p_reports) e
                  LEFT JOIN LATERAL (SELECT * FROM sluice.attempt a WHERE a.id = e.attempt OFFSET 0) a ON true
                  LEFT JOIN LATERAL (SELECT * FROM sluice.assignment x WHERE x.attempt = e.attempt OFFSET 0) x ON true
        )
        SELECT array_agg(s.run ORDER BY s.n), array_agg(s.plain ORDER BY s.n), bool_or(s.plain), bool_or(NOT s.plain AND s.state <> 'cleaned')
          INTO runs, v_plain, v_some, v_rest
          FROM (SELECT n, state, run, run IS NOT NULL AND bool_and(coalesce(plain, false)) OVER (PARTITION BY run) AS plain FROM said) s;

        early := '{}';
        repeated := '{}';
        changed := '{}';
        touched := '{}';
        requeued := '{}';
        freed := '{}';

        IF EXISTS (SELECT FROM unnest(p_reports) e WHERE e.state = 'cleaned') THEN
                DELETE FROM sluice.cleanup c
                 WHERE c.instance = ANY (ARRAY(SELECT DISTINCT e.instance FROM unnest(p_reports) e WHERE e.state = 'cleaned'))
                   AND (c.instance, c.run) IN (
                        SELECT e.instance, e.run FROM unnest(p_reports) e
                          JOIN sluice.instance i ON i.id = e.instance -- a power cut may have brought back what an earlier start removed
                                                AND i.session = (p_requests #>> ARRAY[(e.request - 1)::text, 'session'])::uuid
                         WHERE e.state = 'cleaned' OFFSET 0);
        END IF;

        IF v_rest THEN
                FOREACH v IN ARRAY p_reports LOOP
                        CONTINUE WHEN v_plain[v.n] OR v.state = 'cleaned';
                        v_event := sluice.event_parse(p_requests -> v.request - 1 -> 'events' -> v.place - 1);

                        IF v.state = 'refused' AND v.request = ANY (p_void) THEN
                                PERFORM sluice.evidence_add(v.instance, v_event, 'superseded');
                                CONTINUE;
                        END IF;

                        v_fate := sluice.event_apply(v.instance, v_event);
                        early := early || CASE v_fate WHEN 'early' THEN ARRAY[v.n] END;
                        repeated := repeated || CASE v_fate WHEN 'repeat' THEN ARRAY[v.instance] END;
                        CONTINUE WHEN v_fate NOT IN ('applied', 'requeued');
                        changed := changed || runs[v.n];
                        requeued := requeued || CASE v_fate WHEN 'requeued' THEN ARRAY[runs[v.n]] END;
                        freed := freed || CASE WHEN v.state IN ('ended', 'refused') THEN ARRAY[v.instance] END;
                END LOOP;
        END IF;

        IF v_some IS NOT TRUE THEN
                RETURN;
        END IF;

        WITH one AS MATERIALIZED (
                SELECT e.attempt, (array_agg(e.instance))[1] AS instance, (array_agg(e) FILTER (WHERE e.state = 'running'))[1] AS r,
                       (array_agg(e) FILTER (WHERE e.state = 'ended'))[1] AS e, (array_agg(e) FILTER (WHERE e.state = 'logged'))[1] AS l
                  FROM unnest(p_reports) e WHERE v_plain[e.n] GROUP BY e.attempt
        ), attempt AS (
                UPDATE sluice.attempt a
                   SET state = CASE WHEN (o.e).n IS NOT NULL THEN 'ended'
                                    WHEN (o.r).n IS NOT NULL AND a.state = 'assigned' THEN 'running' ELSE a.state END,
                       started_at = CASE WHEN (o.r).n IS NOT NULL OR (o.e).n IS NOT NULL
                                         THEN coalesce(a.started_at, clock_timestamp()) ELSE a.started_at END,
                       invocation_id = coalesce((o.r).invocation_id, a.invocation_id, (o.e).invocation_id),
                       slice = coalesce((o.r).slice, a.slice, (o.e).slice),
                       ended_at = CASE WHEN (o.e).n IS NOT NULL THEN clock_timestamp() ELSE a.ended_at END,
                       outcome = CASE WHEN (o.e).n IS NULL THEN a.outcome WHEN a.stop_requested_at IS NULL THEN (o.e).result ELSE 'cancelled' END,
                       result = coalesce((o.e).result, a.result),
                       exit_code = coalesce((o.e).exit_code, a.exit_code), exit_status = coalesce((o.e).exit_status, a.exit_status),
                       reason = coalesce((o.e).reason, a.reason),
                       runtime_usec = coalesce((o.e).runtime_usec, a.runtime_usec),
                       cpu_usage_usec = coalesce((o.e).cpu_usage_usec, a.cpu_usage_usec),
                       memory_peak_bytes = coalesce((o.e).memory_peak_bytes, a.memory_peak_bytes),
                       io_read_bytes = coalesce((o.e).io_read_bytes, a.io_read_bytes),
                       io_write_bytes = coalesce((o.e).io_write_bytes, a.io_write_bytes),
                       oom_kills = coalesce((o.e).oom_kills, a.oom_kills),
                       memory_max_bytes = coalesce((o.e).memory_max_bytes, a.memory_max_bytes),
                       cpu_quota_per_sec_usec = coalesce((o.e).cpu_quota_per_sec_usec, a.cpu_quota_per_sec_usec),
                       tasks_max = coalesce((o.e).tasks_max, a.tasks_max),
                       restarts = coalesce((o.e).restarts, a.restarts), status_text = coalesce((o.e).status_text, a.status_text),
                       log_complete = a.log_complete OR (o.l).n IS NOT NULL,
                       log_sequence = coalesce((o.l).sequence, a.log_sequence)
                  FROM one o WHERE a.id = o.attempt
                RETURNING a.run, a.task, a.outcome, a.exit_status, a.log_complete, o.attempt, o.instance,
                          (o.r).n IS NOT NULL OR (o.e).n IS NOT NULL AS begun, (o.e).n IS NOT NULL AS over
        ), gone AS (
                DELETE FROM sluice.assignment x WHERE x.attempt = ANY (ARRAY(SELECT a.attempt FROM attempt a WHERE a.over))
        ), owed AS (
                INSERT INTO sluice.owed_log (instance, attempt) SELECT a.instance, a.attempt FROM attempt a WHERE a.over AND NOT a.log_complete
        ), paid AS (
                DELETE FROM sluice.owed_log l USING (SELECT a.instance, a.attempt FROM attempt a WHERE a.log_complete AND NOT a.over) a
                 WHERE l.instance = a.instance AND l.attempt = a.attempt
        ), here AS (
                UPDATE sluice.assignment x SET state = 'running', stuck_at = NULL, stuck_reason = NULL
                 WHERE x.attempt = ANY (ARRAY(SELECT a.attempt FROM attempt a WHERE a.begun AND NOT a.over)) AND x.state = 'assigned'
        ), task AS (
                UPDATE sluice.task t SET state = 'running' FROM attempt a
                 WHERE a.begun AND t.run = a.run AND t.name = a.task AND t.state <> 'running'
        ), parent AS (
                UPDATE sluice.task t SET state = 'running' FROM (SELECT DISTINCT s.run, split_part(s.task, '@', 1) AS name FROM attempt s WHERE s.begun AND strpos(s.task, '@') > 0) a
                 WHERE t.run = a.run AND t.name = a.name AND t.state = 'queued'
        ), run AS (
                UPDATE sluice.run r
                   SET state = CASE WHEN a.begun AND r.started_at IS NULL THEN 'running' ELSE r.state END,
                       started_at = CASE WHEN a.begun THEN coalesce(r.started_at, clock_timestamp()) ELSE r.started_at END,
                       revision = r.revision + CASE WHEN a.over THEN 0 ELSE 1 END
                  FROM (SELECT s.run, bool_or(s.begun) AS begun, bool_or(s.over) AS over FROM attempt s GROUP BY s.run) a
                 WHERE r.id = a.run AND (NOT a.over OR r.started_at IS NULL)
        )
        SELECT array_agg(a.run) FILTER (WHERE a.over), array_agg(a.task) FILTER (WHERE a.over), array_agg(a.outcome) FILTER (WHERE a.over),
               array_agg(a.exit_status) FILTER (WHERE a.over),
               changed || coalesce(array_agg(DISTINCT a.run) FILTER (WHERE a.over), '{}'),
               coalesce(array_agg(DISTINCT a.run) FILTER (WHERE NOT a.over), '{}'),
               freed || coalesce(array_agg(DISTINCT a.instance) FILTER (WHERE a.over), '{}')
          INTO v_task_runs, v_tasks, v_outcomes, v_statuses, changed, touched, freed
          FROM attempt a;

        IF v_task_runs IS NOT NULL THEN
                IF EXISTS (SELECT FROM unnest(v_outcomes) o WHERE o NOT IN ('success', 'cancelled')) THEN
                        v_again := ARRAY(SELECT sluice.retry_due(e.run, e.task, e.outcome, e.exit_status)
                                           FROM unnest(v_task_runs, v_tasks, v_outcomes, v_statuses) WITH ORDINALITY e (run, task, outcome, exit_status, n)
                                          ORDER BY e.n);
                END IF;
                UPDATE sluice.task t SET state = sluice.task_after(e.outcome, e.again IS NOT NULL), retry_at = e.again
                  FROM unnest(v_task_runs, v_tasks, v_outcomes, v_again) e (run, task, outcome, again)
                 WHERE t.run = e.run AND t.name = e.task;
                touched := ARRAY(SELECT unnest(touched) EXCEPT SELECT unnest(changed));
        END IF;
END
$$;

-- What p_instances have said in p_requests, in this order, with all that follows, and the answers. p_reports are their events.
CREATE OR REPLACE FUNCTION sluice.reports_take(p_reports sluice.report[], p_requests jsonb, p_instances uuid[])
RETURNS TABLE (request int, answer json)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
        v_all uuid[] := ARRAY(SELECT DISTINCT i.id FROM unnest(p_instances) i (id) WHERE i.id IS NOT NULL ORDER BY i.id);
        v_void int[] := '{}';
        v_is record;
        v_given uuid[] := '{}';
        v_self uuid := CASE WHEN cardinality(v_all) = 1 THEN v_all[1] END;
        v_elsewhere uuid[] := '{}'; -- runs
        v_look boolean;
        v_speaks uuid[]; -- p_instances, without those whose session is not the current one: that is given nothing
        v_start_instances uuid[];
        v_starts json[];
        v_clean_instances uuid[];
        v_cleans json[];
        v record;
BEGIN
        -- Refusals of another session than the current one. Their locks come before those of runs.
        IF EXISTS (SELECT FROM unnest(p_reports) e WHERE e.state = 'refused') THEN
                FOR v IN SELECT DISTINCT e.instance, e.request FROM unnest(p_reports) e WHERE e.state = 'refused' ORDER BY 1, 2 LOOP
                        IF NOT sluice.session_is_current(v.instance, (p_requests -> v.request - 1 ->> 'session')::uuid) THEN
                                v_void := v_void || v.request;
                        END IF;
                END LOOP;
        END IF;

        PERFORM sluice.presence_touch(v_all);
        SELECT * INTO v_is FROM sluice.reports_apply(p_reports, p_requests, v_void);
        PERFORM sluice.runs_advance(ARRAY(SELECT DISTINCT unnest(v_is.changed)));
        PERFORM sluice.dues_begin_caused(v_is.changed);
        PERFORM sluice.runs_tell(v_is.touched);

        -- What is to go on elsewhere is placed; what waits there was passed over meanwhile, and is looked at.
        IF sluice.queue_waits() THEN
                SELECT coalesce(array_agg(DISTINCT q.run) FILTER (WHERE q.queued_at >= now()), '{}'), bool_or(q.queued_at < now())
                  INTO v_elsewhere, v_look
                  FROM (SELECT DISTINCT v_is.runs[e.n] AS run, e.instance FROM unnest(p_reports) e) e
                 CROSS JOIN LATERAL (SELECT q.run, q.queued_at FROM sluice.queue q WHERE q.run = e.run AND q.instance IS DISTINCT FROM e.instance OFFSET 0) q;
        END IF;
        IF v_is.requeued || v_elsewhere <> '{}' THEN
                PERFORM FROM sluice.instance i WHERE i.id = ANY (v_all) ORDER BY i.id FOR NO KEY UPDATE;
                v_given := ARRAY(SELECT sluice.dispatch_runs(v_is.requeued, v_self))
                        || ARRAY(SELECT sluice.dispatch_runs(v_elsewhere, v_self, now()));
        END IF;
        IF v_look THEN
                PERFORM sluice.look();
        END IF;

        SELECT array_agg(c.id ORDER BY r.n) INTO v_speaks
          FROM unnest(p_instances) WITH ORDINALITY r (id, n)
          LEFT JOIN LATERAL (SELECT i.id FROM sluice.instance i
                              WHERE i.id = r.id AND i.session = (p_requests -> r.n::int - 1 ->> 'session')::uuid
                                AND i.rival IS NULL AND i.quarantined_at IS NULL OFFSET 0) c ON true;

        FOR v IN SELECT t.attempt, t.instance FROM sluice.take_many(v_all, v_is.freed) t LOOP
                v_given := v_given || v.attempt;
                IF v.instance = ANY (v_speaks) IS NOT TRUE THEN
                        PERFORM pg_notify('sluice', 'instance ' || v.instance);
                END IF;
        END LOOP;

        -- A repeat means that an answer was lost, and with it perhaps what it gave.
        IF v_given <> '{}' OR v_is.repeated <> '{}' THEN
                SELECT array_agg(s.instance), array_agg(s.start) INTO v_start_instances, v_starts
                  FROM sluice.answers_start(v_speaks, v_given, v_is.repeated) s;
        END IF;
        SELECT array_agg(c.instance), array_agg(c.clean) INTO v_clean_instances, v_cleans FROM sluice.answers_clean(ARRAY(SELECT DISTINCT i.id FROM unnest(v_speaks) i (id) WHERE i.id IS NOT NULL)) c;

        RETURN QUERY
        SELECT r.n::int, json_build_object(
                        'start', coalesce(v_starts[array_position(v_start_instances, r.its)], '[]'), 'stop', '[]'::json, 'release', '[]'::json,
                        'clean', coalesce(v_cleans[array_position(v_clean_instances, r.its)], '[]'), 'resume', '[]'::json, 'recover', '[]'::json,
                        'acknowledged', coalesce(a.acknowledged, '[]'))
          FROM (SELECT i.n, CASE WHEN row_number() OVER (PARTITION BY i.id ORDER BY i.n) = 1 THEN i.id END AS its
                  FROM unnest(v_speaks) WITH ORDINALITY i (id, n) WHERE p_instances[i.n] IS NOT NULL) r
          LEFT JOIN (SELECT e.request, json_agg(CASE e.state WHEN 'cleaned' THEN json_build_object('state', e.state, 'run', e.run)
                            ELSE json_build_object('attempt', e.attempt, 'epoch', e.epoch, 'state', e.state) END ORDER BY e.n) AS acknowledged
                       FROM unnest(p_reports) e WHERE e.n <> ALL (v_is.early) GROUP BY e.request) a ON a.request = r.n;
END
$$;

CREATE OR REPLACE FUNCTION api.agent_events(p_auth bytea, p_request jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
        v_instance sluice.instance := sluice.auth_instance(p_auth);
        v_requests jsonb := jsonb_build_array(p_request);
        v_reports sluice.report[];
        v_doubtful int[];
BEGIN
        SELECT * INTO v_reports, v_doubtful FROM sluice.reports_read(v_requests, ARRAY[v_instance.id]);
        IF v_doubtful <> '{}' OR v_instance.session IS NULL THEN
                v_reports := sluice.reports_read_strictly(p_request, v_instance.id);
        END IF;

        -- What it reports may be of units that its first sync makes its own (adopt.sql): nothing is acknowledged before.
        IF v_instance.session IS NULL THEN
                RETURN json_build_object('start', '[]'::json, 'stop', '[]'::json, 'release', '[]'::json, 'clean', '[]'::json, 'resume', '[]'::json,
                                         'recover', '[]'::json, 'acknowledged', '[]'::json);
        END IF;

        RETURN (SELECT t.answer FROM sluice.reports_take(v_reports, v_requests, ARRAY[v_instance.id]) t);
END
$$;

-- The same for many agents at once, in one transaction: p_auths holds the hashes of their credentials one behind the other. A request
-- that has no answer is to be made alone: it would have failed. Those of one agent count in their order.
CREATE OR REPLACE FUNCTION api.agent_events_batch(p_auths bytea, p_requests jsonb) RETURNS TABLE (request int, answer json)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
        v_instances uuid[] := sluice.auth_instances(p_auths);
        v_reports sluice.report[];
        v_doubtful int[];
BEGIN
        SELECT * INTO v_reports, v_doubtful FROM sluice.reports_read(p_requests, v_instances);
        v_instances := ARRAY(SELECT CASE WHEN i.n <> ALL (v_doubtful) THEN i.id END FROM unnest(v_instances) WITH ORDINALITY i (id, n) ORDER BY i.n);

        RETURN QUERY SELECT * FROM sluice.reports_take(v_reports, p_requests, v_instances);
END
$$;

REVOKE ALL ON FUNCTION api.agent_events(bytea, jsonb), api.agent_events_batch(bytea, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.agent_events(bytea, jsonb), api.agent_events_batch(bytea, jsonb) TO sluice_controld;
