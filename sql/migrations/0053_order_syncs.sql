-- 0053_order_syncs.sql
-- Why:    a sync that was on its way for long must not take back what a later one has said, such as that the agent drains.
-- Locks:  sluice.instance ACCESS EXCLUSIVE, for a moment: a column with a constant default rewrites nothing.
-- Compat: the previous controld calls the same functions; agents that do not number their syncs are heard as before.

ALTER TABLE sluice.instance ADD COLUMN sync_sequence int8 NOT NULL DEFAULT 0; -- of the sync of its session that said what stands here
