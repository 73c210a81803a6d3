-- 0007_extend_dispatch.sql
-- Why:    selectors say more than label=value; attempts ask for memory, runs have priorities and limits; and dispatch finds
--         what waits, and who could take it, without reading the whole queue or the whole fleet.
-- Locks:  sluice.queue, sluice.pipe_version, sluice.assignment: ACCESS EXCLUSIVE, while pipe_version and queue are rewritten.
-- Compat: the previous controld reads none of this, and api.pipe_put() takes the selectors that it deploys.
--
-- Versions keep their names: what a version is called is a hash that does not depend on the form of its selector.

-- A selector of labels and values, as the first release wrote it, as terms.
CREATE FUNCTION sluice.selector_terms(p_selector jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE jsonb_typeof(p_selector)
               WHEN 'array' THEN p_selector
               WHEN 'object' THEN coalesce((
                        SELECT jsonb_agg(jsonb_build_object(
                                        'key', key, 'operator', CASE value WHEN 'null' THEN 'exists' ELSE 'in' END,
                                        'values', CASE value WHEN 'null' THEN '[]' ELSE jsonb_build_array(value) END)
                                ORDER BY key COLLATE "C")
                          FROM jsonb_each(p_selector)), '[]')
               ELSE '[]' END
$$;

UPDATE sluice.pipe_version
   SET spec = spec || jsonb_build_object('agent_selector', sluice.selector_terms(spec -> 'agent_selector'));

-- A selector as a condition on labels, which PostgreSQL evaluates in C and can look up in the index below. A label that is
-- not there is none of the values, so notin holds.
CREATE FUNCTION sluice.selector_path(p_selector jsonb) RETURNS jsonpath
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT coalesce(string_agg(CASE t ->> 'operator'
                        WHEN 'in' THEN '(' || o.one_of || ')'
                        WHEN 'notin' THEN '!(' || o.one_of || ')'
                        WHEN 'exists' THEN 'exists(' || o.label || ')'
                        WHEN 'absent' THEN '!exists(' || o.label || ')' END, ' && '), 'true')::jsonpath
          FROM jsonb_array_elements(p_selector) t
         CROSS JOIN LATERAL (
                SELECT '$.' || (t -> 'key')::text AS label,
                       string_agg('$.' || (t -> 'key')::text || ' == ' || v::text, ' || ') AS one_of
                  FROM jsonb_array_elements(t -> 'values') v) o
$$;

CREATE FUNCTION sluice.selector_matches(p_labels jsonb, p_selector jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT p_labels @@ sluice.selector_path(p_selector)
$$;

CREATE INDEX agent_labels_idx ON sluice.agent USING gin (labels) WITH (fastupdate = off);

-- What attempts ask for. Many want the same, so the queue names a demand, and what can be done for one of them can be done for
-- all. The id is a hash of the rest; rows are made with the versions of pipes, and stay.
CREATE TABLE sluice.demand (
        id               uuid     NOT NULL,
        project          text     NOT NULL,
        type             text     NOT NULL,
        selector         jsonb    NOT NULL,
        path             jsonpath NOT NULL, -- the selector, compiled
        memory_bytes     int8, -- MemoryMax=
        memory_permyriad int, -- or so much of the host's
        subject          text, -- whose runs count together against the limit: `pipe NAME` or `key NAME`
        subject_limit    int,
        CONSTRAINT demand_pkey PRIMARY KEY (id),
        CONSTRAINT demand_memory_once CHECK (num_nonnulls(memory_bytes, memory_permyriad) < 2),
        CONSTRAINT demand_limit_has_subject CHECK ((subject IS NULL) = (subject_limit IS NULL))
);

-- systemd's sizes: 512M, 1.5G, 50%, infinity.
CREATE FUNCTION sluice.memory_parse(p_text text, OUT bytes int8, OUT permyriad int)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE WHEN m[1] IS NOT NULL AND m[2] <> '%'
                    THEN least(trunc(m[1]::numeric * 1024::numeric ^ (strpos('KMGTPE', m[2]) * (m[2] <> '')::int)), 2::numeric ^ 62)::int8 END,
               CASE WHEN m[2] = '%' THEN round(least(m[1]::numeric, 100) * 100)::int END
          FROM (SELECT regexp_match(p_text, '^([0-9]+(?:\.[0-9]+)?)([KMGTPE%]?)$') AS m) s
$$;

CREATE FUNCTION sluice.demand_make(p_project text, p_pipe text, p_spec jsonb, p_task jsonb) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
        v sluice.demand;
BEGIN
        v.project := p_project;
        v.type := p_spec ->> 'type';
        v.selector := sluice.selector_terms(p_spec -> 'agent_selector');
        v.path := sluice.selector_path(v.selector);
        v.subject_limit := coalesce((p_spec ->> 'concurrency_limit')::int, CASE WHEN p_spec ->> 'concurrency_key' IS NOT NULL THEN 1 END);
        v.subject := CASE WHEN v.subject_limit IS NOT NULL
                          THEN coalesce('key ' || (p_spec ->> 'concurrency_key'), 'pipe ' || p_pipe) END;
        SELECT m.bytes, m.permyriad INTO v.memory_bytes, v.memory_permyriad
          FROM jsonb_array_elements(p_task -> 'directives') WITH ORDINALITY d (pair, n)
         CROSS JOIN sluice.memory_parse(d.pair ->> 1) m
         WHERE d.pair ->> 0 = 'MemoryMax' ORDER BY d.n DESC LIMIT 1;
        v.id := md5(jsonb_build_array(v.project, v.type, v.selector, v.memory_bytes, v.memory_permyriad, v.subject, v.subject_limit)::text)::uuid;

        INSERT INTO sluice.demand SELECT v.* ON CONFLICT DO NOTHING;
        RETURN v.id;
END
$$;

ALTER TABLE sluice.pipe_version ADD COLUMN demands uuid[] NOT NULL DEFAULT '{}'; -- of its tasks, by position
UPDATE sluice.pipe_version v
   SET demands = ARRAY(SELECT sluice.demand_make(v.project, v.pipe, v.spec, t)
                         FROM jsonb_array_elements(v.spec -> 'tasks') WITH ORDINALITY x (t, n) ORDER BY n);

ALTER TABLE sluice.queue ADD COLUMN demand uuid, ADD COLUMN priority int NOT NULL DEFAULT 0;
UPDATE sluice.queue q SET demand = v.demands[t.position + 1]
  FROM sluice.attempt a, sluice.task t, sluice.run r, sluice.pipe_version v
 WHERE a.id = q.attempt AND t.run = q.run AND t.name = a.task AND r.id = q.run
   AND (v.project, v.pipe, v.version) = (r.project, r.pipe, r.version);
ALTER TABLE sluice.queue ALTER COLUMN demand SET NOT NULL, DROP COLUMN type, DROP COLUMN selector; -- and queue_selector_idx
DROP INDEX sluice.queue_instance_idx;
CREATE INDEX queue_instance_idx ON sluice.queue (instance, priority DESC, attempt) WHERE instance IS NOT NULL;
CREATE INDEX queue_demand_idx ON sluice.queue (demand, priority DESC, attempt) WHERE instance IS NULL;

-- What the attempt may use of its host: declared memory is given out as seats are.
ALTER TABLE sluice.assignment ADD COLUMN memory_bytes int8 NOT NULL DEFAULT 0;

ALTER TABLE sluice.project ADD COLUMN concurrency_limit int,
        ADD CONSTRAINT project_concurrency_limit_positive CHECK (concurrency_limit > 0);

-- The runs that have begun, or are about to, and have not ended: what limits count.
CREATE TABLE sluice.live_run (
        run     uuid NOT NULL,
        project text NOT NULL,
        subject text,
        CONSTRAINT live_run_pkey PRIMARY KEY (run)
);

CREATE INDEX live_run_subject_idx ON sluice.live_run (project, subject);

INSERT INTO sluice.live_run (run, project)
SELECT r.id, r.project FROM sluice.run r
 WHERE r.id IN (SELECT run FROM sluice.assignment UNION SELECT run FROM sluice.queue WHERE instance IS NOT NULL);

-- A hint: this instance had room that nobody wanted. Who looks for room looks here and then, under the lock of the instance,
-- at its assignments. spot puts the rows in an order that means nothing, to take some of them.
CREATE TABLE sluice.idle (
        instance uuid   NOT NULL,
        spot     float8 NOT NULL DEFAULT random(),
        CONSTRAINT idle_pkey PRIMARY KEY (instance),
        CONSTRAINT idle_instance_fkey FOREIGN KEY (instance) REFERENCES sluice.instance (id) ON DELETE CASCADE
);

CREATE INDEX idle_spot_idx ON sluice.idle (spot);
