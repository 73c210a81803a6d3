# Large batches, and a large fleet, where the planner knows nothing of either: the small tables were empty when it last looked at them,
# as after a quiet night. No statement compares each row of a batch with each of another, and none looks through the fleet.
. "$(dirname "$0")/lib.sh"

AGENTS=32 SLOTS=32 FLEET=1000
psql -X -q -U postgres -c "LOAD 'auto_explain'" 2>/dev/null || { echo "1..0 # SKIP no auto_explain"; exit 0; }

sql "CREATE FUNCTION t.auths() RETURNS bytea LANGUAGE sql AS 'SELECT string_agg(t.h(''n'' || n), ''''::bytea ORDER BY n) FROM generate_series(1, $AGENTS) n'" \
    "CREATE FUNCTION t.polls() RETURNS jsonb LANGUAGE sql AS '
        SELECT jsonb_agg(jsonb_build_object(
                       ''session'', t.id(''session of n'' || n), ''boot'', md5(''boot of n'' || n), ''version'', ''1.0'', ''slots'', $SLOTS, ''draining'', false, ''wait_sec'', 0,
                       ''attempts'', (SELECT coalesce(jsonb_agg(jsonb_build_object(''attempt'', x.attempt, ''epoch'', x.epoch, ''state'', ''ended'')), ''[]'')
                                        FROM sluice.assignment x WHERE x.instance = t.id(''n'' || n))) ORDER BY n)
          FROM generate_series(1, $AGENTS) n'" \
    "CREATE FUNCTION t.ends() RETURNS jsonb LANGUAGE sql AS '
        SELECT jsonb_agg(jsonb_build_object(''session'', t.id(''session of n'' || n), ''events'', (
                       SELECT jsonb_agg(e) FROM sluice.assignment x CROSS JOIN LATERAL unnest(ARRAY[
                              t.success(x.attempt, x.epoch), t.event(x.attempt, x.epoch, ''logged'', ''{\"sequence\": 0}'')]) e WHERE x.instance = t.id(''n'' || n))) ORDER BY n)
          FROM generate_series(1, $AGENTS) n'" \
    "SELECT t.pipe('p', '{a}')" "SELECT t.agent('n' || n, $SLOTS) FROM generate_series(1, $AGENTS) n" \
    "SELECT t.sync('n' || n) FROM generate_series(1, $AGENTS) n" "ANALYZE" >/dev/null 2>&1

pages() { # that a new run touches, once its plans are made
        sql "VACUUM" >/dev/null 2>&1
        printf '%s\n' "SELECT t.run('p') FROM generate_series(1, 3) \\g /dev/null" \
                "EXPLAIN (ANALYZE, BUFFERS, COSTS off, TIMING off, FORMAT json) SELECT t.run('p');" |
                psql -X -q -A -t -c "SET search_path = tap, public" -f - |
                awk '/"Shared Hit Blocks"/ { gsub(/[^0-9]/, ""); print; exit }'
}
small=$(pages)

# Twice as many runs as there are seats; those without one wait. Then all that is done goes into one call each.
begin="SELECT t.run('p') FROM generate_series(1, $((2 * AGENTS * SLOTS))) \\g /dev/null"
poll="SELECT count(*) FROM api.agent_sync_batch(t.auths(), t.polls());"
finish="SELECT count(*) FROM api.agent_events_batch(t.auths(), t.ends());"
{ echo "$begin"
  echo "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on; SET auto_explain.log_analyze = on;"
  echo "SET auto_explain.log_timing = off; SET auto_explain.log_level = notice; SET client_min_messages = notice;"
  echo "$poll" "$finish" "$poll" "$finish" "$poll"
} | psql -X -q -A -t -U postgres -v ON_ERROR_STOP=1 -c "SET search_path = tap, public" -f - >"$WORK/batches" 2>&1
is "$(sql "SELECT count(*) FROM sluice.run WHERE state = 'succeeded'")" $((2 * AGENTS * SLOTS)) "two batches of $((AGENTS * SLOTS)) attempts were done"
is "$(($(grep -c ' Scan' "$WORK/batches") > 100))" 1 "plans were seen"
most=$(grep -oE "Rows Removed by (Join )?Filter: [0-9]+" "$WORK/batches" | grep -oE '[0-9]+$' | sort -n | tail -n 1)
is "$((most < 16 * AGENTS * SLOTS))" 1 "no statement compares each with each (it looked at $most rows in vain)"
rm -f "$WORK/batches"

sql "SELECT t.agent('m' || n, $SLOTS) FROM generate_series(1, $FLEET) n" "SELECT t.sync('m' || n) FROM generate_series(1, $FLEET) n" >/dev/null
large=$(pages)
is "$((large < 2 * small + 50))" 1 "a run is placed with as many pages in a fleet of $((AGENTS + FLEET)) as in one of $AGENTS ($small, $large)"
done_testing
