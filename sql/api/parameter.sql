-- Values of a run's parameters: project, pipe, schedule, run, the later before the earlier; each checked here, where the run is made.
-- What a value may look like is said in common/parameter.c for those who check a pipe file offline.
SET LOCAL check_function_bodies = off;

-- Names of what may have been meant are found by how many letters differ.
CREATE OR REPLACE FUNCTION sluice.distance(p_a text, p_b text) RETURNS int
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_row int[] := ARRAY(SELECT generate_series(0, length(p_b)));
        v_corner int;
        v_above int;
BEGIN
        FOR i IN 1 .. length(p_a) LOOP
                v_corner := v_row[1];
                v_row[1] := i;
                FOR j IN 1 .. length(p_b) LOOP
                        v_above := v_row[j + 1];
                        v_row[j + 1] := least(v_above + 1, v_row[j] + 1, v_corner + (substr(p_a, i, 1) <> substr(p_b, j, 1))::int);
                        v_corner := v_above;
                END LOOP;
        END LOOP;

        RETURN v_row[length(p_b) + 1];
END
$$;

-- What today, yesterday and tomorrow are; any other value is itself. A datetime is the midnight that the day begins with.
CREATE OR REPLACE FUNCTION sluice.parameter_day(p_type text, p_value text, p_at timestamptz, p_zone text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_day date := (p_at AT TIME ZONE p_zone)::date + CASE p_value WHEN 'yesterday' THEN -1 WHEN 'today' THEN 0 WHEN 'tomorrow' THEN 1 END;
BEGIN
        RETURN CASE WHEN v_day IS NULL THEN p_value
                    WHEN p_type = 'date' THEN to_char(v_day, 'YYYY-MM-DD')
                    WHEN p_type = 'datetime'
                    THEN to_char(v_day::timestamp AT TIME ZONE p_zone AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
                    ELSE p_value END;
END
$$;

-- Whether it is such a value, and a day that there is.
CREATE OR REPLACE FUNCTION sluice.parameter_is(p_type text, p_value text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
        IF p_type = 'date' AND p_value ~ '^\d{4}-\d\d-\d\d$' COLLATE "C" THEN
                RETURN make_date(left(p_value, 4)::int, substr(p_value, 6, 2)::int, substr(p_value, 9, 2)::int) IS NOT NULL;
        ELSIF p_type = 'datetime'
              AND p_value ~ '^\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-](0\d|1[0-4]):[0-5]\d)$' COLLATE "C" THEN
                RETURN make_date(left(p_value, 4)::int, substr(p_value, 6, 2)::int, substr(p_value, 9, 2)::int) IS NOT NULL;
        END IF;

        RETURN CASE p_type WHEN 'integer' THEN p_value ~ '^-?\d{1,18}$' COLLATE "C"
                           WHEN 'number' THEN p_value ~ '^-?\d{1,15}(\.\d{1,15})?$' COLLATE "C"
                           WHEN 'boolean' THEN p_value IN ('true', 'false')
                           ELSE p_type IN ('string', 'enum', 'list') END;
EXCEPTION
        WHEN data_exception THEN -- no such day
                RETURN false;
END
$$;

-- Below zero, 0 or above zero; NULL for what has no order.
CREATE OR REPLACE FUNCTION sluice.parameter_compare(p_type text, p_a text, p_b text) RETURNS int
LANGUAGE plpgsql STABLE AS $$
BEGIN
        RETURN CASE WHEN p_type IN ('integer', 'number') THEN sign(p_a::numeric - p_b::numeric)
                    WHEN p_type = 'date' THEN sign(p_a::date - p_b::date)
                    WHEN p_type = 'datetime' THEN sign(extract(epoch FROM p_a::timestamptz - p_b::timestamptz)) END;
END
$$;

-- What is wrong with a value of the parameter p_rule (of a pipe's spec); NULL: nothing. The value is not said when it may be a secret.
CREATE OR REPLACE FUNCTION sluice.parameter_objection(p_rule jsonb, p_value text, p_at timestamptz, p_zone text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_type text := coalesce(p_rule ->> 'type', 'string');
        v_like text := sluice.secret_like(p_rule ->> 'name', p_value);
        v_one text;
        v_said text;
BEGIN
        IF octet_length(p_value) > 4096 THEN
                RETURN 'it is longer than 4096 bytes';
        ELSIF v_like IS NOT NULL THEN
                RETURN format('it looks like %s; secrets are given to a task with LoadCredential=, from a file of the host', v_like);
        END IF;

        FOREACH v_one IN ARRAY CASE v_type WHEN 'list' THEN string_to_array(p_value, ',') ELSE ARRAY[p_value] END LOOP
                v_said := format('"%s"', regexp_replace(left(v_one, 64), '[[:cntrl:]]', '?', 'g'));

                IF NOT sluice.parameter_is(v_type, v_one) THEN
                        RETURN format('%s: %s is expected', v_said, CASE v_type
                                WHEN 'integer' THEN 'a whole number of at most 18 digits'
                                WHEN 'number' THEN 'a number such as -1.5, of at most 15 digits on each side'
                                WHEN 'boolean' THEN 'true or false'
                                WHEN 'date' THEN 'a date such as 2024-02-29, or today, yesterday or tomorrow'
                                ELSE 'a time such as 2024-02-29T12:00:00Z, or today, yesterday or tomorrow' END);
                ELSIF p_rule ? 'values' AND NOT p_rule -> 'values' ? v_one THEN
                        RETURN format('%s is not one of %s', v_said,
                                      (SELECT string_agg(w, ', ') FROM jsonb_array_elements_text(p_rule -> 'values') w));
                ELSIF sluice.parameter_compare(v_type, v_one, sluice.parameter_day(v_type, p_rule ->> 'minimum', p_at, p_zone)) < 0 THEN
                        RETURN format('%s is below Minimum=%s', v_said, p_rule ->> 'minimum');
                ELSIF sluice.parameter_compare(v_type, v_one, sluice.parameter_day(v_type, p_rule ->> 'maximum', p_at, p_zone)) > 0 THEN
                        RETURN format('%s is above Maximum=%s', v_said, p_rule ->> 'maximum');
                ELSIF v_one !~ (p_rule ->> 'pattern') COLLATE "C" THEN
                        RETURN format('%s does not match Pattern=%s', v_said, p_rule ->> 'pattern');
                END IF;
        END LOOP;

        RETURN NULL;
END
$$;

-- The values of a run, [{"name", "value", "origin"}], and all that is wrong with them. p_layers: {"schedule": {…}, "run": {…}} of texts,
-- NULL for none; of a schedule with "at", the time that the run is due, and "zone". Relative days count from there, or from now, in UTC.
CREATE OR REPLACE FUNCTION sluice.parameters_resolve(p_spec jsonb, p_project jsonb, p_layers jsonb, OUT parameters jsonb, OUT errors text[])
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_at timestamptz := coalesce((p_layers ->> 'at')::timestamptz, now());
        v_zone text := coalesce(p_layers ->> 'zone', 'UTC');
        v_rules jsonb := coalesce(p_spec -> 'parameters', '[]');
        v_rule jsonb;
        v_name text;
        v_value text;
        v_origin text;
        v_why text;
BEGIN
        parameters := '[]';
        errors := '{}';
        FOR v_rule IN SELECT value FROM jsonb_array_elements(v_rules) LOOP
                v_name := v_rule ->> 'name';
                SELECT l.value, l.origin INTO v_value, v_origin
                  FROM (VALUES (1, 'run', p_layers -> 'run' ->> v_name), (2, 'schedule', p_layers -> 'schedule' ->> v_name),
                               (3, 'pipe', v_rule ->> 'default'), (4, 'project', p_project ->> v_name), (5, 'unset', '')) l (n, origin, value)
                 WHERE l.value IS NOT NULL ORDER BY l.n LIMIT 1;

                IF v_origin = 'unset' THEN
                        v_why := CASE WHEN v_rule ->> 'required' = 'true' THEN format('it needs a value: say --param %s=VALUE', v_name) END;
                ELSE
                        v_value := sluice.parameter_day(v_rule ->> 'type', v_value, v_at, v_zone);
                        v_why := sluice.parameter_objection(v_rule, v_value, v_at, v_zone);
                END IF;
                IF v_why IS NOT NULL THEN
                        errors := errors || format('Parameter "%s"%s: %s.', v_name,
                                CASE WHEN v_origin IN ('project', 'schedule', 'pipe') THEN ' (of the ' || v_origin || ')' ELSE '' END, v_why);
                ELSE
                        parameters := parameters || jsonb_build_object('name', v_name, 'value', v_value, 'origin', v_origin);
                END IF;
        END LOOP;

        FOR v_name IN SELECT k FROM (SELECT DISTINCT e.key AS k FROM unnest(ARRAY['run', 'schedule']) l (layer)
                                     CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(p_layers -> l.layer) WHEN 'object' THEN p_layers -> l.layer END) e) s
                       WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(v_rules) r WHERE r ->> 'name' = s.k) ORDER BY 1 LOOP
                errors := errors || format('This pipe has no parameter "%s"%s', left(v_name, 64), coalesce((
                        SELECT format('; did you mean "%s"?', r ->> 'name') FROM jsonb_array_elements(v_rules) r
                         WHERE sluice.distance(r ->> 'name', left(v_name, 64)) < 4
                         ORDER BY sluice.distance(r ->> 'name', left(v_name, 64)), r ->> 'name' LIMIT 1), '.'));
        END LOOP;
        IF errors = '{}' AND (SELECT sum(octet_length(p ->> 'value')) FROM jsonb_array_elements(parameters) p) > 65536 THEN
                errors := ARRAY['The values of the parameters are longer than 64 KiB together.'];
        END IF;
END
$$;

-- The same, refusing what is wrong.
CREATE OR REPLACE FUNCTION sluice.parameters_of(p_spec jsonb, p_project text, p_layers jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v record;
BEGIN
        IF NOT p_spec ? 'parameters' AND p_layers IS NULL THEN
                RETURN '[]';
        END IF;
        SELECT * INTO v FROM sluice.parameters_resolve(p_spec, (SELECT parameters FROM sluice.project WHERE name = p_project), p_layers);
        IF v.errors <> '{}' THEN
                PERFORM sluice.fail(400, 'bad-parameters', array_to_string(v.errors, E'\n'));
        END IF;

        RETURN v.parameters;
END
$$;

-- The layer that a request of people's gives; NULL when it gives none.
CREATE OR REPLACE FUNCTION sluice.parameters_layer(p_parameters jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
        IF jsonb_typeof(p_parameters) <> 'object'
           OR EXISTS (SELECT FROM jsonb_each(p_parameters) e WHERE jsonb_typeof(e.value) NOT IN ('string', 'null')) THEN
                PERFORM sluice.fail(400, 'bad-request', 'Member "parameters" must be an object of texts.');
        END IF;

        RETURN CASE WHEN p_parameters <> '{}' THEN jsonb_build_object('run', p_parameters) END;
END
$$;

-- What the database relies on in the parameters of a spec.
CREATE OR REPLACE FUNCTION sluice.parameters_check(p_spec jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_rules jsonb := sluice.json_array(p_spec, 'parameters', 64);
        v_rule jsonb;
        v_word text;
BEGIN
        IF v_rules <> '[]' AND p_spec ->> 'type' = 'streaming' THEN
                PERFORM sluice.fail(400, 'bad-spec', 'A streaming pipe has no parameters.');
        ELSIF (SELECT count(DISTINCT r ->> 'name') FROM jsonb_array_elements(v_rules) r) < jsonb_array_length(v_rules) THEN
                PERFORM sluice.fail(400, 'bad-spec', 'A parameter is there twice, or without a name.');
        END IF;
        FOR v_rule IN SELECT value FROM jsonb_array_elements(v_rules) LOOP
                IF sluice.json_text(v_rule, 'name', true) !~ '^[a-z][a-z0-9_]{0,62}$' COLLATE "C" THEN
                        PERFORM sluice.fail(400, 'bad-spec', format('"%s" is not a parameter name.', left(v_rule ->> 'name', 80)));
                END IF;
                PERFORM sluice.json_word(v_rule, 'type', ARRAY['string', 'integer', 'number', 'boolean', 'date', 'datetime', 'enum', 'list']);
                PERFORM sluice.json_bool(v_rule, 'required');
                PERFORM sluice.json_array(v_rule, 'values', 256);
                FOREACH v_word IN ARRAY ARRAY['default', 'minimum', 'maximum', 'description'] LOOP
                        PERFORM sluice.json_text(v_rule, v_word, false, 8192);
                END LOOP;
                PERFORM '' ~ sluice.json_text(v_rule, 'pattern', false, 512) COLLATE "C";
        END LOOP;
EXCEPTION
        WHEN invalid_regular_expression THEN
                PERFORM sluice.fail(400, 'bad-spec', format('The pattern of parameter "%s" cannot be read.', v_rule ->> 'name'));
END
$$;
