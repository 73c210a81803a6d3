-- What `controld migrate` needs before it can count migrations. It runs this first, each time, inside
-- its one transaction and under its advisory lock; so every statement here may be repeated.
CREATE SCHEMA IF NOT EXISTS sluice;
CREATE SCHEMA IF NOT EXISTS api;

CREATE TABLE IF NOT EXISTS sluice.migration (
        kind       text        NOT NULL,
        name       text        NOT NULL,
        sha256     text        NOT NULL,
        breaking   boolean     NOT NULL DEFAULT false,
        applied_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT migration_pkey PRIMARY KEY (kind, name),
        CONSTRAINT migration_kind_known CHECK (kind IN ('migration', 'api'))
);
