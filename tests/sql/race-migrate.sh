# `controld migrate`, the real one: three that start together migrate once, again changes nothing, and a schema from a later
# release, or a migration that was edited, is refused with words.
. "$(dirname "$0")/lib.sh"

controld=${top_builddir:-.}/controld/controld
[ -x "$controld" ] || { echo "1..0 # SKIP controld is not built"; exit 0; }

database=migrate_$$
sqldir=$WORK/sql
cp -R "$SLUICE_SQL" "$sqldir"
psql -X -q -U postgres -d postgres -c "CREATE DATABASE $database OWNER sluice_owner"
migrate() {
        "$controld" --database="host=$PGHOST port=$PGPORT dbname=$database user=sluice_owner" --sql-directory="$sqldir" \
                --state-directory="$WORK" --runtime-directory="$WORK" "$@" migrate 2>&1
}
ask() { psql -X -q -A -t -U sluice_owner -d "$database" -c "$1"; }

for i in 1 2 3; do migrate >"$WORK/migrate.$i" & eval "pid$i=$!"; done
status=
for i in 1 2 3; do eval "wait \$pid$i"; status="$status$?"; done
is "$status" 000 "three start together and end well $(cat "$WORK"/migrate.[123] | grep -m1 -i error)"
is "$(cat "$WORK"/migrate.[123] | grep -c 'brought up to date')" 1 "one of them has changed the schema"
files=$(ls "$sqldir"/migrations/*.sql "$sqldir"/api/*.sql | wc -l)
is "$(ask "SELECT count(*) FROM sluice.migration")" "$files" "each file is on record once"

before=$(ask "SELECT md5(string_agg(m::text, ',' ORDER BY name)) FROM sluice.migration m")
is "$(migrate)" "" "once more says nothing"
is "$(ask "SELECT md5(string_agg(m::text, ',' ORDER BY name)) FROM sluice.migration m")" "$before" "and changes nothing"

echo "SELECT 1;" >>"$sqldir/api/run.sql"
is "$(migrate | grep -c 'brought up to date')" 1 "a changed function is applied"

ask "INSERT INTO sluice.migration (kind, name, sha256, breaking) VALUES ('migration', '9998_add_more.sql', 'x', false)"
migrate >/dev/null
is "$?" 0 "a later release that breaks nothing is lived with"
ask "INSERT INTO sluice.migration (kind, name, sha256, breaking) VALUES ('migration', '9999_break_all.sql', 'x', true)"
said=$(migrate)
is "$?/$(echo "$said" | grep -c 9999_break_all)" 2/1 "one that breaks is refused, and named"
ask "DELETE FROM sluice.migration WHERE name LIKE '999%'"

echo "SELECT 1;" >>"$sqldir/migrations/0002_create_history.sql"
said=$(migrate)
is "$?/$(echo "$said" | grep -c 0002_create_history)" 2/1 "a migration that was edited is refused, and named"

psql -X -q -U postgres -d postgres -c "DROP DATABASE $database"
done_testing
