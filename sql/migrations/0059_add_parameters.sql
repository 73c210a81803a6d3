-- 0059_add_parameters.sql
-- Why:    a run has values of its pipe's parameters, and it is kept where each came from; a project has values for all its pipes.
-- Locks:  sluice.run and sluice.project: brief ACCESS EXCLUSIVE, no rewrite.
-- Compat: the previous controld calls api.run_create() without parameters, and deploys pipes without any.

ALTER TABLE sluice.run ADD COLUMN parameters jsonb NOT NULL DEFAULT '[]'; -- of {"name", "value", "origin"}, in the order of the pipe file

ALTER TABLE sluice.project
        ADD COLUMN parameters jsonb NOT NULL DEFAULT '{}', -- name: value
        ADD CONSTRAINT project_parameters_object CHECK (jsonb_typeof(parameters) = 'object');
