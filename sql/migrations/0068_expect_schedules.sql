-- 0068_expect_schedules.sql
-- Why:    what should have succeeded by now and has not is said; days on which nothing runs; intervals.
-- Locks:  sluice.schedule, sluice.schedule_due: brief ACCESS EXCLUSIVE; one look at each due time. The rest is new.
-- Compat: the previous controld calls the same functions; of what is new here it knows nothing.

ALTER TABLE sluice.schedule
        ADD COLUMN expect_by   interval, -- its ExpectBySec=
        ADD COLUMN expected_to timestamptz, -- due times up to this moment have been judged
        ADD COLUMN expect_look timestamptz, -- when to judge the next
        ADD COLUMN late_due    timestamptz, -- the last due time that no run has succeeded for in time
        ADD COLUMN late_since  timestamptz, -- since when there has been one
        ADD COLUMN every       interval, -- OnUnitActiveSec= or OnUnitInactiveSec=
        ADD COLUMN waits_run   uuid, -- the run from whose end it counts
        ADD COLUMN next_blackout text, -- what of Blackout= the next due time falls on
        ADD CONSTRAINT schedule_expected CHECK (num_nonnulls(expect_by, expected_to, expect_look) IN (0, 3)),
        ADD CONSTRAINT schedule_late_has_due CHECK ((late_due IS NULL) = (late_since IS NULL)),
        ADD CONSTRAINT schedule_late_was_expected CHECK (late_due IS NULL OR expect_by IS NOT NULL);

CREATE INDEX schedule_expect_idx ON sluice.schedule (expect_look) WHERE expect_look IS NOT NULL;
CREATE INDEX schedule_late_idx ON sluice.schedule (id) WHERE late_since IS NOT NULL;

CREATE INDEX schedule_interval_idx ON sluice.schedule (next_at) WHERE every IS NOT NULL;
CREATE INDEX schedule_waits_idx ON sluice.schedule (waits_run) WHERE waits_run IS NOT NULL;

ALTER TABLE sluice.schedule_due
        DROP CONSTRAINT schedule_due_skipped_known,
        ADD CONSTRAINT schedule_due_skipped_known CHECK (skipped IN (
                'missed', 'deadline', 'paused', 'overlap', 'replaced', 'queue-full', 'removed', 'blackout'));

-- Runs that have succeeded for a due time which may be awaited still. Who ends a run only adds to it.
CREATE TABLE sluice.schedule_success (
        schedule uuid        NOT NULL,
        due_at   timestamptz NOT NULL,
        run      uuid        NOT NULL,
        at       timestamptz NOT NULL,
        CONSTRAINT schedule_success_pkey PRIMARY KEY (schedule, due_at, run)
);

-- What people want to hear of, each once.
CREATE TABLE sluice.event (
        id       uuid        NOT NULL DEFAULT sluice.uuid_v7(),
        project  text        NOT NULL,
        kind     text        NOT NULL,
        pipe     text        NOT NULL,
        schedule text        NOT NULL,
        due_at   timestamptz NOT NULL,
        at       timestamptz NOT NULL DEFAULT clock_timestamp(),
        words    text        NOT NULL,
        told     boolean     NOT NULL DEFAULT false, -- it is in the journal of a controld
        CONSTRAINT event_pkey PRIMARY KEY (id),
        CONSTRAINT event_kind_known CHECK (kind IN ('schedule-late', 'schedule-on-time')),
        CONSTRAINT event_once UNIQUE (project, pipe, schedule, due_at, kind)
);

CREATE INDEX event_project_idx ON sluice.event (project, id);
CREATE INDEX event_untold_idx ON sluice.event (id) WHERE NOT told;
