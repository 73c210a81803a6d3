# What was stored before 0006 is there after it: selectors as terms under the same versions, what waits with its demand, what has begun as live.
. "$(dirname "$0")/lib.sh"

database=migrate_$$
psql -X -q -U postgres -d postgres -c "CREATE DATABASE $database OWNER sluice_owner"
ask() { psql -X -q -A -t -v ON_ERROR_STOP=1 -U sluice_owner -d "$database" "$@"; }

{ cat "$SLUICE_SQL/bootstrap.sql" "$SLUICE_SQL/roles.sql" "$SLUICE_SQL"/migrations/000[1-4]_*.sql; } | ask >/dev/null
ask <<'SQL'
BEGIN;
INSERT INTO sluice.pipe (project, name, version) VALUES ('default', 'p', repeat('a', 16)), ('default', 'q', repeat('b', 16));
INSERT INTO sluice.pipe_version (project, pipe, version, type, spec) VALUES
        ('default', 'p', repeat('a', 16), 'batch', '{"type": "batch", "agent_selector": {"region": "eu", "disk": null}, "tasks": [
                {"name": "a", "after": [], "directives": [["MemoryMax", "1G"], ["ExecStart", "/bin/true"]]},
                {"name": "b", "after": ["a"], "directives": [["ExecStart", "/bin/true"]]}]}'),
        ('default', 'q', repeat('b', 16), 'batch', '{"type": "batch", "agent_selector": null, "tasks": [
                {"name": "a", "after": [], "directives": [["ExecStart", "/bin/true"]]}]}');
COMMIT;
CREATE TABLE made AS SELECT p, sluice.uuid_v7() AS run, sluice.uuid_v7() AS attempt FROM unnest(ARRAY['p', 'q']) p;
INSERT INTO sluice.run (id, project, pipe, version) SELECT run, 'default', p, repeat(chr(ascii(p) - 15), 16) FROM made;
INSERT INTO sluice.task (run, name, position) SELECT run, 'a', 0 FROM made UNION ALL SELECT run, 'b', 1 FROM made WHERE p = 'p';
INSERT INTO sluice.attempt (id, run, task) SELECT attempt, run, CASE p WHEN 'p' THEN 'b' ELSE 'a' END FROM made;
INSERT INTO sluice.queue (attempt, run, type, selector, instance)
SELECT attempt, run, 'batch', CASE p WHEN 'p' THEN '{"region": "eu", "disk": null}' ELSE '{}' END::jsonb,
       CASE p WHEN 'p' THEN sluice.uuid_v7() END FROM made;
INSERT INTO sluice.agent (name, type) VALUES ('n', 'batch');
INSERT INTO sluice.key (type, hash, description) SELECT 'enrolment', sha256(k::bytea), k FROM unnest(ARRAY['two', 'none']) k;
INSERT INTO sluice.instance (id, agent, key, credential_hash, hostname, version, protocol, slots)
SELECT sluice.uuid_v7(), a.id, k.id, sha256(n::text::bytea), 'n.example', '1.0', 1, 1 FROM sluice.agent a, sluice.key k, generate_series(1, 2) n WHERE k.description = 'two';
SQL
{ echo "BEGIN;"; cat "$SLUICE_SQL"/migrations/000[5-9]_*.sql "$SLUICE_SQL"/migrations/00[1-9]?_*.sql "$SLUICE_SQL"/api/*.sql; echo "COMMIT;"; } | ask >/dev/null
is "$?" 0 "the migrations apply to a database with rows"
is "$(ask -c "SELECT version, sluice.selector_text(spec -> 'agent_selector') FROM sluice.pipe_version ORDER BY pipe" | paste -sd' ')" \
   "aaaaaaaaaaaaaaaa|disk, region=eu bbbbbbbbbbbbbbbb|" "versions keep their names, selectors are terms"
is "$(ask -c "SELECT array_length(demands, 1), (SELECT memory_bytes FROM sluice.demand WHERE id = demands[1]) FROM sluice.pipe_version ORDER BY pipe" | paste -sd' ')" \
   "2|1073741824 1|" "each task has a demand, with its memory"
is "$(ask -c "SELECT m.p, sluice.selector_text(d.selector), q.demand = v.demands[t.position + 1], q.priority
                FROM made m JOIN sluice.queue q ON q.run = m.run JOIN sluice.attempt a ON a.id = q.attempt JOIN sluice.demand d ON d.id = q.demand
                JOIN sluice.task t ON t.run = m.run AND t.name = a.task JOIN sluice.pipe_version v ON v.pipe = m.p ORDER BY 1" | paste -sd' ')" \
   "p|disk, region=eu|t|0 q||t|0" "what waits has the demand of its task"
is "$(ask -c "SELECT m.p, l.pipe FROM made m JOIN sluice.live_run l ON l.run = m.run")" "p|p" "the run that has begun is live, of its pipe, and the other is not"
is "$(ask -c "SELECT description, uses FROM sluice.key ORDER BY 1" | paste -sd' ')" "none|0 two|2" "the uses of a key are those that are still there"

psql -X -q -U postgres -d postgres -c "DROP DATABASE $database"
done_testing
