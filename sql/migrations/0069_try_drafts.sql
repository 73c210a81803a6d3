-- 0069_try_drafts.sql
-- Why:    a draft runs once on one agent, without being a version of its pipe: of a pipe that may not even exist.
-- Locks:  sluice.pipe_version, sluice.pipe, sluice.deployment: brief ACCESS EXCLUSIVE, while each is read once.
-- Compat: the previous controld calls the same functions, and shows the runs of drafts as any others.

-- A draft is kept where versions are, since runs find there what their tasks do. Its name says what it is, and it is never current.
ALTER TABLE sluice.pipe_version
        ADD COLUMN last_trial uuid, -- of a draft: the run that was made of it last
        DROP CONSTRAINT pipe_version_is_hash,
        ADD CONSTRAINT pipe_version_is_hash CHECK (version ~ '^(draft-)?[0-9a-f]{16}$'),
        ADD CONSTRAINT pipe_version_draft_was_tried CHECK ((version LIKE 'draft-%') = (last_trial IS NOT NULL)),
        DROP CONSTRAINT pipe_version_pipe_fkey; -- nobody removes a pipe, and a draft may have none

ALTER TABLE sluice.pipe ADD CONSTRAINT pipe_version_no_draft CHECK (version NOT LIKE 'draft-%');
ALTER TABLE sluice.deployment ADD CONSTRAINT deployment_no_draft CHECK (version NOT LIKE 'draft-%');
