-- 0064_place_tasks_apart.sql
-- Why:    a task with AgentSelector= goes to an instance of its own and has no workspace; the others of its run go on sharing theirs.
-- Locks:  sluice.task and sluice.queue: brief ACCESS EXCLUSIVE, no rewrite.
-- Compat: the previous controld calls the same functions, and deploys no such task.

ALTER TABLE sluice.task  ADD COLUMN apart boolean NOT NULL DEFAULT false; -- placed by itself
ALTER TABLE sluice.queue ADD COLUMN apart boolean NOT NULL DEFAULT false; -- as its task
