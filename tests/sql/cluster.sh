# A PostgreSQL of their own for tests of the SQL: read by tests/sql/run and its like, which set $here, the directory of their own.
#
# The cluster lives in a temporary directory, $work, and listens on a socket there; nothing stays behind. The schema is owned by a
# role that is no superuser, sluice_owner. Database `blank` has it, with pgTAP and what fixtures.psql makes; copies are made with
# copy_database. SLUICE_SQL may name another schema than the tree's: one with a mistake made on purpose, say.

top=$(cd "${top_srcdir:-${srcdir:-$here/../..}}" && pwd)
[ -d "$top/sql/migrations" ] || top=$(cd "$here/../.." && pwd)
export SLUICE_SQL=${SLUICE_SQL:-$top/sql} SLUICE_TESTS=$here

skip_all() {
        echo "1..0 # SKIP $1"
        exit 0
}

bin=
for dir in $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -Vr) /usr/bin /usr/local/bin; do
        if [ -x "$dir/initdb" ] && [ -x "$dir/pg_ctl" ]; then
                bin=$dir
                break
        fi
done
[ -n "$bin" ] || skip_all "no PostgreSQL server found (initdb, pg_ctl)"

# initdb refuses to run as root.
as_server=()
if [ "$(id -u)" = 0 ]; then
        id -u postgres >/dev/null 2>&1 || skip_all "run as root, and there is no user postgres"
        as_server=(setpriv --reuid=postgres --regid=postgres --init-groups --reset-env --)
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/sluice-sql.XXXXXX") || exit 99
cleanup() {
        trap - EXIT
        trap '' INT TERM HUP
        kill $(jobs -p) 2>/dev/null
        [ -f "$work/data/postmaster.pid" ] &&
                (cd "$work" && "${as_server[@]}" "$bin/pg_ctl" -D "$work/data" -m immediate -w stop >/dev/null 2>&1)
        rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

chmod 755 "$work"
[ "$(id -u)" = 0 ] && chown postgres "$work"
cd "$work" || exit 99

bail() {
        echo "Bail out! $1"
        cat "$work/log" 2>/dev/null | tail -n 20 | sed 's/^/# /'
        exit 99
}

"${as_server[@]}" "$bin/initdb" -D "$work/data" -U postgres -A trust -E UTF8 --locale=C -N >"$work/log" 2>&1 ||
        bail "initdb failed"
"${as_server[@]}" "$bin/pg_ctl" -D "$work/data" -l "$work/server.log" -w -t 60 -o "-k $work -c listen_addresses='' \
        -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=60 -c shared_buffers=64MB \
        -c deadlock_timeout=200ms -c log_min_messages=error -c timezone=Pacific/Auckland" \
        start >"$work/log" 2>&1 || bail "PostgreSQL did not start"

export PGHOST=$work PGPORT=5432 PGOPTIONS='-c client_min_messages=warning'
unset PGDATABASE PGUSER PGSERVICE PGPASSWORD
psql_() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

# The files in the order and in the one transaction in which `controld migrate` runs them.
apply_schema() {
        local file kind

        echo "BEGIN;"
        cat "$SLUICE_SQL/bootstrap.sql" "$SLUICE_SQL/roles.sql"
        for file in "$SLUICE_SQL"/migrations/*.sql "$SLUICE_SQL"/api/*.sql; do
                kind=migration
                [ "$(basename "$(dirname "$file")")" = api ] && kind=api
                echo "\\echo $kind $(basename "$file")"
                cat "$file"
                echo "INSERT INTO sluice.migration (kind, name, sha256)
                      VALUES ('$kind', '$(basename "$file")', '$(sha256sum "$file" | cut -d' ' -f1)');"
        done
        echo "COMMIT;"
}

psql_ -U postgres -d postgres -c "CREATE ROLE sluice_owner LOGIN CREATEROLE" \
        -c "CREATE DATABASE blank OWNER sluice_owner" >"$work/log" 2>&1 || bail "cannot create the database"
apply_schema | psql_ -U sluice_owner -d blank >"$work/log" 2>&1 || bail "the schema does not apply"
psql_ -U postgres -d blank -c "CREATE SCHEMA tap" -c "CREATE EXTENSION pgtap SCHEMA tap" \
        -c "GRANT USAGE ON SCHEMA tap TO PUBLIC" >"$work/log" 2>&1 ||
        skip_all "no pgTAP for this PostgreSQL (Debian: postgresql-15-pgtap)"
psql_ -U sluice_owner -d blank -f "$(dirname "${BASH_SOURCE[0]}")/fixtures.psql" >"$work/log" 2>&1 || bail "the fixtures do not apply"

copy_database() {
        psql_ -U postgres -d postgres -c "CREATE DATABASE $1 OWNER sluice_owner TEMPLATE blank" >"$work/log" 2>&1 ||
                bail "cannot copy the database"
}
