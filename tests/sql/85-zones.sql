-- Time zones: which names are taken, and what transitions they have. All zones are compared with another reading by tests/calendar/zones.
SET search_path = tap, public;
SELECT no_plan();
CREATE FUNCTION pg_temp.zone(p_zone text, p_from text DEFAULT '2024-01-01', p_until text DEFAULT '2025-01-01') RETURNS text LANGUAGE sql AS $$
        SELECT sluice.zone_transitions(p_zone, (p_from || '+00')::timestamptz, (p_until || '+00')::timestamptz)::text
$$;
SELECT is(pg_temp.zone('Europe/London'), '[[1704067200, 0], [1711846800, 3600], [1729990800, 0]]', 'London has summer time');
SELECT is(pg_temp.zone('Asia/Tokyo'), '[[1704067200, 32400]]', 'Tokyo has none');
SELECT is(pg_temp.zone('UTC'), '[[1704067200, 0]]', 'UTC is a zone');
SELECT is(pg_temp.zone('CET'), '[[1704067200, 3600], [1711846800, 7200], [1729990800, 3600]]', 'CET is the zone, not the abbreviation');
SELECT is(pg_temp.zone('EST5EDT'), '[[1704067200, -18000], [1710054000, -14400], [1730613600, -18000]]', 'EST5EDT is a name, too');
SELECT is(pg_temp.zone('Etc/GMT+5'), '[[1704067200, -18000]]', 'so is Etc/GMT+5');
SELECT is(pg_temp.zone('Pacific/Apia', '2011-12-01', '2011-12-31'), '[[1322697600, -36000], [1325239200, 50400]]', 'a day that Apia has not had');
SELECT is(pg_temp.zone('Africa/Cairo', '2014-05-01', '2014-10-01'),
          '[[1398902400, 7200], [1400191200, 10800], [1403816400, 7200], [1406844000, 10800], [1411678800, 7200]]', 'Cairo, on and off');
SELECT is(pg_temp.zone('Europe/London', '2024-03-31 01:00', '2024-03-31 01:01'), '[[1711846800, 3600]]', 'from the change on');
SELECT is(pg_temp.zone('Europe/London', '2024-03-31 00:59:59', '2024-03-31 01:00'), '[[1711846799, 0], [1711846800, 3600]]', 'up to the change');

-- Names.
SELECT is(t.error(format('SELECT pg_temp.zone(%L)', n)), 'ZF400 unknown-time-zone', format('no zone: %s', to_json(n)))
  FROM unnest(ARRAY['', 'Nowhere', 'Europe/Nowhere', 'europe/london', 'EUROPE/LONDON', 'CEST', 'IST', 'EST5EDT,foo', 'FOO+3', 'FOO3', '<x>3', 'FOO-3',
                    'EST5EDT,M3.2.0,M11.1.0', 'Europe/Londn1', 'Europe/London+1', 'America/Foo-5', 'Etc/GMT+13', 'Etc/GMT-15', 'GMT+5', 'UTC+1', '+01', '01:00', '3',
                    '-3', 'INTERVAL ''1'' HOUR', 'localtime', 'posixrules', 'posix/UTC', 'right/UTC', '../etc/passwd', '/etc/localtime', 'Europe',
                    'Europe/', 'Europe//London', 'DEFAULT', 'default', 'local', ' UTC', E'UTC\n', 'Europe/London; DROP TABLE x', repeat('x', 1000)]) n;
SELECT is(t.error($$SELECT sluice.zone_transitions(NULL, now(), now() + interval '1 year')$$), 'ZF400 bad-time-span', 'a zone is needed');
SELECT is(t.error($$SELECT pg_temp.zone('UTC', '2025-01-01', '2025-01-01')$$), 'ZF400 bad-time-span', 'and a span');
SELECT is(t.error($$SELECT pg_temp.zone('UTC', '1000-01-01', '2025-01-01')$$), 'ZF400 bad-time-span', 'of not too long');
SELECT is(t.error($$SELECT sluice.zone_transitions('UTC', '-infinity', 'infinity')$$), 'ZF400 bad-time-span', 'nor for ever');

-- The session keeps its own zone.
SELECT is(current_setting('TimeZone'), 'Pacific/Auckland', 'the session''s zone is what it was');
BEGIN;
SET LOCAL TimeZone = 'Asia/Tokyo';
SELECT pg_temp.zone('Europe/London') \g /dev/null
SELECT is(current_setting('TimeZone'), 'Asia/Tokyo', 'within a transaction, too');
COMMIT;
SELECT * FROM finish();
