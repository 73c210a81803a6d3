# Children of one task end in several sessions at once, while others begin for them: never more than RunOnAllBatch= are under way, each is
# done once, and the last one's end is the task's.
. "$(dirname "$0")/lib.sh"

sql "SELECT t.agent('w' || n, 1, '{\"web\": \"\"}') FROM generate_series(1, 12) n" "SELECT t.sync('w' || n) FROM generate_series(1, 12) n" >/dev/null
sql "SELECT t.deploy('p', '[{\"name\": \"f\", \"run_on_all\": [{\"key\": \"web\", \"operator\": \"exists\", \"values\": []}],
                            \"run_on_all_batch\": \"3\", \"run_on_all_success\": \"50%\"}]')" >/dev/null

# One step of a session that is four of the agents: each takes what there is for it, and ends what it has, every third one with a failure.
step() {
        echo "SELECT t.sync('w' || n) FROM generate_series($1, 12, 4) n \\g /dev/null
SELECT t.ends(g.name, x.run, a.task, CASE WHEN right(g.name, 1) IN ('3', '6', '9') THEN 'exit-code' ELSE 'success' END)
  FROM sluice.assignment x JOIN sluice.attempt a ON a.id = x.attempt JOIN sluice.agent g ON g.id = a.agent
 WHERE g.name IN (SELECT 'w' || n FROM generate_series($1, 12, 4) n) ORDER BY random() LIMIT 1 \\g /dev/null
SELECT count(*) FROM sluice.task WHERE run = '$run' AND parent IS NOT NULL AND NOT held AND state IN ('waiting', 'queued', 'running');"
}

for i in 1 2 3; do
        run=$(sql "SELECT t.run('p')")
        race "$(repeat 9 "$(step 1)")" "$(repeat 9 "$(step 2)")" "$(repeat 9 "$(step 3)")" "$(repeat 9 "$(step 4)")"
        is "$(sort -n "$WORK"/race.[1-4] | awk '$1 > 3' | sort -u)" "" "never more than three are under way"
        left=100
        while [ "$(sql "SELECT ended_at IS NULL FROM sluice.run WHERE id = '$run'")" = t ] && [ $((left -= 1)) -gt 0 ]; do
                for n in 1 2 3 4; do step $n | psql -X -q -A -t >/dev/null; done
        done
        is "$(sql "SELECT r.state, t.tasks(r.id) ~ '^f:succeeded ', (SELECT count(*) FROM sluice.task WHERE run = r.id AND state = 'failed')
                     FROM sluice.run r WHERE id = '$run'")" "succeeded|t|3" "the task is over with its last child"
        is "$(sql "SELECT count(*), count(DISTINCT task), max(try), max(epoch) FROM sluice.attempt WHERE run = '$run'")" "12|12|1|1" "each is done once"
done
is "$(sql "SELECT (SELECT count(*) FROM sluice.assignment) + (SELECT count(*) FROM sluice.queue) + (SELECT count(*) FROM sluice.evidence)")" 0 "nothing is left over"

done_testing
