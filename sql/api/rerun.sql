-- Runs that are done again, or only what is left of them.
SET LOCAL check_function_bodies = off;

-- Checks an array of tasks' names in a request.
CREATE OR REPLACE FUNCTION sluice.json_tasks(p_request jsonb, p_member text, v sluice.pipe_version) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_known text[] := ARRAY(SELECT t ->> 'name' FROM jsonb_array_elements(v.spec -> 'tasks') t);
        v_names text[] := ARRAY(SELECT e #>> '{}' FROM jsonb_array_elements(sluice.json_array(p_request, p_member, 256)) e);
        v_wrong text := (SELECT n FROM unnest(v_names) n WHERE (n = ANY (v_known)) IS NOT TRUE LIMIT 1);
BEGIN
        IF NOT v_names <@ v_known THEN
                PERFORM sluice.fail(400, 'task-not-found', format('Version %s of pipe "%s" has no task "%s".', v.version, v.pipe, left(v_wrong, 80)),
                                    'Its tasks are ' || array_to_string(v_known, ', ') || '.');
        END IF;

        RETURN v_names;
END
$$;

-- Which tasks of the version need not be done again after this run, p_again aside: those that have succeeded, and those that had
-- nothing to begin for, as long as nothing before them is done again. p_skip are taken for done; what had nothing to begin for since
-- one of these had not succeeded has now.
CREATE OR REPLACE FUNCTION sluice.rerun_settled(p_run uuid, v sluice.pipe_version, p_again text[], p_skip text[]) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_settled text[] := p_skip;
        v_better text[] := ARRAY(SELECT o.name FROM sluice.task o
                                  WHERE o.run = p_run AND o.name = ANY (p_skip) AND o.state <> 'succeeded' AND o.passed_over IS NULL);
        v_more text[];
BEGIN
        LOOP
                SELECT array_agg(o.name) INTO v_more
                  FROM jsonb_array_elements(v.spec -> 'tasks') t
                  JOIN sluice.task o ON o.run = p_run AND o.name = t ->> 'name'
                 WHERE o.name <> ALL (v_settled || p_again) AND sluice.task_before(t) <@ v_settled
                   AND (o.state = 'succeeded' OR o.passed_over IS NOT NULL
                        OR o.state = 'skipped' AND NOT sluice.task_before(t) && v_better AND NOT EXISTS (SELECT FROM sluice.attempts_of(p_run) a WHERE a.task = o.name));
                EXIT WHEN v_more IS NULL;
                v_settled := v_settled || v_more;
        END LOOP;

        RETURN v_settled;
END
$$;

-- The values that a run has had, of the parameters that there are now. Days stay what they were.
CREATE OR REPLACE FUNCTION sluice.rerun_values(p_parameters jsonb, p_spec jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
        SELECT coalesce(jsonb_object_agg(p ->> 'name', p ->> 'value'), '{}')
          FROM jsonb_array_elements(p_parameters) p
         WHERE p ->> 'origin' <> 'unset' AND p ->> 'name' IN (SELECT r ->> 'name' FROM jsonb_array_elements(p_spec -> 'parameters') r)
$$;

-- p_parameters, each with the origin that it has in p_before. What had no value there has the one that it has now.
CREATE OR REPLACE FUNCTION sluice.rerun_origins(p_parameters jsonb, p_before jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
        SELECT coalesce(jsonb_agg(coalesce(b, p) ORDER BY n), '[]')
          FROM jsonb_array_elements(p_parameters) WITH ORDINALITY x (p, n)
          LEFT JOIN jsonb_array_elements(p_before) b ON b ->> 'name' = p ->> 'name' AND b ->> 'origin' <> 'unset'
$$;

-- A new run of the same pipe, with the same values. p_request: "version" (absent: the one of the run; "current"), "all" (nothing counts as done), "from" (these
-- tasks are done again, and so is what comes after them), "skip" (these count as done).
CREATE OR REPLACE FUNCTION api.run_rerun(p_auth bytea, p_run uuid, p_request jsonb, p_idempotency_key text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'operator');
        v_old sluice.run := sluice.run_find(p_run);
        v_run uuid := sluice.uuid_v7();
        v_before json := sluice.run_before(v_token.id, p_idempotency_key, 'rerun ' || md5(p_run || ' ' || p_request::text), v_run);
        v_pipe sluice.pipe_version;
        v_skip text[];
        v_settled text[];
BEGIN
        IF v_before IS NOT NULL THEN
                RETURN v_before;
        END IF;

        IF v_old.ended_at IS NULL THEN
                PERFORM sluice.fail(409, 'run-not-over', format('Run %s is %s.', p_run, v_old.state),
                                    'It can be done again when it is over; to end it: sluicectl cancel RUN.');
        END IF;
        IF sluice.is_draft(v_old.version) THEN
                PERFORM sluice.fail(409, 'draft', format('Run %s was a trial of a draft, which is no version of pipe "%s".', p_run, v_old.pipe),
                                    'Try it again: sluicectl pipe try FILE --on=AGENT; or deploy its file and run the pipe.');
        END IF;
        v_pipe := sluice.pipe_find(v_old.project, v_old.pipe, nullif(coalesce(sluice.json_text(p_request, 'version'), v_old.version), 'current'));
        PERFORM sluice.batch_check(v_pipe.pipe, v_pipe.type);
        v_skip := sluice.json_tasks(p_request, 'skip', v_pipe);
        v_settled := CASE WHEN sluice.json_bool(p_request, 'all') THEN v_skip
                          ELSE sluice.rerun_settled(p_run, v_pipe, sluice.json_tasks(p_request, 'from', v_pipe), v_skip) END;
        IF cardinality(v_settled) = jsonb_array_length(v_pipe.spec -> 'tasks') THEN
                PERFORM sluice.fail(409, 'nothing-to-rerun', format('Nothing of run %s is left to do.', p_run),
                                    'To do all of it again: sluicectl rerun --all RUN.');
        END IF;

        PERFORM sluice.runs_insert(ARRAY[v_run], ARRAY[v_pipe.project], ARRAY[v_pipe.pipe], ARRAY[v_pipe.version], ARRAY[v_token.name],
                                   ARRAY[jsonb_build_object('run', sluice.rerun_values(v_old.parameters, v_pipe.spec))]);
        UPDATE sluice.run SET rerun_of = p_run, parameters = sluice.rerun_origins(parameters, v_old.parameters),
                              schedule = v_old.schedule, scheduled_at = v_old.scheduled_at
         WHERE id = v_run;
        UPDATE sluice.task t
           SET passed_over = CASE WHEN t.name = ANY (v_skip) THEN 'left out by ' || v_token.name
                                  ELSE (SELECT coalesce(o.passed_over, 'succeeded in run ' || p_run) FROM sluice.task o
                                         WHERE o.run = p_run AND o.name = t.name AND (o.state = 'succeeded' OR o.passed_over IS NOT NULL)) END,
               output = coalesce((SELECT a.output FROM sluice.attempts_of(p_run) a WHERE a.task = t.name AND a.outcome = 'success' ORDER BY a.try DESC LIMIT 1),
                                 (SELECT o.output FROM sluice.task o WHERE o.run = p_run AND o.name = t.name))
         WHERE t.run = v_run AND t.name = ANY (v_settled);
        IF NOT sluice.json_bool(p_request, 'all') THEN
                PERFORM sluice.children_pass_over(p_run, v_run, v_pipe, v_settled, sluice.json_tasks(p_request, 'from', v_pipe));
        END IF;
        PERFORM sluice.runs_begin(ARRAY[v_run]);

        RETURN (SELECT j.json FROM sluice.runs_json(ARRAY[v_run]) j);
END
$$;

REVOKE ALL ON FUNCTION api.run_rerun(bytea, uuid, jsonb, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.run_rerun(bytea, uuid, jsonb, text) TO sluice_controld;
