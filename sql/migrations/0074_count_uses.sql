-- 0074_count_uses.sql
-- Why:    a key that may be used so often is used up also when the agents that enrolled with it are deleted.
-- Locks:  sluice.key: ACCESS EXCLUSIVE while its instances are counted.
-- Compat: the previous controld calls the same functions.

ALTER TABLE sluice.key ADD COLUMN uses int NOT NULL DEFAULT 0;

-- Of those that were deleted before nothing is known.
UPDATE sluice.key k SET uses = (SELECT count(*) FROM sluice.instance i WHERE i.key = k.id);
