-- Reading requests: every member is taken with its type and range, or the caller is told what is wrong
-- with it (ZF400). An absent member and a null are the same.
SET LOCAL check_function_bodies = off;

CREATE OR REPLACE FUNCTION sluice.json_member(p_object jsonb, p_name text, p_type text, p_required boolean)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_value jsonb;
BEGIN
        IF p_object IS NULL OR jsonb_typeof(p_object) <> 'object' THEN
                PERFORM sluice.fail(400, 'bad-request', format(
                        'A JSON object with member "%s" was expected.', p_name));
        END IF;

        v_value := p_object -> p_name;

        IF v_value IS NULL OR jsonb_typeof(v_value) = 'null' THEN
                IF p_required THEN
                        PERFORM sluice.fail(400, 'bad-request', format('Member "%s" is missing.', p_name));
                END IF;
                RETURN NULL;
        END IF;

        IF jsonb_typeof(v_value) <> p_type THEN
                PERFORM sluice.fail(400, 'bad-request', format(
                        'Member "%s" must be of type %s, not %s.', p_name, p_type, jsonb_typeof(v_value)));
        END IF;

        RETURN v_value;
END
$$;

CREATE OR REPLACE FUNCTION sluice.json_text(p_object jsonb, p_name text, p_required boolean DEFAULT false,
                                            p_max int DEFAULT 1024)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_text text := sluice.json_member(p_object, p_name, 'string', p_required) #>> '{}';
BEGIN
        IF length(v_text) > p_max THEN
                PERFORM sluice.fail(400, 'bad-request', format(
                        'Member "%s" is longer than %s characters.', p_name, p_max));
        ELSIF v_text = '' AND p_required THEN
                PERFORM sluice.fail(400, 'bad-request', format('Member "%s" is empty.', p_name));
        END IF;

        RETURN v_text;
END
$$;

-- One of a few words.
CREATE OR REPLACE FUNCTION sluice.json_word(p_object jsonb, p_name text, p_words text[],
                                            p_required boolean DEFAULT false)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_text text := sluice.json_text(p_object, p_name, p_required);
BEGIN
        IF NOT v_text = ANY (p_words) THEN
                PERFORM sluice.fail(400, 'bad-request', format(
                        'Member "%s" must be one of %s.', p_name, array_to_string(p_words, ', ')));
        END IF;

        RETURN v_text;
END
$$;

CREATE OR REPLACE FUNCTION sluice.json_int(p_object jsonb, p_name text, p_required boolean DEFAULT false,
                                           p_min int8 DEFAULT 0, p_max int8 DEFAULT 9223372036854775807)
RETURNS int8 LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_number numeric := (sluice.json_member(p_object, p_name, 'number', p_required) #>> '{}')::numeric;
BEGIN
        IF v_number < p_min OR v_number > p_max OR v_number <> trunc(v_number) THEN
                PERFORM sluice.fail(400, 'bad-request', format(
                        'Member "%s" must be a whole number from %s to %s.', p_name, p_min, p_max));
        END IF;

        RETURN v_number::int8;
END
$$;

CREATE OR REPLACE FUNCTION sluice.json_bool(p_object jsonb, p_name text, p_default boolean DEFAULT false)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
        SELECT coalesce((sluice.json_member(p_object, p_name, 'boolean', false) #>> '{}')::boolean, p_default)
$$;

CREATE OR REPLACE FUNCTION sluice.json_uuid(p_object jsonb, p_name text, p_required boolean DEFAULT false)
RETURNS uuid LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_text text := sluice.json_text(p_object, p_name, p_required);
BEGIN
        IF v_text !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' THEN
                PERFORM sluice.fail(400, 'bad-request', format(
                        'Member "%s" must be a UUID of 36 characters.', p_name));
        END IF;

        RETURN v_text::uuid;
END
$$;

CREATE OR REPLACE FUNCTION sluice.json_array(p_object jsonb, p_name text, p_max int, p_required boolean DEFAULT false)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_array jsonb := coalesce(sluice.json_member(p_object, p_name, 'array', p_required), '[]');
BEGIN
        IF jsonb_array_length(v_array) > p_max THEN
                PERFORM sluice.fail(400, 'bad-request', format(
                        'Member "%s" has more than %s elements.', p_name, p_max));
        END IF;

        RETURN v_array;
END
$$;

CREATE OR REPLACE FUNCTION sluice.labels_max() RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT 64 $$;

CREATE OR REPLACE FUNCTION sluice.json_labels(p_object jsonb, p_name text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
        v_labels jsonb := coalesce(sluice.json_member(p_object, p_name, 'object', false), '{}');
        v_label record;
        v_count int := 0;
BEGIN
        FOR v_label IN SELECT key, value FROM jsonb_each(v_labels) LOOP
                v_count := v_count + 1;

                IF v_label.key !~ '^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$' THEN
                        PERFORM sluice.fail(400, 'bad-label', format(
                                'Label "%s": a name is 1 to 63 letters, digits and _./- .', left(v_label.key, 80)));
                ELSIF jsonb_typeof(v_label.value) <> 'string' OR length(v_label.value #>> '{}') > 255 THEN
                        PERFORM sluice.fail(400, 'bad-label', format(
                                'Label "%s": its value must be text of at most 255 characters.', v_label.key));
                ELSIF v_count > sluice.labels_max() THEN
                        PERFORM sluice.fail(400, 'bad-label', format('There are more than %s labels.', sluice.labels_max()));
                END IF;
        END LOOP;

        RETURN v_labels;
END
$$;

-- The page size of a list: 100 unless asked otherwise.
CREATE OR REPLACE FUNCTION sluice.page_limit(p_limit int) RETURNS int
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
        IF p_limit < 1 OR p_limit > 1000 THEN
                PERFORM sluice.fail(400, 'bad-limit', 'The limit is from 1 to 1000.');
        END IF;

        RETURN coalesce(p_limit, 100);
END
$$;

-- {"items": […], "next": …} of rows that were fetched with one more than the limit.
CREATE OR REPLACE FUNCTION sluice.page(p_items json[], p_next text[], p_limit int) RETURNS json
LANGUAGE sql IMMUTABLE AS $$
        SELECT json_build_object('items', to_json(coalesce(p_items[1:p_limit], '{}')),
                                 'next', CASE WHEN cardinality(p_items) > p_limit THEN p_next[p_limit] END)
$$;

CREATE OR REPLACE FUNCTION sluice.rfc3339(p_at timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
        SELECT to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;
