-- Tasks that are done on all instances: a child for each, of which so many at once. See docs/decisions/0020-fan-out.md.
SET LOCAL check_function_bodies = off;

-- More than this would be more than one person can look at, and than one answer can hold.
CREATE OR REPLACE FUNCTION sluice.fanout_max() RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT 1000 $$;

-- How many at once, and how many have to succeed, of p_count.
CREATE OR REPLACE FUNCTION sluice.fan_batch(p_task jsonb, p_count int) RETURNS int
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
        v_text text := coalesce(p_task ->> 'run_on_all_batch', '100%');
BEGIN
        RETURN CASE WHEN v_text LIKE '%\%' THEN greatest(1, p_count * rtrim(v_text, '%')::int / 100) ELSE v_text::int END;
END
$$;

CREATE OR REPLACE FUNCTION sluice.fan_needed(p_task jsonb, p_count int) RETURNS int
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
        RETURN ceil(p_count * rtrim(coalesce(p_task ->> 'run_on_all_success', '100%'), '%')::int / 100.0);
END
$$;

-- Why an instance is not given work; NULL when it may be. One whose connection broke just now has time to come back.
CREATE OR REPLACE FUNCTION sluice.instance_absence(i sluice.instance, p_seen timestamptz, OUT why text, OUT since timestamptz)
LANGUAGE plpgsql STABLE AS $$
DECLARE
        f sluice.agent_flag;
        v_state record;
BEGIN
        SELECT * INTO v_state FROM sluice.instance_state(i, p_seen);
        SELECT * INTO f FROM sluice.agent_flag WHERE agent = i.agent ORDER BY agent_flag.since LIMIT 1;
        IF i.id IS NULL THEN
                why := 'its agent was deleted';
        ELSIF v_state.status <> 'Running' THEN
                why := format('its agent is %s: %s', v_state.status, v_state.reason);
                since := v_state.since;
        ELSIF f.agent IS NOT NULL THEN
                why := format('its agent is %s by %s%s', CASE f.flag WHEN 'draining' THEN 'drained' ELSE f.flag END, f.set_by, ': ' || f.reason);
                since := f.since;
        ELSIF i.draining THEN
                why := 'its agent is draining';
                since := now();
        END IF;
END
$$;

-- The children of a task whose turn has come: the instances that suit it now. What is not there is skipped. Children that are there already did in the run
-- before, and are passed over.
CREATE OR REPLACE FUNCTION sluice.fan_make(t sluice.task, p_demand uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        d sluice.demand;
        v_count int;
BEGIN
        SELECT * INTO STRICT d FROM sluice.demand WHERE id = p_demand;
        SELECT count(*) INTO v_count FROM sluice.agent a JOIN sluice.instance i ON i.agent = a.id WHERE a.type = d.type AND a.labels @@ d.path;
        IF v_count > sluice.fanout_max() THEN
                UPDATE sluice.task SET state = 'failed', fanout_count = 0, reason = format('%s instances suit it, more than %s', v_count, sluice.fanout_max())
                 WHERE run = t.run AND name = t.name;
                RETURN;
        END IF;

        -- Of what begins again with what it came after.
        DELETE FROM sluice.task WHERE run = t.run AND parent = t.name AND passed_over IS NULL;
        INSERT INTO sluice.task (run, name, position, apart, parent, fanout_index, instance, held, reason)
        SELECT t.run, t.name || '@' || s.name || CASE WHEN s.several OR EXISTS (
                        SELECT FROM sluice.task o WHERE o.run = t.run AND o.name = t.name || '@' || s.name) THEN '/' || s.id ELSE '' END,
               t.position, true, t.name, s.n, s.id, true, s.why
          FROM (SELECT a.name, i.id, x.why, count(*) OVER (PARTITION BY a.id) > 1 AS several, row_number() OVER (ORDER BY a.name, i.enrolled_at, i.id) AS n
                  FROM sluice.agent a
                  JOIN sluice.instance i ON i.agent = a.id
                  LEFT JOIN sluice.presence p ON p.instance = i.id
                 CROSS JOIN LATERAL sluice.instance_absence(i, p.last_seen_at) x
                 WHERE a.type = d.type AND a.labels @@ d.path) s
         WHERE NOT EXISTS (SELECT FROM sluice.task o WHERE o.run = t.run AND o.parent = t.name AND o.instance = s.id);

        WITH numbered AS (
                SELECT c.name, row_number() OVER (ORDER BY c.name) AS n FROM sluice.task c WHERE c.run = t.run AND c.parent = t.name
        )
        UPDATE sluice.task c SET fanout_index = o.n, state = CASE WHEN c.reason IS NOT NULL THEN 'skipped' ELSE c.state END
          FROM numbered o WHERE c.run = t.run AND c.name = o.name;
        GET DIAGNOSTICS v_count = ROW_COUNT;

        UPDATE sluice.task SET fanout_count = v_count WHERE run = t.run AND name = t.name;
        IF v_count = 0 THEN
                UPDATE sluice.task
                   SET state = 'failed', reason = format('no instance is of type %s%s', d.type, ' with the labels ' || nullif(sluice.selector_text(d.selector), ''))
                 WHERE run = t.run AND name = t.name;
        END IF;
END
$$;

-- What has become of the children of a task. Those that are passed over, or found nothing to do, are skipped without a reason, and are good.
CREATE OR REPLACE FUNCTION sluice.fan_sum(p_run uuid, p_task text, OUT total int, OUT good int, OUT busy int, OUT held int, OUT cancelled int, OUT skipped int)
LANGUAGE sql STABLE AS $$
        SELECT count(*)::int,
               (count(*) FILTER (WHERE c.state = 'succeeded' OR c.state = 'skipped' AND c.reason IS NULL))::int,
               (count(*) FILTER (WHERE NOT c.held AND c.state IN ('waiting', 'queued', 'running')))::int,
               (count(*) FILTER (WHERE c.held AND c.state = 'waiting'))::int,
               (count(*) FILTER (WHERE c.state = 'cancelled'))::int,
               (count(*) FILTER (WHERE c.state = 'skipped' AND c.reason IS NOT NULL))::int
          FROM sluice.task c WHERE c.run = p_run AND c.parent = p_task
$$;

-- The next children of one task begin, or those that cannot help any more do not, or the task is over. True: something follows from that. The caller holds the lock of the run.
CREATE OR REPLACE FUNCTION sluice.fan_step(t sluice.task, p_spec jsonb, p_demand uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
        s record;
        v_needed int;
        v_free int;
        v_state text;
BEGIN
        IF t.fanout_count IS NULL THEN
                PERFORM sluice.fan_make(t, p_demand);
        END IF;
        SELECT * INTO s FROM sluice.fan_sum(t.run, t.name);
        v_needed := sluice.fan_needed(p_spec, s.total);
        v_free := least(sluice.fan_batch(p_spec, s.total) - s.busy, s.held);

        IF s.held > 0 AND s.good + s.busy + s.held < v_needed THEN
                UPDATE sluice.task c
                   SET state = 'skipped', reason = format('%s of %s can still succeed, and %s have to', s.good + s.busy, s.total, v_needed)
                 WHERE c.run = t.run AND c.parent = t.name AND c.held AND c.state = 'waiting';
                s.skipped := s.skipped + s.held;
                s.held := 0;
        ELSIF v_free > 0 THEN
                UPDATE sluice.task c SET held = false
                 WHERE c.run = t.run AND c.name IN (SELECT o.name FROM sluice.task o WHERE o.run = t.run AND o.parent = t.name AND o.held AND o.state = 'waiting'
                                                     ORDER BY o.fanout_index LIMIT v_free);
                RETURN true;
        END IF;

        IF s.busy + s.held > 0 THEN
                RETURN false;
        END IF;

        v_state := CASE WHEN s.cancelled > 0 THEN 'cancelled' WHEN s.total > 0 AND s.good >= v_needed THEN 'succeeded' ELSE 'failed' END;
        IF v_state = 'succeeded' THEN -- perhaps by those alone that are passed over
                UPDATE sluice.task SET state = 'running' WHERE run = t.run AND name = t.name AND state = 'queued';
        END IF;
        UPDATE sluice.task
           SET state = v_state, reason = CASE v_state WHEN 'failed' THEN coalesce(reason, format(
                        '%s of %s have succeeded, and %s have to%s', s.good, s.total, v_needed, CASE WHEN s.skipped > 0 THEN format('; %s were skipped', s.skipped) ELSE '' END)) END
         WHERE run = t.run AND name = t.name;
        RETURN true;
END
$$;

-- Of these runs. The last rows of a statement are what the next one sees, so each task is looked at for itself.
CREATE OR REPLACE FUNCTION sluice.fans_step(p_runs uuid[]) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
        v record;
        v_more boolean := false;
BEGIN
        FOR v IN SELECT t AS task, p.spec -> 'tasks' -> t.position AS spec, p.demands[t.position + 1] AS demand
                   FROM sluice.task t
                   JOIN sluice.run r ON r.id = t.run
                   JOIN sluice.pipe_version p ON (p.project, p.pipe, p.version) = (r.project, r.pipe, r.version)
                  WHERE t.run = ANY (p_runs) AND t.fans AND t.state IN ('queued', 'running')
                  ORDER BY t.run, t.position LOOP
                v_more := sluice.fan_step(v.task, v.spec, v.demand) OR v_more;
        END LOOP;

        RETURN v_more;
END
$$;

-- Children that wait for instances that will not have them. Who has begun before has failed; the others are skipped. The caller holds the locks of the runs.
CREATE OR REPLACE FUNCTION sluice.children_give_up(p_attempts uuid[], p_reasons text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        UPDATE sluice.attempt a
           SET state = 'cancelled', outcome = 'cancelled', ended_at = clock_timestamp(), log_complete = true, reason = g.reason
          FROM unnest(p_attempts, p_reasons) g (attempt, reason) WHERE a.id = g.attempt;
        DELETE FROM sluice.queue WHERE attempt = ANY (p_attempts);
        UPDATE sluice.task t SET state = CASE WHEN a.try > 1 THEN 'failed' ELSE 'waiting' END, reason = a.reason
          FROM sluice.attempt a WHERE a.id = ANY (p_attempts) AND t.run = a.run AND t.name = a.task;
        UPDATE sluice.task t SET state = 'skipped'
          FROM sluice.attempt a WHERE a.id = ANY (p_attempts) AND t.run = a.run AND t.name = a.task AND t.state = 'waiting';
END
$$;

-- Now and then: an instance that was not there for two minutes is waited for no more.
CREATE OR REPLACE FUNCTION sluice.fans_sweep() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_runs uuid[];
        v_attempts uuid[];
        v_reasons text[];
BEGIN
        WITH gone AS MATERIALIZED (
                SELECT w.instance, x.why
                  FROM (SELECT DISTINCT q.instance FROM sluice.queue q WHERE q.apart AND q.instance IS NOT NULL) w
                  LEFT JOIN sluice.instance i ON i.id = w.instance
                  LEFT JOIN sluice.presence p ON p.instance = w.instance
                 CROSS JOIN LATERAL sluice.instance_absence(i, p.last_seen_at) x
                 WHERE x.why IS NOT NULL AND (x.since > clock_timestamp() - interval '2 minutes') IS NOT TRUE
                 LIMIT 1000
        ), held AS MATERIALIZED (
                SELECT r.id FROM sluice.run r
                 WHERE r.id = ANY (ARRAY(SELECT q.run FROM gone g JOIN sluice.queue q ON q.instance = g.instance AND q.apart))
                 ORDER BY r.id FOR NO KEY UPDATE SKIP LOCKED
        )
        SELECT array_agg(q.attempt), array_agg(g.why), array_agg(DISTINCT q.run) INTO v_attempts, v_reasons, v_runs
          FROM gone g JOIN sluice.queue q ON q.instance = g.instance AND q.apart JOIN held h ON h.id = q.run;
        IF v_attempts IS NULL THEN
                RETURN;
        END IF;

        PERFORM sluice.children_give_up(v_attempts, v_reasons);
        PERFORM sluice.runs_advance(v_runs);
        PERFORM sluice.dispatch_runs(v_runs, NULL);
END
$$;

-- What the run fails with when this one has: of its children, what failed first; none may have begun.
CREATE OR REPLACE FUNCTION sluice.fan_failure(t sluice.task, OUT outcome text, OUT exit_status int, OUT reason text, OUT ended_at timestamptz, OUT id uuid)
LANGUAGE plpgsql STABLE AS $$
BEGIN
        SELECT a.outcome, a.exit_status, a.ended_at, a.id INTO outcome, exit_status, ended_at, id
          FROM sluice.task c
         CROSS JOIN LATERAL (SELECT a.* FROM sluice.attempts_of(t.run) a WHERE a.task = c.name AND a.outcome NOT IN ('success', 'cancelled') ORDER BY a.try DESC LIMIT 1) a
         WHERE c.run = t.run AND c.parent = t.name AND c.state = 'failed'
         ORDER BY a.ended_at, a.id LIMIT 1;
        outcome := coalesce(outcome, 'no-agent');
        reason := format('task %s: %s', t.name, t.reason);
END
$$;

-- Of a rerun: children that have succeeded need not do so again, as long as nothing before their task, nor the task itself, is wanted again.
CREATE OR REPLACE FUNCTION sluice.children_pass_over(p_before uuid, p_run uuid, v sluice.pipe_version, p_settled text[], p_again text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        INSERT INTO sluice.task (run, name, position, apart, parent, fanout_index, instance, held, passed_over)
        SELECT p_run, o.name, t.position, true, o.parent, o.fanout_index, o.instance, true, coalesce(o.passed_over, 'succeeded in run ' || p_before)
          FROM sluice.task t
          JOIN sluice.task o ON o.run = p_before AND o.parent = t.name AND (o.state = 'succeeded' OR o.passed_over IS NOT NULL)
         WHERE t.run = p_run AND t.fans AND t.name <> ALL (p_settled || p_again)
           AND sluice.task_before(v.spec -> 'tasks' -> t.position) <@ p_settled;
END
$$;

-- What a child is told of itself, beside its task.
CREATE OR REPLACE FUNCTION sluice.child_variables(p_run uuid, p_task text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
        RETURN coalesce((SELECT jsonb_build_object('SLUICE_FANOUT_INDEX', c.fanout_index::text, 'SLUICE_FANOUT_COUNT', p.fanout_count::text)
                           FROM sluice.task c JOIN sluice.task p ON p.run = c.run AND p.name = c.parent
                          WHERE c.run = p_run AND c.name = p_task), '{}');
END
$$;
