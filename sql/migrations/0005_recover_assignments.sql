-- 0005_recover_assignments.sql
-- Why:    after a reboot, or when a unit is gone, the host's journal may know how an attempt ended: its agent is asked.
-- Locks:  sluice.assignment ACCESS EXCLUSIVE, for a moment: a constant default rewrites nothing.
-- Compat: an older controld leaves the column as it is; what it would ask for is asked for by the next one.

ALTER TABLE sluice.assignment ADD COLUMN recover boolean NOT NULL DEFAULT false;
