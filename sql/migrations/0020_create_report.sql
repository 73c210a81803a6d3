-- 0020_create_report.sql
-- Why:    events of agents are taken in by the batch, of many agents at once: as rows, parsed once. And what every statement needs
--         of identifiers is not planned anew at each: PostgreSQL 15 does so with functions of language sql that it cannot inline.
-- Locks:  none, everything is new.
-- Compat: the previous controld does not know of it.

CREATE TYPE sluice.report AS (
        n                      int, -- in the batch, from 1
        request                int, -- of the batch, from 1
        place                  int, -- in its request, from 1
        instance               uuid,
        state                  text,
        attempt                uuid,
        epoch                  int,
        run                    uuid, -- of `cleaned`
        sequence               int,
        result                 text,
        exit_code              text,
        exit_status            int,
        reason                 text,
        invocation_id          text,
        slice                  text,
        runtime_usec           int8,
        cpu_usage_usec         int8,
        memory_peak_bytes      int8,
        io_read_bytes          int8,
        io_write_bytes         int8,
        oom_kills              int8,
        memory_max_bytes       int8,
        cpu_quota_per_sec_usec int8,
        tasks_max              int8
);

CREATE OR REPLACE FUNCTION sluice.uuid_v7() RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS $$
DECLARE
        v_usec int8 := (extract(epoch FROM clock_timestamp()) * 1000000)::int8;
BEGIN
        RETURN encode(overlay(uuid_send(gen_random_uuid())
                              PLACING substring(int8send(v_usec / 1000) FROM 3 FOR 6)
                                   || int2send((28672 + v_usec % 1000 * 4096 / 1000)::int2)
                              FROM 1 FOR 8), 'hex')::uuid;
END
$$;

-- Nothing but constants, so that it is inlined. The day is 86400000 milliseconds.
CREATE OR REPLACE FUNCTION sluice.uuid_v7_since(p_id uuid) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT encode(substring(int8send(greatest(('x0000' || encode(substring(uuid_send(p_id) FROM 1 FOR 6), 'hex'))::bit(64)::int8
                                                  - 86400000, 0)) FROM 3 FOR 6)
                      || '\x00000000000000000000'::bytea, 'hex')::uuid
$$;
