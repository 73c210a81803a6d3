# Whether anything waits, asked by one session that remembers where its last look came to, whatever others have under way meanwhile.
. "$(dirname "$0")/lib.sh"

sql "SELECT t.agent('one', 8)" "SELECT t.pipe('p', '{a}')" >/dev/null # nobody is there to take anything

# Two sessions that stay: 8 looks, 9 is slow.
for fd in 8 9; do
        mkfifo "$WORK/say.$fd"
        : >"$WORK/said.$fd"
        psql -X -q -A -t <"$WORK/say.$fd" >"$WORK/said.$fd" 2>&1 &
done
exec 8>"$WORK/say.8" 9>"$WORK/say.9"
answer= turn=0
has() { # session statement: has it run to its end, and keeps its answer
        turn=$((turn + 1))
        printf '%s\n' "\\echo begin $turn" "$2" "\\echo end $turn" >&"$1"
        until grep -qx "end $turn" "$WORK/said.$1"; do
                [ "$(jobs -r | wc -l)" = 2 ] || break
        done
        answer=$(sed -n "/^begin $turn\$/,/^end $turn\$/{//!p}" "$WORK/said.$1")
}
looks() { # want name
        has 8 "SELECT sluice.queue_waits();"
        is "$answer" "$1" "$2"
}
cancel() { sql "SELECT api.run_cancel(t.h('owner'), id) FROM sluice.run WHERE ended_at IS NULL" >/dev/null; }

looks f "nothing waits"
sql "SELECT t.run('p')" >/dev/null
looks t "one waits"
cancel
looks f "it is gone"

# A transaction that was there before others which came and went, and queues only now.
has 9 "SET search_path = tap, public; BEGIN; SELECT pg_current_xact_id();"
for i in 1 2 3; do
        sql "SELECT t.run('p')" >/dev/null
        cancel
        looks f "it does not see what is under way ($i)"
done
has 9 "SELECT t.run('p');"
looks f "nor what was queued there"
has 9 "COMMIT;"
looks t "it sees it once that has ended"

# One that is taking it, and does not.
has 9 "BEGIN; DELETE FROM sluice.queue;"
looks t "what somebody is taking waits"
has 9 "ROLLBACK;"
looks t "and when he leaves it, it waits still"
cancel
looks f "until it is gone"

# Rows of another cluster, whose transactions have higher numbers.
sql "SELECT t.run('p')" "UPDATE sluice.queue SET queued_by = (pg_current_xact_id()::text::int8 + 1000000000)::text::xid8" >/dev/null
looks t "a restored row waits"
cancel
sql "SELECT t.run('p')" >/dev/null
looks t "and so does the one after it"
cancel

# Rows that left while somebody has a snapshot of before: they cannot be removed, and are not passed over again and again.
sql "CREATE PROCEDURE t.pass() LANGUAGE plpgsql AS '
        DECLARE v sluice.pipe_version;
        BEGIN
                SELECT * INTO v FROM sluice.pipe_version WHERE pipe = ''p'';
                FOR i IN 1 .. 20 LOOP
                        CREATE TEMP TABLE made ON COMMIT DROP AS SELECT sluice.uuid_v7() AS run, sluice.uuid_v7() AS attempt FROM generate_series(1, 1000);
                        INSERT INTO sluice.run (id, project, pipe, version) SELECT m.run, v.project, v.pipe, v.version FROM made m;
                        INSERT INTO sluice.task (run, name, position, state) SELECT m.run, ''a'', 0, ''queued'' FROM made m;
                        INSERT INTO sluice.attempt (id, run, task) SELECT m.attempt, m.run, ''a'' FROM made m;
                        INSERT INTO sluice.queue (attempt, run, demand) SELECT m.attempt, m.run, v.demands[1] FROM made m;
                        DELETE FROM sluice.queue;
                        COMMIT;
                END LOOP;
        END'" >/dev/null
has 9 "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM sluice.run;"
sql "CALL t.pass()"
looks f "nothing waits behind 20,000 rows that have left"
pages() {
        has 8 "EXPLAIN (ANALYZE, BUFFERS, COSTS off, TIMING off, SUMMARY off) SELECT sluice.queue_waits();"
        grep -o -m1 'shared hit=[0-9]*' <<<"$answer" | grep -o '[0-9]*'
}
few=$(pages)
is "$((few < 50))" 1 "and the next look does not pass them over again: $few pages"
exec 8>&- 9>&-
wait
done_testing
