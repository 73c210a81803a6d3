-- 0021_create_many_runs.sql
-- Why:    one request may make many runs, and repeated with its key it is answered with the same.
-- Locks:  sluice.idempotency ACCESS EXCLUSIVE, for a moment: a column without a default rewrites nothing.
-- Compat: the previous controld makes one run for each request, and leaves the column alone.

ALTER TABLE sluice.idempotency ADD COLUMN runs uuid[]; -- of a request for many; `run` is the first of them
