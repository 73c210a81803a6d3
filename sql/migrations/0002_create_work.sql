-- 0002_create_work.sql
-- Why:    pipes, their runs, and what came of them.
-- Locks:  none that matter; the tables are new.
-- Compat: first schema.
--
-- History is partitioned by range of version 7 identifiers, which begin with the time: an identifier alone finds its partition.
CREATE TABLE sluice.pipe (
    project    text        NOT NULL CONSTRAINT pipe_project_fkey REFERENCES sluice.project,
    pipe       text        NOT NULL,
    version    text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pipe_pkey PRIMARY KEY (project, pipe),
    CONSTRAINT pipe_name CHECK (pipe ~ '^[a-z0-9][a-z0-9_-]{0,62}$')
);

CREATE TABLE sluice.pipe_version (
    project    text        NOT NULL,
    pipe       text        NOT NULL,
    version    text        NOT NULL,
    spec       jsonb       NOT NULL,
    source     text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text        NOT NULL,
    CONSTRAINT pipe_version_pkey PRIMARY KEY (project, pipe, version),
    CONSTRAINT pipe_version_pipe_fkey FOREIGN KEY (project, pipe) REFERENCES sluice.pipe,
    CONSTRAINT pipe_version_hash CHECK (version ~ '^[0-9a-f]{16}$')
);
ALTER TABLE sluice.pipe ADD CONSTRAINT pipe_version_fkey
    FOREIGN KEY (project, pipe, version) REFERENCES sluice.pipe_version DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE sluice.run (
    run                 uuid        NOT NULL CONSTRAINT run_pkey PRIMARY KEY,
    project             text        NOT NULL,
    pipe                text        NOT NULL,
    version             text        NOT NULL,
    state               text        NOT NULL DEFAULT 'queued',
    outcome             text,
    exit_status         integer,
    reason              text,
    instance            uuid,
    revision            integer     NOT NULL DEFAULT 1,
    created_by          text        NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT now(),
    started_at          timestamptz,
    ended_at            timestamptz,
    cancel_requested_at timestamptz,
    CONSTRAINT run_state CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    CONSTRAINT run_ended CHECK ((ended_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled')))
) PARTITION BY RANGE (run);
CREATE INDEX run_pipe_idx ON sluice.run (project, pipe, run);

-- One run per key that a client chose, so that a request repeated after a lost answer does not run twice.
CREATE TABLE sluice.idempotency (
    project    text        NOT NULL,
    key        text        NOT NULL,
    run        uuid        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_pkey PRIMARY KEY (project, key)
);

CREATE TABLE sluice.task (
    run        uuid    NOT NULL,
    task       text    NOT NULL,
    position   integer NOT NULL,
    after      text[]  NOT NULL,
    directives jsonb   NOT NULL,
    state      text    NOT NULL DEFAULT 'waiting',
    CONSTRAINT task_pkey PRIMARY KEY (run, task),
    CONSTRAINT task_state CHECK (state IN ('waiting', 'queued', 'running', 'succeeded', 'failed', 'cancelled', 'skipped'))
) PARTITION BY RANGE (run);

CREATE TABLE sluice.attempt (
    attempt                uuid        NOT NULL CONSTRAINT attempt_pkey PRIMARY KEY,
    run                    uuid        NOT NULL,
    task                   text        NOT NULL,
    epoch                  integer     NOT NULL DEFAULT 0,
    state                  text        NOT NULL DEFAULT 'queued',
    instance               uuid,
    queued_at              timestamptz NOT NULL DEFAULT now(),
    assigned_at            timestamptz,
    started_at             timestamptz,
    ended_at               timestamptz,
    stop_requested_at      timestamptz,
    outcome                text,
    result                 text,
    exit_code              text,
    exit_status            integer,
    reason                 text,
    invocation_id          text,
    cpu_usage_usec         bigint,
    memory_peak_bytes      bigint,
    io_read_bytes          bigint,
    io_write_bytes         bigint,
    oom_kills              integer,
    memory_max_bytes       bigint,
    cpu_quota_per_sec_usec bigint,
    tasks_max              bigint,
    log_complete           boolean     NOT NULL DEFAULT false,
    CONSTRAINT attempt_state CHECK (state IN ('queued', 'assigned', 'running', 'ended', 'cancelled')),
    CONSTRAINT attempt_ended CHECK ((outcome IS NOT NULL) = (state IN ('ended', 'cancelled'))),
    CONSTRAINT attempt_placed CHECK (state NOT IN ('assigned', 'running') OR instance IS NOT NULL)
) PARTITION BY RANGE (attempt);
CREATE INDEX attempt_run_idx ON sluice.attempt (run);

-- Small and hot: what waits for an instance …
CREATE TABLE sluice.queue (
    attempt   uuid        NOT NULL CONSTRAINT queue_pkey PRIMARY KEY,
    run       uuid        NOT NULL,
    type      text        NOT NULL,
    selector  jsonb       NOT NULL,
    instance  uuid,
    avoid     uuid,
    queued_at timestamptz NOT NULL DEFAULT now(),
    verdict   text
);
CREATE INDEX queue_run_idx ON sluice.queue (run);

-- … and what is with one. The primary key is the promise: an attempt is with one instance at most.
CREATE TABLE sluice.assignment (
    attempt     uuid        NOT NULL CONSTRAINT assignment_pkey PRIMARY KEY,
    run         uuid        NOT NULL,
    instance    uuid        NOT NULL CONSTRAINT assignment_instance_fkey REFERENCES sluice.instance,
    epoch       integer     NOT NULL,
    boot        text,
    running     boolean     NOT NULL DEFAULT false,
    stop_reason text
);
CREATE INDEX assignment_instance_idx ON sluice.assignment (instance);
CREATE INDEX assignment_run_idx ON sluice.assignment (run);

-- Workspaces that an instance has yet to remove.
CREATE TABLE sluice.cleanup (
    instance uuid NOT NULL CONSTRAINT cleanup_instance_fkey REFERENCES sluice.instance ON DELETE CASCADE,
    run      uuid NOT NULL,
    CONSTRAINT cleanup_pkey PRIMARY KEY (instance, run)
);

-- Reports that changed nothing: late, repeated with other words, or of somebody else's attempt.
CREATE TABLE sluice.evidence (
    evidence uuid        NOT NULL DEFAULT sluice.uuid_v7() CONSTRAINT evidence_pkey PRIMARY KEY,
    attempt  uuid,
    instance uuid        NOT NULL,
    event    jsonb       NOT NULL,
    why      text        NOT NULL,
    at       timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (evidence);
CREATE INDEX evidence_attempt_idx ON sluice.evidence (attempt);

CREATE TABLE sluice.log_chunk (
    attempt             uuid    NOT NULL,
    epoch               integer NOT NULL,
    sequence            integer NOT NULL,
    entries             integer NOT NULL,
    first_cursor        text    NOT NULL,
    last_cursor         text    NOT NULL,
    first_realtime_usec bigint  NOT NULL,
    last_realtime_usec  bigint  NOT NULL,
    last_monotonic_usec bigint  NOT NULL,
    content_bytes       integer NOT NULL,
    data                bytea   NOT NULL,
    CONSTRAINT log_chunk_pkey PRIMARY KEY (attempt, epoch, sequence)
) PARTITION BY RANGE (attempt);
ALTER TABLE sluice.log_chunk ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE sluice.metric_sample (
    attempt              uuid   NOT NULL,
    realtime_usec        bigint NOT NULL,
    cpu_usage_usec       bigint NOT NULL,
    memory_current_bytes bigint NOT NULL,
    memory_peak_bytes    bigint NOT NULL,
    io_read_bytes        bigint NOT NULL,
    io_write_bytes       bigint NOT NULL,
    tasks_current        bigint NOT NULL,
    CONSTRAINT metric_sample_pkey PRIMARY KEY (attempt, realtime_usec)
) PARTITION BY RANGE (attempt);
