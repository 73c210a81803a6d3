-- 0008_watch_contact.sql
-- Why:    to give up what is on an instance that is not heard of, it must be known how long it stands by it (SelfFenceSec=),
--         and since when the database's idea of "not heard of" means something.
-- Locks:  sluice.instance ACCESS EXCLUSIVE, for a moment: a column without a default rewrites nothing.
-- Compat: an older controld does not look at either; agents that say no SelfFenceSec= are waited for.

ALTER TABLE sluice.instance ADD COLUMN self_fence_sec int,
        ADD CONSTRAINT instance_self_fence_positive CHECK (self_fence_sec > 0);

-- One row. A stand-still of the control plane, another server, or a clock that jumped say nothing about agents: whoever was not
-- heard of before trusted_since is given until a whole grace after it.
CREATE TABLE sluice.watch (
        one           boolean     NOT NULL DEFAULT true,
        looked_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
        server_since  timestamptz NOT NULL DEFAULT pg_postmaster_start_time(),
        trusted_since timestamptz NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT watch_pkey PRIMARY KEY (one),
        CONSTRAINT watch_is_one_row CHECK (one)
);

INSERT INTO sluice.watch DEFAULT VALUES;
