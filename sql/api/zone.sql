-- Time zones, from PostgreSQL's own tz database: every controld computes due times from the same tables, whatever its host has.
SET LOCAL check_function_bodies = off;

-- The offset of the session's time zone at this instant, in seconds east of Greenwich.
CREATE OR REPLACE FUNCTION sluice.zone_offset(p_at timestamptz) RETURNS int
LANGUAGE sql STABLE AS $$ SELECT extract(timezone FROM p_at)::int $$;

-- Makes this the time zone of the session, within a function that has SET TimeZone. Only a name of the tz database, as it is written
-- there: this setting knows no abbreviations (AT TIME ZONE would take CET for one, and so for a zone without summer time), but
-- everything else that cannot be found is read as by POSIX, where FOO+3 is three hours west and Europe/Londn1 one. Such a text needs a
-- digit or a sign before one, and there are few such names.
CREATE OR REPLACE FUNCTION sluice.zone_set(p_zone text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        IF p_zone ~ '^[A-Za-z_]+(-[A-Za-z_]+)*(/[A-Za-z_]+(-[A-Za-z_]+)*)*$' AND p_zone !~ '^(posix|right)/|^(posixrules|localtime)$'
           OR p_zone ~ '^((EST5E|CST6C|MST7M|PST8P)DT|(Etc/)?GMT[-+]?0|Etc/GMT(-([1-9]|1[0-4])|\+([1-9]|1[0-2])))$' THEN
                BEGIN
                        PERFORM set_config('TimeZone', p_zone, true);
                        -- It is found in any case of letters, and then knows its name.
                        IF current_setting('TimeZone') = p_zone THEN
                                RETURN;
                        END IF;
                EXCEPTION
                        WHEN invalid_parameter_value THEN
                                NULL;
                END;
        END IF;

        PERFORM sluice.fail(400, 'unknown-time-zone', format('There is no time zone "%s".', left(p_zone, 64)),
                            'Names are those of the tz database, for example Europe/London, or UTC.');
END
$$;

-- [[epoch second, offset in seconds], ...]: first p_from itself with the offset that counts then, then each change of the offset up to
-- p_until. Looks at each day, so that changes of some days only are seen, and then closer to the second.
CREATE OR REPLACE FUNCTION sluice.zone_transitions(p_zone text, p_from timestamptz, p_until timestamptz) RETURNS json
LANGUAGE plpgsql STABLE SET TimeZone = 'UTC' AS $$
DECLARE
        v_from int8;
        v_until int8;
        v_day record;
        v_low int8;
        v_middle int8;
        v_high int8;
        v_list jsonb;
BEGIN
        IF p_zone IS NOT NULL AND isfinite(p_from) AND isfinite(p_until) THEN
                v_from := ceil(extract(epoch FROM p_from));
                v_until := floor(extract(epoch FROM p_until));
        END IF;
        IF v_until - v_from BETWEEN 1 AND 100 * 366 * 86400::int8 IS NOT TRUE THEN
                PERFORM sluice.fail(400, 'bad-time-span', 'A time zone and a span of at most 100 years were expected.');
        END IF;

        PERFORM sluice.zone_set(p_zone);
        v_list := jsonb_build_array(jsonb_build_array(v_from, sluice.zone_offset(to_timestamp(v_from))));
        FOR v_day IN
                SELECT s, next, o, o_next
                  FROM (SELECT s, lead(s) OVER w AS next, o, lead(o) OVER w AS o_next
                          FROM (SELECT s, extract(timezone FROM to_timestamp(s))::int AS o
                                  FROM (SELECT generate_series(v_from, v_until - 1, 86400) UNION ALL SELECT v_until) g (s) OFFSET 0) x
                        WINDOW w AS (ORDER BY s)) y
                 WHERE o <> o_next
                 ORDER BY s
        LOOP
                -- More than one on a day: each time the first that is found leaves the rest for the next.
                v_low := v_day.s;
                WHILE v_day.o <> v_day.o_next LOOP
                        v_high := v_day.next;
                        WHILE v_high - v_low > 1 LOOP
                                v_middle := (v_low + v_high) / 2;
                                IF sluice.zone_offset(to_timestamp(v_middle)) = v_day.o THEN
                                        v_low := v_middle;
                                ELSE
                                        v_high := v_middle;
                                END IF;
                        END LOOP;
                        v_low := v_high;
                        v_day.o := sluice.zone_offset(to_timestamp(v_high));
                        v_list := v_list || jsonb_build_array(jsonb_build_array(v_high, v_day.o));
                END LOOP;
        END LOOP;

        RETURN v_list;
END
$$;
