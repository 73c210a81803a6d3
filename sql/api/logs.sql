-- Logs: chunks come in, one after the other, and are read back in order.
SET LOCAL check_function_bodies = off;

CREATE OR REPLACE FUNCTION sluice.log_position(p_attempt uuid, p_epoch int) RETURNS json
LANGUAGE sql STABLE AS $$
        SELECT json_build_object(
                'attempt', p_attempt, 'epoch', p_epoch, 'sequence', coalesce(max(c.sequence), 0),
                'cursor', coalesce(max(c.last_cursor), ''), 'monotonic_usec', coalesce(max(c.last_monotonic_usec), 0))
          FROM (SELECT sequence, last_cursor, last_monotonic_usec FROM sluice.log_chunk
                 WHERE attempt = p_attempt AND epoch = p_epoch ORDER BY sequence DESC LIMIT 1) c
$$;

-- Stores a chunk that follows the last one. accepted is false where it does not follow; the other
-- columns always tell the last one stored.
CREATE OR REPLACE FUNCTION api.agent_log_append(
        p_auth bytea, p_attempt uuid, p_epoch int, p_sequence int, p_entries int, p_first_cursor text,
        p_last_cursor text, p_first_realtime_usec int8, p_last_realtime_usec int8, p_last_monotonic_usec int8,
        p_content_bytes int, p_data bytea)
RETURNS TABLE (accepted boolean, sequence int, cursor text, monotonic_usec int8)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
#variable_conflict use_column
DECLARE
        v_instance sluice.instance := sluice.auth_instance(p_auth);
        v_run uuid;
        v_last int;
BEGIN
        IF p_attempt IS NULL OR p_epoch IS NULL OR p_sequence IS NULL OR p_entries IS NULL
           OR p_first_cursor IS NULL OR p_last_cursor IS NULL OR p_first_realtime_usec IS NULL
           OR p_last_realtime_usec IS NULL OR p_last_monotonic_usec IS NULL OR p_content_bytes IS NULL
           OR p_data IS NULL THEN
                PERFORM sluice.fail(400, 'bad-request', 'A parameter of the chunk is missing.');
        ELSIF p_sequence < 1 OR p_entries < 1 OR octet_length(p_data) NOT BETWEEN 1 AND 1048576
           OR p_content_bytes NOT BETWEEN 1 AND 4194304
           OR length(p_first_cursor) > 1024 OR length(p_last_cursor) > 1024 THEN
                PERFORM sluice.fail(400, 'bad-request', 'A parameter of the chunk is out of range.');
        END IF;

        SELECT a.run INTO v_run
          FROM sluice.attempt a
         WHERE a.id = p_attempt AND a.epoch = p_epoch AND a.instance = v_instance.id;
        IF v_run IS NULL THEN
                PERFORM sluice.fail(404, 'attempt-not-found', 'This instance was never given that attempt and epoch.');
        END IF;

        SELECT coalesce(max(c.sequence), 0) INTO v_last
          FROM sluice.log_chunk c WHERE c.attempt = p_attempt AND c.epoch = p_epoch;

        IF p_sequence = v_last + 1 THEN
                -- The same chunk twice at once: the second waits here for the first, and then finds it.
                INSERT INTO sluice.log_chunk (attempt, epoch, sequence, entries, first_cursor, last_cursor,
                        first_realtime_usec, last_realtime_usec, last_monotonic_usec, content_bytes, data)
                VALUES (p_attempt, p_epoch, p_sequence, p_entries, p_first_cursor, p_last_cursor,
                        p_first_realtime_usec, p_last_realtime_usec, p_last_monotonic_usec, p_content_bytes, p_data)
                    ON CONFLICT DO NOTHING;
                IF FOUND THEN
                        PERFORM pg_notify('sluice', 'run ' || v_run);
                END IF;
        END IF;

        RETURN QUERY
                SELECT p_sequence <= (p ->> 'sequence')::int, (p ->> 'sequence')::int, p ->> 'cursor',
                       (p ->> 'monotonic_usec')::int8
                  FROM sluice.log_position(p_attempt, p_epoch) p;
END
$$;

-- Where a reader is: for each log that it has begun `task.try.epoch.sequence`, by position of the task.
-- Tasks run side by side, so one number would not do.
CREATE OR REPLACE FUNCTION sluice.log_place_parse(p_place text)
RETURNS TABLE (place_task int, place_try int, place_epoch int, place_sequence int)
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
        IF p_place IS NULL OR p_place = '' THEN
                RETURN;
        ELSIF length(p_place) > 16384
           OR p_place !~ '^\d{1,9}\.\d{1,9}\.\d{1,9}\.\d{1,9}(,\d{1,9}\.\d{1,9}\.\d{1,9}\.\d{1,9})*$' THEN
                PERFORM sluice.fail(400, 'bad-position', 'That is no position in a log.',
                                    'Take the whole of `after` from the link to the next page.');
        END IF;

        RETURN QUERY
                SELECT max(n[1]::int), max(n[2]::int), (max(ARRAY[n[3]::int, n[4]::int]))[1],
                       (max(ARRAY[n[3]::int, n[4]::int]))[2]
                  FROM (SELECT string_to_array(e, '.') AS n FROM string_to_table(p_place, ',') e) s
                 GROUP BY n[1]::int, n[2]::int;
END
$$;

-- Children have numbers of their own, behind those of all tasks.
CREATE OR REPLACE FUNCTION sluice.log_number(p_position int, p_index int) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE WHEN p_index IS NULL THEN p_position ELSE (p_position + 1) * 10000 + p_index END
$$;

-- A position has to fit into an address. So tasks whose logs were read to their ends stand there as ranges of their positions,
-- `999999999.0.from.to`, so do children, `task.0.from.to`, and tries of one that goes on, `100000000+task.0.from.to`; and of all others only so many
-- are read at the same time.
CREATE OR REPLACE FUNCTION sluice.log_window() RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT 64 $$;

DROP FUNCTION IF EXISTS sluice.log_children(uuid, text, text); -- of the release before

-- The tasks of a run: whether their logs were read to their ends (done), or at all (spoke), whose turn comes later, which tries were (ranges), and which were not.
CREATE OR REPLACE FUNCTION sluice.log_tasks(p_run uuid, p_task text, p_after text)
RETURNS TABLE (name text, part int, index int, number int, done boolean, spoke boolean, later boolean, ranges text, tries int[], attempts uuid[])
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
        RETURN QUERY
        WITH span AS MATERIALIZED (
                SELECT n[1]::int AS part, n[3]::int AS first, n[4]::int AS last
                  FROM (SELECT string_to_array(e, '.') AS n FROM string_to_table(p_after, ',') e) s WHERE n[2] = '0'
        ), item AS MATERIALIZED (
                SELECT c.name, x.part, x.index, sluice.log_number(c.position, c.fanout_index) AS number, c.state NOT IN ('waiting', 'queued', 'running') AS over,
                       EXISTS (SELECT FROM span s WHERE s.part = x.part AND x.index BETWEEN s.first AND s.last) AS spanned
                  FROM sluice.task c
                 CROSS JOIN LATERAL (SELECT CASE WHEN c.parent IS NULL THEN 999999999 ELSE c.position END AS part, coalesce(c.fanout_index, c.position) AS index) x
                 WHERE c.run = p_run AND (p_task IS NULL OR p_task IN (c.name, c.parent))
        ), log AS MATERIALIZED (
                SELECT i.number, a.try, a.id, z.spanned OR p.place_task IS NOT NULL AS spoke, u.unread, z.spanned OR a.log_complete AND NOT u.unread AS finished
                  FROM item i JOIN sluice.attempts_of(p_run) a ON a.task = i.name
                  LEFT JOIN sluice.log_place_parse(p_after) p ON p.place_task = i.number AND p.place_try = a.try
                 CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM span s WHERE s.part = 100000000 + i.number AND a.try BETWEEN s.first AND s.last) AS spanned) z
                 CROSS JOIN LATERAL (SELECT NOT z.spanned AND EXISTS (
                                SELECT FROM sluice.log_chunk k
                                 WHERE k.attempt = a.id AND (k.epoch, k.sequence) > (coalesce(p.place_epoch, 0), coalesce(p.place_sequence, 0))) AS unread) u
                 WHERE NOT i.spanned
        ), island AS (
                SELECT f.number, min(f.try) AS first, max(f.try) AS last
                  FROM (SELECT l.*, l.try - row_number() OVER (PARTITION BY l.number ORDER BY l.try) AS island FROM log l WHERE l.finished) f
                 GROUP BY f.number, f.island HAVING bool_or(f.spoke)
        ), known AS (
                SELECT l.number, bool_and(l.finished) AS finished, bool_or(l.unread) AS unread, bool_or(l.spoke) AS spoke,
                       array_agg(l.try) FILTER (WHERE NOT l.finished) AS tries, array_agg(l.id) FILTER (WHERE NOT l.finished) AS attempts
                  FROM log l GROUP BY l.number
        ), judged AS (
                SELECT i.*, i.spanned OR i.over AND coalesce(k.finished, true) AS done, i.spanned OR coalesce(k.spoke, false) AS spoke, coalesce(k.unread, false) AS unread,
                       k.tries, k.attempts
                  FROM item i LEFT JOIN known k ON k.number = i.number
        )
        SELECT j.name, j.part, j.index, j.number, j.done, j.spoke,
               NOT j.done AND j.unread AND NOT j.spoke
               AND row_number() OVER (PARTITION BY NOT j.done AND (j.unread OR j.spoke) ORDER BY j.spoke DESC, j.number) > sluice.log_window(),
               (SELECT string_agg(format('%s.0.%s.%s', 100000000 + o.number, o.first, o.last), ',' ORDER BY o.first) FROM island o WHERE o.number = j.number),
               j.tries, j.attempts
          FROM judged j;
END
$$;

CREATE OR REPLACE FUNCTION api.run_logs(p_auth bytea, p_run uuid, p_task text, p_after text, p_limit_bytes int)
RETURNS TABLE (task text, attempt uuid, epoch int, sequence int, data bytea, next text, complete boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
#variable_conflict use_column
DECLARE
        v_run sluice.run;
        v_limit int8 := coalesce(p_limit_bytes, 4194304);
        v_place jsonb; -- "task.try" → "epoch.sequence", what has been read
        v_spans text; -- of what everything has
        v_open uuid[];
        v_log record;
        v_chunk record;
        v_complete boolean;
        v_pending boolean := false;
        v_more boolean := false;
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');
        v_run := sluice.run_find(p_run);

        IF p_task IS NOT NULL AND NOT EXISTS (SELECT FROM sluice.task t WHERE t.run = p_run AND t.name = p_task) THEN
                PERFORM sluice.fail(404, 'task-not-found', format('The run has no task "%s".', left(p_task, 80)));
        END IF;

        PERFORM FROM sluice.log_place_parse(p_after);
        WITH task AS MATERIALIZED (
                SELECT * FROM sluice.log_tasks(p_run, p_task, p_after)
        ), span AS (
                SELECT s.part, min(s.index) AS first, max(s.index) AS last
                  FROM (SELECT t.*, t.index - row_number() OVER (PARTITION BY t.part ORDER BY t.index) AS island FROM task t WHERE t.done) s
                 GROUP BY s.part, s.island HAVING bool_or(s.spoke)
        ), range AS (
                SELECT format('%s.0.%s.%s', s.part, s.first, s.last) AS text, s.part, s.first FROM span s
                 UNION ALL
                SELECT t.ranges, 100000000 + t.number, 0 FROM task t WHERE NOT t.done AND t.ranges IS NOT NULL
        )
        SELECT (SELECT string_agg(r.text, ',' ORDER BY r.part, r.first) FROM range r),
               (SELECT coalesce(jsonb_object_agg(p.place_task || '.' || p.place_try, p.place_epoch || '.' || p.place_sequence), '{}')
                  FROM sluice.log_place_parse(p_after) p JOIN task t ON t.number = p.place_task AND NOT t.done AND p.place_try = ANY (t.tries)),
               bool_and(NOT t.later), (SELECT array_agg(a) FROM task o CROSS JOIN unnest(o.attempts) a WHERE NOT o.done AND NOT o.later)
          INTO v_spans, v_place, v_complete, v_open FROM task t;

        v_complete := v_complete AND NOT EXISTS (SELECT FROM sluice.task t WHERE t.run = p_run AND (p_task IS NULL OR p_task IN (t.name, t.parent))
                                                                             AND t.state IN ('waiting', 'queued', 'running'));

        <<logs>>
        FOR v_log IN
                SELECT a.id, t.name, a.log_complete, sluice.log_number(t.position, t.fanout_index) || '.' || a.try AS place,
                       coalesce(p.place_epoch, 0) AS epoch, coalesce(p.place_sequence, 0) AS sequence
                  FROM sluice.attempts_of(p_run) a
                  JOIN sluice.task t ON t.run = p_run AND t.name = a.task
                  LEFT JOIN sluice.log_place_parse(p_after) p ON p.place_task = sluice.log_number(t.position, t.fanout_index) AND p.place_try = a.try
                 WHERE a.id = ANY (v_open)
                 ORDER BY a.started_at NULLS LAST, t.position, t.fanout_index, a.try LOOP
                v_complete := v_complete AND v_log.log_complete;

                FOR v_chunk IN
                        SELECT c.epoch, c.sequence, c.data, octet_length(c.data) AS bytes
                          FROM sluice.log_chunk c
                         WHERE c.attempt = v_log.id AND (c.epoch, c.sequence) > (v_log.epoch, v_log.sequence)
                         ORDER BY c.epoch, c.sequence LOOP
                        v_limit := v_limit - v_chunk.bytes;

                        IF v_pending AND (v_limit < 0 OR length(next) > 1800 AND NOT v_place ? v_log.place) THEN -- the next page begins with a shorter position
                                v_more := true;
                                EXIT logs;
                        ELSIF v_pending THEN
                                RETURN NEXT;
                        END IF;

                        v_place := v_place || jsonb_build_object(v_log.place, v_chunk.epoch || '.' || v_chunk.sequence);
                        task := v_log.name;
                        attempt := v_log.id;
                        epoch := v_chunk.epoch;
                        sequence := v_chunk.sequence;
                        data := v_chunk.data;
                        next := concat_ws(',', v_spans, (SELECT string_agg(key || '.' || value, ',' ORDER BY key) FROM jsonb_each_text(v_place)));
                        complete := false;
                        v_pending := true;
                END LOOP;
        END LOOP;

        IF NOT v_pending THEN
                next := coalesce(p_after, '');
        END IF;
        complete := v_complete AND NOT v_more;
        RETURN NEXT;
END
$$;

REVOKE ALL ON FUNCTION api.agent_log_append(bytea, uuid, int, int, int, text, text, int8, int8, int8, int, bytea),
        api.run_logs(bytea, uuid, text, text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.agent_log_append(bytea, uuid, int, int, int, text, text, int8, int8, int8, int, bytea),
        api.run_logs(bytea, uuid, text, text, int) TO sluice_controld;
