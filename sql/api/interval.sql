-- OnUnitActiveSec= and OnUnitInactiveSec=: due so long after the last run has begun, or ended. No worker is asked: the tick takes a due
-- time whose moment has come, and works out the next one when it is known what became of it. Under the lock of the schedule, for which
-- it only tries.
SET LOCAL check_function_bodies = off;

CREATE OR REPLACE FUNCTION sluice.interval_of(p_spec jsonb) RETURNS interval
LANGUAGE sql IMMUTABLE AS $$
        SELECT sluice.timespan_parse(coalesce(p_spec ->> 'on_unit_active_sec', p_spec ->> 'on_unit_inactive_sec'))
$$;

CREATE OR REPLACE FUNCTION sluice.interval_check(p_schedule jsonb) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
        v_word text;
BEGIN
        FOREACH v_word IN ARRAY ARRAY['on_unit_active_sec', 'on_unit_inactive_sec'] LOOP
                IF sluice.json_text(p_schedule, v_word) IS NOT NULL AND sluice.timespan_parse(p_schedule ->> v_word) IS NULL THEN
                        PERFORM sluice.fail(400, 'bad-spec', format('Member "%s" is no time span.', v_word));
                END IF;
        END LOOP;
        IF p_schedule ?& ARRAY['on_unit_active_sec', 'on_unit_inactive_sec'] THEN
                PERFORM sluice.fail(400, 'bad-spec', format('Schedule "%s" counts from the beginning of a run and from its end.', p_schedule ->> 'name'));
        ELSIF sluice.interval_of(p_schedule) < interval '1 second' THEN
                PERFORM sluice.fail(400, 'bad-spec', format('The interval of schedule "%s" is shorter than a second.', p_schedule ->> 'name'));
        ELSIF p_schedule ? 'missed_runs' AND sluice.interval_of(p_schedule) IS NOT NULL THEN
                PERFORM sluice.fail(400, 'bad-spec', format('Schedule "%s" has an interval: nothing of that is missed.', p_schedule ->> 'name'));
        END IF;
END
$$;

CREATE OR REPLACE FUNCTION sluice.interval_settle(p_project text, p_pipe text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        UPDATE sluice.schedule s
           SET every = n.every, waits_run = NULL
          FROM (SELECT o.id, CASE WHEN o.removed_at IS NULL THEN sluice.interval_of(o.spec) END AS every
                  FROM sluice.schedule o WHERE o.project = p_project AND o.pipe = p_pipe) n
         WHERE s.id = n.id AND s.every IS DISTINCT FROM n.every;
END
$$;

-- From when on the interval counts: from the beginning or the end of the run that the last due time has had, from when it was skipped,
-- or from the deployment. NULL: that is not known yet; p_waits is the run whose end it takes.
CREATE OR REPLACE FUNCTION sluice.interval_base(s sluice.schedule, OUT base timestamptz, OUT p_waits uuid)
LANGUAGE plpgsql STABLE AS $$
DECLARE
        d sluice.schedule_due;
BEGIN
        SELECT * INTO d FROM sluice.schedule_due WHERE schedule = s.id ORDER BY due_at DESC LIMIT 1;
        IF d.due_at IS NULL OR coalesce(d.until_at, d.due_at) < s.after_at THEN
                base := s.after_at;
        ELSIF d.begin_at IS NOT NULL THEN
                base := NULL;
        ELSIF d.run IS NULL OR s.spec ? 'on_unit_active_sec' THEN
                base := d.decided_at;
        ELSE
                SELECT coalesce(r.ended_at, CASE WHEN r.id IS NULL THEN d.decided_at END), CASE WHEN r.ended_at IS NULL THEN r.id END INTO base, p_waits
                  FROM (VALUES (1)) one LEFT JOIN sluice.run r ON r.id = d.run;
        END IF;
END
$$;

CREATE OR REPLACE FUNCTION sluice.intervals_step() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
        s sluice.schedule;
        v record;
BEGIN
        FOR s IN SELECT * FROM sluice.schedule x
                  WHERE x.every IS NOT NULL
                    AND (x.next_at <= clock_timestamp()
                         OR x.next_at IS NULL AND NOT EXISTS (SELECT FROM sluice.run r WHERE r.id = x.waits_run AND r.ended_at IS NULL)
                            AND (SELECT num_nonnulls(b.base, b.p_waits) > 0 FROM sluice.interval_base(x) b)) -- what waits has no place among the hundred
                  ORDER BY x.id LIMIT 100 FOR NO KEY UPDATE SKIP LOCKED LOOP
                IF s.next_at IS NOT NULL THEN
                        PERFORM sluice.due_take(s, s.next_at, s.last_at, NULL, NULL, true, NULL);
                        s.after_at := s.next_at;
                        s.last_at := s.next_at;
                END IF;
                SELECT * INTO v FROM sluice.interval_base(s);
                UPDATE sluice.schedule SET after_at = s.after_at, last_at = s.last_at, next_at = v.base + s.every, waits_run = v.p_waits WHERE id = s.id;
        END LOOP;
END
$$;

-- These runs have ended: an interval may begin.
CREATE OR REPLACE FUNCTION sluice.intervals_wake(p_runs uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
        PERFORM pg_notify('sluice', 'tick') WHERE EXISTS (SELECT FROM sluice.schedule WHERE waits_run IS NOT NULL AND waits_run = ANY (p_runs));
END
$$;
