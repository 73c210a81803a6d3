-- 0075_count_pipes.sql
-- Why:    the limit of a pipe counts the runs of all its versions, also of those that have none, or count by a key; and who ends such a run
--         has to know whether another version has one. The first index is of what such a limit has for its subject.
-- Locks:  sluice.live_run: ACCESS EXCLUSIVE while its rows are filled; sluice.demand: SHARE while it is indexed.
-- Compat: the previous controld calls the same functions.

ALTER TABLE sluice.live_run ADD COLUMN pipe text; -- NULL: a trial, which no limit of the pipe counts
UPDATE sluice.live_run l SET pipe = r.pipe FROM sluice.run r WHERE r.id = l.run AND r.version NOT LIKE 'draft-%';

CREATE INDEX live_run_pipe_idx ON sluice.live_run (project, ('pipe ' || pipe));
CREATE INDEX demand_subject_idx ON sluice.demand (project, subject) WHERE subject IS NOT NULL;
