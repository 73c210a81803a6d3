-- Trials: a draft of a pipe runs once, on one agent. It is kept as a version whose name begins with "draft-", which is never current, and
-- in no list of versions. See docs/decisions/0022-trials.md.
SET LOCAL check_function_bodies = off;

CREATE OR REPLACE FUNCTION sluice.is_draft(p_version text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT p_version LIKE 'draft-%' $$;

-- What of a pipe is tried: not where it or one of its tasks runs, when, and how many of it at once. On another agent it is not begun again.
CREATE OR REPLACE FUNCTION sluice.draft_spec(p_spec jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT p_spec - '{concurrency_limit,concurrency_key,concurrency_policy,schedules}'::text[]
               || jsonb_build_object('agent_selector', '[]'::jsonb, 'on_agent_loss', 'fail', 'tasks', (
                        SELECT jsonb_agg(t - '{agent_selector,run_on_all,run_on_all_batch,run_on_all_success}'::text[] ORDER BY n)
                          FROM jsonb_array_elements(p_spec -> 'tasks') WITH ORDINALITY x (t, n)))
$$;

-- Of all instances of the agent, or those with this id or host name, the one that comes nearest to taking this. One that would have to be
-- waited for without knowing for what is refused: whoever tries something looks on.
CREATE OR REPLACE FUNCTION sluice.trial_instance(a sluice.agent, p_instance text, p_demands uuid[]) RETURNS uuid
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v record;
BEGIN
        SELECT i.id, w.code, w.words INTO v
          FROM (SELECT a.id AS agent) one
          LEFT JOIN sluice.instance i ON i.agent = one.agent AND (i.id::text = lower(p_instance) OR i.hostname = p_instance) IS NOT FALSE
          LEFT JOIN sluice.presence p ON p.instance = i.id
         CROSS JOIN LATERAL (
                SELECT j.* FROM sluice.demand d CROSS JOIN LATERAL sluice.candidate_judge(NULL, d, a, i, p.last_seen_at) j
                 WHERE d.id = ANY (p_demands) ORDER BY j.rank DESC LIMIT 1) w
         ORDER BY w.rank, (SELECT count(*) FROM sluice.assignment x WHERE x.instance = i.id) - i.slots, random() LIMIT 1;

        IF v.id IS NULL AND p_instance IS NOT NULL THEN
                PERFORM sluice.fail(404, 'instance-not-found', format('Agent "%s" has no instance "%s".', a.name, left(p_instance, 80)),
                                    format('See its instances, and their hosts: sluicectl agent show %s.', a.name));
        ELSIF v.code NOT IN ('ready', 'slots', 'memory') THEN
                PERFORM sluice.fail(409, 'agent-not-ready', format('Agent "%s" cannot try this now: %s.', a.name,
                                    CASE WHEN v.code = 'too-small' THEN v.words ELSE 'it ' || v.words END),
                                    'Try it on another one: sluicectl agents lists them.');
        END IF;

        RETURN v.id;
END
$$;

-- Of a pipe that need not exist: p_request has its name, what it says, as sluice.pipe_write() takes it, "agent", perhaps "instance", and
-- "parameters".
CREATE OR REPLACE FUNCTION api.trial_create(p_auth bytea, p_project text, p_request jsonb, p_idempotency_key text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'editor'); -- as to deploy it: it runs whatever it says
        v_pipe text := sluice.json_text(p_request, 'pipe', true);
        v_version text := 'draft-' || sluice.json_text(p_request, 'version', true);
        v_spec jsonb := p_request -> 'spec';
        v_run uuid := sluice.uuid_v7();
        v_agent sluice.agent;
        v_instance uuid;
        v_demands uuid[];
        v_before json := sluice.run_before(v_token.id, p_idempotency_key, 'trial ' || md5(p_project || ' ' || p_request::text), v_run);
BEGIN
        IF v_before IS NOT NULL THEN
                RETURN v_before;
        END IF;

        PERFORM sluice.project_check(p_project);
        PERFORM sluice.pipe_check(v_pipe, p_request ->> 'version', v_spec);
        IF v_spec ->> 'type' = 'streaming' THEN
                PERFORM sluice.fail(409, 'streaming-pipe', format('Pipe "%s" is a streaming one: a trial of it would never be over.', v_pipe),
                                    'Try its command in a draft with Type=batch and RuntimeMaxSec=.');
        END IF;
        v_agent := sluice.agent_find(sluice.json_text(p_request, 'agent', true));

        v_spec := sluice.draft_spec(v_spec);
        INSERT INTO sluice.pipe_version AS v (project, pipe, version, type, description, spec, source, created_by, demands, last_trial)
        SELECT p_project, v_pipe, v_version, v_spec ->> 'type', v_spec ->> 'description', v_spec, sluice.json_text(p_request, 'source', false, 1048576),
               v_token.name, sluice.demands_make(p_project, v_pipe, v_spec), v_run
            ON CONFLICT (project, pipe, version) DO UPDATE SET last_trial = greatest(v.last_trial, excluded.last_trial)
        RETURNING demands INTO v_demands;

        v_instance := sluice.trial_instance(v_agent, sluice.json_text(p_request, 'instance'), v_demands);
        PERFORM FROM sluice.instance WHERE id = v_instance FOR NO KEY UPDATE; -- whoever deletes it has done so, or finds this
        IF NOT FOUND THEN
                PERFORM sluice.agent_find(v_agent.id::text);
        END IF;

        PERFORM sluice.runs_insert(ARRAY[v_run], ARRAY[p_project], ARRAY[v_pipe], ARRAY[v_version], ARRAY[v_token.name],
                                   ARRAY[sluice.parameters_layer(p_request -> 'parameters')]);
        UPDATE sluice.run SET instance = v_instance WHERE id = v_run;
        PERFORM sluice.runs_begin(ARRAY[v_run]);

        RETURN (SELECT j.json FROM sluice.runs_json(ARRAY[v_run]) j);
END
$$;

-- Runs that are bound to an agent that is about to be deleted, since they were to be tried there and nowhere else.
CREATE OR REPLACE FUNCTION sluice.trials_on(p_agent uuid) RETURNS uuid[]
LANGUAGE sql STABLE AS $$
        SELECT ARRAY(SELECT r.id
                       FROM (SELECT q.run FROM sluice.queue q UNION SELECT l.run FROM sluice.live_run l) o
                       JOIN sluice.run r ON r.id = o.run
                       JOIN sluice.instance i ON i.id = r.instance
                      WHERE i.agent = p_agent AND sluice.is_draft(r.version) ORDER BY r.id)
$$;

-- Drafts of which no run is left. One that was tried again just now is not forgotten: its row says so.
CREATE OR REPLACE FUNCTION sluice.drafts_forget() RETURNS void
LANGUAGE sql AS $$
        DELETE FROM sluice.pipe_version v
         WHERE sluice.is_draft(v.version) AND v.last_trial < sluice.uuid_v7_floor(now() - interval '1 day')
           AND NOT EXISTS (SELECT FROM sluice.run r WHERE r.id = v.last_trial)
$$;

REVOKE ALL ON FUNCTION api.trial_create(bytea, text, jsonb, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.trial_create(bytea, text, jsonb, text) TO sluice_controld;
