-- What the fleet says to a pipe before it is deployed: who could take it, with which values, and whether it is new. It changes nothing.
SET LOCAL check_function_bodies = off;

-- What of p_needs, [{"directive", "since"}], a host with this version of systemd does not know, in words; NULL when it knows all.
CREATE OR REPLACE FUNCTION sluice.systemd_objection(p_needs jsonb, p_systemd text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_version int := substring(p_systemd FROM '^[^0-9]*([0-9]{1,6})');
        v_missing text[] := ARRAY(SELECT format('%s= (since %s)', n ->> 'directive', n ->> 'since') FROM jsonb_array_elements(p_needs) n
                                   WHERE (n ->> 'since')::int > v_version ORDER BY (n ->> 'since')::int DESC, n ->> 'directive');
BEGIN
        RETURN CASE WHEN v_missing <> '{}'
                    THEN format('its systemd %s is too old for %s%s', v_version, array_to_string(v_missing[1:4], ', '),
                                CASE WHEN cardinality(v_missing) > 4 THEN format(' and %s more', cardinality(v_missing) - 4) END) END;
END
$$;

-- What keeps this instance (NULL: an agent that has none) from a run that asks for all of p_demands: of several reasons the one that lasts
-- longest. p_systemd: what sluice.systemd_objection() says of it.
CREATE OR REPLACE FUNCTION sluice.placement_judge(p_demands sluice.demand[], a sluice.agent, i sluice.instance, p_seen timestamptz, p_systemd text,
                                                  OUT code text, OUT words text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
        SELECT j.code, j.words INTO code, words
          FROM unnest(p_demands) d CROSS JOIN LATERAL sluice.candidate_judge(NULL, d, a, i, p_seen) j ORDER BY j.rank DESC LIMIT 1;
        IF p_systemd IS NOT NULL AND code NOT IN ('labels', 'type') THEN
                code := 'systemd';
                words := p_systemd;
        END IF;
END
$$;

-- The values that a run would have, without any of its own, and what is wrong with those of the project and of schedules. What is required
-- is marked: a run says it.
CREATE OR REPLACE FUNCTION sluice.verify_parameters(p_spec jsonb, p_project text, OUT parameters jsonb, OUT errors text[])
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_project jsonb := (SELECT j.parameters FROM sluice.project j WHERE j.name = p_project);
        v_rules jsonb := coalesce(p_spec -> 'parameters', '[]');
        v_schedule jsonb;
        v_said text[];
BEGIN
        SELECT r.parameters, r.errors INTO parameters, errors
          FROM sluice.parameters_resolve(p_spec || jsonb_build_object('parameters', (SELECT coalesce(jsonb_agg(e - 'required' ORDER BY n), '[]')
                                                  FROM jsonb_array_elements(v_rules) WITH ORDINALITY x (e, n))), v_project, NULL) r;
        SELECT coalesce(jsonb_agg(v || jsonb_build_object('required', coalesce(r ->> 'required' = 'true', false)) ORDER BY n), '[]') INTO parameters
          FROM jsonb_array_elements(parameters) WITH ORDINALITY x (v, n)
          JOIN jsonb_array_elements(v_rules) r ON r ->> 'name' = v ->> 'name';

        FOR v_schedule IN SELECT value FROM jsonb_array_elements(coalesce(p_spec -> 'schedules', '[]')) LOOP
                v_said := (sluice.parameters_resolve(p_spec, v_project, jsonb_build_object(
                                'at', now(), 'zone', v_schedule -> 'time_zone', 'schedule', sluice.schedule_values(v_schedule)))).errors;
                errors := errors || ARRAY(SELECT format('Schedule "%s": %s', v_schedule ->> 'name', replace(e, 'say --param ', 'say Parameter='))
                                            FROM unnest(v_said) e WHERE e <> ALL (errors));
        END LOOP;
END
$$;

-- Tasks that are placed by themselves, and how many agents suit each.
CREATE OR REPLACE FUNCTION sluice.verify_apart(p_project text, p_pipe text, p_spec jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
        RETURN (SELECT coalesce(jsonb_agg(jsonb_build_object('task', t.value ->> 'name', 'agents', (
                                SELECT count(*) FROM sluice.agent a WHERE a.type = d.type AND a.labels @@ d.path)) ORDER BY t.n), '[]')
                  FROM jsonb_array_elements(p_spec -> 'tasks') WITH ORDINALITY t (value, n)
                 CROSS JOIN LATERAL sluice.demand_of(p_project, p_pipe, p_spec, t.value) d
                 WHERE sluice.task_is_apart(t.value));
END
$$;

-- p_request has "pipe", "version", "spec", and "needs", the directives that are younger than the oldest systemd. The page: agents that suit
-- first, then by name; the summary is of all of them, and comes with the first page. They are judged by the tasks that share a host, or, when there
-- are none, by those that do not.
CREATE OR REPLACE FUNCTION api.pipe_verify(p_auth bytea, p_project text, p_request jsonb, p_agent text, p_limit int, p_after text) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp SET jit = off AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'viewer');
        v_limit int := sluice.page_limit(p_limit);
        v_pipe text := sluice.json_text(p_request, 'pipe', true);
        v_version text := sluice.json_text(p_request, 'version', true);
        v_spec jsonb := p_request -> 'spec';
        v_agent uuid := CASE WHEN p_agent IS NOT NULL THEN (sluice.agent_find(p_agent)).id END;
        v_current text;
        v_shared jsonb;
        v_demands sluice.demand[];
        v_answer jsonb;
BEGIN
        PERFORM sluice.project_check(p_project);
        PERFORM sluice.pipe_check(v_pipe, v_version, v_spec);

        v_shared := coalesce((SELECT jsonb_agg(t) FROM jsonb_array_elements(v_spec -> 'tasks') t WHERE NOT sluice.task_is_apart(t)), v_spec -> 'tasks');
        -- Of tasks that want the same but for memory, the one that wants most decides.
        v_demands := ARRAY(SELECT x.d FROM (
                SELECT DISTINCT ON (d.selector, d.memory_permyriad IS NULL) d
                  FROM jsonb_array_elements(v_shared) t CROSS JOIN LATERAL sluice.demand_of(p_project, v_pipe, v_spec, t) d
                 ORDER BY d.selector, d.memory_permyriad IS NULL, d.memory_bytes DESC NULLS LAST, d.memory_permyriad DESC NULLS LAST) x);
        SELECT p.version INTO v_current FROM sluice.pipe p WHERE p.project = p_project AND p.name = v_pipe;
        SELECT jsonb_build_object('pipe', v_pipe, 'version', v_version, 'current', v_current,
                                  'known', EXISTS (SELECT FROM sluice.pipe_version v WHERE (v.project, v.pipe, v.version) = (p_project, v_pipe, v_version)),
                                  'parameters', r.parameters, 'apart', a.list,
                                  'errors', r.errors || ARRAY(SELECT format('Task "%s": no agent suits it.', e ->> 'task') FROM jsonb_array_elements(a.list) e
                                                               WHERE e -> 'agents' = '0'))
          INTO v_answer FROM sluice.verify_parameters(v_spec, p_project) r CROSS JOIN sluice.verify_apart(p_project, v_pipe, v_spec) a (list);

        RETURN (WITH version AS MATERIALIZED (
                SELECT v.systemd, sluice.systemd_objection(p_request -> 'needs', v.systemd) AS words FROM (SELECT DISTINCT systemd FROM sluice.instance) v
        ), placement AS MATERIALIZED ( -- those that do not suit are looked at only when they are shown
                SELECT a, i, p.last_seen_at AS seen, v.words AS systemd, s.suits, concat_ws('/', CASE WHEN s.suits THEN 0 ELSE 1 END, a.name, i.id) COLLATE "C" AS key
                  FROM sluice.agent a
                  LEFT JOIN sluice.instance i ON i.agent = a.id
                  LEFT JOIN sluice.presence p ON p.instance = i.id
                  LEFT JOIN version v ON v.systemd = i.systemd
                 CROSS JOIN LATERAL (SELECT bool_and(a.type = d.type AND a.labels @@ d.path) AS suits FROM unnest(v_demands) d) s
                 WHERE v_agent IS NULL OR a.id = v_agent
        ), page AS (
                SELECT jsonb_build_object('agent', (p.a).name, 'agent_id', (p.a).id, 'instance', (p.i).id, 'hostname', (p.i).hostname,
                                          'systemd', (p.i).systemd, 'code', j.code, 'verdict', j.words)::json AS item, p.key
                  FROM (SELECT * FROM placement p WHERE p_after IS NULL OR p.key > p_after COLLATE "C" ORDER BY p.key LIMIT v_limit + 1) p
                 CROSS JOIN LATERAL sluice.placement_judge(v_demands, p.a, p.i, p.seen, p.systemd) j
        ), summary AS (
                SELECT j.code, count(DISTINCT (p.a).id) AS agents, count((p.i).id) AS instances, min((p.a).name) AS example,
                       j.code IN ('too-small', 'systemd', 'unsuited') AS never
                  FROM placement p
                 CROSS JOIN LATERAL (SELECT CASE WHEN p.suits THEN (sluice.placement_judge(v_demands, p.a, p.i, p.seen, p.systemd)).code ELSE 'unsuited' END AS code) j
                 WHERE p_after IS NULL GROUP BY j.code
        )
        SELECT (v_answer || CASE WHEN p_after IS NULL THEN (
                        SELECT jsonb_build_object('possible', coalesce(bool_or(NOT s.never), false),
                                                  'summary', coalesce(jsonb_agg(to_jsonb(s) ORDER BY s.never, s.instances DESC, s.code), '[]')) FROM summary s) ELSE '{}' END
                || (SELECT sluice.page(array_agg(g.item ORDER BY g.key), array_agg(g.key::text ORDER BY g.key), v_limit) FROM page g)::jsonb)::json);
END
$$;

REVOKE ALL ON FUNCTION api.pipe_verify(bytea, text, jsonb, text, int, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.pipe_verify(bytea, text, jsonb, text, int, text) TO sluice_controld;
