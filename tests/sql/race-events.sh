# The same reports, the same requests, the same chunks from several sessions at once: one has the
# effect, all are answered the same.
. "$(dirname "$0")/lib.sh"

sql "SELECT t.agent('one', 8)" "SELECT t.sync('one')" "SELECT t.pipe('p', '{a,b<a}')" >/dev/null

# `ended` twice at once: the run goes on once.
run=$(sql "SELECT t.run('p')")
a=$(sql "SELECT (t.attempt('$run')).id")
ended="SELECT jsonb_array_length(t.events('one', t.success('$a')) -> 'acknowledged');"
race "$ended" "$ended" "$ended" "$ended"
is "$(cat "$WORK"/race.[1-4] | tr '\n' ' ')" "1 1 1 1 " "each of four reports is acknowledged"
is "$(sql "SELECT count(*) FROM sluice.attempt WHERE run = '$run'")" 2 "and the next task was queued once"
is "$(sql "SELECT count(*) FROM sluice.evidence")" 0 "repeats are no evidence"

# Success and cancel at once: one of two stories, told completely.
for i in 1 2 3 4 5; do
        run=$(sql "SELECT t.run('p')")
        a=$(sql "SELECT (t.attempt('$run')).id")
        race "SELECT t.events('one', t.success('$a')) \\g /dev/null" "SELECT api.run_cancel(t.h('owner'), '$run') \\g /dev/null"
        sql "SELECT t.events('one', t.event((t.attempt('$run', 'b')).id, 1, 'refused')) WHERE (t.attempt('$run', 'b')).id IS NOT NULL" >/dev/null
        story=$(sql "SELECT state, t.tasks(id) FROM sluice.run WHERE id = '$run'")
        case $story in
        "cancelled|a:cancelled b:cancelled" | "cancelled|a:succeeded b:cancelled") is "$story" "$story" "success against cancel" ;;
        *) is "$story" "one of two stories" "success against cancel" ;;
        esac
done

# Requeue and an old report, and a requeue twice at once.
sql "SELECT t.agent('two', 8)" "SELECT t.sync('two')" >/dev/null
run=$(sql "SELECT t.run('p')")
a=$(sql "SELECT (t.attempt('$run')).id")
who=$(sql "SELECT a.name FROM sluice.agent a WHERE a.id = (t.attempt('$run')).agent")
refused="SELECT t.events('$who', t.event('$a', 1, 'refused', '{\"requeue\": true}')) \\g /dev/null"
race "$refused" "$refused" "SELECT t.events('$who', t.success('$a', 0)) \\g /dev/null"
is "$(sql "SELECT epoch, state, (SELECT name FROM sluice.agent WHERE id = agent) <> '$who' FROM sluice.attempt WHERE id = '$a'")" \
   "2|assigned|t" "a requeue happens once"

# One Idempotency-Key, four requests: one run.
create="SELECT t.run('p', 'key');"
race "$create" "$create" "$create" "$create"
is "$(sort -u "$WORK"/race.[1-4] | wc -l)" 1 "four requests with one Idempotency-Key are one run"
is "$(sql "SELECT count(*) FROM sluice.run WHERE id IN (SELECT run FROM sluice.idempotency)")" 1 "of which there is one row"

# The same chunks from four sessions: each stored once, in order, all accepted.
run=$(sql "SELECT t.run('p')")
a=$(sql "SELECT (t.attempt('$run')).id")
who=$(sql "SELECT a.name FROM sluice.agent a WHERE a.id = (t.attempt('$run')).agent")
append() { repeat 40 "SELECT left(t.log('$who', '$a', @, 'session $1 chunk @'), 1);"; }
race "$(append 1)" "$(append 2)" "$(append 3)" "$(append 4)"
is "$(sort -u "$WORK"/race.[1-4] | tr '\n' ' ')" "t " "every repeat is accepted"
is "$(sql "SELECT count(*), count(DISTINCT sequence), max(sequence) FROM sluice.log_chunk WHERE attempt = '$a'")" "40|40|40" \
   "40 chunks are stored once each"
is "$(sql "SELECT count(*) FROM sluice.log_chunk WHERE attempt = '$a' AND convert_from(data, 'UTF8') !~ (' ' || sequence || '\$')")" 0 \
   "each in its place"

# Readers while chunks come in: no chunk missing or twice, whatever the moment.
run=$(sql "SELECT t.run('p')")
a=$(sql "SELECT (t.attempt('$run')).id")
who=$(sql "SELECT a.name FROM sluice.agent a WHERE a.id = (t.attempt('$run')).agent")
sql "CREATE PROCEDURE t.follow(p_run uuid) LANGUAGE plpgsql AS '
        DECLARE v_place text := ''''; v_text text := ''''; v record;
        BEGIN
                FOR i IN 1 .. 20000 LOOP
                        SELECT string_agg(sequence || '','', '''') AS text, (array_agg(next))[count(*)] AS next, bool_or(complete) AS complete
                          INTO v FROM api.run_logs(t.h(''viewer''), p_run, NULL, v_place, 30);
                        v_text := v_text || coalesce(v.text, '''');
                        v_place := v.next;
                        EXIT WHEN v.complete;
                        COMMIT;
                END LOOP;
                RAISE EXCEPTION USING MESSAGE = v_text, ERRCODE = ''ZF200'';
        END'"
follow="\\set ON_ERROR_STOP 0
CALL t.follow('$run');"
race "$(repeat 30 "SELECT t.log('$who', '$a', @, 'chunk @') \\g /dev/null")
SELECT t.events('$who', t.failure('$a'), t.event('$a', 1, 'logged', '{\"sequence\": 30}')) \\g /dev/null" "$follow" "$follow"
want=$(seq -s, 1 30),
is "$(grep -o 'ERROR:.*' "$WORK/race.2")" "ERROR:  $want" "a reader that follows sees each chunk once"
is "$(grep -o 'ERROR:.*' "$WORK/race.3")" "ERROR:  $want" "and so does another"

done_testing
