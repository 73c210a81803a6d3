-- 0030_owe_logs.sql
-- Why:    a host may lose its units between the end of an attempt and the end of its log: then the journal is asked for the rest.
-- Locks:  none that anybody waits for; sluice.attempt is read once.
-- Compat: an older controld calls the same functions.

-- Attempts that have ended and whose log has not. recover: their unit is gone.
CREATE TABLE sluice.owed_log (
        instance uuid    NOT NULL,
        attempt  uuid    NOT NULL,
        recover  boolean NOT NULL DEFAULT false,
        CONSTRAINT owed_log_pkey PRIMARY KEY (instance, attempt),
        CONSTRAINT owed_log_instance_fkey FOREIGN KEY (instance) REFERENCES sluice.instance (id) ON DELETE CASCADE
);

INSERT INTO sluice.owed_log (instance, attempt)
SELECT a.instance, a.id FROM sluice.attempt a JOIN sluice.instance i ON i.id = a.instance WHERE a.ended_at IS NOT NULL AND NOT a.log_complete;
