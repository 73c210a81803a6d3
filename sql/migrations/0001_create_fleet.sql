-- 0001_create_fleet.sql
-- Why:    who may ask (tokens, keys), and who does the work (agents and their instances).
-- Locks:  none, everything is new.
-- Compat: first release.

-- UUID version 7: 48 bits of milliseconds, 12 bits of the fraction of that millisecond, 62 random bits.
CREATE FUNCTION sluice.uuid_v7() RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
        SELECT encode(overlay(uuid_send(gen_random_uuid())
                              PLACING substring(int8send(t.usec / 1000) FROM 3 FOR 6)
                                   || int2send((28672 + t.usec % 1000 * 4096 / 1000)::int2)
                              FROM 1 FOR 8), 'hex')::uuid
          FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8 AS usec) t
$$;

-- The smallest identifier of that moment: bounds of partitions.
CREATE FUNCTION sluice.uuid_v7_floor(p_at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT encode(substring(int8send((extract(epoch FROM p_at) * 1000)::int8) FROM 3 FOR 6)
                      || '\x00000000000000000000'::bytea, 'hex')::uuid
$$;

-- What was made because of p_id has an identifier above this one; the day forgives a clock set back.
CREATE FUNCTION sluice.uuid_v7_since(p_id uuid) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT sluice.uuid_v7_floor(to_timestamp(
                (('x0000' || encode(substring(uuid_send(p_id) FROM 1 FOR 6), 'hex'))::bit(64)::int8) / 1000.0)
                - interval '1 day')
$$;

CREATE FUNCTION sluice.is_name(p_text text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT p_text ~ '^[a-z0-9][a-z0-9_-]{0,62}$'
$$;

CREATE FUNCTION sluice.is_agent_name(p_text text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT p_text ~ '^[A-Za-z0-9_-][A-Za-z0-9_ -]{0,29}$'
$$;

CREATE TABLE sluice.project (
        name       text        NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        created_by text,
        CONSTRAINT project_pkey PRIMARY KEY (name),
        CONSTRAINT project_name_valid CHECK (sluice.is_name(name))
);

INSERT INTO sluice.project (name) VALUES ('default');

CREATE TABLE sluice.token (
        id         uuid        NOT NULL DEFAULT sluice.uuid_v7(),
        name       text        NOT NULL,
        role       text        NOT NULL,
        hash       bytea       NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        revoked_at timestamptz,
        CONSTRAINT token_pkey PRIMARY KEY (id),
        CONSTRAINT token_hash_unique UNIQUE (hash),
        CONSTRAINT token_hash_is_sha256 CHECK (octet_length(hash) = 32),
        CONSTRAINT token_role_known CHECK (role IN ('viewer', 'operator', 'editor', 'admin', 'owner'))
);

CREATE UNIQUE INDEX token_name_unique ON sluice.token (name) WHERE revoked_at IS NULL;

CREATE TABLE sluice.agent (
        id         uuid        NOT NULL DEFAULT sluice.uuid_v7(),
        name       text        NOT NULL,
        type       text        NOT NULL,
        labels     jsonb       NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT now(),
        created_by text,
        CONSTRAINT agent_pkey PRIMARY KEY (id),
        CONSTRAINT agent_name_unique UNIQUE (name),
        CONSTRAINT agent_name_valid CHECK (sluice.is_agent_name(name)),
        CONSTRAINT agent_type_known CHECK (type IN ('batch', 'streaming')),
        CONSTRAINT agent_labels_object CHECK (jsonb_typeof(labels) = 'object')
);

-- Enrolment keys let unknown machines in; API keys are for agents made before, named in key_agent.
CREATE TABLE sluice.key (
        id          uuid        NOT NULL DEFAULT sluice.uuid_v7(),
        type        text        NOT NULL,
        hash        bytea       NOT NULL,
        labels      jsonb       NOT NULL DEFAULT '{}',
        agent_type  text,
        description text,
        max_uses    int,
        expires_at  timestamptz,
        created_at  timestamptz NOT NULL DEFAULT now(),
        created_by  text,
        revoked_at  timestamptz,
        CONSTRAINT key_pkey PRIMARY KEY (id),
        CONSTRAINT key_hash_unique UNIQUE (hash),
        CONSTRAINT key_hash_is_sha256 CHECK (octet_length(hash) = 32),
        CONSTRAINT key_type_known CHECK (type IN ('enrolment', 'api')),
        CONSTRAINT key_agent_type_known CHECK (agent_type IN ('batch', 'streaming')),
        CONSTRAINT key_labels_object CHECK (jsonb_typeof(labels) = 'object'),
        CONSTRAINT key_max_uses_positive CHECK (max_uses > 0)
);

CREATE TABLE sluice.key_agent (
        key   uuid NOT NULL,
        agent uuid NOT NULL,
        CONSTRAINT key_agent_pkey PRIMARY KEY (key, agent),
        CONSTRAINT key_agent_key_fkey FOREIGN KEY (key) REFERENCES sluice.key (id),
        CONSTRAINT key_agent_agent_fkey FOREIGN KEY (agent) REFERENCES sluice.agent (id)
);

CREATE INDEX key_agent_agent_idx ON sluice.key_agent (agent);

-- The facts of the host come at enrolment; session, boot, version and slots with a sync, when they change.
CREATE TABLE sluice.instance (
        id                 uuid        NOT NULL,
        agent              uuid        NOT NULL,
        key                uuid        NOT NULL,
        credential_hash    bytea       NOT NULL,
        credential_used_at timestamptz,
        enrolled_at        timestamptz NOT NULL DEFAULT now(),
        hostname           text        NOT NULL,
        version            text        NOT NULL,
        protocol           int         NOT NULL,
        systemd            text,
        kernel             text,
        architecture       text,
        cpus               int,
        memory_bytes       int8,
        slots              int         NOT NULL,
        session            uuid,
        old_sessions       uuid[]      NOT NULL DEFAULT '{}',
        boot               text,
        draining           boolean     NOT NULL DEFAULT false,
        goodbye_at         timestamptz,
        goodbye_reason     text,
        CONSTRAINT instance_pkey PRIMARY KEY (id),
        CONSTRAINT instance_agent_fkey FOREIGN KEY (agent) REFERENCES sluice.agent (id),
        CONSTRAINT instance_key_fkey FOREIGN KEY (key) REFERENCES sluice.key (id),
        CONSTRAINT instance_credential_unique UNIQUE (credential_hash),
        CONSTRAINT instance_credential_is_sha256 CHECK (octet_length(credential_hash) = 32),
        CONSTRAINT instance_slots_range CHECK (slots BETWEEN 1 AND 1000)
);

CREATE INDEX instance_agent_idx ON sluice.instance (agent);
CREATE INDEX instance_key_idx ON sluice.instance (key);

-- Apart from sluice.instance, whose rows are locked to give out slots: a heartbeat waits for nobody.
CREATE TABLE sluice.presence (
        instance     uuid        NOT NULL,
        last_seen_at timestamptz NOT NULL,
        CONSTRAINT presence_pkey PRIMARY KEY (instance),
        CONSTRAINT presence_instance_fkey FOREIGN KEY (instance) REFERENCES sluice.instance (id) ON DELETE CASCADE
) WITH (fillfactor = 50);
