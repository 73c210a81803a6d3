-- 0050_challenge_sessions.sql
-- Why:    a new session of an instance may be that of a copied machine, so it counts only when the one before has shown no life;
--         and an instance of which two are alive is given nothing until somebody has looked after it.
-- Locks:  sluice.instance ACCESS EXCLUSIVE, for a moment: columns with constant defaults rewrite nothing.
-- Compat: the previous controld calls the same functions, and hands on what they answer.

ALTER TABLE sluice.instance
        ADD COLUMN rival             uuid,        -- a session that wants to take the place of `session`
        ADD COLUMN rival_at          timestamptz, -- since when
        ADD COLUMN rival_enrols      boolean NOT NULL DEFAULT false, -- it enrols anew rather than be one too many: OnClone=enrol
        ADD COLUMN rival_before      uuid,        -- the one that wanted to before it
        ADD COLUMN evicted           uuid,        -- a session that was told to enrol anew
        ADD COLUMN quarantined_at    timestamptz,
        ADD COLUMN quarantine_reason text,
        ADD CONSTRAINT instance_rival_since CHECK ((rival IS NULL) = (rival_at IS NULL)),
        ADD CONSTRAINT instance_quarantine_reason CHECK ((quarantined_at IS NULL) = (quarantine_reason IS NULL));
