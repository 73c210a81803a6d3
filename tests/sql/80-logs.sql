-- Logs and samples: in order, once, and found again.
SET search_path = tap, public;
SELECT no_plan();
SELECT t.agent('one', 8), t.agent('two', 1) \g /dev/null
SELECT t.sync('one') \g /dev/null
SELECT t.pipe('p', '{a,b,c<a}') \g /dev/null
SELECT t.run('p') AS r \gset
SELECT (t.attempt(:'r', 'a')).id AS a, (t.attempt(:'r', 'b')).id AS b \gset
CREATE FUNCTION pg_temp.read(p_run uuid, p_after text DEFAULT NULL, p_task text DEFAULT NULL, p_bytes int DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$
        SELECT string_agg(concat(task, epoch, '.', sequence, '=', convert_from(data, 'UTF8'), CASE WHEN complete THEN '!' END), ' ')
          FROM api.run_logs(t.h('viewer'), p_run, p_task, p_after, p_bytes)
$$;
CREATE FUNCTION pg_temp.next(p_run uuid, p_after text, p_task text DEFAULT NULL, p_bytes int DEFAULT NULL) RETURNS text
LANGUAGE sql AS $$
        SELECT (array_agg(next))[count(*)] FROM api.run_logs(t.h('viewer'), p_run, p_task, p_after, p_bytes)
$$;

-- Chunks come in, in order, once.
SELECT is(pg_temp.read(:'r'), '.=', 'an empty log is one row without data');
SELECT is(t.log('one', :'a', 2, 'early'), 'f 0 ', 'a chunk that does not follow is not taken');
SELECT is(t.log('one', :'a', 1, 'A'), 't 1 s=1', 'the first is');
SELECT is(t.log('one', :'a', 1, 'changed'), 't 1 s=1', 'again it is answered the same way');
SELECT is(convert_from(data, 'UTF8'), 'A', 'and changes nothing') FROM sluice.log_chunk;
SELECT is(t.log('one', :'a', 3, 'early'), 'f 1 s=1', 'no gap');
SELECT is(t.log('one', :'a', 2, 'B'), 't 2 s=2', 'the second follows');
SELECT is(t.log('one', :'a', 1, 'A'), 't 2 s=2', 'a late repeat learns where we are');
SELECT is(t.error(format('SELECT t.log(%L, %L, 1, %L)', 'two', :'a', 'x')), 'ZF404 attempt-not-found', 'not from a stranger');
SELECT is(t.error(format('SELECT t.log(%L, %L, 1, %L, 2)', 'one', :'a', 'x')), 'ZF404 attempt-not-found', 'not of an epoch to come');
SELECT is(t.error(format('SELECT t.log(%L, %L, 1, %L)', 'one', t.id('x'), 'x')), 'ZF404 attempt-not-found', 'not of nothing');
SELECT is(t.error(format('SELECT t.log(%L, %L, 0, %L)', 'one', :'a', 'x')), 'ZF400 bad-request', 'not number 0');
SELECT is(t.error(format('SELECT t.log(%L, %L, 3, %L)', 'one', :'a', '')), 'ZF400 bad-request', 'not an empty one');
SELECT is(t.error(format('SELECT t.log(%L, %L, 3, repeat(%L, 1048577))', 'one', :'a', 'x')), 'ZF400 bad-request', 'not too large a one');
SELECT is(t.error(format('SELECT t.log(%L, NULL, 3, %L)', 'one', 'x')), 'ZF400 bad-request', 'not without attempt');

-- Reading along, while two tasks write.
SELECT is(pg_temp.read(:'r'), 'a1.1=A a1.2=B', 'all that is there');
SELECT pg_temp.next(:'r', NULL) AS place \gset
SELECT is(pg_temp.read(:'r', :'place'), '.=', 'nothing new');
SELECT is(pg_temp.next(:'r', :'place'), :'place', 'the place stays');
SELECT t.log('one', :'b', 1, 'X'), t.log('one', :'a', 3, 'C') \g /dev/null
SELECT is(pg_temp.read(:'r', :'place'), 'a1.3=C b1.1=X', 'what is new, of both');
SELECT pg_temp.next(:'r', :'place') AS place \gset
SELECT t.log('one', :'a', 4, 'D') \g /dev/null
SELECT is(pg_temp.read(:'r', :'place'), 'a1.4=D', 'of the one that another had overtaken');
SELECT is(pg_temp.read(:'r', NULL, 'b'), 'b1.1=X', 'of one task');
SELECT is(t.error(format('SELECT pg_temp.read(%L, NULL, %L)', :'r', 'z')), 'ZF404 task-not-found', 'which must be there');
SELECT is(t.error(format('SELECT pg_temp.read(%L, %L)', :'r', p)), 'ZF400 bad-position', 'no position: ' || left(p, 20))
  FROM unnest(ARRAY['x', '1', '1.2.3', '1.2.3.4,', ',1.2.3.4', '1.2.3.99999999999', '-1.2.3.4', repeat('1.1.1.1,', 2100) || '1.1.1.1']) p;
SELECT is(t.error(format('SELECT pg_temp.read(%L)', t.id('x'))), 'ZF404 run-not-found', 'an unknown run');

-- In bites: every chunk once, whatever the limit.
CREATE FUNCTION pg_temp.bites(p_run uuid, p_bytes int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
        v_place text := '';
        v_text text := '';
        v_bite record;
BEGIN
        LOOP
                SELECT count(data) AS n, string_agg(convert_from(data, 'UTF8'), '') AS text, (array_agg(next))[count(*)] AS next
                  INTO v_bite FROM api.run_logs(t.h('viewer'), p_run, NULL, v_place, p_bytes);
                EXIT WHEN v_bite.n = 0;
                v_text := v_text || v_bite.text || '|';
                v_place := v_bite.next;
        END LOOP;
        RETURN v_text;
END
$$;
SELECT is(pg_temp.bites(:'r', 1), 'A|B|C|D|X|', 'one by one');
SELECT is(pg_temp.bites(:'r', 0), 'A|B|C|D|X|', 'at least one');
SELECT is(pg_temp.bites(:'r', 2), 'AB|CD|X|', 'two by two');
SELECT is(pg_temp.bites(:'r', 100), 'ABCDX|', 'all');

-- Complete: when the run is over and every log is.
SELECT t.events('one', t.success(:'a'), t.event(:'a', 1, 'logged', '{"sequence": 4}')) \g /dev/null
SELECT is(pg_temp.read(:'r', NULL, 'a'), 'a1.1=A a1.2=B a1.3=C a1.4=D!', 'a task''s log is complete when the task is');
SELECT t.events('one', t.failure((t.attempt(:'r', 'c')).id), t.event((t.attempt(:'r', 'c')).id, 1, 'logged', '{"sequence": 0}'),
                t.success(:'b')) \g /dev/null
SELECT is(t.get(:'r') ->> 'state', 'failed', 'the run is over');
SELECT is(pg_temp.read(:'r', NULL, 'c'), '.=!', 'an empty log can be complete');
SELECT is(right(pg_temp.read(:'r'), 6), 'b1.1=X', 'one log of it is not complete');
SELECT is(jsonb_array_length(t.events('one', t.event(:'b', 1, 'logged', '{"sequence": 2}')) -> 'acknowledged'), 0,
          'complete with more chunks than are stored: not acknowledged');
SELECT is(t.get(:'r') ->> 'log_complete', 'false', 'nor believed');
SELECT t.log('one', :'b', 2, 'Y') \g /dev/null
SELECT t.events('one', t.event(:'b', 1, 'logged', '{"sequence": 2}')) \g /dev/null
SELECT is(pg_temp.read(:'r'), 'a1.1=A a1.2=B a1.3=C a1.4=D b1.1=X b1.2=Y!', 'now it is');
SELECT is(pg_temp.read(:'r', NULL, NULL, 5), 'a1.1=A a1.2=B a1.3=C a1.4=D b1.1=X', 'not before its end is read');
SELECT is(pg_temp.read(:'r', pg_temp.next(:'r', NULL)), '.=!', 'and at its end it still is');

-- However many logs a run has, a position fits into an address.
CREATE FUNCTION pg_temp.pages(p_run uuid, p_bytes int, OUT chunks text, OUT longest int) LANGUAGE plpgsql AS $$
DECLARE
        v_place text := '';
        v_page record;
BEGIN
        LOOP
                SELECT count(data) AS n, string_agg(convert_from(data, 'UTF8'), ' ') AS text, (array_agg(next))[count(*)] AS next
                  INTO v_page FROM api.run_logs(t.h('viewer'), p_run, NULL, v_place, p_bytes);
                EXIT WHEN v_page.n = 0;
                chunks := concat_ws(' ', chunks, v_page.text);
                v_place := v_page.next;
                longest := greatest(longest, length(v_place));
        END LOOP;
END
$$;
CREATE FUNCTION pg_temp.each_once(p_chunks text, p_count int) RETURNS boolean LANGUAGE sql AS $$
        SELECT count(*) = p_count AND count(DISTINCT c) = p_count FROM string_to_table(p_chunks, ' ') c
$$;
SELECT t.agent('wide', 300), t.sync('wide'), t.pipe('many', ARRAY(SELECT 't' || n FROM generate_series(1, 250) n)) \g /dev/null
UPDATE sluice.instance SET draining = true WHERE id <> t.id('wide');
SELECT t.run('many') AS many \gset
SELECT t.log('wide', a.id, n, a.task || '.' || n) FROM sluice.attempts_of(:'many') a, generate_series(1, 12) n ORDER BY n \g /dev/null
SELECT t.events('wide', VARIADIC array_agg(e)) FROM (SELECT t.success(a.id) AS e, row_number() OVER () / 60 AS part FROM sluice.attempts_of(:'many') a WHERE a.task <> 't7') x
 GROUP BY part \g /dev/null
SELECT t.events('wide', VARIADIC array_agg(e)) FROM (SELECT t.event(a.id, 1, 'logged', '{"sequence": 12}') AS e, row_number() OVER () / 60 AS part FROM sluice.attempts_of(:'many') a WHERE a.task <> 't7') x
 GROUP BY part \g /dev/null
SELECT pg_temp.each_once(p.chunks, 3000) AS once, p.longest FROM pg_temp.pages(:'many', 64) p \gset
SELECT ok(:'once', 'of 250 tasks each chunk is read once');
SELECT cmp_ok(:longest, '<', 2500, 'by positions that are short');
SELECT pg_temp.each_once(p.chunks, 3000) AS once, p.longest FROM pg_temp.pages(:'many', NULL) p \gset
SELECT ok(:'once', 'so it is in large pages');
SELECT cmp_ok(:longest, '<', 2500, 'by positions that are short, too');

-- So has a task that is tried again and again.
SELECT id AS seven FROM sluice.attempts_of(:'many') WHERE task = 't7' \gset
INSERT INTO sluice.attempt SELECT (jsonb_populate_record(a, jsonb_build_object('id', sluice.uuid_v7(), 'try', n, 'state', 'ended', 'outcome', 'exit-code', 'ended_at', now(), 'log_complete', n <> 3))).*
  FROM sluice.attempt a, generate_series(2, 900) n WHERE a.id = :'seven';
INSERT INTO sluice.log_chunk SELECT (jsonb_populate_record(c, jsonb_build_object('attempt', a.id, 'sequence', 1))).*
  FROM sluice.attempts_of(:'many') a JOIN sluice.log_chunk c ON c.attempt = :'seven' AND c.sequence = 1 WHERE a.task = 't7' AND a.try > 1;
UPDATE sluice.log_chunk c SET data = convert_to('try.' || a.try, 'UTF8') FROM sluice.attempts_of(:'many') a WHERE a.id = c.attempt AND a.task = 't7' AND a.try > 1;
SELECT pg_temp.each_once(p.chunks, 3899) AS once, p.longest FROM pg_temp.pages(:'many', NULL) p \gset
SELECT ok(:'once', 'of 900 tries each chunk is read once');
SELECT cmp_ok(:longest, '<', 2500, 'by positions that are short');
UPDATE sluice.instance SET draining = false;

-- Samples.
SELECT api.agent_metrics(t.h('one'), jsonb_build_object('samples', jsonb_agg(jsonb_build_object(
        'attempt', i, 'epoch', e, 'realtime_usec', n, 'cpu_usage_usec', n * 10))))
  FROM (VALUES (:'a'::uuid, 1), (:'a', 2), (t.id('nothing'), 1)) v (i, e), generate_series(1, 2) n \g /dev/null
SELECT is(jsonb_path_query_array(api.attempt_metrics(t.h('viewer'), :'a')::jsonb, '$.items[*].cpu_usage_usec'), '[10, 20]',
          'samples of an attempt of one''s own');
SELECT is((SELECT count(*) FROM sluice.metric_sample), 2::bigint, 'others are dropped');
SELECT api.agent_metrics(t.h('two'), jsonb_build_object('samples', jsonb_build_array(jsonb_build_object(
        'attempt', :'a', 'epoch', 1, 'realtime_usec', 9)))) \g /dev/null
SELECT is((SELECT count(*) FROM sluice.metric_sample), 2::bigint, 'also those of a stranger');
SELECT is(t.error(format('SELECT api.attempt_metrics(t.h(%L), %L)', 'viewer', t.id('x'))), 'ZF404 attempt-not-found', 'of nothing');

SELECT * FROM finish();
