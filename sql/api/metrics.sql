-- Samples of attempts, from the instance that has or had them.
SET LOCAL check_function_bodies = off;

CREATE OR REPLACE FUNCTION api.agent_metrics(p_auth bytea, p_request jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_instance sluice.instance := sluice.auth_instance(p_auth);
        v jsonb;
        v_attempt uuid;
        v_epoch int;
BEGIN
        FOR v IN SELECT value FROM jsonb_array_elements(sluice.json_array(p_request, 'samples', 256, true)) LOOP
                v_attempt := sluice.json_uuid(v, 'attempt', true);
                v_epoch := sluice.json_int(v, 'epoch', true, 0, 2147483647);

                -- Samples of anything else are dropped: they are not worth an error.
                INSERT INTO sluice.metric_sample (attempt, epoch, realtime_usec, cpu_usage_usec, memory_current_bytes,
                        memory_peak_bytes, io_read_bytes, io_write_bytes, tasks_current)
                SELECT v_attempt, v_epoch, sluice.json_int(v, 'realtime_usec', true),
                       sluice.json_int(v, 'cpu_usage_usec'), sluice.json_int(v, 'memory_current_bytes'),
                       sluice.json_int(v, 'memory_peak_bytes'), sluice.json_int(v, 'io_read_bytes'),
                       sluice.json_int(v, 'io_write_bytes'), sluice.json_int(v, 'tasks_current')
                 WHERE EXISTS (SELECT FROM sluice.attempt a
                                WHERE a.id = v_attempt AND a.epoch = v_epoch AND a.instance = v_instance.id)
                    ON CONFLICT DO NOTHING;
        END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION api.attempt_metrics(p_auth bytea, p_attempt uuid) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');
        PERFORM sluice.attempt_find(p_attempt);

        RETURN (SELECT json_build_object('items', coalesce(json_agg(json_build_object(
                        'epoch', m.epoch, 'realtime_usec', m.realtime_usec, 'cpu_usage_usec', m.cpu_usage_usec,
                        'memory_current_bytes', m.memory_current_bytes, 'memory_peak_bytes', m.memory_peak_bytes,
                        'io_read_bytes', m.io_read_bytes, 'io_write_bytes', m.io_write_bytes,
                        'tasks_current', m.tasks_current) ORDER BY m.epoch, m.realtime_usec), '[]'), 'next', NULL)
                  FROM sluice.metric_sample m WHERE m.attempt = p_attempt);
END
$$;

REVOKE ALL ON FUNCTION api.agent_metrics(bytea, jsonb), api.attempt_metrics(bytea, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.agent_metrics(bytea, jsonb), api.attempt_metrics(bytea, uuid) TO sluice_controld;
