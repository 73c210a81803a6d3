-- Pipes and their versions.
SET LOCAL check_function_bodies = off;

CREATE OR REPLACE FUNCTION sluice.pipe_json(v sluice.pipe_version, p_full boolean) RETURNS json
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_json jsonb := jsonb_build_object(
                'project', v.project, 'pipe', v.pipe, 'version', v.version, 'type', v.type,
                'description', v.description, 'created_at', sluice.rfc3339(v.created_at),
                'created_by', v.created_by);
BEGIN
        IF p_full THEN
                v_json := v_json || jsonb_build_object('spec', v.spec, 'source', v.source);
        END IF;
        IF v.type = 'streaming' THEN
                v_json := v_json || jsonb_build_object('stream', sluice.stream_json(v.project, v.pipe));
        END IF;

        RETURN v_json;
END
$$;

-- The first term that is none; NULL when all are.
CREATE OR REPLACE FUNCTION sluice.selector_objection(p_selector jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ -- not sql, which would be planned anew each time
BEGIN
        RETURN (SELECT t FROM jsonb_array_elements(p_selector) t
                 WHERE (jsonb_typeof(t) = 'object' AND t ->> 'key' ~ '^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$'
                        AND jsonb_typeof(t -> 'key') = 'string' AND jsonb_typeof(t -> 'values') = 'array'
                        AND CASE WHEN t ->> 'operator' IN ('in', 'notin') THEN jsonb_array_length(t -> 'values') BETWEEN 1 AND 64
                                 WHEN t ->> 'operator' IN ('exists', 'absent') THEN t -> 'values' = '[]'
                                 ELSE false END
                        AND NOT EXISTS (SELECT FROM jsonb_array_elements(t -> 'values') v
                                         WHERE jsonb_typeof(v) <> 'string' OR length(v #>> '{}') > 255)) IS NOT TRUE
                 LIMIT 1);
END
$$;

-- The names of all tasks that one comes after, however it does.
CREATE OR REPLACE FUNCTION sluice.task_before(p_task jsonb) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$ -- not sql, which would be planned anew each time
BEGIN
        RETURN ARRAY(SELECT jsonb_array_elements_text(coalesce(p_task -> 'after', '[]') || coalesce(p_task -> 'after_failure', '[]')
                                                      || coalesce(p_task -> 'after_any', '[]')));
END
$$;

-- systemd's sizes: 512M, 1.5G, 50%, infinity.
CREATE OR REPLACE FUNCTION sluice.memory_parse(p_text text, OUT bytes int8, OUT permyriad int)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
        v_parts text[] := regexp_match(p_text, '^([0-9]+(?:\.[0-9]+)?)([KMGTPE%]?)$');
BEGIN
        IF v_parts[2] = '%' THEN
                permyriad := round(least(v_parts[1]::numeric, 100) * 100);
        ELSIF v_parts IS NOT NULL THEN
                bytes := least(trunc(v_parts[1]::numeric * CASE WHEN v_parts[2] = '' THEN 1 ELSE 1::int8 << 10 * strpos('KMGTPE', v_parts[2]) END), 1::int8 << 62);
        END IF;
END
$$;

-- Why a selector cannot be taken; it does not return then.
CREATE OR REPLACE FUNCTION sluice.selector_check(p_object jsonb, p_member text) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_selector jsonb := sluice.json_array(p_object, p_member, 64);
        v_wrong jsonb := CASE WHEN v_selector <> '[]' THEN sluice.selector_objection(v_selector) END;
BEGIN
        IF v_wrong IS NOT NULL THEN
                PERFORM sluice.fail(400, 'bad-spec', format('A term of "%s" is wrong: %s', p_member, left(v_wrong::text, 200)));
        END IF;
END
$$;

-- Whether it is placed by itself, without the workspace of its run.
CREATE OR REPLACE FUNCTION sluice.task_is_apart(p_task jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$ -- not sql, which would be planned anew each time
BEGIN
        RETURN p_task ?| ARRAY['agent_selector', 'run_on_all'];
END
$$;

-- What says where a task is done, when, and when again.
CREATE OR REPLACE FUNCTION sluice.task_check(p_task jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_word text;
BEGIN
        FOREACH v_word IN ARRAY ARRAY['after', 'after_failure', 'after_any', 'retry_on'] LOOP
                IF EXISTS (SELECT FROM jsonb_array_elements(sluice.json_array(p_task, v_word, 256)) e WHERE jsonb_typeof(e.value) <> 'string') THEN
                        PERFORM sluice.fail(400, 'bad-spec', format('Elements of "%s" must be text.', v_word));
                END IF;
        END LOOP;
        PERFORM sluice.selector_check(p_task, 'agent_selector');
        PERFORM sluice.selector_check(p_task, 'run_on_all');
        IF sluice.json_text(p_task, 'run_on_all_success') !~ '^([1-9][0-9]?|100)%$' THEN
                PERFORM sluice.fail(400, 'bad-spec', 'Member "run_on_all_success" is no percentage.');
        ELSIF sluice.json_text(p_task, 'run_on_all_batch') !~ '^([1-9][0-9]{0,3}|([1-9][0-9]?|100)%)$' THEN
                PERFORM sluice.fail(400, 'bad-spec', 'Member "run_on_all_batch" is no number from 1 to 9999 and no percentage.');
        END IF;
        PERFORM sluice.json_int(p_task, 'retry', false, 1, 1000);
        FOREACH v_word IN ARRAY ARRAY['retry_backoff_sec', 'retry_max_backoff_sec'] LOOP
                IF sluice.json_text(p_task, v_word) IS NOT NULL AND sluice.timespan_parse(p_task ->> v_word) IS NULL THEN
                        PERFORM sluice.fail(400, 'bad-spec', format('Member "%s" is no time span.', v_word));
                END IF;
        END LOOP;
END
$$;

-- What the database itself relies on; the words of the pipe file were checked where it was parsed.
CREATE OR REPLACE FUNCTION sluice.spec_check(p_spec jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_tasks jsonb := sluice.json_array(p_spec, 'tasks', 256, true);
        v_task jsonb;
        v_names text[] := '{}';
        v_ready text[] := '{}';
        v_more text[];
BEGIN
        PERFORM sluice.json_word(p_spec, 'type', ARRAY['batch', 'streaming'], true);
        PERFORM sluice.json_word(p_spec, 'delivery', ARRAY['at-least-once', 'at-most-once']);
        PERFORM sluice.json_word(p_spec, 'on_agent_loss', ARRAY['wait', 'retry', 'fail']);
        PERFORM sluice.json_text(p_spec, 'description', false, 4096);
        PERFORM sluice.json_int(p_spec, 'priority', false, -1000, 1000);
        PERFORM sluice.json_int(p_spec, 'concurrency_limit', false, 1, 1000000);
        PERFORM sluice.json_text(p_spec, 'concurrency_key', false, 63);
        PERFORM sluice.json_word(p_spec, 'overlap', ARRAY['no', 'brief']);
        PERFORM sluice.parameters_check(p_spec);

        IF jsonb_array_length(v_tasks) = 0 THEN
                PERFORM sluice.fail(400, 'bad-spec', 'A pipe needs at least one task.');
        ELSIF p_spec ->> 'type' = 'streaming' AND jsonb_array_length(v_tasks) > 1 THEN
                PERFORM sluice.fail(400, 'bad-spec', 'A streaming pipe has one task.');
        ELSIF p_spec ->> 'type' = 'streaming' AND sluice.task_is_apart(v_tasks -> 0) THEN
                PERFORM sluice.fail(400, 'bad-spec', 'The task of a streaming pipe goes where its run does.');
        END IF;
        PERFORM sluice.selector_check(p_spec, 'agent_selector');

        FOR v_task IN SELECT * FROM jsonb_array_elements(v_tasks) LOOP
                IF NOT sluice.is_name(sluice.json_text(v_task, 'name', true)) THEN
                        PERFORM sluice.fail(400, 'bad-spec', format(
                                '"%s" is not a task name.', left(v_task ->> 'name', 80)));
                ELSIF v_task ->> 'name' = ANY (v_names) THEN
                        PERFORM sluice.fail(400, 'bad-spec', format(
                                'Task "%s" is there twice.', v_task ->> 'name'));
                ELSIF EXISTS (SELECT FROM jsonb_array_elements(sluice.json_array(v_task, 'directives', 1024, true)) d
                               WHERE jsonb_typeof(d.value) <> 'array'
                                  OR jsonb_typeof(d.value -> 0) IS DISTINCT FROM 'string'
                                  OR jsonb_typeof(d.value -> 1) IS DISTINCT FROM 'string'
                                  OR jsonb_typeof(d.value -> 2) IS NOT NULL) THEN
                        PERFORM sluice.fail(400, 'bad-spec', 'A directive must be an array of two texts.');
                END IF;
                PERFORM sluice.task_check(v_task);
                v_names := v_names || (v_task ->> 'name');
        END LOOP;

        -- Tasks whose predecessors are all ready are ready; what is left when that adds none is a cycle.
        LOOP
                SELECT array_agg(t.value ->> 'name') INTO v_more
                  FROM jsonb_array_elements(v_tasks) t
                 WHERE t.value ->> 'name' <> ALL (v_ready)
                   AND sluice.task_before(t.value) <@ v_ready;
                EXIT WHEN v_more IS NULL;
                v_ready := v_ready || v_more;
        END LOOP;

        IF cardinality(v_ready) < cardinality(v_names) THEN
                PERFORM sluice.fail(400, 'bad-spec',
                        'After= names a task that is not there, or tasks wait for each other in a circle.');
        END IF;
END
$$;

-- p_row is current from now on; it was p_before. The caller holds the lock of the pipe.
CREATE OR REPLACE FUNCTION sluice.pipe_settle(p_row sluice.pipe_version, p_before text, p_by text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        IF p_row.type <> 'streaming' AND EXISTS (SELECT FROM sluice.stream WHERE project = p_row.project AND pipe = p_row.pipe
                                                                            AND (desired = 'running' OR run IS NOT NULL)) THEN
                PERFORM sluice.fail(409, 'stream-running', format('Pipe "%s" is a streaming one and runs.', p_row.pipe),
                                    'Stop it first: sluicectl stop PIPE.');
        END IF;
        IF p_before IS DISTINCT FROM p_row.version THEN
                INSERT INTO sluice.deployment (project, pipe, version, deployed_by) VALUES (p_row.project, p_row.pipe, p_row.version, p_by);
        END IF;
        PERFORM sluice.stream_settle(p_row.project, p_row.pipe);
        PERFORM sluice.schedules_settle(p_row);
END
$$;

-- What a task asks of instances.
CREATE OR REPLACE FUNCTION sluice.demand_of(p_project text, p_pipe text, p_spec jsonb, p_task jsonb) RETURNS sluice.demand
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v sluice.demand;
BEGIN
        v.project := p_project;
        v.type := p_spec ->> 'type';
        v.selector := sluice.selector_terms(p_spec -> 'agent_selector');
        IF sluice.task_is_apart(p_task) THEN
                SELECT coalesce(jsonb_agg(DISTINCT e), '[]') INTO v.selector
                  FROM jsonb_array_elements(v.selector || sluice.selector_terms(p_task -> 'agent_selector') || sluice.selector_terms(p_task -> 'run_on_all')) e;
        END IF;
        v.path := sluice.selector_path(v.selector);
        v.subject_limit := coalesce((p_spec ->> 'concurrency_limit')::int, CASE WHEN p_spec ->> 'concurrency_key' IS NOT NULL THEN 1 END);
        v.subject := CASE WHEN v.subject_limit IS NOT NULL
                          THEN coalesce('key ' || (p_spec ->> 'concurrency_key'), 'pipe ' || p_pipe) END;
        SELECT m.bytes, m.permyriad INTO v.memory_bytes, v.memory_permyriad
          FROM jsonb_array_elements(p_task -> 'directives') WITH ORDINALITY d (pair, n)
         CROSS JOIN sluice.memory_parse(d.pair ->> 1) m
         WHERE d.pair ->> 0 = 'MemoryMax' ORDER BY d.n DESC LIMIT 1;
        v.id := md5(jsonb_build_array(v.project, v.type, v.selector, v.memory_bytes, v.memory_permyriad, v.subject, v.subject_limit)::text)::uuid;

        RETURN v;
END
$$;

-- It is made with the version of the pipe; the same of many is one row.
CREATE OR REPLACE FUNCTION sluice.demand_make(p_project text, p_pipe text, p_spec jsonb, p_task jsonb) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
        v sluice.demand := sluice.demand_of(p_project, p_pipe, p_spec, p_task);
BEGIN
        INSERT INTO sluice.demand SELECT v.* ON CONFLICT DO NOTHING;
        RETURN v.id;
END
$$;

-- What is wrong with a pipe of this name, version and spec, wherever it is to be kept.
CREATE OR REPLACE FUNCTION sluice.pipe_check(p_pipe text, p_version text, p_spec jsonb) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
        IF p_pipe IS NULL OR NOT sluice.is_name(p_pipe) THEN
                PERFORM sluice.fail(400, 'bad-name', format('"%s" is not a pipe name.', left(p_pipe, 80)),
                                    'Names are 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or digit.');
        ELSIF p_version IS NULL OR p_version !~ '^[0-9a-f]{16}$' THEN
                PERFORM sluice.fail(400, 'bad-version', 'A version is 16 hexadecimal digits.');
        END IF;
        PERFORM sluice.spec_check(p_spec);
        PERFORM sluice.schedules_check(p_spec);
END
$$;

-- What the tasks of a pipe ask for, by position.
CREATE OR REPLACE FUNCTION sluice.demands_make(p_project text, p_pipe text, p_spec jsonb) RETURNS uuid[]
LANGUAGE plpgsql AS $$ -- not sql, which would be planned anew each time
BEGIN
        RETURN ARRAY(SELECT sluice.demand_make(p_project, p_pipe, p_spec, t)
                       FROM jsonb_array_elements(p_spec -> 'tasks') WITH ORDINALITY x (t, n) ORDER BY n);
END
$$;

-- The answer carries `created`, whether this version is new, and `changed`, whether another one was current before. The project exists.
CREATE OR REPLACE FUNCTION sluice.pipe_write(p_by text, p_project text, p_pipe text, p_version text, p_spec jsonb, p_source text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
        v_row sluice.pipe_version;
        v_created boolean := true;
        v_before text;
BEGIN
        -- The controld of the release before says selectors in another form.
        IF jsonb_typeof(p_spec -> 'agent_selector') = 'object' THEN
                p_spec := p_spec || jsonb_build_object('agent_selector', sluice.selector_terms(p_spec -> 'agent_selector'));
        END IF;
        PERFORM sluice.pipe_check(p_pipe, p_version, p_spec);

        -- This row's lock puts deployments of one pipe in order, and is in nobody's way who refers to the pipe.
        SELECT version INTO v_before FROM sluice.pipe WHERE project = p_project AND name = p_pipe FOR NO KEY UPDATE;
        INSERT INTO sluice.pipe (project, name, version) VALUES (p_project, p_pipe, p_version)
            ON CONFLICT (project, name) DO UPDATE SET version = excluded.version;

        INSERT INTO sluice.pipe_version (project, pipe, version, type, description, spec, source, created_by, demands)
        SELECT p_project, p_pipe, p_version, p_spec ->> 'type', p_spec ->> 'description', p_spec, p_source, p_by,
               sluice.demands_make(p_project, p_pipe, p_spec)
            ON CONFLICT DO NOTHING RETURNING * INTO v_row;

        IF v_row.id IS NULL THEN
                v_created := false;
                SELECT * INTO STRICT v_row FROM sluice.pipe_version
                 WHERE project = p_project AND pipe = p_pipe AND version = p_version;
        END IF;

        PERFORM sluice.pipe_settle(v_row, v_before, p_by);

        RETURN sluice.pipe_json(v_row, true)::jsonb || jsonb_build_object('created', v_created, 'changed', v_before IS DISTINCT FROM p_version);
END
$$;

CREATE OR REPLACE FUNCTION api.pipe_put(p_auth bytea, p_project text, p_pipe text, p_version text, p_spec jsonb,
                                        p_source text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'editor');
BEGIN
        PERFORM sluice.project_check(p_project);
        PERFORM sluice.after_lock(p_project, p_spec);

        RETURN sluice.pipes_written(p_project, jsonb_build_array(sluice.pipe_write(v_token.name, p_project, p_pipe, p_version, p_spec, p_source))) -> 0;
END
$$;

-- Many pipes of a project, each {"pipe", "version", "spec", "source"}: all of them, or none. In order of their names, so that
-- two who deploy the same do not wait for each other in a circle.
CREATE OR REPLACE FUNCTION api.pipe_put_many(p_auth bytea, p_project text, p_request jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'editor');
        v_items jsonb := '[]';
        v jsonb;
BEGIN
        PERFORM sluice.project_check(p_project);
        PERFORM sluice.after_lock(p_project, e -> 'spec') FROM jsonb_array_elements(sluice.json_array(p_request, 'pipes', 100, true)) e;
        PERFORM sluice.streams_hold(p_project, ARRAY(SELECT e ->> 'pipe' FROM jsonb_array_elements(sluice.json_array(p_request, 'pipes', 100, true)) e));

        FOR v IN SELECT e FROM jsonb_array_elements(sluice.json_array(p_request, 'pipes', 100, true)) e ORDER BY e ->> 'pipe' COLLATE "C" LOOP
                v_items := v_items || (sluice.pipe_write(v_token.name, p_project, v ->> 'pipe', v ->> 'version', v -> 'spec', v ->> 'source') - 'spec' - 'source');
        END LOOP;

        RETURN json_build_object('items', coalesce(sluice.pipes_written(p_project, v_items), '[]'), 'next', NULL);
END
$$;

CREATE OR REPLACE FUNCTION api.pipe_list(p_auth bytea, p_project text, p_limit int, p_after text) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_limit int := sluice.page_limit(p_limit);
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');
        PERFORM sluice.project_check(p_project);

        RETURN (SELECT sluice.page(array_agg(p.item ORDER BY p.name), array_agg(p.name ORDER BY p.name), v_limit)
                  FROM (SELECT p.name, sluice.pipe_json(v, false) AS item
                          FROM sluice.pipe p
                          JOIN sluice.pipe_version v ON (v.project, v.pipe, v.version) = (p.project, p.name, p.version)
                         WHERE p.project = p_project AND (p_after IS NULL OR p.name > p_after)
                         ORDER BY p.name LIMIT v_limit + 1) p);
END
$$;

CREATE OR REPLACE FUNCTION sluice.pipe_find(p_project text, p_pipe text, p_version text) RETURNS sluice.pipe_version
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_row sluice.pipe_version;
BEGIN
        PERFORM sluice.project_check(p_project);

        SELECT v.* INTO v_row
          FROM sluice.pipe p
          JOIN sluice.pipe_version v ON v.project = p.project AND v.pipe = p.name
         WHERE p.project = p_project AND p.name = p_pipe AND v.version = coalesce(p_version, p.version) AND NOT sluice.is_draft(v.version);

        IF v_row.id IS NOT NULL THEN
                RETURN v_row;
        ELSIF EXISTS (SELECT FROM sluice.pipe_version WHERE project = p_project AND pipe = p_pipe AND version = p_version) THEN
                PERFORM sluice.fail(409, 'draft', format('"%s" is a draft that was tried: it is no version of pipe "%s".', left(p_version, 80), left(p_pipe, 80)),
                                    'Deploy its file first, sluicectl pipe deploy FILE, or try it again: sluicectl pipe try FILE --on=AGENT.');
        ELSIF EXISTS (SELECT FROM sluice.pipe WHERE project = p_project AND name = p_pipe) THEN
                PERFORM sluice.fail(404, 'version-not-found', format(
                        'Pipe "%s" has no version "%s".', p_pipe, left(p_version, 80)));
        END IF;

        PERFORM sluice.fail(404, 'pipe-not-found', format(
                'There is no pipe "%s" in project "%s".', left(p_pipe, 80), p_project),
                'Deploy it first: sluicectl pipe deploy FILE.');
END
$$;

CREATE OR REPLACE FUNCTION api.pipe_get(p_auth bytea, p_project text, p_pipe text, p_version text) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');

        PERFORM sluice.project_check(p_project);
        RETURN sluice.pipe_json(coalesce((SELECT v FROM sluice.pipe_version v -- a draft can be looked at by its name
                                           WHERE (v.project, v.pipe, v.version) = (p_project, p_pipe, p_version) AND sluice.is_draft(v.version)),
                                         sluice.pipe_find(p_project, p_pipe, p_version)), true);
END
$$;

-- An earlier version is current again.
CREATE OR REPLACE FUNCTION api.pipe_deploy(p_auth bytea, p_project text, p_pipe text, p_version text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'editor');
        v_before text;
        v_row sluice.pipe_version;
BEGIN
        IF p_version IS NULL THEN
                PERFORM sluice.fail(400, 'bad-request', 'Member "version" is missing.');
        END IF;
        PERFORM sluice.after_lock(p_project, v.spec) FROM sluice.pipe_version v WHERE v.project = p_project AND v.pipe = p_pipe AND v.version = p_version;
        SELECT version INTO v_before FROM sluice.pipe WHERE project = p_project AND name = p_pipe FOR NO KEY UPDATE;
        v_row := sluice.pipe_find(p_project, p_pipe, p_version);

        UPDATE sluice.pipe SET version = p_version WHERE project = p_project AND name = p_pipe AND version <> p_version;
        PERFORM sluice.pipe_settle(v_row, v_before, v_token.name);

        RETURN sluice.pipes_written(p_project, jsonb_build_array(
                sluice.pipe_json(v_row, true)::jsonb || jsonb_build_object('created', false, 'changed', v_before IS DISTINCT FROM p_version))) -> 0;
END
$$;

-- Which version was made current when, and by whom; the newest first.
CREATE OR REPLACE FUNCTION api.pipe_history(p_auth bytea, p_project text, p_pipe text, p_limit int, p_after uuid) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_limit int := sluice.page_limit(p_limit);
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');
        PERFORM sluice.pipe_find(p_project, p_pipe, NULL);

        RETURN (SELECT sluice.page(array_agg(x.item ORDER BY x.id DESC), array_agg(x.id::text ORDER BY x.id DESC), v_limit)
                  FROM (SELECT d.id, json_build_object('pipe', d.pipe, 'version', d.version, 'description', v.description,
                                        'deployed_at', sluice.rfc3339(d.deployed_at), 'deployed_by', d.deployed_by) AS item
                          FROM sluice.deployment d
                          JOIN sluice.pipe_version v ON (v.project, v.pipe, v.version) = (d.project, d.pipe, d.version)
                         WHERE d.project = p_project AND d.pipe = p_pipe AND (p_after IS NULL OR d.id < p_after)
                         ORDER BY d.id DESC LIMIT v_limit + 1) x);
END
$$;

CREATE OR REPLACE FUNCTION api.pipe_versions(p_auth bytea, p_project text, p_pipe text) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');
        PERFORM sluice.pipe_find(p_project, p_pipe, NULL);

        RETURN (SELECT json_build_object('items', json_agg(sluice.pipe_json(v, false) ORDER BY v.id DESC), 'next', NULL)
                  FROM sluice.pipe_version v WHERE v.project = p_project AND v.pipe = p_pipe AND NOT sluice.is_draft(v.version));
END
$$;

REVOKE ALL ON FUNCTION api.pipe_put(bytea, text, text, text, jsonb, text), api.pipe_put_many(bytea, text, jsonb), api.pipe_list(bytea, text, int, text),
        api.pipe_get(bytea, text, text, text), api.pipe_versions(bytea, text, text), api.pipe_deploy(bytea, text, text, text),
        api.pipe_history(bytea, text, text, int, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.pipe_put(bytea, text, text, text, jsonb, text), api.pipe_put_many(bytea, text, jsonb), api.pipe_list(bytea, text, int, text),
        api.pipe_get(bytea, text, text, text), api.pipe_versions(bytea, text, text), api.pipe_deploy(bytea, text, text, text),
        api.pipe_history(bytea, text, text, int, uuid) TO sluice_controld;
