-- 0056_keep_deployments.sql
-- Why:    which version was current when, and who made it so: to see what changed, and to go back.
-- Locks:  none but on what is new; sluice.pipe_version is read once.
-- Compat: the previous controld deploys by the same function, which keeps this.

CREATE TABLE sluice.deployment (
        id          uuid        NOT NULL DEFAULT sluice.uuid_v7(), -- in order
        project     text        NOT NULL,
        pipe        text        NOT NULL,
        version     text        NOT NULL,
        deployed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        deployed_by text,
        CONSTRAINT deployment_pkey PRIMARY KEY (project, pipe, id),
        CONSTRAINT deployment_version_fkey FOREIGN KEY (project, pipe, version) REFERENCES sluice.pipe_version (project, pipe, version)
);

-- Of the time before, it is known when each version came, and which is current now.
INSERT INTO sluice.deployment (id, project, pipe, version, deployed_at, deployed_by)
SELECT id, project, pipe, version, created_at, created_by FROM sluice.pipe_version;

INSERT INTO sluice.deployment (project, pipe, version)
SELECT p.project, p.name, p.version
  FROM sluice.pipe p
 WHERE p.version <> (SELECT d.version FROM sluice.deployment d WHERE (d.project, d.pipe) = (p.project, p.name) ORDER BY d.id DESC LIMIT 1);
