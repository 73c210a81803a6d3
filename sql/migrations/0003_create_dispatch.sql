-- 0003_create_dispatch.sql
-- Why:    what waits and what is out on instances right now: small tables without history.
-- Locks:  none, everything is new.
-- Compat: first release.

CREATE TABLE sluice.queue (
        attempt     uuid        NOT NULL,
        run         uuid        NOT NULL,
        type        text        NOT NULL,
        selector    jsonb       NOT NULL DEFAULT '{}', -- a null: the label is there, whatever its value
        instance    uuid, -- where the run began
        avoid       uuid, -- refused it just now
        avoid_until timestamptz,
        queued_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
        verdict     text,
        CONSTRAINT queue_pkey PRIMARY KEY (attempt),
        CONSTRAINT queue_selector_object CHECK (jsonb_typeof(selector) = 'object')
);

CREATE INDEX queue_run_idx ON sluice.queue (run);
CREATE INDEX queue_instance_idx ON sluice.queue (instance, attempt) WHERE instance IS NOT NULL;
CREATE INDEX queue_selector_idx ON sluice.queue (type, selector, attempt) WHERE instance IS NULL;

-- One row for each attempt between its assignment and its end. The keys say the two things that must
-- hold whatever runs at once: an attempt is on one instance, and an instance has each seat once.
CREATE TABLE sluice.assignment (
        attempt     uuid        NOT NULL,
        epoch       int         NOT NULL,
        instance    uuid        NOT NULL,
        seat        int         NOT NULL,
        run         uuid        NOT NULL,
        state       text        NOT NULL DEFAULT 'assigned',
        stop_reason text,
        CONSTRAINT assignment_pkey PRIMARY KEY (attempt),
        CONSTRAINT assignment_seat_unique UNIQUE (instance, seat),
        CONSTRAINT assignment_instance_fkey FOREIGN KEY (instance) REFERENCES sluice.instance (id),
        CONSTRAINT assignment_seat_positive CHECK (seat >= 0),
        CONSTRAINT assignment_state_known CHECK (state IN ('assigned', 'running', 'stopping')),
        CONSTRAINT assignment_stopping_has_reason CHECK ((state = 'stopping') = (stop_reason IS NOT NULL))
) WITH (fillfactor = 70);

CREATE INDEX assignment_run_idx ON sluice.assignment (run);

-- Workspaces to remove: the run is over, its instance has not said `cleaned` yet.
CREATE TABLE sluice.cleanup (
        instance   uuid NOT NULL,
        run        uuid NOT NULL,
        offered_at timestamptz,
        CONSTRAINT cleanup_pkey PRIMARY KEY (instance, run),
        CONSTRAINT cleanup_instance_fkey FOREIGN KEY (instance) REFERENCES sluice.instance (id) ON DELETE CASCADE
);

CREATE TABLE sluice.idempotency (
        token      uuid        NOT NULL,
        key        text        NOT NULL,
        request    text        NOT NULL,
        run        uuid        NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT idempotency_pkey PRIMARY KEY (token, key),
        CONSTRAINT idempotency_token_fkey FOREIGN KEY (token) REFERENCES sluice.token (id) ON DELETE CASCADE
);

CREATE INDEX idempotency_created_idx ON sluice.idempotency (created_at);
