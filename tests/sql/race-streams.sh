# Streaming pipes are started, stopped, restarted and deployed while agents with two instances ask for work and report: one of them on
# an agent, no deadlock, and in the end what people want.
. "$(dirname "$0")/lib.sh"

sql "SELECT t.agent('n' || n, 1, '{}', 'streaming') FROM generate_series(1, 2) n" \
    "SELECT t.agent('n3', 1, '{\"pair\": \"\"}', 'streaming')" \
    "SELECT api.key_create(t.h('owner'), jsonb_build_object('type', 'api', 'agents', jsonb_build_array('n' || n)), t.h('api ' || n)) FROM generate_series(1, 3) n" \
    "SELECT api.agent_enroll(t.h('api ' || n), jsonb_build_object('instance', t.id('m' || n), 'agent', a.id, 'type', 'streaming', 'slots', 1,
            'version', '1.0', 'protocol', 1, 'hostname', 'm.example'), t.h('m' || n)) FROM generate_series(1, 3) n JOIN sluice.agent a ON a.name = 'n' || n" \
    "CREATE FUNCTION t.put(p_pipe int, p_version int) RETURNS json LANGUAGE sql AS 'SELECT t.pipe(''s'' || p_pipe, ''{a}'',
            jsonb_build_object(''type'', ''streaming'', ''description'', p_version::text, ''overlap'', CASE p_pipe % 2 WHEN 0 THEN ''no'' ELSE ''brief'' END))'" \
    "SELECT t.put(n, 0) FROM generate_series(1, 3) n" \
    "SELECT t.sync(n) FROM unnest('{n1,n2,m1,m2}'::text[]) n" >/dev/null

# Two instances of an agent ask at once, and there are two to be had.
sql "SELECT t.pipe('x' || n, '{a}', t.selector('{\"pair\": \"\"}') || '{\"type\": \"streaming\"}'), api.stream_start(t.h('owner'), 'default', 'x' || n)
       FROM generate_series(1, 2) n" >/dev/null
beside "SELECT t.sync('n3')" "SELECT t.sync('m3')"
is "$(sql "SELECT count(*), count(DISTINCT stream_agent) FROM sluice.assignment")" "1|1" "one of them gets one, and the other none"
sql "SELECT api.stream_stop(t.h('owner'), 'default', 'x' || n) FROM generate_series(1, 2) n" "DELETE FROM sluice.assignment" \
    "UPDATE sluice.instance SET draining = true WHERE id IN (t.id('n3'), t.id('m3'))" >/dev/null

# An agent that does what it is told.
sql "CREATE PROCEDURE t.serve(p_name text, p_rounds int) LANGUAGE plpgsql AS '
        DECLARE
                a record; v_answer jsonb;
        BEGIN
                FOR i IN 1 .. p_rounds LOOP
                        v_answer := t.sync(p_name, coalesce((
                                SELECT jsonb_agg(jsonb_build_object(''attempt'', x.attempt, ''epoch'', x.epoch, ''state'', ''running'')) FROM sluice.assignment x
                                  JOIN sluice.attempt y ON y.id = x.attempt WHERE x.instance = t.id(p_name) AND y.started_at IS NOT NULL), ''[]''));
                        COMMIT;
                        FOR a IN SELECT (e ->> ''attempt'')::uuid AS id, (e ->> ''epoch'')::int AS epoch FROM jsonb_array_elements(v_answer -> ''start'') e LOOP
                                PERFORM t.events(p_name, t.event(a.id, a.epoch, ''running''));
                                COMMIT;
                                PERFORM t.events(p_name, t.event(a.id, a.epoch, ''status'', ''{\"ready\": true}''));
                                COMMIT;
                        END LOOP;
                        FOR a IN SELECT (e ->> ''attempt'')::uuid AS id, (e ->> ''epoch'')::int AS epoch FROM jsonb_array_elements(v_answer -> ''stop'') e LOOP
                                PERFORM t.events(p_name, t.event(a.id, a.epoch, ''ended'', ''{\"result\": \"success\", \"exit_code\": \"killed\", \"exit_status\": 15}''),
                                                 t.event(a.id, a.epoch, ''logged'', ''{\"sequence\": 0}''));
                                COMMIT;
                        END LOOP;
                        IF random() < 0.2 THEN -- one ends by itself
                                PERFORM t.events(p_name, t.event(x.attempt, x.epoch, ''ended'', ''{\"result\": \"stopped\"}'')) FROM sluice.assignment x
                                  WHERE x.instance = t.id(p_name) AND x.state = ''running'' LIMIT 1;
                                COMMIT;
                        END IF;
                END LOOP;
        END'" >/dev/null
serve() { echo "CALL t.serve('$1', $2);"; }
want() { repeat 12 "SELECT api.stream_$1(t.h('owner'), 'default', 's' || 1 + (@ + $2) % 3) \\g /dev/null"; }
race "$(serve n1 30)" "$(serve m1 30)" "$(serve n2 30)" "$(serve m2 30)" "$(want start 0)" "$(want restart 1)" "$(want stop 2)" \
     "$(repeat 12 "SELECT t.put(1 + @ % 3, @) \\g /dev/null")" "$(repeat 60 "SELECT api.dispatch() \\g /dev/null")" \
     "$(repeat 10 "SELECT api.presence_flush('{}') \\g /dev/null")"

is "$(sql "SELECT count(*) FROM (SELECT stream_agent FROM sluice.assignment GROUP BY 1 HAVING count(*) FILTER (WHERE NOT retiring) > 1 OR count(*) > 2) s")" 0 \
   "no agent has more than one, and one that goes"

# Two of three shall run: there are two agents.
sql "SELECT api.stream_start(t.h('owner'), 'default', s) FROM unnest('{s1,s2}'::text[]) s" "SELECT api.stream_stop(t.h('owner'), 'default', 's3')" >/dev/null
for i in $(seq 60); do
        state=$(sql "UPDATE sluice.stream SET again_at = clock_timestamp() WHERE again_at IS NOT NULL" \
                    "SELECT string_agg(sluice.stream_json(project, pipe) ->> 'state', ' ' ORDER BY pipe) FROM sluice.stream WHERE pipe LIKE 's%'")
        [ "$state" = "running running stopped" ] && break
        # Without the ends of their own, it comes to rest.
        sql "UPDATE sluice.presence SET last_seen_at = clock_timestamp()" "SELECT setseed(0)" "SELECT api.presence_flush('{}')" "CALL t.serve('n1', 1)" "CALL t.serve('m1', 1)" \
            "CALL t.serve('n2', 1)" "CALL t.serve('m2', 1)" "SELECT api.dispatch()" >/dev/null
done
is "$state" "running running stopped" "in the end each does what is wanted"
is "$(sql "SELECT count(*), count(DISTINCT stream_agent), count(*) FILTER (WHERE retiring) FROM sluice.assignment")" "2|2|0" "each on an agent of its own"
is "$(sql "SELECT count(*) FROM sluice.run r WHERE pipe LIKE 's%' AND ended_at IS NULL AND NOT EXISTS (SELECT FROM sluice.stream s WHERE s.run = r.id)")" 0 "no other run is left"

# Reports take runs in the order of their names; so does who deploys several pipes.
for n in 2 1; do
        sql "SELECT t.pipe('y$n', '{a}', t.selector('{\"none\": \"\"}') || '{\"type\": \"streaming\"}'), api.stream_start(t.h('owner'), 'default', 'y$n')" >/dev/null
done
run_of() { echo "SELECT FROM sluice.run WHERE id = (SELECT run FROM sluice.stream WHERE pipe = '$1') FOR NO KEY UPDATE;"; }
behind "$(run_of y2)" "SELECT api.pipe_put_many(t.h('owner'), 'default', jsonb_build_object('pipes', jsonb_agg(jsonb_build_object(
                               'pipe', 'y' || n, 'version', 'fedcba9876543210', 'spec', t.spec('{b}', '{\"type\": \"streaming\"}'), 'source', 'x')))) FROM generate_series(1, 2) n" \
       "$(run_of y1)"

done_testing
