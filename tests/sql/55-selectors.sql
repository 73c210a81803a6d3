-- Selectors: what matches what, and that the labels' index is of use.
SET search_path = tap, public;
SELECT no_plan();

-- A term as text: 'a in b c', 'a exists'.
CREATE FUNCTION pg_temp.terms(VARIADIC p_terms text[]) RETURNS jsonb LANGUAGE sql AS $$
        SELECT coalesce(jsonb_agg(jsonb_build_object('key', w[1], 'operator', w[2], 'values', to_jsonb(w[3:]))), '[]')
          FROM unnest(p_terms) t, string_to_array(t, ' ') w
$$;

SELECT is(sluice.selector_matches(labels, pg_temp.terms(VARIADIC terms)), want, format('%s of %s', terms, labels))
  FROM (VALUES
        ('{}'::text[],             '{}'::jsonb,              true),
        ('{}',                     '{"a": "b"}',             true),
        ('{a in b}',               '{"a": "b"}',             true),
        ('{a in b}',               '{"a": "c"}',             false),
        ('{a in b}',               '{}',                     false),
        ('{a in b}',               '{"b": "a"}',             false),
        ('{a in b c}',             '{"a": "c", "d": ""}',    true),
        ('{a in b c}',             '{"a": "d"}',             false),
        ('{a notin b}',            '{"a": "b"}',             false),
        ('{a notin b}',            '{"a": "c"}',             true),
        ('{a notin b}',            '{}',                     true),
        ('{a notin b c}',          '{"a": "c"}',             false),
        ('{a notin b c}',          '{"a": ""}',              true),
        ('{a exists}',             '{"a": ""}',              true),
        ('{a exists}',             '{"b": "a"}',             false),
        ('{a absent}',             '{"a": ""}',              false),
        ('{a absent}',             '{}',                     true),
        ('{a exists,b in c}',      '{"a": "x", "b": "c"}',   true),
        ('{a exists,b in c}',      '{"a": "x"}',             false),
        ('{a in b,a in c}',        '{"a": "b"}',             false),
        ('{a notin b,a exists}',   '{"a": "c"}',             true),
        ('{a notin b,a exists}',   '{}',                     false),
        ('{a.b/c-d_e in f}',       '{"a.b/c-d_e": "f"}',     true)) v (terms, labels, want);

-- Values are data, whatever they look like.
CREATE FUNCTION pg_temp.odd() RETURNS SETOF text LANGUAGE sql AS $$
        SELECT unnest(ARRAY['" || true || "', 'x" || "', '$.a', E'tab\tnew\nline\\u0041', '', 'ü €', '&& ! ( )', '\u0078'])
$$;
SELECT is(sluice.selector_matches(jsonb_build_object('a', v), jsonb_build_array(jsonb_build_object(
                'key', 'a', 'operator', 'in', 'values', jsonb_build_array(v)))), true, 'a value equals itself: ' || to_json(v))
  FROM pg_temp.odd() v;
SELECT is(sluice.selector_matches('{"a": "x"}', jsonb_build_array(jsonb_build_object(
                'key', 'a', 'operator', 'in', 'values', jsonb_build_array(v)))), false, 'and no other: ' || to_json(v))
  FROM pg_temp.odd() v;

SELECT is(sluice.selector_text(pg_temp.terms('a exists', 'b in c', 'd in e f', 'g notin h', 'i notin j k', 'l absent')),
          'a, b=c, d in (e, f), g!=h, i notin (j, k), !l', 'in words');
SELECT is(sluice.selector_text('[]'), NULL, 'nothing has none');
SELECT is(sluice.selector_terms('{"b": "c", "a": null}'),
          '[{"key": "a", "operator": "exists", "values": []}, {"key": "b", "operator": "in", "values": ["c"]}]', 'the first release''s form');
SELECT is(sluice.selector_terms('null') || sluice.selector_terms(NULL) || sluice.selector_terms('{}'), '[]', 'none is an empty array');
SELECT is(sluice.selector_terms(sluice.selector_terms('{"a": "b"}')), sluice.selector_terms('{"a": "b"}'), 'terms stay terms');

-- Placed by it, and explained by it.
SELECT t.agent('one', 2, '{"zone": "a", "gpu": ""}'), t.agent('two', 2, '{"zone": "b"}'), t.agent('three', 2) \g /dev/null
SELECT t.sync('one'), t.sync('two'), t.sync('three') \g /dev/null
SELECT t.pipe('p' || n, '{a}', jsonb_build_object('agent_selector', pg_temp.terms(VARIADIC s)))
  FROM unnest(ARRAY['zone in a c,gpu exists', 'zone notin a,zone exists', 'zone absent', 'zone in x y,gpu absent']) WITH ORDINALITY x (w, n),
       string_to_array(w, ',') s \g /dev/null
SELECT is((SELECT string_agg(coalesce((SELECT g.name FROM sluice.agent g WHERE g.id = (t.attempt(r)).agent), 'none'), ' ' ORDER BY n)
             FROM (SELECT n, t.run('p' || n) AS r FROM generate_series(1, 4) n) s), 'one two three none', 'each where it belongs');
SELECT is((SELECT t.get(run) #>> '{tasks,0,attempts,0,why}' FROM sluice.queue),
          'no agent is of type batch with the labels zone in (x, y), !gpu', 'and why not');

-- With many agents the index finds those with a label.
INSERT INTO sluice.agent (name, type, labels) SELECT 'm' || n, 'batch', jsonb_build_object('zone', 'z' || n) FROM generate_series(1, 5000) n;
ANALYZE sluice.agent;
CREATE FUNCTION pg_temp.plan(p_query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
        v text;
        v_all text := '';
BEGIN
        FOR v IN EXECUTE 'EXPLAIN (COSTS OFF) ' || p_query LOOP
                v_all := v_all || v || E'\n';
        END LOOP;
        RETURN v_all;
END
$$;
SELECT matches(pg_temp.plan(format('SELECT FROM sluice.agent WHERE sluice.selector_matches(labels, %L)', pg_temp.terms('zone in z7 z8', 'gpu absent'))),
               'agent_labels_idx', 'the index of the labels is used');

SELECT * FROM finish();
