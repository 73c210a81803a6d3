-- 0040_create_streams.sql
-- Why:    streaming pipes: what people want of them is kept, an agent has one of them, and what PID 1 says of it is shown.
-- Locks:  sluice.assignment, sluice.attempt and its partitions ACCESS EXCLUSIVE, for a moment: nothing is rewritten.
-- Compat: the previous controld deploys no streaming pipe, and leaves all of this alone.

-- Whether a pipe shall run, and what became of that.
CREATE TABLE sluice.stream (
        project        text        NOT NULL,
        pipe           text        NOT NULL,
        desired        text        NOT NULL,
        set_by         text        NOT NULL,
        set_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
        run            uuid, -- the one that is to go on
        retiring       uuid, -- the one that it takes the place of, with Overlap=brief
        renew          boolean     NOT NULL DEFAULT false, -- another run is to take the place of this one, whatever its version
        version        text, -- of `run`, or of the last one
        failed_version text, -- has ended by itself, and is not begun again unless somebody says so
        outcome        text, -- of the run that ended last
        note           text, -- what became of it
        note_at        timestamptz,
        tries          int         NOT NULL DEFAULT 0, -- runs in a row that did not last
        again_at       timestamptz, -- when the next one begins
        CONSTRAINT stream_pkey PRIMARY KEY (project, pipe),
        CONSTRAINT stream_pipe_fkey FOREIGN KEY (project, pipe) REFERENCES sluice.pipe (project, name),
        CONSTRAINT stream_desired_known CHECK (desired IN ('running', 'stopped')),
        CONSTRAINT stream_retiring_has_successor CHECK (retiring IS NULL OR run IS NOT NULL)
);

CREATE UNIQUE INDEX stream_run_unique ON sluice.stream (run);
CREATE UNIQUE INDEX stream_retiring_unique ON sluice.stream (retiring);
CREATE INDEX stream_again_idx ON sluice.stream (again_at) WHERE again_at IS NOT NULL;

-- Runs of which the stream has to hear. Who ends a run holds its lock, and that of the stream comes before it: so it is told later.
CREATE TABLE sluice.stream_news (
        run uuid NOT NULL
);

-- One streaming run on an agent, whatever its slots, and besides only the one that it takes the place of.
ALTER TABLE sluice.assignment ADD COLUMN stream_agent uuid, ADD COLUMN retiring boolean NOT NULL DEFAULT false,
        ADD CONSTRAINT assignment_retiring_is_stream CHECK (stream_agent IS NOT NULL OR NOT retiring);
CREATE UNIQUE INDEX assignment_stream_unique ON sluice.assignment (stream_agent, retiring) WHERE stream_agent IS NOT NULL;

-- As PID 1 says, at that time of its host's boot. ready_at: when it was first active, for the database.
ALTER TABLE sluice.attempt ADD COLUMN restarts int8, ADD COLUMN status_text text, ADD COLUMN status_boottime_usec int8, ADD COLUMN ready_at timestamptz;
ALTER TYPE sluice.report ADD ATTRIBUTE restarts int8, ADD ATTRIBUTE status_text text, ADD ATTRIBUTE ready boolean;
