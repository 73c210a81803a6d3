-- 0065_fan_tasks_out.sql
-- Why:    a task with RunOnAll= has a child for each instance, a row like any task.
-- Locks:  sluice.task: brief ACCESS EXCLUSIVE, no rewrite and no scan.
-- Compat: the previous controld calls the same functions, and deploys no such task.

ALTER TABLE sluice.task
        ADD COLUMN fans         boolean NOT NULL DEFAULT false, -- it has children, and does nothing itself
        ADD COLUMN fanout_count int,  -- how many; NULL until it is known
        ADD COLUMN parent       text, -- of a child, and so are these
        ADD COLUMN fanout_index int,  -- from 1
        ADD COLUMN instance     uuid, -- the one that it is for
        ADD COLUMN held         boolean NOT NULL DEFAULT false, -- its turn has not come
        ADD COLUMN reason       text, -- why it was skipped or, of a parent, has failed
        DROP CONSTRAINT task_name_valid,
        ADD CONSTRAINT task_name_valid CHECK (
                CASE WHEN parent IS NULL THEN sluice.is_name(name) ELSE starts_with(name, parent || '@') END) NOT VALID,
        ADD CONSTRAINT task_child_has_instance CHECK (num_nulls(parent, instance, fanout_index) IN (0, 3)) NOT VALID;
