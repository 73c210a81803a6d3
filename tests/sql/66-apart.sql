-- Tasks with AgentSelector=, which are placed by themselves.
SET search_path = tap, public;
SELECT no_plan();
SELECT t.agent('shared', 4, '{"role": "work", "site": "a"}'), t.agent('other', 4, '{"role": "work", "site": "b"}'),
       t.agent('gpu', 1, '{"role": "gpu", "site": "a"}'), t.agent('gpu2', 1, '{"role": "gpu", "site": "b"}') \g /dev/null
SELECT t.sync('gpu') \g /dev/null

-- a and c share a host; b goes where there is a GPU, and takes a's output along.
SELECT t.deploy('p', jsonb_build_array('{"name": "a"}'::jsonb,
        '{"name": "b", "after": ["a"], "directives": [["ExecStart", "/bin/b ${a.KEY}"]]}'::jsonb || t.selector('{"role": "gpu"}'),
        '{"name": "c", "after": ["b"]}'::jsonb)) \g /dev/null
SELECT t.deploy('q', jsonb_build_array('{"name": "a"}'::jsonb, '{"name": "b"}'::jsonb || t.selector('{"role": "gpu"}'), '{"name": "c"}'::jsonb),
                      t.selector('{"site": "a"}')) \g /dev/null
SELECT t.run('q') AS r \gset
SELECT is(t.places(:'r'), 'a@gpu b@- c@-', 'of a run that has no instance yet one shared task asks, and what is apart for itself');
SELECT t.sync('shared') \g /dev/null
SELECT is(t.places(:'r'), 'a@gpu b@- c@-', 'the shared ones stay together');
SELECT t.ends('gpu', :'r', 'a'), t.ends('gpu', :'r', CASE t.places(:'r') WHEN 'a@gpu b@gpu c@-' THEN 'b' ELSE 'c' END) \g /dev/null
SELECT t.ends('gpu', :'r', CASE (t.attempt(:'r', 'b')).state WHEN 'assigned' THEN 'b' ELSE 'c' END) \g /dev/null
SELECT is(t.get(:'r') ->> 'state', 'succeeded', 'and all of it ends');

SELECT api.agent_flag_set(t.h('operator'), 'gpu', 'paused', '{}') \g /dev/null
SELECT t.run('p') AS r \gset
SELECT is(t.places(:'r'), 'a@shared b@ c@', 'a task without a selector goes where the pipe''s lets it');
SELECT t.begins('shared', :'r', 'a'), t.ends('shared', :'r', 'a', p_more => '{"output": {"KEY": "value"}}') \g /dev/null
SELECT is(t.places(:'r'), 'a@shared b@- c@', 'one with a selector waits for an instance that suits it, not for that of the run');
SELECT matches(t.why(:'r', 'b'), '^all 1 connected instances of type batch with the labels role=gpu are draining or paused$', 'and says so');
SELECT is((SELECT x ->> 'verdict' FROM json_array_elements(api.run_explain(t.h('viewer'), :'r') -> 'tasks') k, json_array_elements(k -> 'candidates') x
            WHERE k ->> 'task' = 'b' AND x ->> 'agent' = 'shared'), 'has other labels than role=gpu (it has role=work)', 'with a verdict for each candidate');
SELECT api.agent_flag_clear(t.h('operator'), 'gpu', 'paused') \g /dev/null
SELECT t.sync('gpu') AS answer \gset
SELECT is(:'answer'::jsonb #> '{start,0,directives}', '[["Substitute", "yes"], ["Workspace", "no"], ["ExecStart", "/bin/b ${a.KEY}"]]', 'it is told that it has no workspace');
SELECT is(:'answer'::jsonb #> '{start,0,outputs}', '{"a.KEY": "value"}', 'outputs go along to another host');
SELECT is((SELECT instance FROM sluice.run WHERE id = :'r'), t.id('shared'), 'the run stays where it began');
SELECT t.begins('gpu', :'r', 'b'), t.ends('gpu', :'r', 'b') \g /dev/null
SELECT is(t.places(:'r'), 'a@shared b@gpu c@shared', 'and goes on there');
SELECT is(t.sync('shared') #> '{start,0,directives}', '[["ExecStart", "/bin/true"]]', 'with its workspace');
SELECT t.ends('shared', :'r', 'c') \g /dev/null
SELECT is(t.get(:'r') ->> 'state', 'succeeded', 'the run succeeds');
SELECT results_eq(format('SELECT instance FROM sluice.cleanup WHERE run = %L ORDER BY instance', :'r'),
                  $$SELECT t.id(n) FROM unnest(ARRAY['shared', 'gpu']) n ORDER BY 1$$, 'each host that had something of it is told to remove it');

-- Refused by one instance it goes to another; the run stays.
SELECT t.run('p') AS r \gset
SELECT t.sync('gpu2') \g /dev/null
SELECT t.begins('shared', :'r', 'a'), t.ends('shared', :'r', 'a', p_more => '{"output": {"KEY": "value"}}') \g /dev/null
SELECT g.name AS first, CASE g.name WHEN 'gpu' THEN 'gpu2' ELSE 'gpu' END AS second FROM sluice.agent g WHERE g.id = (t.attempt(:'r', 'b')).agent \gset
SELECT t.events(:'first', t.event((t.attempt(:'r', 'b')).id, 1, 'refused', '{"requeue": true, "reason": "full"}')) \g /dev/null
SELECT is(t.places(:'r'), format('a@shared b@%s c@', :'second'), 'refused by one it is another''s');
SELECT is((SELECT instance FROM sluice.run WHERE id = :'r'), t.id('shared'), 'and the run stays where it is');

-- Lost with its host it is done again elsewhere; nothing else is.
SELECT t.begins(:'second', :'r', 'b') \g /dev/null
SELECT t.gone(:'second') \g /dev/null
SELECT is(t.tasks(:'r'), 'a:succeeded b:queued c:waiting', 'with a host that is lost only what it had is done again');
SELECT is(t.places(:'r'), format('a@shared b@%s c@', :'first'), 'on another');
SELECT is((SELECT instance FROM sluice.run WHERE id = :'r'), t.id('shared'), 'the workspace of the run is where it was');
SELECT t.sync(:'second', '[]') \g /dev/null

-- The host of the workspace is lost while b runs elsewhere: all that shares it begins again, and b, which came after a, when a has.
SELECT t.begins(:'first', :'r', 'b'), t.ends(:'first', :'r', 'b') \g /dev/null
SELECT t.begins('shared', :'r', 'c') \g /dev/null
SELECT t.sync('other') \g /dev/null
SELECT t.gone('shared') \g /dev/null
SELECT is(t.tasks(:'r'), 'a:queued b:waiting c:waiting', 'with the host of the workspace all that needs it begins again, and what came after it');
SELECT is(t.places(:'r'), format('a@other b@%s c@shared', :'first'), 'elsewhere');
SELECT t.begins('other', :'r', 'a'), t.ends('other', :'r', 'a', p_more => '{"output": {"KEY": "again"}}') \g /dev/null
SELECT is(t.tasks(:'r'), 'a:succeeded b:queued c:waiting', 'in its order');
SELECT g.name AS third FROM sluice.agent g WHERE g.id = (SELECT a.agent FROM sluice.attempt a WHERE a.run = :'r' AND a.task = 'b' ORDER BY a.try DESC LIMIT 1) \gset
SELECT t.begins(:'third', :'r', 'b') \g /dev/null

-- While b runs, a begins again: what b does counts for nothing, whether it ends before a or after it.
SELECT t.sync('shared') \g /dev/null
SELECT t.deploy('d', jsonb_build_array('{"name": "a"}'::jsonb, '{"name": "b", "after": ["a"]}'::jsonb || t.selector('{"role": "gpu"}'),
        '{"name": "c", "after": ["a"]}'::jsonb, '{"name": "d", "after": ["b"]}'::jsonb), t.selector('{}')) \g /dev/null
SELECT api.run_cancel(t.h('operator'), :'r') \g /dev/null
SELECT is(t.tasks(:'r'), 'a:succeeded b:running c:cancelled', 'a cancelled run asks whoever has something of it to stop');
SELECT is((SELECT state || ' ' || instance FROM sluice.assignment WHERE run = :'r'), 'stopping ' || t.id(:'third'), 'wherever that is');
SELECT t.ends(:'third', :'r', 'b', 'signal') \g /dev/null
SELECT is(t.get(:'r') ->> 'state', 'cancelled', 'and is over when it has');

SELECT api.agent_flag_set(t.h('operator'), 'other', 'paused', '{}'), api.agent_flag_set(t.h('operator'), 'gpu2', 'paused', '{}'),
       api.agent_flag_set(t.h('operator'), 'gpu', 'paused', '{}') \g /dev/null
SELECT t.run('d') AS r \gset
SELECT t.begins('shared', :'r', 'a') \g /dev/null
SELECT api.agent_flag_clear(t.h('operator'), 'gpu', 'paused') \g /dev/null
SELECT t.sync('gpu') \g /dev/null
SELECT t.ends('shared', :'r', 'a') \g /dev/null
SELECT t.begins('gpu', :'r', 'b'), t.begins('shared', :'r', 'c') \g /dev/null
SELECT api.agent_flag_clear(t.h('operator'), 'other', 'paused') \g /dev/null
SELECT t.sync('other') \g /dev/null
SELECT t.gone('shared') \g /dev/null
SELECT is(t.tasks(:'r'), 'a:queued b:running c:waiting d:waiting', 'what runs elsewhere goes on');
SELECT is((SELECT count(*) FROM sluice.live_run WHERE run = :'r'), 1::bigint, 'and the run counts where limits do');
SELECT t.begins('other', :'r', 'a'), t.ends('gpu', :'r', 'b') \g /dev/null
SELECT is(t.tasks(:'r'), 'a:running b:waiting c:waiting d:waiting', 'its success is none any more: what it came after is done again');
SELECT t.ends('other', :'r', 'a') \g /dev/null
SELECT is(t.tasks(:'r'), 'a:succeeded b:queued c:queued d:waiting', 'and then it is, too');
SELECT t.ends('other', :'r', 'c') \g /dev/null
SELECT t.ends('gpu', :'r', 'b') \g /dev/null
SELECT t.ends('other', :'r', 'd') \g /dev/null
SELECT is(t.get(:'r') ->> 'state', 'succeeded', 'to the end');
SELECT is((SELECT count(*) FROM sluice.cleanup WHERE run = :'r'), 3::bigint, 'three hosts clean up');

-- A drain takes what is there elsewhere; what is placed apart goes alone.
SELECT api.agent_flag_clear(t.h('operator'), 'gpu2', 'paused') \g /dev/null
SELECT t.sync('gpu2') \g /dev/null
SELECT t.run('p') AS r \gset
SELECT g.name AS home FROM sluice.agent g WHERE g.id = (t.attempt(:'r', 'a')).agent \gset
SELECT t.ends(:'home', :'r', 'a', p_more => '{"output": {"KEY": "value"}}') \g /dev/null
SELECT g.name AS first, CASE g.name WHEN 'gpu' THEN 'gpu2' ELSE 'gpu' END AS second FROM sluice.agent g WHERE g.id = (t.attempt(:'r', 'b')).agent \gset
SELECT t.begins(:'first', :'r', 'b') \g /dev/null
SELECT api.agent_flag_set(t.h('operator'), :'first', 'draining', '{"deadline_sec": 0}'), sluice.drain_sweep() \g /dev/null
SELECT t.ends(:'first', :'r', 'b', 'signal', '{"exit_code": "killed", "exit_status": 15}') \g /dev/null
SELECT is(t.tasks(:'r'), 'a:succeeded b:queued c:waiting', 'a drain interrupts it, and nothing else is done again');
SELECT t.sync(:'second') \g /dev/null
SELECT is(t.places(:'r'), format('a@%s b@%s c@', :'home', :'second'), 'it goes on elsewhere');
SELECT t.begins(:'second', :'r', 'b') \g /dev/null
SELECT api.agent_delete(t.h('admin'), :'second', 'true') \g /dev/null
SELECT is(t.tasks(:'r'), 'a:succeeded b:failed c:skipped', 'given up with its agent it has failed');
SELECT is((SELECT array_agg(instance) FROM sluice.cleanup WHERE run = :'r' AND instance <> t.id(:'first')), ARRAY[t.id(:'home')], 'a deleted agent cleans up nothing');

-- Done again from there.
SELECT (api.run_rerun(t.h('operator'), :'r', '{}', NULL) ->> 'run')::uuid AS r2 \gset
SELECT is(t.tasks(:'r2'), 'a:skipped b:queued c:waiting', 'a rerun goes on with it');
SELECT api.agent_flag_clear(t.h('operator'), :'first', 'draining') \g /dev/null
SELECT is(t.sync(:'first') #> '{start,0,outputs}', '{"a.KEY": "value"}', 'with what the task before left in the run before');
SELECT t.ends(:'first', :'r2', 'b') \g /dev/null
SELECT is(t.tasks(:'r2'), 'a:skipped b:succeeded c:queued', 'and what shares the workspace begins where there is room');

-- A limit counts a run once, wherever its tasks are.
SELECT t.deploy('l', jsonb_build_array('{"name": "a"}'::jsonb, '{"name": "b"}'::jsonb || t.selector('{"role": "gpu"}'), '{"name": "c"}'::jsonb || t.selector('{"role": "work"}')),
                      '{"concurrency_limit": 1}') \g /dev/null
SELECT t.run('l') AS r, t.run('l') AS r2 \gset
SELECT is((SELECT count(*) FROM sluice.live_run WHERE run IN (:'r', :'r2')) || t.places(:'r2'), '1a@- b@- c@-', 'a limit counts a run once, and holds what is placed apart, too');
SELECT is((SELECT count(*) FROM sluice.assignment WHERE run = :'r'), 3::bigint, 'all tasks of the one are on their way');

-- What comes after nothing that is lost stays done; the shared ones go elsewhere while another task runs on, when their host is lost and when it is drained.
SELECT api.run_cancel(t.h('operator'), id) FROM sluice.run WHERE ended_at IS NULL \g /dev/null
SELECT t.events(a.name, t.event(x.attempt, x.epoch, 'ended', '{"result": "signal"}')) FROM sluice.assignment x JOIN sluice.instance i ON i.id = x.instance JOIN sluice.agent a ON a.id = i.agent \g /dev/null
SELECT t.deploy('i', jsonb_build_array('{"name": "x"}'::jsonb || t.selector('{"role": "gpu"}'), '{"name": "a"}'::jsonb, '{"name": "c", "after": ["a"]}'::jsonb,
        '{"name": "y", "after": ["x"]}'::jsonb || t.selector('{"role": "gpu"}')), t.selector('{"site": "b"}')) \g /dev/null
SELECT t.agent('gpu3', 4, '{"role": "gpu", "site": "b"}'), t.agent('more', 4, '{"role": "work", "site": "b"}') \g /dev/null
SELECT api.agent_flag_set(t.h('operator'), name, 'paused', '{}') FROM sluice.agent WHERE name IN ('gpu', 'gpu2', 'shared') \g /dev/null
SELECT t.sync('other'), t.sync('gpu3') \g /dev/null
SELECT api.agent_flag_set(t.h('operator'), 'gpu3', 'paused', '{}') \g /dev/null
SELECT t.run('i') AS r \gset
SELECT t.begins('other', :'r', 'a') \g /dev/null
SELECT api.agent_flag_clear(t.h('operator'), 'gpu3', 'paused') \g /dev/null
SELECT t.sync('gpu3'), t.ends('gpu3', :'r', 'x'), t.begins('gpu3', :'r', 'y'), t.ends('other', :'r', 'a'), t.begins('other', :'r', 'c') \g /dev/null
SELECT t.sync('more') \g /dev/null
SELECT is(t.places(:'r') || ' ' || t.tasks(:'r'), 'x@gpu3 a@other c@other y@gpu3 x:succeeded a:succeeded c:running y:running', 'two at work, each on its host');
SELECT api.agent_flag_set(t.h('operator'), 'other', 'draining', '{"deadline_sec": 0}'), sluice.drain_sweep() \g /dev/null
SELECT t.ends('other', :'r', 'c', 'signal', '{"exit_code": "killed", "exit_status": 15}') \g /dev/null
SELECT is(t.tasks(:'r'), 'x:succeeded a:queued c:waiting y:running', 'a drain moves what shares the workspace; the rest stays as it is');
SELECT ok(a.state IN ('queued', 'assigned') AND (a.agent IS NULL OR g.name <> 'other'), 'to another host') FROM sluice.attempt a LEFT JOIN sluice.agent g ON g.id = a.agent
 WHERE a.run = :'r' AND a.task = 'a' ORDER BY a.try DESC LIMIT 1;
SELECT t.sync('more') \g /dev/null
SELECT g.name AS home FROM sluice.agent g WHERE g.id = (SELECT a.agent FROM sluice.attempt a WHERE a.run = :'r' AND a.task = 'a' ORDER BY a.try DESC LIMIT 1) \gset
SELECT t.begins(:'home', :'r', 'a') \g /dev/null
SELECT t.gone(:'home') \g /dev/null
SELECT is(t.tasks(:'r'), 'x:succeeded a:queued c:waiting y:running', 'and so does a loss');

-- Refused where it would have been the first of those that share, it may still go anywhere, whatever runs elsewhere.
SELECT t.sync(:'home') \g /dev/null
SELECT g.name AS home FROM sluice.agent g WHERE g.id = (SELECT a.agent FROM sluice.attempt a WHERE a.run = :'r' AND a.task = 'a' ORDER BY a.try DESC LIMIT 1) \gset
SELECT t.events(g.name, t.event(a.id, a.epoch, 'refused', '{"requeue": true}')) FROM sluice.attempt a JOIN sluice.agent g ON g.id = a.agent
 WHERE a.run = :'r' AND a.task = 'a' AND a.state = 'assigned' \g /dev/null
SELECT ok(coalesce((SELECT q.instance IS NULL FROM sluice.queue q WHERE q.run = :'r'), (SELECT instance <> t.id(:'home') FROM sluice.run WHERE id = :'r')), 'what was refused is not bound to who refused it');

-- A directory is not removed from under a task of the same run.
SELECT is(t.sync('gpu3', t.known((SELECT id FROM sluice.attempt WHERE run = :'r' AND task = 'y'), 1, 'running')) -> 'clean', NULL, 'nothing is to be removed');
INSERT INTO sluice.cleanup (instance, run) VALUES (t.id('gpu3'), :'r');
SELECT is(t.sync('gpu3', t.known((SELECT id FROM sluice.attempt WHERE run = :'r' AND task = 'y'), 1, 'running')) -> 'clean', NULL, 'nor what a task of the run uses');
SELECT is(t.ends('gpu3', :'r', 'y') -> 'clean', jsonb_build_array(:'r'), 'but when it has ended');

-- What was skipped for how something before it had ended is asked anew when that is done again: it may end otherwise.
SELECT api.run_cancel(t.h('operator'), id) FROM sluice.run WHERE ended_at IS NULL \g /dev/null
SELECT t.events(a.name, t.event(x.attempt, x.epoch, 'ended', '{"result": "signal"}')) FROM sluice.assignment x JOIN sluice.instance i ON i.id = x.instance JOIN sluice.agent a ON a.id = i.agent \g /dev/null
SELECT t.deploy('n', jsonb_build_array('{"name": "a"}'::jsonb, '{"name": "b", "after": ["a"]}'::jsonb,
        '{"name": "tell", "after_failure": ["a"]}'::jsonb || t.selector('{"site": "n"}'), '{"name": "then", "after": ["tell"]}'::jsonb || t.selector('{"site": "n"}')),
        t.selector('{"site": "n"}')) \g /dev/null
SELECT t.agent('n1', 4, '{"site": "n"}'), t.agent('n2', 4, '{"site": "n"}') \g /dev/null
SELECT t.sync('n1') \g /dev/null
SELECT t.run('n') AS r \gset
SELECT t.begins('n1', :'r', 'a'), t.ends('n1', :'r', 'a'), t.begins('n1', :'r', 'b') \g /dev/null
SELECT is(t.tasks(:'r'), 'a:succeeded b:running tell:skipped then:skipped', 'without a failure nobody has to be told');
SELECT t.sync('n2') \g /dev/null
SELECT t.gone('n1') \g /dev/null
SELECT is(t.tasks(:'r'), 'a:queued b:waiting tell:waiting then:waiting', 'what it was skipped for is done again, so that is not certain any more');
SELECT t.begins('n2', :'r', 'a'), t.ends('n2', :'r', 'a', 'exit-code') \g /dev/null
SELECT is(t.tasks(:'r'), 'a:failed b:skipped tell:queued then:waiting', 'after a failure somebody has');
SELECT t.ends('n2', :'r', 'tell'), t.ends('n2', :'r', 'then') \g /dev/null
SELECT is(t.get(:'r') ->> 'outcome', 'exit-code', 'and the run ends as it failed');

-- What cannot be.
SELECT is(t.error($$SELECT t.deploy('w', '[{"name": "a", "agent_selector": [{"key": "x"}]}]')$$), 'ZF400 bad-spec', 'a selector of a task is checked');
SELECT is(t.error($$SELECT t.deploy('w', '[{"name": "a", "agent_selector": []}]', '{"type": "streaming"}')$$), 'ZF400 bad-spec', 'a streaming pipe''s task has none');
SELECT * FROM finish();
