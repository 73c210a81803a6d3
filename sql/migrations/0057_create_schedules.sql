-- 0057_create_schedules.sql
-- Why:    pipes run at their times: what is due when, and for each due time its run or why there is none.
-- Locks:  sluice.run: brief ACCESS EXCLUSIVE, no rewrite. The rest is new.
-- Compat: the previous controld calls the same functions; schedules wait for one that looks after them, and it accepts no new ones.

-- What the current version of a pipe says, and what people have done about it since. One that is gone from the pipe keeps its row, and
-- with it what became of it.
CREATE TABLE sluice.schedule (
        id           uuid        NOT NULL DEFAULT sluice.uuid_v7(),
        project      text        NOT NULL,
        pipe         text        NOT NULL,
        name         text        NOT NULL,
        spec         jsonb       NOT NULL,
        policy       text        NOT NULL, -- ConcurrencyPolicy=, its own or that of the pipe
        after_at     timestamptz NOT NULL DEFAULT clock_timestamp(), -- due times up to this moment have their rows
        last_at      timestamptz, -- the last of them, by the present expressions
        next_at      timestamptz, -- the next one, when it is known
        look_at      timestamptz, -- when to work out what is due
        last_run     uuid,
        live_from    uuid, -- runs of the pipe before this one have ended
        error        text, -- why its times cannot be worked out, or its run not be made
        error_at     timestamptz,
        paused_at    timestamptz, -- of the last pause, which may be over
        paused_until timestamptz,
        paused_by    text,
        pause_reason text,
        removed_at   timestamptz,
        CONSTRAINT schedule_pkey PRIMARY KEY (id),
        CONSTRAINT schedule_name_unique UNIQUE (project, pipe, name),
        CONSTRAINT schedule_pipe_fkey FOREIGN KEY (project, pipe) REFERENCES sluice.pipe (project, name),
        CONSTRAINT schedule_name_valid CHECK (sluice.is_name(name)),
        CONSTRAINT schedule_policy_known CHECK (policy IN ('allow', 'forbid', 'queue', 'replace')),
        CONSTRAINT schedule_looked_at_or_removed CHECK ((look_at IS NULL) = (removed_at IS NOT NULL)),
        CONSTRAINT schedule_error_dated CHECK ((error IS NULL) = (error_at IS NULL)),
        CONSTRAINT schedule_pause_known CHECK ((paused_at IS NULL) = (paused_by IS NULL))
);

CREATE INDEX schedule_look_idx ON sluice.schedule (look_at);

-- A due time is here once: it waits for its beginning, has its run, or was skipped. Skipped ones that follow each other for the same
-- reason are one row, from due_at to until_at.
CREATE TABLE sluice.schedule_due (
        schedule         uuid        NOT NULL,
        due_at           timestamptz NOT NULL,
        until_at         timestamptz,
        count            int         NOT NULL DEFAULT 1,
        interval_start   timestamptz, -- the due time before
        offset_sec       int, -- local time minus UTC, then
        start_offset_sec int,
        begin_at         timestamptz, -- not before; NULL: it is decided
        deadline_at      timestamptz,
        waits_for        uuid, -- the run whose end it waits for
        run              uuid,
        skipped          text,
        reason           text,
        decided_at       timestamptz,
        CONSTRAINT schedule_due_pkey PRIMARY KEY (schedule, due_at),
        CONSTRAINT schedule_due_schedule_fkey FOREIGN KEY (schedule) REFERENCES sluice.schedule (id),
        CONSTRAINT schedule_due_one_fate CHECK (num_nonnulls(begin_at, run, skipped) = 1),
        CONSTRAINT schedule_due_skipped_known CHECK (skipped IN (
                'missed', 'deadline', 'paused', 'overlap', 'replaced', 'queue-full', 'removed')),
        CONSTRAINT schedule_due_skipped_has_reason CHECK ((skipped IS NULL) = (reason IS NULL)),
        CONSTRAINT schedule_due_decided CHECK ((begin_at IS NULL) = (decided_at IS NOT NULL)),
        CONSTRAINT schedule_due_waiting_waits CHECK (waits_for IS NULL OR begin_at IS NOT NULL),
        CONSTRAINT schedule_due_many_skipped CHECK (
                (until_at IS NULL) = (count = 1) AND (count = 1 OR skipped IS NOT NULL AND until_at > due_at))
);

CREATE INDEX schedule_due_begin_idx ON sluice.schedule_due (begin_at) WHERE begin_at IS NOT NULL AND waits_for IS NULL;
CREATE INDEX schedule_due_waits_idx ON sluice.schedule_due (waits_for) WHERE waits_for IS NOT NULL;
CREATE INDEX schedule_due_open_idx ON sluice.schedule_due (schedule, due_at) WHERE begin_at IS NOT NULL;

ALTER TABLE sluice.run
        ADD COLUMN schedule     uuid,
        ADD COLUMN scheduled_at timestamptz;
