-- 0051_date_sessions.sql
-- Why:    a connection that broke says nothing about a session that began later.
-- Locks:  sluice.instance ACCESS EXCLUSIVE, for a moment: a column without a default rewrites nothing.
-- Compat: the previous controld calls the same functions.

ALTER TABLE sluice.instance ADD COLUMN session_since timestamptz;
