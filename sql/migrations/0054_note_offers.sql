-- 0054_note_offers.sql
-- Why:    what may begin only once was lost when its agent died before it was told of it.
-- Locks:  sluice.assignment ACCESS EXCLUSIVE, for a moment: a column with a constant default rewrites nothing.
-- Compat: the previous controld calls the same functions. What is assigned now may have been offered.

ALTER TABLE sluice.assignment ADD COLUMN offered boolean NOT NULL DEFAULT false; -- in an answer; noted with Delivery=at-most-once
UPDATE sluice.assignment SET offered = true;
