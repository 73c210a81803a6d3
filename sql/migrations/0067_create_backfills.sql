-- 0067_create_backfills.sql
-- Why:    the due times of a past range are run after the fact, some at a time.
-- Locks:  none on what there is; everything is new.
-- Compat: the previous controld calls the same functions; a backfill waits for one that knows how to plan it.

CREATE TABLE sluice.backfill (
        id          uuid        NOT NULL DEFAULT sluice.uuid_v7(),
        schedule    uuid        NOT NULL,
        from_at     timestamptz NOT NULL,
        to_at       timestamptz NOT NULL, -- due times before this moment
        concurrency int         NOT NULL,
        again       boolean     NOT NULL, -- also due times that have had a run
        dry         boolean     NOT NULL, -- it is planned, and no more
        parameters  jsonb, -- of its runs, the layer of the run
        state       text        NOT NULL DEFAULT 'planning',
        reason      text, -- why it is refused or cancelled, or what stands in its way
        look_at     timestamptz DEFAULT clock_timestamp(), -- to be planned then, or not to be looked at before
        created_by  text        NOT NULL,
        created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
        ended_at    timestamptz,
        CONSTRAINT backfill_pkey PRIMARY KEY (id),
        CONSTRAINT backfill_schedule_fkey FOREIGN KEY (schedule) REFERENCES sluice.schedule (id),
        CONSTRAINT backfill_range_valid CHECK (from_at < to_at),
        CONSTRAINT backfill_concurrency_valid CHECK (concurrency BETWEEN 1 AND 100),
        CONSTRAINT backfill_state_known CHECK (state IN ('planning', 'planned', 'running', 'done', 'cancelled', 'refused')),
        CONSTRAINT backfill_ended CHECK ((ended_at IS NULL) = (state IN ('planning', 'running'))),
        CONSTRAINT backfill_refused_with_reason CHECK (state NOT IN ('refused', 'cancelled') OR reason IS NOT NULL)
);

CREATE INDEX backfill_schedule_idx ON sluice.backfill (schedule, id);
CREATE INDEX backfill_open_idx ON sluice.backfill (state, look_at) WHERE ended_at IS NULL;

-- The due times of each. One waits, has a run, or is passed over.
CREATE TABLE sluice.backfill_due (
        backfill         uuid        NOT NULL,
        due_at           timestamptz NOT NULL,
        schedule         uuid        NOT NULL,
        interval_start   timestamptz,
        offset_sec       int,
        start_offset_sec int,
        run              uuid,
        live             boolean     NOT NULL DEFAULT false, -- the run has not ended
        passed_over      text,
        CONSTRAINT backfill_due_pkey PRIMARY KEY (backfill, due_at),
        CONSTRAINT backfill_due_backfill_fkey FOREIGN KEY (backfill) REFERENCES sluice.backfill (id),
        CONSTRAINT backfill_due_live_has_run CHECK (NOT live OR run IS NOT NULL),
        CONSTRAINT backfill_due_one_fate CHECK (num_nonnulls(run, passed_over) <= 1)
);

-- Of a due time one run goes on, whoever asks for how many.
CREATE UNIQUE INDEX backfill_due_live_unique ON sluice.backfill_due (schedule, due_at) WHERE live;
CREATE INDEX backfill_due_schedule_idx ON sluice.backfill_due (schedule, due_at);
CREATE UNIQUE INDEX backfill_due_run_unique ON sluice.backfill_due (run) WHERE run IS NOT NULL;
