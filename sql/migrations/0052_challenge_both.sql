-- 0052_challenge_both.sql
-- Why:    a session that wants to take the place of another may be dead itself, killed before its request arrived. Only when both
--         have shown that they are alive is a machine taken for copied.
-- Locks:  sluice.instance ACCESS EXCLUSIVE, for a moment: columns with constant defaults rewrite nothing.
-- Compat: the previous controld calls the same functions.

ALTER TABLE sluice.instance
        ADD COLUMN rival_alive  boolean NOT NULL DEFAULT false, -- after it was challenged with the one before it
        ADD COLUMN before_alive boolean NOT NULL DEFAULT false; -- that one, after it was challenged with the rival
