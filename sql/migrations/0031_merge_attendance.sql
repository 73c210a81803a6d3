-- 0031_merge_attendance.sql
-- Why:    when somebody was there to hear agents was noted twice, for their status and for their work, by rules that differed.
-- Locks:  sluice.attendance, sluice.watch: brief ACCESS EXCLUSIVE; each is one row.
-- Compat: an older controld calls the same functions.

-- Of which start of which server last_at is: another one's clock and memory may be others.
ALTER TABLE sluice.attendance ADD COLUMN server_since timestamptz NOT NULL DEFAULT pg_postmaster_start_time();

DROP FUNCTION IF EXISTS sluice.watch_trust();
DROP TABLE sluice.watch;
