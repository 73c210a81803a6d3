-- Dispatch: queued attempts onto seats of instances.
--
-- Three place attempts, all by sluice.place(): who makes a run tries it on idle instances; an instance that has room takes what
-- suits it; and api.dispatch() does what those two have missed. Whoever leaves an attempt or a seat without the other asks, by
-- sluice.look(), for an api.dispatch() after its commit. Two that do not see each other have both not committed; the later one's
-- api.dispatch() begins after both have, and sees both. So nothing waits beside a free seat, and nobody waits for a commit.
--
-- Locks, always in this order: sessions, presence, runs by id, instances by id. The lock of a run guards its tasks, attempts, queue and
-- live_run rows; the lock of an instance guards its seats, its memory and its idle row: they are counted by a statement that
-- begins after it was taken. Whoever changes a run holds its lock; for dispatch, locks are only tried (SKIP LOCKED), but that of
-- the instance that asks. Who is passed over so is looked at again: api.dispatch() says so, and whoever held the lock of a run
-- and leaves something of it in the queue asks for a look. Limits are counted under an advisory lock for each, only tried, too.
--
-- Statements here find a few rows of tables that may be large, and estimates of arrays and CTEs are guesses, those of small tables
-- too: they may have been empty when they were last looked at. So the functions that place allow no plan that reads a whole table:
-- OFFSET 0 makes a subquery a look-up for each row, and where rows are changed by a join, an index is only read by its key
-- (enable_indexscan = off leaves bitmaps). And the functions that agents and workers call all the time plan nothing anew: with
-- partitions that is a sixth of their time. tests/sql/plans*.sh watch over this.
SET LOCAL check_function_bodies = off;

DROP FUNCTION IF EXISTS sluice.dispatch_tell(uuid[]), sluice.selector_keys(jsonb), sluice.verdict(text, jsonb, uuid, uuid), -- of before 0006
        sluice.is_open(sluice.instance, timestamptz);
DROP FUNCTION IF EXISTS sluice.dispatch_runs(uuid[], uuid); -- of the release before

-- A selector as people write it.
CREATE OR REPLACE FUNCTION sluice.selector_text(p_selector jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
        SELECT string_agg(CASE
                WHEN t ->> 'operator' = 'exists' THEN t ->> 'key'
                WHEN t ->> 'operator' = 'absent' THEN '!' || (t ->> 'key')
                WHEN jsonb_array_length(t -> 'values') = 1 THEN
                        (t ->> 'key') || CASE t ->> 'operator' WHEN 'in' THEN '=' ELSE '!=' END || (t #>> '{values,0}')
                ELSE format('%s %s (%s)', t ->> 'key', t ->> 'operator',
                            (SELECT string_agg(v, ', ') FROM jsonb_array_elements_text(t -> 'values') v)) END, ', ')
          FROM jsonb_array_elements(p_selector) t
$$;

-- The instances that may be given work.
CREATE OR REPLACE VIEW sluice.open_instance AS
        SELECT i.id
          FROM sluice.instance i
          JOIN sluice.presence p ON p.instance = i.id
         WHERE NOT i.draining AND i.goodbye_at IS NULL AND i.broke_at IS NULL AND i.rival IS NULL AND i.quarantined_at IS NULL
           AND p.last_seen_at > now() - sluice.lease()
           AND NOT EXISTS (SELECT FROM sluice.agent_flag f WHERE f.agent = i.agent);

-- Those of these attempts that wait: by a look-up by key for each, whatever is believed of the size of the queue.
CREATE OR REPLACE FUNCTION sluice.queued(p_attempts uuid[]) RETURNS SETOF sluice.queue
LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
BEGIN
        RETURN QUERY SELECT q.* FROM unnest(p_attempts) a (id) CROSS JOIN LATERAL (SELECT * FROM sluice.queue q WHERE q.attempt = a.id OFFSET 0) q;
END
$$;

-- Whether anything waits: that of the transaction that queued first, or none. Rows that have left are passed over one by one as long as anybody has a snapshot
-- from before, so each session remembers where the last look came to. No row from before that can appear: the transactions before
-- the oldest that was under way had ended. (pg_snapshot_xmin() is of those that write; a reader does not hold it back.)
CREATE OR REPLACE FUNCTION sluice.queue_waits() RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
        v_from xid8 := coalesce(nullif(current_setting('sluice.queue_from', true), ''), '0')::xid8;
        v_under_way xid8 := pg_snapshot_xmin(pg_current_snapshot()); -- before the look: what has ended by now is seen by it
        v_first xid8 := (SELECT q.queued_by FROM sluice.queue q WHERE q.queued_by >= v_from ORDER BY q.queued_by LIMIT 1);
BEGIN
        -- A restored database may have rows of transactions that are yet to come.
        PERFORM set_config('sluice.queue_from', CASE WHEN v_first < v_under_way THEN v_first ELSE v_under_way END::text, false);
        RETURN v_first IS NOT NULL;
END
$$;

-- After the commit, somebody looks at the queue.
CREATE OR REPLACE FUNCTION sluice.look() RETURNS void
LANGUAGE sql AS $$
        SELECT pg_notify('sluice', 'dispatch')
$$;

-- The run has ended, or is back where it was before it began: limits do not count it any more.
CREATE OR REPLACE FUNCTION sluice.live_end(p_run uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v sluice.live_run;
BEGIN
        DELETE FROM sluice.live_run WHERE run = p_run RETURNING * INTO v;

        IF v.subject IS NOT NULL OR EXISTS (SELECT FROM sluice.demand d WHERE d.project = v.project AND d.subject = 'pipe ' || v.pipe)
           OR EXISTS (SELECT FROM sluice.project WHERE name = v.project AND concurrency_limit IS NOT NULL) THEN
                PERFORM sluice.look();
        END IF;
END
$$;

-- How many more attempts it can begin, with so many that it has.
CREATE OR REPLACE FUNCTION sluice.room(p_instance sluice.instance, p_type text, p_count bigint) RETURNS int
LANGUAGE sql STABLE AS $$
        SELECT CASE WHEN p_type = 'streaming' THEN sluice.stream_room(p_instance.agent) ELSE p_instance.slots - p_count::int END
$$;

-- What an attempt of this demand takes of a host's memory.
CREATE OR REPLACE FUNCTION sluice.memory_need(p_bytes int8, p_permyriad int, p_host int8) RETURNS int8
LANGUAGE sql IMMUTABLE AS $$
        SELECT coalesce(p_bytes, (p_host::numeric * p_permyriad / 10000)::int8, 0)
$$;

-- How many more runs of this demand's subject, and of its project, may begin. NULL: no limit.
CREATE OR REPLACE FUNCTION sluice.demand_room(d sluice.demand) RETURNS TABLE (subject_room int, project_room int)
LANGUAGE sql STABLE AS $$
        SELECT CASE WHEN d.subject_limit IS NOT NULL THEN d.subject_limit - (
                        SELECT count(*) FROM sluice.live_run l
                         WHERE l.project = d.project AND (l.subject = d.subject OR 'pipe ' || l.pipe = d.subject))::int END,
               CASE WHEN p.concurrency_limit IS NOT NULL THEN p.concurrency_limit - (
                        SELECT count(*) FROM sluice.live_run l WHERE l.project = d.project)::int END
          FROM sluice.project p WHERE p.name = d.project
$$;

-- The demands that something waits for, by one index step each, however long the queue.
CREATE OR REPLACE FUNCTION sluice.demands_waiting() RETURNS SETOF sluice.demand
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
BEGIN
        RETURN QUERY
        WITH RECURSIVE step AS (
                (SELECT demand FROM sluice.queue WHERE instance IS NULL ORDER BY demand LIMIT 1)
                UNION ALL
                SELECT (SELECT q.demand FROM sluice.queue q
                         WHERE q.instance IS NULL AND q.demand > s.demand ORDER BY q.demand LIMIT 1)
                  FROM step s WHERE s.demand IS NOT NULL
        )
        SELECT d.* FROM step s JOIN sluice.demand d ON d.id = s.demand;
END
$$;

-- The first p_limit attempts of a demand that p_instance (NULL: any) may be asked to take. Where no further run may begin, those
-- of runs that have: they hold their place.
CREATE OR REPLACE FUNCTION sluice.demand_head(p_demand uuid, p_room int, p_instance uuid, p_limit int)
RETURNS TABLE (attempt uuid, run uuid, priority int)
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
        IF p_room <= 0 THEN
                RETURN QUERY
                SELECT q.attempt, q.run, q.priority
                  FROM sluice.demand d
                  JOIN sluice.live_run l ON l.project = d.project AND (d.subject IS NULL OR l.subject = d.subject)
                  JOIN sluice.queue q ON q.run = l.run
                 WHERE d.id = p_demand AND q.demand = p_demand AND q.instance IS NULL
                   AND (q.avoid = p_instance AND q.avoid_until > clock_timestamp()) IS NOT TRUE
                 ORDER BY q.priority DESC, q.attempt LIMIT p_limit;
        ELSE
                RETURN QUERY
                SELECT q.attempt, q.run, q.priority
                  FROM sluice.queue q
                 WHERE q.demand = p_demand AND q.instance IS NULL
                   AND (q.avoid = p_instance AND q.avoid_until > clock_timestamp()) IS NOT TRUE
                 ORDER BY q.priority DESC, q.attempt LIMIT p_limit;
        END IF;
END
$$;

-- Tries for the locks of the limits that these demands are under. Answers the demands whose limit somebody else is counting.
CREATE OR REPLACE FUNCTION sluice.limits_lock(p_demands uuid[]) RETURNS uuid[]
LANGUAGE plpgsql AS $$
DECLARE
        v record;
        v_closed uuid[] := '{}';
BEGIN
        FOR v IN SELECT d.id, d.project, d.subject, p.concurrency_limit IS NOT NULL AS whole
                   FROM sluice.demand d JOIN sluice.project p ON p.name = d.project
                  WHERE d.id = ANY (p_demands) AND (d.subject IS NOT NULL OR p.concurrency_limit IS NOT NULL) LOOP
                IF v.whole AND NOT pg_try_advisory_xact_lock(hashtext('sluice project'), hashtext(v.project))
                   OR v.subject IS NOT NULL
                      AND NOT pg_try_advisory_xact_lock(hashtext('sluice limit'), hashtext(v.project || ' ' || v.subject)) THEN
                        v_closed := v_closed || v.id;
                END IF;
        END LOOP;

        RETURN v_closed;
END
$$;

-- Places what it can of p_attempts on p_instances, whose locks the caller holds, as it holds those of
-- the runs. Attempts that want the same form a class, and so do the seats that suit it, best first: a seat
-- is the better the more free ones its instance has. The n-th attempt of a class, by priority and age, asks for the n-th seat.
-- Where two ask for one seat, or more than an instance's memory or a limit allows, the first get it, and the others ask again in
-- the next round. Of a run that has not begun only the first attempt asks: the others follow it. What is placed apart follows nobody.
CREATE OR REPLACE FUNCTION sluice.place(p_attempts uuid[], p_instances uuid[])
RETURNS TABLE (attempt uuid, instance uuid)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_indexscan = off SET enable_indexonlyscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
        v_closed uuid[] := sluice.limits_lock(ARRAY(
                SELECT DISTINCT q.demand FROM sluice.queued(p_attempts) q));
        v_open uuid[] := sluice.streams_lock(p_attempts, p_instances);
        v_left int := cardinality(p_attempts);
        v_attempts uuid[];
        v_instances uuid[];
        v_runs uuid[];
BEGIN
        WHILE v_left > 0 LOOP
                WITH queued AS MATERIALIZED (
                        SELECT q.*, row_number() OVER (PARTITION BY q.run, q.apart ORDER BY q.attempt) AS of_run FROM sluice.queued(p_attempts) q
                ), wanted AS MATERIALIZED (
                        SELECT d.*, r.subject_room, r.project_room, d.id <> ALL (v_closed) AND coalesce(least(r.subject_room, r.project_room), 1) > 0 AS admits
                          FROM (SELECT DISTINCT q.demand FROM queued q) q
                         CROSS JOIN LATERAL (SELECT d AS row FROM sluice.demand d WHERE d.id = q.demand OFFSET 0) o
                         CROSS JOIN LATERAL (SELECT (o.row).*) d
                         CROSS JOIN LATERAL sluice.demand_room(o.row) r
                ), asking AS MATERIALIZED (
                        SELECT q.attempt, q.run, q.apart, q.demand, q.priority, q.instance, q.avoid, l.run IS NULL AS fresh,
                               q.avoid_until > now() AS avoiding, u.beside,
                               dense_rank() OVER (ORDER BY q.demand, q.instance, q.avoid, q.avoid_until > now(), u.beside) AS class
                          FROM queued q
                          JOIN wanted d ON d.id = q.demand
                         CROSS JOIN LATERAL (SELECT CASE d.type WHEN 'streaming' THEN (
                                SELECT x.stream_agent FROM sluice.stream s JOIN sluice.assignment x ON x.run = s.retiring AND x.retiring WHERE s.run = q.run) END AS beside) u
                          LEFT JOIN LATERAL (SELECT l.run FROM sluice.live_run l WHERE l.run = q.run OFFSET 0) l ON true
                         WHERE (d.admits OR l.run IS NOT NULL) AND (q.instance IS NOT NULL AND l.run IS NOT NULL OR q.apart OR q.of_run = 1)
                ), numbered AS MATERIALIZED (
                        SELECT a.*, row_number() OVER (PARTITION BY class ORDER BY priority DESC, attempt) AS number FROM asking a
                ), class AS MATERIALIZED (
                        SELECT a.class, a.instance, a.avoid, a.avoiding, a.beside, a.count, d.type, d.path::text AS path, d.memory_bytes, d.memory_permyriad
                          FROM (SELECT class, demand, instance, avoid, avoiding, beside, count(*) FROM asking GROUP BY 1, 2, 3, 4, 5, 6) a
                          JOIN wanted d ON d.id = a.demand
                ), host AS MATERIALIZED (
                        -- A streaming agent has one place, and one more seat: for the run that takes the place of another.
                        SELECT i.id, i.slots + (a.type = 'streaming')::int AS slots, a.id AS agent, a.type, a.labels, random() AS tie,
                               i.memory_bytes AS memory, i.memory_bytes - x.memory AS memory_left, sluice.room(i, a.type, x.count) AS free,
                               CASE a.type WHEN 'streaming' THEN a.id ELSE i.id END AS owner,
                               a.type = 'streaming' AND EXISTS (SELECT FROM sluice.assignment y WHERE y.stream_agent = a.id AND y.retiring) AS held
                          FROM sluice.instance i
                          JOIN sluice.agent a ON a.id = i.agent
                         CROSS JOIN LATERAL (SELECT FROM sluice.open_instance o WHERE o.id = i.id OFFSET 0) o
                         CROSS JOIN LATERAL (SELECT count(*)::int AS count, coalesce(sum(x.memory_bytes), 0)::int8 AS memory
                                               FROM sluice.assignment x WHERE x.instance = i.id) x
                         WHERE i.id = ANY (v_open)
                ), seat AS MATERIALIZED (
                        SELECT h.*, s.seat, CASE h.type WHEN 'streaming' THEN 0 ELSE s.seat END AS place, row_number() OVER (PARTITION BY h.id ORDER BY s.seat) AS nth
                          FROM host h
                         CROSS JOIN LATERAL (
                                SELECT g.seat FROM generate_series(0, h.slots - 1) g (seat)
                                 WHERE NOT EXISTS (SELECT FROM sluice.assignment x WHERE x.instance = h.id AND x.seat = g.seat)
                                 LIMIT greatest(4, 2 * v_left / nullif(cardinality(v_open), 0))) s -- more of one host only in the next round
                         WHERE h.free > 0
                ), suiting AS MATERIALIZED (
                        SELECT c.class, c.count, s.id, s.agent, s.type, s.owner, s.place, s.seat, n.need, s.memory_left, row_number() OVER (
                                PARTITION BY c.class
                                ORDER BY (s.id IS NOT DISTINCT FROM c.avoid), s.free - s.nth DESC, s.tie, s.seat) AS number
                          FROM class c
                          JOIN seat s ON s.type = c.type AND s.labels @@ c.path::jsonpath
                                     AND s.id = coalesce(c.instance, s.id) AND (NOT s.held OR s.agent = c.beside) AND (c.avoiding IS NOT TRUE OR s.id <> c.avoid)
                         CROSS JOIN LATERAL (SELECT sluice.memory_need(c.memory_bytes, c.memory_permyriad, s.memory) AS need) n
                         WHERE s.nth <= s.free AND s.nth <= c.count AND (s.memory_left IS NULL OR n.need = 0 OR s.nth * n.need <= s.memory_left)
                ), pair AS MATERIALIZED (
                        -- Joined by sorting: a join would be of each with each, for it is believed that there are few.
                        SELECT u.*, lag(u.id) OVER w AS instance, lag(u.agent) OVER w AS its_agent, lag(u.type) OVER w AS its_type, lag(u.owner) OVER w AS its_owner,
                               lag(u.place) OVER w AS its_place, lag(u.seat) OVER w AS its_seat, lag(u.need) OVER w AS its_need, lag(u.memory_left) OVER w AS its_memory_left
                          FROM (SELECT false AS asks, class, number, NULL::uuid AS attempt, NULL::uuid AS run, NULL::boolean AS apart, NULL::int AS priority, NULL::boolean AS fresh, NULL::uuid AS demand,
                                       id, agent, type, owner, place, seat, need, memory_left
                                  FROM suiting WHERE number <= count
                                 UNION ALL
                                SELECT true, class, number, attempt, run, apart, priority, fresh, demand, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM numbered) u
                        WINDOW w AS (PARTITION BY u.class, u.number ORDER BY u.asks)
                ), claim AS MATERIALIZED (
                        SELECT p.attempt, p.run, p.apart, p.priority, p.fresh, p.demand, p.class, p.instance, p.its_agent AS agent, p.its_type AS type, p.its_seat AS seat,
                               p.its_need AS need, p.its_memory_left AS memory_left,
                               row_number() OVER (PARTITION BY p.its_owner, p.its_place ORDER BY p.priority DESC, p.attempt) AS turn
                          FROM pair p WHERE p.asks AND p.instance IS NOT NULL
                ), ranked AS MATERIALIZED (
                        SELECT c.*, d.project, d.subject, d.subject_room, d.project_room,
                               sum(c.need) FILTER (WHERE c.turn = 1) OVER (PARTITION BY c.instance ORDER BY c.priority DESC, c.attempt) AS memory_sum,
                               count(*) FILTER (WHERE c.fresh) OVER (PARTITION BY d.project, d.subject ORDER BY c.priority DESC, c.attempt) AS subject_rank,
                               count(*) FILTER (WHERE c.fresh) OVER (PARTITION BY d.project ORDER BY c.priority DESC, c.attempt) AS project_rank
                          FROM claim c JOIN wanted d ON d.id = c.demand
                ), judged AS MATERIALIZED (
                        -- Nobody passes one before him who wants the same.
                        SELECT r.*, bool_and(turn = 1
                                             AND (need = 0 OR memory_left IS NULL OR memory_sum <= memory_left)
                                             AND (NOT fresh OR coalesce(subject_rank <= subject_room, true)
                                                               AND coalesce(project_rank <= project_room, true)))
                                    OVER (PARTITION BY class ORDER BY priority DESC, attempt) AS granted
                          FROM ranked r
                ), chosen AS MATERIALIZED (
                        SELECT * FROM judged WHERE granted
                ), taken AS (
                        DELETE FROM sluice.queue q WHERE q.attempt = ANY (ARRAY(SELECT c.attempt FROM chosen c))
                        RETURNING q.attempt
                ), moved AS (
                        UPDATE sluice.attempt a
                           SET state = 'assigned', epoch = a.epoch + 1, instance = c.instance, agent = c.agent,
                               assigned_at = clock_timestamp(), reason = NULL
                          FROM chosen c WHERE a.id = c.attempt
                        RETURNING a.id AS attempt, a.epoch, a.run, c.instance, c.seat, c.need, CASE c.type WHEN 'streaming' THEN c.agent END AS stream_agent
                ), bound AS (
                        UPDATE sluice.run r SET instance = coalesce(c.shared, r.instance), revision = r.revision + 1
                          FROM (SELECT run, subject, fresh, (array_agg(instance) FILTER (WHERE NOT apart))[1] AS shared FROM chosen GROUP BY 1, 2, 3) c WHERE r.id = c.run
                        RETURNING r.id, r.project, r.pipe, r.version, c.subject, c.fresh
                ), begun AS (
                        INSERT INTO sluice.live_run (run, project, subject, pipe)
                        SELECT id, project, subject, CASE WHEN NOT sluice.is_draft(version) THEN pipe END FROM bound WHERE fresh
                ), given AS (
                        INSERT INTO sluice.assignment (attempt, epoch, instance, seat, run, memory_bytes, stream_agent)
                        SELECT m.attempt, m.epoch, m.instance, m.seat, m.run, m.need, m.stream_agent FROM moved m
                )
                SELECT array_agg(m.attempt), array_agg(m.instance), array_agg(DISTINCT m.run)
                  INTO v_attempts, v_instances, v_runs
                  FROM moved m;

                EXIT WHEN v_attempts IS NULL;
                v_left := v_left - cardinality(v_attempts);

                UPDATE sluice.queue q SET instance = r.instance
                  FROM sluice.run r
                 WHERE q.run = ANY (v_runs) AND q.instance IS NULL AND NOT q.apart AND r.id = q.run;

                PERFORM pg_notify('sluice', 'run ' || r.run) FROM unnest(v_runs) r (run);
                RETURN QUERY SELECT * FROM unnest(v_attempts, v_instances);
        END LOOP;

        DELETE FROM sluice.idle d
         WHERE d.instance = ANY (p_instances)
           AND NOT EXISTS (SELECT FROM sluice.instance i JOIN sluice.agent a ON a.id = i.agent
                            WHERE i.id = d.instance
                              AND sluice.room(i, a.type, (SELECT count(*) FROM sluice.assignment x WHERE x.instance = i.id)) > 0);
END
$$;

-- Instances with room for attempts of this demand, those with most free seats first: an estimate, without locks. It looks
-- at some of the idle ones, and at all of them only when those will not do.
CREATE OR REPLACE FUNCTION sluice.demand_seats(p_demand uuid, p_count int) RETURNS TABLE (instance uuid, free int)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
        v sluice.demand;
        v_spot float8 := random();
        v_some uuid[];
        v_sample int := least(16 + 2 * p_count, 1024);
        v_found int;
BEGIN
        v_some := ARRAY(SELECT e.instance FROM sluice.idle e WHERE e.spot >= v_spot ORDER BY e.spot LIMIT v_sample);
        IF cardinality(v_some) < v_sample THEN
                v_some := v_some || ARRAY(SELECT e.instance FROM sluice.idle e WHERE e.spot < v_spot ORDER BY e.spot
                                           LIMIT v_sample - cardinality(v_some));
        END IF;

        IF v_some = '{}' THEN
                RETURN;
        END IF;

        SELECT * INTO STRICT v FROM sluice.demand WHERE id = p_demand;
        RETURN QUERY SELECT * FROM sluice.demand_seats_of(v, v_some, p_count);
        GET DIAGNOSTICS v_found = ROW_COUNT;

        IF v_found < least(p_count, 4) AND cardinality(v_some) >= v_sample THEN
                RETURN QUERY
                SELECT s.* FROM sluice.demand_seats_of(v, ARRAY(
                        SELECT e.instance
                          FROM sluice.agent a JOIN sluice.instance i ON i.agent = a.id JOIN sluice.idle e ON e.instance = i.id
                         WHERE a.labels @@ v.path AND e.instance <> ALL (v_some) LIMIT 4096), p_count) s;
        END IF;
END
$$;

-- OFFSET 0: labels that suit are taken for rare, and the whole fleet would be looked through for them.
CREATE OR REPLACE FUNCTION sluice.demand_seats_of(d sluice.demand, p_some uuid[], p_count int)
RETURNS TABLE (instance uuid, free int)
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
        RETURN QUERY
        SELECT i.id, sluice.room(i, a.type, x.count)
          FROM sluice.instance i
         CROSS JOIN LATERAL (SELECT a.type FROM sluice.agent a WHERE a.id = i.agent AND a.type = d.type AND a.labels @@ d.path OFFSET 0) a
         CROSS JOIN LATERAL (SELECT FROM sluice.open_instance o WHERE o.id = i.id OFFSET 0) o
         CROSS JOIN LATERAL (SELECT count(*)::int AS count, coalesce(sum(x.memory_bytes), 0)::int8 AS memory
                               FROM sluice.assignment x WHERE x.instance = i.id) x
         WHERE i.id = ANY (p_some)
           AND sluice.room(i, a.type, x.count) > 0
           AND (i.memory_bytes IS NULL
                OR sluice.memory_need(d.memory_bytes, d.memory_permyriad, i.memory_bytes) <= greatest(i.memory_bytes - x.memory, 0))
         ORDER BY sluice.room(i, a.type, x.count) DESC, random() LIMIT p_count + 4;
END
$$;

-- The fleet, for the queued attempts of these runs. The caller holds their locks. p_self is told of its
-- new work by the answer that the caller is about to give; its lock is taken along with the others. Of those only what was queued since p_since.
CREATE OR REPLACE FUNCTION sluice.dispatch_runs(p_runs uuid[], p_self uuid, p_since timestamptz DEFAULT '-infinity') RETURNS SETOF uuid
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
        v_attempts uuid[];
        v_all int := 0;
        v_candidates uuid[];
        v_instances uuid[];
        v_placed record;
        v_count int := 0;
BEGIN
        -- Of what is bound to instances so many at a time: each seat is compared with each of their attempts.
        FOR v_attempts IN
                SELECT array_agg(q.attempt ORDER BY q.priority DESC, q.attempt)
                  FROM (SELECT o.*, CASE WHEN o.instance IS NULL THEN 0
                                         ELSE (row_number() OVER (PARTITION BY o.instance IS NULL ORDER BY o.priority DESC, o.attempt) - 1) / 128 END AS part
                          FROM sluice.queue o WHERE o.run = ANY (p_runs) AND o.queued_at >= p_since) q
                 GROUP BY q.part ORDER BY q.part LOOP
                v_all := v_all + cardinality(v_attempts);
                v_candidates := ARRAY(
                        SELECT instance FROM sluice.queued(v_attempts) WHERE instance IS NOT NULL
                        UNION
                        SELECT s.instance
                          FROM (SELECT demand, count(*)::int FROM sluice.queued(v_attempts) WHERE instance IS NULL
                                 GROUP BY demand) d
                         CROSS JOIN LATERAL sluice.demand_seats(d.demand, d.count) s);
                CONTINUE WHEN v_candidates = '{}';
                v_instances := ARRAY(SELECT id FROM sluice.instance WHERE id = ANY (v_candidates || p_self)
                                      ORDER BY id FOR NO KEY UPDATE SKIP LOCKED);
                FOR v_placed IN SELECT * FROM sluice.place(v_attempts, v_instances) LOOP
                        v_count := v_count + 1;
                        IF v_placed.instance = p_self THEN
                                RETURN NEXT v_placed.attempt;
                        ELSE
                                PERFORM pg_notify('sluice', 'instance ' || v_placed.instance);
                        END IF;
                END LOOP;
        END LOOP;

        -- An instance that somebody else held asks for what is its own by itself.
        IF v_count < v_all THEN
                PERFORM sluice.look();
                PERFORM pg_notify('sluice', 'instance ' || q.instance)
                   FROM sluice.queue q
                  WHERE q.run = ANY (p_runs) AND q.queued_at >= p_since AND q.instance IS NOT NULL AND (q.instance <> p_self) IS NOT FALSE AND EXISTS (SELECT FROM sluice.idle e WHERE e.instance = q.instance);
        END IF;
END
$$;

-- What others have missed. True: some of it is held by somebody, or there may be more; ask again in a moment.
CREATE OR REPLACE FUNCTION sluice.dispatch() RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
        v_attempts uuid[] := '{}';
        v_candidates uuid[] := '{}';
        v_runs uuid[];
        v_instances uuid[];
        v_locked int;
        v_placed record;
        v_again boolean := false;
        v record;
BEGIN
        IF NOT sluice.queue_waits() OR NOT EXISTS (SELECT FROM sluice.idle) THEN
                RETURN false;
        ELSIF NOT pg_try_advisory_xact_lock(hashtext('sluice'), 1) THEN
                RETURN true;
        END IF;

        FOR v IN SELECT d.id, least(m.subject_room, m.project_room) AS room
                   FROM sluice.demands_waiting() d CROSS JOIN LATERAL sluice.demand_room(d) m LOOP
                v_instances := '{}';
                v_locked := 0;
                FOR v_placed IN SELECT * FROM sluice.demand_seats(v.id, 200) LOOP
                        v_instances := v_instances || v_placed.instance;
                        v_locked := v_locked + v_placed.free;
                END LOOP;
                CONTINUE WHEN v_locked = 0;

                v_candidates := v_candidates || v_instances;
                v_attempts := v_attempts || ARRAY(
                        SELECT h.attempt FROM sluice.demand_head(v.id, v.room, NULL, least(v_locked, 500)) h);
        END LOOP;

        v_runs := ARRAY(SELECT DISTINCT run FROM sluice.queued(v_attempts));
        v_locked := cardinality(v_runs);
        v_runs := ARRAY(SELECT id FROM sluice.run WHERE id = ANY (v_runs) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED);
        v_again := v_locked > cardinality(v_runs);

        v_candidates := ARRAY(SELECT DISTINCT unnest(v_candidates));
        v_instances := ARRAY(SELECT id FROM sluice.instance WHERE id = ANY (v_candidates) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED);
        v_again := v_again OR cardinality(v_candidates) > cardinality(v_instances);

        v_attempts := ARRAY(SELECT q.attempt FROM sluice.queued(v_attempts) q WHERE q.run = ANY (v_runs));
        v_again := v_again OR sluice.limits_lock(ARRAY(SELECT DISTINCT demand FROM sluice.queued(v_attempts))) <> '{}';
        FOR v_placed IN SELECT instance, count(*) FROM sluice.place(v_attempts, v_instances) GROUP BY instance LOOP
                v_again := true;
                PERFORM pg_notify('sluice', 'instance ' || v_placed.instance);
        END LOOP;

        RETURN v_again;
END
$$;

-- Streams first: what they begin is to be placed.
CREATE OR REPLACE FUNCTION api.dispatch() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_again boolean := sluice.streams_settle();
BEGIN
        RETURN sluice.dispatch() OR v_again;
END
$$;

-- Now and then: hints of room that were lost, or are of instances that died; what is bound to an instance that was not told;
-- and the verdicts on what has waited longest.
CREATE OR REPLACE FUNCTION sluice.dispatch_sweep() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_runs uuid[];
        v_changed uuid[];
BEGIN
        IF NOT sluice.queue_waits() OR NOT pg_try_advisory_xact_lock(hashtext('sluice'), 3) THEN
                RETURN;
        END IF;

        WITH room AS (
                SELECT i.id, o.id IS NOT NULL AND sluice.room(i, a.type, coalesce(x.count, 0)) > 0 AS free
                  FROM sluice.instance i
                  JOIN sluice.agent a ON a.id = i.agent
                  LEFT JOIN sluice.open_instance o ON o.id = i.id
                  LEFT JOIN (SELECT instance, count(*) FROM sluice.assignment GROUP BY instance) x ON x.instance = i.id
                  LEFT JOIN sluice.idle e ON e.instance = i.id
                 WHERE (o.id IS NOT NULL AND sluice.room(i, a.type, coalesce(x.count, 0)) > 0) IS DISTINCT FROM (e.instance IS NOT NULL)
                 ORDER BY i.id FOR NO KEY UPDATE OF i SKIP LOCKED
        ), gone AS (
                DELETE FROM sluice.idle e USING room r WHERE e.instance = r.id AND r.free IS NOT TRUE
        )
        INSERT INTO sluice.idle (instance) SELECT id FROM room WHERE free ON CONFLICT DO NOTHING;

        PERFORM sluice.dispatch();

        v_runs := ARRAY(
                SELECT r.id
                  FROM (SELECT run, min(queued_at) AS since FROM (
                                (SELECT run, queued_at FROM sluice.queue WHERE instance IS NOT NULL LIMIT 500)
                                UNION ALL
                                (SELECT run, queued_at FROM sluice.queue ORDER BY attempt LIMIT 500)) o
                         GROUP BY run ORDER BY since LIMIT 500) q
                  JOIN sluice.run r ON r.id = q.run
                 WHERE q.since < clock_timestamp() - interval '2 seconds'
                   FOR NO KEY UPDATE OF r SKIP LOCKED);
        PERFORM sluice.dispatch_runs(v_runs, NULL);

        WITH class AS MATERIALIZED (
                SELECT k.*, sluice.verdict(k.demand, k.live, k.instance, k.avoid, k.apart) AS verdict
                  FROM (SELECT DISTINCT demand, instance, apart, EXISTS (SELECT FROM sluice.live_run l WHERE l.run = q.run) AS live,
                               CASE WHEN avoid_until > clock_timestamp() THEN avoid END AS avoid
                          FROM sluice.queue q WHERE run = ANY (v_runs)) k
        ), judged AS (
                UPDATE sluice.queue q SET verdict = c.verdict
                  FROM class c
                 WHERE q.run = ANY (v_runs) AND q.verdict IS DISTINCT FROM c.verdict
                   AND q.demand = c.demand AND q.instance IS NOT DISTINCT FROM c.instance AND q.apart = c.apart
                   AND EXISTS (SELECT FROM sluice.live_run l WHERE l.run = q.run) = c.live
                   AND CASE WHEN q.avoid_until > clock_timestamp() THEN q.avoid END IS NOT DISTINCT FROM c.avoid
                RETURNING q.run
        )
        SELECT array_agg(DISTINCT run) INTO v_changed FROM judged;

        IF v_changed IS NOT NULL THEN
                PERFORM sluice.run_touch(v_changed);
        END IF;
END
$$;

REVOKE ALL ON FUNCTION api.dispatch() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.dispatch() TO sluice_controld;
