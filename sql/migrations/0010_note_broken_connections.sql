-- 0010_note_broken_connections.sql
-- Why:    an agent whose waiting connection broke is Unknown after seconds, not when its lease is over; and silence counts
--         only as long as somebody listened.
-- Locks:  sluice.instance: brief ACCESS EXCLUSIVE, no rewrite.
-- Compat: the previous controld notes no broken connection, and the functions work without.
ALTER TABLE sluice.instance ADD COLUMN broke_at timestamptz;

-- Since when controld has been there without a gap, when it was there before, and when it last said so: one row.
CREATE TABLE sluice.attendance (
        one     boolean     NOT NULL DEFAULT true,
        before  timestamptz NOT NULL,
        since   timestamptz NOT NULL,
        last_at timestamptz NOT NULL,
        CONSTRAINT attendance_pkey PRIMARY KEY (one),
        CONSTRAINT attendance_is_one CHECK (one)
);

INSERT INTO sluice.attendance (before, since, last_at) VALUES ('-infinity', '-infinity', now());

DROP FUNCTION IF EXISTS sluice.instance_status(timestamptz, timestamptz); -- takes the instance now
