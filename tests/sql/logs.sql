-- Chunks in sequence, once each, and read in order.
\i :here/fixture.inc
SELECT plan(13);
SELECT deploy('p'), join_fleet('a'), sync('a') \g /dev/null
CREATE TABLE r AS SELECT start_run('p') AS run;
CREATE TABLE a AS SELECT last_attempt(run, 'one') AS attempt FROM r;
CREATE FUNCTION append(p_seq int, p_epoch int DEFAULT 1) RETURNS text LANGUAGE sql AS $$
    SELECT accepted || ' ' || sequence || ' ' || cursor FROM api.agent_log_append(h('credential a'), (SELECT attempt FROM a), p_epoch,
        p_seq, 1, 'c' || p_seq, 'd' || p_seq, 1, 2, 3, 100, '\x00'::bytea) $$;

SELECT is((SELECT next || complete FROM api.run_logs(h('viewer'), (SELECT run FROM r), NULL, NULL, 1000)), 'false', 'an empty log says so');
SELECT is(append(2), 'false 0 ', 'a chunk out of sequence is refused, with the position');
SELECT is(append(1), 'true 1 d1', 'the first is stored');
SELECT is(append(1), 'true 1 d1', 'a repeat is answered the same way');
SELECT is((SELECT count(*)::int FROM sluice.log_chunk), 1, 'and stored once');
SELECT is(append(2), 'true 2 d2', 'the next follows');
SELECT throws_ok($$ SELECT append(3, 2) $$, 'ZF410', NULL, 'another epoch is refused');
SELECT is((SELECT string_agg(coalesce(sequence::text, '-'), ' ') FROM api.run_logs(h('viewer'), (SELECT run FROM r), NULL, NULL, 1000)), '1 2 0', 'read in order');
SELECT is((SELECT string_agg(sequence::text, ' ') FROM api.run_logs(h('viewer'), (SELECT run FROM r), NULL, (SELECT attempt || '/1/1' FROM a), 1000)), '2 0', 'and from a position');
SELECT is((SELECT string_agg(sequence::text, ' ') FROM api.run_logs(h('viewer'), (SELECT run FROM r), NULL, NULL, 100)), '1', 'at most so many bytes');
SELECT throws_ok($$ SELECT api.run_logs(h('viewer'), (SELECT run FROM r), NULL, 'x', 1) $$, 'ZF400', NULL, 'a position is checked');
SELECT throws_ok($$ SELECT api.run_logs(h('viewer'), (SELECT run FROM r), 'nine', NULL, 1) $$, 'ZF404', NULL, 'so is a task');
SELECT report('a', attempt, 1, '{"state":"ended","result":"exit-code","exit_status":1}'), report('a', attempt, 1, '{"state":"logged"}') FROM a \g /dev/null
SELECT is((SELECT bool_or(complete) FROM api.run_logs(h('viewer'), (SELECT run FROM r), NULL, NULL, 1000)), true, 'ended and logged, it is complete');
SELECT * FROM finish();
