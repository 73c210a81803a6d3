-- 0001_create_fleet.sql
-- Why:    who may speak to the control plane: people's tokens, agents, their instances, and the keys that they join by.
-- Locks:  none that matter; the tables are new.
-- Compat: first schema.
CREATE FUNCTION sluice.uuid_v7(p_at timestamptz DEFAULT clock_timestamp()) RETURNS uuid
    LANGUAGE sql VOLATILE
    AS $$
    -- RFC 9562: 48 bits of Unix milliseconds, then version 7 over gen_random_uuid()'s random bits.
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send(floor(extract(epoch FROM p_at) * 1000)::int8) FROM 3)
                    FROM 1 FOR 6),
            52, 1), 53, 1), 'hex')::uuid
$$;

-- The least identifier of a moment: where a partition begins.
CREATE FUNCTION sluice.uuid_floor(p_at timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT (encode(substring(int8send(floor(extract(epoch FROM p_at) * 1000)::int8) FROM 3), 'hex')
            || '00000000000000000000')::uuid
$$;

CREATE TABLE sluice.project (
    project    text        NOT NULL CONSTRAINT project_pkey PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT project_name CHECK (project ~ '^[a-z0-9][a-z0-9_-]{0,62}$')
);
INSERT INTO sluice.project (project) VALUES ('default');

CREATE TABLE sluice.token (
    token_id   uuid        NOT NULL DEFAULT sluice.uuid_v7() CONSTRAINT token_pkey PRIMARY KEY,
    name       text        NOT NULL,
    role       text        NOT NULL,
    hash       bytea       NOT NULL CONSTRAINT token_hash_key UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT token_role CHECK (role IN ('viewer', 'operator', 'editor', 'admin', 'owner')),
    CONSTRAINT token_name CHECK (length(name) BETWEEN 1 AND 63)
);

CREATE TABLE sluice.agent (
    agent      uuid        NOT NULL DEFAULT sluice.uuid_v7() CONSTRAINT agent_pkey PRIMARY KEY,
    name       text        NOT NULL CONSTRAINT agent_name_key UNIQUE,
    type       text        NOT NULL DEFAULT 'batch',
    labels     jsonb       NOT NULL DEFAULT '{}',
    track      text        NOT NULL DEFAULT 'stable',
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text        NOT NULL,
    CONSTRAINT agent_name CHECK (name ~ '^[A-Za-z0-9_-][A-Za-z0-9_ -]{0,29}$'),
    CONSTRAINT agent_type CHECK (type IN ('batch', 'streaming')),
    CONSTRAINT agent_track CHECK (track IN ('current', 'stable')),
    CONSTRAINT agent_labels CHECK (jsonb_typeof(labels) = 'object')
);

CREATE TABLE sluice.instance (
    instance           uuid        NOT NULL CONSTRAINT instance_pkey PRIMARY KEY,
    agent              uuid        NOT NULL CONSTRAINT instance_agent_fkey REFERENCES sluice.agent,
    hash               bytea       NOT NULL CONSTRAINT instance_hash_key UNIQUE,
    credential_used_at timestamptz,
    enrolled_at        timestamptz NOT NULL DEFAULT now(),
    hostname           text        NOT NULL,
    version            text        NOT NULL,
    systemd            text        NOT NULL,
    kernel             text        NOT NULL,
    architecture       text        NOT NULL,
    cpus               integer     NOT NULL,
    memory_bytes       bigint      NOT NULL,
    slots              integer     NOT NULL,
    draining           boolean     NOT NULL DEFAULT false,
    session            uuid,
    boot               text,
    CONSTRAINT instance_slots CHECK (slots BETWEEN 0 AND 1000)
);
CREATE INDEX instance_agent_idx ON sluice.instance (agent);

-- Apart from instance, because it changes often and nothing else of the row does.
CREATE TABLE sluice.presence (
    instance     uuid        NOT NULL CONSTRAINT presence_pkey PRIMARY KEY
                             CONSTRAINT presence_instance_fkey REFERENCES sluice.instance ON DELETE CASCADE,
    last_seen_at timestamptz,
    goodbye_at   timestamptz
) WITH (fillfactor = 50);

CREATE TABLE sluice.key (
    key_id      uuid        NOT NULL DEFAULT sluice.uuid_v7() CONSTRAINT key_pkey PRIMARY KEY,
    type        text        NOT NULL,
    hash        bytea       NOT NULL CONSTRAINT key_hash_key UNIQUE,
    agent_type  text,
    labels      jsonb       NOT NULL DEFAULT '{}',
    description text,
    max_uses    integer,
    created_at  timestamptz NOT NULL DEFAULT now(),
    created_by  text        NOT NULL,
    expires_at  timestamptz,
    revoked_at  timestamptz,
    CONSTRAINT key_type CHECK (type IN ('enrolment', 'api')),
    CONSTRAINT key_agent_type CHECK (agent_type IN ('batch', 'streaming')),
    CONSTRAINT key_max_uses CHECK (max_uses > 0)
);

CREATE TABLE sluice.key_agent (
    key_id uuid NOT NULL CONSTRAINT key_agent_key_fkey REFERENCES sluice.key,
    agent  uuid NOT NULL CONSTRAINT key_agent_agent_fkey REFERENCES sluice.agent,
    CONSTRAINT key_agent_pkey PRIMARY KEY (key_id, agent)
);

-- A key's uses are counted from these rows.
CREATE TABLE sluice.key_use (
    key_id   uuid        NOT NULL CONSTRAINT key_use_key_fkey REFERENCES sluice.key,
    instance uuid        NOT NULL,
    used_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT key_use_pkey PRIMARY KEY (key_id, instance)
);
