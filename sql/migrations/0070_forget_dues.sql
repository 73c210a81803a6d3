-- 0070_forget_dues.sql
-- Why:    what became of due times is history, and goes with the runs of its time.
-- Locks:  sluice.schedule: brief ACCESS EXCLUSIVE, no rewrite; writes to sluice.schedule_due wait while its index is built.
-- Compat: the previous controld calls the same functions.

ALTER TABLE sluice.schedule ADD COLUMN forgotten_at timestamptz; -- due times up to this one may have had runs of which nothing is known any more

CREATE INDEX schedule_due_decided_idx ON sluice.schedule_due (decided_at) WHERE decided_at IS NOT NULL;
