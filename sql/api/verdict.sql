-- Why a queued attempt is where it is, in words: of this moment, from live rows.
SET LOCAL check_function_bodies = off;

CREATE OR REPLACE FUNCTION sluice.bytes_text(p_bytes int8) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
        SELECT CASE WHEN p_bytes < 1024 THEN p_bytes || ' bytes'
                    ELSE trim_scale(round(p_bytes / 1024::numeric ^ e, 1)) || substr('KMGTPE', e, 1) END
          FROM (SELECT least(6, floor(log(2, greatest(p_bytes, 1)) / 10))::int AS e) s
$$;

-- The limit that keeps runs of this demand from beginning, and who holds it; NULL when none does.
CREATE OR REPLACE FUNCTION sluice.limit_verdict(d sluice.demand) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_room record;
        v_by_subject boolean;
        v_count int;
        v_first text;
        v_limit int;
BEGIN
        SELECT * INTO v_room FROM sluice.demand_room(d);
        IF coalesce(least(v_room.subject_room, v_room.project_room), 1) > 0 THEN
                RETURN NULL;
        END IF;

        v_by_subject := coalesce(v_room.subject_room, 1) <= 0;
        v_limit := CASE WHEN v_by_subject THEN d.subject_limit
                        ELSE (SELECT concurrency_limit FROM sluice.project WHERE name = d.project) END;
        SELECT count(*), string_agg(h.run::text, ', ' ORDER BY h.run) FILTER (WHERE h.n <= 3) INTO v_count, v_first
          FROM (SELECT l.run, row_number() OVER (ORDER BY l.run) AS n FROM sluice.live_run l
                 WHERE l.project = d.project AND (NOT v_by_subject OR l.subject = d.subject OR 'pipe ' || l.pipe = d.subject)) h;

        RETURN format('the limit of %s at once %s is reached; held by %s%s',
                CASE v_limit WHEN 1 THEN '1 run' ELSE v_limit || ' runs' END,
                CASE WHEN NOT v_by_subject THEN format('in project "%s"', d.project)
                     WHEN d.subject LIKE 'key %' THEN format('with the concurrency key "%s"', substr(d.subject, 5))
                     ELSE format('of pipe "%s"', substr(d.subject, 6)) END,
                v_first, CASE WHEN v_count > 3 THEN format(' and %s more', v_count - 3) ELSE '' END);
END
$$;

-- What the agents that suit p_demand are like: all of them, or only p_instance.
CREATE OR REPLACE FUNCTION sluice.candidates(p_demand sluice.demand, p_instance uuid)
RETURNS TABLE (instance uuid, agent uuid, name text, hostname text, here boolean, draining boolean, slots int, used int, memory int8,
               memory_left int8, need int8, last_seen_at timestamptz, goodbye_at timestamptz)
LANGUAGE sql STABLE AS $$
        SELECT i.id, a.id, a.name, i.hostname,
               coalesce(sluice.instance_status(i, p.last_seen_at) = 'Running' AND i.broke_at IS NULL AND i.rival IS NULL, false),
               i.draining OR EXISTS (SELECT FROM sluice.agent_flag f WHERE f.agent = a.id),
               CASE a.type WHEN 'streaming' THEN 1 ELSE i.slots END, CASE a.type WHEN 'streaming' THEN 1 - sluice.stream_room(a.id) ELSE x.count END,
               i.memory_bytes, i.memory_bytes - x.memory,
               sluice.memory_need(p_demand.memory_bytes, p_demand.memory_permyriad, i.memory_bytes), p.last_seen_at, i.goodbye_at
          FROM (SELECT o.agent AS id FROM sluice.instance o WHERE o.id = p_instance -- one is found by its key, whatever suits p_demand
                UNION ALL
                SELECT o.id FROM sluice.agent o WHERE p_instance IS NULL AND o.type = p_demand.type AND o.labels @@ p_demand.path) w
         CROSS JOIN LATERAL (SELECT * FROM sluice.agent o WHERE o.id = w.id OFFSET 0) a
          JOIN sluice.instance i ON i.agent = a.id AND (p_instance IS NULL OR i.id = p_instance)
          LEFT JOIN sluice.presence p ON p.instance = i.id
         CROSS JOIN LATERAL (SELECT count(*)::int AS count, coalesce(sum(x.memory_bytes), 0)::int8 AS memory
                               FROM sluice.assignment x WHERE x.instance = i.id) x
         WHERE a.type = p_demand.type AND a.labels @@ p_demand.path
$$;

DROP FUNCTION IF EXISTS sluice.verdict(uuid, boolean, uuid, uuid); -- of the release before

-- p_live: the run has begun, limits do not concern it. p_instance: where, or, of a trial that has not begun, where it is to;
-- of what is placed apart, which it is for. p_avoid: who refused it just now.
CREATE OR REPLACE FUNCTION sluice.verdict(p_demand uuid, p_live boolean, p_instance uuid, p_avoid uuid, p_apart boolean) RETURNS text
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
        d sluice.demand;
        v_wish text;
        v_limit text;
        v record;
BEGIN
        SELECT * INTO d FROM sluice.demand WHERE id = p_demand;
        v_wish := 'type ' || d.type || coalesce(' with the labels ' || nullif(sluice.selector_text(d.selector), ''), '');
        v_limit := CASE WHEN NOT p_live THEN sluice.limit_verdict(d) END;
        IF v_limit IS NOT NULL THEN
                RETURN v_limit;
        END IF;

        SELECT count(*) AS known,
               count(*) FILTER (WHERE s.here) AS here,
               count(*) FILTER (WHERE s.open) AS open,
               count(*) FILTER (WHERE s.open AND s.instance = p_avoid) AS avoided,
               sum(s.slots) FILTER (WHERE s.open) AS slots,
               count(*) FILTER (WHERE s.open AND s.need > s.memory) AS too_small,
               count(*) FILTER (WHERE s.open AND s.slots > s.used) AS seated,
               count(*) FILTER (WHERE s.open AND s.slots > s.used AND (s.need <= s.memory_left) IS NOT FALSE) AS fitting,
               max(s.memory) FILTER (WHERE s.open) AS largest,
               max(greatest(s.memory_left, 0)) FILTER (WHERE s.open AND s.slots > s.used) AS most_left,
               max(s.need) AS need,
               coalesce(min(s.name) FILTER (WHERE s.instance = p_avoid), min(s.name)) AS name,
               min(s.hostname) AS hostname
          INTO v
          FROM (SELECT c.*, c.here AND NOT c.draining AS open FROM sluice.candidates(d, p_instance) c) s;

        IF p_instance IS NOT NULL AND v.known > 0 THEN
                RETURN format('waits for agent "%s" on %s%s: %s', v.name, v.hostname, CASE WHEN p_apart THEN '' WHEN p_live THEN ', where the run began' ELSE ', where the run is tried' END,
                        CASE WHEN v.here = 0 THEN 'it is not connected'
                             WHEN v.open = 0 THEN 'it is draining or paused'
                             WHEN v.avoided > 0 THEN 'it could not take the task just now and is asked again soon'
                             WHEN v.seated = 0 AND d.type = 'streaming' THEN 'it has a streaming run'
                             WHEN v.seated = 0 THEN format('its %s slots are taken', v.slots)
                             WHEN v.too_small > 0 THEN format('its memory of %s is less than MemoryMax= of %s',
                                                              sluice.bytes_text(v.largest), sluice.bytes_text(v.need))
                             WHEN v.fitting = 0 THEN format('of its memory %s is not given away, less than MemoryMax= of %s',
                                                            sluice.bytes_text(v.most_left), sluice.bytes_text(v.need))
                             ELSE 'it takes the task at its next call' END);
        ELSIF p_instance IS NOT NULL THEN
                RETURN format('the agent %s is no longer of %s', CASE WHEN p_apart THEN 'that it is for' WHEN p_live THEN 'where the run began' ELSE 'where the run is tried' END, v_wish);
        ELSIF v.known = 0 THEN
                RETURN format('no agent is of %s', v_wish);
        ELSIF v.here = 0 THEN
                RETURN format('none of the %s instances of %s is connected', v.known, v_wish);
        ELSIF v.open = 0 THEN
                RETURN format('all %s connected instances of %s are draining or paused', v.here, v_wish);
        ELSIF v.open = v.avoided THEN
                RETURN format('agent "%s", the only one connected of %s, could not take it just now and is asked again soon',
                              v.name, v_wish);
        ELSIF v.open = v.too_small THEN
                RETURN format('none of the %s connected instances of %s has as much memory as MemoryMax= of %s; the largest has %s',
                              v.open, v_wish, sluice.bytes_text(v.need), sluice.bytes_text(v.largest));
        ELSIF v.seated = 0 AND d.type = 'streaming' THEN
                RETURN format('each of the %s connected instances of %s has a streaming run', v.open, v_wish);
        ELSIF v.seated = 0 THEN
                RETURN format('all %s slots of the %s connected instances of %s are taken', v.slots, v.open, v_wish);
        ELSIF v.fitting = 0 THEN
                RETURN format('of the memory of the %s connected instances of %s with a free slot %s at most is not given away, '
                              'less than MemoryMax= of %s', v.seated, v_wish, sluice.bytes_text(v.most_left), sluice.bytes_text(v.need));
        END IF;

        RETURN 'it is about to be placed';
END
$$;

-- Of one attempt in the queue.
CREATE OR REPLACE FUNCTION sluice.verdict_of(p_attempt uuid) RETURNS text
LANGUAGE plpgsql STABLE AS $$ -- not sql, which would be planned anew each time
BEGIN
        RETURN (SELECT sluice.verdict(q.demand, EXISTS (SELECT FROM sluice.live_run l WHERE l.run = q.run), q.instance,
                                       CASE WHEN q.avoid_until > clock_timestamp() THEN q.avoid END, q.apart)
                  FROM sluice.queue q WHERE q.attempt = p_attempt);
END
$$;
