-- 0073_keep_refusals.sql
-- Why:    sluicectl explain says why an agent could not take what waits, and not only that it could not.
-- Locks:  sluice.queue: ACCESS EXCLUSIVE, for a moment.
-- Compat: the previous controld leaves the column alone.

ALTER TABLE sluice.queue ADD COLUMN avoid_reason text;
