-- 0009_flag_agents.sql
-- Why:    people pause agents and drain them, with a reason; what a drain interrupts is not cancelled.
-- Locks:  sluice.assignment ACCESS EXCLUSIVE, for a moment: a constant default rewrites nothing.
-- Compat: an older controld goes on to give work to agents that are flagged.

CREATE TABLE sluice.agent_flag (
        agent        uuid        NOT NULL,
        flag         text        NOT NULL,
        reason       text,
        set_by       text        NOT NULL,
        since        timestamptz NOT NULL DEFAULT clock_timestamp(),
        deadline_at  timestamptz, -- of a drain: what runs then is stopped
        escalated_at timestamptz,
        CONSTRAINT agent_flag_pkey PRIMARY KEY (agent, flag),
        CONSTRAINT agent_flag_agent_fkey FOREIGN KEY (agent) REFERENCES sluice.agent (id) ON DELETE CASCADE,
        CONSTRAINT agent_flag_known CHECK (flag IN ('paused', 'draining')),
        CONSTRAINT agent_flag_deadline_of_drain CHECK (deadline_at IS NULL OR flag = 'draining')
);

ALTER TABLE sluice.assignment ADD COLUMN interrupt boolean NOT NULL DEFAULT false;
