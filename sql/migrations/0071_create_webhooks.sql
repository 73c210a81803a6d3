-- 0071_create_webhooks.sql
-- Why:    other systems start runs, with requests that they sign.
-- Locks:  none; all of it is new.
-- Compat: the previous controld knows no webhooks, and answers their requests with 404.

CREATE TABLE sluice.webhook (
        id              uuid        NOT NULL DEFAULT sluice.uuid_v7(),
        project         text        NOT NULL,
        pipe            text        NOT NULL,
        name            text        NOT NULL,
        scheme          text        NOT NULL,
        key_id          text        NOT NULL, -- of the key that its secret is derived from
        parameters      jsonb       NOT NULL, -- name: text
        parameters_from jsonb       NOT NULL, -- name: JSON pointer into the body
        created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
        created_by      text        NOT NULL,
        deleted_at      timestamptz,
        CONSTRAINT webhook_pkey PRIMARY KEY (id),
        CONSTRAINT webhook_pipe_fkey FOREIGN KEY (project, pipe) REFERENCES sluice.pipe (project, name),
        CONSTRAINT webhook_name_valid CHECK (sluice.is_name(name)),
        CONSTRAINT webhook_scheme_known CHECK (scheme IN ('standard', 'github'))
);

CREATE UNIQUE INDEX webhook_name_unique ON sluice.webhook (project, pipe, name) WHERE deleted_at IS NULL;

-- A message is here once: it has its run, or was refused, and may come again.
CREATE TABLE sluice.webhook_delivery (
        webhook     uuid        NOT NULL,
        message     text        NOT NULL, -- its sender's name for it
        received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        run         uuid,
        refused     text,
        CONSTRAINT webhook_delivery_pkey PRIMARY KEY (webhook, message),
        CONSTRAINT webhook_delivery_webhook_fkey FOREIGN KEY (webhook) REFERENCES sluice.webhook (id),
        CONSTRAINT webhook_delivery_one_fate CHECK (num_nonnulls(run, refused) = 1)
);

CREATE INDEX webhook_delivery_received_idx ON sluice.webhook_delivery (webhook, received_at);
CREATE INDEX webhook_delivery_age_idx ON sluice.webhook_delivery (received_at);
