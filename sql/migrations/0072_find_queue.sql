-- 0072_find_queue.sql
-- Why:    whether anything waits is asked by each call of an agent, and while somebody holds an old snapshot (a dump, a report) all rows that ever
--         left the queue since are in the way. Who queued a row says from where on there can be any.
-- Locks:  sluice.queue: ACCESS EXCLUSIVE while it is rewritten.
-- Compat: the previous controld leaves the column alone.

ALTER TABLE sluice.queue ADD COLUMN queued_by xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX queue_queued_by_idx ON sluice.queue (queued_by);
