# Many make runs while instances ask for work and report: no attempt on two instances, no instance over
# its slots, nothing left behind, no deadlock.
. "$(dirname "$0")/lib.sh"

sql "SELECT t.agent('n' || n, 3) FROM generate_series(1, 4) n" "SELECT t.sync('n' || n) FROM generate_series(1, 4) n" \
    "SELECT t.pipe('p', '{a}'), t.pipe('w', '{a,b,c<a b}')" >/dev/null

# A double hand-out would leave its mark here: each epoch of an attempt has one instance.
sql "CREATE TABLE t.given (attempt uuid, epoch int, instance uuid, seat int, at timestamptz DEFAULT clock_timestamp())" \
    "CREATE FUNCTION t.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
        INSERT INTO t.given (attempt, epoch, instance, seat) VALUES (NEW.attempt, NEW.epoch, NEW.instance, NEW.seat);
        IF (SELECT count(*) FROM sluice.assignment WHERE instance = NEW.instance) > 3 THEN
                RAISE ''over its slots'';
        END IF;
        RETURN NULL; END'" \
    "CREATE TRIGGER note AFTER INSERT ON sluice.assignment FOR EACH ROW EXECUTE FUNCTION t.note()"

# An agent that takes and finishes whatever it is given; sometimes it refuses.
sql "CREATE PROCEDURE t.work(p_name text, p_rounds int) LANGUAGE plpgsql AS '
        DECLARE
                a record; v_answer jsonb;
        BEGIN
                FOR i IN 1 .. p_rounds LOOP
                        v_answer := t.sync(p_name);
                        COMMIT;
                        FOR a IN SELECT (e ->> ''attempt'')::uuid AS id, (e ->> ''epoch'')::int AS epoch, random() AS luck
                                   FROM jsonb_array_elements(v_answer -> ''start'') e LOOP
                                IF a.luck < 0.1 THEN
                                        PERFORM t.events(p_name, t.event(a.id, a.epoch, ''refused'', ''{\"requeue\": true}''));
                                ELSE
                                        PERFORM t.events(p_name, t.event(a.id, a.epoch, ''running''));
                                        COMMIT;
                                        PERFORM t.events(p_name, t.success(a.id, a.epoch),
                                                         t.event(a.id, a.epoch, ''logged'', ''{\"sequence\": 0}''));
                                END IF;
                                COMMIT;
                        END LOOP;
                        -- Cancelled before it was heard of: it will not begin.
                        FOR a IN SELECT (e ->> ''attempt'')::uuid AS id, (e ->> ''epoch'')::int AS epoch
                                   FROM jsonb_array_elements(v_answer -> ''stop'') e LOOP
                                PERFORM t.events(p_name, t.event(a.id, a.epoch, ''refused''));
                                COMMIT;
                        END LOOP;
                        UPDATE sluice.queue SET avoid_until = clock_timestamp() WHERE random() < 0.2
                           AND attempt IN (SELECT attempt FROM sluice.queue FOR UPDATE SKIP LOCKED);
                        COMMIT;
                END LOOP;
        END'"

# First alone: runs made at once, more than there is room for.
race "$(repeat 12 "SELECT t.run('p') \\g /dev/null")" "$(repeat 12 "SELECT t.run('p') \\g /dev/null")" \
     "$(repeat 12 "SELECT t.run('w') \\g /dev/null")" "$(repeat 12 "SELECT t.run('p') \\g /dev/null")" \
     "$(repeat 12 "SELECT t.sync('n1') \\g /dev/null")" "$(repeat 12 "SELECT t.sync('n2') \\g /dev/null")"
# Who was passed over while others held what it needed is found by the look that they have asked for: a worker's.
sql "DO 'BEGIN WHILE api.dispatch() LOOP END LOOP; END'" >/dev/null
is "$(sql "SELECT count(*) || ' ' || count(DISTINCT attempt) FROM sluice.assignment")" "12 12" "every slot is taken once"
is "$(sql "SELECT count(*) FROM (SELECT run FROM sluice.assignment GROUP BY run HAVING count(DISTINCT instance) > 1) s")" 0 \
   "a run is on one instance"

# Then everything at once: runs made and cancelled, agents at work, sweeps.
race "CALL t.work('n1', 60);" "CALL t.work('n2', 60);" "CALL t.work('n3', 60);" "CALL t.work('n4', 60);" \
     "$(repeat 20 "SELECT t.run('w') \\g /dev/null")" "$(repeat 20 "SELECT t.run('p') \\g /dev/null")" \
     "$(repeat 20 "SELECT api.run_cancel(t.h('owner'), t.run('w')) \\g /dev/null")" \
     "$(repeat 20 "SELECT api.presence_flush(array_agg(id)) FROM sluice.instance \\g /dev/null")"

# What is left is finished by agents without haste. A refusal moves work to an agent whose turn is over, so turns go on until
# nothing is left; thirty of them are more than luck can need.
for i in $(seq 30); do
        [ "$(sql "SELECT count(*) FROM sluice.assignment")/$(sql "SELECT count(*) FROM sluice.queue")" = 0/0 ] && break
        sql "UPDATE sluice.queue SET avoid_until = clock_timestamp(), queued_at = queued_at - interval '1 minute'" \
            "SELECT api.presence_flush('{}')" "CALL t.work('n$((i % 4 + 1))', 20)" "CALL t.work('n$(((i + 1) % 4 + 1))', 20)" \
            "CALL t.work('n$(((i + 2) % 4 + 1))', 20)" "CALL t.work('n$(((i + 3) % 4 + 1))', 20)" >/dev/null
done
is "$(sql "SELECT count(*) FROM (SELECT attempt FROM t.given GROUP BY attempt, epoch HAVING count(*) > 1) s")" 0 \
   "no epoch of an attempt was given out twice"
is "$(sql "SELECT count(*) FROM sluice.assignment")/$(sql "SELECT count(*) FROM sluice.queue")" 0/0 "nothing is left out or waiting"
is "$(sql "SELECT string_agg(DISTINCT state, ' ' ORDER BY state) FROM sluice.run")" "cancelled succeeded" "every run is over"
is "$(sql "SELECT count(*) FROM sluice.run")" 108 "and all of them are there"
is "$(sql "SELECT count(*) FROM sluice.task t WHERE state NOT IN ('succeeded', 'cancelled')")" 0 "every task, too"
is "$(sql "SELECT count(*) FROM (SELECT run, task FROM sluice.attempt GROUP BY run, task HAVING count(*) > 1) s")" 0 \
   "no task was tried twice"
is "$(sql "SELECT count(*) FROM sluice.evidence")" 0 "and no report came to nothing"

done_testing
