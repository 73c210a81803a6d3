#!/bin/bash
# Attempts made, placed and finished per second by the SQL functions alone, on a PostgreSQL of its own with durability on.
#
#   tests/bench/dispatch.sh [BACKLOG [SECONDS [CLIENTS [MONTHS]]]]      default: 1000 and 100000, 10, 4, and 0 months of history
#
# 100 instances with 10 slots each. An agent's call reports the end and the log of all that it has, and is answered with what it is
# given; so a call is one transaction for ten attempts. Everything is on one machine: say what else was running on it.
set -eu

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
work=$(mktemp -d "${TMPDIR:-/tmp}/sluice-bench.XXXXXX")
as=()
[ "$(id -u)" = 0 ] && as=(setpriv --reuid=postgres --regid=postgres --init-groups --reset-env --) && chown postgres "$work"
export PGHOST=$work PGUSER=postgres
trap 'cd /; "${as[@]}" "$bin/pg_ctl" -D "$work/data" -m immediate stop >/dev/null 2>&1; rm -rf "$work"' EXIT
cd "$work"
"${as[@]}" "$bin/initdb" -D "$work/data" -U postgres -A trust -E UTF8 --locale=C >/dev/null
"${as[@]}" "$bin/pg_ctl" -D "$work/data" -l "$work/log" -w \
        -o "-k $work -c listen_addresses='' -c shared_buffers=256MB -c max_wal_size=4GB" start >/dev/null

ask() { psql -X -q -A -t -v ON_ERROR_STOP=1 -d bench "$@"; }

seed() { # backlog
        psql -X -q -d postgres -c "DROP DATABASE IF EXISTS bench" -c "CREATE DATABASE bench" 2>/dev/null
        { echo "BEGIN;"; cat "$top"/sql/{bootstrap,roles}.sql "$top"/sql/migrations/*.sql "$top"/sql/api/*.sql; echo "COMMIT;"; } | ask >/dev/null 2>&1
        ask -f "$top/tests/sql/fixtures.psql" >/dev/null
        ask -v backlog="$1" -v months="$months" >/dev/null <<'SQL'
SET synchronous_commit = off;
SELECT sluice.partition_ensure(p, (now() - make_interval(months => m))::date)
  FROM unnest(ARRAY['run', 'task', 'attempt', 'log_chunk', 'metric_sample', 'evidence']) p, generate_series(2, :months) m;
SELECT t.pipe('p', '{a}');
SELECT t.agent('n' || n, 10, '{"zone": "a"}'), t.sync('n' || n) FROM generate_series(1, 100) n;
UPDATE sluice.presence SET last_seen_at = now() + interval '1 day';
CREATE TABLE t.made AS SELECT sluice.uuid_v7() AS run, sluice.uuid_v7() AS attempt FROM generate_series(1, :backlog);
INSERT INTO sluice.run (id, project, pipe, version) SELECT run, project, pipe, version FROM t.made, sluice.pipe_version;
INSERT INTO sluice.task (run, name, position, state) SELECT run, 'a', 0, 'queued' FROM t.made;
INSERT INTO sluice.attempt (id, run, task) SELECT attempt, run, 'a' FROM t.made;
INSERT INTO sluice.queue (attempt, run, demand) SELECT attempt, run, demands[1] FROM t.made, sluice.pipe_version;
CREATE FUNCTION t.step(p_n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
        v_events jsonb[] := ARRAY(
                SELECT unnest(ARRAY[t.success(x.attempt, x.epoch), t.event(x.attempt, x.epoch, 'logged', '{"sequence": 0}')])
                  FROM sluice.assignment x WHERE x.instance = t.id('n' || p_n));
BEGIN
        IF v_events = '{}' THEN
                PERFORM t.sync('n' || p_n);
        ELSE
                PERFORM t.events('n' || p_n, VARIADIC v_events);
        END IF;
        RETURN cardinality(v_events) / 2;
END
$$;
VACUUM ANALYZE;
CHECKPOINT;
SQL
}

run() { # seconds, clients that make runs, clients that are agents
        local made done_ pids=()

        made=$(ask -c "SELECT count(*) FROM sluice.run")
        done_=$(ask -c "SELECT count(*) FROM sluice.run WHERE ended_at IS NOT NULL")
        echo "SELECT length(api.run_create(t.h('owner'), 'default', 'p', NULL, NULL)::text);" >make.sql
        printf '%s\n' '\set n random(1, 100)' 'SELECT t.step(:n);' >agent.sql
        echo 'SELECT api.dispatch();' >look.sql
        local -x PGOPTIONS='-c plan_cache_mode=force_generic_plan' # as controld has it
        [ "$2" = 0 ] || { pgbench -n -d bench -f make.sql -c "$2" -T "$1" >/dev/null 2>&1 & pids+=($!); }
        [ "$3" = 0 ] || { pgbench -n -d bench -f agent.sql -c "$3" -T "$1" >/dev/null 2>&1 & pids+=($!); }
        pgbench -n -d bench -f look.sql -c 1 -R 100 -T "$1" >/dev/null 2>&1 & pids+=($!)
        wait "${pids[@]}"
        printf '%8s %8s %8s %10s %10s\n' "$backlog" "$2" "$3" \
                "$((($(ask -c "SELECT count(*) FROM sluice.run") - made) / $1))" \
                "$((($(ask -c "SELECT count(*) FROM sluice.run WHERE ended_at IS NOT NULL") - done_) / $1))"
}

months=${4:-0}
echo " backlog   makers   agents     made/s finished/s   ($months months of history, load before: $(cut -d' ' -f1 /proc/loadavg), $(nproc) CPUs)"
for backlog in ${1:-1000 100000}; do
        seed "$backlog"
        run "${2:-10}" 0 "${3:-4}"
        run "${2:-10}" "${3:-4}" 0
        run "${2:-10}" "${3:-4}" "${3:-4}"
done
