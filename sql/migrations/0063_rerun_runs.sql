-- 0063_rerun_runs.sql
-- Why:    a run that is over can be done again, without the tasks that need not be.
-- Locks:  sluice.run and sluice.task: brief ACCESS EXCLUSIVE, no rewrite.
-- Compat: the previous controld calls the same functions, and reruns nothing.

ALTER TABLE sluice.run  ADD COLUMN rerun_of uuid;
ALTER TABLE sluice.task
        ADD COLUMN passed_over text, -- why it is not executed in this run; those after it may begin all the same
        ADD COLUMN output      jsonb; -- what it left then: key: text
