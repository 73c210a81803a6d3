-- 0032_note_stuck.sql
-- Why:    a process that PID 1 cannot kill keeps its slot, and its agent is degraded until it is gone.
-- Locks:  sluice.assignment: brief ACCESS EXCLUSIVE, no rewrite.
-- Compat: an older controld calls the same functions.
ALTER TABLE sluice.assignment ADD COLUMN stuck_at timestamptz, ADD COLUMN stuck_reason text;
