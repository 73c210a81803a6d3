-- New runs, one or many.
SET LOCAL check_function_bodies = off;

-- The names in an array that was checked when it was deployed.
CREATE OR REPLACE FUNCTION sluice.task_names(p_array jsonb) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$ -- not sql, which would be planned anew each time
BEGIN
        IF p_array IS NULL OR p_array = '[]' THEN
                RETURN '{}';
        END IF;

        RETURN ARRAY(SELECT jsonb_array_elements_text(p_array));
END
$$;

DROP FUNCTION IF EXISTS sluice.runs_make(uuid[], text[], text[], text[], text[]), api.run_create(bytea, text, text, text, text); -- of the release before

-- Writes p_runs, the n-th of the n-th version with the values that parameters_resolve() finds for the n-th of p_layers (NULL: of all of
-- them none), and tasks that wait. The versions exist. One whose values are wrong refuses all.
CREATE OR REPLACE FUNCTION sluice.runs_insert(p_runs uuid[], p_projects text[], p_pipes text[], p_versions text[], p_by text[], p_layers jsonb[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
BEGIN
        WITH made AS (
                INSERT INTO sluice.run (id, project, pipe, version, created_by, parameters)
                SELECT r.id, r.project, r.pipe, r.version, r.by, sluice.parameters_of(v.spec, r.project, p_layers[r.n])
                  FROM unnest(p_runs, p_projects, p_pipes, p_versions, p_by) WITH ORDINALITY r (id, project, pipe, version, by, n)
                 CROSS JOIN LATERAL (SELECT v.spec FROM sluice.pipe_version v
                                      WHERE (v.project, v.pipe, v.version) = (r.project, r.pipe, r.version) OFFSET 0) v
                RETURNING id, project, pipe, version
        )
        INSERT INTO sluice.task (run, name, position, apart, fans, after, after_failure, after_any)
        SELECT m.id, t.value ->> 'name', t.ordinality - 1, sluice.task_is_apart(t.value), t.value ? 'run_on_all', sluice.task_names(t.value -> 'after'),
               sluice.task_names(t.value -> 'after_failure'), sluice.task_names(t.value -> 'after_any')
          FROM made m
          JOIN sluice.pipe_version v ON (v.project, v.pipe, v.version) = (m.project, m.pipe, m.version)
         CROSS JOIN LATERAL jsonb_array_elements(v.spec -> 'tasks') WITH ORDINALITY t;
END
$$;

-- Queues what can begin of runs that were just written.
-- Nobody can wait for news of them yet. A notification has its price: those who commit one do so one after the other.
CREATE OR REPLACE FUNCTION sluice.runs_queue(p_runs uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        PERFORM sluice.tasks_queue(p_runs);
        IF EXISTS (SELECT FROM sluice.task t WHERE t.run = ANY (p_runs) AND t.state NOT IN ('waiting', 'queued')) THEN
                PERFORM sluice.runs_step(p_runs); -- of what nobody could do, or has been done before, nothing may be left
        END IF;
END
$$;

-- The same, and places what it can of them.
CREATE OR REPLACE FUNCTION sluice.runs_begin(p_runs uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        PERFORM sluice.runs_queue(p_runs);
        PERFORM sluice.dispatch_runs(p_runs, NULL);
END
$$;

CREATE OR REPLACE FUNCTION sluice.runs_make(p_runs uuid[], p_projects text[], p_pipes text[], p_versions text[], p_by text[],
                                            p_layers jsonb[] DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        PERFORM sluice.runs_insert(p_runs, p_projects, p_pipes, p_versions, p_by, p_layers);
        PERFORM sluice.runs_begin(p_runs);
END
$$;

-- Runs that have just been made, as sluice.run_json() has them.
CREATE OR REPLACE FUNCTION sluice.runs_json(p_runs uuid[]) RETURNS TABLE (run uuid, json json)
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
        RETURN QUERY
        SELECT r.id, json_build_object(
                        'run', r.id, 'project', r.project, 'pipe', r.pipe, 'version', r.version, 'trial', sluice.is_draft(r.version), 'state', r.state, 'outcome', r.outcome,
                        'exit_status', r.exit_status, 'reason', r.reason, 'created_by', r.created_by,
                        'created_at', sluice.rfc3339(r.created_at), 'started_at', NULL, 'ended_at', sluice.rfc3339(r.ended_at), 'cancel_requested_at', NULL,
                        'rerun_of', r.rerun_of, 'etag', r.revision::text, 'log_complete', r.ended_at IS NOT NULL, 'scheduled', NULL, 'parameters', r.parameters, 'tasks', (
                                SELECT json_agg(json_build_object('task', t.name, 'parent', t.parent, 'state', t.state, 'reason', t.reason, 'after', t.after,
                                                'after_failure', t.after_failure, 'after_any', t.after_any, 'retry_at', NULL,
                                                'passed_over', t.passed_over, 'attempts', coalesce((
                                                SELECT json_agg(sluice.attempt_json(a, false)) FROM sluice.attempts_of(r.id) a WHERE a.task = t.name),
                                                '[]')) ORDER BY t.position, t.fanout_index NULLS FIRST)
                                  FROM sluice.task t WHERE t.run = r.id))
          FROM unnest(p_runs) u (run) CROSS JOIN LATERAL (SELECT r.* FROM sluice.run r WHERE r.id = u.run OFFSET 0) r;
END
$$;

-- Runs of a streaming pipe follow from what people want of it.
CREATE OR REPLACE FUNCTION sluice.batch_check(p_pipe text, p_type text) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
        IF p_type <> 'batch' THEN
                PERFORM sluice.fail(409, 'streaming-pipe', format('Pipe "%s" is a streaming one: it has one run at a time.', p_pipe),
                                    'Start it: sluicectl start PIPE.');
        END IF;
END
$$;

-- NULL: the key is new, and stands for these runs from now on. Else the runs that the same request has made before; a second call
-- with a key waits here for the first one's commit.
CREATE OR REPLACE FUNCTION sluice.idempotency_take(p_token uuid, p_key text, p_request text, p_runs uuid[]) RETURNS uuid[]
LANGUAGE plpgsql AS $$
DECLARE
        v_before sluice.idempotency;
BEGIN
        IF length(p_key) NOT BETWEEN 1 AND 255 THEN
                PERFORM sluice.fail(400, 'bad-idempotency-key', 'Idempotency-Key has 1 to 255 characters.');
        END IF;

        INSERT INTO sluice.idempotency (token, key, request, run, runs)
        VALUES (p_token, p_key, p_request, p_runs[1], CASE WHEN cardinality(p_runs) > 1 THEN p_runs END)
            ON CONFLICT (token, key) DO NOTHING;
        IF FOUND THEN
                RETURN NULL;
        END IF;

        SELECT * INTO STRICT v_before FROM sluice.idempotency WHERE token = p_token AND key = p_key;
        IF v_before.request <> p_request THEN
                PERFORM sluice.fail(409, 'idempotency-key-reused', 'This Idempotency-Key was used for another request.');
        END IF;
        RETURN coalesce(v_before.runs, ARRAY[v_before.run]);
END
$$;

-- For a request that makes one run: NULL when it has no key, or a new one; else the run that it has made before.
CREATE OR REPLACE FUNCTION sluice.run_before(p_token uuid, p_key text, p_request text, p_run uuid) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
        v_before uuid[] := CASE WHEN p_key IS NOT NULL THEN sluice.idempotency_take(p_token, p_key, p_request, ARRAY[p_run]) END;
BEGIN
        RETURN CASE WHEN v_before IS NOT NULL THEN sluice.run_json(sluice.run_find(v_before[1]), true, false) END;
END
$$;

-- What an Idempotency-Key stands for.
CREATE OR REPLACE FUNCTION sluice.run_request(p_project text, p_pipe text, p_version text, p_parameters jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT concat_ws('/', p_project, p_pipe, p_version, md5(nullif(p_parameters, '{}')::text))
$$;

-- Why it waits, if it does, is not in the answer: that may take longer than making it.
CREATE OR REPLACE FUNCTION api.run_create(p_auth bytea, p_project text, p_pipe text, p_version text,
                                          p_idempotency_key text, p_parameters jsonb DEFAULT NULL) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'operator');
        v_pipe sluice.pipe_version;
        v_run uuid := sluice.uuid_v7();
        v_before json := sluice.run_before(v_token.id, p_idempotency_key, sluice.run_request(p_project, p_pipe, p_version, p_parameters), v_run);
BEGIN
        IF v_before IS NOT NULL THEN
                RETURN v_before;
        END IF;

        v_pipe := sluice.pipe_find(p_project, p_pipe, p_version);
        PERFORM sluice.batch_check(v_pipe.pipe, v_pipe.type);
        PERFORM sluice.runs_make(ARRAY[v_run], ARRAY[v_pipe.project], ARRAY[v_pipe.pipe], ARRAY[v_pipe.version], ARRAY[v_token.name],
                                 ARRAY[sluice.parameters_layer(p_parameters)]);

        RETURN (SELECT j.json FROM sluice.runs_json(ARRAY[v_run]) j);
END
$$;

-- The same for many callers at once, in one transaction: p_auths holds the hashes of their tokens one behind the other, an element
-- of p_requests is {"project", "key", "body": {"pipe", "version", "parameters"}}. A request that has no answer is to be made alone: its
-- Idempotency-Key was used before, or it would have failed.
CREATE OR REPLACE FUNCTION api.run_create_batch(p_auths bytea, p_requests jsonb) RETURNS TABLE (request int, answer json)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
        v_requests int[];
        v_runs uuid[];
        v_projects text[];
        v_pipes text[];
        v_versions text[];
        v_by text[];
        v_layers jsonb[];
BEGIN
        WITH asked AS MATERIALIZED (
                SELECT r.n::int AS n, sluice.uuid_v7() AS run, p.project, p.name AS pipe, v.version, t.id AS token, t.name AS by,
                       r.value ->> 'key' AS key, sluice.run_request(p.project, p.name, r.value #>> '{body,version}', r.value #> '{body,parameters}') AS request,
                       CASE WHEN r.value #> '{body,parameters}' <> '{}' THEN jsonb_build_object('run', r.value #> '{body,parameters}') END AS layers
                  FROM jsonb_array_elements(p_requests) WITH ORDINALITY r (value, n)
                  JOIN sluice.token t ON t.hash = substring(p_auths FROM 32 * r.n::int - 31 FOR 32) AND t.revoked_at IS NULL
                                     AND sluice.role_rank(t.role) >= sluice.role_rank('operator')
                  JOIN sluice.pipe p ON p.project = r.value ->> 'project' AND p.name = r.value #>> '{body,pipe}'
                  JOIN sluice.pipe_version v ON v.project = p.project AND v.pipe = p.name
                                            AND v.version = coalesce(r.value #>> '{body,version}', p.version) AND v.type = 'batch'
                                            AND NOT sluice.is_draft(v.version)
                 WHERE coalesce(length(r.value ->> 'key') BETWEEN 1 AND 255, true)
                   AND (NOT v.spec ? 'parameters' AND r.value #> '{body,parameters}' IS NULL
                        OR (sluice.parameters_resolve(v.spec, (SELECT j.parameters FROM sluice.project j WHERE j.name = p.project),
                                                      jsonb_build_object('run', r.value #> '{body,parameters}'))).errors = '{}')
        ), kept AS (
                INSERT INTO sluice.idempotency (token, key, request, run)
                SELECT DISTINCT ON (a.token, a.key) a.token, a.key, a.request, a.run
                  FROM asked a WHERE a.key IS NOT NULL ORDER BY a.token, a.key, a.n
                    ON CONFLICT (token, key) DO NOTHING
                RETURNING run
        )
        SELECT array_agg(a.n ORDER BY a.n), array_agg(a.run ORDER BY a.n), array_agg(a.project ORDER BY a.n), array_agg(a.pipe ORDER BY a.n),
               array_agg(a.version ORDER BY a.n), array_agg(a.by ORDER BY a.n), array_agg(a.layers ORDER BY a.n)
          INTO v_requests, v_runs, v_projects, v_pipes, v_versions, v_by, v_layers
          FROM asked a WHERE a.key IS NULL OR a.run IN (SELECT k.run FROM kept k);

        IF v_runs IS NOT NULL THEN
                PERFORM sluice.runs_make(v_runs, v_projects, v_pipes, v_versions, v_by, v_layers);
                RETURN QUERY
                SELECT v_requests[array_position(v_runs, j.run)], j.json FROM sluice.runs_json(v_runs) j;
        END IF;
END
$$;

CREATE OR REPLACE FUNCTION sluice.runs_page(p_runs uuid[]) RETURNS json
LANGUAGE sql STABLE AS $$
        SELECT json_build_object('items', json_agg(sluice.run_json(sluice.run_find(r.run), false, false) ORDER BY r.n), 'next', NULL)
          FROM unnest(p_runs) WITH ORDINALITY r (run, n)
$$;

-- Many runs of one project by one caller: all of them, or none.
CREATE OR REPLACE FUNCTION api.run_create_many(p_auth bytea, p_project text, p_request jsonb, p_idempotency_key text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'operator');
        v_wanted jsonb := sluice.json_array(p_request, 'runs', 1000, true);
        v_runs uuid[] := ARRAY(SELECT sluice.uuid_v7() FROM jsonb_array_elements(v_wanted));
        v_pipes text[] := '{}';
        v_versions text[] := '{}';
        v_layers jsonb[] := '{}';
        v_before uuid[];
        v jsonb;
BEGIN
        IF v_runs = '{}' THEN
                PERFORM sluice.fail(400, 'bad-request', 'Member "runs" is empty.');
        ELSIF p_idempotency_key IS NOT NULL THEN
                v_before := sluice.idempotency_take(v_token.id, p_idempotency_key, md5(p_project || ' ' || p_request::text), v_runs);
                IF v_before IS NOT NULL THEN
                        RETURN sluice.runs_page(v_before);
                END IF;
        END IF;

        FOR v IN SELECT value FROM jsonb_array_elements(v_wanted) LOOP
                v_pipes := v_pipes || sluice.json_text(v, 'pipe', true);
                v_versions := v_versions || sluice.json_text(v, 'version');
                v_layers := array_append(v_layers, sluice.parameters_layer(v -> 'parameters'));
        END LOOP;
        PERFORM sluice.batch_check(d.pipe, (sluice.pipe_find(p_project, d.pipe, d.version)).type)
           FROM (SELECT DISTINCT * FROM unnest(v_pipes, v_versions) d (pipe, version)) d;
        v_versions := ARRAY(SELECT k.version
                              FROM unnest(v_pipes, v_versions) WITH ORDINALITY w (pipe, version, n)
                              JOIN (SELECT d.pipe, d.version AS wanted, (sluice.pipe_find(p_project, d.pipe, d.version)).version
                                      FROM (SELECT DISTINCT * FROM unnest(v_pipes, v_versions) d (pipe, version)) d) k
                                ON k.pipe = w.pipe AND k.wanted IS NOT DISTINCT FROM w.version
                             ORDER BY w.n);
        PERFORM sluice.runs_make(v_runs, array_fill(p_project, ARRAY[cardinality(v_runs)]), v_pipes, v_versions,
                                 array_fill(v_token.name, ARRAY[cardinality(v_runs)]), v_layers);

        RETURN sluice.runs_page(v_runs);
END
$$;

REVOKE ALL ON FUNCTION api.run_create(bytea, text, text, text, text, jsonb), api.run_create_batch(bytea, jsonb),
        api.run_create_many(bytea, text, jsonb, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.run_create(bytea, text, text, text, text, jsonb), api.run_create_batch(bytea, jsonb),
        api.run_create_many(bytea, text, jsonb, text) TO sluice_controld;
