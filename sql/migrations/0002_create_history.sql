-- 0002_create_history.sql
-- Why:    pipes, and what became of them: runs, tasks, attempts, logs, samples, evidence.
-- Locks:  none, everything is new.
-- Compat: first release.
--
-- History is partitioned by month of the version 7 identifier in its key, so that the identifier alone
-- finds the partition and retention is dropping one. That is also why no foreign key points at it.

CREATE TABLE sluice.pipe (
        project    text        NOT NULL,
        name       text        NOT NULL,
        version    text        NOT NULL, -- deployed last
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pipe_pkey PRIMARY KEY (project, name),
        CONSTRAINT pipe_project_fkey FOREIGN KEY (project) REFERENCES sluice.project (name),
        CONSTRAINT pipe_name_valid CHECK (sluice.is_name(name))
);

CREATE TABLE sluice.pipe_version (
        id          uuid        NOT NULL DEFAULT sluice.uuid_v7(), -- in order of first deployment
        project     text        NOT NULL,
        pipe        text        NOT NULL,
        version     text        NOT NULL,
        type        text        NOT NULL,
        description text,
        spec        jsonb       NOT NULL,
        source      text,
        created_at  timestamptz NOT NULL DEFAULT now(),
        created_by  text,
        CONSTRAINT pipe_version_pkey PRIMARY KEY (project, pipe, version),
        CONSTRAINT pipe_version_pipe_fkey FOREIGN KEY (project, pipe) REFERENCES sluice.pipe (project, name),
        CONSTRAINT pipe_version_is_hash CHECK (version ~ '^[0-9a-f]{16}$'),
        CONSTRAINT pipe_version_type_known CHECK (type IN ('batch', 'streaming'))
);

-- At commit a pipe always has the version that it names.
ALTER TABLE sluice.pipe
        ADD CONSTRAINT pipe_version_fkey FOREIGN KEY (project, name, version)
        REFERENCES sluice.pipe_version (project, pipe, version) DEFERRABLE INITIALLY DEFERRED;

-- revision counts every change of what a person is shown of the run: it is the ETag. The row's lock
-- guards everything that belongs to the run.
CREATE TABLE sluice.run (
        id                  uuid        NOT NULL DEFAULT sluice.uuid_v7(),
        project             text        NOT NULL,
        pipe                text        NOT NULL,
        version             text        NOT NULL,
        state               text        NOT NULL DEFAULT 'queued',
        outcome             text,
        exit_status         int,
        reason              text,
        instance            uuid, -- of its first assignment: tasks share a workspace
        created_by          text,
        created_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
        started_at          timestamptz,
        ended_at            timestamptz,
        cancel_requested_at timestamptz,
        cancel_requested_by text,
        revision            int8        NOT NULL DEFAULT 1,
        CONSTRAINT run_pkey PRIMARY KEY (id),
        CONSTRAINT run_state_known CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
        CONSTRAINT run_ended_with_outcome CHECK (
                (state IN ('queued', 'running')) = (ended_at IS NULL)
                AND (ended_at IS NULL) = (outcome IS NULL))
) PARTITION BY RANGE (id);

CREATE INDEX run_pipe_idx ON sluice.run (project, pipe, id);
CREATE INDEX run_project_idx ON sluice.run (project, id);

CREATE TABLE sluice.task (
        run        uuid   NOT NULL,
        name       text   NOT NULL,
        position   int    NOT NULL, -- in the pipe file, from 0
        after      text[] NOT NULL DEFAULT '{}',
        state      text   NOT NULL DEFAULT 'waiting',
        CONSTRAINT task_pkey PRIMARY KEY (run, name),
        CONSTRAINT task_name_valid CHECK (sluice.is_name(name)),
        CONSTRAINT task_state_known CHECK (state IN (
                'waiting', 'queued', 'running', 'succeeded', 'failed', 'cancelled', 'skipped'))
) PARTITION BY RANGE (run);

-- The moves of an attempt. Ended and cancelled are final; assigned goes back to queued when an agent
-- could not take it; stopping is running or assigned after a request to stop.
CREATE FUNCTION sluice.attempt_may_move(p_from text, p_to text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE p_from
                WHEN 'queued'   THEN p_to IN ('assigned', 'cancelled')
                WHEN 'assigned' THEN p_to IN ('running', 'stopping', 'queued', 'ended')
                WHEN 'running'  THEN p_to IN ('stopping', 'ended')
                WHEN 'stopping' THEN p_to = 'ended'
                ELSE false END
$$;

CREATE TABLE sluice.attempt (
        id                     uuid        NOT NULL DEFAULT sluice.uuid_v7(),
        run                    uuid        NOT NULL,
        task                   text        NOT NULL,
        try                    int         NOT NULL DEFAULT 1,
        epoch                  int         NOT NULL DEFAULT 0, -- grows with each assignment
        state                  text        NOT NULL DEFAULT 'queued',
        outcome                text,
        result                 text, -- systemd's own word, also where the outcome is `cancelled`
        exit_code              text,
        exit_status            int,
        reason                 text,
        agent                  uuid,
        instance               uuid, -- the last one that it was given to
        slice                  text,
        invocation_id          text,
        queued_at              timestamptz NOT NULL DEFAULT clock_timestamp(),
        assigned_at            timestamptz,
        started_at             timestamptz,
        ended_at               timestamptz,
        stop_requested_at      timestamptz,
        runtime_usec           int8,
        cpu_usage_usec         int8,
        memory_peak_bytes      int8,
        io_read_bytes          int8,
        io_write_bytes         int8,
        oom_kills              int8,
        memory_max_bytes       int8,
        cpu_quota_per_sec_usec int8,
        tasks_max              int8,
        log_sequence           int, -- of the last chunk, once the agent has said so
        log_complete           boolean     NOT NULL DEFAULT false,
        CONSTRAINT attempt_pkey PRIMARY KEY (id),
        CONSTRAINT attempt_state_known CHECK (state IN (
                'queued', 'assigned', 'running', 'stopping', 'ended', 'cancelled')),
        CONSTRAINT attempt_assigned_has_instance CHECK (
                state NOT IN ('assigned', 'running', 'stopping') OR (instance IS NOT NULL AND epoch > 0)),
        CONSTRAINT attempt_ended_with_outcome CHECK (
                (state IN ('ended', 'cancelled')) = (ended_at IS NOT NULL)
                AND (ended_at IS NULL) = (outcome IS NULL))
) PARTITION BY RANGE (id);

CREATE INDEX attempt_run_idx ON sluice.attempt (run, task);

CREATE FUNCTION sluice.attempt_check_move() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
        IF OLD.state <> NEW.state AND NOT sluice.attempt_may_move(OLD.state, NEW.state) THEN
                RAISE EXCEPTION USING ERRCODE = 'ZF500', DETAIL = 'attempt-move',
                        MESSAGE = format('Attempt %s cannot go from %s to %s.', OLD.id, OLD.state, NEW.state);
        END IF;

        IF NEW.epoch < OLD.epoch THEN
                RAISE EXCEPTION USING ERRCODE = 'ZF500', DETAIL = 'attempt-epoch',
                        MESSAGE = format('The epoch of attempt %s cannot shrink.', OLD.id);
        END IF;

        RETURN NEW;
END
$$;

CREATE TRIGGER attempt_moves BEFORE UPDATE OF state, epoch ON sluice.attempt
        FOR EACH ROW EXECUTE FUNCTION sluice.attempt_check_move();

CREATE TABLE sluice.log_chunk (
        attempt             uuid        NOT NULL,
        epoch               int         NOT NULL,
        sequence            int         NOT NULL,
        entries             int         NOT NULL,
        first_cursor        text        NOT NULL,
        last_cursor         text        NOT NULL,
        first_realtime_usec int8        NOT NULL,
        last_realtime_usec  int8        NOT NULL,
        last_monotonic_usec int8        NOT NULL,
        content_bytes       int         NOT NULL,
        received_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
        data                bytea       NOT NULL,
        CONSTRAINT log_chunk_pkey PRIMARY KEY (attempt, epoch, sequence),
        CONSTRAINT log_chunk_sequence_positive CHECK (sequence > 0)
) PARTITION BY RANGE (attempt);

ALTER TABLE sluice.log_chunk ALTER COLUMN data SET STORAGE EXTERNAL; -- it is compressed already

CREATE TABLE sluice.metric_sample (
        attempt              uuid NOT NULL,
        epoch                int  NOT NULL,
        realtime_usec        int8 NOT NULL,
        cpu_usage_usec       int8,
        memory_current_bytes int8,
        memory_peak_bytes    int8,
        io_read_bytes        int8,
        io_write_bytes       int8,
        tasks_current        int8,
        CONSTRAINT metric_sample_pkey PRIMARY KEY (attempt, epoch, realtime_usec)
) PARTITION BY RANGE (attempt);

-- Reports that came too late or made no sense: kept, and without effect.
CREATE TABLE sluice.evidence (
        id          uuid        NOT NULL DEFAULT sluice.uuid_v7(),
        attempt     uuid        NOT NULL,
        epoch       int         NOT NULL,
        instance    uuid        NOT NULL,
        why         text        NOT NULL,
        event       jsonb       NOT NULL,
        received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT evidence_pkey PRIMARY KEY (id),
        CONSTRAINT evidence_why_known CHECK (why IN (
                'unknown-attempt', 'not-yours', 'old-epoch', 'not-assigned', 'already-ended', 'already-started',
                'superseded'))
) PARTITION BY RANGE (id);

CREATE INDEX evidence_attempt_idx ON sluice.evidence (attempt, epoch);
