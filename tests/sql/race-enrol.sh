# Keys and deployments from several sessions at once.
. "$(dirname "$0")/lib.sh"

sql "SELECT api.key_create(t.h('owner'), '{\"type\": \"enrolment\", \"max_uses\": 3}', t.h('key'))" >/dev/null
enroll() { # name, errors are answers
        echo "SELECT t.error(format('SELECT * FROM api.agent_enroll(t.h(%L), %L, %L)', 'key', jsonb_build_object(
                'instance', t.id('$1'), 'name', '$1', 'type', 'batch', 'slots', 1, 'version', '1', 'protocol', 1,
                'hostname', 'h'), t.h('$1' || pg_backend_pid())));"
}

race "$(enroll a)" "$(enroll b)" "$(enroll c)" "$(enroll d)" "$(enroll e)" "$(enroll f)"
is "$(sort "$WORK"/race.[1-6] | uniq -c | sed 's/^ *//' | tr '\n' ';')" "3 ZF403 key-used-up;3 none;" "a key for three lets three in"
is "$(sql "SELECT count(*) || ' ' || (SELECT count(*) FROM sluice.agent) FROM sluice.instance")" "3 3" "and three there are"

sql "UPDATE sluice.key SET max_uses = 4" >/dev/null
race "$(enroll g)" "$(enroll g)" "$(enroll g)"
is "$(sort -u "$WORK"/race.[1-3])" "none" "one instance that asks three times at once is enrolled"
is "$(sql "SELECT count(*) FROM sluice.instance")" 4 "once"

deploy() { echo "SELECT api.pipe_put(t.h('owner'), 'default', 'p', '000000000000000$1', t.spec('{a}'), '') ->> 'created';"; }
race "$(deploy 1)" "$(deploy 1)" "$(deploy 2)" "$(deploy 2)"
is "$(sort "$WORK"/race.[1-4] | tr '\n' ' ')" "false false true true " "a version is created once"

sql "SELECT format('DROP TABLE sluice.%I', c.relname) FROM pg_class c WHERE c.relname ~ '_p\d{6}\$' AND relkind = 'r'" |
        while read -r drop; do sql "$drop"; done
race "SELECT api.maintain();" "SELECT api.maintain();" "SELECT api.maintain();"
is "$(sql "SELECT count(*) FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhparent WHERE c.relnamespace = 'sluice'::regnamespace AND c.relkind = 'p'")" \
   30 "partitions are made once"

done_testing
