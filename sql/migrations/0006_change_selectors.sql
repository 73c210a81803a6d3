-- 0006_change_selectors.sql
-- Why:    selectors say more than label=value: they are arrays of terms now.
-- Locks:  sluice.queue, sluice.pipe_version: ACCESS EXCLUSIVE, while the rows that have a selector are rewritten.
-- Compat: the previous controld looks into no selector, and api.pipe_put() takes the form that it deploys.
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

ALTER TABLE sluice.queue DROP CONSTRAINT queue_selector_object;
ALTER TABLE sluice.queue ALTER COLUMN selector SET DEFAULT '[]';
UPDATE sluice.queue SET selector = sluice.selector_terms(selector);
ALTER TABLE sluice.queue ADD CONSTRAINT queue_selector_array CHECK (jsonb_typeof(selector) = 'array');

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
