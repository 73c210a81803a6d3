-- What tasks leave in $SLUICE_OUTPUT: checked by agentd, and checked again before it is stored.
SET LOCAL check_function_bodies = off;

-- The output that an event has; NULL for none.
CREATE OR REPLACE FUNCTION sluice.output_read(p_event jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_output jsonb := sluice.json_member(p_event, 'output', 'object', false);
BEGIN
        IF v_output IS NOT NULL AND ((SELECT count(*) > 256 OR sum(octet_length(e.value #>> '{}')) > 65536 FROM jsonb_each(v_output) e)
           OR EXISTS (SELECT FROM jsonb_each(v_output) e
                       WHERE jsonb_typeof(e.value) <> 'string' OR e.key !~ '^[A-Za-z_][A-Za-z0-9_]{0,63}$' COLLATE "C")) THEN
                PERFORM sluice.fail(400, 'bad-request', 'Member "output" must be an object of at most 256 texts of 64 KiB together, by names.');
        END IF;

        RETURN v_output;
END
$$;

-- The event as it counts: what looks like a secret is not stored, nor more than half a MiB of a run, and then the task has failed, since what
-- comes after it would go on without it. Said again it is the same.
CREATE OR REPLACE FUNCTION sluice.output_judge(p_attempt sluice.attempt, p_event jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_why text;
BEGIN
        IF NOT p_event ? 'output' OR p_event ->> 'state' <> 'ended' THEN
                RETURN p_event;
        END IF;

        SELECT format('%s looks like %s; secrets are given to a task with LoadCredential=, from a file of the host', e.key, l.what) INTO v_why
          FROM jsonb_each_text(p_event -> 'output') e CROSS JOIN LATERAL (SELECT sluice.secret_like(e.key, e.value) AS what) l
         WHERE l.what IS NOT NULL ORDER BY e.key LIMIT 1;
        IF v_why IS NULL AND octet_length(p_event ->> 'output') + (
                SELECT coalesce(sum(octet_length(a.output::text)), 0) FROM sluice.attempts_of(p_attempt.run) a WHERE a.id <> p_attempt.id) > 524288 THEN
                v_why := 'the outputs of its run are longer than 512 KiB together';
        END IF;

        RETURN CASE WHEN v_why IS NULL THEN p_event
                    ELSE (p_event - 'output') || jsonb_build_object('result', 'output', 'reason', 'Its $SLUICE_OUTPUT does not count: ' || v_why || '.') END;
END
$$;

-- What a task of the run may refer to: {"task.KEY": "value"}, of the tasks that have succeeded, here or before a rerun. NULL for none. Of a task whose directives
-- have an escape, all of it, since references cannot be seen from here.
CREATE OR REPLACE FUNCTION sluice.outputs_for(p_run uuid, p_directives jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_text text := p_directives::text;
BEGIN
        RETURN (SELECT jsonb_object_agg(l.task || '.' || o.key, o.value ORDER BY l.try, l.id)
                  FROM (SELECT a.task, a.output, a.try, a.id FROM sluice.attempts_of(p_run) a WHERE a.output IS NOT NULL AND a.outcome = 'success'
                         UNION ALL
                        SELECT t.name, t.output, 0, NULL FROM sluice.task t WHERE t.run = p_run AND t.output IS NOT NULL) l
                 CROSS JOIN LATERAL jsonb_each(l.output) o
                 WHERE strpos(v_text, format('${%s.%s}', l.task, o.key)) > 0 OR strpos(v_text, '\x') > 0);
END
$$;
