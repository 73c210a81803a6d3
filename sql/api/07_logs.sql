-- Log chunks: appended in sequence by the instance that has the attempt, read in order by people.

CREATE OR REPLACE FUNCTION api.agent_log_append(
    p_auth bytea, p_attempt uuid, p_epoch int, p_sequence int, p_entries int, p_first_cursor text, p_last_cursor text,
    p_first_realtime_usec int8, p_last_realtime_usec int8, p_last_monotonic_usec int8, p_content_bytes int, p_data bytea)
    RETURNS TABLE (accepted bool, sequence int, cursor text, monotonic_usec int8)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
#variable_conflict use_column
DECLARE
    v_me   instance := caller(p_auth);
    v_row  attempt;
    v_last log_chunk;
BEGIN
    -- The lock puts two requests for one attempt in order.
    SELECT * INTO v_row FROM attempt a WHERE a.attempt = p_attempt FOR UPDATE;
    IF NOT FOUND OR v_row.instance IS DISTINCT FROM v_me.instance OR v_row.epoch <> p_epoch THEN
        PERFORM refuse(410, 'attempt-not-yours', format('Attempt %s is not with this instance in epoch %s.', p_attempt, p_epoch));
    END IF;
    SELECT * INTO v_last FROM log_chunk c WHERE c.attempt = p_attempt AND c.epoch = p_epoch ORDER BY c.sequence DESC LIMIT 1;
    IF coalesce(v_last.sequence, 0) + 1 = p_sequence THEN
        INSERT INTO log_chunk VALUES (p_attempt, p_epoch, p_sequence, p_entries, p_first_cursor, p_last_cursor,
                                      p_first_realtime_usec, p_last_realtime_usec, p_last_monotonic_usec, p_content_bytes, p_data);
        PERFORM pg_notify('sluice', 'run ' || v_row.run);
        RETURN QUERY SELECT true, p_sequence, p_last_cursor, p_last_monotonic_usec;
    ELSE
        RETURN QUERY SELECT p_sequence <= coalesce(v_last.sequence, 0), coalesce(v_last.sequence, 0),
                            coalesce(v_last.last_cursor, ''), coalesce(v_last.last_monotonic_usec, 0::int8);
    END IF;
END
$$;

-- The chunks after a position, in the order of attempts and sequence, up to p_limit_bytes of content (one at least). A position is
-- "ATTEMPT/EPOCH/SEQUENCE". An attempt is left behind only when its log is complete, so nothing is passed over; tasks
-- that run side by side come one after the other, unless p_task picks one. The last row's next is where to go on; complete: never more.
CREATE OR REPLACE FUNCTION api.run_logs(p_auth bytea, p_run uuid, p_task text, p_after text, p_limit_bytes int)
    RETURNS TABLE (task text, attempt uuid, epoch int, sequence int, data bytea, next text, complete bool)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice
    AS $$
#variable_conflict use_column
DECLARE
    v_run     run;
    v_attempt attempt;
    v_from    uuid;
    v_epoch   int := 0;
    v_seq     int := 0;
    v_next    text := p_after;
    v_bytes   bigint := 0;
    v_chunk   log_chunk;
BEGIN
    PERFORM person(p_auth, 'viewer');
    v_run := find_run(p_run);
    IF p_task IS NOT NULL AND NOT EXISTS (SELECT FROM task t WHERE t.run = p_run AND t.task = p_task) THEN
        PERFORM refuse(404, 'task-not-found', format('Run %s has no task "%s".', p_run, p_task));
    END IF;
    IF p_after IS NOT NULL THEN
        IF p_after !~ '^[0-9a-f-]{36}/[0-9]{1,9}/[0-9]{1,9}$' THEN
            PERFORM refuse(400, 'bad-position', 'after= is no position of a log; use the one of the Link header.');
        END IF;
        v_from := split_part(p_after, '/', 1)::uuid;
        v_epoch := split_part(p_after, '/', 2)::int;
        v_seq := split_part(p_after, '/', 3)::int;
    END IF;
    FOR v_attempt IN
        SELECT a.* FROM attempt a JOIN task t ON t.run = a.run AND t.task = a.task
        WHERE a.run = p_run AND (p_task IS NULL OR a.task = p_task) AND (v_from IS NULL OR a.attempt >= v_from)
        ORDER BY a.attempt
    LOOP
        FOR v_chunk IN
            SELECT c.* FROM log_chunk c
            WHERE c.attempt = v_attempt.attempt
              AND (v_attempt.attempt IS DISTINCT FROM v_from OR (c.epoch, c.sequence) > (v_epoch, v_seq))
            ORDER BY c.epoch, c.sequence
        LOOP
            EXIT WHEN v_bytes > 0 AND v_bytes + v_chunk.content_bytes > p_limit_bytes;
            v_bytes := v_bytes + v_chunk.content_bytes;
            v_next := format('%s/%s/%s', v_chunk.attempt, v_chunk.epoch, v_chunk.sequence);
            RETURN QUERY SELECT v_attempt.task, v_chunk.attempt, v_chunk.epoch, v_chunk.sequence, v_chunk.data, v_next, false;
        END LOOP;
        IF FOUND AND v_bytes >= p_limit_bytes THEN
            RETURN;
        END IF;
        IF NOT v_attempt.log_complete THEN
            RETURN QUERY SELECT NULL::text, NULL::uuid, 0, 0, NULL::bytea, coalesce(v_next, ''), false;
            RETURN;
        END IF;
    END LOOP;
    RETURN QUERY SELECT NULL::text, NULL::uuid, 0, 0, NULL::bytea, coalesce(v_next, ''), v_run.ended_at IS NOT NULL;
END
$$;
