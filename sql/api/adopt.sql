-- A host whose agent has lost its state joins as another instance, and has what the one before it left behind: units, workspaces, a
-- journal. That one never comes back, so what it had becomes the new one's. What proves that it is the same host is a unit of an
-- attempt of the other's, in the boot in which the other had it; a copied disk has neither.
SET LOCAL check_function_bodies = off;

-- The instances in whose place p_instance is: of its agent, not there, of this boot, and one of whose units it lists.
CREATE OR REPLACE FUNCTION sluice.instances_before(p_instance uuid, p_boot text, p_request jsonb) RETURNS uuid[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
        RETURN ARRAY(
                SELECT DISTINCT i.id
                  FROM sluice.known_parse(p_request) k
                  JOIN sluice.assignment x ON x.attempt = k.attempt AND x.epoch = k.epoch
                  JOIN sluice.instance i ON i.id = x.instance
                  JOIN sluice.instance n ON n.agent = i.agent AND n.id <> i.id
                  LEFT JOIN sluice.presence p ON p.instance = i.id
                 WHERE n.id = p_instance AND i.boot = p_boot AND i.quarantined_at IS NULL
                   AND (i.goodbye_at IS NOT NULL OR i.broke_at IS NOT NULL OR p.last_seen_at <= clock_timestamp() - sluice.lease()));
END
$$;

-- At the first sync of an instance, before anything was assigned to it.
CREATE OR REPLACE FUNCTION sluice.assignments_adopt(p_instance uuid, p_boot text, p_request jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        v_before uuid[] := sluice.instances_before(p_instance, p_boot, p_request);
        v_attempts uuid[];
        v_runs uuid[];
BEGIN
        IF v_before = '{}' THEN
                RETURN;
        END IF;

        v_runs := ARRAY(SELECT x.run FROM sluice.assignment x WHERE x.instance = ANY (v_before)
                        UNION SELECT q.run FROM sluice.queue q WHERE q.instance = ANY (v_before)
                        UNION SELECT r.id FROM sluice.live_run l JOIN sluice.run r ON r.id = l.run WHERE r.instance = ANY (v_before) -- a retry is due later
                        UNION SELECT a.run FROM sluice.owed_log o JOIN sluice.attempt a ON a.id = o.attempt WHERE o.instance = ANY (v_before));
        PERFORM FROM sluice.run r WHERE r.id = ANY (v_runs) ORDER BY r.id FOR NO KEY UPDATE;
        PERFORM FROM sluice.instance i WHERE i.id = ANY (v_before || p_instance) ORDER BY i.id FOR NO KEY UPDATE;

        WITH moved AS (
                UPDATE sluice.assignment x SET instance = p_instance, seat = s.seat
                  FROM (SELECT y.attempt, row_number() OVER (ORDER BY y.attempt) - 1 AS seat
                          FROM sluice.assignment y WHERE y.instance = ANY (v_before)) s
                 WHERE x.attempt = s.attempt
                RETURNING x.attempt
        ), owed AS (
                UPDATE sluice.owed_log o SET instance = p_instance WHERE o.instance = ANY (v_before) RETURNING o.attempt
        )
        SELECT ARRAY(SELECT m.attempt FROM moved m UNION SELECT o.attempt FROM owed o) INTO v_attempts;

        UPDATE sluice.attempt SET instance = p_instance WHERE id = ANY (v_attempts);
        UPDATE sluice.run SET instance = p_instance, revision = revision + 1 WHERE id = ANY (v_runs) AND instance = ANY (v_before);
        UPDATE sluice.queue SET instance = p_instance WHERE instance = ANY (v_before);
        UPDATE sluice.task SET instance = p_instance WHERE run = ANY (v_runs) AND instance = ANY (v_before);
        DELETE FROM sluice.cleanup c USING sluice.cleanup o
         WHERE c.instance = ANY (v_before) AND o.instance = ANY (v_before) AND o.run = c.run AND o.instance < c.instance; -- it is one host, and has it once
        UPDATE sluice.cleanup SET instance = p_instance, offered_at = NULL WHERE instance = ANY (v_before);
        DELETE FROM sluice.idle WHERE instance = ANY (v_before);
        UPDATE sluice.instance
           SET goodbye_at = coalesce(goodbye_at, clock_timestamp()),
               goodbye_reason = format('instance %s has joined in its place on this host, and has what it had', p_instance)
         WHERE id = ANY (v_before);

        PERFORM sluice.runs_tell(v_runs);
END
$$;
