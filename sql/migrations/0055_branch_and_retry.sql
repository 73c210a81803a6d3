-- 0055_branch_and_retry.sql
-- Why:    a task may come after the failure of others, or after their end whatever it was; and a task that failed may be tried again.
-- Locks:  sluice.task: brief ACCESS EXCLUSIVE, no rewrite; then writes wait while its partial index is built from nothing.
-- Compat: the previous controld calls the same functions, and deploys pipes without these words.

ALTER TABLE sluice.task
        ADD COLUMN after_failure text[] NOT NULL DEFAULT '{}',
        ADD COLUMN after_any     text[] NOT NULL DEFAULT '{}',
        ADD COLUMN retry_at      timestamptz; -- it waits for the next try, not for other tasks

CREATE INDEX task_retry_idx ON sluice.task (retry_at) WHERE retry_at IS NOT NULL;
