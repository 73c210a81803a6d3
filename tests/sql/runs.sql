-- A run from its making to its end, and everything that must not change it.
\i :here/fixture.inc
SELECT plan(40);
SELECT deploy('p') \g /dev/null
SELECT is((deploy('p') ->> 'changed'), 'false', 'deploying the same version changes nothing');
SELECT throws_ok($$ SELECT start_run('q') $$, 'ZF404', NULL, 'a pipe that is not there cannot run');

CREATE TABLE r AS SELECT start_run('p') AS run;
SELECT matches(run_of(run) #>> '{tasks,0,attempts,0,why}', 'No batch agent', 'queued, and it says why') FROM r;
SELECT join_fleet('a') \g /dev/null
SELECT is(jsonb_array_length(sync('a') -> 'start'), 1, 'an agent that comes gets the first task');
CREATE TABLE a AS SELECT last_attempt(run, 'one') AS attempt FROM r;
SELECT is(jsonb_array_length(sync('a') -> 'start'), 1, 'a lost answer is given again');
SELECT is(sync('a', jsonb_build_array(jsonb_build_object('attempt', attempt, 'epoch', 1, 'state', 'starting'))), NULL, 'what it knows is not') FROM a;
SELECT is(report('a', attempt, 1, '{"state":"running","invocation_id":"i"}') #>> '{acknowledged,0,state}', 'running', 'running is acknowledged') FROM a;
SELECT is(run_of(run) ->> 'state', 'running', 'and shown') FROM r;
SELECT is(report('a', attempt, 2, '{"state":"ended","result":"success"}') #>> '{acknowledged,0,state}', 'ended', 'a report of another epoch is acknowledged') FROM a;
SELECT is(run_of(run) #>> '{tasks,0,state}', 'running', 'and changes nothing') FROM r;
SELECT is((SELECT count(*)::int FROM sluice.evidence), 1, 'but is kept');
SELECT is(jsonb_array_length(report('a', attempt, 1, '{"state":"ended","result":"success","exit_code":"exited","exit_status":0,"cpu_usage_usec":5,"memory_peak_bytes":7}') -> 'start'), 1, 'the answer to ended carries the next task') FROM a;
SELECT is(run_of(run) #>> '{tasks,0,attempts,0,memory_peak_bytes}', '7', 'accounting is stored') FROM r;
SELECT ok(report('a', attempt, 1, '{"state":"ended","result":"success"}') IS NOT NULL, 'a repeat is acknowledged') FROM a;
SELECT is((SELECT count(*)::int FROM sluice.evidence), 1, 'and is no news');
SELECT ok(report('a', attempt, 1, '{"state":"running"}') IS NOT NULL, 'running after ended is acknowledged') FROM a;
SELECT is(run_of(run) #>> '{tasks,0,state}', 'succeeded', 'and changes nothing') FROM r;
SELECT ok(report('a', attempt, 1, '{"state":"logged"}') IS NOT NULL, 'its log is complete') FROM a;

UPDATE a SET attempt = (SELECT last_attempt(run, 'two') FROM r);
SELECT ok(report('a', attempt, 1, '{"state":"ended","result":"oom-kill","exit_code":"killed","exit_status":9}') IS NOT NULL, 'the second task is killed') FROM a;
SELECT is(run_of(run) ->> 'outcome', 'oom-kill', 'the run''s outcome is systemd''s') FROM r;
SELECT is(run_of(run) ->> 'state', 'failed', 'it failed') FROM r;
SELECT is(sync('a', jsonb_build_array(jsonb_build_object('attempt', attempt, 'epoch', 1, 'state', 'ended'))) -> 'clean' ->> 0, run::text, 'its workspace is to be removed') FROM r, a;
SELECT ok(api.agent_events(h('credential a'), jsonb_build_object('events', jsonb_build_array(jsonb_build_object('state', 'cleaned', 'run', run)))) IS NOT NULL, 'it was') FROM r;
SELECT is(sync('a', jsonb_build_array(jsonb_build_object('attempt', attempt, 'epoch', 1, 'state', 'ended'))), NULL, 'the unit stays until its log is complete') FROM a;
SELECT is(run_of(run) ->> 'log_complete', 'false', 'which it is not') FROM r;
SELECT ok(report('a', attempt, 1, '{"state":"logged"}') IS NOT NULL, 'now it is') FROM a;
SELECT is(sync('a', jsonb_build_array(jsonb_build_object('attempt', attempt, 'epoch', 1, 'state', 'ended'))) #>> '{release,0,attempt}', attempt::text, 'and the unit is released') FROM a;
SELECT is(sync('a', '[{"attempt":"00000000-0000-7000-8000-000000000000","epoch":1,"state":"running"}]') #>> '{release,0,epoch}', '1', 'a unit nobody ever heard of is released');

-- Cancel.
UPDATE r SET run = start_run('p');
UPDATE a SET attempt = (SELECT last_attempt(run, 'one') FROM r);
SELECT ok(report('a', attempt, 1, '{"state":"running"}') IS NOT NULL, 'a second run runs') FROM a;
SELECT is(api.run_cancel(h('owner'), run) ->> 'state', 'running', 'cancelled, it runs until it has stopped') FROM r;
SELECT is(sync('a', jsonb_build_array(jsonb_build_object('attempt', attempt, 'epoch', 1, 'state', 'running'))) #>> '{stop,0,reason}', 'Cancelled by root.', 'the agent is told why') FROM a;
SELECT ok(report('a', attempt, 1, '{"state":"ended","result":"signal","exit_code":"killed","exit_status":15}') IS NOT NULL, 'it stopped') FROM a;
SELECT is(run_of(run) ->> 'state', 'cancelled', 'the run is cancelled') FROM r;
SELECT is(run_of(run) #>> '{tasks,1,state}', 'skipped', 'its second task was skipped') FROM r;

-- Refused for now: back in the queue, without an end.
UPDATE r SET run = start_run('p');
UPDATE a SET attempt = (SELECT last_attempt(run, 'one') FROM r);
SELECT join_fleet('b') \g /dev/null
SELECT is(sync('b'), NULL, 'another agent is there');
SELECT ok(report('a', attempt, 1, '{"state":"refused","requeue":true,"reason":"draining"}') IS NOT NULL, 'the first cannot take it') FROM a;
SELECT is(run_of(run) #>> '{tasks,0,attempts,0,agent}', 'b', 'so the other gets it') FROM r;

-- Reboot.
SELECT ok(report('b', attempt, 2, '{"state":"running"}') IS NOT NULL, 'it runs') FROM a;
SELECT sync('b', '[]', 2, 'b2') \g /dev/null
SELECT is(run_of(run) ->> 'outcome', 'lost', 'a reboot loses it, and says so at the first contact') FROM r;
SELECT matches(run_of(run) ->> 'reason', 'rebooted', 'with the reason') FROM r;
SELECT * FROM finish();
