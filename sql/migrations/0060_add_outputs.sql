-- 0060_add_outputs.sql
-- Why:    what a task leaves in $SLUICE_OUTPUT is kept with its attempt, and given to later tasks.
-- Locks:  sluice.attempt: brief ACCESS EXCLUSIVE, no rewrite.
-- Compat: the previous controld calls the same functions.

ALTER TABLE sluice.attempt ADD COLUMN output jsonb; -- key: text

ALTER TYPE sluice.report ADD ATTRIBUTE output jsonb;
