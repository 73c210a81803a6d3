-- Instances that ask for work, many at once; see dispatch.sql for what holds dispatch together.
SET LOCAL check_function_bodies = off;

-- The instances of these credentials, whose hashes stand one behind the other; NULL for one that is not known.
CREATE OR REPLACE FUNCTION sluice.auth_instances(p_auths bytea) RETURNS uuid[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
        RETURN ARRAY(SELECT (SELECT i.id FROM sluice.instance i WHERE i.credential_hash = substring(p_auths FROM 32 * n - 31 FOR 32))
                       FROM generate_series(1, octet_length(p_auths) / 32) n ORDER BY n);
END
$$;

-- What sluice.take() does, for many. Waits for the locks of all of them, in order, unless there is nothing to do.
CREATE OR REPLACE FUNCTION sluice.take_many(p_instances uuid[], p_freed uuid[]) RETURNS TABLE (attempt uuid, instance uuid)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
        v_ask uuid[] := CASE WHEN EXISTS (SELECT FROM sluice.queue) THEN p_instances
                             ELSE ARRAY(SELECT DISTINCT unnest(p_freed)) END;
        v_open uuid[]; -- with room
        v_free int[];
        v_types text[];
        v_labels jsonb[];
        v_memory int8[];
        v_memory_left int8[];
        v_total int;
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
                SELECT array_agg(i.id), array_agg(i.slots - x.count), array_agg(a.type), array_agg(a.labels),
                       array_agg(i.memory_bytes), array_agg(i.memory_bytes - x.memory), sum(i.slots - x.count)
                  INTO v_open, v_free, v_types, v_labels, v_memory, v_memory_left, v_total
                  FROM sluice.instance i JOIN sluice.agent a ON a.id = i.agent JOIN sluice.presence p ON p.instance = i.id
                 CROSS JOIN LATERAL (SELECT count(*)::int AS count, coalesce(sum(x.memory_bytes), 0)::int8 AS memory
                                       FROM sluice.assignment x WHERE x.instance = i.id) x
                 WHERE i.id = ANY (v_ask) AND sluice.is_open(i, p.last_seen_at) AND i.slots > x.count;

                EXIT WHEN v_open IS NULL OR NOT EXISTS (SELECT FROM sluice.queue);

                -- First what belongs to runs that began there.
                v_attempts := ARRAY(
                        SELECT q.attempt
                          FROM sluice.queue q JOIN sluice.run r ON r.id = q.run
                         WHERE q.instance = ANY (v_open) AND (q.avoid_until > clock_timestamp()) IS NOT TRUE
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

-- What instances have to start: of p_given, and for those of p_all whatever they have not begun.
CREATE OR REPLACE FUNCTION sluice.answers_start(p_instances uuid[], p_given uuid[], p_all uuid[]) RETURNS TABLE (instance uuid, start json)
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
        RETURN QUERY
        WITH given AS MATERIALIZED (
                SELECT x.instance, x.attempt, x.epoch, x.run, r.project, r.pipe, r.version, a.task, t.position
                  FROM (SELECT x.*, row_number() OVER (PARTITION BY x.instance ORDER BY x.attempt) AS n FROM sluice.assignment x
                         WHERE x.instance = ANY (p_instances) AND x.state = 'assigned' AND NOT x.recover
                           AND (x.attempt = ANY (p_given) OR x.instance = ANY (p_all))) x
                  JOIN sluice.attempt a ON a.id = x.attempt
                  JOIN sluice.run r ON r.id = x.run
                  JOIN sluice.task t ON t.run = x.run AND t.name = a.task
                 WHERE x.n <= 64
        ), kind AS MATERIALIZED (
                SELECT k.*, sluice.is_fenced(v.spec, v.spec -> 'tasks' -> k.position) AS fence, v.spec -> 'tasks' -> k.position -> 'directives' AS directives
                  FROM (SELECT DISTINCT g.project, g.pipe, g.version, g.position FROM given g) k
                  JOIN sluice.pipe_version v ON (v.project, v.pipe, v.version) = (k.project, k.pipe, k.version)
        )
        SELECT g.instance, json_agg(json_build_object(
                       'attempt', g.attempt, 'epoch', g.epoch, 'run', g.run, 'project', g.project, 'pipe', g.pipe, 'task', g.task,
                       'fence', k.fence, 'directives', k.directives) ORDER BY g.attempt)
          FROM given g JOIN kind k ON (k.project, k.pipe, k.version, k.position) = (g.project, g.pipe, g.version, g.position)
         GROUP BY g.instance;
END
$$;

-- Runs whose workspace is to go. Removing one takes time, so each is said again only after a while.
CREATE OR REPLACE FUNCTION sluice.answers_clean(p_instances uuid[]) RETURNS TABLE (instance uuid, clean json)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
        RETURN QUERY
        WITH due AS MATERIALIZED (
                SELECT i.id, c.run
                  FROM unnest(p_instances) i (id)
                 CROSS JOIN LATERAL (
                        SELECT c.run FROM sluice.cleanup c
                         WHERE c.instance = i.id
                           AND (c.offered_at > clock_timestamp() - interval '30 seconds') IS NOT TRUE
                           AND NOT EXISTS (SELECT FROM sluice.run r -- begun again here after it was lost
                                            WHERE r.id = c.run AND r.instance = i.id AND r.ended_at IS NULL)
                         ORDER BY c.run LIMIT 64 FOR UPDATE SKIP LOCKED) c
        ), said AS (
                UPDATE sluice.cleanup c SET offered_at = clock_timestamp()
                  FROM due d WHERE c.instance = d.id AND c.run = d.run
                RETURNING c.instance, c.run
        )
        SELECT s.instance, json_agg(s.run ORDER BY s.run) FROM said s GROUP BY s.instance;
END
$$;
