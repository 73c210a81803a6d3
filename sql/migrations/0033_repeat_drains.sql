-- 0033_repeat_drains.sql
-- Why:    a request to drain that is made again in the same words shall not move the deadline, so the words are kept.
-- Locks:  sluice.agent_flag ACCESS EXCLUSIVE, for a moment: a column without a default rewrites nothing.
-- Compat: the previous controld leaves the column alone, and moves the deadline.

ALTER TABLE sluice.agent_flag ADD COLUMN deadline_sec int;
