# Limits and memory while many place at once: never more than allowed, and in the end no less.
. "$(dirname "$0")/lib.sh"

sql "SELECT t.agent('n' || n, 4) FROM generate_series(1, 8) n" "UPDATE sluice.instance SET memory_bytes = 130 * 1024 * 1024" \
    "SELECT t.pipe('two', '{a}', '{\"concurrency_limit\": 2}'), t.pipe('key', '{a}', '{\"concurrency_key\": \"k\", \"concurrency_limit\": 3}')" \
    "SELECT t.pipe('free', '{a}')" "SELECT t.sync('n' || n) FROM generate_series(1, 8) n" >/dev/null
live() { sql "SELECT coalesce(string_agg(subject || '=' || n, ' ' ORDER BY subject), 'none') FROM (
                SELECT subject, count(*) AS n FROM sluice.live_run WHERE subject IS NOT NULL GROUP BY subject) s"; }
look() { while [ "$(sql "SELECT api.dispatch()")" = t ]; do :; done; }

make="$(repeat 8 "SELECT t.run('two'), t.run('key') \\g /dev/null")"
race "$make" "$make" "$make" "$make" "$(repeat 30 "SELECT api.dispatch() \\g /dev/null")" "$(repeat 10 "SELECT t.sync('n@') \\g /dev/null" | head -n 8)"
look
is "$(live)" "key k=3 pipe two=2" "as many as each limit allows, whoever places them"

# Ends, while others look for the places that come free.
sql "CREATE FUNCTION t.end(p_agent text) RETURNS jsonb LANGUAGE sql AS '
        SELECT t.events(p_agent, VARIADIC array_agg(t.success(x.attempt, x.epoch))) FROM sluice.assignment x WHERE x.instance = t.id(p_agent)
        HAVING count(*) > 0'" >/dev/null
ends() { repeat 10 "SELECT t.end('n$1'), t.end('n$2') \\g /dev/null"; }
race "$(ends 1 2)" "$(ends 3 4)" "$(ends 5 6)" "$(repeat 20 "SELECT api.dispatch() \\g /dev/null")"
is "$(sql "SELECT string_agg(DISTINCT (n <= CASE subject WHEN 'pipe two' THEN 2 ELSE 3 END)::text, ' ') FROM (
        SELECT subject, count(*) AS n FROM sluice.live_run WHERE subject IS NOT NULL GROUP BY subject) s")" true "no more while some end and others begin"
for i in $(seq 40); do
        [ "$(sql "SELECT count(*) FROM sluice.queue")/$(sql "SELECT count(*) FROM sluice.assignment")" = 0/0 ] && break
        sql "SELECT t.end('n' || n) FROM generate_series(1, 8) n" >/dev/null
        look
done
is "$(sql "SELECT count(*), count(*) FILTER (WHERE state = 'succeeded') FROM sluice.run")/$(live)" "64|64/none" "all of them run in the end"

# A run of a version without a limit gives its place to one that has it, and wants another host.
on() { echo "t.selector('{\"$1\": \"\"}')"; }
sql "SELECT t.agent(n, 2, jsonb_build_object(n, '')), t.sync(n) FROM unnest('{here,there}'::text[]) n" \
    "SELECT t.pipe('moved', '{a}', $(on here))" "SELECT t.run('moved')" "SELECT t.pipe('moved', '{a}', $(on there) || '{\"concurrency_limit\": 1}')" >/dev/null
new=$(sql "SELECT t.run('moved')")
is "$(sql "SELECT (t.attempt('$new')).state")" queued "a run of a version without a limit counts for another's"
beside "SELECT t.end('here')" "SELECT 1"
is "$(sql "SELECT (t.attempt('$new')).state")" assigned "whoever ends it asks for a look"
sql "SELECT t.end('there')" "UPDATE sluice.instance SET draining = true WHERE id IN (t.id('here'), t.id('there'))" >/dev/null

# 64M each on hosts of 130M: two on each, though each has four slots.
make="$(repeat 8 "SELECT t.run('free') \\g /dev/null")"
race "$make" "$make" "$make" "$(repeat 8 "SELECT t.sync('n@') \\g /dev/null")" "$(repeat 20 "SELECT api.dispatch() \\g /dev/null")"
look
is "$(sql "SELECT count(*), (SELECT max(n) FROM (SELECT count(*) AS n FROM sluice.assignment GROUP BY instance) s) FROM sluice.assignment")" "16|2" \
   "no more memory than each host has, and no less"

done_testing
