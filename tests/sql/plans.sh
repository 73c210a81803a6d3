# The statements of dispatch on a filled database: none reads a whole table that grows, and none gets dearer with the queue and the
# history. Every plan that is executed, also inside functions, is told by auto_explain, which only a superuser may load.
. "$(dirname "$0")/lib.sh"

SMALL=1000 LARGE=40000
psql -X -q -U postgres -c "LOAD 'auto_explain'" 2>/dev/null || { echo "1..0 # SKIP no auto_explain"; exit 0; }

sql "CREATE FUNCTION t.finish(p_agent text) RETURNS jsonb LANGUAGE sql AS '
        SELECT t.events(p_agent, VARIADIC array_agg(e)) FROM (
                SELECT unnest(ARRAY[t.success(x.attempt, x.epoch), t.event(x.attempt, x.epoch, ''logged'', ''{\"sequence\": 0}'')]) AS e
                  FROM sluice.assignment x WHERE x.instance = t.id(p_agent)) s'" \
    "CREATE FUNCTION t.has(p_agent text) RETURNS jsonb LANGUAGE sql AS '
        SELECT jsonb_agg(jsonb_build_object(''attempt'', x.attempt, ''epoch'', x.epoch, ''state'', ''running''))
          FROM sluice.assignment x WHERE x.instance = t.id(p_agent)'" \
    "SELECT t.pipe('p', '{a}'), t.pipe('limited', '{a}', '{\"concurrency_limit\": 5, \"priority\": 9}')" \
    "SELECT t.agent('n' || n, 8, jsonb_build_object('n', n::text)) FROM generate_series(1, 60) n" \
    "SELECT t.fill($SMALL, false), t.fill($SMALL, true)" "SELECT t.sync('n' || n) FROM generate_series(1, 50) n" "ANALYZE" >/dev/null 2>&1

# The calls: an instance that comes, one that says what it has, one that finishes and goes on, a run that is made in vain, and one with a limit, a look.
calls() { # number of the instance that comes
        echo "SELECT t.sync('n$1') \\g /dev/null"
        echo "SELECT t.sync('n$1', t.has('n$1')) \\g /dev/null"
        echo "SELECT t.finish('n$1') \\g /dev/null"
        echo "SELECT t.run('p') \\g /dev/null"
        echo "SELECT t.run('limited') \\g /dev/null"
        echo "INSERT INTO sluice.idle SELECT t.id('n60') ON CONFLICT DO NOTHING;"
        echo "SELECT api.dispatch() \\g /dev/null"
}
pages() { # pages that each call touches, once its plans are made
        {
                calls "$(($1))" && calls "$(($1 + 1))"
                calls "$(($1 + 2))" | sed 's/^SELECT/EXPLAIN (ANALYZE, BUFFERS, COSTS off, TIMING off, FORMAT json) SELECT/; s/ \\g .*/ \\g/; s/$//' |
                        sed '/^EXPLAIN/s/ \\g$/;/'
        } | psql -X -q -A -t -c "SET search_path = tap, public" -f - |
                awk '/"Plan": \{/ { first = 1 } first && /"Shared Hit Blocks"/ { gsub(/[^0-9]/, ""); print; first = 0 }'
}
plans() {
        { echo "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on;"
          echo "SET auto_explain.log_level = notice; SET client_min_messages = notice;"; calls "$1"; } |
                psql -X -q -A -t -U postgres -v ON_ERROR_STOP=1 2>&1
}

small=$(pages 51)
sql "SELECT t.fill($LARGE, false), t.fill($LARGE, true)" "ANALYZE" >/dev/null 2>&1
large=$(pages 54)
is "$(echo "$small" | wc -w) $(echo "$large" | wc -w)" "6 6" "six calls were measured"
names=(sync again finish run limited dispatch)
n=0
for pair in $(paste -d/ <(echo "$small") <(echo "$large")); do
        is "$((${pair#*/} <= 2 * ${pair%/*} + 50))" 1 "${names[n]}: with $((LARGE / SMALL)) times the queue and the history not twice the pages (${pair%/*}, ${pair#*/})"
        n=$((n + 1))
done

plans 57 >"$WORK/plans"
is "$(($(grep -c 'Index.* Scan' "$WORK/plans") > 20))" 1 "plans were seen"
# Small tables (assignment has a row for each slot that is taken) and the partitions of other months are read whole, as they should be.
month=$(sql "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMM')")
is "$(grep -oE "Seq Scan on (queue|live_run|demand|(run|task|attempt)_p$month)( |\$)" "$WORK/plans" | sort | uniq -c)" "" \
   "no statement of dispatch reads a whole table that grows"
rm -f "$WORK/plans"
done_testing
