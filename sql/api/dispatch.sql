-- Dispatch: queued attempts onto seats of instances.
--
-- Locks, always in this order: presence, runs by id, instances by id, the gate. The lock of an instance guards
-- its seats: they are counted by a statement that begins after it was taken. Whoever changes a run holds its
-- lock and dispatches what it queued. An instance that looks for work holds its own lock and only tries
-- for those of runs (SKIP LOCKED), so that no circle can form.
--
-- The gate is an advisory lock. Who frees a seat passes it, shared, before it looks at the queue; who leaves
-- something in the queue closes it before it looks at the seats. So of two that do both at once one sees what
-- the other did, and nothing waits beside a free seat of which each believed that the other would fill it.
SET LOCAL check_function_bodies = off;

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

-- Places what it can of p_attempts on p_instances, whose locks the caller holds, as it holds those of
-- the runs. Attempts that want the same form a class, and so do the seats that suit it, best first: a seat
-- is the better the more free ones its instance has. The n-th attempt of a class asks for the n-th seat.
-- Where two classes ask for one seat the older attempt gets it, and the other asks again in the next
-- round. Of a run that has no instance yet only the first attempt asks: the others follow it.
CREATE OR REPLACE FUNCTION sluice.place(p_attempts uuid[], p_instances uuid[])
RETURNS TABLE (attempt uuid, instance uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
        v_attempts uuid[];
        v_instances uuid[];
        v_runs uuid[];
BEGIN
        LOOP
                WITH asking AS (
                        SELECT q.*, q.avoid_until > clock_timestamp() AS avoiding,
                               dense_rank() OVER (ORDER BY q.type, q.selector, q.instance, q.avoid,
                                                           q.avoid_until > clock_timestamp()) AS class
                          FROM sluice.queue q
                         WHERE q.attempt = ANY (p_attempts)
                           AND (q.instance IS NOT NULL OR NOT EXISTS (
                                SELECT FROM sluice.queue s WHERE s.run = q.run AND s.attempt < q.attempt
                                   AND s.attempt = ANY (p_attempts)))
                ), numbered AS (
                        SELECT a.*, row_number() OVER (PARTITION BY class ORDER BY attempt) AS number FROM asking a
                ), class AS (
                        SELECT DISTINCT class, type, sluice.selector_path(selector)::text AS path, instance, avoid, avoiding
                          FROM asking
                ), host AS (
                        SELECT i.id, i.slots, a.id AS agent, a.type, a.labels, random() AS tie,
                               i.slots - (SELECT count(*) FROM sluice.assignment x WHERE x.instance = i.id) AS free
                          FROM sluice.instance i
                          JOIN sluice.agent a ON a.id = i.agent
                          JOIN sluice.presence p ON p.instance = i.id
                         WHERE i.id = ANY (p_instances) AND NOT i.draining AND i.goodbye_at IS NULL
                           AND p.last_seen_at > now() - sluice.lease()
                ), seat AS (
                        SELECT h.*, s.seat, h.free - row_number() OVER (PARTITION BY h.id ORDER BY s.seat) AS left_over
                          FROM host h CROSS JOIN generate_series(0, h.slots - 1) s (seat)
                         WHERE NOT EXISTS (SELECT FROM sluice.assignment x WHERE x.instance = h.id AND x.seat = s.seat)
                ), suiting AS (
                        SELECT c.class, s.id, s.agent, s.seat, row_number() OVER (
                                PARTITION BY c.class
                                ORDER BY (s.id IS NOT DISTINCT FROM c.avoid), s.left_over DESC, s.tie, s.seat) AS number
                          FROM class c
                          JOIN seat s ON s.type = c.type AND s.labels @@ c.path::jsonpath
                                     AND s.id = coalesce(c.instance, s.id)
                                     AND (c.avoiding IS NOT TRUE OR s.id <> c.avoid)
                         WHERE s.left_over >= 0
                ), claim AS (
                        SELECT n.attempt, n.run, s.id AS instance, s.agent, s.seat,
                               row_number() OVER (PARTITION BY s.id, s.seat ORDER BY n.attempt) AS turn
                          FROM numbered n JOIN suiting s ON s.class = n.class AND s.number = n.number
                ), chosen AS (
                        SELECT * FROM claim WHERE turn = 1
                ), taken AS (
                        DELETE FROM sluice.queue q USING chosen c WHERE q.attempt = c.attempt
                        RETURNING q.attempt
                ), moved AS (
                        UPDATE sluice.attempt a
                           SET state = 'assigned', epoch = a.epoch + 1, instance = c.instance, agent = c.agent,
                               assigned_at = clock_timestamp(), reason = NULL
                          FROM chosen c WHERE a.id = c.attempt
                        RETURNING a.id AS attempt, a.epoch, a.run, c.instance, c.seat
                ), bound AS (
                        UPDATE sluice.run r SET instance = c.instance, revision = r.revision + 1
                          FROM (SELECT DISTINCT run, instance FROM chosen) c WHERE r.id = c.run
                ), given AS (
                        INSERT INTO sluice.assignment (attempt, epoch, instance, seat, run)
                        SELECT m.attempt, m.epoch, m.instance, m.seat, m.run FROM moved m
                )
                SELECT array_agg(m.attempt), array_agg(m.instance), array_agg(DISTINCT m.run)
                  INTO v_attempts, v_instances, v_runs
                  FROM moved m;

                EXIT WHEN v_attempts IS NULL;

                UPDATE sluice.queue q SET instance = r.instance
                  FROM sluice.run r
                 WHERE q.run = ANY (v_runs) AND q.instance IS NULL AND r.id = q.run;

                PERFORM pg_notify('sluice', 'run ' || r.run) FROM unnest(v_runs) r (run);
                RETURN QUERY SELECT * FROM unnest(v_attempts, v_instances);
        END LOOP;
END
$$;

-- Why a queued attempt is where it is, in words.
CREATE OR REPLACE FUNCTION sluice.verdict(p_type text, p_selector jsonb, p_instance uuid, p_avoid uuid) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_wish text := 'type ' || p_type
                || coalesce(' with the labels ' || nullif(sluice.selector_text(p_selector), ''), '');
        v record;
BEGIN
        SELECT count(*) AS known,
               count(*) FILTER (WHERE s.here) AS here,
               count(*) FILTER (WHERE s.here AND NOT s.draining) AS open,
               count(*) FILTER (WHERE s.here AND NOT s.draining AND s.id = p_avoid) AS avoided,
               sum(s.slots) FILTER (WHERE s.here AND NOT s.draining) AS slots,
               coalesce(min(s.name) FILTER (WHERE s.id = p_avoid), min(s.name)) AS name,
               min(s.hostname) AS hostname
          INTO v
          FROM (SELECT i.id, i.slots, i.draining, i.hostname, a.name,
                       coalesce(sluice.instance_status(p.last_seen_at, i.goodbye_at) = 'Running', false) AS here
                  FROM sluice.agent a
                  JOIN sluice.instance i ON i.agent = a.id
                  LEFT JOIN sluice.presence p ON p.instance = i.id
                 WHERE a.type = p_type AND sluice.selector_matches(a.labels, p_selector)
                   AND (p_instance IS NULL OR i.id = p_instance)) s;

        IF p_instance IS NOT NULL AND v.known > 0 THEN
                RETURN format('waits for agent "%s" on %s, where the run began: %s', v.name, v.hostname,
                        CASE WHEN v.here = 0 THEN 'it is not connected'
                             WHEN v.open = 0 THEN 'it is draining'
                             WHEN v.avoided > 0 THEN 'it could not take the task just now and is asked again soon'
                             ELSE format('its %s slots are taken', v.slots) END);
        ELSIF p_instance IS NOT NULL THEN
                RETURN format('the agent where the run began is no longer of %s', v_wish);
        ELSIF v.known = 0 THEN
                RETURN format('no agent is of %s', v_wish);
        ELSIF v.here = 0 THEN
                RETURN format('none of the %s instances of %s is connected', v.known, v_wish);
        ELSIF v.open = 0 THEN
                RETURN format('all %s connected instances of %s are draining', v.here, v_wish);
        ELSIF v.open = v.avoided THEN
                RETURN format('agent "%s", the only one connected of %s, could not take it just now and is asked again soon',
                              v.name, v_wish);
        END IF;

        RETURN format('all %s slots of the %s connected instances of %s are taken', v.slots, v.open, v_wish);
END
$$;

-- Tells instances that could have what still waits of these runs to ask for it: a seat came free, or somebody
-- passed over a run, while the caller held it. To be called last, since it closes the gate. It tells a few
-- more than are needed and not the whole fleet; whoever is told finds all that waits.
CREATE OR REPLACE FUNCTION sluice.dispatch_tell(p_runs uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        IF NOT EXISTS (SELECT FROM sluice.queue WHERE run = ANY (p_runs)) THEN
                RETURN;
        END IF;

        PERFORM pg_advisory_xact_lock(hashtext('sluice'), 3);

        PERFORM pg_notify('sluice', 'instance ' || b.id)
           FROM (SELECT q.type, sluice.selector_path(q.selector) AS path, q.instance, q.avoid, count(*)
                   FROM (SELECT type, selector, instance,
                                CASE WHEN avoid_until > clock_timestamp() THEN avoid END AS avoid
                           FROM sluice.queue WHERE run = ANY (p_runs)) q
                  GROUP BY q.type, q.selector, q.instance, q.avoid) c
          CROSS JOIN LATERAL (
                 SELECT i.id
                   FROM sluice.instance i
                   JOIN sluice.agent a ON a.id = i.agent
                   JOIN sluice.presence p ON p.instance = i.id
                  CROSS JOIN LATERAL (SELECT i.slots - count(*) AS free
                                        FROM sluice.assignment x WHERE x.instance = i.id) s
                  WHERE a.type = c.type AND a.labels @@ c.path
                    AND i.id = coalesce(c.instance, i.id) AND i.id IS DISTINCT FROM c.avoid
                    AND NOT i.draining AND i.goodbye_at IS NULL
                    AND p.last_seen_at > now() - sluice.lease() AND s.free > 0
                  ORDER BY s.free DESC, random()
                  LIMIT c.count + 4) b;
END
$$;

-- The fleet, for the queued attempts of these runs. The caller holds their locks. p_self is told of its
-- new work by the answer that the caller is about to give; its lock is taken along with the others.
CREATE OR REPLACE FUNCTION sluice.dispatch_runs(p_runs uuid[], p_self uuid) RETURNS SETOF uuid
LANGUAGE plpgsql AS $$
DECLARE
        v_attempts uuid[] := ARRAY(SELECT attempt FROM sluice.queue WHERE run = ANY (p_runs) ORDER BY attempt);
        v_candidates uuid[];
        v_placed record;
        v_changed uuid[];
BEGIN
        IF v_attempts = '{}' THEN
                RETURN;
        END IF;

        -- An estimate without locks, a few more than needed.
        WITH class AS (
                SELECT type, sluice.selector_path(selector) AS path, count(*)
                  FROM sluice.queue WHERE attempt = ANY (v_attempts) AND instance IS NULL
                 GROUP BY type, selector
        ), used AS (
                SELECT instance, count(*) AS slots FROM sluice.assignment GROUP BY instance
        )
        SELECT array_agg(x.id) INTO v_candidates FROM (
                SELECT instance AS id FROM sluice.queue WHERE attempt = ANY (v_attempts)
                UNION
                SELECT p_self
                UNION
                SELECT b.id FROM class c CROSS JOIN LATERAL (
                        SELECT i.id
                          FROM sluice.instance i
                          JOIN sluice.agent a ON a.id = i.agent
                          JOIN sluice.presence p ON p.instance = i.id
                          LEFT JOIN used u ON u.instance = i.id
                         WHERE a.type = c.type AND a.labels @@ c.path
                           AND NOT i.draining AND i.goodbye_at IS NULL
                           AND p.last_seen_at > now() - sluice.lease() AND i.slots > coalesce(u.slots, 0)
                         ORDER BY i.slots - coalesce(u.slots, 0) DESC, random()
                         LIMIT c.count + 4) b) x;

        PERFORM FROM sluice.instance WHERE id = ANY (v_candidates) ORDER BY id FOR NO KEY UPDATE;

        FOR v_placed IN SELECT * FROM sluice.place(v_attempts, v_candidates) LOOP
                IF v_placed.instance = p_self THEN
                        RETURN NEXT v_placed.attempt;
                ELSE
                        PERFORM pg_notify('sluice', 'instance ' || v_placed.instance);
                END IF;
        END LOOP;

        WITH class AS MATERIALIZED (
                SELECT k.*, sluice.verdict(k.type, k.selector, k.instance, k.avoid) AS verdict
                  FROM (SELECT DISTINCT type, selector, instance,
                               CASE WHEN avoid_until > clock_timestamp() THEN avoid END AS avoid
                          FROM sluice.queue WHERE attempt = ANY (v_attempts)) k
        ), judged AS (
                UPDATE sluice.queue q SET verdict = c.verdict
                  FROM class c
                 WHERE q.attempt = ANY (v_attempts) AND q.verdict IS DISTINCT FROM c.verdict
                   AND (q.type, q.selector) = (c.type, c.selector) AND q.instance IS NOT DISTINCT FROM c.instance
                   AND CASE WHEN q.avoid_until > clock_timestamp() THEN q.avoid END IS NOT DISTINCT FROM c.avoid
                RETURNING q.run
        )
        SELECT array_agg(DISTINCT run) INTO v_changed FROM judged;

        IF v_changed IS NOT NULL THEN
                PERFORM sluice.run_touch(v_changed);
        END IF;

        PERFORM sluice.dispatch_tell(p_runs);
END
$$;

-- One instance, for whatever waits and suits it: first what belongs to runs that began there. Answers
-- what it was given. p_freed: it may have more seats to give, or others may think so, than before this call.
CREATE OR REPLACE FUNCTION sluice.take(p_instance uuid, p_freed boolean) RETURNS SETOF uuid
LANGUAGE plpgsql AS $$
DECLARE
        v_free int;
        v_type text;
        v_labels jsonb;
        v_selectors jsonb[];
        v_attempts uuid[];
BEGIN
        IF p_freed THEN
                PERFORM FROM sluice.instance WHERE id = p_instance FOR NO KEY UPDATE;
                PERFORM pg_advisory_xact_lock_shared(hashtext('sluice'), 3);
        END IF;

        IF NOT EXISTS (SELECT FROM sluice.queue) THEN
                RETURN;
        END IF;

        PERFORM FROM sluice.instance WHERE id = p_instance FOR NO KEY UPDATE;

        SELECT i.slots - (SELECT count(*) FROM sluice.assignment x WHERE x.instance = i.id), a.type, a.labels
          INTO v_free, v_type, v_labels
          FROM sluice.instance i JOIN sluice.agent a ON a.id = i.agent JOIN sluice.presence p ON p.instance = i.id
         WHERE i.id = p_instance AND NOT i.draining AND i.goodbye_at IS NULL
           AND p.last_seen_at > now() - sluice.lease();

        IF v_free IS NULL OR v_free <= 0 THEN
                RETURN;
        END IF;

        -- The run first: of one that is passed over nothing may stay locked.
        v_attempts := ARRAY(
                SELECT q.attempt
                  FROM sluice.queue q JOIN sluice.run r ON r.id = q.run
                 WHERE q.instance = p_instance AND (q.avoid_until > clock_timestamp()) IS NOT TRUE
                 ORDER BY q.attempt LIMIT v_free
                   FOR NO KEY UPDATE OF r SKIP LOCKED);
        v_free := v_free - cardinality(v_attempts);

        IF v_free > 0 THEN
                -- The distinct selectors by one index step each, however long the queue.
                WITH RECURSIVE step AS (
                        (SELECT selector FROM sluice.queue WHERE instance IS NULL AND type = v_type
                          ORDER BY selector LIMIT 1)
                        UNION ALL
                        SELECT (SELECT q.selector FROM sluice.queue q
                                 WHERE q.instance IS NULL AND q.type = v_type AND q.selector > s.selector
                                 ORDER BY q.selector LIMIT 1)
                          FROM step s WHERE s.selector IS NOT NULL
                )
                SELECT array_agg(selector) INTO v_selectors FROM step
                 WHERE sluice.selector_matches(v_labels, selector);

                v_attempts := v_attempts || ARRAY(
                        SELECT q.attempt
                          FROM sluice.queue q JOIN sluice.run r ON r.id = q.run
                         WHERE q.instance IS NULL AND q.type = v_type AND q.selector = ANY (v_selectors)
                           AND (q.avoid = p_instance AND q.avoid_until > clock_timestamp()) IS NOT TRUE
                         ORDER BY q.attempt LIMIT v_free
                           FOR NO KEY UPDATE OF r SKIP LOCKED);
        END IF;

        IF v_attempts <> '{}' THEN
                RETURN QUERY SELECT attempt FROM sluice.place(v_attempts, ARRAY[p_instance]);
        END IF;
END
$$;

-- What is left over, because who was told has died, or who refused it may be asked again: looked at now and
-- then, and its verdict with it.
CREATE OR REPLACE FUNCTION sluice.dispatch_sweep() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_runs uuid[];
BEGIN
        IF NOT EXISTS (SELECT FROM sluice.queue) OR NOT pg_try_advisory_xact_lock(hashtext('sluice'), 1) THEN
                RETURN;
        END IF;

        v_runs := ARRAY(
                SELECT r.id
                  FROM (SELECT run, min(queued_at) AS since FROM sluice.queue GROUP BY run
                         ORDER BY since LIMIT 500) q
                  JOIN sluice.run r ON r.id = q.run
                 WHERE q.since < clock_timestamp() - interval '2 seconds'
                   FOR NO KEY UPDATE OF r SKIP LOCKED);

        PERFORM sluice.dispatch_runs(v_runs, NULL);
END
$$;
