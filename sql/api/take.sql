-- Instances that ask for work, many at once; see dispatch.sql for what holds dispatch together.
SET LOCAL check_function_bodies = off;

-- The instances of these credentials, whose hashes stand one behind the other; NULL for one that is not known, or has not said yet what
-- it has.
CREATE OR REPLACE FUNCTION sluice.auth_instances(p_auths bytea) RETURNS uuid[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
        RETURN ARRAY(SELECT (SELECT i.id FROM sluice.instance i WHERE i.credential_hash = substring(p_auths FROM 32 * n - 31 FOR 32)
                                                                              AND i.session IS NOT NULL)
                       FROM generate_series(1, octet_length(p_auths) / 32) n ORDER BY n);
END
$$;

DROP FUNCTION IF EXISTS sluice.take(uuid, boolean); -- of the release before

-- Gives p_instances what waits and suits them; without a queue only notes the room that those in p_freed have. Waits for the locks of all of them, in order, unless there is nothing to do.
CREATE OR REPLACE FUNCTION sluice.take_many(p_instances uuid[], p_freed uuid[]) RETURNS TABLE (attempt uuid, instance uuid)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
        v_waits boolean := sluice.queue_waits();
        v_ask uuid[] := CASE WHEN v_waits THEN p_instances ELSE ARRAY(SELECT DISTINCT unnest(p_freed)) END;
        v_open uuid[]; -- with room
        v_free int[];
        v_types text[];
        v_labels jsonb[];
        v_memory int8[];
        v_memory_left int8[];
        v_total int;
        v_full uuid[]; -- demands of which no further run may begin
        v_attempts uuid[];
        v_given uuid[];
        v_here uuid[];
        v_passed boolean := false;
BEGIN
        IF v_ask = '{}' THEN
                RETURN;
        END IF;

        PERFORM FROM sluice.instance i WHERE i.id = ANY (v_ask) ORDER BY i.id FOR NO KEY UPDATE;

        LOOP
                SELECT array_agg(i.id), array_agg(sluice.room(i, a.type, x.count)), array_agg(a.type), array_agg(a.labels),
                       array_agg(i.memory_bytes), array_agg(i.memory_bytes - x.memory), sum(sluice.room(i, a.type, x.count))
                  INTO v_open, v_free, v_types, v_labels, v_memory, v_memory_left, v_total
                  FROM sluice.instance i JOIN sluice.agent a ON a.id = i.agent
                 CROSS JOIN LATERAL (SELECT FROM sluice.open_instance o WHERE o.id = i.id OFFSET 0) o
                 CROSS JOIN LATERAL (SELECT count(*)::int AS count, coalesce(sum(x.memory_bytes), 0)::int8 AS memory
                                       FROM sluice.assignment x WHERE x.instance = i.id) x
                 WHERE i.id = ANY (v_ask) AND sluice.room(i, a.type, x.count) > 0;

                EXIT WHEN v_open IS NULL OR NOT v_waits;

                -- First what belongs to runs that began there. What is too large for the room that there is, or waits for its limit, leaves its turn to others.
                v_full := ARRAY(
                        SELECT d.id
                          FROM (SELECT DISTINCT q.demand FROM sluice.queue q WHERE q.instance = ANY (v_open)) q
                          JOIN sluice.demand d ON d.id = q.demand
                         CROSS JOIN LATERAL sluice.demand_room(d) m
                         WHERE least(m.subject_room, m.project_room) <= 0);
                v_attempts := ARRAY(
                        SELECT q.attempt
                          FROM sluice.queue q JOIN sluice.run r ON r.id = q.run
                         CROSS JOIN LATERAL (
                                SELECT FROM sluice.demand d JOIN unnest(v_open, v_types, v_labels, v_memory, v_memory_left) o (id, type, labels, memory, memory_left) ON d.type = o.type
                                 WHERE d.id = q.demand AND o.id = q.instance AND o.labels @@ d.path
                                   AND (o.memory IS NULL
                                        OR sluice.memory_need(d.memory_bytes, d.memory_permyriad, o.memory) <= greatest(o.memory_left, 0)) OFFSET 0) d
                         WHERE q.instance = ANY (v_open) AND (q.avoid_until > clock_timestamp()) IS NOT TRUE
                           AND (q.demand <> ALL (v_full) OR EXISTS (SELECT FROM sluice.live_run l WHERE l.run = q.run))
                         ORDER BY q.priority DESC, q.attempt LIMIT v_total
                           FOR NO KEY UPDATE OF r SKIP LOCKED);

                IF cardinality(v_attempts) < v_total THEN
                        v_attempts := v_attempts || ARRAY(
                                SELECT q.attempt
                                  FROM (SELECT h.*
                                          FROM sluice.demands_waiting() d
                                         CROSS JOIN LATERAL (
                                                SELECT sum(o.free)::int AS free
                                                  FROM unnest(v_types, v_labels, v_memory, v_memory_left, v_free) o (type, labels, memory, memory_left, free)
                                                 WHERE d.type = o.type AND o.labels @@ d.path
                                                   AND (o.memory IS NULL
                                                        OR sluice.memory_need(d.memory_bytes, d.memory_permyriad, o.memory) <= greatest(o.memory_left, 0))) o
                                         CROSS JOIN LATERAL sluice.demand_room(d) m
                                         CROSS JOIN LATERAL sluice.demand_head(d.id, least(m.subject_room, m.project_room),
                                                                               CASE WHEN cardinality(v_open) = 1 THEN v_open[1] END, 32 + 4 * o.free) h
                                         WHERE o.free > 0
                                         ORDER BY h.priority DESC, h.attempt LIMIT 32 + 4 * v_total) q
                                  JOIN sluice.run r ON r.id = q.run
                                 ORDER BY q.priority DESC, q.attempt LIMIT v_total - cardinality(v_attempts)
                                   FOR NO KEY UPDATE OF r SKIP LOCKED);
                END IF;

                EXIT WHEN v_attempts = '{}';

                SELECT array_agg(p.attempt), array_agg(p.instance) INTO v_given, v_here FROM sluice.place(v_attempts, v_open) p;
                v_passed := v_passed OR coalesce(cardinality(v_given), 0) < cardinality(v_attempts);
                EXIT WHEN v_given IS NULL;

                RETURN QUERY SELECT * FROM unnest(v_given, v_here);

                IF cardinality(v_attempts) < v_total THEN -- there is no more; what is left of the room?
                        v_open := ARRAY(SELECT o.id FROM unnest(v_open, v_free) o (id, free)
                                         WHERE o.free > (SELECT count(*) FROM unnest(v_here) h (id) WHERE h.id = o.id));
                        EXIT;
                END IF;
        END LOOP;

        IF v_open <> '{}' THEN
                INSERT INTO sluice.idle (instance) SELECT DISTINCT o.id FROM unnest(v_open) o (id)
                 WHERE NOT EXISTS (SELECT FROM sluice.idle e WHERE e.instance = o.id) ON CONFLICT DO NOTHING;
                v_passed := v_passed OR FOUND;
        END IF;

        IF v_passed THEN
                PERFORM sluice.look();
        END IF;
END
$$;

-- Whether a task may refer to outputs of others; with an escape in it, that cannot be seen from here.
CREATE OR REPLACE FUNCTION sluice.task_refers(p_directives jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
        RETURN p_directives::text ~ '\$\{[a-z0-9][a-z0-9_-]*\.|\\x';
END
$$;

CREATE OR REPLACE FUNCTION sluice.task_has_specifiers(p_directives jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
        RETURN p_directives::text ~ '%[A-Za-z%]';
END
$$;

-- What instances have to start: of p_given, and for those of p_all whatever they have not begun. Of what may begin only once it is
-- noted that somebody was told of it: until then it has not begun, whatever becomes of its agent.
CREATE OR REPLACE FUNCTION sluice.answers_start(p_instances uuid[], p_given uuid[], p_all uuid[]) RETURNS TABLE (instance uuid, start json)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
        RETURN QUERY
        WITH given AS MATERIALIZED (
                SELECT x.instance, x.attempt, x.epoch, x.offered, x.run, r.project, r.pipe, r.version, r.schedule, r.scheduled_at, r.parameters, a.task
                  FROM (SELECT x.*, row_number() OVER (PARTITION BY x.instance ORDER BY x.attempt) AS n FROM sluice.assignment x
                         WHERE x.instance = ANY (p_instances) AND x.state = 'assigned' AND NOT x.recover
                           AND (x.attempt = ANY (p_given) OR x.instance = ANY (p_all))) x
                 CROSS JOIN LATERAL (SELECT a.task FROM sluice.attempt a WHERE a.id = x.attempt OFFSET 0) a
                 CROSS JOIN LATERAL (SELECT r.project, r.pipe, r.version, r.schedule, r.scheduled_at, r.parameters FROM sluice.run r WHERE r.id = x.run OFFSET 0) r
                 WHERE x.n <= 64
        ), kind AS MATERIALIZED (
                SELECT k.*, sluice.task_is_apart(t.value) AS apart, v.type = 'streaming' AS streaming, coalesce(v.spec ->> 'delivery' = 'at-most-once', false) AS once, sluice.is_fenced(v.spec, t.value) AS fence, t.value -> 'directives' AS directives,
                       sluice.task_refers(t.value -> 'directives') AS refers, sluice.task_has_specifiers(t.value -> 'directives') AS specifies
                  FROM (SELECT DISTINCT g.project, g.pipe, g.version, g.task FROM given g) k
                  JOIN sluice.pipe_version v ON (v.project, v.pipe, v.version) = (k.project, k.pipe, k.version)
                 CROSS JOIN LATERAL jsonb_array_elements(v.spec -> 'tasks') t
                 WHERE t.value ->> 'name' = split_part(k.task, '@', 1) -- of a child, its parent's
        ), said AS MATERIALIZED (
                SELECT g.instance, g.attempt, k.once AND NOT g.offered AS unheard, json_build_object(
                               'attempt', g.attempt, 'epoch', g.epoch, 'run', g.run, 'project', g.project, 'pipe', g.pipe, 'task', g.task,
                               'fence', k.fence, 'streaming', k.streaming, 'parameters', p.parameters,
                               'variables', CASE WHEN g.schedule IS NOT NULL OR strpos(g.task, '@') > 0
                                                 THEN coalesce(sluice.schedule_variables(g.schedule, g.scheduled_at), '{}') || sluice.child_variables(g.run, g.task) END,
                               'outputs', CASE WHEN k.refers THEN sluice.outputs_for(g.run, k.directives) END,
                               -- An agent of the release before does not know the word, and refuses what it would not replace.
                               'directives', CASE WHEN p.parameters IS NULL AND NOT k.refers AND NOT k.specifies THEN '[]' ELSE '[["Substitute", "yes"]]'::jsonb END
                                             || CASE WHEN k.apart THEN '[["Workspace", "no"]]' ELSE '[]'::jsonb END || k.directives) AS start
                  FROM given g JOIN kind k ON (k.project, k.pipe, k.version, k.task) = (g.project, g.pipe, g.version, g.task)
                 CROSS JOIN LATERAL (SELECT CASE WHEN g.parameters <> '[]' THEN (
                                        SELECT jsonb_object_agg(e ->> 'name', e -> 'value') FROM jsonb_array_elements(g.parameters) e) END AS parameters OFFSET 0) p
        ), kept AS MATERIALIZED (
                SELECT s.* FROM (SELECT s.*, sum(octet_length(s.start::text)) OVER (PARTITION BY s.instance ORDER BY s.attempt) - octet_length(s.start::text) AS before
                                   FROM said s) s
                 WHERE s.before < 4 << 20 -- bytes, of the 8 MiB that an agent takes
        ), noted AS (
                UPDATE sluice.assignment x SET offered = true
                 WHERE x.attempt IN (SELECT c.attempt FROM kept c WHERE c.unheard OFFSET 0)
        )
        SELECT c.instance, json_agg(c.start ORDER BY c.attempt) FROM kept c GROUP BY c.instance;
END
$$;

-- Runs whose workspace is to go. Removing one takes time, so each is said again only after a while.
CREATE OR REPLACE FUNCTION sluice.answers_clean(p_instances uuid[]) RETURNS TABLE (instance uuid, clean json)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
        IF NOT EXISTS (SELECT FROM sluice.cleanup c WHERE c.instance = ANY (p_instances)) THEN
                RETURN;
        END IF;

        RETURN QUERY
        WITH due AS MATERIALIZED (
                SELECT c.place
                  FROM unnest(p_instances) i (id)
                 CROSS JOIN LATERAL (
                        SELECT c.ctid AS place FROM sluice.cleanup c -- it is locked, so it stays there
                         WHERE c.instance = i.id
                           AND (c.offered_at > clock_timestamp() - interval '30 seconds') IS NOT TRUE
                           AND NOT EXISTS (SELECT FROM sluice.run r -- begun again here after it was lost
                                            WHERE r.id = c.run AND r.instance = i.id AND r.ended_at IS NULL)
                           AND NOT EXISTS (SELECT FROM sluice.assignment x WHERE x.run = c.run AND x.instance = i.id)
                         ORDER BY c.run LIMIT 64 FOR UPDATE SKIP LOCKED) c
        ), said AS (
                UPDATE sluice.cleanup c SET offered_at = clock_timestamp()
                 WHERE c.ctid = ANY (ARRAY(SELECT d.place FROM due d))
                RETURNING c.instance, c.run
        )
        SELECT s.instance, json_agg(s.run ORDER BY s.run) FROM said s GROUP BY s.instance;
END
$$;

-- What the agents of p_instances are to be told, each after what it says in its element of p_requests, which is right. Stop, release
-- and resume follow from comparing what an agent has with what it should have:
--   assigned here, stop asked for                     stop, until it says that it is stopping
--   over, its outcome and log stored                  release
--   never heard of                                    release
--   over, given up or given to another, and it runs   stop
-- recover: attempts whose unit is gone, or went with the last boot, and whose end, or the rest of whose log, the journal may know.
-- Those who are told nothing are left out.
CREATE OR REPLACE FUNCTION sluice.answers_sync(p_instances uuid[], p_requests jsonb) RETURNS TABLE (request int, answer json)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
        v_all uuid[] := ARRAY(SELECT DISTINCT i.id FROM unnest(p_instances) i (id) WHERE i.id IS NOT NULL);
        v_given uuid[];
        v_told int[];
        v_stop json[];
        v_release json[];
        v_resume json[];
        v_recover json[];
BEGIN
        -- Most polls are of agents that have nothing, and of which nothing is wanted.
        IF EXISTS (SELECT FROM sluice.assignment x WHERE x.instance = ANY (v_all))
           OR EXISTS (SELECT FROM sluice.owed_log o WHERE o.instance = ANY (v_all))
           OR EXISTS (SELECT FROM jsonb_array_elements(p_requests) r (value) WHERE r.value -> 'attempts' <> '[]') THEN
                WITH asked AS MATERIALIZED (
                        SELECT i.n::int AS request, i.id AS instance, p_requests -> i.n::int - 1 -> 'attempts' AS attempts
                          FROM unnest(p_instances) WITH ORDINALITY i (id, n) WHERE i.id IS NOT NULL
                ), known AS MATERIALIZED (
                        SELECT a.request, k.attempt, k.epoch, k.state, k.resume, x.attempt IS NOT NULL AS assigned, x.stop_reason, h.id IS NOT NULL AS known,
                               h.ended_at IS NOT NULL AND h.epoch = k.epoch AND h.instance = a.instance AND h.log_complete AS over
                          FROM asked a
                         CROSS JOIN LATERAL jsonb_to_recordset(CASE jsonb_typeof(a.attempts) WHEN 'array' THEN a.attempts ELSE '[]' END)
                               AS k (attempt uuid, epoch int, state text, resume boolean)
                          LEFT JOIN LATERAL (SELECT * FROM sluice.assignment x WHERE x.attempt = k.attempt AND x.epoch = k.epoch
                                                                                     AND x.instance = a.instance OFFSET 0) x ON true
                          LEFT JOIN LATERAL (SELECT * FROM sluice.attempt h WHERE h.id = k.attempt AND x.attempt IS NULL OFFSET 0) h ON true
                ), rest AS MATERIALIZED (
                        SELECT a.request, x.*
                          FROM asked a CROSS JOIN LATERAL (SELECT * FROM sluice.assignment x WHERE x.instance = a.instance OFFSET 0) x
                         WHERE (x.state <> 'running' OR x.recover)
                           -- That it is over with an old epoch may be said by a poll that is held since before it was given again.
                           AND NOT EXISTS (SELECT FROM known k WHERE k.request = a.request AND k.attempt = x.attempt
                                                                 AND (k.epoch >= x.epoch OR k.state <> 'ended'))
                ), lost AS MATERIALIZED (
                        SELECT x.request, x.attempt, x.epoch, x.run FROM rest x WHERE x.recover
                        UNION ALL
                        SELECT a.request, o.attempt, h.epoch, h.run
                          FROM asked a CROSS JOIN LATERAL (SELECT o.attempt FROM sluice.owed_log o WHERE o.instance = a.instance AND o.recover OFFSET 0) o
                         CROSS JOIN LATERAL (SELECT h.epoch, h.run FROM sluice.attempt h WHERE h.id = o.attempt OFFSET 0) h
                         WHERE NOT EXISTS (SELECT FROM known k WHERE k.request = a.request AND k.attempt = o.attempt)
                ), word AS (
                        SELECT k.request, 'stop' AS word, k.attempt, json_build_object('attempt', k.attempt, 'epoch', k.epoch, 'reason',
                                        coalesce(k.stop_reason, 'the control plane has given up this attempt')) AS said
                          FROM known k WHERE k.state IN ('starting', 'running') AND (k.stop_reason IS NOT NULL OR k.known)
                        UNION ALL
                        SELECT k.request, 'release', k.attempt, json_build_object('attempt', k.attempt, 'epoch', k.epoch)
                          FROM known k WHERE NOT k.assigned AND (NOT k.known OR k.over AND k.state = 'ended')
                        UNION ALL
                        SELECT k.request, 'resume', k.attempt, sluice.log_position(k.attempt, k.epoch)
                          FROM known k WHERE k.resume AND (k.assigned OR k.known)
                        UNION ALL
                        -- Asked to stop before the agent had begun: it says that it refuses.
                        SELECT x.request, 'stop', x.attempt, json_build_object('attempt', x.attempt, 'epoch', x.epoch, 'reason', x.stop_reason)
                          FROM rest x WHERE x.state = 'stopping' AND NOT x.recover
                        UNION ALL
                        SELECT x.request, 'recover', x.attempt, (sluice.log_position(x.attempt, x.epoch)::jsonb || jsonb_build_object('run', x.run))::json
                          FROM lost x
                ), said AS (
                        SELECT w.request, json_agg(w.said ORDER BY w.attempt) FILTER (WHERE w.word = 'stop') AS stop,
                               json_agg(w.said ORDER BY w.attempt) FILTER (WHERE w.word = 'release') AS release,
                               json_agg(w.said ORDER BY w.attempt) FILTER (WHERE w.word = 'resume') AS resume,
                               json_agg(w.said ORDER BY w.attempt) FILTER (WHERE w.word = 'recover') AS recover
                          FROM word w GROUP BY w.request
                )
                SELECT array_agg(s.request), array_agg(s.stop), array_agg(s.release), array_agg(s.resume), array_agg(s.recover),
                       (SELECT array_agg(x.attempt) FROM rest x WHERE x.state = 'assigned' AND NOT x.recover)
                  INTO v_told, v_stop, v_release, v_resume, v_recover, v_given
                  FROM said s;
        END IF;

        -- drain: whether it shall, when that is another word than the last one that it has heard.
        RETURN QUERY
        SELECT a.n::int, CASE WHEN d.drain IS NULL THEN o.answer ELSE (o.answer::jsonb || jsonb_build_object('drain', d.drain))::json END
          FROM unnest(p_instances) WITH ORDINALITY a (instance, n)
         CROSS JOIN LATERAL (SELECT p_requests -> a.n::int - 1 AS request, coalesce((
                        SELECT true FROM sluice.agent_flag f
                         WHERE f.flag = 'draining' AND f.agent = (SELECT i.agent FROM sluice.instance i WHERE i.id = a.instance)), false) AS wanted OFFSET 0) f
         CROSS JOIN LATERAL (SELECT CASE WHEN f.request ? 'drain_heard' AND f.wanted <> sluice.json_bool(f.request, 'drain_heard')
                                         THEN f.wanted END AS drain OFFSET 0) d
          LEFT JOIN (SELECT * FROM sluice.answers_start(v_all, v_given, '{}') WHERE v_given IS NOT NULL) s ON s.instance = a.instance
          LEFT JOIN sluice.answers_clean(v_all) c ON c.instance = a.instance
          LEFT JOIN unnest(v_told, v_stop, v_release, v_resume, v_recover) w (request, stop, release, resume, recover) ON w.request = a.n
         CROSS JOIN LATERAL (SELECT json_build_object(
                        'start', coalesce(s.start, '[]'), 'stop', coalesce(w.stop, '[]'), 'release', coalesce(w.release, '[]'),
                        'clean', coalesce(c.clean, '[]'), 'resume', coalesce(w.resume, '[]'), 'recover', coalesce(w.recover, '[]')) AS answer) o
         WHERE a.instance IS NOT NULL
           AND (s.instance IS NOT NULL OR c.instance IS NOT NULL OR w.request IS NOT NULL OR d.drain IS NOT NULL);
END
$$;

-- api.agent_sync() for many agents at once, in one transaction, where nothing about them has changed: p_auths holds the hashes of their
-- credentials one behind the other. A request that has no row is to be made alone.
CREATE OR REPLACE FUNCTION api.agent_sync_batch(p_auths bytea, p_requests jsonb) RETURNS TABLE (request int, instance uuid, answer json)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
        v_instances uuid[];
        v_stale uuid[];
        v_takers uuid[];
BEGIN
        SELECT array_agg(CASE WHEN s.plain THEN s.id END ORDER BY s.n),
               array_agg(DISTINCT s.id) FILTER (WHERE s.plain AND s.last_seen_at <= clock_timestamp() - interval '20 seconds'),
               array_agg(DISTINCT s.id) FILTER (WHERE s.plain AND NOT s.draining)
          INTO v_instances, v_stale, v_takers
          FROM (SELECT r.n, i.id, i.draining, p.last_seen_at,
                       i.id IS NOT NULL AND coalesce(p.last_seen_at > now() - sluice.lease(), false)
                       AND i.goodbye_at IS NULL AND i.broke_at IS NULL AND i.credential_used_at IS NOT NULL
                       AND i.rival IS NULL AND i.quarantined_at IS NULL
                       AND coalesce((r.value ->> 'session', r.value ->> 'boot', r.value ->> 'version')
                                    = (i.session::text, i.boot, i.version), false)
                       AND r.value -> 'slots' = to_jsonb(i.slots)
                       AND coalesce(r.value -> 'draining', 'false') = to_jsonb(i.draining)
                       AND r.value -> 'self_fence_sec' IS NOT DISTINCT FROM to_jsonb(i.self_fence_sec)
                       AND CASE jsonb_typeof(coalesce(r.value -> 'attempts', '[]'))
                           WHEN 'array' THEN jsonb_array_length(coalesce(r.value -> 'attempts', '[]')) <= 4096
                                        AND sluice.known_is_plain(coalesce(r.value -> 'attempts', '[]'))
                           ELSE false END AS plain
                  FROM jsonb_array_elements(p_requests) WITH ORDINALITY r (value, n)
                  LEFT JOIN LATERAL (SELECT i.* FROM sluice.instance i WHERE i.credential_hash = substring(p_auths FROM 32 * r.n::int - 31 FOR 32) OFFSET 0) i ON true
                  LEFT JOIN LATERAL (SELECT p.last_seen_at FROM sluice.presence p WHERE p.instance = i.id OFFSET 0) p ON true) s;

        IF v_stale IS NOT NULL THEN
                PERFORM sluice.presence_touch(v_stale);
        END IF;

        IF v_takers IS NOT NULL THEN
                PERFORM FROM sluice.take_many(v_takers, '{}');
        END IF;

        RETURN QUERY
        SELECT i.n::int, i.id, a.answer
          FROM unnest(v_instances) WITH ORDINALITY i (id, n)
          LEFT JOIN sluice.answers_sync(v_instances, p_requests) a ON a.request = i.n
         WHERE i.id IS NOT NULL;
END
$$;

REVOKE ALL ON FUNCTION api.agent_sync_batch(bytea, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.agent_sync_batch(bytea, jsonb) TO sluice_controld;
