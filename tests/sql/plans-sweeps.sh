# What every worker asks every ten seconds, on a database that has filled since its plans were made: none of it reads what has run, or what
# waits, for each instance.
. "$(dirname "$0")/lib.sh"

AGENTS=40 LARGE=20000 BOUND=400
psql -X -q -U postgres -c "LOAD 'auto_explain'" 2>/dev/null || { echo "1..0 # SKIP no auto_explain"; exit 0; }

sql "SELECT t.pipe('p', '{a}')" "SELECT t.agent('n' || n, 8) FROM generate_series(1, $AGENTS) n" \
    "SELECT t.sync('n' || n, '[]', '{\"self_fence_sec\": 60}') FROM generate_series(1, $AGENTS) n" "ANALYZE" >/dev/null 2>&1

# Each instance has eight attempts, and ten runs are bound to it. Of what is in the history some wait for their next try.
fill="SELECT t.run('p') FROM generate_series(1, 8 * $AGENTS);
      SELECT t.sync('n' || n, '[]', '{\"self_fence_sec\": 60}') FROM generate_series(1, $AGENTS) n;
      SELECT t.fill($LARGE, false), t.fill($LARGE, true);
      WITH bound AS (
              UPDATE sluice.queue q SET instance = b.instance
                FROM (SELECT x.attempt, t.id('n' || 1 + row_number() OVER () % $AGENTS) AS instance FROM (SELECT attempt FROM sluice.queue LIMIT $BOUND) x) b
               WHERE q.attempt = b.attempt RETURNING q.run, q.instance)
      UPDATE sluice.run r SET instance = b.instance FROM bound b WHERE r.id = b.run;
      UPDATE sluice.task SET state = 'waiting', retry_at = clock_timestamp() + interval '1 hour' WHERE run IN (SELECT run FROM sluice.queue WHERE instance IS NULL LIMIT $BOUND);"
silent="UPDATE sluice.attendance SET last_at = clock_timestamp(), since = since - interval '1 day'; SELECT t.silent('n' || n, '1 hour') FROM generate_series(1, 4) n;"
export FILL="SET search_path = tap, public; $fill" SILENT="SET search_path = tap, public; $silent"
flush="SELECT api.presence_flush('{}')"
measure="EXPLAIN (ANALYZE, BUFFERS, COSTS off, TIMING off, FORMAT json) $flush;"
{ for _ in 1 2 3 4 5 6 7 8; do echo "$flush \\g /dev/null"; done
  echo '\! psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$FILL" >/dev/null'
  echo "$measure"
  echo '\! psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$SILENT" >/dev/null'
  echo "$measure"
} | psql -X -q -A -t -v ON_ERROR_STOP=1 -c "SET search_path = tap, public" -f - >"$WORK/sweeps" 2>&1
read -r idle moving < <(awk '/"Plan": \{/ { first = 1 } first && /"Shared Hit Blocks"/ { gsub(/[^0-9]/, ""); print; first = 0 }' "$WORK/sweeps" | paste -s -d ' ')
lost=$(sql "SELECT count(*) FROM sluice.attempt WHERE outcome = 'lost'")
is "$lost" $((4 * 8)) "what four instances had was given up"
is "$(sql "SELECT count(*) FROM sluice.queue WHERE instance IN (SELECT t.id('n' || n) FROM generate_series(1, 4) n)")" 0 "what waited for them waits for anybody"
echo "# pages: $idle with nobody gone, $moving with four"
is "$((idle < 20 * BOUND))" 1 "with nobody gone not twenty pages for each run that is bound ($idle)"
is "$((moving < 600 * (lost + 4 * BOUND / AGENTS)))" 1 "with some gone not six hundred pages for each run that moves ($moving)"
rm -f "$WORK/sweeps"
done_testing
