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

-- Makes p_runs, the n-th of the n-th version, and places what it can of them. The versions exist.
-- Nobody can wait for news of them yet. A notification has its price: those who commit one do so one after the other.
CREATE OR REPLACE FUNCTION sluice.runs_make(p_runs uuid[], p_projects text[], p_pipes text[], p_versions text[], p_by text[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
BEGIN
        WITH made AS (
                INSERT INTO sluice.run (id, project, pipe, version, created_by)
                SELECT * FROM unnest(p_runs, p_projects, p_pipes, p_versions, p_by)
                RETURNING id, project, pipe, version
        )
        INSERT INTO sluice.task (run, name, position, after, after_failure, after_any)
        SELECT m.id, t.value ->> 'name', t.ordinality - 1, sluice.task_names(t.value -> 'after'),
               sluice.task_names(t.value -> 'after_failure'), sluice.task_names(t.value -> 'after_any')
          FROM made m
          JOIN sluice.pipe_version v ON (v.project, v.pipe, v.version) = (m.project, m.pipe, m.version)
         CROSS JOIN LATERAL jsonb_array_elements(v.spec -> 'tasks') WITH ORDINALITY t;

        PERFORM sluice.tasks_queue(p_runs);
        PERFORM sluice.dispatch_runs(p_runs, NULL);
END
$$;

-- Runs that have just been made, as sluice.run_json() has them.
CREATE OR REPLACE FUNCTION sluice.runs_json(p_runs uuid[]) RETURNS TABLE (run uuid, json json)
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
        RETURN QUERY
        SELECT r.id, json_build_object(
                        'run', r.id, 'project', r.project, 'pipe', r.pipe, 'version', r.version, 'state', r.state, 'outcome', r.outcome,
                        'exit_status', r.exit_status, 'reason', r.reason, 'created_by', r.created_by,
                        'created_at', sluice.rfc3339(r.created_at), 'started_at', NULL, 'ended_at', NULL, 'cancel_requested_at', NULL,
                        'etag', r.revision::text, 'log_complete', false, 'scheduled', NULL, 'tasks', (
                                SELECT json_agg(json_build_object('task', t.name, 'state', t.state, 'after', t.after,
                                                'after_failure', t.after_failure, 'after_any', t.after_any, 'retry_at', NULL, 'attempts', coalesce((
                                                SELECT json_agg(sluice.attempt_json(a, false)) FROM sluice.attempts_of(r.id) a WHERE a.task = t.name),
                                                '[]')) ORDER BY t.position)
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

-- Why it waits, if it does, is not in the answer: that may take longer than making it.
CREATE OR REPLACE FUNCTION api.run_create(p_auth bytea, p_project text, p_pipe text, p_version text,
                                          p_idempotency_key text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'operator');
        v_request text := concat_ws('/', p_project, p_pipe, p_version);
        v_pipe sluice.pipe_version;
        v_run uuid := sluice.uuid_v7();
        v_before sluice.idempotency;
BEGIN
        IF p_idempotency_key IS NOT NULL THEN
                IF length(p_idempotency_key) NOT BETWEEN 1 AND 255 THEN
                        PERFORM sluice.fail(400, 'bad-idempotency-key', 'Idempotency-Key has 1 to 255 characters.');
                END IF;

                -- A second call with this key waits here for the first one's commit.
                INSERT INTO sluice.idempotency (token, key, request, run)
                VALUES (v_token.id, p_idempotency_key, v_request, v_run)
                    ON CONFLICT (token, key) DO NOTHING;

                IF NOT FOUND THEN
                        SELECT * INTO STRICT v_before FROM sluice.idempotency
                         WHERE token = v_token.id AND key = p_idempotency_key;
                        IF v_before.request <> v_request THEN
                                PERFORM sluice.fail(409, 'idempotency-key-reused',
                                                    'This Idempotency-Key was used for another request.');
                        END IF;
                        RETURN sluice.run_json(sluice.run_find(v_before.run), true, false);
                END IF;
        END IF;

        v_pipe := sluice.pipe_find(p_project, p_pipe, p_version);
        PERFORM sluice.batch_check(v_pipe.pipe, v_pipe.type);
        PERFORM sluice.runs_make(ARRAY[v_run], ARRAY[v_pipe.project], ARRAY[v_pipe.pipe], ARRAY[v_pipe.version], ARRAY[v_token.name]);

        RETURN (SELECT j.json FROM sluice.runs_json(ARRAY[v_run]) j);
END
$$;

-- The same for many callers at once, in one transaction: p_auths holds the hashes of their tokens one behind the other, an element
-- of p_requests is {"project", "key", "body": {"pipe", "version"}}. A request that has no answer is to be made alone: its
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
BEGIN
        WITH asked AS MATERIALIZED (
                SELECT r.n::int AS n, sluice.uuid_v7() AS run, p.project, p.name AS pipe, v.version, t.id AS token, t.name AS by,
                       r.value ->> 'key' AS key, concat_ws('/', p.project, p.name, r.value #>> '{body,version}') AS request
                  FROM jsonb_array_elements(p_requests) WITH ORDINALITY r (value, n)
                  JOIN sluice.token t ON t.hash = substring(p_auths FROM 32 * r.n::int - 31 FOR 32) AND t.revoked_at IS NULL
                                     AND sluice.role_rank(t.role) >= sluice.role_rank('operator')
                  JOIN sluice.pipe p ON p.project = r.value ->> 'project' AND p.name = r.value #>> '{body,pipe}'
                  JOIN sluice.pipe_version v ON v.project = p.project AND v.pipe = p.name
                                            AND v.version = coalesce(r.value #>> '{body,version}', p.version) AND v.type = 'batch'
                 WHERE coalesce(length(r.value ->> 'key') BETWEEN 1 AND 255, true)
        ), kept AS (
                INSERT INTO sluice.idempotency (token, key, request, run)
                SELECT DISTINCT ON (a.token, a.key) a.token, a.key, a.request, a.run
                  FROM asked a WHERE a.key IS NOT NULL ORDER BY a.token, a.key, a.n
                    ON CONFLICT (token, key) DO NOTHING
                RETURNING run
        )
        SELECT array_agg(a.n ORDER BY a.n), array_agg(a.run ORDER BY a.n), array_agg(a.project ORDER BY a.n), array_agg(a.pipe ORDER BY a.n),
               array_agg(a.version ORDER BY a.n), array_agg(a.by ORDER BY a.n)
          INTO v_requests, v_runs, v_projects, v_pipes, v_versions, v_by
          FROM asked a WHERE a.key IS NULL OR a.run IN (SELECT k.run FROM kept k);

        IF v_runs IS NOT NULL THEN
                PERFORM sluice.runs_make(v_runs, v_projects, v_pipes, v_versions, v_by);
                RETURN QUERY
                SELECT v_requests[array_position(v_runs, j.run)], j.json FROM sluice.runs_json(v_runs) j;
        END IF;
END
$$;

-- Many runs of one project by one caller: all of them, or none.
CREATE OR REPLACE FUNCTION api.run_create_many(p_auth bytea, p_project text, p_request jsonb, p_idempotency_key text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'operator');
        v_wanted jsonb := sluice.json_array(p_request, 'runs', 1000, true);
        v_request text := md5(p_project || ' ' || p_request::text);
        v_runs uuid[] := ARRAY(SELECT sluice.uuid_v7() FROM jsonb_array_elements(v_wanted));
        v_pipes text[] := '{}';
        v_versions text[] := '{}';
        v_before sluice.idempotency;
        v jsonb;
BEGIN
        IF v_runs = '{}' THEN
                PERFORM sluice.fail(400, 'bad-request', 'Member "runs" is empty.');
        ELSIF length(p_idempotency_key) NOT BETWEEN 1 AND 255 THEN
                PERFORM sluice.fail(400, 'bad-idempotency-key', 'Idempotency-Key has 1 to 255 characters.');
        ELSIF p_idempotency_key IS NOT NULL THEN
                INSERT INTO sluice.idempotency (token, key, request, run, runs)
                VALUES (v_token.id, p_idempotency_key, v_request, v_runs[1], v_runs)
                    ON CONFLICT (token, key) DO NOTHING;

                IF NOT FOUND THEN
                        SELECT * INTO STRICT v_before FROM sluice.idempotency
                         WHERE token = v_token.id AND key = p_idempotency_key;
                        IF v_before.request <> v_request THEN
                                PERFORM sluice.fail(409, 'idempotency-key-reused',
                                                    'This Idempotency-Key was used for another request.');
                        END IF;
                        RETURN (SELECT json_build_object('items', json_agg(sluice.run_json(sluice.run_find(r.run), false, false) ORDER BY r.n), 'next', NULL)
                                  FROM unnest(v_before.runs) WITH ORDINALITY r (run, n));
                END IF;
        END IF;

        FOR v IN SELECT value FROM jsonb_array_elements(v_wanted) LOOP
                v_pipes := v_pipes || sluice.json_text(v, 'pipe', true);
                v_versions := v_versions || sluice.json_text(v, 'version');
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
                                 array_fill(v_token.name, ARRAY[cardinality(v_runs)]));

        RETURN (SELECT json_build_object('items', json_agg(sluice.run_json(sluice.run_find(r.run), false, false) ORDER BY r.n), 'next', NULL)
                  FROM unnest(v_runs) WITH ORDINALITY r (run, n));
END
$$;

REVOKE ALL ON FUNCTION api.run_create(bytea, text, text, text, text), api.run_create_batch(bytea, jsonb),
        api.run_create_many(bytea, text, jsonb, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.run_create(bytea, text, text, text, text), api.run_create_batch(bytea, jsonb),
        api.run_create_many(bytea, text, jsonb, text) TO sluice_controld;
