-- 0066_follow_pipes.sql
-- Why:    a pipe runs when a run of another one ends.
-- Locks:  sluice.schedule, sluice.schedule_due: brief ACCESS EXCLUSIVE; one look at each schedule. The new index has no rows yet.
-- Compat: the previous controld calls the same functions; schedules of this kind it refuses.

-- What the current versions of pipes say. The cause need not be there yet.
CREATE TABLE sluice.pipe_after (
        schedule uuid NOT NULL,
        cause    text NOT NULL,
        outcome  text NOT NULL,
        project  text NOT NULL,
        pipe     text NOT NULL,
        CONSTRAINT pipe_after_pkey PRIMARY KEY (schedule, cause, outcome),
        CONSTRAINT pipe_after_schedule_fkey FOREIGN KEY (schedule) REFERENCES sluice.schedule (id),
        CONSTRAINT pipe_after_outcome_known CHECK (outcome IN ('success', 'failure', 'any'))
);

CREATE INDEX pipe_after_cause_idx ON sluice.pipe_after (project, cause);
CREATE INDEX pipe_after_pipe_idx ON sluice.pipe_after (project, pipe);

-- What no clock makes due is never looked at.
ALTER TABLE sluice.schedule
        DROP CONSTRAINT schedule_looked_at_or_removed,
        ADD CONSTRAINT schedule_removed_not_looked_at CHECK (look_at IS NULL OR removed_at IS NULL);

ALTER TABLE sluice.schedule_due ADD COLUMN cause uuid; -- the run whose end it is
CREATE UNIQUE INDEX schedule_due_cause_unique ON sluice.schedule_due (cause, schedule) WHERE cause IS NOT NULL;
