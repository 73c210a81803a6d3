-- What `controld migrate` needs before it can remember anything. Idempotent, run first, every time.
CREATE SCHEMA IF NOT EXISTS sluice;
CREATE SCHEMA IF NOT EXISTS api;
CREATE TABLE IF NOT EXISTS sluice.migration (
    kind       text        NOT NULL CONSTRAINT migration_kind_known CHECK (kind IN ('migration', 'api')),
    name       text        NOT NULL,
    sha256     text        NOT NULL,
    breaking   boolean     NOT NULL DEFAULT false,
    applied_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT migration_pkey PRIMARY KEY (kind, name)
);
