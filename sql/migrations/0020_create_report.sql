-- 0020_create_report.sql
-- Why:    events of agents are taken in by the batch, of many agents at once: as rows, parsed once.
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
