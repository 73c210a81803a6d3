-- Webhooks: runs that other systems ask for. Their signatures are checked before a message comes here (controld/webhook.c); what is
-- decided here is whether it is fresh, and that it has one run however often it is sent.
SET LOCAL check_function_bodies = off;

CREATE OR REPLACE FUNCTION sluice.delivery_json(d sluice.webhook_delivery) RETURNS json
LANGUAGE sql STABLE AS $$
        SELECT json_build_object('message', d.message, 'received_at', sluice.rfc3339(d.received_at), 'run', d.run, 'refused', d.refused)
$$;

CREATE OR REPLACE FUNCTION sluice.webhook_json(w sluice.webhook, p_key_id text) RETURNS json
LANGUAGE sql STABLE AS $$
        SELECT json_build_object('webhook', w.id, 'project', w.project, 'pipe', w.pipe, 'name', w.name, 'type', w.scheme,
                                 'parameters', w.parameters, 'parameters_from', w.parameters_from,
                                 'key_is_here', w.key_id = p_key_id, 'created_at', sluice.rfc3339(w.created_at), 'created_by', w.created_by,
                                 'last', (SELECT sluice.delivery_json(d)
                                            FROM sluice.webhook_delivery d WHERE d.webhook = w.id ORDER BY d.received_at DESC LIMIT 1))
$$;

CREATE OR REPLACE FUNCTION sluice.webhook_find(p_webhook uuid) RETURNS sluice.webhook
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_webhook sluice.webhook;
BEGIN
        SELECT * INTO v_webhook FROM sluice.webhook WHERE id = p_webhook AND deleted_at IS NULL;
        IF v_webhook.id IS NULL THEN
                PERFORM sluice.fail(404, 'webhook-not-found', format('There is no webhook %s.', p_webhook), 'See "sluicectl webhook list".');
        END IF;
        RETURN v_webhook;
END
$$;

-- Where a JSON pointer (RFC 6901) leads, as the operator #> wants it; NULL: it is none, or means the whole.
CREATE OR REPLACE FUNCTION sluice.pointer_path(p_pointer text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
        IF p_pointer !~ '^(/([^~/]|~[01])*)+$' COLLATE "C" THEN
                RETURN NULL;
        END IF;
        RETURN ARRAY(SELECT replace(replace(w, '~1', '/'), '~0', '~')
                       FROM unnest(string_to_array(substr(p_pointer, 2), '/')) WITH ORDINALITY u (w, n) ORDER BY n);
END
$$;

-- Parameters that the pipe does not have, or that are said twice, are refused now and not when the first message comes.
CREATE OR REPLACE FUNCTION sluice.webhook_check(p_spec jsonb, p_fixed jsonb, p_from jsonb) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_name text;
        v_wrong text;
BEGIN
        FOR v_name IN SELECT jsonb_object_keys(p_fixed) UNION ALL SELECT jsonb_object_keys(p_from) LOOP
                v_wrong := CASE
                        WHEN NOT EXISTS (SELECT FROM jsonb_array_elements(p_spec -> 'parameters') r WHERE r ->> 'name' = v_name)
                        THEN format('The pipe has no parameter "%s".', left(v_name, 64))
                        WHEN p_fixed ? v_name AND p_from ? v_name THEN format('Parameter "%s" has a value and a place in the message.', v_name)
                        WHEN jsonb_typeof(p_fixed -> v_name) <> 'string' OR jsonb_typeof(p_from -> v_name) <> 'string' THEN format('Parameter "%s" is no text.', v_name)
                        WHEN p_from ? v_name AND sluice.pointer_path(p_from ->> v_name) IS NULL
                        THEN format('Parameter "%s": "%s" is no JSON pointer such as /data/day.', v_name, left(p_from ->> v_name, 64))
                        ELSE (SELECT format('Parameter "%s": %s.', v_name, o.why)
                                FROM jsonb_array_elements(p_spec -> 'parameters') r
                               CROSS JOIN LATERAL sluice.parameter_objection(r, sluice.parameter_day(r ->> 'type', p_fixed ->> v_name, now(), 'UTC'),
                                                                             now(), 'UTC') o (why)
                               WHERE r ->> 'name' = v_name AND p_fixed ? v_name AND o.why IS NOT NULL) END;
                IF v_wrong IS NOT NULL THEN
                        PERFORM sluice.fail(400, 'bad-parameters', v_wrong);
                END IF;
        END LOOP;
END
$$;

-- p_key_id: which key the caller derives secrets from. All controlds have the same one, or messages are refused by some of them.
CREATE OR REPLACE FUNCTION api.webhook_create(p_auth bytea, p_project text, p_pipe text, p_request jsonb, p_key_id text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_token sluice.token := sluice.auth_token(p_auth, 'editor');
        v_name text := sluice.json_text(p_request, 'name', true);
        v_scheme text := coalesce(sluice.json_word(p_request, 'type', ARRAY['standard', 'github']), 'standard');
        v_fixed jsonb := coalesce(nullif(p_request -> 'parameters', 'null'), '{}');
        v_from jsonb := coalesce(nullif(p_request -> 'parameters_from', 'null'), '{}');
        v_pipe sluice.pipe_version := sluice.pipe_find(p_project, p_pipe, NULL);
        v_webhook sluice.webhook;
BEGIN
        PERFORM sluice.batch_check(v_pipe.pipe, v_pipe.type);
        IF NOT sluice.is_name(v_name) THEN
                PERFORM sluice.fail(400, 'bad-name', 'A webhook''s name has a-z, 0-9, _ and -, at most 63, and begins with a letter or digit.');
        ELSIF jsonb_typeof(v_fixed) <> 'object' OR jsonb_typeof(v_from) <> 'object' THEN
                PERFORM sluice.fail(400, 'bad-request', 'Members "parameters" and "parameters_from" must be objects of texts.');
        ELSIF EXISTS (SELECT FROM sluice.webhook WHERE key_id <> p_key_id AND deleted_at IS NULL) THEN
                PERFORM sluice.fail(409, 'other-webhook-key', 'There are webhooks whose secrets come from another key than this controld''s.',
                                    'Give all controlds the same file WebhookKeyFile=, or delete those webhooks: see "sluicectl webhook list".');
        END IF;
        PERFORM sluice.webhook_check(v_pipe.spec, v_fixed, v_from);

        INSERT INTO sluice.webhook (project, pipe, name, scheme, key_id, parameters, parameters_from, created_by)
        VALUES (v_pipe.project, v_pipe.pipe, v_name, v_scheme, p_key_id, v_fixed, v_from, v_token.name)
            ON CONFLICT (project, pipe, name) WHERE deleted_at IS NULL DO NOTHING
        RETURNING * INTO v_webhook;
        IF v_webhook.id IS NULL THEN
                PERFORM sluice.fail(409, 'webhook-exists', format('Pipe "%s" has a webhook "%s".', p_pipe, v_name),
                                    'For another secret, delete it and make it again: the address changes, too.');
        END IF;

        RETURN sluice.webhook_json(v_webhook, p_key_id);
END
$$;

CREATE OR REPLACE FUNCTION api.webhook_list(p_auth bytea, p_project text, p_pipe text, p_key_id text) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');
        PERFORM sluice.project_check(p_project);

        RETURN (SELECT json_build_object('items', coalesce(json_agg(sluice.webhook_json(w, p_key_id) ORDER BY w.pipe, w.name), '[]'), 'next', NULL)
                  FROM sluice.webhook w
                 WHERE w.project = p_project AND (p_pipe IS NULL OR w.pipe = p_pipe) AND w.deleted_at IS NULL);
END
$$;

-- What it has brought stays, and nothing comes through it any more.
CREATE OR REPLACE FUNCTION api.webhook_delete(p_auth bytea, p_webhook uuid) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
DECLARE
        v_id uuid;
BEGIN
        PERFORM sluice.auth_token(p_auth, 'editor');

        UPDATE sluice.webhook SET deleted_at = coalesce(deleted_at, clock_timestamp()) WHERE id = p_webhook RETURNING id INTO v_id;
        IF v_id IS NULL THEN
                PERFORM sluice.webhook_find(p_webhook);
        END IF;

        RETURN NULL;
END
$$;

-- The newest first. p_after: a message, to go on behind it.
CREATE OR REPLACE FUNCTION api.webhook_deliveries(p_auth bytea, p_webhook uuid, p_limit int, p_after text) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
BEGIN
        PERFORM sluice.auth_token(p_auth, 'viewer');
        PERFORM sluice.webhook_find(p_webhook);

        RETURN (SELECT json_build_object('items', coalesce(json_agg(sluice.delivery_json(d) ORDER BY d.received_at DESC, d.message DESC), '[]'),
                                         'next', CASE WHEN count(*) = p_limit THEN (array_agg(d.message ORDER BY d.received_at, d.message))[1] END)
                  FROM (SELECT * FROM sluice.webhook_delivery
                         WHERE webhook = p_webhook
                           AND (p_after IS NULL OR (received_at, message) < (SELECT a.received_at, a.message FROM sluice.webhook_delivery a
                                                                              WHERE a.webhook = p_webhook AND a.message = p_after))
                         ORDER BY received_at DESC, message DESC LIMIT p_limit) d);
END
$$;

-- The values that a message gives: those of the webhook, and what is at its places in the body. What is not there, or null, gives none.
CREATE OR REPLACE FUNCTION sluice.webhook_values(w sluice.webhook, p_body jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_values jsonb := w.parameters;
        v_one jsonb;
        v record;
BEGIN
        FOR v IN SELECT key, value FROM jsonb_each_text(w.parameters_from) ORDER BY key LOOP
                v_one := p_body #> sluice.pointer_path(v.value);
                IF jsonb_typeof(v_one) IN ('object', 'array') THEN
                        PERFORM sluice.fail(400, 'bad-parameters', format('Parameter "%s": what is at %s is no single value.', v.key, v.value));
                ELSIF jsonb_typeof(v_one) <> 'null' THEN
                        v_values := v_values || jsonb_build_object(v.key, v_one #>> '{}');
                END IF;
        END LOOP;

        RETURN v_values;
END
$$;

CREATE OR REPLACE FUNCTION sluice.webhook_run(w sluice.webhook, p_body jsonb) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
        v_pipe sluice.pipe_version := sluice.pipe_find(w.project, w.pipe, NULL);
        v_run uuid := sluice.uuid_v7();
BEGIN
        PERFORM sluice.batch_check(v_pipe.pipe, v_pipe.type);
        PERFORM sluice.runs_make(ARRAY[v_run], ARRAY[v_pipe.project], ARRAY[v_pipe.pipe], ARRAY[v_pipe.version], ARRAY['webhook ' || w.name],
                                 ARRAY[sluice.parameters_layer(sluice.webhook_values(w, p_body))]);
        RETURN v_run;
END
$$;

-- A message whose signature is right for p_webhook and p_scheme. p_sent_sec: when it says that it was sent, where the scheme signs that.
-- refused: why there is no run. Such a message may be sent again, and has its run when what was wrong is mended.
CREATE OR REPLACE FUNCTION api.webhook_take(p_webhook uuid, p_scheme text, p_message text, p_sent_sec int8, p_body jsonb)
RETURNS TABLE (answer json, refused text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, sluice, pg_temp AS $$
#variable_conflict use_column
DECLARE
        v_webhook sluice.webhook := sluice.webhook_find(p_webhook);
        v_run uuid;
        v_refused text;
BEGIN
        IF p_scheme <> v_webhook.scheme THEN
                PERFORM sluice.fail(403, 'bad-signature', format('This webhook is of type %s, and the message is signed as %s.', v_webhook.scheme, p_scheme));
        ELSIF abs(extract(epoch FROM clock_timestamp()) - p_sent_sec) > 300 THEN
                PERFORM sluice.fail(400, 'stale-message', 'The message says that it was sent more than five minutes from now.',
                                    'Sign it when it is sent, and see that the clocks are right.');
        END IF;

        -- Two of the same message: the second waits here for the first one's commit.
        INSERT INTO sluice.webhook_delivery (webhook, message, refused) VALUES (p_webhook, p_message, 'being looked at')
            ON CONFLICT (webhook, message) DO UPDATE SET received_at = clock_timestamp() WHERE webhook_delivery.run IS NULL;
        IF NOT FOUND THEN
                SELECT d.run INTO STRICT v_run FROM sluice.webhook_delivery d WHERE d.webhook = p_webhook AND d.message = p_message;
        ELSE
                BEGIN
                        v_run := sluice.webhook_run(v_webhook, p_body);
                EXCEPTION WHEN SQLSTATE 'ZF400' OR SQLSTATE 'ZF404' OR SQLSTATE 'ZF409' THEN
                        v_refused := SQLERRM;
                END;
                UPDATE sluice.webhook_delivery d SET run = v_run, refused = v_refused WHERE d.webhook = p_webhook AND d.message = p_message;
        END IF;

        RETURN QUERY SELECT json_build_object('run', v_run, 'message', p_message), v_refused;
END
$$;

REVOKE ALL ON FUNCTION api.webhook_create(bytea, text, text, jsonb, text), api.webhook_list(bytea, text, text, text),
        api.webhook_delete(bytea, uuid), api.webhook_deliveries(bytea, uuid, int, text), api.webhook_take(uuid, text, text, int8, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.webhook_create(bytea, text, text, jsonb, text), api.webhook_list(bytea, text, text, text),
        api.webhook_delete(bytea, uuid), api.webhook_deliveries(bytea, uuid, int, text), api.webhook_take(uuid, text, text, int8, jsonb)
        TO sluice_controld;
